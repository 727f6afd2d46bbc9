//! The dependency graph: the steps to carry out, what each waits for, and the outcome of each. No
//! threads and no kernel here: [`super::dispatcher`] takes tasks out and brings completions back.

mod interruption;
mod look_ahead;
mod node;
mod records;
mod schedule;
mod slow;
#[cfg(test)]
mod tests;

pub(super) use interruption::WorkerDeath;
pub(super) use look_ahead::LookAhead;

use std::collections::{HashMap, VecDeque};

use super::error::LoadError;
use super::outcome::Outcome;
use super::policy::{Rank, SchedulePolicy, SortKey};
use super::record::Origin;
use super::settings::Concurrency;
use super::sorted_vec::SortedVec;
use super::task::Completion;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Step;
use crate::sys::BootTime;
use node::{Node, State, User};

/// The steps of all plans so far, with what is needed to choose the next one.
#[derive(Debug)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    by_name: HashMap<ModuleName, usize>,
    policy: SchedulePolicy,
    concurrency: Concurrency,
    /// Nodes that may start.
    ready: SortedVec<(SortKey, usize)>,
    /// Nodes to retry, each when no other task runs and none is ready.
    retries: VecDeque<usize>,
    /// Nodes whose worker process has died: to retry before any other node starts, each alone.
    interrupted: SortedVec<(SortKey, usize)>,
    /// Nodes whose tasks run.
    running: SortedVec<usize>,
    /// Nodes whose worker process has died while their loads go on in the kernel. Of these loads
    /// only the kernel knows the result.
    orphans: SortedVec<usize>,
    /// Nodes that have ended before their tasks: they took too long.
    abandoned: SortedVec<usize>,
    /// Messages about slow tasks that nobody has read yet.
    notices: Vec<String>,
    look_ahead: Option<LookAhead>,
    /// Number of tasks that have started so far.
    started: u64,
    /// Position in the record that is replayed up to which modules were released.
    replayed: usize,
    /// Nodes that are live or have ended, in the order in which they came to that.
    settled: Vec<usize>,
    /// Number of nodes that have ended.
    ended: usize,
    /// Modules that are not tried. They have no node: a module that needs one of them may still
    /// load it.
    excluded: Vec<(ModuleName, Outcome, Origin)>,
    admission: Admission,
}

/// Whether steps may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// All may.
    Open,
    /// One more may, when no other task runs.
    Last,
    /// None may.
    Closed,
}

impl Graph {
    pub(super) fn new(policy: SchedulePolicy, concurrency: Concurrency) -> Self {
        Self {
            nodes: Vec::new(),
            by_name: HashMap::new(),
            policy,
            concurrency,
            ready: SortedVec::new(),
            retries: VecDeque::new(),
            interrupted: SortedVec::new(),
            running: SortedVec::new(),
            orphans: SortedVec::new(),
            abandoned: SortedVec::new(),
            notices: Vec::new(),
            look_ahead: None,
            started: 0,
            replayed: 0,
            settled: Vec::new(),
            ended: 0,
            excluded: Vec::new(),
            admission: Admission::Open,
        }
    }

    /// Returns whether `module` has a step.
    pub(super) fn knows(&self, module: &ModuleName) -> bool {
        self.by_name.contains_key(module)
    }

    /// Adds a step that was requested at `queued`. The steps that it waits for must have been added
    /// before; a module without a step counts as live. `others` are modules that it comes after,
    /// besides those of the plan.
    pub(super) fn add(
        &mut self,
        step: Step,
        others: &[ModuleName],
        origin: Option<Origin>,
        rank: Rank,
        queued: BootTime,
    ) {
        let id = self.nodes.len();
        let needs = step.needs.iter().map(|name| (name, true));
        let after = step.after.iter().chain(others).map(|name| (name, false));
        let priors: Vec<(usize, bool)> = needs
            .chain(after)
            .filter_map(|(name, needs)| Some((*self.by_name.get(name)?, needs)))
            .collect();
        self.by_name.insert(step.module.clone(), id);
        let rank = self.policy.rank(&step.module, rank);
        let key = self.policy.sort_key(&step.module, rank);
        let (mut pending, mut broken) = (0, None);
        for (prior, needs) in &priors {
            match &self.nodes[*prior].state {
                State::Ended { completion, .. } if *needs && !completion.outcome.is_live() => {
                    let module = &self.nodes[*prior].step.module;
                    broken.get_or_insert_with(|| because_of(module, &completion.outcome));
                }
                State::Ended { .. } | State::Live(..) => {}
                _ => {
                    self.nodes[*prior].users.push(User { id, needs: *needs });
                    pending += 1;
                }
            }
        }
        self.nodes.push(Node {
            step,
            origin,
            queued,
            rank,
            key,
            priors: priors.iter().map(|(id, _)| *id).collect(),
            users: Vec::new(),
            lane: None,
            state: State::Waiting { pending, broken },
        });
        for (prior, _) in priors {
            self.raise(prior, rank, key.primary);
        }
        if let Some(outcome) = self.settle(id) {
            self.release_users(id, outcome);
        }
    }

    /// Notes that `module`, if it has a step, is wanted at `rank` too.
    pub(super) fn want(&mut self, module: &ModuleName, rank: Rank) {
        if let Some(id) = self.by_name.get(module).copied() {
            let rank = self.policy.rank(module, rank);
            self.raise(id, rank, self.policy.sort_key(module, rank).primary);
        }
    }

    /// Raises a node, and the nodes that it waits for, to at least this rank and sort key.
    fn raise(&mut self, id: usize, rank: Rank, primary: usize) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let node = &mut self.nodes[id];
            let better = rank < node.rank || primary < node.key.primary;
            if node.run().is_some() || !node.is_open() || !better {
                continue;
            }
            let old = node.key;
            node.rank = node.rank.min(rank);
            node.key.primary = node.key.primary.min(primary);
            open.extend(&node.priors);
            let key = node.key;
            for list in [&mut self.ready, &mut self.interrupted] {
                if list.remove(&(old, id)) {
                    list.insert((key, id));
                }
            }
        }
    }

    /// Notes a module that is not tried.
    pub(super) fn exclude(&mut self, module: ModuleName, outcome: Outcome, origin: Origin) {
        if self.excluded.iter().all(|(name, ..)| *name != module) {
            self.excluded.push((module, outcome, origin));
        }
    }

    /// Enters the completion of a task. A completion of a task that does not run is ignored.
    pub(super) fn finish(&mut self, completion: Completion) {
        let id = completion.id;
        if !self.running.remove(&id) {
            return self.finish_abandoned(completion);
        }
        match self.nodes[id].state {
            State::Running(run) if completion.retry && !run.is_retry => {
                self.nodes[id].state = State::Retry;
                self.retries.push_back(id);
            }
            _ => self.conclude(completion),
        }
    }

    /// Ends a node whose task has run.
    fn conclude(&mut self, completion: Completion) {
        match self.nodes[completion.id].state {
            State::Live(_, live) => self.end(completion, Some(live)),
            _ => self.end(completion, None),
        }
    }

    /// Ends a node, and every node that can no longer be carried out because of it.
    fn end(&mut self, completion: Completion, live: Option<BootTime>) {
        let (id, outcome) = (completion.id, completion.outcome.clone());
        self.set_ended(completion, live);
        self.release_users(id, outcome);
    }

    fn set_ended(&mut self, completion: Completion, live: Option<BootTime>) {
        let id = completion.id;
        self.nodes[id].state = State::Ended { completion, live };
        self.ended += 1;
        if live.is_none() {
            self.settled.push(id);
        }
    }

    /// Tells the nodes that wait for node `id` its outcome. Each that ends with it is followed by
    /// those that wait for that one, and so on: a list and no recursion, because the files say how
    /// long such a chain is.
    fn release_users(&mut self, id: usize, outcome: Outcome) {
        let mut ended = VecDeque::from([(id, outcome)]);
        while let Some((id, outcome)) = ended.pop_front() {
            let name = self.nodes[id].step.module.clone();
            for user in std::mem::take(&mut self.nodes[id].users) {
                if let State::Waiting { pending, broken } = &mut self.nodes[user.id].state {
                    *pending -= 1;
                    if user.needs && !outcome.is_live() {
                        broken.get_or_insert_with(|| because_of(&name, &outcome));
                    }
                }
                if let Some(outcome) = self.settle(user.id) {
                    ended.push_back((user.id, outcome));
                }
            }
        }
    }

    /// Makes a node ready that waits for nothing any more, or ends it if it cannot be carried out,
    /// and then returns its outcome.
    fn settle(&mut self, id: usize) -> Option<Outcome> {
        let State::Waiting { pending: 0, broken } = &mut self.nodes[id].state else { return None };
        let broken = broken.take();
        match &broken {
            Some(outcome) => self.set_ended(Completion::immediate(id, outcome.clone()), None),
            None => {
                self.nodes[id].state = State::Ready;
                self.ready.insert((self.nodes[id].key, id));
            }
        }
        broken
    }

    /// Notes that the kernel has had `module` live since `now`. Steps that wait for it need not
    /// wait for its task, which returns only when all asynchronous work of the system has ended.
    pub(super) fn note_live(&mut self, module: &ModuleName, now: BootTime) {
        let Some(id) = self.by_name.get(module).copied() else { return };
        if self.abandoned.contains(&id) {
            return self.note_late(id, now);
        }
        let State::Running(run) = self.nodes[id].state else { return };
        self.nodes[id].state = State::Live(run, now);
        self.settled.push(id);
        self.release_users(id, Outcome::Loaded);
    }

    /// Returns whether `module` is being loaded and not live yet, whether or not its load is still
    /// waited for.
    pub(super) fn is_loading(&self, module: &ModuleName) -> bool {
        let is_loading = |id: &usize| self.nodes[*id].is_loading() || self.abandoned.contains(id);
        self.by_name.get(module).is_some_and(is_loading)
    }

    /// Returns the modules that are being loaded and not live yet.
    pub(super) fn loading(&self) -> Vec<ModuleName> {
        let loads = self.running.iter().chain(&*self.orphans).chain(&*self.abandoned);
        let modules = loads.map(|id| &self.nodes[*id].step.module);
        modules.filter(|module| self.is_loading(module)).cloned().collect()
    }

    /// Returns the number of tasks that run.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Returns the number of tasks that keep the machine busy: those whose modules are not live
    /// yet. The others only wait for the kernel.
    pub(super) fn busy(&self) -> usize {
        self.running.iter().filter(|id| self.nodes[**id].is_loading()).count()
    }

    /// Returns the number of tasks that have started so far.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Returns whether nothing is left to do for `module`, or it is live already.
    pub(super) fn is_done(&self, module: &ModuleName) -> bool {
        self.by_name.get(module).is_none_or(|id| !self.nodes[*id].is_open())
    }
}

/// Returns the outcome of a module that needs `module`, which is not live.
fn because_of(module: &ModuleName, outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Missing => Outcome::Missing,
        Outcome::NoDevice => Outcome::NoDevice,
        Outcome::Masked(origin) => {
            Outcome::Failed(LoadError::DependencyMasked(module.clone(), origin.clone()))
        }
        other => Outcome::Failed(LoadError::DependencyNotLive(module.clone(), other.as_str())),
    }
}
