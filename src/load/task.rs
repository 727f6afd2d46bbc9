//! Tasks and their completions.

use super::error::LoadError;
use super::method::LoadMethod;
use super::outcome::Outcome;
use super::stamps::Stamps;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::sys::BootTime;

/// One step of a plan that can be carried out now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// Number of the step's node in the graph.
    pub(super) id: usize,
    /// The module.
    pub(super) module: ModuleName,
    /// The planner's action.
    pub(super) action: Action,
    /// Module parameters, `async_probe` included.
    pub(super) options: Vec<u8>,
    /// Whether the load must not take the processor from others.
    pub(super) low_priority: bool,
}

/// Work of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work<'a> {
    /// Load the file at this path, relative to the module directory.
    Insert(&'a [u8]),
    /// Run this install command.
    Command(&'a [u8]),
}

impl Task {
    /// Returns the work of the task, or the outcome of a task without work.
    pub(super) fn work(&self) -> Result<Work<'_>, Outcome> {
        match &self.action {
            Action::Insert(path) => Ok(Work::Insert(path)),
            Action::Command(command) => Ok(Work::Command(command)),
            Action::NoFile => Err(Outcome::Failed(LoadError::UnknownModule)),
            Action::Masked(origin) => Err(Outcome::Masked(origin.clone())),
        }
    }
}

/// Result of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completion {
    /// The task's `id`.
    pub(super) id: usize,
    /// Outcome for the module.
    pub(super) outcome: Outcome,
    /// The load method that was used last.
    pub(super) method: Option<LoadMethod>,
    /// Time at which the task began; zero if nothing was tried.
    pub(super) start: BootTime,
    /// Times between the two.
    pub(super) stamps: Stamps,
    /// Time at which the task ended; zero if nothing was tried.
    pub(super) end: BootTime,
    /// Whether the load may have failed only because of other loads at the same time.
    pub(super) retry: bool,
}

impl Completion {
    /// Returns a completion that took no time, because nothing was tried.
    pub(super) fn immediate(id: usize, outcome: Outcome) -> Self {
        let (start, end) = (BootTime::ZERO, BootTime::ZERO);
        let stamps = Stamps::default();
        Self { id, outcome, method: None, start, stamps, end, retry: false }
    }
}
