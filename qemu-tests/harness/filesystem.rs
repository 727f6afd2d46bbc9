//! Disks with filesystems of many types, all with the same root: guest.rs as /sbin/init, and
//! /etc/keep.
//!
//! A filesystem that no tool of Debian can fill from outside is filled by a machine with a kernel
//! that knows it, busybox and kmod.

use crate::disk::{Disk, ROOT, empty, furnish};
use crate::files::put;
use crate::image;
use crate::kernel::Kernel;
use crate::machine::{Bus, Machine};
use crate::paths::program;
use crate::tool;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How a filesystem is filled.
enum Fill {
    /// By the command that makes it; in its arguments DIR is the content and FILE the disk.
    Tool(&'static str),
    /// By a second command.
    Two(&'static str, &'static str),
    /// By a machine with this kernel.
    Machine(&'static str, Kernel),
}

/// Filesystem type, size in MiB, and how it is made.
const MAKERS: [(&str, u64, Fill); 13] = [
    ("ext2", 16, Fill::Tool("e2fsprogs mkfs.ext2 -q -F -d DIR FILE")),
    ("ext3", 16, Fill::Tool("e2fsprogs mkfs.ext3 -q -F -d DIR FILE")),
    ("ext4", 16, Fill::Tool("e2fsprogs mkfs.ext4 -q -F -b 4096 -d DIR FILE")),
    ("squashfs", 0, Fill::Tool("squashfs-tools mksquashfs DIR FILE -noappend -quiet -all-root")),
    ("erofs", 0, Fill::Tool("erofs-utils mkfs.erofs --quiet FILE DIR")),
    ("iso9660", 0, Fill::Tool("genisoimage genisoimage -quiet -R -o FILE DIR")),
    ("btrfs", 128, Fill::Tool("btrfs-progs mkfs.btrfs -q --rootdir DIR FILE")),
    ("f2fs", 64, Fill::Two("f2fs-tools mkfs.f2fs -q FILE", "f2fs-tools sload.f2fs -P -f DIR FILE")),
    ("xfs", 304, Fill::Machine("xfsprogs mkfs.xfs -q FILE", Kernel::Cloud61)),
    ("vfat", 64, Fill::Machine("dosfstools mkfs.vfat FILE", Kernel::Cloud61)),
    ("exfat", 64, Fill::Machine("exfatprogs mkfs.exfat FILE", Kernel::Cloud61)),
    ("udf", 64, Fill::Machine("udftools mkfs.udf FILE", Kernel::Cloud61)),
    ("ntfs3", 64, Fill::Machine("ntfs-3g mkfs.ntfs -q -Q -F FILE", Kernel::Cloud612)),
];

/// Returns a directory with the files of the root.
pub fn content() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let guest = fs::read(program("examples/guest")).unwrap();
    put(dir.path(), "sbin/init", &guest, 0o755);
    furnish(dir.path());
    dir
}

/// Writes a disk with the root in a filesystem of type `kind` to `file`.
pub fn make(kind: &str, file: &Path) -> PathBuf {
    make_of(kind, content().path(), file)
}

/// Writes a disk with the files of `dir` in a filesystem of type `kind` to `file`.
pub fn make_of(kind: &str, dir: &Path, file: &Path) -> PathBuf {
    let (_, size, fill) = MAKERS.iter().find(|(k, ..)| *k == kind).expect("a known filesystem");
    if *size > 0 {
        empty(*size, file);
    }
    match fill {
        Fill::Tool(line) => run(line, dir, file),
        Fill::Two(first, second) => {
            run(first, dir, file);
            run(second, dir, file);
        }
        Fill::Machine(line, kernel) => {
            run(line, dir, file);
            fill_by_machine(*kernel, kind, "", dir, &[file]);
        }
    }
    file.to_owned()
}

/// Writes the root to one btrfs over two disks.
pub fn make_pair(first: &Path, second: &Path) {
    make_pair_as("raid0", first, second);
}

/// Writes the root to one btrfs over two disks, either of which holds all of it.
pub fn make_mirror(first: &Path, second: &Path) {
    make_pair_as("raid1", first, second);
}

fn make_pair_as(profile: &str, first: &Path, second: &Path) {
    let mut mkfs = tool::command("mkfs.btrfs", "btrfs-progs");
    mkfs.args(["-q", "-d", profile, "-m", "raid1", "-L", "pair"]);
    tool::run(mkfs.args([empty(160, first), empty(160, second)]));
    let options = "device=/dev/vdb,device=/dev/vdc";
    fill_by_machine(Kernel::Cloud61, "btrfs", options, content().path(), &[first, second]);
}

/// Writes the root to an XFS on `data` whose log is on another disk.
pub fn make_xfs_with_log(data: &Path, log: &Path) {
    let mut mkfs = tool::command("mkfs.xfs", "xfsprogs");
    mkfs.args(["-q", "-L", "logged", "-l"]).arg(format!("logdev={}", empty(64, log).display()));
    tool::run(mkfs.arg(empty(304, data)));
    let disks = [data, log];
    fill_by_machine(Kernel::Cloud61, "xfs", "logdev=/dev/vdc", content().path(), &disks);
}

/// UUID of the seed that [`make_sprout`] makes.
pub const SEED_UUID: &str = "c01d9106-0000-4000-8000-00000000005e";

/// Writes the root to a btrfs that is made with `options`.
pub fn make_btrfs(options: &str, file: &Path) -> PathBuf {
    empty(128, file);
    run(&format!("btrfs-progs mkfs.btrfs -q {options} --rootdir DIR FILE"), content().path(), file);
    file.to_owned()
}

/// Adds an empty file to the btrfs on `file`, the other half of which may be missing.
pub fn touch_btrfs(file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "touched", b"", 0o644);
    fill_by_machine(Kernel::Cloud61, "btrfs", "degraded", dir.path(), &[file]);
}

/// Writes the root to a btrfs `seed`, and makes a sprout of it.
pub fn make_sprout(seed: &Path, sprout: &Path) {
    make_btrfs(&format!("-L tree -U {SEED_UUID}"), seed);
    tool::run(tool::command("btrfstune", "btrfs-progs").args(["-S", "1"]).arg(seed));
    let commands =
        "$bb mount -t btrfs -o ro /dev/vda /to && /sbin/btrfs device add -f /dev/vdb /to &&
        $bb mount -o remount,rw /to";
    change_btrfs(commands, &[seed, &empty(160, sprout)]);
}

/// Replaces the second disk of a mirror, which is away, with a third one.
pub fn replace_missing(first: &Path, third: &Path) {
    let commands = "$bb mount -t btrfs -o degraded /dev/vda /to &&
        /sbin/btrfs device add -f /dev/vdb /to && /sbin/btrfs device remove missing /to";
    change_btrfs(commands, &[first, &empty(256, third)]);
}

/// Boots a machine with `disks` that runs commands on the btrfs which they mount at /to.
fn change_btrfs(commands: &str, disks: &[&Path]) {
    let init = format!(
        r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
/sbin/modprobe -a virtio_pci virtio_blk btrfs
$bb mkdir -p /to
{commands} && $bb umount /to && echo "change: done"
$bb poweroff -f
"#
    );
    let tree = Kernel::Cloud61.get();
    let vm = Machine::new(&tree, &image::btrfs(&tree, &init));
    let boot = disks.iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk)).run();
    boot.check(boot.console.contains("change: done"), "the btrfs could not be changed");
}

/// Runs `PACKAGE TOOL WORDS…`.
fn run(line: &str, dir: &Path, file: &Path) {
    let mut words = line.split(' ');
    let package = words.next().unwrap();
    let mut command = tool::command(words.next().unwrap(), package);
    for word in words {
        match word {
            "DIR" => command.arg(dir),
            "FILE" => command.arg(file),
            word => command.arg(word),
        };
    }
    tool::run(&mut command);
}

/// Copies the files of the first disk to the filesystem on the second. The kernel passes words of
/// the command line to it as variables.
const FILL_INIT: &str = r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
/sbin/modprobe -a virtio_pci virtio_blk ext4 nls_ascii nls_utf8
/sbin/modprobe fs-$fs || /sbin/modprobe $fs
$bb mkdir -p /from /to
$bb mount -t ext4 -o ro /dev/vda /from &&
    $bb mount -t $fs -o "rw${options:+,$options}" /dev/vdb /to &&
    $bb cp -r /from/* /to/ && $bb umount /to && echo "fill: done"
$bb poweroff -f
"#;

/// Boots a machine that mounts the filesystem on `disks` and copies `dir` to it.
fn fill_by_machine(kernel: Kernel, kind: &str, options: &str, dir: &Path, disks: &[&Path]) {
    let tree = kernel.get();
    let vm = Machine::new(&tree, &image::kmod(&tree, FILL_INIT));
    let vm = vm.cmdline(&format!("fs={kind} options={options}"));
    let from = vm.dir().join("from");
    let vm = vm.disk(Bus::VirtioBlk, &Disk { init: None, ..ROOT }.make_of(dir, "32M", &from));
    let boot = disks.iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk)).run();
    boot.check(boot.console.contains("fill: done"), &format!("{kind} could not be filled"));
}
