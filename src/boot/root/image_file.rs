//! `coldplug.image=`: the root is a file on the filesystem that `root=` names.
//!
//! That filesystem moves to /run/coldplug/medium, where it stays reachable. The file becomes a loop
//! device, and the filesystem in it is mounted at /sysroot instead.

use std::path::Path;

use super::filesystem::Filesystem;
use super::worker::{Request, WorkerError};
use super::{Progress, RootStep, StepContext, StepError};

/// The state of the step.
#[derive(Debug)]
enum State {
    Start,
    /// The module of loop devices is being loaded.
    LoadingModules,
    /// The worker attaches the file to a loop device. The worker keeps the device attached until
    /// it is mounted.
    Attaching,
    /// The filesystem on the loop device, by its node, is being mounted.
    Mounting(String, Box<Filesystem>),
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

    fn parameter(&self) -> String {
        format!("coldplug.image={}", self.path)
    }

    /// Starts the mount of the loop device.
    fn mount(
        &mut self,
        result: Result<Vec<u8>, WorkerError>,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let node = result.map_err(|error| StepError::of_parameter(self.parameter(), error))?;
        let node = String::from_utf8_lossy(&node).into_owned();
        let filesystem = Filesystem::image(Path::new(&node), &self.path);
        self.state = State::Mounting(node, Box::new(filesystem));
        cx.devices.forget_changed();
        self.advance(cx)
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
                self.state = State::Attaching;
                let text = format!("{}: attaching to a loop device", self.parameter());
                Ok(cx.worker.request(Request::Loop(self.path.clone()), text)?)
            }
            State::Attaching => match cx.worker.poll() {
                None => Ok(cx.worker.progress()),
                Some(result) => self.mount(result, cx),
            },
            State::Mounting(node, filesystem) => {
                let progress = filesystem.advance(cx)?;
                if progress == Progress::Done {
                    cx.reporter.add_layer(format!("{} on {node}", self.path));
                }
                Ok(progress)
            }
        }
    }
}
