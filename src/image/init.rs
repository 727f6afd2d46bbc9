//! The program that becomes /init of an image.
//!
//! ```text
//! program                 without              for images
//! coldplug-init-boot      tools, rescue        of --boot-only
//!                         prompt, layers
//! coldplug-init           host commands,       that cannot assemble devices
//!                         LUKS, LVM, md
//! coldplug-init-stacks    host commands        that carry dm_mod, md_mod or rules of assemble.d
//! coldplug                                     if it was installed alone
//!
//! directory                           for kernels of
//! that of this program, DIR           the machine of this program
//! DIR/../lib/coldplug                 the same
//! DIR/ARCH, DIR/../lib/coldplug/ARCH  another machine; ARCH is the name that uname(2) has for it
//! DIR/../../TARGET/release            another machine: other targets of a build tree
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use crate::kmod::elf_machine::Machine;
use crate::kmod::program::Kernel;
use crate::sys::modfile::ModuleFile;
use crate::sys::sysfs;

const FULL: &str = "coldplug";
const SMALL: &str = "coldplug-init";
const STACKS: &str = "coldplug-init-stacks";
const BOOT: &str = "coldplug-init-boot";

/// The program that becomes /init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// This file.
    Program(PathBuf),
    /// The smallest program of this installation that does what the image is for.
    Smallest,
    /// The program of this installation that only boots from a filesystem on a disk.
    BootOnly,
}

impl Init {
    /// Returns the path of the program for a kernel whose modules are for `machine`; `None` if that
    /// is not known. `stacks`: whether the image is to assemble devices.
    ///
    /// # Errors
    /// [`Error::NoInit`]
    pub(super) fn find(&self, stacks: bool, machine: Option<Machine>) -> Result<PathBuf, Error> {
        match self {
            Self::Program(path) => Ok(path.clone()),
            Self::Smallest => smallest(Path::new("/proc/self/exe"), stacks, machine),
            Self::BootOnly => boot_only(Path::new("/proc/self/exe"), machine),
        }
    }
}

/// Returns the program that only boots. No other program takes its place.
///
/// # Errors
/// [`Error::NoBootOnly`]
fn boot_only(this: &Path, machine: Option<Machine>) -> Result<PathBuf, Error> {
    let path = fs::read_link(this).unwrap_or_else(|_| this.to_owned());
    let dir = path.parent().unwrap_or(&path);
    let own = ModuleFile::machine(this);
    if machine.is_none() || machine == own {
        let dirs = [dir.to_owned(), lib(dir)];
        let found = dirs.iter().map(|dir| dir.join(BOOT)).find(|path| path.is_file());
        return found.ok_or_else(|| Error::NoBootOnly(dirs.to_vec()));
    }
    let places = machine.map(|machine| places(dir, machine));
    let found = places.as_ref().and_then(|places| places.programs(BOOT).into_iter().next());
    found.ok_or_else(|| Error::NoBootOnly(places.map(Places::shown).unwrap_or_default()))
}

/// Returns the smallest program for an image. For a kernel of another machine than that of `this`
/// program it is one that was built for that machine.
///
/// # Errors
/// [`Error::NoInit`]: there is none, and the kernel cannot execute `this` program.
fn smallest(this: &Path, stacks: bool, machine: Option<Machine>) -> Result<PathBuf, Error> {
    let Ok(path) = fs::read_link(this) else { return Ok(this.to_owned()) };
    // Messages name the file. An upgrade may have removed it.
    let this = if path.is_file() { &path } else { this };
    let dir = path.parent().unwrap_or(&path);
    let names: &[&'static str] = match stacks && cfg!(feature = "stacks") {
        true => &[STACKS],
        false => &[SMALL, STACKS],
    };
    let Some((machine, own)) = machine.zip(ModuleFile::machine(this)) else {
        return Ok(own_program(this, dir, names));
    };
    if machine == own {
        return Ok(own_program(this, dir, names));
    }
    let places = places(dir, machine);
    let mut found = names.iter().chain([&FULL]).flat_map(|name| places.programs(name));
    match found.next() {
        Some(path) => Ok(path),
        None if Kernel::of_modules(machine).executes(own) => Ok(own_program(this, dir, names)),
        None => Err(Error::NoInit { name: names[0], machine, dirs: places.shown() }),
    }
}

/// Returns the program for the machine of `this` program, which is in `dir`. If there is none, it
/// is this one, which is larger.
fn own_program(this: &Path, dir: &Path, names: &[&str]) -> PathBuf {
    let dirs = [dir.to_owned(), lib(dir)];
    let mut candidates = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    candidates.find(|path| path.is_file()).unwrap_or_else(|| this.to_owned())
}

/// Returns the directory for images of an installation whose programs are in `dir`.
fn lib(dir: &Path) -> PathBuf {
    dir.parent().unwrap_or(dir).join("lib/coldplug")
}

/// Where programs for another machine may be.
struct Places {
    machine: Machine,
    /// Directories for this machine.
    dirs: Vec<PathBuf>,
    /// The directory of a build tree that has one directory for each target.
    targets: Option<PathBuf>,
}

/// Returns where programs for `machine` may be, if those for this machine are in `dir`.
fn places(dir: &Path, machine: Machine) -> Places {
    let arch = machine.target().map(|(arch, _)| arch);
    let dirs = arch.map(|arch| vec![dir.join(arch), lib(dir).join(arch)]).unwrap_or_default();
    let is_build = dir.file_name().is_some_and(|name| name == "release");
    let targets = dir.ancestors().nth(2).filter(|_| is_build).map(Path::to_owned);
    Places { machine, dirs, targets }
}

impl Places {
    /// Returns the programs of this name, the best first. In a directory that has the name of the
    /// machine a program for another one is an error that is found later.
    fn programs(&self, name: &str) -> Vec<PathBuf> {
        let named = self.dirs.iter().map(|dir| dir.join(name)).filter(|path| path.is_file());
        let built = self.targets.iter().flat_map(|base| {
            let mut targets = sysfs::entry_names(base);
            targets.retain(|target| target.contains("-linux-"));
            // A program that uses the C library of musl is static.
            targets.sort_by_key(|target| (!target.contains("musl"), target.clone()));
            targets.into_iter().map(|target| base.join(target).join("release").join(name))
        });
        let is_built = |path: &PathBuf| ModuleFile::machine(path) == Some(self.machine);
        named.chain(built.filter(is_built)).collect()
    }

    /// Returns the directories for a message.
    fn shown(self) -> Vec<PathBuf> {
        let built = self.targets.map(|base| base.join("*/release"));
        self.dirs.into_iter().chain(built).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::program::tests::{AARCH64, ARM, I386_ELF, X86_64, elf};
    use std::os::unix::fs::symlink;

    /// An installation of these programs, each with its content, and a link like /proc/self/exe.
    fn installation(files: &[(&str, Vec<u8>)], this: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let link = root.path().join("this");
        symlink(root.path().join(this), &link).unwrap();
        (root, link)
    }

    #[test]
    fn the_smallest_program_that_suffices_is_taken() {
        let usual = &["lib/coldplug/coldplug-init", "lib/coldplug/coldplug-init-stacks"][..];
        for (installed, stacks, expected) in [
            (usual, false, "lib/coldplug/coldplug-init"),
            (usual, true, "lib/coldplug/coldplug-init-stacks"),
            (&["bin/coldplug-init"], false, "bin/coldplug-init"),
            // Better a larger image than one that cannot open its root.
            (&["bin/coldplug-init"], true, "bin/coldplug"),
            (&["bin/coldplug-init-stacks"], false, "bin/coldplug-init-stacks"),
            (&[], false, "bin/coldplug"),
        ] {
            let program = elf(X86_64, 2, None);
            let this = [("bin/coldplug", program.clone())];
            let files = installed.iter().map(|name| (*name, program.clone())).chain(this);
            let (root, this) = installation(&files.collect::<Vec<_>>(), "bin/coldplug");
            for machine in [None, Some(X86_64)] {
                let found = smallest(&this, stacks, machine).unwrap();
                assert_eq!(found, root.path().join(expected), "{installed:?} {stacks}");
            }
        }
    }

    #[test]
    fn only_the_program_that_was_asked_for_boots_alone() {
        let small = "lib/coldplug/coldplug-init-boot";
        let other = "lib/coldplug/aarch64/coldplug-init-boot";
        for (installed, machine, want) in [
            (&[small, other][..], Some(X86_64), Some(small)),
            (&[small, other], Some(AARCH64), Some(other)),
            (&[small, other], None, Some(small)),
            (&[small], Some(AARCH64), None),
            (&["lib/coldplug/coldplug-init"], Some(X86_64), None),
        ] {
            let files = installed.iter().chain([&"bin/coldplug"]);
            let of = |name: &str| if name.contains("aarch64") { AARCH64 } else { X86_64 };
            let files: Vec<_> = files.map(|name| (*name, elf(of(name), 2, None))).collect();
            let (root, this) = installation(&files, "bin/coldplug");
            let found = boot_only(&this, machine).ok();
            assert_eq!(found, want.map(|name| root.path().join(name)), "{installed:?} {machine:?}");
        }
    }

    #[test]
    fn the_program_is_for_the_machine_of_the_kernel() {
        let installed = [
            ("bin/coldplug", X86_64),
            ("lib/coldplug/coldplug-init", X86_64),
            ("lib/coldplug/aarch64/coldplug-init", AARCH64),
            ("lib/coldplug/aarch64/coldplug-init-stacks", AARCH64),
            ("lib/coldplug/armv7l/coldplug-init", ARM),
        ];
        let built = [
            ("target/x86_64-unknown-linux-musl/release/coldplug", X86_64),
            ("target/x86_64-unknown-linux-musl/release/coldplug-init", X86_64),
            ("target/x86_64-unknown-linux-musl/release/armv7l/coldplug-init", ARM),
            ("target/aarch64-unknown-linux-gnu/release/coldplug-init", AARCH64),
            ("target/aarch64-unknown-linux-musl/release/coldplug-init", AARCH64),
            ("target/aarch64-unknown-linux-musl/release/coldplug", AARCH64),
            ("target/other-unknown-linux-musl/release/coldplug-init", X86_64),
            ("target/release/coldplug-init", AARCH64),
        ];
        let target = "target/x86_64-unknown-linux-musl/release";
        for (files, this, machine, stacks, want) in [
            (&installed[..], "bin/coldplug", X86_64, false, Ok("lib/coldplug/coldplug-init")),
            (&installed, "bin/coldplug", AARCH64, false, Ok("lib/coldplug/aarch64/coldplug-init")),
            (
                &installed,
                "bin/coldplug",
                AARCH64,
                true,
                Ok("lib/coldplug/aarch64/coldplug-init-stacks"),
            ),
            (
                &installed,
                "bin/coldplug",
                ARM,
                true,
                Err("no coldplug-init-stacks for 32-bit little-endian ARM, the machine of the \
                     kernel, in DIR/bin/armv7l, DIR/lib/coldplug/armv7l\nbuild it with 'make \
                     build TARGET=armv7-unknown-linux-musleabihf', or name a program with --init"),
            ),
            (
                &installed,
                "bin/coldplug",
                I386_ELF,
                false,
                Err("no coldplug-init for 32-bit little-endian i386, the machine of the kernel, \
                     in DIR/bin/i686, DIR/lib/coldplug/i686\nbuild it with 'make build \
                     TARGET=i686-unknown-linux-musl', or name a program with --init"),
            ),
            (
                &built,
                "target/x86_64-unknown-linux-musl/release/coldplug",
                AARCH64,
                false,
                Ok("target/aarch64-unknown-linux-musl/release/coldplug-init"),
            ),
            (
                &built,
                "target/x86_64-unknown-linux-musl/release/coldplug",
                AARCH64,
                true,
                Ok("target/aarch64-unknown-linux-musl/release/coldplug"),
            ),
            (
                &built,
                "target/x86_64-unknown-linux-musl/release/coldplug",
                ARM,
                false,
                Ok("target/x86_64-unknown-linux-musl/release/armv7l/coldplug-init"),
            ),
            (
                &built,
                "target/x86_64-unknown-linux-musl/release/coldplug",
                I386_ELF,
                false,
                Err("no coldplug-init for 32-bit little-endian i386, the machine of the kernel, \
                     in DIR/TARGET/i686, DIR/target/x86_64-unknown-linux-musl/lib/coldplug/i686, \
                     DIR/target/*/release\nbuild it with 'make build \
                     TARGET=i686-unknown-linux-musl', or name a program with --init"),
            ),
            // A kernel of 64 bits executes programs of 32.
            (&[("bin/coldplug", I386_ELF)], "bin/coldplug", X86_64, true, Ok("bin/coldplug")),
        ] {
            let files: Vec<_> =
                files.iter().map(|(name, machine)| (*name, elf(*machine, 2, None))).collect();
            let (root, this) = installation(&files, this);
            let found = smallest(&this, stacks, Some(machine));
            let shown = |text: &str| text.replace(root.path().to_str().unwrap(), "DIR");
            let found = found
                .map(|path| shown(&path.to_string_lossy()))
                .map_err(|error| shown(&format!("{error}\n{}", error.hint().unwrap())));
            let want = want.map(|path| format!("DIR/{path}"));
            assert_eq!(
                found,
                want.map_err(|error| error.replace("TARGET/", &format!("{target}/")))
            );
        }
    }
}
