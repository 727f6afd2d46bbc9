//! The packages of coldplug on Debian 12 and 13: they replace initramfs-tools, kernels are
//! installed, upgraded, removed and purged, and each state boots.

use super::debian::{boot_kernel, reported};
use harness::arch::Arch;
use harness::kernel::Tree;
use harness::run::{BOOT, Need, Test, unavailable};
use harness::{apt, debian, note, packages, paths, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tests of `make boots` and `make packages`.
pub(crate) const EXTRA: &[Test] = tests![
    [
        BOOT[0],
        BOOT[1],
        Need::Root("packages are installed in a chroot"),
        Need::Command("dh", "debhelper"),
        Need::Command("dpkg-buildpackage", "dpkg-dev"),
    ] =>
    packages_replace_initramfs_tools_on_debian_12,
    packages_replace_initramfs_tools_on_debian_13,
];

/// A system in a directory that commands run in.
pub(crate) struct System {
    dir: PathBuf,
    /// Mount points below it.
    mounts: Vec<PathBuf>,
}

impl System {
    /// Copies a small system to `dir`, with the package lists of `suite`.
    pub(crate) fn new(suite: &str, dir: &Path) -> Self {
        debian::small(suite, dir);
        let mut system = Self { dir: dir.to_owned(), mounts: Vec::new() };
        let proc = dir.join("proc");
        tool::run(tool::command("mount", "mount").args(["-t", "proc", "none"]).arg(&proc));
        system.mounts.push(proc);
        let security = format!("{suite}-security");
        let sources = apt::sources_of(&[suite, &security]);
        fs::write(dir.join("etc/apt/sources.list"), sources).unwrap();
        let resolver = dir.join("etc/resolv.conf");
        let _ = fs::remove_file(&resolver);
        fs::copy("/etc/resolv.conf", resolver).unwrap();
        // Nothing is started by the scripts of packages.
        let policy = dir.join("usr/sbin/policy-rc.d");
        fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
        tool::run(tool::command("chmod", "coreutils").arg("755").arg(policy));
        tool::fetch(&mut system.command("apt-get -q update"));
        system
    }

    /// Returns its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns a command of the shell in the system.
    fn command(&self, line: &str) -> Command {
        let mut chroot = tool::command("chroot", "coreutils");
        chroot.arg(&self.dir).args(["/bin/sh", "-c", line]).env_clear();
        chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        chroot.env("DEBIAN_FRONTEND", "noninteractive").env("HOME", "/root");
        chroot
    }

    /// Runs a line of the shell, and returns what it printed.
    pub(crate) fn run(&self, line: &str) -> String {
        let printed = tool::run(&mut self.command(&format!("exec 2>&1; {line}")));
        note!("$ {line}\n{printed}");
        printed
    }

    /// Runs apt-get without questions and without the packages that are only recommended.
    fn apt(&self, action: &str) -> String {
        self.run(&format!(
            "apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=no {action}"
        ))
    }

    /// Returns the last two kernels for clouds of the release's own version, oldest first.
    pub(crate) fn kernels(&self, version: &str) -> [String; 2] {
        let names = self.run(&format!(
            "apt-cache search --names-only '^linux-image-{version}.*-cloud-amd64$' \
             | cut -d ' ' -f 1 | sort -V | sed s/^linux-image-//",
        ));
        let names: Vec<_> = names.lines().map(str::to_owned).collect();
        match &names[..] {
            [.., old, new] => [old.clone(), new.clone()],
            _ => unavailable(format!("the mirror has no two kernels: {names:?}")),
        }
    }

    /// Returns the files of /boot, sorted.
    fn boot_files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("boot")).unwrap().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Checks that /boot has the files of these kernels, each with an image, and nothing else.
    fn has_kernels(&self, releases: &[&str]) {
        let mut want: Vec<_> = releases
            .iter()
            .flat_map(|release| {
                ["System.map", "config", "initrd.img", "vmlinuz"].map(|n| format!("{n}-{release}"))
            })
            .collect();
        want.sort();
        assert_eq!(self.boot_files(), want);
    }

    /// Boots a kernel of the system with its image. No unit may fail.
    fn boots(&self, release: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let kernel = scratch.path().join("vmlinuz");
        fs::copy(self.dir.join(format!("boot/vmlinuz-{release}")), kernel).unwrap();
        let tree = |root: &Path| Tree {
            root: root.to_owned(),
            release: release.to_owned(),
            arch: Arch::X86_64,
        };
        let image = self.dir.join(format!("boot/initrd.img-{release}"));
        let boot = boot_kernel(&tree(&self.dir), &tree(scratch.path()), &image);
        note!("{release}: {:?}", reported(&boot, "time"));
        assert_eq!(reported(&boot, "target"), ["active"], "{}", boot.facts_text);
        assert_eq!(reported(&boot, "failed"), [""; 0], "units that fail");
        assert_eq!(reported(&boot, "state"), ["running"]);
        boot.check(boot.console.contains("coldplug: verdict=ok"), "the image is ours");
    }

    /// Unmounts what is mounted below it.
    pub(crate) fn unmount(&mut self) {
        for place in self.mounts.drain(..).rev() {
            let _ = tool::attempt(tool::command("umount", "mount").arg(place));
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.unmount();
    }
}

/// Returns the lines of README that install the package.
fn lines_of_readme() -> Vec<String> {
    let text = fs::read_to_string(paths::checkout().join("README.md")).unwrap();
    let (_, section) = text.split_once("\n## On Debian\n").expect("a section about Debian");
    let lines = section.lines().map(|line| line.split("  #").next().unwrap_or_default().trim_end());
    let lines = lines.skip_while(|line| !line.starts_with("    "));
    lines.take_while(|line| line.starts_with("    ")).map(|line| line.trim().to_owned()).collect()
}

fn packages_replace_initramfs_tools_on_debian_12() {
    kernels_come_and_go("bookworm", "6.1.0-");
}

fn packages_replace_initramfs_tools_on_debian_13() {
    kernels_come_and_go("trixie", "6.12.");
}

/// Installs the packages and kernels of `version` in a Debian `suite`.
fn kernels_come_and_go(suite: &str, version: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("system");
    fs::create_dir(&dir).unwrap();
    let mut system = System::new(suite, &dir);
    let [old, new] = system.kernels(version);
    system.apt(&format!("install linux-image-{old}"));
    let lines = lines_of_readme();
    let [make, lines @ ..] = &lines[..] else { panic!("README has no lines") };
    assert_eq!(make, "make deb");
    let out = dir.join("out");
    packages::build(&out);
    for line in lines {
        let line = line.strip_prefix("sudo apt ").expect(line);
        system.apt(line);
    }
    assert_eq!(system.run("dpkg -l initramfs-tools | grep ^ii || true"), "");
    assert_eq!(system.run("ls /etc/kernel/*/initramfs-tools 2>/dev/null || true"), "");
    system.has_kernels(&[&old]);
    system.boots(&old);

    // A kernel brings back no initramfs-tools.
    let printed = system.apt(&format!("install linux-image-{new}"));
    assert!(!printed.contains("Setting up initramfs-tools"), "{printed}");
    system.has_kernels(&[&old, &new]);
    system.boots(&new);

    // The image of an upgraded kernel is a new one, and there is no other left.
    let image = dir.join(format!("boot/initrd.img-{new}"));
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&image).unwrap());
    let before = inode();
    system.run("dpkg -i /out/coldplug-kmod_*.deb");
    assert_eq!(system.run("readlink -f /sbin/modprobe").trim(), "/usr/bin/coldplug");
    assert!(system.run("kmod -V").contains("kmod version"));
    system.apt(&format!("install --reinstall linux-image-{new}"));
    assert_ne!(inode(), before);
    system.has_kernels(&[&old, &new]);

    // A package that changes what images hold has them built once.
    let printed = system.apt("install --reinstall kmod");
    assert_eq!(printed.matches("Processing triggers for coldplug").count(), 1, "{printed}");
    assert_eq!(system.run("readlink -f /sbin/modprobe").trim(), "/usr/bin/coldplug");
    system.has_kernels(&[&old, &new]);

    system.apt(&format!("remove linux-image-{old}"));
    system.has_kernels(&[&new]);
    system.apt(&format!("purge linux-image-{old}"));
    system.has_kernels(&[&new]);
    assert!(!dir.join("lib/modules").join(&old).exists(), "modules of {old} are left");
    system.boots(&new);

    // Without the package its images stay, and go with their kernels.
    system.apt("remove coldplug-kmod");
    assert_eq!(system.run("readlink -f /sbin/modprobe").trim(), "/usr/bin/kmod");
    system.run("dpkg --purge coldplug-kmod && modprobe -V && dpkg-divert --list '*kmod*'");
    system.run("dpkg --remove --force-depends coldplug");
    system.has_kernels(&[&new]);
    system.run(&format!("dpkg --remove linux-image-{new}"));
    assert_eq!(system.boot_files(), [""; 0]);
    system.run("dpkg --purge coldplug");
    let left =
        system.run("find / -xdev -name '*coldplug*' -not -path '/out/*' -not -path '/proc/*'");
    assert_eq!(left, "");
    system.unmount();
}
