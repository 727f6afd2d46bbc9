//! The death of a worker process: which of its loads are retried, and which have ended.
//!
//! | the module in sysfs | the load |
//! | --- | --- |
//! | live | has succeeded |
//! | any, and the load's thread is still in the kernel | goes on, as an orphan |
//! | coming, without a thread | fails: nobody will end its init, and a retry would wait for that |
//! | anything else | is retried once, alone; the second time it fails |

use std::process::ExitStatus;

use super::super::error::LoadError;
use super::super::outcome::Outcome;
use super::super::task::Completion;
use super::Graph;
use super::node::State;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;
use crate::sys::sysfs::InitState;

/// The death of a worker process.
pub(in crate::load) struct WorkerDeath<'a> {
    /// How it ended, if that is known.
    pub(in crate::load) status: Option<ExitStatus>,
    /// Tasks of dead worker processes whose threads are still in the kernel.
    pub(in crate::load) in_kernel: &'a [usize],
    /// Returns what sysfs calls a module.
    pub(in crate::load) state: &'a dyn Fn(&ModuleName) -> Option<InitState>,
    pub(in crate::load) now: BootTime,
}

impl Graph {
    /// Enters the death of the worker process of all tasks that run.
    pub(in crate::load) fn worker_died(&mut self, death: &WorkerDeath<'_>) {
        self.look_ahead = None;
        let loads = [self.running.to_vec(), self.abandoned.to_vec()].concat();
        for id in loads {
            self.running.remove(&id);
            self.orphans.insert(id);
        }
        self.check_orphans(death);
    }

    /// Ends the orphans that have left the kernel. Returns whether there were any.
    pub(in crate::load) fn check_orphans(&mut self, death: &WorkerDeath<'_>) -> bool {
        let mut orphans = self.orphans.to_vec();
        orphans.retain(|id| !death.in_kernel.contains(id));
        for id in &orphans {
            self.orphans.remove(id);
            self.interrupt(*id, death);
        }
        !orphans.is_empty()
    }

    /// Returns whether loads of dead worker processes go on in the kernel.
    pub(in crate::load) fn has_orphans(&self) -> bool {
        !self.orphans.is_empty()
    }

    /// Ends or retries a task whose worker process and thread have ended.
    fn interrupt(&mut self, id: usize, death: &WorkerDeath<'_>) {
        let node = &self.nodes[id];
        let state = (death.state)(&node.step.module);
        let Some(run) = node.run() else {
            if state == Some(InitState::Live) {
                self.note_late(id, death.now);
            }
            self.abandoned.remove(&id);
            return;
        };
        let outcome = match (&node.state, state) {
            (State::Live(..), _) | (_, Some(InitState::Live)) => Outcome::Loaded,
            (_, Some(InitState::Coming)) => Outcome::Failed(LoadError::HalfLoaded(death.status)),
            _ if run.is_retry => Outcome::Failed(LoadError::WorkerDied(death.status)),
            _ => {
                self.interrupted.insert((node.key, id));
                self.nodes[id].state = State::Retry;
                return;
            }
        };
        let (start, end) = (run.start, death.now);
        self.conclude(Completion { start, end, ..Completion::immediate(id, outcome) });
    }

    /// Fails every step that could start now, because no worker process can be started.
    pub(in crate::load) fn fail_ready(&mut self, error: &LoadError) {
        loop {
            let ready = self.interrupted.first().or_else(|| self.ready.first()).copied();
            let Some((key, id)) = ready else { break };
            self.interrupted.remove(&(key, id));
            self.ready.remove(&(key, id));
            self.end(Completion::immediate(id, Outcome::Failed(error.clone())), None);
        }
        for id in std::mem::take(&mut self.retries) {
            self.end(Completion::immediate(id, Outcome::Failed(error.clone())), None);
        }
    }
}
