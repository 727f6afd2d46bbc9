//! `coldplug.overlay=`: the root is only read, and writes go to another filesystem.
//!
//! ```text
//! /run/coldplug/lower     the root as it is
//! /run/coldplug/upper     upper/ holds what is written, work/ belongs to overlayfs;
//!                         a tmpfs, or the filesystem on a device
//! /sysroot                the overlay of both
//! ```
//!
//! The kernel's filesystems/overlayfs.

use super::worker::Request;
use super::{Progress, RootStep, StepContext, StepError};
use crate::cmdline::storage::OverlayParams;

/// The state of the step.
#[derive(Debug)]
enum State {
    Start,
    /// The module of overlayfs is being loaded.
    LoadingModules,
    /// The worker mounts the overlay.
    Mounting,
}

/// The mount of the overlay. If the upper side is on a device, an earlier step has mounted it.
#[derive(Debug)]
pub(super) struct Overlay {
    params: OverlayParams,
    state: State,
}

impl Overlay {
    pub(super) fn new(params: &OverlayParams) -> Self {
        Self { params: params.clone(), state: State::Start }
    }

    fn parameter(&self) -> String {
        match &self.params {
            OverlayParams::Tmpfs(_) => "coldplug.overlay=tmpfs".to_owned(),
            OverlayParams::Device(name) => format!("coldplug.overlay={name}"),
        }
    }
}

impl RootStep for Overlay {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let parameter = self.parameter();
        match self.state {
            State::Start => {
                self.state = State::LoadingModules;
                Ok(Progress::LoadingModules(cx.request_modules(&["overlay"])))
            }
            State::LoadingModules => {
                self.state = State::Mounting;
                let tmpfs = match &self.params {
                    OverlayParams::Tmpfs(None) => Some("mode=0755".to_owned()),
                    OverlayParams::Tmpfs(Some(size)) => Some(format!("mode=0755,size={size}")),
                    OverlayParams::Device(_) => None,
                };
                let text = format!("{parameter}: mount of the overlay");
                Ok(cx.worker.request(Request::Overlay(tmpfs), text)?)
            }
            State::Mounting => match cx.worker.poll() {
                None => Ok(cx.worker.progress()),
                Some(Ok(_)) => {
                    cx.reporter.add_layer(parameter);
                    cx.record_modules(Vec::new());
                    Ok(Progress::Done)
                }
                Some(Err(error)) => Err(StepError::of_parameter(parameter, error)),
            },
        }
    }
}
