//! A root that holds an init: asked where another root could be taken instead.

use super::{Progress, RootStep, StepContext, StepError};
use crate::boot::{SYSROOT, switch_root, switch_root_error};

#[derive(Debug)]
pub(super) struct InitCheck;

impl RootStep for InitCheck {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let boot = &cx.boot;
        let sysroot = boot.root.join(SYSROOT);
        match switch_root::prepare(&boot.root, &sysroot, boot.params.boot.init.as_deref()) {
            Ok(_) => Ok(Progress::Done),
            Err(unfit) => {
                let device = boot.record.root.device.as_deref().unwrap_or_default();
                let stop = switch_root_error(device, unfit);
                Err(StepError { text: stop.text, verdict: stop.verdict, is_final: true })
            }
        }
    }
}
