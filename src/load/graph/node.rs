//! A node of the graph: one step and its state.

use super::super::outcome::Outcome;
use super::super::policy::{Rank, SortKey};
use super::super::record::Origin;
use super::super::task::Completion;
use crate::kmod::plan::Step;
use crate::sys::BootTime;

/// One step of a plan.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) step: Step,
    pub(super) origin: Option<Origin>,
    /// Time of the request that it was added for.
    pub(super) queued: BootTime,
    pub(super) rank: Rank,
    pub(super) key: SortKey,
    /// Nodes of the steps that it depends on or comes after.
    pub(super) priors: Vec<usize>,
    /// Nodes that wait for it.
    pub(super) users: Vec<User>,
    /// The lane of its last task: the lowest number that no other task had then.
    pub(super) lane: Option<usize>,
    pub(super) state: State,
}

/// A node that waits for another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) id: usize,
    /// Whether it needs the other module live, and does not only come after it.
    pub(super) needs: bool,
}

/// State of a node.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for other nodes.
    Waiting {
        /// Number of nodes that it waits for.
        pending: usize,
        /// Outcome it will have because a module that it needs is not live.
        broken: Option<Outcome>,
    },
    /// May start.
    Ready,
    /// Its task runs.
    Running(Run),
    /// The kernel has its module live, and its task has not returned.
    Live(Run, BootTime),
    /// Its task has failed, perhaps because of loads at the same time, or its worker process has
    /// died; it will run once more.
    Retry,
    /// Its task has ended, or cannot run.
    Ended {
        completion: Completion,
        /// Time at which the kernel had the module live, if that was known before its task ended.
        live: Option<BootTime>,
    },
}

/// One run of a task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Time at which the task started.
    pub(super) start: BootTime,
    pub(super) low_priority: bool,
    /// Whether this is the second run.
    pub(super) is_retry: bool,
    /// Whether no other task starts while it runs.
    pub(super) is_alone: bool,
    /// Number of times that it has been reported as still loading.
    pub(super) notices: u32,
}

impl Node {
    /// Returns the task's run, if it runs.
    pub(super) fn run(&self) -> Option<Run> {
        match self.state {
            State::Running(run) | State::Live(run, _) => Some(run),
            _ => None,
        }
    }

    /// Returns the task's run to change it, if it runs.
    pub(super) fn run_mut(&mut self) -> Option<&mut Run> {
        match &mut self.state {
            State::Running(run) | State::Live(run, _) => Some(run),
            _ => None,
        }
    }

    /// Returns whether the module is neither live nor has its task ended.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Live(..) | State::Ended { .. })
    }

    /// Returns whether the module is being loaded and not live yet.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.state, State::Running(_))
    }
}
