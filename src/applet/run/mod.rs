//! `run`: runs a command in a virtual machine that shares a directory as its root.
//!
//! The exit status is that of the command, as with env(1): 125 if the run itself fails, 124 if its
//! time is over.

mod kernel;
mod result;
mod script;
mod tied;

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{self, Args};
use super::image::defaults;
use super::message::Error;
use super::usage::{Opt, Usage};
use crate::escape;
use crate::image::{self, CacheChoice, ModuleFormat, Modules, Options};
use crate::qemu::{Emulator, Guest, GuestSpec, SCRIPT_FILE, SharedFilesystem};
use crate::sys::{self, process};
use kernel::Kernel;
pub(super) use tied::run as run_tied;

pub(super) static USAGE: Usage = Usage::new(
    "run",
    "run a command in a virtual machine, with a directory of this one as its root",
)
.text(
    "[option…] [--] [COMMAND [ARGUMENT…]]\n\n\
     Boots a kernel in QEMU with a directory of this machine as its root, runs COMMAND there as root, \
     and ends with its exit status. Standard input, output and error are those of COMMAND. What \
     COMMAND writes to the root is lost, unless --rw is given. Without COMMAND, a shell is run on this \
     terminal.\n\
     The exit status is 125 if the guest cannot be started or fails before COMMAND ends.",
)
.options(&[
    Opt('k', "kernel=RELEASE|FILE: a release whose kernel is in /boot or beside its modules, or the path of a \
         kernel (default: the running one, or the only one)"),
    Opt('\u{1}', "kernel-root=DIR: find the kernel and its modules below DIR (default: that of --root)"),
    Opt('r', "root=DIR: root of the guest (default: /)"),
    Opt('\u{2}', "rw: COMMAND may write to the root of the guest"),
    Opt('\u{3}', "fs=9p|virtiofs: filesystem of the root (default: 9p, or virtiofs if the kernel has no 9p)"),
    Opt('m', "memory=MIB: memory of the guest (default: 512)"),
    Opt('\u{4}', "cpus=NUMBER: processors of the guest (default: 1)"),
    Opt('\u{5}', "accel=NAME: accelerator of QEMU (default: kvm if this machine has it, else tcg)"),
    Opt('\u{6}', "modules=MODULE,…: more modules for the image: names, aliases, globs or @sets"),
    Opt('a', "append=WORDS: more words for the kernel command line; may occur several times"),
    Opt('\u{7}', "qemu=ARGUMENT: one more argument for QEMU; may occur several times"),
    Opt('t', "timeout=SECONDS: end with status 124 after this time (default: never)"),
    Opt('v', "verbose: print the console of the guest when it has ended"),
]);

/// Exit status if COMMAND was not run to its end.
const FAILED: u8 = 125;
/// Exit status if the time is over.
const TIMED_OUT: u8 = 124;
/// Modules of a guest besides those of its root.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "overlay"];
/// Device of KVM.
const KVM: &str = "/dev/kvm";

/// A command, and the guest that runs it.
#[derive(Debug)]
struct Run {
    kernel: Option<OsString>,
    kernel_root: Option<PathBuf>,
    root: PathBuf,
    is_writable: bool,
    filesystem: Option<SharedFilesystem>,
    memory: u32,
    processors: u32,
    accelerator: Option<String>,
    modules: Vec<String>,
    words: Vec<OsString>,
    arguments: Vec<OsString>,
    timeout: Option<Duration>,
    is_verbose: bool,
    command: Vec<OsString>,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            kernel: None,
            kernel_root: None,
            root: PathBuf::from("/"),
            is_writable: false,
            filesystem: None,
            memory: 512,
            processors: 1,
            accelerator: None,
            modules: Vec::new(),
            words: Vec::new(),
            arguments: Vec::new(),
            timeout: None,
            is_verbose: false,
            command: Vec::new(),
        }
    }
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    Run::parse(args).and_then(|run| run.execute()).map_err(|error| match error {
        Error::Code(_) | Error::Help(_) => error,
        error => {
            error.print("run");
            Error::Code(FAILED)
        }
    })
}

impl Run {
    /// Parses a command line. The first operand begins the command.
    ///
    /// # Errors
    /// An option is unknown or has a wrong value; there is neither a command nor a terminal; or help
    /// is asked for.
    fn parse(args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), &USAGE);
        let mut run = Self::default();
        while let Some((name, value)) = args.next_named()? {
            if name.is_empty() {
                run.command = [value].into_iter().chain(args.rest()).collect();
                break;
            }
            run.set(name, value)?;
        }
        match run.is_interactive() && !io::stdin().is_terminal() {
            true => Err(Error::Usage("COMMAND is missing, and there is no terminal".to_owned())),
            false => Ok(run),
        }
    }

    /// Sets the option `name`.
    fn set(&mut self, name: &str, value: OsString) -> Result<(), Error> {
        match name {
            "kernel" => self.kernel = Some(value),
            "kernel-root" => self.kernel_root = Some(value.into()),
            "root" => self.root = value.into(),
            "rw" => self.is_writable = true,
            "fs" => {
                let filesystem = value.to_str().and_then(SharedFilesystem::parse);
                let failed = || Error::Usage("--fs is 9p or virtiofs".to_owned());
                self.filesystem = Some(filesystem.ok_or_else(failed)?);
            }
            "memory" => self.memory = positive(&value)?,
            "cpus" => self.processors = positive(&value)?,
            "accel" => self.accelerator = Some(args::text(&value)?.to_owned()),
            "modules" => self.modules.extend(args::text(&value)?.split(',').map(str::to_owned)),
            "append" => self.words.push(value),
            "qemu" => self.arguments.push(value),
            "timeout" => self.timeout = Some(Duration::from_secs(positive(&value)?.into())),
            _ => self.is_verbose = true,
        }
        Ok(())
    }

    /// Returns whether a shell on this terminal is to be run.
    fn is_interactive(&self) -> bool {
        self.command.is_empty()
    }

    fn execute(&self) -> Result<(), Error> {
        let kernel = Kernel::find(self.kernel.as_deref(), self.kernel_root.as_deref(), &self.root)?;
        let emulator = Emulator::of(kernel.architecture);
        if process::find_program(emulator.program).is_none() {
            return Err(Error::Hinted(
                format!("{}: not found in PATH", emulator.program),
                format!("install it; its package is {} in Debian", emulator.package),
            ));
        }
        let root = std::fs::canonicalize(&self.root)
            .map_err(|e| sys::Error::io("open", &self.root, &e))?;
        let image = process::memfd("image", &[])?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", image.as_raw_fd()));
        let filesystem = self.build_image(&kernel, path.clone())?;
        let spec = GuestSpec {
            emulator,
            kernel: kernel.path,
            root: root.clone(),
            filesystem,
            is_writable: self.is_writable,
            accelerator: self.accelerator.clone().unwrap_or_else(|| accelerator(emulator).into()),
            memory: self.memory,
            processors: self.processors,
            is_interactive: self.is_interactive(),
            words: self.words.clone(),
            arguments: self.arguments.clone(),
        };
        let directory = directory(&root);
        if filesystem == SharedFilesystem::Virtiofs && !filesystem.has_server() {
            return Err(Error::Hinted(
                "virtiofsd: not found in PATH".to_owned(),
                "install it, or use a kernel that has 9p".to_owned(),
            ));
        }
        let script = match self.is_interactive() {
            true => {
                let size = rustix::termios::tcgetwinsize(io::stdin()).ok();
                let size = size.filter(|size| size.ws_row > 0).map(|s| (s.ws_row, s.ws_col));
                script::shell_script(emulator.console, size, &directory)
            }
            false => script::script(&self.command, &directory),
        };
        // In fw_cfg the kernel would take minutes to read the words of a long command.
        image::append_file(&path, SCRIPT_FILE, &script)
            .map_err(|e| sys::Error::io("write", &path, &e))?;
        let uses_kvm = spec.is_kvm();
        let guest = Guest::start(&spec, &image)?;
        let outcome =
            guest.wait(self.timeout).map_err(|e| sys::Error::io("wait", Path::new("QEMU"), &e))?;
        result::judge(&outcome, uses_kvm, self.is_verbose)
    }

    /// Builds the image, and returns the filesystem that its modules can mount as the root.
    fn build_image(&self, kernel: &Kernel, path: PathBuf) -> Result<SharedFilesystem, Error> {
        use SharedFilesystem::{NineP, Virtiofs};
        let first = self.filesystem.unwrap_or(NineP);
        let options = self.image_options(kernel, first, path.clone());
        Ok(match image::build(&options) {
            Err(image::Error::UnknownModules { words, .. })
                if self.filesystem.is_none() && words.iter().all(|word| is_of(NineP, word)) =>
            {
                let options = self.image_options(kernel, Virtiofs, path);
                image::build(&options).map(|_| Virtiofs)
            }
            built => built.map(|_| first),
        }?)
    }

    fn image_options(
        &self,
        kernel: &Kernel,
        filesystem: SharedFilesystem,
        out: PathBuf,
    ) -> Options {
        let modules = MODULES.iter().chain(filesystem.modules()).map(|name| (*name).to_owned());
        Options {
            release: kernel.release.clone(),
            root: kernel.root.clone(),
            out,
            modules: Modules::Named(modules.chain(self.modules.iter().cloned()).collect()),
            // They are read once, so that packing them takes longer than it saves.
            module_format: ModuleFormat::Stored,
            cache: CacheChoice::Off,
            firmware: false,
            generic: true,
            trims_indexes: true,
            ..defaults()
        }
    }
}

/// Returns whether a module is one of those that mount a filesystem.
fn is_of(filesystem: SharedFilesystem, module: &str) -> bool {
    filesystem.modules().contains(&module)
}

/// Parses a number above 0.
fn positive(word: &OsStr) -> Result<u32, Error> {
    let number = word.to_str().and_then(|word| word.parse().ok()).filter(|number| *number > 0);
    let failed = || format!("'{}' is not a number above 0", escape::path(&word));
    number.ok_or_else(|| Error::Usage(failed()))
}

/// Returns KVM if it can be used for the emulator, else QEMU's own translation.
fn accelerator(emulator: Emulator) -> &'static str {
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    let has_kvm = rustix::fs::access(KVM, access).is_ok();
    if has_kvm && emulator.is_native_on(&sys::machine()) { "kvm" } else { "tcg" }
}

/// Returns the directory of the guest in which the command is run: the current one if that is in
/// its root.
fn directory(root: &Path) -> PathBuf {
    let current = std::env::current_dir().ok();
    let below = current.and_then(|dir| dir.strip_prefix(root).ok().map(Path::to_owned));
    Path::new("/").join(below.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Run, Error> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        Run::parse(&words)
    }

    #[test]
    fn options_end_at_the_command() {
        let run = parse("run -k 6.1 -m 256 --rw -a a -a b=c uname -r --help").unwrap();
        assert_eq!(run.command, ["uname", "-r", "--help"]);
        assert_eq!((run.memory, run.is_writable, run.processors), (256, true, 1));
        assert_eq!(run.words, ["a", "b=c"]);
        assert_eq!(parse("run -- -x").unwrap().command, ["-x"]);
        assert!(matches!(parse("run -h"), Err(Error::Help(_))));
        for (line, want) in [
            ("run -k", "option requires an argument -- 'k'"),
            ("run --frob x", "unrecognized option '--frob'"),
            ("run -m 0 x", "'0' is not a number above 0"),
            ("run --cpus x y", "'x' is not a number above 0"),
            ("run --fs nfs x", "9p or virtiofs"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(want), "{line}: {error}");
        }
    }
}
