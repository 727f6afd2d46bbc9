//! PID 1 of an initramfs. [`Boot::run_stages`] lists the stages of a boot from the first mount to
//! the exec of the real init.
//!
//! Every failure ends in [`rescue`]: it logs the cause, prints the verdict line and does what
//! `coldplug.onfail=` says. PID 1 itself never exits.

mod breakpoint;
mod bus_settle;
mod coldplug;
#[cfg(feature = "full")]
mod consoles;
#[cfg(not(feature = "full"))]
#[path = "no_consoles.rs"]
mod consoles;
#[cfg(feature = "full")]
mod deferred_probe;
#[cfg(not(feature = "full"))]
#[path = "no_deferred_probe.rs"]
mod deferred_probe;
mod early_mounts;
mod error;
mod event_loop;
#[cfg(feature = "full")]
mod exec_script;
#[cfg(not(feature = "full"))]
#[path = "no_exec_script.rs"]
mod exec_script;
#[cfg(feature = "full")]
mod exit_port;
#[cfg(not(feature = "full"))]
#[path = "no_exit_port.rs"]
mod exit_port;
#[cfg(feature = "host")]
mod finish;
mod fstab;
mod kernel_helper;
mod kernel_times;
#[cfg(feature = "full")]
mod keyboards;
#[cfg(feature = "full")]
mod led;
#[cfg(not(feature = "full"))]
#[path = "no_led.rs"]
mod led;
mod loading;
mod log;
mod new_root;
#[cfg(feature = "stacks")]
pub(crate) mod passphrase;
#[cfg(feature = "full")]
mod persistence;
#[cfg(not(feature = "full"))]
#[path = "no_persistence.rs"]
mod persistence;
mod reply;
mod report_port;
mod reporter;
mod request;
#[cfg(not(feature = "full"))]
mod requested_module;
mod rescue;
mod root;
mod root_check;
#[cfg(feature = "full")]
mod shell_access;
#[cfg(not(feature = "full"))]
#[path = "no_shell_access.rs"]
mod shell_access;
mod switch_root;
mod systemd;
mod threaded_loader;
mod watchdog;

#[cfg(feature = "full")]
pub(crate) use consoles::{NO_PASSWORD, NO_TERMINAL, Occasion, RESET};
#[cfg(feature = "full")]
pub(crate) use exec_script::serve_script;
#[cfg(feature = "host")]
pub(crate) use finish::finish;
#[cfg(feature = "full")]
pub(crate) use keyboards::load_drivers as load_keyboard_drivers;
#[cfg(feature = "full")]
pub(crate) use led::serve_led;
#[cfg(feature = "host")]
pub(crate) use persistence::find_device;
#[cfg(feature = "full")]
pub(crate) use persistence::serve_persistence;
pub(crate) use report_port::serve_report;
#[cfg(feature = "full")]
pub(crate) use request::Request;
#[cfg(not(feature = "full"))]
pub(crate) use requested_module::load_requested;
#[cfg(feature = "full")]
pub(crate) use root::block_devices;
pub(crate) use root::serve_mounts;
pub(crate) use switch_root::free_initramfs;

use std::convert::Infallible;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::byte_text;
use crate::cmdline::boot::{Break, Settle};
use crate::cmdline::root::AUTO;
use crate::cmdline::storage::StorageParams;
use crate::cmdline::{self, KernelCommandLine};
use crate::kmod::name::ModuleName;
use crate::load::{Loader, Rank};
use crate::report::{Event, Verdict};
use crate::scan::RootHint;
use crate::sys::crash::{self, Crash};
use crate::sys::device_nodes::DeviceNodes;
#[cfg(feature = "full")]
use crate::sys::keymap;
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::uevent::Socket;
use crate::sys::{self, BootTime, Root, child, inheritance, process, procfs, signals};
use breakpoint::Breakpoint;
use coldplug::Coldplug;
use error::{BootError, Interruption};
use event_loop::EventLoop;
use persistence::Persistence;
use reporter::{HAS_RECORD, Reporter};
use rescue::Resume;
use root::{MountWorker, RootSearch};
use root_check::{Checked, InitRequest, RootCheck};
use switch_root::{INITS, Ready, SwitchRootError};
use watchdog::WatchdogState;

/// The mount point of the new root until the switch; systemd uses this name too.
const SYSROOT: &str = "sysroot";
/// Path of the record, in the initramfs and in the real root.
pub(crate) const RECORD: &str = "run/coldplug/record.json";
/// Path of the record of an earlier boot, if the image contains one.
const EARLIER_RECORD: &str = "etc/coldplug/record.json";
/// Path of the list of modules that were wanted and not loaded, one name per line, for the real
/// system to load.
const REMAINING: &str = "run/coldplug/remaining";
/// Number of loads that may run in parallel in addition to one per processor: loads sleep often.
const EXTRA_JOBS: usize = 2;

/// One boot.
#[derive(Debug)]
struct Boot {
    /// Prefix of every path: `/` on a real machine.
    dir: Root,
    /// Arguments of /init; those after the first are passed to the real init.
    args: Vec<OsString>,
    /// The kernel's release.
    release: String,
    /// The parameters of the kernel command line.
    params: KernelCommandLine,
    breakpoint: Breakpoint,
    watchdog: WatchdogState,
    persistence: Persistence,
    reporter: Reporter,
    /// The nodes in /dev that the kernel does not make.
    device_nodes: Option<DeviceNodes>,
    /// Modules that the kernel command line and lists of the image name, each with its place.
    listed: Vec<(String, Vec<u8>)>,
    /// Whether an earlier attempt to boot has failed.
    is_retry: bool,
    /// The check that the root has passed.
    root_check: Option<RootCheck>,
    /// Time at the entry of /init.
    began: BootTime,
}

/// Boots: from the entry of /init to the exec of the real init. Never returns.
pub(crate) fn run(dir: Root, args: Vec<OsString>) -> ! {
    let began = BootTime::now();
    let crash = Crash::from_args(&args);
    rescue::install_handlers(&dir);
    inheritance::reset_limits();
    let mut boot = Boot {
        dir,
        args,
        release: sys::release(),
        params: KernelCommandLine::default(),
        breakpoint: Breakpoint::new(None),
        watchdog: WatchdogState::Unused,
        persistence: Persistence::new(None, true),
        reporter: Reporter::new(began),
        device_nodes: None,
        listed: Vec::new(),
        is_retry: false,
        root_check: None,
        began,
    };
    let mut result = match crash {
        Some(crash) => boot.take_over(crash),
        None => boot.run_stages(),
    };
    loop {
        let error = match result {
            Ok(never) => match never {},
            Err(error) => error,
        };
        result = match boot.rescue(&error) {
            Resume::Retry(words) => boot.retry(&words),
            Resume::Continue => boot.switch_by_hand(),
        };
    }
}

impl Boot {
    fn run_stages(&mut self) -> Result<Infallible, BootError> {
        // The policy for a failed mount is on the kernel command line, which is in /proc.
        let mounted = self.mount_early();
        self.reporter.note_memory_at_start(&self.dir);
        self.read_policy();
        mounted?;
        #[cfg(feature = "full")]
        if let Err(error) = keymap::load(&self.dir) {
            self.reporter.warn(format!("keymap: {error}"));
        }
        if let Err(error) = kernel_helper::link_if_missing(&self.dir) {
            self.reporter.add_warning(error.to_string());
        }
        self.find_root_and_switch()
    }

    fn find_root_and_switch(&mut self) -> Result<Infallible, BootError> {
        let socket = self.open_uevent_socket();
        self.reach(Break::Scan)?;
        let earlier = self.earlier_record();
        let root_hint = RootHint::new(&self.params.root, earlier.as_deref());
        let loader = self.loader(&root_hint)?;
        self.load_first(&loader);
        // A person may try another root, with another loader. A restart waits for what is probed.
        self.wait_for_root(&loader, &root_hint, socket).inspect_err(|_| loader.drain())?;
        self.reach(Break::Switch)?;
        self.switch()
    }

    /// Ends a boot whose PID 1 has crashed: the kernel command line says how. Mounts stay.
    fn take_over(&mut self, crash: Crash) -> Result<Infallible, BootError> {
        crash.take_over();
        let _ = self.mount_early();
        self.read_policy();
        if crash.has_lost_guard() {
            shell_access::refuse_without_password();
        }
        Err(BootError::Crashed(crash))
    }

    /// Goes on with a failed boot: searches for the root again, with `words` added to the kernel
    /// command line.
    fn retry(&mut self, words: &str) -> Result<Infallible, BootError> {
        self.begin_anew("retrying");
        if let Some(error) = early_mounts::mount_all(&self.dir).needed {
            return Err(BootError::Setup(error));
        }
        let line = procfs::cmdline(&self.dir).unwrap_or_default();
        self.read_parameters(&cmdline::with_words(&line, words));
        for name in cmdline::without_effect_in_retry(words) {
            self.reporter.warn(format!("retry: {name}= has no effect after the start of the boot"));
        }
        self.is_retry = true;
        self.find_root_and_switch()
    }

    /// Goes on with a failed boot: switches to the filesystem that a person has mounted.
    fn switch_by_hand(&mut self) -> Result<Infallible, BootError> {
        self.begin_anew("continuing");
        MountWorker::abandon_mounts(&self.dir);
        self.reporter.set_root_spec(&self.dir.join(SYSROOT).to_string_lossy());
        self.switch()
    }

    /// Begins another attempt, which has a verdict of its own.
    fn begin_anew(&mut self, what: &str) {
        self.reporter.log().error(&format!("{what} after the failed boot"));
        self.reporter.begin_anew();
        self.show_search();
        self.root_check = None;
    }

    fn mount_early(&mut self) -> Result<(), BootError> {
        let failed = early_mounts::mount_all(&self.dir);
        self.device_nodes = DeviceNodes::of_kernel_without_devtmpfs(&self.dir);
        self.make_device_nodes();
        inheritance::close_descriptors(&self.dir);
        inheritance::reset_environment(&self.dir);
        // Before the mounts the kernel may have had no console to open.
        let _ = process::open_console(&self.dir);
        let signals = signals::install().err();
        for error in failed.others.into_iter().chain(signals) {
            self.reporter.add_warning(error.to_string());
        }
        failed.needed.map_or(Ok(()), |error| Err(BootError::Setup(error)))
    }

    /// Makes the nodes of devices that have appeared, if the kernel does not.
    fn make_device_nodes(&mut self) {
        let Some(nodes) = &mut self.device_nodes else { return };
        if let Err(error) = nodes.update(&self.dir) {
            self.reporter.warn_once(error.to_string());
        }
    }

    /// Reads the kernel command line, and what it says about the end of the boot.
    fn read_policy(&mut self) {
        let line = procfs::cmdline_in_any_case(&self.dir);
        self.read_parameters(&line.unwrap_or_default());
        self.breakpoint = Breakpoint::new(self.params.boot.break_at);
        if let Some(params) = self.params.boot.watchdog.take() {
            self.watchdog = WatchdogState::Awaited(params);
        }
        let is_resume_over = self.params.root.resume.is_none();
        self.persistence = Persistence::new(self.params.boot.store.take(), is_resume_over);
        rescue::set_policy(&self.dir, &self.params.boot);
        self.start_led();
    }

    fn read_parameters(&mut self, line: &[u8]) {
        self.params = KernelCommandLine::parse(line);
        let reporter = &mut self.reporter;
        reporter.log_mut().open(&self.dir, self.params.boot.level());
        reporter.set_kernel(&self.release);
        reporter.set_root_spec(self.params.root.spec());
        reporter.set_port(&self.params.boot);
        let version = env!("CARGO_PKG_VERSION");
        reporter.reach(Event::Init, &format!("version {version}, kernel {}", self.release));
        for warning in &self.params.warnings {
            reporter.warn(warning.to_string());
        }
        let boot = &mut self.params.boot;
        if boot.lock && boot.settle == Settle::Root {
            // What is left for later could not be loaded any more.
            boot.settle = Settle::All;
            reporter
                .warn("coldplug.settle=root ignored: coldplug.lock=1 forbids later loads".into());
        }
        reporter.end_phase("mounts");
    }

    /// Opens the uevent socket, before the first scan: a device that appears during the scan is in
    /// the scan, in the socket, or in both.
    fn open_uevent_socket(&mut self) -> Option<Socket> {
        let result = Socket::open(self.params.boot.rcvbuf);
        result.inspect_err(|error| self.reporter.warn(event_loop::scanning_text(error))).ok()
    }

    /// Returns the record that the image contains. Most images contain none.
    fn earlier_record(&mut self) -> Option<String> {
        let bytes = regular_file::read_if_opened(&self.dir.join(EARLIER_RECORD), RECORD_LIMIT);
        let bytes = bytes.inspect_err(|error| self.reporter.warn(error.to_string())).ok().flatten();
        bytes.and_then(|bytes| String::from_utf8(bytes).ok())
    }

    /// Returns what lies below and above the root filesystem. A verified root is always on the
    /// device that verifies it, whatever `root=` says.
    fn storage(&mut self) -> Result<StorageParams, BootError> {
        let storage = self.params.storage.clone().map_err(BootError::Storage)?;
        let root = &mut self.params.root;
        if storage.verity.is_some() && root.spec() != root::VERITY_DEVICE {
            if root.is_named() {
                let (spec, device) = (root.spec(), root::VERITY_DEVICE);
                self.reporter.warn(format!("root={spec} ignored: the verified root is {device}"));
            }
            root.replace(root::VERITY_DEVICE);
            self.reporter.set_root_spec(root::VERITY_DEVICE);
        }
        Ok(storage)
    }

    /// Loads what devices need until the root is mounted and, by default, all devices have settled.
    fn wait_for_root(
        &mut self,
        loader: &Loader,
        root_hint: &RootHint,
        socket: Option<Socket>,
    ) -> Result<(), BootError> {
        let dir = self.dir.clone();
        let storage = self.storage()?;
        let fstypes = self.params.root.fstypes.iter().filter(|fstype| *fstype != AUTO);
        let filesystems = fstypes.map(|fstype| format!("fs-{fstype}"));
        for name in filesystems.chain(storage.modules().map(str::to_owned)) {
            loader.want_name(&name, Rank::Root);
        }
        for name in self.params.boot.port_modules() {
            loader.want_name(name.as_bytes(), Rank::Root);
        }
        self.request_led_trigger(loader);
        let mut coldplug = Coldplug::new(&dir, loader, root_hint, self.params.boot.jobs == Some(1));
        let search =
            RootSearch::new(&dir, &self.params, storage, self.is_retry, &mut self.reporter);
        let result = EventLoop::new(self, loader, &mut coldplug, socket, search).run();
        let loads_ended = result.as_ref().ok().copied();
        if loads_ended.is_some() {
            self.stop_loading(loader);
        }
        self.record_modules(loader, &coldplug);
        self.report_deferred(loads_ended.unwrap_or(self.began));
        self.report_watchdog();
        self.report_led();
        if !matches!(result, Err(BootError::Interrupted(_))) {
            self.finish_persistence();
        }
        result.map(|_| ())
    }

    /// Checks the new root, makes it the root, and executes its init.
    fn switch(&mut self) -> Result<Infallible, BootError> {
        self.mark_stored();
        self.fetch_script()?;
        let since = BootTime::now();
        let checked = self.check_root();
        if HAS_RECORD {
            self.reporter.add_wait("check of the new root".to_owned(), since);
        }
        let Checked { init, missing, .. } = checked?;
        // Nothing has changed by then: a person may try again.
        let ready = Ready::new(&self.dir, &self.dir.join(SYSROOT))
            .map_err(|error| BootError::SwitchRoot(SwitchRootError::Refused(error.to_string())))?;
        // After the switch a crash leaves a program that cannot read the password of the image.
        if shell_access::is_guarded() {
            crash::note_lost_guard();
        }
        self.reporter.note_memory_at_switch(&self.dir);
        let method = ready.switch(&self.dir).map_err(BootError::Switch)?;
        // The old descriptors keep the filesystem of the old console busy.
        let _ = process::open_console(&self.dir);
        self.reporter.end_switch(method);
        self.lock_modules();
        if let Some(command) = self.params.boot.exec.clone() {
            return Err(self.run_exec_command(&command, missing));
        }
        self.finish_record(Verdict::Ok)?;
        // The init gets it as the kernel sets it.
        signals::restore_ctrl_alt_del();
        let error = self.exec_init(&init);
        signals::catch_ctrl_alt_del();
        Err(BootError::Exec { error, missing })
    }

    /// Forbids all further loads, if `coldplug.lock=1` is set.
    fn lock_modules(&mut self) {
        if self.params.boot.lock
            && let Err(error) = procfs::set_sysctl(&self.dir, "kernel/modules_disabled", "1\n")
        {
            self.reporter.warn(format!("coldplug.lock: {error}"));
        }
    }

    /// Repeats the check of the new root, whose device may have disappeared while modules were
    /// loading. A root that a person has mounted is checked for the first time.
    fn check_root(&mut self) -> Result<Checked, BootError> {
        let fresh = || {
            let params = &self.params;
            let request = InitRequest::new(&params.boot, None, false);
            RootCheck::new(MountWorker::new(), params.root.spec(), request, params.root.timeout)
        };
        self.root_check.take().unwrap_or_else(fresh).run()
    }

    /// Executes the init. If the kernel refuses that after all, executes the next of its default
    /// inits, as the kernel would. Returns only on failure.
    fn exec_init(&self, init: &[u8]) -> sys::Error {
        let error = self.exec_one_init(init);
        let mut others = INITS.iter().skip_while(|other| other.as_bytes() != init).skip(1);
        let is_default = self.params.boot.init.is_none();
        let next = others.next().filter(|_| is_default);
        match next {
            Some(next) => {
                self.reporter.log().error(&error.to_string());
                self.exec_init(next.as_bytes())
            }
            None => error,
        }
    }

    fn exec_one_init(&self, init: &[u8]) -> sys::Error {
        let init = sys::path(init);
        let mut args = vec![init.as_os_str().to_owned()];
        args.extend(systemd::arguments(init, self.began));
        args.extend(self.args.iter().skip(1).cloned());
        process::exec(init, &args)
    }

    /// Runs the command of `coldplug.exec=` instead of the real init, then powers off. `missing`
    /// are the mount points that the root lacks.
    fn run_exec_command(&mut self, command: &[u8], missing: String) -> BootError {
        self.reporter.reach(Event::ExecStart, &byte_text::from_bytes(command));
        let command = sys::path(command).as_os_str();
        let start = || process::spawn_shell_command::<&str>(command, &[]);
        match child::spawn(|| start().map(|child| child.id())).map(signals::wait_for_child) {
            Ok(Some(status)) => {
                self.reporter.set_exit(status.code().unwrap_or(-1));
                match self.finish_record(Verdict::Ok) {
                    Ok(()) => rescue::leave(process::Shutdown::PowerOff),
                    Err(error) => error,
                }
            }
            Ok(None) => BootError::Interrupted(Interruption::CtrlAltDel),
            Err(error) => {
                let object = format!("{} for coldplug.exec=", error.object);
                BootError::Exec { error: error.on(object), missing }
            }
        }
    }

    /// Writes the record and prints the verdict.
    ///
    /// # Errors
    /// Ctrl-Alt-Del is pressed before the verdict ok.
    fn finish_record(&mut self, verdict: Verdict) -> Result<(), BootError> {
        self.prepare_exit(verdict);
        match self.reporter.finish(&self.dir, verdict, &self.params.boot) {
            true => {
                self.show_verdict(verdict);
                Ok(())
            }
            false => Err(BootError::Interrupted(Interruption::CtrlAltDel)),
        }
    }

    /// Runs a shell if `coldplug.break=` names this place.
    ///
    /// # Errors
    /// The person ends the boot there.
    fn reach(&mut self, place: Break) -> Result<(), BootError> {
        let reached = self.breakpoint.reach(place, &self.dir, &mut self.reporter);
        reached.map_err(BootError::Interrupted)
    }
}

/// Writes a whole file and creates its directory if necessary.
fn write(path: &Path, bytes: &[u8]) -> sys::Result<()> {
    let failed = |e: std::io::Error| sys::Error::io("write", path, &e);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

/// Returns the names of modules that the boot waits for.
fn modules_text(modules: &[ModuleName]) -> String {
    let mut text = "modules".to_owned();
    for module in modules {
        text.push(' ');
        text.push_str(&module.text());
    }
    text
}

/// Formats a duration for messages in seconds, with a tenth unless that is 0: `60 s`, `2.5 s`.
fn seconds(duration: Duration) -> String {
    match duration.subsec_millis() / 100 {
        0 => format!("{} s", duration.as_secs()),
        tenths => format!("{}.{tenths} s", duration.as_secs()),
    }
}
