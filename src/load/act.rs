//! Carrying out one step: into the kernel with its file, or its install command.

use rustix::io::Errno;

use super::graph::{Done, Job};
use super::images::Images;
use super::insert::{InsertError, Inserter};
use super::outcome::Outcome;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::sys::module::InitFlags;
use crate::sys::sysfs::{self, InitState};
use crate::sys::{BootTime, Root, process};

/// What carries out steps.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) root: Root,
    pub(super) inserter: Inserter,
    /// Memory that loads share which may be many at once.
    pub(super) images: Option<Images>,
}

/// What there is to do for a job; `None` where that is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) id: usize,
    pub(super) module: ModuleName,
    /// The file, or else an install command.
    pub(super) is_file: bool,
    /// The file's path, or the command.
    pub(super) what: String,
    pub(super) options: String,
    /// Without taking the processor from others.
    pub(super) gently: bool,
}

impl Task {
    /// The task of a job, or what becomes of a job that is none.
    pub(super) fn of(job: &Job) -> Result<Self, Outcome> {
        let step = &job.step;
        let (is_file, what) = match &step.action {
            Action::Insert(path) => (true, path.clone()),
            Action::Command(command) => (false, command.clone()),
            Action::NoFile => return Err(Outcome::Failed("no such module".to_owned())),
            Action::Masked(place) => return Err(Outcome::Masked(place.clone())),
        };
        let mut options = step.options.clone();
        if let Some(wanted) = job.async_probe.filter(|_| is_file) {
            // A module's own word on it comes later on its line and wins.
            options = format!("async_probe={} {options}", u8::from(wanted)).trim_end().to_owned();
        }
        Ok(Self {
            id: job.id,
            module: step.module.clone(),
            is_file,
            what,
            options,
            gently: job.gently,
        })
    }
}

impl Actor {
    /// Whether the kernel has `module` live.
    pub(super) fn is_live(&self, module: &ModuleName) -> bool {
        sysfs::initstate(&self.root, module) == Some(InitState::Live)
    }

    /// Carries out a task.
    pub(super) fn act(&self, task: &Task) -> Done {
        let start = BootTime::now();
        process::set_low_priority(task.gently);
        let done = match task.is_file {
            true => self.insert(task),
            false => Done::at_once(self.command(&task.what, &task.module, &task.options)),
        };
        Done { start, end: BootTime::now(), ..done }
    }

    /// Loads a file. It is worth another try where it may have failed only for what was loaded beside it: a driver
    /// that finds its place taken (EEXIST, EBUSY) by one that then finds no hardware.
    fn insert(&self, task: &Task) -> Done {
        let (inserter, file) = (&self.inserter, (&*task.what, &*task.options));
        let (method, result) = match &self.images {
            Some(images) => inserter.insert_among(images, &self.root, &task.module, file),
            None => inserter.insert(file.0, file.1, InitFlags::default()),
        };
        let taken = matches!(result, Err(InsertError::Kernel(Errno::EXIST | Errno::BUSY)));
        let outcome = self.outcome(&task.module, result);
        Done { again: taken && !outcome.is_live(), method, ..Done::at_once(outcome) }
    }

    fn outcome(&self, module: &ModuleName, result: Result<(), InsertError>) -> Outcome {
        match result {
            Ok(()) => Outcome::Loaded,
            Err(InsertError::Missing) => Outcome::Missing,
            Err(InsertError::Kernel(Errno::NODEV)) => Outcome::NoDevice,
            // The module's own init may give EEXIST too; only "live" is success.
            Err(InsertError::Kernel(Errno::EXIST)) if self.is_live(module) => Outcome::Already,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Runs an install command. The usual ways to say "never" need no shell.
    fn command(&self, command: &str, module: &ModuleName, options: &str) -> Outcome {
        let program = command.split_whitespace().next().unwrap_or("");
        if matches!(
            program,
            "/bin/true"
                | "/bin/false"
                | "/usr/bin/true"
                | "/usr/bin/false"
                | "true"
                | "false"
                | ":"
        ) {
            return Outcome::Disabled;
        }
        let command = command.replace("$CMDLINE_OPTS", options);
        match self.inserter.ops.command(&command, module) {
            Ok(status) if status.success() => Outcome::Commanded,
            Ok(status) => Outcome::Failed(format!("install command '{command}': {status}")),
            Err(error) => Outcome::Failed(format!("install command '{command}': {error}")),
        }
    }
}
