//! A root that holds an init: asked where another root could be taken instead.

use super::{Progress, Refused, Site, Step};
use crate::boot::{SYSROOT, switch_root, unfit_stop};

#[derive(Debug)]
pub(super) struct HasInit;

impl Step for HasInit {
    fn advance(&mut self, site: &mut Site<'_>) -> Result<Progress, Refused> {
        let boot = &site.boot;
        let sysroot = boot.root.join(SYSROOT);
        match switch_root::prepare(&boot.root, &sysroot, boot.params.init.as_deref()) {
            Ok(_) => Ok(Progress::Done),
            Err(unfit) => {
                let device = boot.record.root.device.as_deref().unwrap_or_default();
                let stop = unfit_stop(device, unfit);
                Err(Refused { text: stop.text, verdict: stop.verdict, is_final: true })
            }
        }
    }
}
