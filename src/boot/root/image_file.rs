//! `coldplug.image=`: the root is a file on the filesystem that `root=` names.
//!
//! That filesystem goes to /run/coldplug/medium, from where it stays reachable; the file becomes a loop device, and what it
//! holds is mounted in the other's place.

use super::filesystem::Filesystem;
use super::verity::open_inside;
use super::{MEDIUM, Progress, RootStep, StepContext, StepError, move_sysroot_to};
use crate::sys::loopdev::{self, Loop};

/// Where it stands.
#[derive(Debug)]
enum State {
    Begun,
    /// The module of loop devices is being loaded.
    Loading,
    /// The file is behind a loop device, which is being mounted.
    Mounting(Loop, Box<Filesystem>),
}

#[derive(Debug)]
pub(super) struct ImageFile {
    path: String,
    state: State,
}

impl ImageFile {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), state: State::Begun }
    }

    fn attach(&self, cx: &StepContext<'_>) -> Result<State, StepError> {
        let root = &cx.boot.root;
        move_sysroot_to(root, MEDIUM)?;
        let named =
            |text: String| StepError::not_mounted(format!("coldplug.image={}: {text}", self.path));
        let file = open_inside(&root.join(MEDIUM), &self.path).map_err(|e| named(e.to_string()))?;
        let device = loopdev::attach(root, &file, &self.path).map_err(|e| named(e.to_string()))?;
        let mounted = Filesystem::image(&device.node, &self.path);
        Ok(State::Mounting(device, Box::new(mounted)))
    }
}

impl RootStep for ImageFile {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match &mut self.state {
            State::Begun => {
                self.state = State::Loading;
                Ok(Progress::LoadingModules(cx.request_modules(&["loop"])))
            }
            State::Loading => {
                self.state = self.attach(cx)?;
                cx.devices.forget_changed();
                self.advance(cx)
            }
            State::Mounting(device, filesystem) => {
                let progress = filesystem.advance(cx)?;
                if progress == Progress::Done {
                    cx.boot.record.root.layers.push(format!(
                        "{} on {}",
                        self.path,
                        device.node.display()
                    ));
                    // The mount holds the device from here on.
                    self.state = State::Begun;
                }
                Ok(progress)
            }
        }
    }
}
