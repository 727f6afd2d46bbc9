//! Records of the graph's modules.

use super::super::outcome::Outcome;
use super::super::record::{ModuleRecord, Origin};
use super::super::task::Completion;
use super::Graph;
use super::node::{Node, State};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Reason};
use crate::sys::BootTime;

impl Graph {
    /// Returns all requested modules: first those that are live or have ended, in the order in
    /// which they came to that, then the others.
    pub(in crate::load) fn records(&self) -> Vec<ModuleRecord> {
        let settled = self.settled.iter().map(|id| (*id, &self.nodes[*id]));
        let open = self.nodes.iter().enumerate().filter(|(_, node)| node.is_open());
        let excluded = self.excluded.iter().filter(|(name, ..)| !self.knows(name)).map(exclusion);
        settled.chain(open).map(|(id, node)| record(id, node)).chain(excluded).collect()
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

fn record(id: usize, node: &Node) -> ModuleRecord {
    let (completion, live) = match &node.state {
        // The worker notes the end, and the event of the kernel may be read after it.
        State::Ended { completion, live } => {
            (completion.clone(), live.filter(|live| *live <= completion.end))
        }
        State::Live(run, live) => {
            let loaded = Completion::immediate(id, Outcome::Loaded);
            (Completion { start: run.start, end: *live, ..loaded }, Some(*live))
        }
        State::Running(_) => (Completion::immediate(id, Outcome::Loading), None),
        State::Waiting { .. } | State::Ready | State::Retry => {
            (Completion::immediate(id, Outcome::Waiting), None)
        }
    };
    let path = match &node.step.action {
        Action::Insert(path) => Some(path.clone()),
        _ => None,
    };
    ModuleRecord {
        name: node.step.module.clone(),
        outcome: completion.outcome,
        why: why(node),
        origin: node.origin.clone(),
        path,
        options: node.step.options.clone(),
        method: completion.method,
        start: completion.start,
        live,
        end: completion.end,
    }
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

fn exclusion((name, outcome, origin): &(ModuleName, Outcome, Origin)) -> ModuleRecord {
    ModuleRecord {
        name: name.clone(),
        outcome: outcome.clone(),
        why: request_kind(Some(origin)).to_owned(),
        origin: Some(origin.clone()),
        path: None,
        options: Vec::new(),
        method: None,
        start: BootTime::ZERO,
        live: None,
        end: BootTime::ZERO,
    }
}
