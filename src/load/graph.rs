//! What is to be loaded, what waits for what, and what has become of each. No threads and no kernel here:
//! [`super::loader`] takes ready steps out and brings their outcomes back.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Step, Why};
use crate::report::{ModuleRecord, Origin, Outcome, Road};

/// A step that can be carried out now.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) id: usize,
    pub(super) step: Step,
}

/// What carrying out a step gave.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) road: Option<Road>,
    pub(super) start_us: u64,
    pub(super) end_us: u64,
    /// It may have failed only for what was loaded beside it.
    pub(super) again: bool,
}

impl Done {
    /// An outcome that took no time: nothing was tried.
    fn at_once(outcome: Outcome) -> Self {
        Self { outcome, road: None, start_us: 0, end_us: 0, again: false }
    }
}

#[derive(Debug)]
struct Node {
    step: Step,
    origin: Option<Origin>,
    /// Steps it still waits for.
    waits: usize,
    /// Steps that wait for it; `true` where they need it live.
    users: Vec<(usize, bool)>,
    /// Why it can no longer be loaded: a dependency of it is not live.
    broken: Option<Outcome>,
    /// It has been put off once.
    put_off: bool,
    /// It is being carried out.
    running: bool,
    /// The kernel has it live, though its load may not have come back yet.
    live: bool,
    done: Option<Done>,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    by_name: HashMap<ModuleName, usize>,
    ready: BTreeSet<usize>,
    /// Steps to try once more, each when nothing else is being loaded.
    later: VecDeque<usize>,
    running: usize,
    finished: Vec<usize>,
    /// Modules that are not even tried. They are no steps: what needs one of them may still load it.
    refused: Vec<(ModuleName, Outcome, Origin)>,
    /// No more steps are given out.
    closed: bool,
}

impl Graph {
    pub(super) fn knows(&self, module: &ModuleName) -> bool {
        self.by_name.contains_key(module)
    }

    /// Adds a step; what it waits for must have been added before, or counts as live.
    pub(super) fn add(&mut self, step: Step, origin: Option<Origin>) {
        let id = self.nodes.len();
        let hard = step.needs.iter().map(|n| (n, true));
        let soft = step.after.iter().map(|n| (n, false));
        let prior: Vec<(usize, bool)> =
            hard.chain(soft).filter_map(|(n, hard)| Some((*self.by_name.get(n)?, hard))).collect();
        self.by_name.insert(step.module.clone(), id);
        self.nodes.push(Node {
            step,
            origin,
            waits: 0,
            users: Vec::new(),
            broken: None,
            put_off: false,
            running: false,
            live: false,
            done: None,
        });
        for (before, hard) in prior {
            match &self.nodes[before].done {
                Some(done) if hard && !done.outcome.is_live() => {
                    let broken = because_of(&self.nodes[before].step.module, &done.outcome);
                    self.nodes[id].broken.get_or_insert(broken);
                }
                Some(_) => {}
                None if self.nodes[before].live => {}
                None => {
                    self.nodes[before].users.push((id, hard));
                    self.nodes[id].waits += 1;
                }
            }
        }
        self.settle(id);
    }

    /// Notes a module that is not even tried.
    pub(super) fn refuse(&mut self, module: ModuleName, outcome: Outcome, origin: Origin) {
        if self.refused.iter().all(|(name, ..)| *name != module) {
            self.refused.push((module, outcome, origin));
        }
    }

    /// The ready step that was asked for first; when none is left and none runs, one that was put off.
    pub(super) fn take(&mut self) -> Option<Job> {
        if self.closed {
            return None;
        }
        let alone = self.running == 0;
        let id =
            self.ready.pop_first().or_else(|| if alone { self.later.pop_front() } else { None })?;
        self.running += 1;
        self.nodes[id].running = true;
        Some(Job { id, step: self.nodes[id].step.clone() })
    }

    /// Brings back what became of a step that was taken.
    pub(super) fn finish(&mut self, id: usize, done: Done) {
        self.running -= 1;
        self.nodes[id].running = false;
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
        self.finished.push(id);
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
                self.ready.insert(id);
            }
        }
    }

    /// The kernel has `module` live: what waits for it need not wait for its load to come back, which it does
    /// only when all asynchronous work of the system has ended.
    pub(super) fn note_live(&mut self, module: &ModuleName) {
        let Some(id) = self.by_name.get(module).copied().filter(|id| self.nodes[*id].running)
        else {
            return;
        };
        self.nodes[id].live = true;
        self.release(id, &Outcome::Loaded);
    }

    /// Whether `module` is being loaded and not live yet.
    pub(super) fn is_coming(&self, module: &ModuleName) -> bool {
        self.by_name.get(module).is_some_and(|id| self.nodes[*id].running && !self.nodes[*id].live)
    }

    /// Gives out no more steps.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// How many steps are being carried out.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.later.is_empty() && self.running == 0
    }

    /// How many workers could be busy now: steps that run, and steps that could.
    pub(super) fn load(&self) -> usize {
        let put_off = usize::from(self.running == 0 && !self.later.is_empty());
        self.running + self.ready.len().max(put_off)
    }

    /// Whether nothing is left to do for `module`.
    pub(super) fn is_done(&self, module: &ModuleName) -> bool {
        self.by_name.get(module).is_none_or(|id| self.nodes[*id].done.is_some())
    }

    /// Everything that was asked for: first what has ended, in the order in which it did.
    pub(super) fn records(&self) -> Vec<ModuleRecord> {
        let ended = self.finished.iter().map(|id| &self.nodes[*id]);
        let open = self.nodes.iter().filter(|node| node.done.is_none());
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
        other => Outcome::Failed(format!("needs {module}, which is {}", other.word())),
    }
}

fn record(node: &Node) -> ModuleRecord {
    let unfinished = if node.running { Outcome::Loading } else { Outcome::Waiting };
    let done = node.done.clone().unwrap_or_else(|| Done::at_once(unfinished));
    let why = match &node.step.why {
        Why::Asked if node.origin.as_ref().is_some_and(|o| o.device.is_some()) => {
            "device".to_owned()
        }
        Why::Asked => "asked".to_owned(),
        Why::DependencyOf(user) => format!("dependency of {user}"),
        Why::SoftdepPreOf(user) | Why::SoftdepPostOf(user) => format!("softdep of {user}"),
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
        road: done.road,
        start_us: done.start_us,
        end_us: done.end_us,
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
        road: None,
        start_us: 0,
        end_us: 0,
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
            why: Why::Asked,
        }
    }

    /// Carries out all that is ready, `bad` ones with this outcome; gives the order.
    fn run(graph: &mut Graph, bad: &[(&str, Outcome)]) -> String {
        while let Some(job) = graph.take() {
            let name = job.step.module.as_str();
            let outcome =
                bad.iter().find(|(b, _)| *b == name).map_or(Outcome::Loaded, |(_, o)| o.clone());
            graph
                .finish(job.id, Done { outcome, road: None, start_us: 1, end_us: 2, again: false });
        }
        assert!(graph.is_idle());
        let words: Vec<String> =
            graph.records().iter().map(|r| format!("{}:{}", r.name, r.outcome.word())).collect();
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
            graph.add(s, None);
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
                graph.add(s, None);
            }
            assert_eq!(run(&mut graph, &[bad]), want);
        }
    }

    #[test]
    fn users_of_a_masked_module_say_where_it_is_masked() {
        let mut graph = Graph::default();
        graph.add(step("m", &[], &[]), None);
        graph.add(step("a", &["m"], &[]), None);
        graph.add(step("b", &[], &["m"]), None);
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
            graph.add(s, None);
        }
        let slow = graph.take().unwrap();
        assert!(graph.take().is_none() && graph.is_coming(&"slow".into()));
        graph.note_live(&"slow".into());
        graph.note_live(&"user".into());
        assert!(!graph.is_coming(&"slow".into()) && !graph.is_done(&"slow".into()));
        graph.add(step("late", &["slow"], &[]), None);
        assert_eq!(graph.load(), 4);
        graph.finish(slow.id, Done::at_once(Outcome::Loaded));
        assert_eq!(run(&mut graph, &[]), "slow:loaded user:loaded post:loaded late:loaded");
    }

    #[test]
    fn what_has_not_ended_is_in_the_record() {
        let mut graph = Graph::default();
        for s in [step("a", &[], &[]), step("b", &["a"], &[]), step("c", &[], &[])] {
            graph.add(s, None);
        }
        let _a = graph.take().unwrap();
        graph.close();
        assert!(graph.take().is_none());
        let words: Vec<&str> = graph.records().iter().map(|r| r.outcome.word()).collect();
        assert_eq!((words.join(" ").as_str(), graph.running()), ("loading waiting waiting", 1));
    }

    #[test]
    fn what_may_have_been_disturbed_is_tried_again_alone() {
        let mut graph = Graph::default();
        for s in [step("a", &[], &[]), step("b", &[], &[]), step("user", &["a"], &[])] {
            graph.add(s, None);
        }
        let (a, b) = (graph.take().unwrap(), graph.take().unwrap());
        let done = |outcome, again| Done { outcome, road: None, start_us: 0, end_us: 0, again };
        graph.finish(a.id, done(Outcome::Failed("taken".into()), true));
        assert!(graph.take().is_none() && !graph.is_idle(), "b still runs");
        graph.finish(b.id, done(Outcome::Loaded, false));
        assert_eq!((graph.load(), graph.take().unwrap().id), (1, a.id));
        graph.finish(a.id, done(Outcome::Failed("taken".into()), true));
        assert!(graph.is_idle());
        let last = &graph.records()[2];
        assert_eq!((last.name.as_str(), last.outcome.word()), ("user", "failed"));
    }

    #[test]
    fn later_steps_see_what_has_ended() {
        let mut graph = Graph::default();
        graph.add(step("c", &[], &[]), None);
        graph.refuse("n".into(), Outcome::Blacklisted, Origin::default());
        graph.refuse("n".into(), Outcome::Blacklisted, Origin::default());
        run(&mut graph, &[("c", Outcome::Failed("no".into()))]);
        graph.add(step("b", &["c"], &[]), None);
        graph.add(step("d", &["live"], &["n"]), None);
        assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:blacklisted");
        let why = &graph.records()[1].outcome;
        assert_eq!(*why, Outcome::Failed("needs c, which is failed".into()));
        // A refusal stops the alias and not a module that needs it.
        graph.add(step("n", &[], &[]), None);
        graph.add(step("needs-n", &["n"], &[]), None);
        assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:loaded needs_n:loaded");
        assert!(graph.is_done(&"b".into()) && graph.is_done(&"unknown".into()));
    }
}
