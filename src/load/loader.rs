//! The Loader: look-up, plan, and hands that carry out what the graph gives out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::act::{Actor, Task};
use super::graph::{Done, Graph, Job};
use super::insert::Inserter;
use super::order::{Order, Rank};
use super::outcome::Outcome;
use super::record::{ModuleRecord, Origin};
use super::server::{Client, STACK};
use super::wire;
use crate::kmod::catalog::{Catalog, Match};
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Planner, Reason};
use crate::kmod::uevent::Modalias;
use crate::sys::{self, BootTime, Error, Root, procfs};

/// How the Loader works.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Modules loaded at once; 1 loads one after the other, 0 only where [`Loader::step`] is called. Loads that are live and only wait for the kernel's
    /// asynchronous work do not count.
    pub jobs: usize,
    /// The order of what is ready.
    pub order: Order,
    /// Loads are carried out by a process of their own.
    pub apart: bool,
}

/// Loads that may wait for the kernel's asynchronous work, besides those that are counted. A machine with slow
/// disks has come to seventy.
const WAITING: usize = 192;
/// How often a wait looks whether there is something for the caller's thread to give out.
const LOOK: Duration = Duration::from_millis(50);
/// Hashes that modules are signed with; one of their modules shows which of them it is.
const HASHES: [&str; 2] = ["sha256", "sha512"];
/// How often the loading process is started again.
const STARTS: usize = 3;

/// The one door for "make this loaded".
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    catalog: Catalog,
    config: Config,
    warnings: Mutex<Vec<String>>,
    /// Time spent in look-ups and plans, in nanoseconds.
    lookup_ns: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    jobs: usize,
    hands: Mutex<Hands>,
    actor: Actor,
    graph: Mutex<Graph>,
    /// Told when steps become ready.
    work: Condvar,
    /// Told when a step has ended.
    ended: Condvar,
    /// Readable when a step has ended, for poll(2).
    wake: OwnedFd,
}

/// Who carries out steps.
#[derive(Debug)]
enum Hands {
    /// Threads of this process, so many so far.
    Pool(usize),
    /// A process of its own, and how many there were before it.
    Apart(Arc<Client>, usize),
    /// Nobody but the thread that calls [`Loader::drive`].
    Caller,
}

impl Loader {
    /// A loader over one kernel's catalog and configuration. Of what it is asked for it gives out first, along with
    /// [`Order::first`], what makes the kernel's check of all later ones faster.
    ///
    /// # Errors
    /// The kernel gives no eventfd(2).
    pub fn new(
        root: Root,
        catalog: Catalog,
        config: Config,
        inserter: Inserter,
        settings: Settings,
    ) -> sys::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|e| Error::new("eventfd", "loader", e))?;
        let mut order = settings.order;
        order.first.extend(hashing(&catalog, &config, &inserter));
        let shared = Arc::new(Shared {
            jobs: settings.jobs,
            hands: Mutex::new(Hands::Pool(0)),
            actor: Actor { root, inserter, images: None },
            graph: Mutex::new(Graph::new(order)),
            work: Condvar::new(),
            ended: Condvar::new(),
            wake,
        });
        if settings.apart {
            shared.move_out();
        }
        let (warnings, lookup_ns) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { shared, catalog, config, warnings, lookup_ns })
    }

    /// Asks for every module that drives a device. Gives the number of modules that match, builtin ones
    /// included.
    ///
    /// `parents` are the modules whose drivers hold the devices above it. One of them that is still being loaded is
    /// waited for: it may be bringing up the device's siblings, and drivers number devices in the order in which
    /// they find them.
    pub fn want_device(
        &self,
        device: &str,
        modalias: &Modalias,
        parents: &[ModuleName],
        rank: Rank,
    ) -> usize {
        let begun = BootTime::now();
        let found = self.catalog.lookup_modalias(&self.config, &modalias.normalized());
        let origin = |f: &Match| Origin {
            device: Some(device.to_owned()),
            request: modalias.to_string_lossy(),
            pattern: f.pattern.clone(),
        };
        self.want(&found, parents, rank, origin, begun);
        found.len()
    }

    /// Asks for a module by name or alias, as modprobe(8) would. Gives the modules it stands for that
    /// are not builtin; `None` where nothing of that name is known.
    pub fn want_name(&self, name: &str, rank: Rank) -> Option<Vec<ModuleName>> {
        let begun = BootTime::now();
        let found = self.catalog.lookup(&self.config, name);
        let origin = |f: &Match| Origin {
            device: None,
            request: name.to_owned(),
            pattern: f.pattern.clone(),
        };
        self.want(&found, &[], rank, origin, begun);
        let modules = found.iter().filter(|f| !f.is_builtin()).map(|f| f.module.clone());
        (!found.is_empty()).then(|| modules.collect())
    }

    fn want(
        &self,
        found: &[Match],
        parents: &[ModuleName],
        rank: Rank,
        origin: impl Fn(&Match) -> Origin,
        begun: BootTime,
    ) {
        let mut graph = self.shared.graph();
        let live = |module: &ModuleName| self.shared.actor.is_live(module);
        let known = |module: &ModuleName| graph.knows(module) || live(module);
        let mut planner = Planner::new(&self.catalog, &self.config, &known, &live);
        let mut refused = Vec::new();
        for found in found.iter().filter(|f| !f.is_builtin()) {
            match self.refusal(found) {
                Some(outcome) if !known(&found.module) => refused.push((found, outcome)),
                Some(_) => {}
                None => planner.add(found),
            }
        }
        let plan = planner.finish();
        for (found, outcome) in refused {
            graph.refuse(found.module.clone(), outcome, origin(found));
        }
        for mut step in plan.steps {
            let asked =
                found.iter().find(|f| step.reason == Reason::Requested && f.module == step.module);
            if let Some(asked) = asked {
                step.after.extend(parents.iter().filter(|p| graph.is_coming(p)).cloned());
                step.after.extend(rivals(found, asked).cloned());
            }
            graph.add(step, asked.map(&origin), rank);
        }
        for found in found {
            graph.want(&found.module, rank);
        }
        drop(graph);
        for cycle in plan.cycles {
            lock(&self.warnings).push(format!("dependencies in a circle: {cycle}"));
        }
        let spent = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.lookup_ns.fetch_add(spent, Ordering::Relaxed);
        self.shared.employ();
    }

    /// What becomes of a module that the configuration keeps out.
    fn refusal(&self, found: &Match) -> Option<Outcome> {
        let (config, module) = (&self.config, &found.module);
        if let Some(place) = config.masks.origin(module) {
            return Some(Outcome::Masked(place.to_string()));
        }
        let listed = found.source.is_alias() && config.is_blacklisted(module);
        (listed || config.is_refused_by_kernel(module)).then_some(Outcome::Blacklisted)
    }

    /// Tells that the kernel has `module` live, though its load may not have come back yet.
    pub fn note_live(&self, module: &ModuleName) {
        if self.shared.graph().is_coming(module) && self.shared.actor.is_live(module) {
            self.shared.graph().note_live(module, BootTime::now());
            self.shared.employ();
        }
    }

    /// The same for every module that is being loaded, where what the kernel told of them may have been lost.
    pub fn look_for_live(&self) {
        let coming = self.shared.graph().coming();
        coming.iter().for_each(|module| self.note_live(module));
    }

    /// Gives out what is ready where only the caller's thread may: one step after the other, or where the system
    /// gives no threads; then it also carries out what there is. Otherwise does nothing.
    pub fn drive(&self) {
        if self.shared.jobs == 1 {
            self.shared.hand_out();
        }
        while let Some(job) = { self.shared.job_for_caller() } {
            self.shared.carry_out(&job);
        }
    }

    /// Carries out one step on the caller's thread, where there are no other hands: `jobs` is 0. Gives whether there
    /// was one.
    pub fn step(&self) -> bool {
        let job = self.shared.job_for_caller();
        job.inspect(|job| self.shared.carry_out(job)).is_some()
    }

    /// Whether nothing runs, and nothing is to be given out now.
    pub fn is_idle(&self) -> bool {
        self.shared.graph().is_idle()
    }

    /// How many loads are at work: not live yet, and not such as only wait for the kernel.
    pub fn busy(&self) -> usize {
        self.shared.graph().busy()
    }

    /// How many loads have been started so far.
    pub fn started(&self) -> u64 {
        self.shared.graph().started()
    }

    /// Whether ready steps are kept back that nothing under way will set free: by [`Order::hold`], or since a record is
    /// replayed and what comes next in it has not been asked for.
    pub fn is_holding(&self) -> bool {
        self.shared.graph().is_holding()
    }

    /// Gives out what is kept back: the next rank, or where a record is replayed what comes next.
    pub fn let_go(&self) {
        self.shared.graph().let_go();
        self.shared.employ();
    }

    /// Whether nothing is left to do for these modules, or they are live already.
    pub fn is_done(&self, modules: &[ModuleName]) -> bool {
        let graph = self.shared.graph();
        modules.iter().all(|m| graph.is_done(m))
    }

    /// Waits until nothing is left to do for these modules, or the time is over; gives whether it is done.
    pub fn wait_for(&self, modules: &[ModuleName], longest: Duration) -> bool {
        let end = Instant::now() + longest;
        loop {
            self.drive();
            let graph = self.shared.graph();
            let left = end.saturating_duration_since(Instant::now());
            if modules.iter().all(|m| graph.is_done(m)) || left.is_zero() {
                return left > Duration::ZERO;
            }
            drop(self.shared.ended.wait_timeout(graph, left.min(LOOK)));
        }
    }

    /// Starts no more loads. Those that are under way go on where they are carried out apart; elsewhere they are
    /// waited for, as they end with this process.
    pub fn close(&self) {
        self.shared.graph().close();
        if matches!(*lock(&self.shared.hands), Hands::Pool(_)) {
            let running = |graph: &mut Graph| graph.running() > 0;
            drop(self.shared.ended.wait_while(self.shared.graph(), running));
        }
    }

    /// What ends the loading from elsewhere.
    pub fn brake(&self) -> Brake {
        Brake(Arc::clone(&self.shared))
    }

    /// A descriptor that is readable once a step has ended.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// Makes [`Self::wake_fd`] quiet again.
    pub fn clear_wake(&self) {
        // The count is of no interest, and nothing to read means quiet already.
        let _ = rustix::io::read(&self.shared.wake, &mut [0u8; 8]);
    }

    /// What was asked for so far: first what is live or has ended, in the order in which it came to that.
    pub fn records(&self) -> Vec<ModuleRecord> {
        self.shared.graph().records()
    }

    /// What was passed over since the last call, in words.
    pub fn take_warnings(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.catalog.take_warnings().iter().map(ToString::to_string).collect();
        all.append(&mut lock(&self.warnings));
        all
    }

    /// Returns the time spent in lookups and plans so far.
    pub fn lookup_time(&self) -> Duration {
        Duration::from_nanos(self.lookup_ns.load(Ordering::Relaxed))
    }

    /// The most memory that the loading process has had, in bytes; `None` where there is no such process.
    pub fn peak_memory(&self) -> Option<u64> {
        match &*lock(&self.shared.hands) {
            Hands::Apart(client, _) => {
                procfs::peak_memory(&self.shared.actor.root, &client.process.to_string())
            }
            _ => None,
        }
    }
}

/// Ends the loading of a [`Loader`] that may be gone.
#[derive(Debug, Clone)]
pub struct Brake(Arc<Shared>);

impl Brake {
    /// Starts no more loads, and waits until those that are under way have come back, and with them what they probe, or
    /// the time is over; gives whether they have. It waits for no lock: the thread that holds it may have panicked.
    pub fn halt(&self, longest: Duration) -> bool {
        let end = Instant::now() + longest;
        let mut closing = false;
        loop {
            let idle = self.0.graph.try_lock().is_ok_and(|mut graph| {
                if !std::mem::replace(&mut closing, true) {
                    graph.wind_down();
                }
                graph.is_idle()
            });
            if idle || Instant::now() >= end {
                return idle;
            }
            if closing && self.0.hands.try_lock().is_ok() {
                self.0.hand_out();
            }
            thread::sleep(LOOK);
        }
    }
}

/// The modules that the kernel checks the signatures of all others with: a hash over each file, which takes longer than all
/// else about most loads. One that has the processor's instructions for it is worth being loaded before all others.
fn hashing(catalog: &Catalog, config: &Config, inserter: &Inserter) -> Vec<ModuleName> {
    let modules = |hash: &str| -> Vec<ModuleName> {
        let found = catalog.lookup(config, &format!("crypto-{hash}"));
        found.into_iter().filter(|f| !f.is_builtin()).map(|f| f.module).collect()
    };
    let mut signed = HASHES.into_iter().flat_map(modules);
    let hash = signed.find_map(|module| inserter.signed_with(&catalog.dep(&module)?.path));
    hash.map(modules).unwrap_or_default()
}

/// The modules that come before `asked` among those `found` for a device: where several have a driver for it the
/// first one gets it, whatever the order of all else. What a processor's features bring does not compete.
fn rivals<'a>(found: &'a [Match], asked: &'a Match) -> impl Iterator<Item = &'a ModuleName> {
    let compete = asked.alias.as_ref().is_some_and(|alias| !alias.starts_with("cpu:"));
    let before = found.iter().take_while(|f| f.module != asked.module);
    before.filter(move |f| compete && !f.is_builtin()).map(|f| &f.module)
}

impl Shared {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        lock(&self.graph)
    }

    /// Sees to it that what is ready finds hands. Where one step runs after the other, that is left to
    /// [`Loader::drive`]: its caller has then seen what the last one has brought.
    fn employ(self: &Arc<Self>) {
        let load = self.graph().load();
        let mut hands = lock(&self.hands);
        match &mut *hands {
            Hands::Pool(workers) => self.hire(workers, load),
            Hands::Apart(..) if self.jobs > 1 => {
                drop(hands);
                self.hand_out();
            }
            _ => {}
        }
    }

    /// Sees to it that `load` steps, ready or running, have threads, as far as `jobs` allows.
    fn hire(self: &Arc<Self>, workers: &mut usize, load: usize) {
        self.work.notify_all();
        while *workers < self.jobs.min(load) {
            let shared = Arc::clone(self);
            let builder = thread::Builder::new().stack_size(STACK);
            if builder.spawn(move || shared.serve()).is_err() {
                // Fewer workers are slower and nothing else; without any the caller's thread works.
                return;
            }
            *workers += 1;
        }
    }

    /// A worker's life: takes what is ready, for ever.
    fn serve(self: &Arc<Self>) {
        loop {
            let mut graph = self.graph();
            let job = loop {
                match graph.take() {
                    Some(job) => break job,
                    None => graph = self.work.wait(graph).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(graph);
            self.carry_out(&job);
        }
    }

    fn carry_out(self: &Arc<Self>, job: &Job) {
        let done = match Task::of(job) {
            Ok(task) => self.actor.act(&task),
            Err(outcome) => Done::at_once(outcome),
        };
        self.finish(job.id, done);
    }

    /// What the caller's thread is to carry out, where there are no other hands.
    fn job_for_caller(&self) -> Option<Job> {
        match *lock(&self.hands) {
            Hands::Pool(0) | Hands::Caller => self.graph().take(),
            _ => None,
        }
    }

    /// Brings back what became of a job, and tells everybody who waits for it.
    fn finish(self: &Arc<Self>, id: usize, done: Done) {
        self.graph().finish(id, done);
        self.employ();
        self.tell();
    }

    fn tell(&self) {
        self.ended.notify_all();
        // A full counter is readable already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Starts the process that loads, and a thread that hears what becomes of its tasks. Without them the
    /// caller's thread works.
    fn move_out(self: &Arc<Self>) {
        let mut hands = lock(&self.hands);
        *hands = self.start(0);
        if let Hands::Apart(client, _) = &*hands {
            let (shared, client) = (Arc::clone(self), Arc::clone(client));
            let builder = thread::Builder::new().stack_size(STACK);
            if builder.spawn(move || shared.hear(client)).is_err() {
                *hands = Hands::Caller;
            }
        }
    }

    fn start(&self, before: usize) -> Hands {
        let Inserter { dir, kernel, .. } = &self.actor.inserter;
        let words = [&*dir.to_string_lossy(), if kernel.is_some() { "kernel" } else { "user" }];
        match Client::start(&words) {
            Ok(client) if before < STARTS => Hands::Apart(Arc::new(client), before),
            _ => Hands::Caller,
        }
    }

    /// Brings back what becomes of tasks, for ever. Where their process dies, what it had is given up, and
    /// another takes over.
    fn hear(self: Arc<Self>, mut client: Arc<Client>) {
        loop {
            while let Some((id, done)) = client.receive() {
                self.finish(id, done);
            }
            let mut hands = lock(&self.hands);
            let Hands::Apart(_, before) = *hands else { return };
            *hands = self.start(before + 1);
            let next = match &*hands {
                Hands::Apart(client, _) => Some(Arc::clone(client)),
                _ => None,
            };
            // Under the lock: what runs now is what the dead one had.
            self.graph().give_up("the process that loaded it has died");
            drop(hands);
            self.employ();
            self.tell();
            let Some(next) = next else { return };
            client = next;
        }
    }

    /// Gives the loading process what is ready, as far as `jobs` allows.
    fn hand_out(&self) {
        let hands = lock(&self.hands);
        let Hands::Apart(client, _) = &*hands else { return };
        while let Some(job) = self.job_with_room() {
            let message = Task::of(&job).and_then(|task| {
                let long = || Outcome::Failed("its parameters are too long".to_owned());
                wire::task(&task).ok_or_else(long)
            });
            match message {
                // Where the process has died, the thread that hears it gives the job up.
                Ok(message) => client.send(&message),
                Err(outcome) => {
                    self.graph().finish(job.id, Done::at_once(outcome));
                    self.tell();
                }
            }
        }
    }

    fn job_with_room(&self) -> Option<Job> {
        let mut graph = self.graph();
        let room = match self.jobs {
            1 => graph.running() == 0,
            jobs => graph.busy() < jobs && graph.running() < jobs + WAITING,
        };
        let job = if room { graph.take() } else { None }?;
        graph.note_start(job.id, BootTime::now());
        Some(job)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked never gives its lock back in a released program (panic=abort).
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::catalog::Source;
    use crate::sys::moddir::ModuleDir;
    use crate::sys::module::DryRun;

    /// A module with the trailer of a signature over the hash of this number.
    fn signed(hash: u8) -> Vec<u8> {
        let trailer = [1, hash, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        [&b"module?"[..], &trailer, b"~Module signature appended~\n"].concat()
    }

    #[test]
    fn what_hashes_modules_is_known_by_their_signatures() {
        const DEP: &str = "fast256.ko:\nslow256.ko:\nfast512.ko: slow256.ko\n";
        const ALIAS: &str = "alias crypto-sha256 fast256\nalias crypto-sha256 slow256\nalias crypto-sha512 fast512\n";
        for (file, want) in [
            (signed(4), &["fast256", "slow256"][..]),
            (signed(6), &["fast512"]),
            (b"not signed".to_vec(), &[]),
            (signed(2), &[]),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            std::fs::write(scratch.path().join("modules.dep"), DEP).unwrap();
            std::fs::write(scratch.path().join("modules.alias"), ALIAS).unwrap();
            std::fs::write(scratch.path().join("slow256.ko"), &file).unwrap();
            let catalog = Catalog::new(Arc::new(ModuleDir::at(scratch.path())));
            let dir = scratch.path().to_owned();
            let inserter = Inserter { ops: Arc::new(DryRun), dir, kernel: None };
            let found = hashing(&catalog, &Config::default(), &inserter);
            let names: Vec<&str> = found.iter().map(ModuleName::as_str).collect();
            assert_eq!(names, want);
        }
    }

    #[test]
    fn drivers_of_one_device_compete() {
        for (alias, source, want) in [
            (Some("pci:v1"), Source::Alias, vec!["a", "b"]),
            (Some("cpu:type:x86"), Source::Alias, vec![]),
            (Some("pci:v1"), Source::BuiltinAlias, vec![]),
            (None, Source::Name, vec![]),
        ] {
            let found = |name: &str, source| Match {
                module: name.into(),
                source,
                alias: alias.map(str::to_owned),
                pattern: None,
            };
            let all = [found("a", source), found("b", source), found("c", Source::Alias)];
            let names: Vec<&str> = rivals(&all, &all[2]).map(ModuleName::as_str).collect();
            assert_eq!(names, want, "{alias:?}");
            assert_eq!(rivals(&all, &all[0]).count(), 0);
        }
    }
}
