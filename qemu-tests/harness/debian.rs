//! A Debian 12 made by debootstrap(8): the system that boots, and the tools that make disks. And a
//! Debian unstable, with the newest systemd and kernel. And small systems of Debian's releases, in
//! which packages are installed.
//!
//! ```text
//! debian-12-HASH/            in the cache: the files of the system; HASH is that of its packages
//! debian-12-HASH.root.ext4   the same as a filesystem, written to by no test
//! debian-sid-HASH/           in the cache: the files of Debian unstable, of the day of the download
//! debian-SUITE-HASH/         in the cache: the files of a system with packages but no kernel
//! ```

use crate::arch::Arch;
use crate::disk::UUID;
use crate::kernel::{Tree, cache, hash, lock};
use crate::run::unavailable;
use crate::{apt, tool};
use std::fs;
use std::path::{Path, PathBuf};

/// Packages of the system besides the essential ones.
const PACKAGES: &str = "systemd-sysv,udev,dbus,kmod,initramfs-tools,linux-image-cloud-amd64,\
    cryptsetup,cryptsetup-bin,lvm2,mdadm,dmsetup,thin-provisioning-tools,bcache-tools,btrfs-progs,\
    e2fsprogs,fdisk,libtss2-esys-3.0.2-0,libtss2-rc0,libtss2-mu0,libtss2-tcti-device0";

/// Directories that are empty in the filesystem.
const LEFT_OUT: [&str; 6] =
    ["boot", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/lib/apt", "var/cache"];

/// Packages of Debian unstable besides the essential ones.
const SID_PACKAGES: &str = "systemd-sysv,udev,dbus,kmod,linux-image-cloud-amd64,dracut";

/// Packages of the small systems besides the essential ones.
const SMALL_PACKAGES: &str = "systemd-sysv,udev,dbus,kmod,e2fsprogs,initramfs-tools,linux-base";

/// Returns the system from the cache, with its kernel. It is made first if the cache does not hold
/// it, which takes about two minutes.
///
/// # Panics
///
/// If debootstrap fails. Without root or a mirror the test is ignored.
pub fn system() -> Tree {
    made("bookworm", PACKAGES, home())
}

/// Returns Debian unstable like [`system`].
///
/// # Panics
///
/// If debootstrap fails. Without root or a mirror the test is ignored.
pub fn sid() -> Tree {
    let home = cache().join(format!("debian-sid-{:016x}", hash(&SID_PACKAGES)));
    made("sid", SID_PACKAGES, home)
}

/// Copies a small system of the release `suite` to `dir`: it has initramfs-tools, but no kernel. It
/// is made first like [`system`].
///
/// # Panics
///
/// If debootstrap fails. Without root or a mirror the test is ignored.
pub fn small(suite: &str, dir: &Path) {
    let home = small_system(suite);
    tool::run(tool::command("cp", "coreutils").arg("-a").arg(home.join(".")).arg(dir));
}

/// Returns the directory of that system, to which nothing may be written.
///
/// # Panics
///
/// If debootstrap fails. Without root or a mirror the test is ignored.
pub fn small_system(suite: &str) -> PathBuf {
    with_packages(suite, SMALL_PACKAGES)
}

/// Returns the directory of a system of the release `suite` with `packages` besides the essential
/// ones, in the cache. It is made first like [`system`].
///
/// # Panics
///
/// If debootstrap fails. Without root or a mirror the test is ignored.
pub fn with_packages(suite: &str, packages: &str) -> PathBuf {
    let home = cache().join(format!("debian-{suite}-{:016x}", hash(&packages)));
    bootstrap(suite, packages, &home);
    home
}

/// Returns the version of an installed package of the system in `home`, from dpkg's status file.
pub fn version(home: &Path, package: &str) -> Option<String> {
    let status = fs::read_to_string(home.join("var/lib/dpkg/status")).ok()?;
    let name = format!("Package: {package}\n");
    let stanza = status.split("\n\n").find(|stanza| stanza.starts_with(&name))?;
    stanza.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
}

fn made(suite: &str, packages: &str, home: PathBuf) -> Tree {
    bootstrap(suite, packages, &home);
    let names = fs::read_dir(home.join("lib/modules")).unwrap();
    let release = names.flatten().next().expect("a kernel").file_name().into_string().unwrap();
    Tree { root: home, release, arch: Arch::X86_64 }
}

/// Makes a system in the directory `home`, unless it is there.
fn bootstrap(suite: &str, packages: &str, home: &Path) {
    let _lock = lock(&home.with_extension("lock"));
    if !home.exists() {
        if !rustix::process::geteuid().is_root() {
            unavailable("needs root: debootstrap makes devices and runs chroot");
        }
        let aside = home.with_extension("new");
        let _ = fs::remove_dir_all(&aside);
        let mut debootstrap = tool::command("debootstrap", "debootstrap");
        debootstrap.args(["--variant=minbase", &format!("--include={packages}"), suite]);
        tool::run(debootstrap.arg(&aside).arg(apt::mirror_of(suite)));
        let _ = fs::remove_dir_all(aside.join("var/cache/apt/archives"));
        fs::rename(&aside, home).unwrap();
    }
}

/// Returns the system as an ext4 without partitions, to be used with `snapshot=on`. It has neither
/// the documentation nor the package lists.
pub fn filesystem() -> PathBuf {
    let tree = system();
    let file = tree.root.with_extension("root.ext4");
    let _lock = lock(&tree.root.with_extension("lock"));
    if !file.exists() {
        let scratch = tempfile::tempdir_in(cache()).unwrap();
        let root = scratch.path().join("root");
        let from = tree.root.join(".");
        tool::run(tool::command("cp", "coreutils").arg("-a").args([&from, &root]));
        for directory in LEFT_OUT {
            let _ = fs::remove_dir_all(root.join(directory));
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let aside = scratch.path().join("ext4");
        let mut mkfs = tool::command("mkfs.ext4", "e2fsprogs");
        mkfs.args(["-q", "-F", "-m", "0", "-U", UUID, "-d"]);
        tool::run(mkfs.args([&root, &aside]).arg("400M"));
        fs::rename(&aside, &file).unwrap();
    }
    file
}

/// Returns the versions of its packages: the text of dpkg's status file.
pub fn versions() -> String {
    fs::read_to_string(system().root.join("var/lib/dpkg/status")).unwrap()
}

fn home() -> PathBuf {
    cache().join(format!("debian-12-{:016x}", hash(&PACKAGES)))
}
