//! A worker: carries out tasks, by inserting a module file or running an install command.

use std::path::Path;

use rustix::io::Errno;

use super::decode_buffers::DecodeBuffers;
use super::error::{InsertError, LoadError};
use super::inserter::{Inserter, Insertion};
use super::outcome::Outcome;
use super::task::{Completion, Task, Work};
use crate::escape;
use crate::kmod::name::ModuleName;
use crate::sys::module::InitFlags;
use crate::sys::sysfs::{self, InitState};
use crate::sys::{self, BootTime, Root, process};

/// What tasks are carried out with.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) root: Root,
    pub(super) inserter: Inserter,
    /// Memory that many loads at the same time share.
    pub(super) buffers: Option<DecodeBuffers>,
}

impl Worker {
    /// Returns what sysfs calls `module`.
    pub(super) fn state(&self, module: &ModuleName) -> Option<InitState> {
        sysfs::initstate(&self.root, module)
    }

    /// Returns whether the kernel has `module` live.
    pub(super) fn is_live(&self, module: &ModuleName) -> bool {
        self.state(module) == Some(InitState::Live)
    }

    /// Carries out a task.
    pub(super) fn run(&self, task: &Task) -> Completion {
        let work = match task.work() {
            Ok(work) => work,
            Err(outcome) => return Completion::immediate(task.id, outcome),
        };
        let start = BootTime::now();
        process::set_low_priority(task.low_priority);
        let completion = match work {
            Work::Insert(path) => self.insert(task, sys::path(path)),
            Work::Command(command) => Completion::immediate(task.id, self.command(task, command)),
        };
        Completion { start, end: BootTime::now(), ..completion }
    }

    /// Loads a file. A retry is worthwhile if another load at the same time may be the cause of the
    /// failure: a driver that finds another one registered in its place (EEXIST, EBUSY), which then
    /// finds no hardware.
    fn insert(&self, task: &Task, path: &Path) -> Completion {
        let (inserter, options) = (&self.inserter, &*task.options);
        let Insertion { method, stamps, result } = match &self.buffers {
            Some(buffers) => {
                inserter.insert_with_buffers(buffers, &self.root, &task.module, (path, options))
            }
            None => inserter.insert(path, options, InitFlags::default()),
        };
        let conflict = matches!(result, Err(InsertError::Kernel(Errno::EXIST | Errno::BUSY)));
        let outcome = self.outcome(&task.module, result);
        let retry = conflict && !outcome.is_live();
        Completion { retry, method, stamps, ..Completion::immediate(task.id, outcome) }
    }

    fn outcome(&self, module: &ModuleName, result: Result<(), InsertError>) -> Outcome {
        match result {
            Ok(()) => Outcome::Loaded,
            Err(InsertError::Missing) => Outcome::Missing,
            Err(InsertError::Kernel(Errno::NODEV)) => Outcome::NoDevice,
            // The module's own init may return EEXIST too; only "live" is success.
            Err(InsertError::Kernel(Errno::EXIST)) if self.is_live(module) => Outcome::Already,
            Err(error) => Outcome::Failed(LoadError::Insert(error)),
        }
    }

    /// Runs an install command. The usual ways to say "never" need no shell.
    fn command(&self, task: &Task, command: &[u8]) -> Outcome {
        let program = command.trim_ascii_start().split(u8::is_ascii_whitespace).next();
        if matches!(
            program,
            Some(
                b"/bin/true"
                    | b"/bin/false"
                    | b"/usr/bin/true"
                    | b"/usr/bin/false"
                    | b"true"
                    | b"false"
                    | b":"
            )
        ) {
            return Outcome::Disabled;
        }
        let shown = || escape::bytes(command).into_owned();
        match self.inserter.ops.command(command, &task.module, &task.options) {
            Ok(status) if status.success() => Outcome::Commanded,
            Ok(status) => Outcome::Failed(LoadError::CommandStatus(shown(), status)),
            Err(error) => Outcome::Failed(LoadError::CommandStart(shown(), error)),
        }
    }
}
