//! PID 1 of an initramfs, told from top to bottom by [`Boot::run_stages`].
//!
//! Whatever goes wrong ends in [`rescue`], which says why in words and in one verdict line, and then does what
//! `coldplug.onfail=` says; PID 1 itself never ends.

mod coldplug;
mod deferred_probe;
mod early_mounts;
mod finish;
mod log;
mod rescue;
mod root;
mod root_hint;
mod root_wait;
mod switch_root;
mod systemd;

pub use finish::finish;
pub use root_hint::RootHint;
pub use switch_root::free_initramfs;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cmdline::KernelCommandLine;
use crate::cmdline::boot::{AsyncProbe, Break, Decode, Settle};
use crate::cmdline::storage::StorageParams;
use crate::kmod::catalog::Catalog;
use crate::kmod::name::ModuleName;
use crate::load::Outcome;
use crate::load::{Inserter, Loader, Order, Rank, Settings};
use crate::report::{Record, Verdict};
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::module::Kernel;
use crate::sys::uevent::Socket;
use crate::sys::{self, Root, boottime_ns, device, helper, process, procfs, sysfs};
use coldplug::Coldplug;
use log::Log;
use root_wait::RootWait;
use switch_root::SwitchRootError;

/// Where the new root is mounted until it is the root; systemd knows this name too.
const SYSROOT: &str = "sysroot";
/// Where the record lies, in the initramfs and in the real root.
const RECORD: &str = "run/coldplug/record.json";
/// How long the port of `coldplug.report=` may take for the next byte.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// The record of an earlier boot, where the image carries one.
const EARLIER_RECORD: &str = "etc/coldplug/record.json";
/// Modules that were wanted and not loaded, a name a line, for the real system to load.
const REMAINING: &str = "run/coldplug/remaining";
/// Loads that may be under way at once, besides one for each processor: they sleep a good deal.
const EXTRA_JOBS: usize = 2;

/// Why the boot cannot go on.
#[derive(Debug)]
struct BootError {
    verdict: Verdict,
    text: String,
}

impl BootError {
    fn new(verdict: Verdict, text: impl ToString) -> Self {
        Self { verdict, text: text.to_string() }
    }
}

/// One boot.
#[derive(Debug)]
struct Boot {
    root: Root,
    /// Our arguments; those behind the first are the real init's.
    args: Vec<OsString>,
    log: Log,
    /// The kernel command line, and what it asks of us.
    params: KernelCommandLine,
    record: Record,
    began: u64,
}

/// Boots: from the entry of /init to the real init. Never comes back.
pub fn run(root: Root, args: Vec<OsString>) -> ! {
    let began = boottime_ns();
    rescue::install_panic_hook(&root);
    let record = Record { init_boottime_ns: began, ..Record::default() };
    let mut boot =
        Boot { root, args, log: Log::new(), params: KernelCommandLine::default(), record, began };
    match boot.run_stages() {
        Ok(never) => match never {},
        Err(stop) => boot.rescue(&stop),
    }
}

impl Boot {
    fn run_stages(&mut self) -> Result<Infallible, BootError> {
        self.mount_early()?;
        self.read_parameters();
        let socket = self.open_uevent_socket();
        self.break_at(Break::Scan);
        let root_hint = RootHint::new(&self.params.root, self.earlier_record().as_deref());
        let loader = self.loader(&root_hint)?;
        self.load_listed(&loader);
        self.wait_for_root(&loader, &root_hint, socket)?;
        self.break_at(Break::Switch);
        self.switch()
    }

    fn mount_early(&mut self) -> Result<(), BootError> {
        let lacking = early_mounts::mount_all(&self.root)
            .map_err(|e| BootError::new(Verdict::NoMounts, e))?;
        self.record.warnings.extend(lacking.iter().map(ToString::to_string));
        // Before the mounts there may have been no console to open.
        let _ = process::open_console(&self.root);
        self.record.warnings.extend(helper::provide(&self.root).err().map(|e| e.to_string()));
        Ok(())
    }

    fn read_parameters(&mut self) {
        self.params = procfs::kernel_command_line(&self.root);
        self.log.open(&self.root, self.params.boot.level());
        rescue::set_policy(&self.params.boot);
        self.record.kernel = sys::release();
        self.record.root.spec = self.params.root.spec().to_owned();
        self.log.info(&format!(
            "version {}, kernel {}",
            env!("CARGO_PKG_VERSION"),
            self.record.kernel
        ));
        for warning in self.params.warnings.clone() {
            self.warn(warning.to_string());
        }
        self.end_phase("mounts");
    }

    /// Opens the event socket: before the first scan, so that no device falls between the two.
    fn open_uevent_socket(&mut self) -> Option<Socket> {
        match Socket::open(self.params.boot.rcvbuf) {
            Ok(socket) => Some(socket),
            Err(error) => {
                self.warn(format!(
                    "{error}; looking for new devices every {} ms",
                    root_wait::POLL_INTERVAL.as_millis()
                ));
                None
            }
        }
    }

    /// The record that the image carries. That it carries none is the rule.
    fn earlier_record(&self) -> Option<String> {
        std::fs::read_to_string(self.root.join(EARLIER_RECORD)).ok()
    }

    /// The order of loads: what the command line says, and what is known of the way to the root.
    fn load_order(&mut self, root_hint: &RootHint) -> Order {
        let names = |list: &[String]| list.iter().map(|n| ModuleName::new(n)).collect();
        let replay = self.params.boot.replay.clone().map(|path| {
            let text = std::fs::read_to_string(self.root.join(&path)).map_err(|e| e.to_string());
            text.and_then(|t| Record::order(&t).ok_or_else(|| "this is not a boot record".into()))
                .map_err(|e| format!("coldplug.replay: {path}: {e}"))
        });
        let replay = replay.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|error| {
            self.warn(error);
            Vec::new()
        });
        Order {
            alone: names(&self.params.boot.exclusive),
            hold: (self.params.boot.settle == Settle::Root && replay.is_empty())
                .then_some(Rank::Root),
            replay,
            seed: self.params.boot.seed,
            first: root_hint.modules.clone(),
            probing: self.async_probe(),
            serial: self.params.boot.jobs == Some(1),
        }
    }

    /// What is loaded with `async_probe`. A probe in the kernel's asynchronous work may ask for a module and wait for
    /// modprobe, whose load would wait for all asynchronous work: for that probe too, for ever. So modprobe's
    /// loads must not wait either, and where the kernel has no switch for it, nothing is loaded so.
    fn async_probe(&mut self) -> AsyncProbe {
        let wanted = self.params.boot.async_probe;
        if wanted != AsyncProbe::None
            && let Err(error) = sysfs::set_async_probe(&self.root, true)
        {
            self.warn(format!("coldplug.async: {error}; loading without"));
            return AsyncProbe::None;
        }
        wanted
    }

    fn loader(&mut self, root_hint: &RootHint) -> Result<Loader, BootError> {
        let dir = ModuleDir::new(&self.root, &self.record.kernel);
        let catalog = Catalog::new(Arc::new(dir.clone()));
        if !catalog.is_present() {
            self.warn(format!(
                "no modules for kernel {}: {} is missing",
                self.record.kernel,
                dir.path().join("modules.dep").display()
            ));
        }
        let mut warnings = Vec::new();
        let config = moddir::config_with(&self.root, &dir, &self.params.modules, &mut warnings);
        for warning in warnings {
            self.warn(warning.to_string());
        }
        let kernel = match self.params.boot.decode {
            Decode::Kernel => sysfs::kernel_compression(&self.root),
            Decode::User => None,
        };
        let inserter = Inserter { ops: Arc::new(Kernel), dir: dir.path().to_owned(), kernel };
        let jobs = self.params.boot.jobs.unwrap_or_else(|| sys::processors() + EXTRA_JOBS);
        let settings = Settings { jobs, order: self.load_order(root_hint), apart: true };
        Loader::new(self.root.clone(), catalog, config, inserter, settings)
            .inspect(|loader| rescue::set_loads(loader.brake()))
            .map_err(|e| BootError::new(Verdict::NoMounts, e))
    }

    /// Asks for the modules of `coldplug.modules=` before any device is looked at.
    fn load_listed(&mut self, loader: &Loader) {
        for name in self.params.boot.extra_modules.clone() {
            match loader.want_name(&name, Rank::Root) {
                Some(modules) => {
                    loader.wait_for(&modules, root_wait::LISTED_TIMEOUT);
                }
                None => self.warn(format!("coldplug.modules: no module or alias '{name}'")),
            }
        }
    }

    /// What lies below and above the root filesystem. A root that is to be verified is on no other device than the one
    /// that verifies it, whatever `root=` says.
    fn storage(&mut self) -> Result<StorageParams, BootError> {
        let storage =
            self.params.storage.clone().map_err(|e| BootError::new(Verdict::MountFailed, e))?;
        let spec = self.params.root.spec().to_owned();
        if storage.verity.is_some() && spec != root::VERITY_DEVICE {
            if self.params.root.is_named() {
                self.warn(format!(
                    "root={spec} gives way to {}, which is verified",
                    root::VERITY_DEVICE
                ));
            }
            self.params.root.replace(root::VERITY_DEVICE);
            self.record.root.spec = root::VERITY_DEVICE.to_owned();
        }
        Ok(storage)
    }

    /// Loads what devices want until the root is mounted and, by default, all has settled.
    fn wait_for_root(
        &mut self,
        loader: &Loader,
        root_hint: &RootHint,
        socket: Option<Socket>,
    ) -> Result<(), BootError> {
        let root = self.root.clone();
        let storage = self.storage()?;
        root_wait::filesystem_modules(loader, &self.params.root.fstypes);
        for module in storage.modules() {
            loader.want_name(module, Rank::Root);
        }
        let mut coldplug =
            Coldplug::new(&root, loader, root_hint, self.params.boot.jobs == Some(1));
        let awaited = RootWait::new(self, loader, &mut coldplug, socket, storage).run();
        if awaited.is_ok() {
            self.stop_loading(loader);
        }
        self.record_modules(loader, &coldplug);
        self.log_deferred();
        awaited
    }

    /// Ends the loading: behind the switch the module directory is another one. Loads that are under way go on.
    fn stop_loading(&mut self, loader: &Loader) {
        loader.close();
        if self.params.boot.async_probe != AsyncProbe::None {
            let _ = sysfs::set_async_probe(&self.root, false);
        }
        let open: Vec<String> = loader
            .records()
            .iter()
            .filter(|m| matches!(m.outcome, Outcome::Loading | Outcome::Waiting))
            .map(|m| m.name.to_string())
            .collect();
        if !open.is_empty()
            && let Err(error) =
                write(&self.root.join(REMAINING), (open.join("\n") + "\n").as_bytes())
        {
            self.warn(format!("remaining modules: {error}"));
        }
        self.end_phase("close");
    }

    /// Puts into the record what was loaded.
    fn record_modules(&mut self, loader: &Loader, coldplug: &Coldplug<'_>) {
        for warning in loader.take_warnings() {
            self.warn(warning);
        }
        self.record.modules = loader.records();
        for module in &self.record.modules {
            let line = module.line();
            if matches!(module.outcome, Outcome::Failed(_)) {
                self.log.warn(&line)
            } else {
                self.log.debug(&line)
            }
        }
        self.record.modaliases = coldplug.modaliases();
        self.record.uevents = coldplug.counts;
        self.record.lookup_us = loader.lookup_us();
        self.record.memory = (procfs::peak_memory(&self.root, "self"), loader.peak_memory());
    }

    /// Checks the root, makes it the root, and becomes its init.
    fn switch(&mut self) -> Result<Infallible, BootError> {
        let sysroot = self.root.join(SYSROOT);
        let ready = switch_root::prepare(&self.root, &sysroot, self.params.boot.init.as_deref())
            .map_err(|unfit| switch_root_error(&self.record.root.spec, unfit))?;
        let init = PathBuf::from(&ready.init);
        ready.switch(&self.root).map_err(|e| BootError::new(Verdict::SwitchFailed, e))?;
        // The old descriptors hold the old console's filesystem.
        let _ = process::open_console(&self.root);
        self.end_phase("switch");
        if let Some(command) = self.params.boot.exec.clone() {
            return Err(self.run_exec_command(&command));
        }
        self.finish_record(Verdict::Ok);
        let mut args = vec![init.clone().into_os_string()];
        args.extend(systemd::arguments(&init, self.began));
        args.extend(self.args.iter().skip(1).cloned());
        let error = process::exec(&init, &args);
        Err(BootError::new(Verdict::ExecFailed, error))
    }

    /// Runs the command of `coldplug.exec=` in the place of the real init, and powers off.
    fn run_exec_command(&mut self, command: &str) -> BootError {
        match process::shell_command(command, &[]) {
            Ok(status) => {
                self.record.exit = status.code().or(Some(-1));
                self.finish_record(Verdict::Ok);
                rescue::leave(process::Leave::PowerOff)
            }
            Err(error) => BootError::new(Verdict::ExecFailed, format!("coldplug.exec: {error}")),
        }
    }

    /// Writes the record and says the verdict: the last line of every boot.
    fn finish_record(&mut self, verdict: Verdict) {
        self.record.verdict = Some(verdict);
        self.record.time_ms = (boottime_ns() - self.began) / 1_000_000;
        let json = self.record.to_json() + "\n";
        if let Err(error) = write(&self.root.join(RECORD), json.as_bytes()) {
            self.log.warn(&format!("record: {error}"));
        }
        self.log.print(&self.record.verdict_line());
        // Last, and not for long: a port may be slow, or have nobody at its other end.
        if let Some(path) = &self.params.boot.report
            && let Err(error) =
                device::write(&self.root.join(path), json.as_bytes(), REPORT_TIMEOUT)
        {
            self.log.debug(&format!("coldplug.report: {error}"));
        }
    }

    /// Notes and says what was passed over.
    fn warn(&mut self, text: String) {
        self.log.warn(&text);
        self.record.warnings.push(text);
    }

    /// The same where it may be found again and again.
    fn warn_once(&mut self, text: String) {
        if !self.record.warnings.contains(&text) {
            self.warn(text);
        }
    }

    /// Notes when a phase of the boot ended.
    fn end_phase(&mut self, name: &'static str) {
        self.record.phases.push((name, (boottime_ns() - self.began) / 1000));
    }

    /// Stops for a person where `coldplug.break=` says so.
    fn break_at(&mut self, place: Break) {
        if self.params.boot.break_at == Some(place) {
            self.params.boot.break_at = None;
            // Not by the kernel, which may print it when the shell has been left.
            self.log.error(&format!("stopped by coldplug.break={place}; leave the shell to go on"));
            if let Err(error) = rescue::shell(&self.root) {
                self.warn(format!("coldplug.break: {error}"));
            }
        }
    }
}

/// Writes a whole file, making the folder it is in.
fn write(path: &Path, bytes: &[u8]) -> sys::Result<()> {
    let failed = |e: std::io::Error| sys::Error::io("write", path, &e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

fn switch_root_error(spec: &str, unfit: SwitchRootError) -> BootError {
    match unfit {
        SwitchRootError::Other(error) => BootError::new(Verdict::SwitchFailed, error),
        SwitchRootError::NoInit(tried) => {
            let each =
                |(path, errno): &(String, _)| format!("{path}: {}", sys::errno::text(*errno));
            let tried: Vec<String> = tried.iter().map(each).collect();
            BootError::new(
                Verdict::NoInit,
                format!("no init on root {spec} ({})", tried.join("; ")),
            )
        }
    }
}

/// A duration for messages: seconds and tenths.
fn seconds(duration: Duration) -> String {
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}

/// A duration for comparisons with CLOCK_BOOTTIME.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
