//! Why an image cannot be built.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::list::ListError;
use super::microcode::Vendor;
use super::programs::Fault;
use super::sets;
use crate::depmod;
use crate::escape;
use crate::kmod::compress::DecodeError;
use crate::kmod::elf::ElfError;
use crate::kmod::elf_machine::Machine;
use crate::kmod::index::WriteError;
use crate::sys;
use crate::sys::crypt::BadHash;

/// Why an image cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Error {
    /// An operation on a file failed.
    System(sys::Error),
    /// The tree has no modules of the kernel.
    NoModules {
        /// The module directory that does not exist.
        dir: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// A module directory without modules.dep, whose modules cannot be indexed.
    Depmod(PathBuf, depmod::Error),
    /// modules.dep has no line for a file that another file depends on.
    NoDepLine {
        /// The file that has the dependency.
        path: Vec<u8>,
        /// The file without a line.
        needs: Vec<u8>,
    },
    /// An invalid line of a file list.
    List(ListError),
    /// A line of a file list that cannot be followed.
    Line {
        /// The path of the list.
        file: String,
        /// The line number, from 1.
        line: usize,
        /// The reason.
        cause: Box<Error>,
    },
    /// Requested modules that are neither in the tree nor built into the kernel.
    UnknownModules {
        /// The words that name nothing.
        words: Vec<String>,
        /// A name that is much like the first of them.
        near: Option<String>,
    },
    /// The machine below the root of the build cannot be read.
    NoHost(sys::Error),
    /// A machine that the kernel is not for.
    OtherMachine {
        /// The option that names it.
        option: &'static str,
        /// The machine's name, as in uname(2).
        name: String,
        /// The machine of the kernel.
        kernel: Machine,
    },
    /// A module set that does not exist.
    UnknownSet(String),
    /// A path in the image below something that is not a directory.
    NotADirectory(String),
    /// A program that the kernel cannot execute.
    Program {
        /// Its path in the image, and its source.
        object: String,
        /// The reason.
        fault: Fault,
        /// Whether it is /init.
        is_init: bool,
    },
    /// The kernels of an image are for different machines; one of them for this one.
    KernelOfOtherMachine(Machine),
    /// No program for /init is built for the machine of the kernel.
    NoInit {
        /// The name of the program.
        name: &'static str,
        /// The machine of the kernel.
        machine: Machine,
        /// The directories in which it was looked for.
        dirs: Vec<PathBuf>,
    },
    /// No program that only boots, in these directories.
    NoBootOnly(Vec<PathBuf>),
    /// A path of `--include`, and why it cannot be in the image.
    Include(PathBuf, &'static str),
    /// A program of `--fsck` that the root does not have, by the type of the filesystem.
    NoFsck(String, PathBuf),
    /// The keymap, and why the image cannot have it.
    Keymap(String, String),
    /// No microcode of these vendors in this directory.
    NoMicrocode(PathBuf, Vec<Vendor>),
    /// A file that is no microcode, with the reason.
    Microcode(PathBuf, &'static str),
    /// No shell below the root of the build.
    NoShell(PathBuf),
    /// A shared library of the shell that is not found.
    NoLibrary {
        /// The shell.
        program: PathBuf,
        /// The library that it or one of its libraries needs.
        library: String,
    },
    /// A password hash that the shell could not check.
    Password(BadHash),
    /// A name that a list for gen_init_cpio cannot hold.
    NoWord(String),
    /// A path that cannot be written into an archive or index.
    NotUtf8(PathBuf),
    /// A module that cannot be decompressed.
    Decode(PathBuf, DecodeError),
    /// A module whose ELF sections cannot be read.
    Module(PathBuf, ElfError),
    /// modules.dep.bin with the paths of the image cannot be written.
    Index(WriteError),
    /// A named cache that other users may write to.
    OpenCache(PathBuf),
}

impl Error {
    /// Returns a function for `map_err` that makes the error of `op` on `path`.
    pub(super) fn io<'a>(op: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |error| Self::System(sys::Error::io(op, path, &error))
    }

    /// Returns advice for the user, if there is any.
    #[must_use]
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoModules { release, .. } => format!(
                "install the modules of this kernel (from Linux 7 on Debian's package \
                 linux-modules-{release}), or name another kernel with --kernel or the tree that \
                 has its modules with --root"
            ),
            Self::NoHost(_) => {
                "mount /sys, /proc and /dev below the root, or name a captured machine with --board"
                    .to_owned()
            }
            Self::OtherMachine { .. } => {
                "name a kernel of that machine with --root and --kernel".to_owned()
            }
            Self::NoDepLine { .. } => "run depmod for this kernel".to_owned(),
            Self::UnknownModules { near, .. } => {
                return near.as_ref().map(|near| format!("is it {near}?"));
            }
            Self::UnknownSet(_) => format!("module sets are {}", sets::names()),
            Self::Program { fault, is_init, .. } => return fault.hint(*is_init),
            Self::NoInit { machine, .. } => match machine.target() {
                Some((_, target)) => format!(
                    "build it with 'make build TARGET={target}', or name a program with --init"
                ),
                None => "name a program for this kernel with --init".to_owned(),
            },
            Self::NoBootOnly(_) => "build it with 'make init-boot'".to_owned(),
            Self::NoFsck(..) => {
                "e2fsprogs has fsck.ext4, dosfstools fsck.vfat, f2fs-tools fsck.f2fs".to_owned()
            }
            Self::NoMicrocode(_, vendors) => {
                let packages: Vec<_> = vendors.iter().map(|vendor| vendor.package()).collect();
                format!("Debian's packages are {}", packages.join(" and "))
            }
            Self::NoShell(_) => {
                "install busybox-static, or name a shell with --shell=PATH".to_owned()
            }
            Self::NoWord(_) => "its words have no spaces and start with no '#'".to_owned(),
            Self::Password(_) => "'openssl passwd -6' makes a hash".to_owned(),
            Self::OpenCache(dir) => {
                format!("run 'chmod go-w {0}' and 'chown root {0}'", escape::path(&dir))
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::NoModules { dir, release } => {
                write!(f, "{}: no modules of kernel {release}", escape::path(&dir))
            }
            Self::Program { object, fault, .. } => write!(f, "{object}: {fault}"),
            Self::NoInit { name, machine, dirs } => {
                let dirs: Vec<_> = dirs.iter().map(|dir| escape::path(dir)).collect();
                write!(f, "no {name} for {machine}, the machine of the kernel, in ")?;
                f.write_str(&dirs.join(", "))
            }
            Self::KernelOfOtherMachine(machine) => {
                write!(f, "--kernel: one of the kernels is for {machine}, but the first is not")
            }
            Self::NoBootOnly(dirs) => {
                let dirs: Vec<_> = dirs.iter().map(|dir| escape::path(dir)).collect();
                write!(f, "no coldplug-init-boot in {}", dirs.join(", "))
            }
            Self::Depmod(dir, error) => {
                write!(f, "{}: no modules.dep, and indexing failed: {error}", escape::path(&dir))
            }
            Self::NoDepLine { path, needs } => {
                let [path, needs] = [path, needs].map(|path| escape::bytes(path));
                write!(f, "modules.dep: {path} needs {needs}, which has no line")
            }
            Self::List(error) => error.fmt(f),
            Self::Line { file, line, cause } => write!(f, "{file} line {line}: {cause}"),
            Self::UnknownModules { words, .. } => {
                write!(f, "{}: no such module, builtin or alias", words.join(", "))
            }
            Self::NoHost(error) => write!(f, "--host: {error}"),
            Self::OtherMachine { option, name, kernel } => {
                let name = escape::line(name);
                write!(f, "{option}: the machine is {name}, but the kernel is for {kernel}")
            }
            Self::UnknownSet(name) => write!(f, "@{name}: no such module set"),
            Self::NotADirectory(name) => write!(f, "/{name}: a parent is not a directory"),
            Self::Include(path, why) => write!(f, "--include {}: {why}", escape::path(path)),
            Self::NoFsck(kind, root) => {
                let kind = escape::line(kind);
                write!(f, "--fsck: no fsck.{kind} below {}", escape::path(root))
            }
            Self::Keymap(name, why) => write!(f, "--keymap: {}: {why}", escape::line(name)),
            Self::NoMicrocode(dir, vendors) => {
                let vendors: Vec<_> = vendors.iter().map(|vendor| vendor.as_str()).collect();
                write!(f, "{}: no microcode of {}", escape::path(dir), vendors.join(" or "))
            }
            Self::Microcode(path, why) => write!(f, "{}: {why}", escape::path(path)),
            Self::NoShell(root) => {
                write!(f, "--shell: no busybox or bash below {}", escape::path(&root))
            }
            Self::NoLibrary { program, library } => {
                write!(f, "{}: shared library {library} not found", escape::path(&program))
            }
            Self::Password(error) => write!(f, "--shell-password-hash: {error}"),
            Self::NoWord(name) => {
                let name = escape::line(name);
                write!(f, "'{name}': a list for gen_init_cpio cannot hold this name")
            }
            Self::NotUtf8(path) => {
                let path = escape::bytes(path.as_os_str().as_encoded_bytes());
                write!(f, "{path}: the path is not UTF-8")
            }
            Self::Decode(path, error) => write!(f, "{}: {error}", escape::path(&path)),
            Self::Module(path, error) => write!(f, "{}: {error}", escape::path(&path)),
            Self::Index(error) => write!(f, "modules.dep.bin: {error}"),
            Self::OpenCache(dir) => {
                write!(f, "--cache {}: other users may write to it", escape::path(&dir))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Depmod(_, error) => Some(error),
            Self::Decode(_, error) => Some(error),
            Self::Module(_, error) => Some(error),
            Self::Index(error) => Some(error),
            Self::List(error) => Some(error),
            Self::Line { cause, .. } => Some(cause),
            Self::Password(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ListError> for Error {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}
