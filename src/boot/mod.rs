//! PID 1 of an initramfs, told from top to bottom by [`Boot::story`].
//!
//! Whatever goes wrong ends in [`rescue`], which says why in words and in one verdict line, and then does what
//! `coldplug.onfail=` says; PID 1 itself never ends.

mod coldplug;
mod deferred;
mod early;
mod finish;
mod log;
mod rescue;
mod root;
mod switch_root;
mod systemd;
mod wait;
mod way;

pub use finish::finish;
pub use switch_root::free;
pub use way::Way;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cmdline::boot::{Async, BootParams, Break, Decode, Settle};
use crate::cmdline::storage::Storage;
use crate::kmod::catalog::Catalog;
use crate::kmod::name::ModuleName;
use crate::load::{Inserter, Loader, Order, Rank, Settings};
use crate::report::{Outcome, Record, Verdict};
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::module::Kernel;
use crate::sys::uevent::Socket;
use crate::sys::{self, Root, boottime_ns, device, helper, process, procfs, sysfs};
use coldplug::Coldplug;
use log::Log;
use switch_root::Unfit;
use wait::Wait;

/// Where the new root is mounted until it is the root; systemd knows this name too.
const SYSROOT: &str = "sysroot";
/// Where the record lies, in the initramfs and in the real root.
const RECORD: &str = "run/coldplug/record.json";
/// How long the port of `coldplug.report=` may take for the next byte.
const REPORT: Duration = Duration::from_secs(2);
/// The record of an earlier boot, where the image carries one.
const EARLIER: &str = "etc/coldplug/record.json";
/// Modules that were wanted and not loaded, a name a line, for the real system to load.
const REMAINING: &str = "run/coldplug/remaining";
/// Loads that may be under way at once, besides one for each processor: they sleep a good deal.
const EXTRA_JOBS: usize = 2;

/// Why the boot cannot go on.
#[derive(Debug)]
struct Stop {
    verdict: Verdict,
    text: String,
}

impl Stop {
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
    cmdline: String,
    params: BootParams,
    record: Record,
    began: u64,
}

/// Boots: from the entry of /init to the real init. Never comes back.
pub fn run(root: Root, args: Vec<OsString>) -> ! {
    let began = boottime_ns();
    rescue::guard(&root);
    let record = Record { init_boottime_ns: began, ..Record::default() };
    let mut boot = Boot {
        root,
        args,
        log: Log::new(),
        cmdline: String::new(),
        params: BootParams::default(),
        record,
        began,
    };
    match boot.story() {
        Ok(never) => match never {},
        Err(stop) => boot.rescue(&stop),
    }
}

impl Boot {
    fn story(&mut self) -> Result<Infallible, Stop> {
        self.mount_early()?;
        self.read_parameters();
        let socket = self.listen();
        self.pause_at(Break::Scan);
        let way = Way::new(&self.params, self.earlier().as_deref());
        let loader = self.loader(&way)?;
        self.load_listed(&loader);
        self.await_root(&loader, &way, socket)?;
        self.pause_at(Break::Switch);
        self.switch()
    }

    fn mount_early(&mut self) -> Result<(), Stop> {
        let lacking = early::mount_all(&self.root).map_err(|e| Stop::new(Verdict::NoMounts, e))?;
        self.record.warnings.extend(lacking.iter().map(ToString::to_string));
        // Before the mounts there may have been no console to open.
        let _ = process::open_console(&self.root);
        self.record.warnings.extend(helper::provide(&self.root).err().map(|e| e.to_string()));
        Ok(())
    }

    fn read_parameters(&mut self) {
        self.cmdline = procfs::cmdline(&self.root).unwrap_or_default();
        self.params = BootParams::parse(&self.cmdline);
        self.log.open(&self.root, self.params.level());
        rescue::set_policy(&self.params);
        self.record.kernel = sys::release();
        self.record.root.spec = self.params.root.spec().to_owned();
        self.log.info(&format!(
            "version {}, kernel {}",
            env!("CARGO_PKG_VERSION"),
            self.record.kernel
        ));
        for complaint in self.params.complaints.clone() {
            self.warn(complaint);
        }
        self.end_phase("mounts");
    }

    /// Opens the event socket: before the first scan, so that no device falls between the two.
    fn listen(&mut self) -> Option<Socket> {
        match Socket::open(self.params.rcvbuf) {
            Ok(socket) => Some(socket),
            Err(error) => {
                self.warn(format!(
                    "{error}; looking for new devices every {} ms",
                    wait::POLL.as_millis()
                ));
                None
            }
        }
    }

    /// The record that the image carries. That it carries none is the rule.
    fn earlier(&self) -> Option<String> {
        std::fs::read_to_string(self.root.join(EARLIER)).ok()
    }

    /// The order of loads: what the command line says, and what is known of the way to the root.
    fn order(&mut self, way: &Way) -> Order {
        let names = |list: &[String]| list.iter().map(|n| ModuleName::new(n)).collect();
        let replay = self.params.replay.clone().map(|path| {
            let text = std::fs::read_to_string(self.root.join(&path)).map_err(|e| e.to_string());
            text.and_then(|t| Record::order(&t).ok_or_else(|| "this is not a boot record".into()))
                .map_err(|e| format!("coldplug.replay: {path}: {e}"))
        });
        let replay = replay.unwrap_or_else(|| Ok(Vec::new())).unwrap_or_else(|error| {
            self.warn(error);
            Vec::new()
        });
        Order {
            alone: names(&self.params.alone),
            hold: (self.params.settle == Settle::Root && replay.is_empty()).then_some(Rank::Root),
            replay,
            seed: self.params.seed,
            first: way.modules.clone(),
            probing: self.probing(),
            serial: self.params.jobs == Some(1),
        }
    }

    /// What is loaded with `async_probe`. A probe in the kernel's asynchronous work may ask for a module and wait for
    /// modprobe, whose load would wait for all asynchronous work: for that probe too, for ever. So modprobe's
    /// loads must not wait either, and where the kernel has no switch for it, nothing is loaded so.
    fn probing(&mut self) -> Async {
        let wanted = self.params.probing;
        if wanted != Async::None
            && let Err(error) = sysfs::set_async_probe(&self.root, true)
        {
            self.warn(format!("coldplug.async: {error}; loading without"));
            return Async::None;
        }
        wanted
    }

    fn loader(&mut self, way: &Way) -> Result<Loader, Stop> {
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
        let config = moddir::config_with(&self.root, &dir, &self.cmdline, &mut warnings);
        for warning in warnings {
            self.warn(warning.to_string());
        }
        let kernel = match self.params.decode {
            Decode::Kernel => sysfs::kernel_compression(&self.root),
            Decode::User => None,
        };
        let inserter = Inserter { ops: Arc::new(Kernel), dir: dir.path().to_owned(), kernel };
        let jobs = self.params.jobs.unwrap_or_else(|| sys::processors() + EXTRA_JOBS);
        let settings = Settings { jobs, order: self.order(way), apart: true };
        Loader::new(self.root.clone(), catalog, config, inserter, settings)
            .inspect(|loader| rescue::set_loads(loader.brake()))
            .map_err(|e| Stop::new(Verdict::NoMounts, e))
    }

    /// Asks for the modules of `coldplug.modules=` before any device is looked at.
    fn load_listed(&mut self, loader: &Loader) {
        for name in self.params.modules.clone() {
            match loader.want_name(&name, Rank::Root) {
                Some(modules) => {
                    loader.wait_for(&modules, wait::LISTED);
                }
                None => self.warn(format!("coldplug.modules: no module or alias '{name}'")),
            }
        }
    }

    /// What lies below and above the root filesystem. A root that is to be verified is on no other device than the one
    /// that verifies it, whatever `root=` says.
    fn storage(&mut self) -> Result<Storage, Stop> {
        let storage =
            Storage::parse(&self.cmdline).map_err(|e| Stop::new(Verdict::MountFailed, e))?;
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
    fn await_root(
        &mut self,
        loader: &Loader,
        way: &Way,
        socket: Option<Socket>,
    ) -> Result<(), Stop> {
        let root = self.root.clone();
        let storage = self.storage()?;
        wait::filesystem_modules(loader, &self.params.root.fstypes);
        for module in storage.modules() {
            loader.want_name(module, Rank::Root);
        }
        let mut coldplug = Coldplug::new(&root, loader, way, self.params.jobs == Some(1));
        let awaited = Wait::new(self, loader, &mut coldplug, socket, storage).run();
        if awaited.is_ok() {
            self.close(loader);
        }
        self.gather(loader, &coldplug);
        self.tell_deferred();
        awaited
    }

    /// Ends the loading: behind the switch the module directory is another one. Loads that are under way go on.
    fn close(&mut self, loader: &Loader) {
        loader.close();
        if self.params.probing != Async::None {
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
    fn gather(&mut self, loader: &Loader, coldplug: &Coldplug<'_>) {
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
    fn switch(&mut self) -> Result<Infallible, Stop> {
        let sysroot = self.root.join(SYSROOT);
        let ready = switch_root::prepare(&self.root, &sysroot, self.params.init.as_deref())
            .map_err(|unfit| unfit_stop(&self.record.root.spec, unfit))?;
        let init = PathBuf::from(&ready.init);
        ready.go(&self.root).map_err(|e| Stop::new(Verdict::SwitchFailed, e))?;
        // The old descriptors hold the old console's filesystem.
        let _ = process::open_console(&self.root);
        self.end_phase("switch");
        if let Some(command) = self.params.exec.clone() {
            return Err(self.stand_in(&command));
        }
        self.conclude(Verdict::Ok);
        let mut args = vec![init.clone().into_os_string()];
        args.extend(systemd::words(&init, self.began));
        args.extend(self.args.iter().skip(1).cloned());
        let error = process::exec(&init, &args);
        Err(Stop::new(Verdict::ExecFailed, error))
    }

    /// Runs the command of `coldplug.exec=` in the place of the real init, and powers off.
    fn stand_in(&mut self, command: &str) -> Stop {
        match process::shell_command(command, &[]) {
            Ok(status) => {
                self.record.exit = status.code().or(Some(-1));
                self.conclude(Verdict::Ok);
                rescue::leave(process::Leave::PowerOff)
            }
            Err(error) => Stop::new(Verdict::ExecFailed, format!("coldplug.exec: {error}")),
        }
    }

    /// Writes the record and says the verdict: the last line of every boot.
    fn conclude(&mut self, verdict: Verdict) {
        self.record.verdict = Some(verdict);
        self.record.time_ms = (boottime_ns() - self.began) / 1_000_000;
        let json = self.record.to_json() + "\n";
        if let Err(error) = write(&self.root.join(RECORD), json.as_bytes()) {
            self.log.warn(&format!("record: {error}"));
        }
        self.log.print(&self.record.verdict_line());
        // Last, and not for long: a port may be slow, or have nobody at its other end.
        if let Some(path) = &self.params.report
            && let Err(error) = device::write(&self.root.join(path), json.as_bytes(), REPORT)
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
    fn pause_at(&mut self, place: Break) {
        if self.params.stop_at == Some(place) {
            self.params.stop_at = None;
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

fn unfit_stop(spec: &str, unfit: Unfit) -> Stop {
    match unfit {
        Unfit::Other(error) => Stop::new(Verdict::SwitchFailed, error),
        Unfit::NoInit(tried) => {
            let each =
                |(path, errno): &(String, _)| format!("{path}: {}", sys::errno::text(*errno));
            let tried: Vec<String> = tried.iter().map(each).collect();
            Stop::new(Verdict::NoInit, format!("no init on root {spec} ({})", tried.join("; ")))
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
