//! The Loader: look-up, plan and a bounded pool of workers around the graph.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::graph::{Done, Graph, Job};
use super::insert::{InsertError, Inserter};
use crate::kmod::catalog::{Catalog, Found};
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::kmod::plan::{Action, Planner, Step, Why};
use crate::kmod::uevent::Modalias;
use crate::report::{ModuleRecord, Origin, Outcome, Road};
use crate::sys::module::InitFlags;
use crate::sys::sysfs::{self, InitState};
use crate::sys::{self, Error, Root, boottime_ns, process};

/// How the Loader works.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Modules loaded at once; 1 loads one after the other, in the order asked for.
    pub jobs: usize,
}

/// The one door for "make this loaded".
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    catalog: Catalog,
    config: Config,
    warnings: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Shared {
    root: Root,
    jobs: usize,
    workers: Mutex<usize>,
    inserter: Inserter,
    graph: Mutex<Graph>,
    /// Told when steps become ready.
    work: Condvar,
    /// Told when a step has ended.
    ended: Condvar,
    /// Readable when a step has ended, for poll(2).
    wake: OwnedFd,
}

thread_local! {
    /// The job that this worker carries out while it holds no lock.
    static ACTING: RefCell<Option<(Arc<Shared>, usize)>> = const { RefCell::new(None) };
}

/// For a worker that will never come back (its code has panicked): gives its module up and lets the pool grow
/// again. Gives `false`, and does nothing, on a thread that is not at work on a module.
pub fn abandon() -> bool {
    let Some((shared, id)) =
        ACTING.try_with(|acting| acting.try_borrow_mut().ok()?.take()).ok().flatten()
    else {
        return false;
    };
    *lock(&shared.workers) -= 1;
    let outcome = Outcome::Failed("internal error while loading it".to_owned());
    shared.finish(
        id,
        Done { outcome, road: None, start_us: 0, end_us: boottime_ns() / 1000, again: false },
    );
    true
}

/// Workers sleep in the kernel and keep little on their stacks; the decoders live on the heap.
const STACK: usize = 256 << 10;

impl Loader {
    /// A loader over one kernel's catalog and configuration.
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
        let shared = Shared {
            root,
            jobs: settings.jobs,
            workers: Mutex::new(0),
            inserter,
            graph: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            wake,
        };
        Ok(Self { shared: Arc::new(shared), catalog, config, warnings: Mutex::default() })
    }

    /// Asks for every module that drives a device. Gives the number of modules that match, builtin ones
    /// included.
    ///
    /// `parents` are the modules whose drivers hold the devices above it. One of them that is still being loaded is
    /// waited for: it may be bringing up the device's siblings, and drivers number devices in the order in which
    /// they find them.
    pub fn want_device(&self, device: &str, modalias: &Modalias, parents: &[ModuleName]) -> usize {
        let found = self.catalog.lookup_modalias(&self.config, &modalias.normal());
        let origin = |f: &Found| Origin {
            device: Some(device.to_owned()),
            request: modalias.text(),
            pattern: f.pattern.clone(),
        };
        self.want(&found, parents, origin);
        found.len()
    }

    /// Asks for a module by name or alias, as modprobe(8) would. Gives the modules it stands for that
    /// are not builtin; `None` where nothing of that name is known.
    pub fn want_name(&self, name: &str) -> Option<Vec<ModuleName>> {
        let found = self.catalog.lookup(&self.config, name);
        let origin = |f: &Found| Origin {
            device: None,
            request: name.to_owned(),
            pattern: f.pattern.clone(),
        };
        self.want(&found, &[], origin);
        let modules = found.iter().filter(|f| !f.is_builtin()).map(|f| f.module.clone());
        (!found.is_empty()).then(|| modules.collect())
    }

    fn want(&self, found: &[Found], parents: &[ModuleName], origin: impl Fn(&Found) -> Origin) {
        let mut graph = self.shared.graph();
        let live = |module: &ModuleName| self.shared.is_live(module);
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
            let asked = found.iter().find(|f| step.why == Why::Asked && f.module == step.module);
            if asked.is_some() {
                step.after.extend(parents.iter().filter(|p| graph.is_coming(p)).cloned());
            }
            graph.add(step, asked.map(&origin));
        }
        let load = graph.load();
        drop(graph);
        for cycle in plan.cycles {
            lock(&self.warnings).push(format!("dependencies in a circle: {cycle}"));
        }
        self.shared.employ(load);
    }

    /// What becomes of a module that the configuration keeps out.
    fn refusal(&self, found: &Found) -> Option<Outcome> {
        let (config, module) = (&self.config, &found.module);
        if let Some(place) = config.masks.place(module) {
            return Some(Outcome::Masked(place.to_string()));
        }
        let listed = found.source.is_alias() && config.is_blacklisted(module);
        (listed || config.is_refused_by_kernel(module)).then_some(Outcome::Blacklisted)
    }

    /// Tells that the kernel has `module` live, though its load may not have come back yet.
    pub fn note_live(&self, module: &ModuleName) {
        if !self.shared.is_live(module) {
            return;
        }
        let load = {
            let mut graph = self.shared.graph();
            graph.note_live(module);
            graph.load()
        };
        self.shared.employ(load);
    }

    /// Works on the caller's thread where the system gives no threads; otherwise does nothing.
    pub fn drive(&self) {
        if *lock(&self.shared.workers) > 0 {
            return;
        }
        while let Some(job) = { self.shared.graph().take() } {
            self.shared.carry_out(job);
        }
    }

    /// Whether everything asked for has ended.
    pub fn is_idle(&self) -> bool {
        self.shared.graph().is_idle()
    }

    /// Whether nothing is left to do for these modules.
    pub fn is_done(&self, modules: &[ModuleName]) -> bool {
        let graph = self.shared.graph();
        modules.iter().all(|m| graph.is_done(m))
    }

    /// Waits until nothing is left to do for these modules, or the time is over; gives whether it is done.
    pub fn wait_for(&self, modules: &[ModuleName], longest: Duration) -> bool {
        self.drive();
        let open = |graph: &mut Graph| !modules.iter().all(|m| graph.is_done(m));
        let (graph, _) = self
            .shared
            .ended
            .wait_timeout_while(self.shared.graph(), longest, open)
            .unwrap_or_else(PoisonError::into_inner);
        modules.iter().all(|m| graph.is_done(m))
    }

    /// Starts no more loads, and waits for those that are under way, but not longer than `longest`. Gives how many
    /// are left: the kernel will not let go of a thread that is inside a module's init.
    pub fn close(&self, longest: Duration) -> usize {
        self.shared.graph().close();
        let (graph, _) = self
            .shared
            .ended
            .wait_timeout_while(self.shared.graph(), longest, |graph| graph.running() > 0)
            .unwrap_or_else(PoisonError::into_inner);
        graph.running()
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

    /// What was asked for so far: first what has ended, in the order in which it did.
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
}

impl Shared {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        lock(&self.graph)
    }

    fn is_live(&self, module: &ModuleName) -> bool {
        sysfs::initstate(&self.root, module) == Some(InitState::Live)
    }

    /// Sees to it that `load` steps, ready or running, have workers, as far as `jobs` allows.
    fn employ(self: &Arc<Self>, load: usize) {
        self.work.notify_all();
        let mut workers = lock(&self.workers);
        while *workers < self.jobs.min(load) {
            let shared = Arc::clone(self);
            let name = format!("load-{workers}");
            if thread::Builder::new()
                .name(name)
                .stack_size(STACK)
                .spawn(move || shared.serve())
                .is_err()
            {
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
            self.carry_out(job);
        }
    }

    fn carry_out(self: &Arc<Self>, job: Job) {
        let start_us = boottime_ns() / 1000;
        ACTING.set(Some((Arc::clone(self), job.id)));
        let (outcome, road, again) = self.act(&job);
        ACTING.set(None);
        let done = Done { outcome, road, start_us, end_us: boottime_ns() / 1000, again };
        self.finish(job.id, done);
    }

    /// Brings back what became of a job, and tells everybody who waits for it.
    fn finish(self: &Arc<Self>, id: usize, done: Done) {
        let load = {
            let mut graph = self.graph();
            graph.finish(id, done);
            graph.load()
        };
        self.employ(load);
        self.ended.notify_all();
        // A full counter is readable already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Does what the step says. The last value tells whether it may have failed only for what was loaded
    /// beside it: a driver that finds its place taken (EEXIST, EBUSY) by one that then finds no hardware.
    fn act(&self, job: &Job) -> (Outcome, Option<Road>, bool) {
        let Step { module, options, .. } = &job.step;
        match &job.step.action {
            Action::NoFile => (Outcome::Failed("no such module".to_owned()), None, false),
            Action::Masked(place) => (Outcome::Masked(place.clone()), None, false),
            Action::Command(command) => (command_outcome(command, module, options), None, false),
            Action::Insert(path) => {
                let (road, result) = self.inserter.insert(path, options, InitFlags::default());
                let taken = matches!(result, Err(InsertError::Kernel(Errno::EXIST | Errno::BUSY)));
                let outcome = self.outcome(module, result);
                let again = taken && !outcome.is_live();
                (outcome, road, again)
            }
        }
    }

    fn outcome(&self, module: &ModuleName, result: Result<(), InsertError>) -> Outcome {
        match result {
            Ok(()) => Outcome::Loaded,
            Err(InsertError::Missing) => Outcome::Missing,
            Err(InsertError::Kernel(Errno::NODEV)) => Outcome::NoDevice,
            // The module's own init may give EEXIST too; only "live" is success.
            Err(InsertError::Kernel(Errno::EXIST)) if self.is_live(module) => Outcome::Already,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }
}

/// Runs an install command. The usual ways to say "never" need no shell.
fn command_outcome(command: &str, module: &ModuleName, options: &str) -> Outcome {
    let program = command.split_whitespace().next().unwrap_or("");
    if matches!(
        program,
        "/bin/true" | "/bin/false" | "/usr/bin/true" | "/usr/bin/false" | "true" | "false" | ":"
    ) {
        return Outcome::Disabled;
    }
    let command = command.replace("$CMDLINE_OPTS", options);
    match process::shell_command(&command, &[("MODPROBE_MODULE", module.as_str())]) {
        Ok(status) if status.success() => Outcome::Commanded,
        Ok(status) => Outcome::Failed(format!("install command '{command}': {status}")),
        Err(error) => Outcome::Failed(format!("install command '{command}': {error}")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked never gives its lock back in a released program (panic=abort).
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
