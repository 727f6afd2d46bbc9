//! The last step to every root: the check that it can be switched to and holds an init.

use super::worker::MountWorker;
use super::{Progress, RootStep, StepContext, StepError};
use crate::boot::root_check::{InitRequest, RootCheck, operation};

#[derive(Debug)]
pub(super) struct InitCheck {
    /// The root in messages.
    root: String,
    /// Whether the root is verified. Then the whole init is read: a block that does not match would
    /// otherwise show as a page fault after the switch, when nothing can be reported any more.
    is_verified: bool,
    /// What the worker has been asked.
    request: Option<InitRequest>,
}

impl InitCheck {
    pub(super) fn new(root: &str, is_verified: bool) -> Self {
        Self { root: root.to_owned(), is_verified, request: None }
    }

    fn start(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let device = cx.state.device.as_deref();
        let node = cx.state.node.as_deref();
        let request = InitRequest::new(&cx.params.boot, node, self.is_verified);
        if self.root.is_empty() {
            self.root = device.unwrap_or_default().to_owned();
        }
        self.request = Some(request.clone());
        Ok(cx.worker.check_init(request, operation(&self.root))?)
    }
}

impl RootStep for InitCheck {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let Some(request) = self.request.take() else { return self.start(cx) };
        let Some(answer) = cx.worker.poll() else {
            self.request = Some(request);
            return Ok(cx.worker.progress());
        };
        let checked = request.result(&self.root, &answer?)?;
        if !checked.missing.is_empty() {
            let (root, missing) = (&self.root, &checked.missing);
            cx.reporter.warn_once(format!(
                "root {root} lacks mount points that cannot be created: {missing}; nothing is \
                 mounted there"
            ));
        }
        for init in checked.skipped {
            cx.reporter.warn_once(format!("{init}; trying the next init"));
        }
        // No later step needs the worker.
        let worker = std::mem::replace(cx.worker, MountWorker::new());
        let timeout = cx.params.root.timeout;
        *cx.root_check = Some(RootCheck::new(worker, &self.root, request, timeout));
        Ok(Progress::Done)
    }
}
