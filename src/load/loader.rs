//! The Loader: takes requests for modules and reports their state.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::dispatcher::Dispatcher;
use super::inserter::Inserter;
use super::lock;
use super::record::ModuleRecord;
use super::settings::{ExecutorKind, Settings};
use super::shutdown::ShutdownHandle;
use super::signature_hash::SignatureHashes;
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::sys::{self, BootTime, Root};

/// The only way to have a module loaded together with all that it needs.
#[derive(Debug)]
pub(crate) struct Loader {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) catalog: Catalog,
    pub(super) config: Config,
    pub(super) warnings: Mutex<Vec<String>>,
    /// Time spent in lookups and plans, in nanoseconds.
    pub(super) lookup_ns: AtomicU64,
}

impl Drop for Loader {
    /// Lets the worker process end once it has nothing to do.
    fn drop(&mut self) {
        self.dispatcher.retire();
    }
}

impl Loader {
    /// Creates a loader over one kernel's catalog and configuration. Among the modules that are
    /// requested, [`super::SchedulePolicy::first`] and the modules that speed up the signature
    /// check of all later ones start first.
    ///
    /// # Errors
    /// eventfd(2) fails, or there is no thread for the supervisor of the worker process.
    pub(crate) fn new(
        root: Root,
        catalog: Catalog,
        config: Config,
        inserter: Inserter,
        mut settings: Settings,
    ) -> sys::Result<Self> {
        let hashes = SignatureHashes::new(&catalog, &config);
        let dispatcher = if let ExecutorKind::WorkerProcess(_) = settings.executor {
            let dispatcher = Dispatcher::start(root, inserter, settings)?;
            dispatcher.look_ahead(hashes);
            dispatcher
        } else {
            let hash = inserter.signature_hash(&hashes.files).unwrap_or_default();
            settings.policy.first.extend(hashes.of(&hash));
            Dispatcher::start(root, inserter, settings)?
        };
        let (warnings, lookup_ns) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { dispatcher, catalog, config, warnings, lookup_ns })
    }

    /// Compares the indexes with their texts, as [`Catalog::check`] does. Returns whether one is
    /// damaged: then modaliases without a module may have one now.
    pub(crate) fn check_indexes(&self) -> bool {
        self.catalog.check()
    }

    /// Notes that `module` may be live in the kernel before its load has returned.
    pub(crate) fn note_live(&self, module: &ModuleName) {
        if self.dispatcher.graph().is_loading(module) && self.dispatcher.worker().is_live(module) {
            self.dispatcher.graph().note_live(module, BootTime::now());
            self.dispatcher.dispatch();
        }
    }

    /// Checks every module that is being loaded for being live, because events may have been lost.
    pub(crate) fn poll_live(&self) {
        let loading = self.dispatcher.graph().loading();
        loading.iter().for_each(|module| self.note_live(module));
    }

    /// Starts ready tasks that only the caller may start: the next one of a sequential loader, or
    /// all if the caller is the executor. Otherwise does nothing.
    pub(crate) fn drive(&self) {
        self.dispatcher.send_next_sequential();
        while self.run_one() {}
    }

    /// Runs one task on the caller's thread if that is the executor. Returns whether there was one.
    pub(crate) fn run_one(&self) -> bool {
        self.dispatcher.run_inline()
    }

    /// Returns whether no task runs and none can start now.
    pub(crate) fn is_idle(&self) -> bool {
        self.dispatcher.graph().is_idle()
    }

    /// Returns whether a task runs.
    pub(crate) fn is_loading(&self) -> bool {
        self.dispatcher.graph().running() > 0
    }

    /// Returns the number of loads that work: their modules are not live yet, and they do not only
    /// wait for the kernel.
    pub(crate) fn busy(&self) -> usize {
        self.dispatcher.graph().busy()
    }

    /// Returns the modules that are live or have ended, in the order in which they came to that and
    /// without the first `count`, and whether each is live.
    #[cfg(feature = "host")]
    pub(crate) fn settled_since(&self, count: usize) -> Vec<(ModuleName, bool)> {
        self.dispatcher.graph().settled_since(count)
    }

    /// Returns the number of loads that have started so far.
    pub(crate) fn started(&self) -> u64 {
        self.dispatcher.graph().started()
    }

    /// Returns whether ready steps are held back that no running load will release: by
    /// [`super::SchedulePolicy::hold_below`], or because the next module of a replayed record has
    /// not been requested.
    pub(crate) fn has_held(&self) -> bool {
        self.dispatcher.graph().has_held()
    }

    /// Releases the next rank that is held back, or the next requested module of a replayed record.
    pub(crate) fn release(&self) {
        self.dispatcher.graph().release();
        self.dispatcher.dispatch();
    }

    /// Returns whether nothing is left to do for these modules, or they are live already.
    pub(crate) fn is_done(&self, modules: &[ModuleName]) -> bool {
        let graph = self.dispatcher.graph();
        modules.iter().all(|m| graph.is_done(m))
    }

    /// Waits until nothing is left to do for these modules or `timeout` has passed; returns whether
    /// it was done in time.
    pub(crate) fn wait_for(&self, modules: &[ModuleName], timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            self.drive();
            let left = deadline.saturating_duration_since(Instant::now());
            let is_done = |graph: &super::graph::Graph| modules.iter().all(|m| graph.is_done(m));
            if self.dispatcher.wait_unless(is_done, left) || left.is_zero() {
                return left > Duration::ZERO;
            }
        }
    }

    /// Starts no more loads, except for one that returns when all devices have been probed, if
    /// others may return before ([`super::ShutdownHandle::drain`] waits for it).
    pub(crate) fn drain(&self) {
        self.dispatcher.graph().drain();
        self.dispatcher.dispatch();
    }

    /// Starts no more loads. Loads under way go on in a worker process. Elsewhere they would end
    /// with this process, and the call waits for them.
    pub(crate) fn close(&self) {
        self.dispatcher.close();
    }

    /// Returns a handle that ends the loads from elsewhere.
    pub(crate) fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(Arc::clone(&self.dispatcher))
    }

    /// Returns a descriptor that is readable once a task has ended.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.dispatcher.wake_fd()
    }

    /// Makes [`Self::wake_fd`] unreadable again.
    pub(crate) fn clear_wake(&self) {
        self.dispatcher.clear_wake();
    }

    /// Returns the requested modules: first those that are live or have ended, in the order in
    /// which they came to that, then the others.
    pub(crate) fn records(&self) -> Vec<ModuleRecord> {
        self.dispatcher.graph().records()
    }

    /// Returns the warnings since the last call.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.catalog.take_warnings().iter().map(ToString::to_string).collect();
        all.append(&mut lock(&self.warnings));
        all
    }

    /// Returns the messages about slow loads since the last call.
    pub(crate) fn take_notices(&self) -> Vec<String> {
        self.dispatcher.graph().take_notices()
    }

    /// Returns the time spent in lookups and plans so far.
    pub(crate) fn lookup_time(&self) -> Duration {
        Duration::from_nanos(self.lookup_ns.load(Ordering::Relaxed))
    }

    /// Returns the peak memory of the worker process in bytes; `None` if there is no such process.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        self.dispatcher.peak_memory()
    }
}
