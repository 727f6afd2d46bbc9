//! The loader of a boot: its settings, the modules that are listed by name, its end.

use std::sync::Arc;
use std::time::Duration;

use super::coldplug::Coldplug;
use super::error::BootError;
use super::reporter::{Counters, HAS_RECORD, Reporter};
use super::{Boot, EXTRA_JOBS, REMAINING, modules_text, rescue, seconds, write};
use crate::byte_text;
use crate::cmdline::boot::{AsyncProbe, Decode, Settle};
use crate::kmod::catalog::Catalog;
use crate::kmod::name::ModuleName;
use crate::kmod::proc_modules;
use crate::load::{
    Concurrency, ExecutorKind, Inserter, Loader, ModuleRecord, Outcome, Rank, SchedulePolicy,
    Settings,
};
use crate::report::Record;
use crate::scan::RootHint;
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::module::Kernel;
use crate::sys::modules_load;
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::{self, BootTime, Root, procfs, signals, sysfs, watchdog};

/// Longest wait for a module that is loaded before the first scan; then the boot goes on without it.
const FIRST_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval at which messages about slow loads are printed during that wait.
const NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// Waits for modules, and reports slow loads meanwhile. Returns whether the boot can go on without
/// a warning: nothing is left to do for the modules, or Ctrl-Alt-Del is pressed, which ends the
/// boot.
fn wait_for_first(reporter: &mut Reporter, loader: &Loader, modules: &[ModuleName]) -> bool {
    let began = BootTime::now();
    let deadline = began + FIRST_TIMEOUT;
    loop {
        let left = deadline - BootTime::now();
        let done = loader.wait_for(modules, left.min(NOTICE_INTERVAL)) || loader.is_done(modules);
        reporter.warn_all(loader.take_notices());
        // It runs already if this is a retry. The event loop reports a ping that fails.
        let _ = watchdog::ping_if_due();
        let is_over = done || signals::is_ctrl_alt_del_pressed();
        if is_over || left.is_zero() {
            if HAS_RECORD {
                reporter.add_wait(modules_text(modules), began);
            }
            return is_over;
        }
    }
}

/// Notes how much memory the kernel uses for each of `modules`: one read of /proc/modules.
pub(super) fn note_sizes(dir: &Root, modules: &mut [ModuleRecord]) {
    // Without it no size is known.
    let text = procfs::modules(dir).unwrap_or_default();
    // The kernel lists the latest module first, and the record the latest last.
    for loaded in proc_modules::parse(&text) {
        let mut latest = modules.iter_mut().rev();
        if let Some(module) = latest.find(|m| m.name.as_bytes() == loaded.name.as_bytes()) {
            module.size = Some(loaded.size);
        }
    }
}

impl Boot {
    /// Starts the loader.
    pub(super) fn loader(&mut self, root_hint: &RootHint) -> Result<Loader, BootError> {
        let dir = ModuleDir::new(&self.dir, &self.release);
        let catalog = Catalog::checked(Arc::new(dir.clone()));
        if !catalog.is_present() {
            self.reporter.warn(format!(
                "no modules for kernel {}: {} not found",
                self.release,
                dir.path().join("modules.dep").display()
            ));
        }
        let mut warnings = Vec::new();
        let mut config = moddir::config_with(&self.dir, &dir, &self.params.modules, &mut warnings);
        self.listed = modules_load::names(
            &self.dir,
            &self.params.boot.more_modules,
            &mut config,
            &mut warnings,
        );
        for warning in warnings {
            self.reporter.warn(warning.to_string());
        }
        let kernel = match self.params.boot.decode {
            Decode::Kernel => sysfs::kernel_compression(&self.dir),
            Decode::User => None,
        };
        let inserter = Inserter { ops: Arc::new(Kernel), dir: dir.path().to_owned(), kernel };
        let jobs = self.params.boot.jobs.unwrap_or_else(|| sys::processors() + EXTRA_JOBS);
        self.reporter.set_jobs(jobs);
        let executor = ExecutorKind::WorkerProcess(Concurrency::from_jobs(jobs));
        let settings = Settings { executor, policy: self.schedule_policy(root_hint) };
        Loader::new(self.dir.clone(), catalog, config, inserter, settings)
            .inspect(|loader| rescue::add_shutdown_handle(loader.shutdown_handle()))
            .map_err(BootError::Setup)
    }

    /// Returns the order of loads: what the command line says, and what is known of the root.
    fn schedule_policy(&mut self, root_hint: &RootHint) -> SchedulePolicy {
        let names = |list: &[String]| list.iter().map(ModuleName::new).collect();
        let replay = self.replay();
        let hold = self.params.boot.settle == Settle::Root && replay.is_empty();
        SchedulePolicy {
            exclusive: names(&self.params.boot.exclusive),
            hold_below: hold.then_some(Rank::Root),
            replay,
            seed: self.params.boot.seed,
            first: root_hint.modules.clone(),
            async_probe: self.async_probe(),
            module_timeout: Some(self.params.boot.module_timeout).filter(|time| !time.is_zero()),
        }
    }

    /// Reads the order of the record that `coldplug.replay=` names; without one it is empty.
    fn replay(&mut self) -> Vec<ModuleName> {
        let Some(path) = &self.params.boot.replay else { return Vec::new() };
        let text = regular_file::read_text(&self.dir.join(byte_text::to_path(path)), RECORD_LIMIT);
        let text = text.map_err(|error| error.cause.to_string());
        let order =
            text.and_then(|t| Record::load_order(&t).ok_or_else(|| "not a boot record".into()));
        order.unwrap_or_else(|error| {
            let text = format!("coldplug.replay: {path}: {error}");
            self.reporter.warn(text);
            Vec::new()
        })
    }

    /// Returns which modules are loaded with `async_probe`.
    ///
    /// A probe in the kernel's asynchronous work may request a module and wait for modprobe. The
    /// load by modprobe would wait for all asynchronous work, including that probe: a deadlock.
    /// Modprobe's loads must not wait either; if the kernel has no switch for that, no module is
    /// loaded with `async_probe`.
    fn async_probe(&mut self) -> AsyncProbe {
        let wanted = self.params.boot.async_probe;
        if wanted != AsyncProbe::None
            && let Err(error) = sysfs::set_async_probe(&self.dir, true)
        {
            self.reporter.warn(format!("coldplug.async: {error}; async_probe is not used"));
            return AsyncProbe::None;
        }
        wanted
    }

    /// Loads the modules of `rd.driver.pre=` and `coldplug.modules=` before the first scan.
    pub(super) fn load_first(&mut self, loader: &Loader) {
        for (parameter, names) in self.params.boot.first_modules() {
            for name in names {
                let modules = loader.want_listed(parameter, name.as_bytes(), Rank::Root);
                let warning = match modules {
                    Ok(modules) if wait_for_first(&mut self.reporter, loader, &modules) => continue,
                    Ok(_) => format!(
                        "{parameter}: {name} not loaded after {}; continuing the boot",
                        seconds(FIRST_TIMEOUT)
                    ),
                    Err(unknown) => unknown,
                };
                self.reporter.warn(warning);
            }
        }
    }

    /// Requests the modules that the command line and the lists of the image name, after those of the
    /// devices that are there.
    pub(super) fn request_listed(&mut self, loader: &Loader) {
        for (place, name) in &self.listed {
            if let Err(unknown) = loader.want_listed(place, name, Rank::Rest) {
                self.reporter.warn(unknown);
            }
        }
    }

    /// Stops the loader, because the module directory is another one after the switch. Loads that
    /// have started go on; the modules whose loads have not ended are listed in
    /// /run/coldplug/remaining.
    pub(super) fn stop_loading(&mut self, loader: &Loader) {
        loader.close();
        if self.params.boot.async_probe != AsyncProbe::None {
            let _ = sysfs::set_async_probe(&self.dir, false);
        }
        let open: Vec<String> = loader
            .records()
            .iter()
            .filter(|m| matches!(m.outcome, Outcome::Loading | Outcome::Waiting))
            .map(|m| m.name.to_string())
            .collect();
        if self.params.boot.lock && !open.is_empty() {
            let text = format!("coldplug.lock: not loaded before the lock: {}", open.join(", "));
            self.reporter.warn(text);
        }
        let list = open.join("\n") + "\n";
        if !open.is_empty()
            && let Err(error) = write(&self.dir.join(REMAINING), list.as_bytes())
        {
            self.reporter.warn(format!("remaining modules: {error}"));
        }
        self.reporter.end_phase("close");
    }

    /// Records what was loaded.
    pub(super) fn record_modules(&mut self, loader: &Loader, coldplug: &Coldplug<'_>) {
        self.reporter.warn_all(loader.take_notices());
        self.reporter.warn_all(loader.take_warnings());
        let mut modules = loader.records();
        if HAS_RECORD {
            note_sizes(&self.dir, &mut modules);
        }
        self.reporter.set_modules(modules);
        self.reporter.set_counters(Counters {
            modaliases: coldplug.modaliases(),
            uevents: coldplug.counts(),
            lookup: loader.lookup_time(),
            peaks: (procfs::peak_memory(&self.dir, "self"), loader.peak_memory()),
        });
    }
}
