//! Tests of the graph.

use super::super::task::Task;
use super::*;
use crate::cmdline::boot::AsyncProbe;
use crate::escape;
use crate::kmod::plan::{Action, Reason};
use crate::sys::Error;
use crate::sys::sysfs::InitState;
use rustix::io::Errno;
use std::num::NonZeroUsize;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

const NOW: BootTime = BootTime::ZERO;

/// Returns an empty graph that carries steps out in parallel.
fn parallel(policy: SchedulePolicy) -> Graph {
    Graph::new(policy, Concurrency::Parallel(NonZeroUsize::new(8).unwrap()))
}

fn loaded(task: &Task) -> Completion {
    Completion::immediate(task.id, Outcome::Loaded)
}

fn failed() -> Outcome {
    Outcome::Failed(LoadError::Reported("no".into()))
}

fn step(name: &str, needs: &[&str], after: &[&str]) -> Step {
    let names = |list: &[&str]| list.iter().map(ModuleName::new).collect();
    Step {
        module: name.into(),
        action: Action::Insert(format!("{name}.ko").into()),
        options: Vec::new(),
        needs: names(needs),
        after: names(after),
        reason: Reason::Requested,
    }
}

/// Carries out all that is ready, `bad` modules with this outcome; returns the order.
fn run(graph: &mut Graph, bad: &[(&str, Outcome)]) -> String {
    while let Some(task) = graph.take(NOW) {
        let name = task.module.text();
        let outcome =
            bad.iter().find(|(b, _)| *b == name).map_or(Outcome::Loaded, |(_, o)| o.clone());
        let (start, end) = (BootTime::from_nanos(1), BootTime::from_nanos(2));
        graph.finish(Completion { start, end, ..Completion::immediate(task.id, outcome) });
    }
    assert!(graph.is_idle());
    let words: Vec<String> =
        graph.records().iter().map(|r| format!("{}:{}", r.name, r.outcome.as_str())).collect();
    words.join(" ")
}

#[test]
fn steps_start_when_their_dependencies_are_live() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [
        step("c", &[], &[]),
        step("b", &["c"], &[]),
        step("x", &[], &[]),
        step("a", &["b", "c"], &["x"]),
    ] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    assert_eq!(graph.load(), 2);
    assert_eq!(run(&mut graph, &[]), "c:loaded b:loaded x:loaded a:loaded");
}

/// The record parts what a module needs from what it only comes after.
#[test]
fn the_user_of_a_post_softdep_is_not_needed() {
    let mut graph = parallel(SchedulePolicy::default());
    let post = Step {
        reason: Reason::SoftdepPostOf("user".into()),
        ..step("post", &["lib"], &["pre", "user"])
    };
    let others = ["above".into(), "lib".into()];
    for s in [step("lib", &[], &[]), step("pre", &[], &[]), step("above", &[], &[])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    graph.add(step("user", &[], &["pre"]), &[], None, Rank::Rest, NOW);
    graph.add(post, &others, None, Rank::Rest, NOW);
    let records = graph.records();
    let lists = |name: &str| {
        let record = records.iter().find(|record| record.name.text() == name).unwrap();
        [&record.needs, &record.after]
            .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(lists("user"), ["pre", ""]);
    assert_eq!(lists("post"), ["lib pre", "user above"]);
}

#[test]
fn a_failure_fails_its_users_and_nothing_else() {
    for (bad, want) in [
        (("c", failed()), "c:failed b:failed x:loaded a:failed y:loaded"),
        (("c", Outcome::Missing), "c:missing b:missing x:loaded a:missing y:loaded"),
        (("x", Outcome::NoDevice), "c:loaded b:loaded x:no-device a:loaded y:loaded"),
    ] {
        let mut graph = parallel(SchedulePolicy::default());
        for s in [
            step("c", &[], &[]),
            step("b", &["c"], &[]),
            step("x", &[], &[]),
            step("a", &["b"], &["x"]),
            step("y", &[], &["a"]),
        ] {
            graph.add(s, &[], None, Rank::Rest, NOW);
        }
        assert_eq!(run(&mut graph, &[bad]), want);
    }
}

#[test]
fn users_of_a_masked_module_name_the_mask() {
    let mut graph = parallel(SchedulePolicy::default());
    graph.add(step("m", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.add(step("a", &["m"], &[]), &[], None, Rank::Rest, NOW);
    graph.add(step("b", &[], &["m"]), &[], None, Rank::Rest, NOW);
    let masked = ("m", Outcome::Masked("f line 1".into()));
    assert_eq!(run(&mut graph, &[masked]), "m:masked a:failed b:loaded");
    let why = LoadError::DependencyMasked("m".into(), "f line 1".into());
    assert_eq!(why.to_string(), "needs m, which is masked by f line 1");
    assert_eq!(graph.records()[1].outcome, Outcome::Failed(why));
}

#[test]
fn a_live_module_is_not_waited_for() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [step("slow", &[], &[]), step("user", &["slow"], &[]), step("post", &[], &["slow"])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    let slow = graph.take(NOW).unwrap();
    assert!(graph.take(NOW).is_none() && graph.is_loading(&"slow".into()));
    graph.note_live(&"slow".into(), NOW);
    graph.note_live(&"user".into(), NOW);
    assert!(!graph.is_loading(&"slow".into()) && graph.is_done(&"slow".into()));
    assert_eq!((graph.running(), graph.busy()), (1, 0));
    graph.add(step("late", &["slow"], &[]), &[], None, Rank::Rest, NOW);
    assert_eq!(graph.load(), 4);
    graph.finish(loaded(&slow));
    assert_eq!(run(&mut graph, &[]), "slow:loaded user:loaded post:loaded late:loaded");
}

/// The event of the kernel may be read after the worker has noted the end of the load.
#[test]
fn no_module_is_live_after_the_end_of_its_load() {
    for (live, end, want) in [(2, 4, Some(2)), (3, 3, Some(3)), (4, 3, None), (9, 1, None)] {
        let mut graph = parallel(SchedulePolicy::default());
        graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
        let task = graph.take(NOW).unwrap();
        graph.note_live(&"a".into(), seconds(live));
        let open = graph.records().remove(0);
        assert_eq!((open.live, open.end), (Some(seconds(live)), seconds(live)));
        graph.finish(Completion { end: seconds(end), ..loaded(&task) });
        let ended = graph.records().remove(0);
        assert_eq!((ended.live, ended.end), (want.map(seconds), seconds(end)), "{live} {end}");
    }
}

#[test]
fn open_steps_are_in_the_record() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [step("a", &[], &[]), step("b", &["a"], &[]), step("c", &[], &[])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    let _a = graph.take(NOW).unwrap();
    graph.close();
    assert!(graph.take(NOW).is_none());
    let words: Vec<&str> = graph.records().iter().map(|r| r.outcome.as_str()).collect();
    assert_eq!((words.join(" ").as_str(), graph.running()), ("loading waiting waiting", 1));
}

#[test]
fn a_disturbed_load_is_retried_alone() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [step("a", &[], &[]), step("b", &[], &[]), step("user", &["a"], &[])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    let (a, b) = (graph.take(NOW).unwrap(), graph.take(NOW).unwrap());
    let disturbed = |id| Completion { retry: true, ..Completion::immediate(id, failed()) };
    graph.finish(disturbed(a.id));
    assert!(graph.take(NOW).is_none() && !graph.is_idle(), "b still runs");
    graph.finish(loaded(&b));
    assert_eq!((graph.load(), graph.take(NOW).unwrap().id), (1, a.id));
    graph.finish(disturbed(a.id));
    assert!(graph.is_idle());
    let last = &graph.records()[2];
    assert_eq!((&*last.name.text(), last.outcome.as_str()), ("user", "failed"));
}

#[test]
fn later_steps_see_earlier_outcomes() {
    let mut graph = parallel(SchedulePolicy::default());
    graph.add(step("c", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.exclude("n".into(), Outcome::Blacklisted, Origin::default());
    graph.exclude("n".into(), Outcome::Blacklisted, Origin::default());
    run(&mut graph, &[("c", failed())]);
    graph.add(step("b", &["c"], &[]), &[], None, Rank::Rest, NOW);
    graph.add(step("d", &["live"], &["n"]), &[], None, Rank::Rest, NOW);
    assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:blacklisted");
    let why = &graph.records()[1].outcome;
    assert_eq!(why.reason().unwrap(), "needs c, which is failed");
    // An exclusion stops the alias and not a module that needs it.
    graph.add(step("n", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.add(step("needs-n", &["n"], &[]), &[], None, Rank::Rest, NOW);
    assert_eq!(run(&mut graph, &[]), "c:failed b:failed d:loaded n:loaded needs_n:loaded");
    assert!(graph.is_done(&"b".into()) && graph.is_done(&"unknown".into()));
}

/// Returns the names in the order in which they start sequentially; `|` where held steps are
/// released.
fn sequentially(policy: SchedulePolicy, steps: &[(&str, &[&str], Rank)]) -> String {
    let mut graph = Graph::new(policy, Concurrency::Sequential);
    for (name, needs, rank) in steps {
        graph.add(step(name, needs, &[]), &[], None, *rank, NOW);
    }
    let mut names = Vec::new();
    loop {
        while let Some(task) = graph.take(NOW) {
            names.push(task.module.to_string());
            graph.finish(loaded(&task));
        }
        if !graph.has_held() {
            break;
        }
        names.push("|".to_owned());
        graph.release();
    }
    assert!(graph.is_idle() && graph.ready.is_empty());
    names.join(" ")
}

fn names(list: &[&str]) -> Vec<ModuleName> {
    list.iter().map(ModuleName::new).collect()
}

#[test]
fn steps_start_in_the_order_of_the_policy() {
    use Rank::{Rest, Root, Storage};
    let steps: [(&str, &[&str], Rank); 6] = [
        ("net", &[], Rest),
        ("bus", &[], Rest),
        ("cd", &["bus"], Storage),
        ("disk", &["bus"], Root),
        ("gpu", &[], Rest),
        ("fs", &[], Root),
    ];
    let order = SchedulePolicy::default;
    for (order, want) in [
        (order(), "bus disk fs cd net gpu"),
        (SchedulePolicy { first: names(&["gpu"]), ..order() }, "bus disk gpu fs cd net"),
        (SchedulePolicy { hold_below: Some(Root), ..order() }, "bus disk fs | cd | net gpu"),
        (
            SchedulePolicy { replay: names(&["gpu", "fs", "net"]), ..order() },
            "gpu fs net bus cd disk",
        ),
        // What a replayed module needs comes before it, recorded or not.
        (SchedulePolicy { replay: names(&["disk", "net"]), ..order() }, "bus disk net cd gpu fs"),
        (
            SchedulePolicy { replay: names(&["gone", "fs", "gone2", "net"]), ..order() },
            "| fs | net bus cd disk gpu",
        ),
        (SchedulePolicy { seed: Some(1), ..order() }, "net bus cd disk gpu fs"),
        (SchedulePolicy { seed: Some(2), ..order() }, "net gpu fs bus disk cd"),
    ] {
        let text = format!("{order:?}");
        assert_eq!(sequentially(order, &steps), want, "{text}");
    }
}

#[test]
fn an_exclusive_module_waits_and_is_waited_for() {
    let order = SchedulePolicy { exclusive: names(&["b"]), ..SchedulePolicy::default() };
    let mut graph = parallel(order);
    for name in ["a", "b", "c"] {
        graph.add(step(name, &[], &[]), &[], None, Rank::Rest, NOW);
    }
    let a = graph.take(NOW).unwrap();
    assert!(graph.take(NOW).is_none(), "a runs");
    graph.note_live(&"a".into(), NOW);
    assert!(graph.take(NOW).is_none(), "it is live and still runs");
    graph.finish(loaded(&a));
    let b = graph.take(NOW).unwrap();
    assert_eq!(b.module.text(), "b");
    assert!(graph.take(NOW).is_none(), "b runs");
    graph.finish(loaded(&b));
    assert_eq!(graph.take(NOW).unwrap().module.text(), "c");
}

#[test]
fn one_low_priority_task_runs_beside_the_root() {
    let mut graph =
        parallel(SchedulePolicy { hold_below: Some(Rank::Root), ..SchedulePolicy::default() });
    for (name, rank) in [("a", Rank::Rest), ("r", Rank::Root), ("b", Rank::Rest), ("s", Rank::Root)]
    {
        graph.add(step(name, &[], &[]), &[], None, rank, NOW);
    }
    let given: Vec<Task> = std::iter::from_fn(|| graph.take(NOW)).collect();
    let words: Vec<String> =
        given.iter().map(|j| format!("{}:{}", j.module, j.low_priority)).collect();
    assert_eq!(words.join(" "), "r:false s:false a:true");
    assert!(!graph.has_held(), "what may lead to the root still runs");
    graph.finish(loaded(&given[2]));
    assert_eq!(graph.take(NOW).unwrap().module.text(), "b");
    graph.finish(loaded(&given[0]));
    graph.note_live(&"s".into(), NOW);
    assert!(graph.has_held());
}

#[test]
fn the_last_step_waits_for_asynchronous_work() {
    let async_of = |async_probe| {
        let mut graph = parallel(SchedulePolicy { async_probe, ..SchedulePolicy::default() });
        graph.add(step("d", &[], &[]), &[], None, Rank::Storage, NOW);
        graph.add(step("n", &[], &[]), &[], None, Rank::Rest, NOW);
        graph.add(step("u", &["n"], &[]), &[], None, Rank::Rest, NOW);
        let mut words = String::new();
        while let Some(task) = graph.take(NOW) {
            let held = graph.running() == 1 && task.module.text() == "u";
            words += &format!(
                "{}{}{} ",
                task.module,
                u8::from(task.options == b"async_probe=1"),
                u8::from(held)
            );
            graph.finish(loaded(&task));
        }
        words
    };
    assert_eq!(async_of(AsyncProbe::None), "d00 n00 u01 ");
    assert_eq!(async_of(AsyncProbe::Storage), "d10 n00 u01 ");
    assert_eq!(async_of(AsyncProbe::All), "d10 n10 u01 ");
    let mut graph =
        parallel(SchedulePolicy { async_probe: AsyncProbe::All, ..SchedulePolicy::default() });
    graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.add(step("b", &[], &[]), &[], None, Rank::Rest, NOW);
    let a = graph.take(NOW).unwrap();
    assert!(graph.take(NOW).is_none() && !graph.is_idle(), "the last waits for the others");
    graph.finish(loaded(&a));
    assert_eq!(graph.take(NOW).unwrap().options, b"async_probe=0");
}

/// Returns the words of the record: `NAME:OUTCOME`.
fn outcomes(graph: &Graph) -> String {
    let records = graph.records();
    let words: Vec<String> =
        records.iter().map(|r| format!("{}:{}", r.name, r.outcome.as_str())).collect();
    words.join(" ")
}

fn reason(graph: &Graph, module: &str) -> String {
    let records = graph.records();
    let record = records.iter().find(|r| r.name.text() == module).unwrap();
    record.outcome.reason().unwrap()
}

/// Enters that the worker has been killed. The threads of `in_kernel` are in the kernel; sysfs has
/// these states.
fn kill(graph: &mut Graph, in_kernel: &[usize], states: &[(&str, InitState)]) {
    let state = |module: &ModuleName| {
        states.iter().find(|(name, _)| *name == module.text()).map(|(_, state)| *state)
    };
    let status = Some(ExitStatus::from_raw(9));
    graph.worker_died(&WorkerDeath { status, in_kernel, state: &state, now: NOW });
}

fn seconds(seconds: u64) -> BootTime {
    NOW + Duration::from_secs(seconds)
}

/// Returns the name of the module whose step starts.
fn take(graph: &mut Graph) -> Option<(usize, String)> {
    graph.take(NOW).map(|task| (task.id, task.module.to_string()))
}

#[test]
fn loads_of_a_dead_worker_are_retried_once_alone() {
    let mut graph = parallel(SchedulePolicy::default());
    for name in ["killer", "innocent"] {
        graph.add(step(name, &[], &[]), &[], None, Rank::Rest, NOW);
    }
    let (killer, innocent) = (graph.take(NOW).unwrap(), graph.take(NOW).unwrap());
    for s in [step("user", &["killer"], &[]), step("other", &[], &[])] {
        graph.add(s, &[], None, Rank::Root, NOW);
    }
    kill(&mut graph, &[], &[]);
    assert_eq!(take(&mut graph), Some((killer.id, "killer".into())));
    assert!(!graph.is_idle() && graph.take(NOW).is_none(), "nothing runs beside it");
    kill(&mut graph, &[], &[]);
    assert_eq!(take(&mut graph), Some((innocent.id, "innocent".into())));
    assert_eq!(graph.take(NOW), None);
    graph.finish(loaded(&innocent));
    assert_eq!(run(&mut graph, &[]), "killer:failed user:failed innocent:loaded other:loaded");
    let text = "the worker process died while loading it alone: signal: 9 (SIGKILL)";
    assert_eq!(reason(&graph, "killer"), text);
}

#[test]
fn sysfs_decides_what_a_dead_worker_has_loaded() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [step("a", &[], &[]), step("b", &[], &[]), step("c", &[], &[]), step("d", &["b"], &[])]
    {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    while graph.take(NOW).is_some() {}
    graph.note_live(&"a".into(), NOW);
    kill(&mut graph, &[], &[("b", InitState::Live), ("c", InitState::Coming)]);
    assert_eq!(run(&mut graph, &[]), "a:loaded b:loaded c:failed d:loaded");
    assert!(reason(&graph, "c").contains("'coming', and the worker process died: signal: 9"));
}

#[test]
fn a_load_that_is_still_in_the_kernel_is_waited_for() {
    for (states, want) in [
        (&[("slow", InitState::Live)][..], "quick:loaded slow:loaded user:loaded"),
        (&[("slow", InitState::Coming)], "quick:loaded slow:failed user:failed"),
        (&[], "quick:loaded slow:loaded user:loaded"),
    ] {
        let mut graph = parallel(SchedulePolicy::default());
        for s in [step("slow", &[], &[]), step("quick", &[], &[]), step("user", &["slow"], &[])] {
            graph.add(s, &[], None, Rank::Rest, NOW);
        }
        let slow = graph.take(NOW).unwrap().id;
        let quick = graph.take(NOW).unwrap();
        kill(&mut graph, &[slow], &[("slow", InitState::Coming)]);
        assert_eq!(graph.take(NOW).unwrap().id, quick.id, "another process runs it");
        graph.finish(loaded(&quick));
        assert!(!graph.is_idle() && graph.has_orphans());
        assert_eq!(graph.loading(), names(&["slow"]));
        kill(&mut graph, &[], states);
        assert!(!graph.has_orphans());
        assert_eq!(run(&mut graph, &[]), want);
    }
}

#[test]
fn a_retry_that_hangs_does_not_stop_the_others() {
    let mut graph = parallel(SchedulePolicy::default());
    for name in ["hangs", "a"] {
        graph.add(step(name, &[], &[]), &[], None, Rank::Rest, NOW);
    }
    let hangs = graph.take(NOW).unwrap();
    kill(&mut graph, &[], &[]);
    assert_eq!(graph.take(NOW).unwrap().id, hangs.id);
    assert!(!graph.tick(seconds(9)) && graph.take(NOW).is_none());
    assert!(graph.tick(seconds(10)));
    assert_eq!(take(&mut graph).unwrap().1, "a");
}

#[test]
fn slow_loads_are_reported() {
    let mut graph = parallel(SchedulePolicy::default());
    let command = Action::Command("sleep".into());
    graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.add(Step { action: command, ..step("b", &[], &[]) }, &[], None, Rank::Rest, NOW);
    graph.add(step("live", &[], &[]), &[], None, Rank::Rest, NOW);
    while graph.take(NOW).is_some() {}
    graph.note_live(&"live".into(), NOW);
    let notices: Vec<String> = (0..100)
        .flat_map(|at| {
            graph.tick(seconds(at));
            graph.take_notices()
        })
        .collect();
    let want = [10, 40, 70].map(|at| {
        [
            format!("still loading after {at} s: a (a.ko)"),
            format!("still loading after {at} s: b (install command)"),
        ]
    });
    assert_eq!(notices, want.as_flattened());
}

#[test]
fn a_module_that_takes_too_long_is_given_up() {
    let timeout = Some(Duration::from_secs(3));
    let order = SchedulePolicy { module_timeout: timeout, ..SchedulePolicy::default() };
    let mut graph = Graph::new(order, Concurrency::Sequential);
    for s in [step("hangs", &[], &[]), step("late", &[], &[]), step("user", &["hangs"], &[])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    let _hangs = graph.take(NOW).unwrap();
    assert!(!graph.tick(seconds(2)) && !graph.has_room());
    assert!(graph.tick(seconds(3)) && graph.has_room());
    let text = "module hangs: still in its init after 3 s; continuing without it";
    assert_eq!(graph.take_notices(), [text]);
    let late = graph.take(NOW).unwrap();
    graph.tick(seconds(3));
    assert!(graph.is_idle() && graph.running() == 0);
    assert_eq!(outcomes(&graph), "hangs:failed user:failed late:failed");
    // What becomes of them changes their records alone.
    graph.finish(loaded(&late));
    graph.finish(Completion::immediate(late.id, failed()));
    assert_eq!(graph.loading(), names(&["hangs"]));
    graph.note_live(&"hangs".into(), seconds(5));
    assert_eq!(outcomes(&graph), "hangs:loaded user:failed late:loaded");
}

#[test]
fn a_given_up_module_may_be_live_when_its_worker_dies() {
    for (state, want) in [(InitState::Live, "a:loaded"), (InitState::Coming, "a:failed")] {
        let timeout = Some(Duration::from_secs(3));
        let order = SchedulePolicy { module_timeout: timeout, ..SchedulePolicy::default() };
        let mut graph = parallel(order);
        graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
        graph.take(NOW);
        graph.tick(seconds(3));
        kill(&mut graph, &[0], &[("a", InitState::Coming)]);
        assert!(graph.has_orphans() && graph.is_idle());
        kill(&mut graph, &[], &[("a", state)]);
        assert!(!graph.has_orphans());
        assert_eq!(outcomes(&graph), want);
    }
}

#[test]
fn a_task_that_was_not_sent_starts_later() {
    let mut graph = parallel(SchedulePolicy::default());
    graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
    let a = graph.take(NOW).unwrap();
    graph.put_back(a.id);
    graph.put_back(a.id);
    assert_eq!((graph.running(), graph.started()), (0, 0));
    graph.take(NOW);
    kill(&mut graph, &[], &[]);
    graph.take(NOW);
    graph.put_back(a.id);
    assert_eq!(run(&mut graph, &[]), "a:loaded");
}

#[test]
fn without_a_worker_modules_fail_by_name() {
    let mut graph = parallel(SchedulePolicy::default());
    for s in [step("a", &[], &[]), step("b", &[], &[]), step("user", &["a"], &[])] {
        graph.add(s, &[], None, Rank::Rest, NOW);
    }
    graph.take(NOW);
    kill(&mut graph, &[], &[]);
    let error = Error::new("exec", "/proc/self/exe", Errno::NOMEM);
    graph.fail_ready(&LoadError::NoWorker(error));
    assert!(graph.is_idle());
    assert_eq!(outcomes(&graph), "a:failed user:failed b:failed");
    let text = "no worker process: exec /proc/self/exe: Cannot allocate memory";
    assert_eq!(reason(&graph, "b"), text);
}

#[test]
fn modules_that_compute_the_hash_come_first() {
    for (answer, want) in [
        (Some("sha256"), "fast disk a"),
        (Some("sha512"), "disk a fast"),
        (Some(""), "disk a fast"),
        (None, "disk a fast"),
    ] {
        let mut graph = parallel(SchedulePolicy::default());
        let hashes = vec![("sha512", Vec::new()), ("sha256", names(&["fast"]))];
        graph.begin_look_ahead(LookAhead { until: seconds(1), hashes });
        assert!(graph.is_idle(), "nothing waits for the answer");
        for (name, rank) in [("a", Rank::Rest), ("fast", Rank::Rest), ("disk", Rank::Storage)] {
            graph.add(step(name, &[], &[]), &[], None, rank, NOW);
        }
        assert!(graph.take(NOW).is_none() && !graph.is_idle() && !graph.has_held());
        match answer {
            Some(hash) => graph.end_look_ahead(hash),
            None => assert!(!graph.tick(NOW) && graph.tick(seconds(1))),
        }
        let order: Vec<String> =
            std::iter::from_fn(|| take(&mut graph)).map(|(_, name)| name).collect();
        assert_eq!(order.join(" "), want);
    }
}

#[test]
fn the_last_load_of_a_drain_waits_for_probes() {
    for (async_probe, want) in
        [(AsyncProbe::None, None), (AsyncProbe::All, Some("c async_probe=0"))]
    {
        let mut graph = parallel(SchedulePolicy { async_probe, ..SchedulePolicy::default() });
        for name in ["a", "b", "c", "d"] {
            graph.add(step(name, &[], &[]), &[], None, Rank::Rest, NOW);
        }
        let running = [graph.take(NOW).unwrap(), graph.take(NOW).unwrap()];
        graph.drain();
        for task in running {
            assert!(graph.take(NOW).is_none() && !graph.is_idle());
            graph.finish(loaded(&task));
        }
        let last = graph.take(NOW);
        let words =
            last.as_ref().map(|task| format!("{} {}", task.module, escape::bytes(&task.options)));
        assert_eq!(words.as_deref(), want);
        if let Some(task) = last {
            assert!(!graph.is_idle());
            graph.finish(loaded(&task));
        }
        assert!(graph.is_idle() && graph.take(NOW).is_none());
    }
}

#[test]
fn a_completion_of_a_task_that_does_not_run_is_ignored() {
    let mut graph = parallel(SchedulePolicy::default());
    graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
    graph.finish(Completion::immediate(0, Outcome::Loaded));
    graph.finish(Completion::immediate(9, Outcome::Loaded));
    assert_eq!(run(&mut graph, &[]), "a:loaded");
}

#[test]
fn a_module_that_was_live_is_not_retried() {
    let mut graph = parallel(SchedulePolicy::default());
    graph.add(step("a", &[], &[]), &[], None, Rank::Rest, NOW);
    let a = graph.take(NOW).unwrap();
    graph.note_live(&"a".into(), NOW);
    graph.finish(Completion { retry: true, ..Completion::immediate(a.id, failed()) });
    assert!(graph.is_idle() && graph.take(NOW).is_none());
    assert_eq!(graph.records().len(), 1);
}

#[test]
fn a_long_chain_of_failures_takes_no_stack() {
    let chain = || {
        let mut graph = parallel(SchedulePolicy::default());
        graph.add(step("m0", &[], &[]), &[], None, Rank::Rest, NOW);
        for n in 1..20_000 {
            graph.add(
                step(&format!("m{n}"), &[&format!("m{}", n - 1)], &[]),
                &[],
                None,
                Rank::Rest,
                NOW,
            );
        }
        let task = graph.take(NOW).unwrap();
        graph.finish(Completion::immediate(task.id, failed()));
        let records = graph.records();
        records.iter().filter(|r| matches!(r.outcome, Outcome::Failed(_))).count()
    };
    // As little as the second thread of PID 1 has.
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(chain).unwrap();
    assert_eq!(thread.join().unwrap(), 20_000);
}
