//! The look-ahead: until the worker process has said which hash the module signatures use, no step
//! starts. The modules that compute this hash come first.

use super::super::policy::Rank;
use super::Graph;
use crate::kmod::name::ModuleName;
use crate::sys::BootTime;

/// A question to the worker process that has not been answered.
#[derive(Debug)]
pub(in crate::load) struct LookAhead {
    /// Time until which its answer is waited for.
    pub(in crate::load) until: BootTime,
    /// Hashes, and the modules that compute them.
    pub(in crate::load) hashes: Vec<(&'static str, Vec<ModuleName>)>,
}

impl Graph {
    /// Notes that the worker process is being asked.
    pub(in crate::load) fn begin_look_ahead(&mut self, look_ahead: LookAhead) {
        self.look_ahead = Some(look_ahead);
    }

    /// Moves the modules that compute `hash` to the front. An unknown hash changes nothing.
    pub(in crate::load) fn end_look_ahead(&mut self, hash: &str) {
        let hashes = self.look_ahead.take().map(|asked| asked.hashes).unwrap_or_default();
        let modules = hashes.into_iter().find(|(name, _)| *name == hash).map(|(_, list)| list);
        for module in modules.unwrap_or_default() {
            self.policy.first.push(module.clone());
            self.want(&module, Rank::Root);
        }
    }

    /// Ends a look-ahead that takes too long. Returns whether one has ended.
    pub(super) fn expire_look_ahead(&mut self, now: BootTime) -> bool {
        let late = self.look_ahead.as_ref().is_some_and(|asked| now >= asked.until);
        if late {
            self.look_ahead = None;
        }
        late
    }
}
