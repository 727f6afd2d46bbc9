//! Whether the kernel of an image can execute the programs in it: as execve(2) reads them, for the
//! machine of its modules. A kernel whose /init is for another machine panics without the reason.
//!
//! ```text
//! file of the image          for another machine            no interpreter, or damaged
//! /init, what @init names    error                          error
//! with a mode bit x          error                          warning
//! without                    warning                        -
//! below lib/firmware         - (a coprocessor executes it)  -
//! below lib/modules          warning, if it is a module     -
//! ```
//!
//! The interpreter of a program that is not /init may come from another archive of the image.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use super::Error;
use super::manifest::{Content, Manifest, Node};
use crate::escape;
use crate::kmod::elf_machine::Machine;
use crate::kmod::name::ModuleName;
use crate::kmod::program::{
    ElfHead, HEAD_LEN, Kernel, MAX_SCRIPTS, Program, ProgramError, interpreter_path,
};
use crate::sys::modfile::ModuleFile;
use crate::sys::read_at::read_at;
use crate::sys::{self, regular_file};

/// Directories of files that the kernel hands to devices.
const FIRMWARE: [&str; 2] = ["lib/firmware/", "usr/lib/firmware/"];
const MODULES: [&str; 2] = ["lib/modules/", "usr/lib/modules/"];

/// Why the kernel cannot execute a program of the image.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file cannot be read.
    Unreadable(sys::Error),
    /// The kernel knows no such format.
    Refused(ProgramError),
    /// The program is for this machine, but the kernel is for the other one.
    Foreign(Machine, Machine),
    /// The module is for this machine, but the kernel is for the other one.
    ForeignModule(Machine, Machine),
    /// The program is an interpreter for this machine, but its program is for the other one.
    OtherMachine(Machine, Machine),
    /// The image has no interpreter of this name.
    NoInterpreter(String),
    /// The interpreter of this name cannot be executed.
    Interpreter(String, Box<Fault>),
    /// The interpreter is not a file that can be executed.
    NotExecutable,
    /// More scripts name scripts as their interpreter than the kernel follows.
    TooManyScripts,
}

impl Fault {
    /// Returns what the user can do about it, for /init or another program.
    pub(super) fn hint(&self, is_init: bool) -> Option<String> {
        Some(match self {
            Self::Foreign(..) if is_init => "name a program for this kernel with --init".to_owned(),
            Self::Foreign(..) => {
                "take it from a root of the kernel's machine; without x in its mode it is packed"
                    .to_owned()
            }
            Self::NoInterpreter(path) | Self::Interpreter(path, _) => {
                format!("name a static program with --init, or add {path} to the list of --list")
            }
            Self::Refused(_) => "name a static program with --init".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Foreign(machine, kernel) => {
                write!(f, "{machine} program, but the kernel is for {kernel}")
            }
            Self::ForeignModule(machine, kernel) => {
                write!(f, "{machine} module, but the kernel is for {kernel}")
            }
            Self::OtherMachine(machine, program) => {
                write!(f, "for {machine}, but its program is for {program}")
            }
            Self::NoInterpreter(path) => write!(f, "the image has no interpreter {path}"),
            Self::Interpreter(path, fault) => write!(f, "interpreter {path}: {fault}"),
            Self::NotExecutable => f.write_str("not an executable file"),
            Self::TooManyScripts => {
                f.write_str("too many scripts name scripts as their interpreter")
            }
        }
    }
}

impl From<ProgramError> for Fault {
    fn from(error: ProgramError) -> Self {
        Self::Refused(error)
    }
}

/// Checks the programs of an image with the /init that was asked for, `init`, for a kernel whose
/// modules are for `machine`; `None` if that is not known. Returns warnings.
///
/// # Errors
/// The kernel cannot execute /init, or a program that is for another machine.
pub(super) fn check(
    manifest: &Manifest,
    init: Option<&Path>,
    machine: Option<Machine>,
) -> Result<Vec<String>, Error> {
    let mut warnings: Vec<String> = init_warning(manifest).into_iter().map(str::to_owned).collect();
    let first = manifest.find("init").map(|(name, _)| name);
    let is_init = |name: &str, path: &Path| first == Some(name) || init == Some(path);
    for found in faults(manifest, &is_init, machine) {
        let FoundFault { name, path, fault, is_init, severity } = found;
        let object = object(name, path);
        match (severity, fault) {
            (_, Fault::Unreadable(error)) => return Err(Error::System(error)),
            (Severity::Error, fault) => return Err(Error::Program { object, fault, is_init }),
            (Severity::Warning, fault) => warnings.push(format!("{object}: {fault}")),
        }
    }
    Ok(warnings)
}

/// A program of an image that the kernel cannot execute.
#[derive(Debug)]
pub(super) struct FoundFault<'a> {
    /// Its path in the image.
    pub(super) name: &'a str,
    /// The file that has its content.
    path: &'a Path,
    /// Why the kernel cannot execute it.
    pub(super) fault: Fault,
    /// Whether it is /init.
    pub(super) is_init: bool,
    /// Whether the image can be used nevertheless.
    pub(super) severity: Severity,
}

/// Returns the programs of an image that the kernel cannot execute, in the order of their paths,
/// for a kernel as in [`check`]. `is_init` tells whether the kernel starts the program with this
/// path in the image, whose content is in this file.
pub(super) fn faults<'a>(
    manifest: &'a Manifest,
    is_init: &dyn Fn(&str, &Path) -> bool,
    machine: Option<Machine>,
) -> Vec<FoundFault<'a>> {
    let checker = Checker { manifest, machine };
    let files = manifest.iter().filter_map(|(name, node)| match &node.content {
        Content::File(path) => Some((name, path.as_path(), node)),
        _ => None,
    });
    let found = files.filter_map(|(name, path, node)| {
        let is_init = is_init(name, path);
        let fault = checker.fault(name, path, is_init).err()?;
        let severity = severity(&fault, is_init, node.mode & 0o111 != 0)?;
        Some(FoundFault { name, path, fault, is_init, severity })
    });
    found.collect()
}

/// Returns a warning about an /init that is unusual and may still be intended.
pub(super) fn init_warning(manifest: &Manifest) -> Option<&'static str> {
    match manifest.find("init").map(|(_, node)| node) {
        Some(Node { content: Content::File(_) | Content::Bytes(_), mode, .. }) => {
            (mode & 0o111 == 0).then_some("/init of the image is not executable")
        }
        _ => Some("the image has no /init: the kernel ignores it unless rdinit= names a program"),
    }
}

/// What a fault means for the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// The image must not be built.
    Error,
    /// The fault may be intended.
    Warning,
}

/// Returns what a fault of a program means; `None` if nothing. `is_run`: whether its mode has a bit
/// x.
fn severity(fault: &Fault, is_init: bool, is_run: bool) -> Option<Severity> {
    match fault {
        Fault::Unreadable(_) => Some(Severity::Error),
        _ if is_init => Some(Severity::Error),
        Fault::Foreign(..) if is_run => Some(Severity::Error),
        Fault::Foreign(..) | Fault::ForeignModule(..) => Some(Severity::Warning),
        // Data. A shell executes a text without #!.
        Fault::Refused(ProgramError::Empty | ProgramError::Unknown | ProgramError::NotProgram) => {
            None
        }
        _ => is_run.then_some(Severity::Warning),
    }
}

/// Returns the name of a file in messages: the path in the image, and its source if that is another
/// one.
fn object(name: &str, path: &Path) -> String {
    let name = format!("/{name}");
    match path == Path::new(&name) {
        true => name,
        false => format!("{name} ({})", escape::path(path)),
    }
}

/// What the programs of an image are checked with.
struct Checker<'a> {
    manifest: &'a Manifest,
    /// The machine of the kernel's modules.
    machine: Option<Machine>,
}

impl Checker<'_> {
    /// Checks the file `name` of the image, whose content is at `path`.
    fn fault(&self, name: &str, path: &Path, is_init: bool) -> Result<(), Fault> {
        let is_below = |dirs: [&str; 2]| dirs.iter().any(|dir| name.starts_with(dir));
        match is_init {
            false if is_below(FIRMWARE) => Ok(()),
            false if is_below(MODULES) => self.check_module(name, path),
            _ => self.check_program(path, 0),
        }
    }

    /// Checks the machine of a module that a file list names.
    fn check_module(&self, name: &str, path: &Path) -> Result<(), Fault> {
        let is_module = ModuleName::from_path(name.as_bytes()).is_some();
        match (self.machine, ModuleFile::machine(path)) {
            (Some(kernel), Some(machine)) if is_module && machine != kernel => {
                Err(Fault::ForeignModule(machine, kernel))
            }
            _ => Ok(()),
        }
    }

    /// Checks a program and its interpreters; `scripts` of them are scripts that led to it.
    fn check_program(&self, path: &Path, scripts: usize) -> Result<(), Fault> {
        if regular_file::is_null_device(path) {
            return Err(ProgramError::Empty.into());
        }
        let file = regular_file::open(path).map_err(Fault::Unreadable)?;
        let head = read(&file, path, 0, HEAD_LEN)?;
        match Program::parse(&head)? {
            Program::Flat => Ok(()),
            Program::Script(_) if scripts == MAX_SCRIPTS => Err(Fault::TooManyScripts),
            Program::Script(name) => {
                self.check_interpreter(name, |path| self.check_program(path, scripts + 1))
            }
            Program::Elf(elf) => self.check_elf(&file, path, elf),
        }
    }

    fn check_elf(&self, file: &File, path: &Path, elf: ElfHead) -> Result<(), Fault> {
        if let Some(kernel) = self.machine
            && !Kernel::of_modules(kernel).executes(elf.machine)
        {
            return Err(Fault::Foreign(elf.machine, kernel));
        }
        match interpreter_of(file, path, elf)? {
            None => Ok(()),
            Some(name) => self.check_interpreter(&name, |path| check_loader(path, elf.machine)),
        }
    }

    /// Checks the interpreter `name` of a program: `check` checks its file.
    fn check_interpreter(
        &self,
        name: &[u8],
        check: impl Fn(&Path) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let node = std::str::from_utf8(name).ok().and_then(|name| self.manifest.find(name));
        let name = escape::bytes(name).into_owned();
        let fault = match node {
            None => return Err(Fault::NoInterpreter(name)),
            Some((_, Node { content: Content::File(path), mode, .. })) if mode & 0o111 != 0 => {
                match check(path) {
                    Ok(()) => return Ok(()),
                    Err(fault) => fault,
                }
            }
            Some(_) => Fault::NotExecutable,
        };
        Err(Fault::Interpreter(name, Box::new(fault)))
    }
}

/// Checks the program of PT_INTERP at `path`, which must be for the machine of the program.
fn check_loader(path: &Path, machine: Machine) -> Result<(), Fault> {
    let file = regular_file::open(path).map_err(Fault::Unreadable)?;
    let head = read(&file, path, 0, HEAD_LEN)?;
    match Program::parse(&head)? {
        Program::Elf(elf) if elf.machine == machine => interpreter_of(&file, path, elf).map(drop),
        Program::Elf(elf) => Err(Fault::OtherMachine(elf.machine, machine)),
        Program::Script(_) | Program::Flat => Err(ProgramError::Unknown.into()),
    }
}

/// Returns the path of PT_INTERP; `None` for a static program.
fn interpreter_of(file: &File, path: &Path, elf: ElfHead) -> Result<Option<Vec<u8>>, Fault> {
    let (offset, len) = elf.table();
    let table = read(file, path, offset, usize::try_from(len).unwrap_or(0))?;
    let size = file.metadata().map_err(unreadable(path))?.len();
    let Some(range) = elf.segments(&table, size)?.interpreter else { return Ok(None) };
    let len = usize::try_from(range.end - range.start).unwrap_or(0);
    let bytes = read(file, path, range.start, len)?;
    Ok(Some(interpreter_path(&bytes)?.to_owned()))
}

/// Returns `len` bytes at `offset`; fewer if the file ends before.
fn read(file: &File, path: &Path, offset: u64, len: usize) -> Result<Vec<u8>, Fault> {
    match read_at(file, offset, len) {
        // An offset that no file has.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Vec::new()),
        bytes => bytes.map_err(unreadable(path)),
    }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Fault + '_ {
    |error| Fault::Unreadable(sys::Error::io("read", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::program::tests::{AARCH64, ARM, I386_ELF, X86_64, elf};
    use std::fs;

    /// Name, mode and content of a file of an image; a content that starts with `->` is a link.
    type Entry<'a> = (&'a str, u32, Vec<u8>);

    /// Returns an image of these files.
    fn image(files: &[Entry]) -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::default();
        for (name, mode, bytes) in files {
            let content = match bytes.strip_prefix(b"->") {
                Some(target) => Content::Link(String::from_utf8(target.to_vec()).unwrap()),
                None => {
                    let path = dir.path().join(name.replace('/', "_"));
                    fs::write(&path, bytes).unwrap();
                    Content::File(path)
                }
            };
            manifest.add(name, Node::of_root(*mode, content)).unwrap();
        }
        (dir, manifest)
    }

    /// Returns the error or the warnings of a check, without the paths of the build machine.
    fn checked(files: &[Entry], machine: Option<Machine>) -> Result<String, String> {
        let (dir, manifest) = image(files);
        let shown = |text: &str| {
            let source = format!(" ({}/", dir.path().display());
            let mut parts = text.split(&source);
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |text, part| text + part.split_once(')').unwrap().1)
        };
        match check(&manifest, None, machine) {
            Ok(warnings) => Ok(shown(&warnings.join("; "))),
            Err(error) => Err(shown(&error.to_string())),
        }
    }

    fn program(machine: Machine) -> Vec<u8> {
        elf(machine, 2, None)
    }

    fn dynamic(machine: Machine) -> Vec<u8> {
        elf(machine, 3, Some("/lib/ld"))
    }

    fn text(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn init_must_be_a_program_of_the_kernel() {
        let foreign = "/init: 64-bit little-endian x86-64 program, but the kernel is for 64-bit \
                       little-endian AArch64";
        let other = "/init: interpreter /lib/ld: for 64-bit little-endian AArch64, but its program \
                     is for 64-bit little-endian x86-64";
        let cases: [(&[Entry], Machine, Result<&str, &str>); 17] = [
            (&[("init", 0o755, program(X86_64))], X86_64, Ok("")),
            (&[("init", 0o755, program(I386_ELF))], X86_64, Ok("")),
            (&[("init", 0o755, program(ARM))], AARCH64, Ok("")),
            (&[("init", 0o755, program(X86_64))], AARCH64, Err(foreign)),
            (
                &[("init", 0o777, text("->bin/x")), ("bin/x", 0o755, program(X86_64))],
                AARCH64,
                Err("/bin/x: 64-bit little-endian x86-64 program, but the kernel is for 64-bit \
                     little-endian AArch64"),
            ),
            (
                &[("init", 0o755, dynamic(X86_64))],
                X86_64,
                Err("/init: the image has no interpreter /lib/ld"),
            ),
            (
                &[("init", 0o755, dynamic(X86_64)), ("lib/ld", 0o755, program(X86_64))],
                X86_64,
                Ok(""),
            ),
            (
                &[("init", 0o755, dynamic(X86_64)), ("lib/ld", 0o644, program(X86_64))],
                X86_64,
                Err("/init: interpreter /lib/ld: not an executable file"),
            ),
            (
                &[("init", 0o755, dynamic(X86_64)), ("lib/ld", 0o755, program(AARCH64))],
                X86_64,
                Err(other),
            ),
            (
                &[("init", 0o755, dynamic(X86_64)), ("lib", 0o777, text("->usr/lib"))],
                X86_64,
                Err("/init: the image has no interpreter /lib/ld"),
            ),
            (
                &[
                    ("init", 0o755, dynamic(X86_64)),
                    ("lib", 0o777, text("->usr/lib")),
                    ("usr/lib/ld", 0o777, text("->/lib/ld-2")),
                    ("usr/lib/ld-2", 0o755, program(X86_64)),
                ],
                X86_64,
                Ok(""),
            ),
            (
                &[("init", 0o755, text("#!/bin/sh -e\n"))],
                X86_64,
                Err("/init: the image has no interpreter /bin/sh"),
            ),
            (
                &[("init", 0o755, text("#!/bin/sh\n")), ("bin/sh", 0o755, program(AARCH64))],
                X86_64,
                Err("/bin/sh: 64-bit little-endian AArch64 program, but the kernel is for 64-bit \
                     little-endian x86-64"),
            ),
            (
                &[("init", 0o755, text("#!/init\n"))],
                X86_64,
                Err("/init: interpreter /init: interpreter /init: interpreter /init: interpreter \
                     /init: interpreter /init: too many scripts name scripts as their interpreter"),
            ),
            (&[("init", 0o755, Vec::new())], X86_64, Err("/init: empty file")),
            (
                &[("init", 0o644, program(X86_64))],
                X86_64,
                Ok("/init of the image is not executable"),
            ),
            (
                &[("init", 0o755, program(X86_64)[..100].to_vec())],
                X86_64,
                Err("/init: broken ELF file: file ends within its program headers"),
            ),
        ];
        for (files, machine, want) in cases {
            let want = want.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(checked(files, Some(machine)), want);
        }
        // Without a module the machine of the kernel is not known.
        assert_eq!(checked(&[("init", 0o755, program(X86_64))], None), Ok(String::new()));
    }

    #[test]
    fn a_file_is_judged_by_what_it_is_for() {
        let foreign = |name: &str| {
            format!(
                "/{name}: 64-bit little-endian x86-64 program, but the kernel is for 64-bit \
                 little-endian AArch64"
            )
        };
        let module = elf(X86_64, 1, None);
        let cases = [
            ("sbin/fsck.x", 0o755, program(X86_64), Err(foreign("sbin/fsck.x"))),
            ("sbin/x", 0o755, program(ARM), Ok(String::new())),
            ("usr/lib/x.so", 0o644, dynamic(X86_64), Ok(foreign("usr/lib/x.so"))),
            ("lib/firmware/dsp.elf", 0o755, program(X86_64), Ok(String::new())),
            ("usr/lib/firmware/dsp.elf", 0o644, program(X86_64), Ok(String::new())),
            ("lib/modules/6/vdso/vdso32.so", 0o755, program(X86_64), Ok(String::new())),
            (
                "lib/modules/6/x.ko",
                0o755,
                module.clone(),
                Ok(foreign("lib/modules/6/x.ko").replace("program", "module")),
            ),
            // A relocatable file is data: programs for the kernel's BPF are such files.
            ("usr/lib/x.o", 0o755, module, Ok(String::new())),
            ("bin/text", 0o755, text("echo hello\n"), Ok(String::new())),
            ("bin/none", 0o755, Vec::new(), Ok(String::new())),
            (
                "bin/script",
                0o755,
                text("#!/bin/bash\n"),
                Ok("/bin/script: the image has no interpreter /bin/bash".to_owned()),
            ),
            ("share/script", 0o644, text("#!/bin/bash\n"), Ok(String::new())),
            (
                "bin/dynamic",
                0o755,
                dynamic(AARCH64),
                Ok("/bin/dynamic: the image has no interpreter /lib/ld".to_owned()),
            ),
            ("lib/libc.so", 0o644, dynamic(AARCH64), Ok(String::new())),
        ];
        for (name, mode, bytes, want) in cases {
            let files = [("init", 0o755, program(AARCH64)), (name, mode, bytes)];
            assert_eq!(checked(&files, Some(AARCH64)), want, "{name}");
        }
    }

    #[test]
    fn a_program_for_init_is_checked_under_every_name() {
        let (dir, manifest) = image(&[("rdinit", 0o755, text("#!/bin/sh\n"))]);
        let check = |init| check(&manifest, init, Some(X86_64));
        let warnings = check(None).unwrap().join("\n");
        assert!(warnings.contains("no /init") && warnings.contains("/bin/sh"), "{warnings}");
        let error = check(Some(&dir.path().join("rdinit"))).unwrap_err().to_string();
        assert!(error.ends_with("the image has no interpreter /bin/sh"), "{error}");
    }
}
