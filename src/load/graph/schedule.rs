//! The choice of the next step to start.

use super::super::policy::{Rank, SortKey};
use super::super::settings::Concurrency;
use super::super::task::Task;
use super::node::{Run, State};
use super::{Admission, Graph};
use crate::cmdline::boot::AsyncProbe;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Step};
use crate::sys::BootTime;

/// Loads that may wait for the kernel's asynchronous work, besides those that are counted. A
/// machine with slow disks has had seventy.
const MAX_WAITING: usize = 192;

impl Graph {
    /// Starts the next step and returns its task: the ready step with the lowest sort key, unless
    /// the policy forbids it now. If there is none and no task runs, it starts a step to retry.
    pub(in crate::load) fn take(&mut self, now: BootTime) -> Option<Task> {
        let id = self.next()?;
        let is_last = self.is_last() || self.admission == Admission::Last;
        if self.admission == Admission::Last {
            self.admission = Admission::Closed;
        }
        let is_retry = matches!(self.nodes[id].state, State::Retry);
        let key = (self.nodes[id].key, id);
        match is_retry {
            true if self.interrupted.remove(&key) => {}
            true => drop(self.retries.pop_front()),
            false => drop(self.ready.remove(&key)),
        }
        let low_priority = self.is_held(self.nodes[id].rank);
        let run = Run { start: now, low_priority, is_retry, is_alone: is_retry, notices: 0 };
        self.nodes[id].lane = self.free_lane();
        self.nodes[id].state = State::Running(run);
        self.running.insert(id);
        self.started += 1;
        let node = &self.nodes[id];
        let async_probe = match self.policy.async_probe {
            AsyncProbe::None => None,
            AsyncProbe::Storage => Some(node.rank <= Rank::Storage && !is_last),
            AsyncProbe::All => Some(!is_last),
        };
        Some(Task {
            id,
            module: node.step.module.clone(),
            action: node.step.action.clone(),
            options: options(&node.step, async_probe),
            low_priority,
        })
    }

    /// Returns the lowest number that no task has; `None` if no record is written.
    fn free_lane(&self) -> Option<usize> {
        if cfg!(not(feature = "full")) {
            return None;
        }
        // A load that has been given up, or whose process has died, goes on in the kernel.
        let lists = [&self.running, &self.orphans, &self.abandoned];
        let has = |lane: usize| {
            let has_lane = |id: &usize| self.nodes[*id].lane == Some(lane);
            lists.iter().any(|list| list.iter().any(has_lane))
        };
        let mut lane = 0;
        while has(lane) {
            lane += 1;
        }
        Some(lane)
    }

    /// Takes a task back that no worker has received: its step may start again.
    pub(in crate::load) fn put_back(&mut self, id: usize) {
        if !self.running.remove(&id) {
            return;
        }
        let key = (self.nodes[id].key, id);
        if self.nodes[id].run().is_some_and(|run| run.is_retry) {
            self.nodes[id].state = State::Retry;
            self.interrupted.insert(key);
        } else {
            self.nodes[id].state = State::Ready;
            self.ready.insert(key);
        }
        self.started -= 1;
    }

    /// Returns the node that [`Self::take`] would start.
    pub(super) fn next(&self) -> Option<usize> {
        let idle = self.running.is_empty();
        let admitted = match self.admission {
            Admission::Open => true,
            Admission::Last => idle,
            Admission::Closed => false,
        };
        if !admitted || self.runs_exclusive() || self.look_ahead.is_some() {
            return None;
        }
        // Loads of a dead worker process do not wait for those that may hang.
        if let Some((_, id)) = self.interrupted.first() {
            return idle.then_some(*id);
        }
        let first = self.ready.first().filter(|(key, id)| self.may_start(*key, *id));
        let retry = || self.retries.front().filter(|_| idle).copied();
        first.map(|(_, id)| *id).or_else(retry)
    }

    /// Returns whether a ready step may start now.
    fn may_start(&self, key: SortKey, id: usize) -> bool {
        let policy = &self.policy;
        let node = &self.nodes[id];
        let idle = self.running.is_empty();
        // One low-priority task runs as well, so that the machine is not idle while the root's disk
        // is busy.
        let sequential = self.concurrency == Concurrency::Sequential;
        let held = self.is_held(node.rank) && (sequential || self.runs_low_priority());
        let is_next = policy.replay.is_empty() || key.primary <= self.next_replayed();
        let may_join = key.primary >= policy.replay.len()
            && !self.is_exclusive(&node.step.module)
            && (policy.async_probe == AsyncProbe::None || !self.is_last());
        !held && is_next && (idle || may_join)
    }

    /// Returns whether the concurrency allows one more task.
    pub(in crate::load) fn has_room(&self) -> bool {
        match self.concurrency {
            Concurrency::Sequential => self.running.is_empty(),
            Concurrency::Parallel(limit) => {
                self.busy() < limit.get() && self.running.len() < limit.get() + MAX_WAITING
            }
        }
    }

    /// Returns whether steps of this rank are held back.
    fn is_held(&self, rank: Rank) -> bool {
        self.policy.hold_below.is_some_and(|limit| rank > limit)
    }

    fn is_exclusive(&self, module: &ModuleName) -> bool {
        self.policy.exclusive.contains(module)
    }

    /// Returns whether a task runs beside which no other one may start: that of an exclusive
    /// module, or a retry.
    fn runs_exclusive(&self) -> bool {
        self.running.first().map(|id| &self.nodes[*id]).is_some_and(|node| {
            node.run().is_some_and(|run| run.is_alone) || self.is_exclusive(&node.step.module)
        })
    }

    fn runs_low_priority(&self) -> bool {
        let is_low = |id: &usize| self.nodes[*id].run().is_some_and(|run| run.low_priority);
        self.running.iter().any(is_low)
    }

    /// Returns whether a single step has not started. With `async_probe` it is loaded alone and
    /// without that parameter: its load returns when the kernel has ended all asynchronous work,
    /// and with that all probing.
    fn is_last(&self) -> bool {
        let orphans = self.orphans.iter().filter(|id| self.nodes[**id].run().is_some()).count();
        self.nodes.len() - self.ended == self.running.len() + orphans + 1
    }

    /// Returns the position of the next module in the record that is replayed.
    fn next_replayed(&self) -> usize {
        let has_ended = |module| {
            let id = self.by_name.get(module);
            id.is_some_and(|id| matches!(self.nodes[*id].state, State::Ended { .. }))
        };
        let rest = self.policy.replay.iter().skip(self.replayed);
        self.replayed + rest.take_while(|module| has_ended(*module)).count()
    }

    /// Returns whether steps are held back that no running task will release: no step of an
    /// admitted rank runs or will run, or the next module of a replayed record has not been
    /// requested.
    pub(in crate::load) fn has_held(&self) -> bool {
        match self.policy.hold_below {
            Some(limit) => !self.nodes.iter().any(|node| node.rank <= limit && node.is_open()),
            None => self.is_idle() && !self.ready.is_empty(),
        }
    }

    /// Releases steps that are held back: the next rank, or the next requested module of a replayed
    /// record.
    pub(in crate::load) fn release(&mut self) {
        self.policy.hold_below = match self.policy.hold_below {
            Some(Rank::Root) => Some(Rank::Storage),
            Some(_) => None,
            None => {
                self.replayed = self.ready.first().map_or(self.replayed, |(key, _)| key.primary);
                None
            }
        };
    }

    /// Starts no more steps.
    pub(in crate::load) fn close(&mut self) {
        self.admission = Admission::Closed;
    }

    /// Starts no more steps, except for one without `async_probe` if devices may be probed that no
    /// load waits for: it returns when all probes have ended.
    pub(in crate::load) fn drain(&mut self) {
        self.admission = match (self.admission, self.policy.async_probe) {
            (Admission::Closed, _) | (_, AsyncProbe::None) => Admission::Closed,
            (Admission::Open | Admission::Last, _) => Admission::Last,
        };
    }

    /// Returns whether no task runs and none can start now.
    pub(in crate::load) fn is_idle(&self) -> bool {
        let orphan = self.orphans.iter().any(|id| self.nodes[*id].is_loading());
        let waits = self.look_ahead.is_some() && !self.ready.is_empty();
        self.running.is_empty() && !orphan && !waits && self.next().is_none()
    }

    /// Returns the number of threads that could work now: tasks that run, and steps that are ready.
    pub(in crate::load) fn load(&self) -> usize {
        let retries = self.retries.len() + self.interrupted.len();
        let retry = usize::from(self.running.is_empty() && retries > 0);
        self.running.len() + self.ready.len().max(retry)
    }
}

/// Returns the parameters of a step, with `async_probe` if it has a value.
fn options(step: &Step, async_probe: Option<bool>) -> Vec<u8> {
    let head: &[u8] = match (&step.action, async_probe) {
        // `async_probe` in the module's own options comes later on its line and wins.
        (Action::Insert(_), Some(true)) => b"async_probe=1 ",
        (Action::Insert(_), Some(false)) => b"async_probe=0 ",
        _ => return step.options.clone(),
    };
    [head, &step.options].concat().trim_ascii_end().to_owned()
}
