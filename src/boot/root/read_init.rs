//! The last step: reads the init of the root while nothing depends on PID 1.
//!
//! The switch checks the init and executes it. From a disk that does not answer both would block
//! PID 1, so the mount worker reads the same beforehand. Of a verified root it reads the whole
//! file: a corrupted block would otherwise show as a page fault after the switch, when nothing can
//! be reported any more.

use super::worker::Request;
use super::{Progress, RootStep, StepContext, StepError};

#[derive(Debug)]
pub(super) struct ReadInit {
    /// Whether the root is verified.
    verified: bool,
    /// Whether the worker reads the init.
    reading: bool,
}

impl ReadInit {
    pub(super) fn new(verified: bool) -> Self {
        Self { verified, reading: false }
    }
}

impl RootStep for ReadInit {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        if !self.reading {
            self.reading = true;
            let init = cx.params.boot.init.clone();
            let text = format!("{}: reading the init", cx.params.root.spec());
            return Ok(cx.worker.request(Request::Init { whole: self.verified, init }, text)?);
        }
        let Some(result) = cx.worker.poll() else { return Ok(cx.worker.progress()) };
        if self.verified {
            cx.check_root(cx.params.root.spec())
                .map_err(|error| StepError::SwitchRoot { error, is_final: false })?;
        }
        result?;
        Ok(Progress::Done)
    }
}
