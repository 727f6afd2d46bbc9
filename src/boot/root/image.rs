//! `coldplug.image=`: the root is a file on the filesystem that `root=` names.
//!
//! That filesystem goes to /run/coldplug/medium, from where it stays reachable; the file becomes a loop device, and what it
//! holds is mounted in the other's place.

use super::filesystem::Filesystem;
use super::verity::open_inside;
use super::{MEDIUM, Progress, Refused, Site, Step, aside};
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
pub(super) struct Image {
    path: String,
    state: State,
}

impl Image {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), state: State::Begun }
    }

    fn attach(&self, site: &Site<'_>) -> Result<State, Refused> {
        let root = &site.boot.root;
        aside(root, MEDIUM)?;
        let named =
            |text: String| Refused::not_mounted(format!("coldplug.image={}: {text}", self.path));
        let file = open_inside(&root.join(MEDIUM), &self.path).map_err(|e| named(e.to_string()))?;
        let device = loopdev::attach(root, &file, &self.path).map_err(|e| named(e.to_string()))?;
        let mounted = Filesystem::image(&device.node, &self.path);
        Ok(State::Mounting(device, Box::new(mounted)))
    }
}

impl Step for Image {
    fn advance(&mut self, site: &mut Site<'_>) -> Result<Progress, Refused> {
        match &mut self.state {
            State::Begun => {
                self.state = State::Loading;
                Ok(Progress::Loads(site.ask_for(&["loop"])))
            }
            State::Loading => {
                self.state = self.attach(site)?;
                site.devices.forget_changed();
                self.advance(site)
            }
            State::Mounting(device, filesystem) => {
                let progress = filesystem.advance(site)?;
                if progress == Progress::Done {
                    site.boot.record.root.layers.push(format!(
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
