//! What is to be loaded, what waits for what, and what has become of each. No threads and no kernel here:
//! [`super::loader`] takes ready steps out and brings their outcomes back.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::order::{Order, Place, Rank};
use super::outcome::{LoadMethod, Outcome};
use super::record::{ModuleRecord, Origin};
use crate::cmdline::boot::AsyncProbe;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Reason, Step};
use crate::sys::BootTime;

/// A step that can be carried out now.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: usize,
    pub(super) step: Step,
    /// Whether it is to be loaded with `async_probe`, where anything is.
    pub(super) async_probe: Option<bool>,
    /// It must not take the processor from others.
    pub(super) gently: bool,
}

/// What carrying out a step gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) method: Option<LoadMethod>,
    pub(super) start: BootTime,
    pub(super) end: BootTime,
    /// It may have failed only for what was loaded beside it.
    pub(super) again: bool,
}

impl Done {
    /// An outcome that took no time: nothing was tried.
    pub(super) fn at_once(outcome: Outcome) -> Self {
        Self {
            outcome,
            method: None,
            start: BootTime::default(),
            end: BootTime::default(),
            again: false,
        }
    }
}

#[derive(Debug)]
struct Node {
    step: Step,
    origin: Option<Origin>,
    rank: Rank,
    place: Place,
    /// Steps it was made to wait for.
    prior: Vec<usize>,
    /// Of these, how many it still waits for.
    waits: usize,
    /// Steps that wait for it; `true` where they need it live.
    users: Vec<(usize, bool)>,
    /// Why it can no longer be loaded: a dependency of it is not live.
    broken: Option<Outcome>,
    /// It has been put off once.
    put_off: bool,
    /// It is being carried out.
    running: bool,
    /// And gently so.
    gently: bool,
    /// When it was given out.
    start: BootTime,
    /// When the kernel had it live, where that was before its load came back.
    live: Option<BootTime>,
    done: Option<Done>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    by_name: HashMap<ModuleName, usize>,
    order: Order,
    ready: BTreeSet<(Place, usize)>,
    /// Steps to try once more, each when nothing else is being loaded.
    later: VecDeque<usize>,
    running: usize,
    /// Steps that were given out so far.
    started: u64,
    /// Of these, how many are live and only wait for the system's asynchronous work.
    waiting: usize,
    /// One runs of those that are kept back.
    aside_runs: bool,
    /// One that must be alone is running.
    alone_runs: bool,
    /// How far the record that is replayed has come.
    replayed: usize,
    /// Steps that are live or have ended, in the order in which they came to that.
    settled: Vec<usize>,
    /// How many have ended.
    ended: usize,
    /// Modules that are not even tried. They are no steps: what needs one of them may still load it.
    refused: Vec<(ModuleName, Outcome, Origin)>,
    /// No more steps are given out.
    closed: bool,
    /// One more is, when nothing else runs.
    closing: bool,
}

impl Graph {
    pub(super) fn new(order: Order) -> Self {
        Self { order, ..Self::default() }
    }

    pub(super) fn knows(&self, module: &ModuleName) -> bool {
        self.by_name.contains_key(module)
    }

    /// Adds a step; what it waits for must have been added before, or counts as live.
    pub(super) fn add(&mut self, step: Step, origin: Option<Origin>, rank: Rank) {
        let id = self.nodes.len();
        let hard = step.needs.iter().map(|n| (n, true));
        let soft = step.after.iter().map(|n| (n, false));
        let prior: Vec<(usize, bool)> =
            hard.chain(soft).filter_map(|(n, hard)| Some((*self.by_name.get(n)?, hard))).collect();
        self.by_name.insert(step.module.clone(), id);
        let rank = self.order.rank(&step.module, rank);
        let place = self.order.place(&step.module, rank);
        self.nodes.push(Node {
            step,
            origin,
            rank,
            place,
            prior: prior.iter().map(|(id, _)| *id).collect(),
            waits: 0,
            users: Vec::new(),
            broken: None,
            put_off: false,
            running: false,
            gently: false,
            start: BootTime::default(),
            live: None,
            done: None,
        });
        for (before, hard) in prior {
            self.link(before, id, hard);
            self.raise(before, rank, place.primary);
        }
        self.settle(id);
    }

    /// Makes step `id` wait for `before`, or takes over what has become of that.
    fn link(&mut self, before: usize, id: usize, hard: bool) {
        match &self.nodes[before].done {
            Some(done) if hard && !done.outcome.is_live() => {
                let broken = because_of(&self.nodes[before].step.module, &done.outcome);
                self.nodes[id].broken.get_or_insert(broken);
            }
            Some(_) => {}
            None if self.nodes[before].live.is_some() => {}
            None => {
                self.nodes[before].users.push((id, hard));
                self.nodes[id].waits += 1;
            }
        }
    }

    /// Somebody wants `module`, which has a step, at `rank` too.
    pub(super) fn want(&mut self, module: &ModuleName, rank: Rank) {
        if let Some(id) = self.by_name.get(module).copied() {
            let rank = self.order.rank(module, rank);
            self.raise(id, rank, self.order.place(module, rank).primary);
        }
    }

    /// Gives step `id`, and what it waits for, no worse a rank and place than these.
    fn raise(&mut self, id: usize, rank: Rank, primary: usize) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let node = &mut self.nodes[id];
            let better = rank < node.rank || primary < node.place.primary;
            if node.done.is_some() || node.running || !better {
                continue;
            }
            let was = node.place;
            node.rank = node.rank.min(rank);
            node.place.primary = node.place.primary.min(primary);
            open.extend(&node.prior);
            let place = node.place;
            if self.ready.remove(&(was, id)) {
                self.ready.insert((place, id));
            }
        }
    }

    /// Notes a module that is not even tried.
    pub(super) fn refuse(&mut self, module: ModuleName, outcome: Outcome, origin: Origin) {
        if self.refused.iter().all(|(name, ..)| *name != module) {
            self.refused.push((module, outcome, origin));
        }
    }

    /// The ready step whose place is first, where nothing forbids it now; where there is none and none runs, one
    /// that was put off.
    pub(super) fn take(&mut self) -> Option<Job> {
        let id = self.next()?;
        let last = self.is_last() || self.closing;
        self.closed |= self.closing;
        if self.later.front() == Some(&id) {
            self.later.pop_front();
        } else {
            self.ready.remove(&(self.nodes[id].place, id));
        }
        self.running += 1;
        self.started += 1;
        self.alone_runs = self.order.alone.contains(&self.nodes[id].step.module);
        let gently = self.is_beyond(self.nodes[id].rank);
        self.aside_runs |= gently;
        self.nodes[id].running = true;
        self.nodes[id].gently = gently;
        let node = &self.nodes[id];
        let wanted = match self.order.probing {
            AsyncProbe::None => None,
            AsyncProbe::Storage => Some(node.rank <= Rank::Storage),
            AsyncProbe::All => Some(true),
        };
        Some(Job {
            id,
            step: node.step.clone(),
            async_probe: wanted.map(|wanted| wanted && !last),
            gently,
        })
    }

    /// The step that [`Self::take`] would give.
    fn next(&self) -> Option<usize> {
        if self.closed || self.alone_runs || (self.closing && self.running > 0) {
            return None;
        }
        let first = self.ready.first().filter(|(place, id)| self.may_start(*place, *id));
        let put_off = || self.later.front().filter(|_| self.running == 0).copied();
        first.map(|(_, id)| *id).or_else(put_off)
    }

    /// Whether a ready step may start now.
    fn may_start(&self, place: Place, id: usize) -> bool {
        let order = &self.order;
        let node = &self.nodes[id];
        let idle = self.running == 0;
        // One besides, so that the machine is not idle while the root's disk is.
        let held = self.is_beyond(node.rank) && (self.aside_runs || order.serial);
        let in_turn = order.replay.is_empty() || place.primary <= self.turn();
        let in_company = place.primary >= order.replay.len()
            && !order.alone.contains(&node.step.module)
            && (order.probing == AsyncProbe::None || !self.is_last());
        !held && in_turn && (idle || in_company)
    }

    /// Whether steps of this rank are kept back.
    fn is_beyond(&self, rank: Rank) -> bool {
        self.order.hold.is_some_and(|limit| rank > limit)
    }

    /// Whether one step alone has not been given out. With `async_probe` it is loaded by itself and without that
    /// parameter: its load comes back when the kernel has ended all asynchronous work, and with it all probing.
    fn is_last(&self) -> bool {
        self.nodes.len() - self.ended == self.running + 1
    }

    /// The position that is due in the record that is replayed.
    fn turn(&self) -> usize {
        let done =
            |module| self.by_name.get(module).is_some_and(|id| self.nodes[*id].done.is_some());
        let ahead = self.order.replay.iter().skip(self.replayed);
        self.replayed + ahead.take_while(|module| done(*module)).count()
    }

    /// Whether steps are kept back that nothing under way will set free: nothing of the rank that is open runs or is
    /// about to, or a record is replayed and what comes next in it has not been asked for.
    pub(super) fn is_holding(&self) -> bool {
        let open = |node: &Node| node.done.is_none() && node.live.is_none();
        match self.order.hold {
            Some(limit) => !self.nodes.iter().any(|node| node.rank <= limit && open(node)),
            None => self.is_idle() && !self.ready.is_empty(),
        }
    }

    /// Gives out what was kept back: the next rank; or what comes next in the record that is replayed of what has been
    /// asked for.
    pub(super) fn let_go(&mut self) {
        self.order.hold = match self.order.hold {
            Some(Rank::Root) => Some(Rank::Storage),
            Some(_) => None,
            None => {
                self.replayed = self.ready.first().map_or(self.replayed, |(p, _)| p.primary);
                None
            }
        };
    }

    /// Notes when step `id`, which was taken, was given out.
    pub(super) fn note_start(&mut self, id: usize, now: BootTime) {
        self.nodes[id].start = now;
    }

    /// Ends every step that runs, since what carried it out is gone.
    pub(super) fn give_up(&mut self, reason: &str) {
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|id| self.nodes[*id].running).collect();
        for id in running {
            let outcome = match self.nodes[id].live {
                Some(_) => Outcome::Loaded,
                None => Outcome::Failed(reason.to_owned()),
            };
            self.finish(id, Done::at_once(outcome));
        }
    }

    /// Brings back what became of a step that was taken.
    pub(super) fn finish(&mut self, id: usize, done: Done) {
        self.running -= 1;
        self.alone_runs = false;
        self.aside_runs &= !self.nodes[id].gently;
        self.nodes[id].running = false;
        self.waiting -= usize::from(self.nodes[id].live.is_some());
        if done.again && !self.nodes[id].put_off {
            self.nodes[id].put_off = true;
            self.later.push_back(id);
        } else {
            self.end(id, done);
        }
    }

    /// Ends step `id`, and every step that can no longer be carried out for want of it.
    fn end(&mut self, id: usize, done: Done) {
        let outcome = done.outcome.clone();
        self.nodes[id].done = Some(done);
        self.ended += 1;
        if self.nodes[id].live.is_none() {
            self.settled.push(id);
        }
        self.release(id, &outcome);
    }

    /// Lets go what waits for step `id`, which has come to `outcome`.
    fn release(&mut self, id: usize, outcome: &Outcome) {
        let name = self.nodes[id].step.module.clone();
        for (user, hard) in std::mem::take(&mut self.nodes[id].users) {
            let node = &mut self.nodes[user];
            node.waits -= 1;
            if hard && !outcome.is_live() {
                node.broken.get_or_insert_with(|| because_of(&name, outcome));
            }
            self.settle(user);
        }
    }

    /// Moves a step that waits for nothing to where it belongs.
    fn settle(&mut self, id: usize) {
        if self.nodes[id].waits > 0 {
            return;
        }
        match self.nodes[id].broken.take() {
            Some(outcome) => self.end(id, Done::at_once(outcome)),
            None => {
                self.ready.insert((self.nodes[id].place, id));
            }
        }
    }

    /// The kernel has `module` live since `now`: what waits for it need not wait for its load to come back, which
    /// it does only when all asynchronous work of the system has ended.
    pub(super) fn note_live(&mut self, module: &ModuleName, now: BootTime) {
        if !self.is_coming(module) {
            return;
        }
        let id = self.by_name[module];
        self.nodes[id].live = Some(now);
        self.waiting += 1;
        self.settled.push(id);
        self.release(id, &Outcome::Loaded);
    }

    /// Whether `module` is being loaded and not live yet.
    pub(super) fn is_coming(&self, module: &ModuleName) -> bool {
        let coming = |id: &usize| self.nodes[*id].running && self.nodes[*id].live.is_none();
        self.by_name.get(module).is_some_and(coming)
    }

    /// The modules that are being loaded and not live yet.
    pub(super) fn coming(&self) -> Vec<ModuleName> {
        let nodes = self.nodes.iter().filter(|node| node.running && node.live.is_none());
        nodes.map(|node| node.step.module.clone()).collect()
    }

    /// Gives out no more steps.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Gives out no more steps, but where probes may be under way that no load waits for one without `async_probe`: it
    /// comes back when they are over.
    pub(super) fn wind_down(&mut self) {
        self.closed |= self.order.probing == AsyncProbe::None;
        self.closing = !self.closed;
    }

    /// How many steps are being carried out.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many steps keep the machine busy: those that run, without those that only wait for the kernel.
    pub(super) fn busy(&self) -> usize {
        self.running - self.waiting
    }

    /// Steps that were given out so far.
    pub(super) fn started(&self) -> u64 {
        self.started
    }

    /// Whether nothing runs, and nothing is to be given out now.
    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && (self.closed || self.next().is_none())
    }

    /// How many workers could be busy now: steps that run, and steps that could.
    pub(super) fn load(&self) -> usize {
        let put_off = usize::from(self.running == 0 && !self.later.is_empty());
        self.running + self.ready.len().max(put_off)
    }

    /// Whether nothing is left to do for `module`, or it is live already.
    pub(super) fn is_done(&self, module: &ModuleName) -> bool {
        let done = |node: &Node| node.done.is_some() || node.live.is_some();
        self.by_name.get(module).is_none_or(|id| done(&self.nodes[*id]))
    }

    /// Everything that was asked for: first what is live or has ended, in the order in which it came to that.
    pub(super) fn records(&self) -> Vec<ModuleRecord> {
        let ended = self.settled.iter().map(|id| &self.nodes[*id]);
        let open = |node: &&Node| node.done.is_none() && node.live.is_none();
        let open = self.nodes.iter().filter(open);
        let refused = self.refused.iter().filter(|(name, ..)| !self.knows(name)).map(refusal);
        ended.chain(open).map(record).chain(refused).collect()
    }
}

/// What becomes of a module whose dependency is not live.
fn because_of(module: &ModuleName, outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Missing => Outcome::Missing,
        Outcome::NoDevice => Outcome::NoDevice,
        Outcome::Masked(place) => {
            Outcome::Failed(format!("needs {module}, which is masked by {place}"))
        }
        other => Outcome::Failed(format!("needs {module}, which is {}", other.as_str())),
    }
}

fn record(node: &Node) -> ModuleRecord {
    let unfinished = match node.live {
        Some(end) => Done { start: node.start, end, ..Done::at_once(Outcome::Loaded) },
        None if node.running => Done::at_once(Outcome::Loading),
        None => Done::at_once(Outcome::Waiting),
    };
    let done = node.done.clone().unwrap_or(unfinished);
    let why = match &node.step.reason {
        Reason::Requested if node.origin.as_ref().is_some_and(|o| o.device.is_some()) => {
            "device".to_owned()
        }
        Reason::Requested => "asked".to_owned(),
        Reason::DependencyOf(user) => format!("dependency of {user}"),
        Reason::SoftdepPreOf(user) | Reason::SoftdepPostOf(user) => format!("softdep of {user}"),
    };
    let path = match &node.step.action {
        Action::Insert(path) => Some(path.clone()),
        _ => None,
    };
    ModuleRecord {
        name: node.step.module.clone(),
        outcome: done.outcome,
        why,
        origin: node.origin.clone(),
        path,
        options: node.step.options.clone(),
        method: done.method,
        start: done.start,
        live: node.live,
        end: done.end,
    }
}

fn refusal((name, outcome, origin): &(ModuleName, Outcome, Origin)) -> ModuleRecord {
    ModuleRecord {
        name: name.clone(),
        outcome: outcome.clone(),
        why: if origin.device.is_some() { "device" } else { "asked" }.to_owned(),
        origin: Some(origin.clone()),
        path: None,
        options: String::new(),
        method: None,
        start: BootTime::default(),
        live: None,
        end: BootTime::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, needs: &[&str], after: &[&str]) -> Step {
        let names = |list: &[&str]| list.iter().map(|n| ModuleName::new(n)).collect();
        Step {
            module: name.into(),
            action: Action::Insert(format!("{name}.ko")),
            options: String::new(),
            needs: names(needs),
            after: names(after),
            reason: Reason::Requested,
        }
    }

    /// Carries out all that is ready, `bad` ones with this outcome; gives the order.
    fn run(graph: &mut Graph, bad: &[(&str, Outcome)]) -> String {
        while let Some(job) = graph.take() {
            let name = job.step.module.as_str();
            let outcome =
                bad.iter().find(|(b, _)| *b == name).map_or(Outcome::Loaded, |(_, o)| o.clone());
            graph.finish(
                job.id,
                Done {
                    outcome,
                    method: None,
                    start: BootTime::from_nanos(1),
                    end: BootTime::from_nanos(2),
                    again: false,
                },
            );
        }
        assert!(graph.is_idle());
        let words: Vec<String> =
            graph.records().iter().map(|r| format!("{}:{}", r.name, r.outcome.as_str())).collect();
        words.join(" ")
    }

    #[test]
    fn steps_start_when_what_they_need_is_live() {
        let mut graph = Graph::default();
        for s in [
            step("c", &[], &[]),
            step("b", &["c"], &[]),
            step("x", &[], &[]),
            step("a", &["b", "c"], &["x"]),
        ] {
            graph.add(s, None, Rank::Rest);
        }
        assert_eq!(graph.load(), 2);
        assert_eq!(run(&mut graph, &[]), "c:loaded b:loaded x:loaded a:loaded");
    }

    #[test]
    fn a_failure_takes_its_users_and_nothing_else() {
        for (bad, want) in [
            (("c", Outcome::Failed("no".into())), "c:failed b:failed x:loaded a:failed y:loaded"),
            (("c", Outcome::Missing), "c:missing b:missing x:loaded a:missing y:loaded"),
            (("x", Outcome::NoDevice), "c:loaded b:loaded x:no-device a:loaded y:loaded"),
        ] {
            let mut graph = Graph::default();
            for s in [
                step("c", &[], &[]),
                step("b", &["c"], &[]),
                step("x", &[], &[]),
                step("a", &["b"], &["x"]),
                step("y", &[], &["a"]),
            ] {
                graph.add(s, None, Rank::Rest);
            }
            assert_eq!(run(&mut graph, &[bad]), want);
        }
    }

    #[test]
    fn users_of_a_masked_module_say_where_it_is_masked() {
        let mut graph = Graph::default();
        graph.add(step("m", &[], &[]), None, Rank::Rest);
        graph.add(step("a", &["m"], &[]), None, Rank::Rest);
        graph.add(step("b", &[], &["m"]), None, Rank::Rest);
        let masked = ("m", Outcome::Masked("f line 1".into()));
        assert_eq!(run(&mut graph, &[masked]), "m:masked a:failed b:loaded");
        let why = Outcome::Failed("needs m, which is masked by f line 1".into());
        assert_eq!(graph.records()[1].outcome, why);
    }

    #[test]
    fn a_live_module_is_not_waited_for() {
        let mut graph = Graph::default();
        for s in
            [step("slow", &[], &[]), step("user", &["slow"], &[]), step("post", &[], &["slow"])]
        {
            graph.add(s, None, Rank::Rest);
        }
        let slow = graph.take().unwrap();
        assert!(graph.take().is_none() && graph.is_coming(&"slow".into()));
        graph.note_live(&"slow".into(), BootTime::default());
        graph.note_live(&"user".into(), BootTime::default());
        assert!(!graph.is_coming(&"slow".into()) && graph.is_done(&"slow".into()));
        assert_eq!((graph.running(), graph.busy()), (1, 0));
        graph.add(step("late", &["slow"], &[]), None, Rank::Rest);
        assert_eq!(graph.load(), 4);
        graph.finish(slow.id, Done::at_once(Outcome::Loaded));
        assert_eq!(run(&mut graph, &[]), "slow:loaded user:loaded post:loaded late:loaded");
    }

    #[test]
    fn what_has_not_ended_is_in_the_record() {
        let mut graph = Graph::default();
        for s in [step("a", &[], &[]), step("b", &["a"], &[]), step("c", &[], &[])] {
            graph.add(s, None, Rank::Rest);
        }
        let _a = graph.take().unwrap();
        graph.close();
        assert!(graph.take().is_none());
        let words: Vec<&str> = graph.records().iter().map(|r| r.outcome.as_str()).collect();
        assert_eq!((words.join(" ").as_str(), graph.running()), ("loading waiting waiting", 1));
    }

    #[test]
    fn what_may_have_been_disturbed_is_tried_again_alone() {
        let mut graph = Graph::default();
        for s in [step("a", &[], &[]), step("b", &[], &[]), step("user", &["a"], &[])] {
            graph.add(s, None, Rank::Rest);
        }
        let (a, b) = (graph.take().unwrap(), graph.take().unwrap());
        let done = |outcome, again| Done {
            outcome,
            method: None,
            start: BootTime::default(),
            end: BootTime::default(),
            again,
        };
        graph.finish(a.id, done(Outcome::Failed("taken".into()), true));
        assert!(graph.take().is_none() && !graph.is_idle(), "b still runs");
        graph.finish(b.id, done(Outcome::Loaded, false));
        assert_eq!((graph.load(), graph.take().unwrap().id), (1, a.id));
        graph.finish(a.id, done(Outcome::Failed("taken".into()), true));
        assert!(graph.is_idle());
        let last = &graph.records()[2];
        assert_eq!((last.name.as_str(), last.outcome.as_str()), ("user", "failed"));
    }

    #[test]
    fn later_steps_see_what_has_ended() {
        let mut graph = Graph::default();
        graph.add(step("c", &[], &[]), None, Rank::Rest);
        graph.refuse("n".into(), Outcome::Blacklisted, Origin::default());
        graph.refuse("n".into(), Outcome::Blacklisted, Origin::default());
        run(&mut graph, &[("c", Outcome::Failed("no".into()))]);
        graph.add(step("b", &["c"], &[]), None, Rank::Rest);
        graph.add(step("d", &["live"], &["n"]), None, Rank::Rest);
        assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:blacklisted");
        let why = &graph.records()[1].outcome;
        assert_eq!(*why, Outcome::Failed("needs c, which is failed".into()));
        // A refusal stops the alias and not a module that needs it.
        graph.add(step("n", &[], &[]), None, Rank::Rest);
        graph.add(step("needs-n", &["n"], &[]), None, Rank::Rest);
        assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:loaded needs_n:loaded");
        assert!(graph.is_done(&"b".into()) && graph.is_done(&"unknown".into()));
    }

    /// Names in the order in which they are given out one after the other; what is kept back is let go.
    fn serially(order: Order, steps: &[(&str, &[&str], Rank)]) -> String {
        let mut graph = Graph::new(order);
        for (name, needs, rank) in steps {
            graph.add(step(name, needs, &[]), None, *rank);
        }
        let mut names = Vec::new();
        loop {
            while let Some(job) = graph.take() {
                names.push(job.step.module.to_string());
                graph.finish(job.id, Done::at_once(Outcome::Loaded));
            }
            if !graph.is_holding() {
                break;
            }
            names.push("|".to_owned());
            graph.let_go();
        }
        assert!(graph.is_idle() && graph.ready.is_empty());
        names.join(" ")
    }

    fn names(list: &[&str]) -> Vec<ModuleName> {
        list.iter().map(|n| ModuleName::new(n)).collect()
    }

    #[test]
    fn the_order_is_as_asked_for() {
        use Rank::{Rest, Root, Storage};
        let steps: [(&str, &[&str], Rank); 6] = [
            ("net", &[], Rest),
            ("bus", &[], Rest),
            ("cd", &["bus"], Storage),
            ("disk", &["bus"], Root),
            ("gpu", &[], Rest),
            ("fs", &[], Root),
        ];
        let order = Order::default;
        for (order, want) in [
            (order(), "bus disk fs cd net gpu"),
            (Order { first: names(&["gpu"]), ..order() }, "bus disk gpu fs cd net"),
            (Order { hold: Some(Root), serial: true, ..order() }, "bus disk fs | cd | net gpu"),
            (Order { replay: names(&["gpu", "fs", "net"]), ..order() }, "gpu fs net bus cd disk"),
            // What a replayed module needs comes before it, recorded or not.
            (Order { replay: names(&["disk", "net"]), ..order() }, "bus disk net cd gpu fs"),
            (
                Order { replay: names(&["gone", "fs", "gone2", "net"]), ..order() },
                "| fs | net bus cd disk gpu",
            ),
            (Order { seed: Some(1), ..order() }, "net bus cd disk gpu fs"),
            (Order { seed: Some(2), ..order() }, "net gpu fs bus disk cd"),
        ] {
            let text = format!("{order:?}");
            assert_eq!(serially(order, &steps), want, "{text}");
        }
    }

    #[test]
    fn one_that_must_be_alone_waits_and_is_waited_for() {
        let order = Order { alone: names(&["b"]), ..Order::default() };
        let mut graph = Graph::new(order);
        for name in ["a", "b", "c"] {
            graph.add(step(name, &[], &[]), None, Rank::Rest);
        }
        let a = graph.take().unwrap();
        assert!(graph.take().is_none(), "a runs");
        graph.note_live(&"a".into(), BootTime::default());
        assert!(graph.take().is_none(), "it is live and still runs");
        graph.finish(a.id, Done::at_once(Outcome::Loaded));
        let b = graph.take().unwrap();
        assert_eq!(b.step.module.as_str(), "b");
        assert!(graph.take().is_none(), "b runs");
        graph.finish(b.id, Done::at_once(Outcome::Loaded));
        assert_eq!(graph.take().unwrap().step.module.as_str(), "c");
    }

    #[test]
    fn beside_the_root_one_goes_gently() {
        let mut graph = Graph::new(Order { hold: Some(Rank::Root), ..Order::default() });
        for (name, rank) in
            [("a", Rank::Rest), ("r", Rank::Root), ("b", Rank::Rest), ("s", Rank::Root)]
        {
            graph.add(step(name, &[], &[]), None, rank);
        }
        let given: Vec<Job> = std::iter::from_fn(|| graph.take()).collect();
        let words: Vec<String> =
            given.iter().map(|j| format!("{}:{}", j.step.module, j.gently)).collect();
        assert_eq!(words.join(" "), "r:false s:false a:true");
        assert!(!graph.is_holding(), "what may lead to the root still runs");
        graph.finish(given[2].id, Done::at_once(Outcome::Loaded));
        assert_eq!(graph.take().unwrap().step.module.as_str(), "b");
        graph.finish(given[0].id, Done::at_once(Outcome::Loaded));
        graph.note_live(&"s".into(), BootTime::default());
        assert!(graph.is_holding());
    }

    #[test]
    fn the_last_of_all_waits_for_asynchronous_work() {
        let async_of = |probing| {
            let mut graph = Graph::new(Order { probing, ..Order::default() });
            graph.add(step("d", &[], &[]), None, Rank::Storage);
            graph.add(step("n", &[], &[]), None, Rank::Rest);
            graph.add(step("u", &["n"], &[]), None, Rank::Rest);
            let mut words = String::new();
            while let Some(job) = graph.take() {
                let held = graph.running() == 1 && job.step.module.as_str() == "u";
                words += &format!(
                    "{}{}{} ",
                    job.step.module,
                    u8::from(job.async_probe == Some(true)),
                    u8::from(held)
                );
                graph.finish(job.id, Done::at_once(Outcome::Loaded));
            }
            words
        };
        assert_eq!(async_of(AsyncProbe::None), "d00 n00 u01 ");
        assert_eq!(async_of(AsyncProbe::Storage), "d10 n00 u01 ");
        assert_eq!(async_of(AsyncProbe::All), "d10 n10 u01 ");
        let mut graph = Graph::new(Order { probing: AsyncProbe::All, ..Order::default() });
        graph.add(step("a", &[], &[]), None, Rank::Rest);
        graph.add(step("b", &[], &[]), None, Rank::Rest);
        let a = graph.take().unwrap();
        assert!(graph.take().is_none() && !graph.is_idle(), "the last waits for the others");
        graph.finish(a.id, Done::at_once(Outcome::Loaded));
        assert_eq!(graph.take().unwrap().async_probe, Some(false));
    }

    #[test]
    fn what_runs_is_given_up_with_its_hands() {
        let mut graph = Graph::default();
        for s in [step("a", &[], &[]), step("b", &[], &[]), step("user", &["b"], &[])] {
            graph.add(s, None, Rank::Rest);
        }
        let (_a, _b) = (graph.take(), graph.take());
        graph.note_live(&"a".into(), BootTime::default());
        graph.give_up("gone");
        assert!(graph.is_idle());
        let words: Vec<&str> = graph.records().iter().map(|r| r.outcome.as_str()).collect();
        assert_eq!(words.join(" "), "loaded failed failed");
    }

    #[test]
    fn at_the_end_one_waits_for_what_still_probes() {
        for (probing, want) in
            [(AsyncProbe::None, None), (AsyncProbe::All, Some(("c", Some(false))))]
        {
            let mut graph = Graph::new(Order { probing, ..Order::default() });
            for name in ["a", "b", "c", "d"] {
                graph.add(step(name, &[], &[]), None, Rank::Rest);
            }
            let running = [graph.take().unwrap(), graph.take().unwrap()];
            graph.wind_down();
            for job in running {
                assert!(graph.take().is_none() && !graph.is_idle());
                graph.finish(job.id, Done::at_once(Outcome::Loaded));
            }
            let last = graph.take();
            let told = last.as_ref().map(|job| (job.step.module.as_str(), job.async_probe));
            assert_eq!(told, want);
            if let Some(job) = last {
                assert!(!graph.is_idle());
                graph.finish(job.id, Done::at_once(Outcome::Loaded));
            }
            assert!(graph.is_idle() && graph.take().is_none());
        }
    }
}
