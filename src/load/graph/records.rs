//! Records of the graph's modules.

use super::super::outcome::Outcome;
use super::super::record::{ModuleRecord, Origin};
use super::super::task::Completion;
use super::Graph;
use super::node::{Node, State};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Reason, Step};
use crate::sys::BootTime;

impl Graph {
    /// Returns all requested modules: first those that are live or have ended, in the order in
    /// which they came to that, then the others.
    pub(in crate::load) fn records(&self) -> Vec<ModuleRecord> {
        let open = (0..self.nodes.len()).filter(|id| self.nodes[*id].is_open());
        let mut records = Vec::with_capacity(self.nodes.len() + self.excluded.len());
        for id in self.settled.iter().copied().chain(open) {
            records.push(self.record(id));
        }
        for (name, outcome, origin) in self.excluded.iter().filter(|e| !self.knows(&e.0)) {
            let why = request_kind(Some(origin)).to_owned();
            let mut record = ModuleRecord::new(name.clone(), outcome.clone(), why);
            record.origin = Some(origin.clone());
            records.push(record);
        }
        records
    }

    fn record(&self, id: usize) -> ModuleRecord {
        let node = &self.nodes[id];
        let (completion, live) = completion(id, node);
        let mut record = ModuleRecord::new(node.step.module.clone(), completion.outcome, why(node));
        record.origin.clone_from(&node.origin);
        if let Action::Insert(path) = &node.step.action {
            record.path = Some(path.clone());
        }
        record.options.clone_from(&node.step.options);
        record.method = completion.method;
        record.start = completion.start;
        record.live = live;
        record.end = completion.end;
        if cfg!(feature = "full") {
            record.lane = node.lane.filter(|_| completion.start != BootTime::ZERO);
            record.queued = node.queued;
            record.stamps = completion.stamps;
            record.needs = needs(&node.step);
            for prior in &node.priors {
                let prior = &self.nodes[*prior].step.module;
                if !record.needs.contains(prior) {
                    record.after.push(prior.clone());
                }
            }
        }
        record
    }

    /// Returns the modules that are live or have ended, in that order and without the first
    /// `count`, and whether each is live.
    #[cfg(feature = "host")]
    pub(in crate::load) fn settled_since(&self, count: usize) -> Vec<(ModuleName, bool)> {
        let nodes = self.settled.iter().skip(count).map(|id| &self.nodes[*id]);
        let is_live = |node: &Node| match &node.state {
            State::Ended { completion, .. } => completion.outcome.is_live(),
            _ => true,
        };
        nodes.map(|node| (node.step.module.clone(), is_live(node))).collect()
    }
}

/// Returns the outcome of a node so far, and the time at which its module was live.
fn completion(id: usize, node: &Node) -> (Completion, Option<BootTime>) {
    match &node.state {
        // The worker notes the end, and the event of the kernel may be read after it.
        State::Ended { completion, live } => {
            (completion.clone(), live.filter(|live| *live <= completion.end))
        }
        State::Live(run, live) => {
            let loaded = Completion::immediate(id, Outcome::Loaded);
            (Completion { start: run.start, end: *live, ..loaded }, Some(*live))
        }
        State::Running(run) => {
            let loading = Completion::immediate(id, Outcome::Loading);
            (Completion { start: run.start, ..loading }, None)
        }
        State::Waiting { .. } | State::Ready | State::Retry => {
            (Completion::immediate(id, Outcome::Waiting), None)
        }
    }
}

/// Returns the dependencies and `pre:` softdeps of a step. The module whose `post:` softdep it is
/// comes before it too, but is no module that it needs.
fn needs(step: &Step) -> Vec<ModuleName> {
    let user = match &step.reason {
        Reason::SoftdepPostOf(user) => Some(user),
        _ => None,
    };
    let softdeps = step.after.iter().filter(|name| Some(*name) != user);
    step.needs.iter().chain(softdeps).cloned().collect()
}

fn why(node: &Node) -> String {
    match &node.step.reason {
        Reason::Requested => request_kind(node.origin.as_ref()).to_owned(),
        Reason::DependencyOf(user) => format!("dependency of {user}"),
        Reason::SoftdepPreOf(user) | Reason::SoftdepPostOf(user) => format!("softdep of {user}"),
    }
}

/// Returns whether a device or a name was requested, as the record's word.
fn request_kind(origin: Option<&Origin>) -> &'static str {
    if origin.is_some_and(|origin| origin.device.is_some()) { "device" } else { "asked" }
}
