//! The check that a root holds an init, if another root is left to try.

use super::{Progress, RootStep, StepContext, StepError};

#[derive(Debug)]
pub(super) struct InitCheck;

impl RootStep for InitCheck {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let device = cx.state.device.as_deref().unwrap_or_default();
        match cx.check_root(device) {
            Ok(_) => Ok(Progress::Done),
            Err(error) => Err(StepError::SwitchRoot { error, is_final: true }),
        }
    }
}
