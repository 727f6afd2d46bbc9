//! `coldplug.image=`: the root is a file on the filesystem that `root=` names.
//!
//! That filesystem moves to /run/coldplug/medium, where it stays reachable. The file becomes a loop
//! device, and the filesystem in it is mounted at /sysroot instead.

use super::filesystem::Filesystem;
use super::verity::open_inside;
use super::{MEDIUM, Progress, RootStep, StepContext, StepError, move_sysroot_to};
use crate::sys::loopdev::{self, Loop};

/// The state of the step.
#[derive(Debug)]
enum State {
    Start,
    /// The module of loop devices is being loaded.
    LoadingModules,
    /// The filesystem on the loop device is being mounted.
    Mounting(Loop, Box<Filesystem>),
}

#[derive(Debug)]
pub(super) struct ImageFile {
    path: String,
    state: State,
}

impl ImageFile {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), state: State::Start }
    }

    fn attach(&self, cx: &StepContext<'_>) -> Result<State, StepError> {
        let dir = cx.dir;
        move_sysroot_to(dir, MEDIUM)?;
        let device = open_inside(&dir.join(MEDIUM), &self.path)
            .and_then(|file| loopdev::attach(dir, &file, &self.path))
            .map_err(|error| StepError::Parameter {
                parameter: format!("coldplug.image={}", self.path),
                error,
            })?;
        let filesystem = Filesystem::image(&device.node, &self.path);
        Ok(State::Mounting(device, Box::new(filesystem)))
    }
}

impl RootStep for ImageFile {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match &mut self.state {
            State::Start => {
                self.state = State::LoadingModules;
                Ok(Progress::LoadingModules(cx.request_modules(&["loop"])))
            }
            State::LoadingModules => {
                self.state = self.attach(cx)?;
                cx.devices.forget_changed();
                self.advance(cx)
            }
            State::Mounting(device, filesystem) => {
                let progress = filesystem.advance(cx)?;
                if progress == Progress::Done {
                    let node = device.node.display();
                    cx.reporter.add_layer(format!("{} on {node}", self.path));
                    // The mount keeps the device attached from now on.
                    self.state = State::Start;
                }
                Ok(progress)
            }
        }
    }
}
