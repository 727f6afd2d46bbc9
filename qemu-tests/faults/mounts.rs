//! Mounts and checks of filesystems that do not end, on the root and beside it.
//!
//! Disks stall at a known place: fsck.ext4 of the image is a shell script that says so on the
//! console, and the test then throttles the disk.

use crate::row::{Content, Image, ROW, Root, Row};
use harness::disk::{self, DECOY, Disk, ROOT};
use harness::machine::{Bus, Machine, Running};
use harness::{filesystem, tool};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Adds fsck.ext4, a shell script, to the image.
const fn fsck(script: &'static str) -> [(&'static str, Content); 2] {
    [("bin/sh", Content::Busybox), ("sbin/fsck.ext4", Content::Text(script))]
}

/// Stalls the root.
const STALL_ROOT: &[(&str, Content)] = &fsck(
    "#!/bin/sh\n[ \"$2\" = /dev/vda ] || exit 0\necho stalling > /dev/console\nsleep 4\n\
     echo 3 > /proc/sys/vm/drop_caches\n",
);
/// Stalls the second disk.
const STALL_SECOND: &[(&str, Content)] = &fsck(
    "#!/bin/sh\n[ \"$2\" = /dev/vdb ] || exit 0\necho stalling > /dev/console\nsleep 4\n\
     echo 3 > /proc/sys/vm/drop_caches\n",
);
/// Stalls the root when the driver of the file on it is loaded.
const STALL_IMAGE: &[(&str, Content)] = &[
    ("bin/sh", Content::Busybox),
    (
        "etc/modprobe.d/stall.conf",
        Content::Text(
            "softdep squashfs pre: virtio_rng\n\
             install virtio_rng echo stalling > /dev/console; sleep 4; \
             echo 3 > /proc/sys/vm/drop_caches\n",
        ),
    ),
];
/// Kills the mount worker while the root is stalled.
const KILL_WORKER: &[(&str, Content)] = &fsck(
    "#!/bin/sh\n[ -e /killed ] && exit 0\n: > /killed\n\
     setsid sh -c '\n\
     until grep -q coldplug-mount /proc/[0-9]*/comm; do sleep 1; done\n\
     sleep 1\n\
     for comm in $(grep -l coldplug-mount /proc/[0-9]*/comm); do\n\
     process=${comm%/comm}; kill -9 ${process#/proc/}\n\
     done\n\
     echo the worker is killed > /dev/console' &\n\
     echo stalling > /dev/console\nsleep 4\n\
     echo 3 > /proc/sys/vm/drop_caches\n",
);

const NEVER_ENDS: &[(&str, Content)] = &fsck("#!/bin/sh\nsleep 1000\n");
const IGNORES_SIGTERM: &[(&str, Content)] =
    &fsck("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n");
const LEAVES_A_CHILD: &[(&str, Content)] = &fsck("#!/bin/sh\nsleep 1000 &\nexit 0\n");
const IS_KILLED: &[(&str, Content)] = &fsck("#!/bin/sh\nkill -9 $$\n");
const SHOWS_ARGUMENTS: &[(&str, Content)] =
    &fsck("#!/bin/sh\necho checked with $* > /dev/console\n");
/// The check of the root sets the second disk read-only (BLKROSET).
const SETS_READ_ONLY: &[(&str, Content)] =
    &fsck("#!/bin/sh\necho checked with $* > /dev/console\nblockdev --setro /dev/vdb\n");
/// A root whose init is never started, and a shell for `coldplug.exec=`.
const ANY_INIT: &[(&str, Content)] =
    &[("bin/sh", Content::Busybox), ("sbin/init", Content::Text("#!/bin/sh\n"))];
/// Leaves the root unchecked, and wants a reboot after the check of /usr.
const IS_NOT_MADE: &[(&str, Content)] =
    &fsck("#!/bin/sh\n[ \"$2\" = /dev/vda ] && exit 8\nexit 3\n");
const HAS_NO_SHELL: &[(&str, Content)] = &[("sbin/fsck.ext4", Content::Text("#!/bin/sh\n"))];
const SAYS_SO: &[(&str, Content)] = &fsck("#!/bin/sh\necho the check ran > /dev/console\nexit 8\n");
const IS_SLOW: &[(&str, Content)] = &fsck("#!/bin/sh\nsleep 12\n");

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a_root_that_stalls_at_its_mount",
        quick: true,
        files: STALL_ROOT,
        words: "coldplug.timeout=12",
        act: |machine| stall(machine, "disk0"),
        verdict: "mount-failed",
        says: &["coldplug: mount of /dev/vda as ext4 did not end within"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "the_next_root_after_one_that_stalls",
        files: STALL_ROOT,
        words: "coldplug.root=LABEL=coldplug-root,wait=15;LABEL=good",
        set_up: |vm| vm.attach(Bus::VirtioBlk, Disk { init: ROOT.init, label: "good", ..DECOY }),
        act: |machine| {
            stall(machine, "disk0");
            machine.wait_for("trying LABEL=good");
            // The mount of the first root ends while the second one is mounted, or after that.
            throttle(machine, "disk0", 0);
        },
        says: &[
            "root LABEL=coldplug-root failed, trying LABEL=good: mount of /dev/vda as ext4 did \
             not end within",
        ],
        check: |boot| {
            let facts = boot.facts();
            assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
            let mounts = facts.lines("mountinfo").join("\n");
            assert!(!mounts.contains("/dev/vda"), "the first root is mounted too: {mounts}");
        },
        ..ROW
    },
    Row {
        name: "a_usr_that_stalls_at_its_mount",
        files: STALL_SECOND,
        words: "mount.usr=LABEL=decoy coldplug.timeout=12",
        set_up: |vm| vm.attach(Bus::VirtioBlk, DECOY),
        act: |machine| stall(machine, "disk1"),
        verdict: "mount-failed",
        says: &["mount.usr=LABEL=decoy: mount of /dev/vdb as ext4 did not end within"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "an_upper_directory_that_stalls_at_its_mount",
        files: STALL_SECOND,
        words: "coldplug.overlay=LABEL=decoy coldplug.timeout=12",
        set_up: |vm| vm.attach(Bus::VirtioBlk, DECOY),
        act: |machine| stall(machine, "disk1"),
        verdict: "mount-failed",
        says: &["coldplug.overlay=LABEL=decoy: mount of /dev/vdb as ext4 did not end within"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "an_image_file_that_stalls_at_its_mount",
        files: STALL_IMAGE,
        root: Root::Made(medium),
        words: "coldplug.image=/root.img coldplug.timeout=12",
        act: |machine| stall(machine, "disk0"),
        verdict: "mount-failed",
        says: &["coldplug.image=/root.img: mount of /dev/loop0 as squashfs did not end within"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "a_mount_worker_that_is_killed",
        files: KILL_WORKER,
        words: "coldplug.timeout=40",
        act: |machine| {
            stall(machine, "disk0");
            machine.wait_for("the worker is killed");
            throttle(machine, "disk0", 0);
        },
        ..ROW
    },
    Row {
        name: "a_check_that_never_ends",
        quick: true,
        files: NEVER_ENDS,
        words: "coldplug.fsck_timeout=3",
        verdict: "mount-failed",
        says: &["fsck.ext4 /dev/vda: did not end within 3 s (coldplug.fsck_timeout); killed"],
        limit_s: 20,
        ..ROW
    },
    Row {
        name: "a_check_that_ignores_sigterm",
        files: IGNORES_SIGTERM,
        words: "coldplug.fsck_timeout=3",
        verdict: "mount-failed",
        says: &["fsck.ext4 /dev/vda: did not end within 3 s (coldplug.fsck_timeout); killed"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "the_next_root_after_a_check_that_never_ends",
        files: &fsck("#!/bin/sh\n[ \"$2\" = /dev/vda ] || exit 0\nsleep 1000\n"),
        words: "coldplug.fsck_timeout=3 coldplug.root=LABEL=coldplug-root;LABEL=good",
        set_up: |vm| vm.attach(Bus::VirtioBlk, Disk { init: ROOT.init, label: "good", ..DECOY }),
        says: &["trying LABEL=good: fsck.ext4 /dev/vda: did not end within 3 s"],
        ..ROW
    },
    Row {
        name: "rootwait_for_a_device_without_a_filesystem",
        root: Root::Made(|file| drop(disk::empty(1, file))),
        words: "rootwait",
        verdict: "mount-failed",
        says: &["still waiting for root device /dev/vda", "no known filesystem"],
        limit_s: 120,
        ..ROW
    },
    Row {
        name: "rootwait_with_errors_in_the_filesystem",
        files: &fsck("#!/bin/sh\nexit 4\n"),
        words: "rootwait",
        verdict: "mount-failed",
        says: &["fsck.ext4 /dev/vda: errors remain (exit status: 4)"],
        limit_s: 60,
        ..ROW
    },
    Row {
        name: "a_hibernation_image_that_stalls",
        image: Image::Full,
        // The boot waits for loads before it resumes. The read takes what the throttled disk grants
        // at once.
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/stall.conf",
                Content::Text(
                    "install virtio_rng echo stalling > /dev/console; sleep 8; \
                     echo 3 > /proc/sys/vm/drop_caches; \
                     (dd if=/dev/vdb of=/dev/null bs=64k count=1 &); sleep 1\n",
                ),
            ),
        ],
        args: &["-device", "virtio-rng-pci"],
        words: "resume=/dev/vdb coldplug.root=/dev/vda;/dev/vda",
        set_up: |vm| hibernated(vm).cmdline("coldplug.onfail=shell"),
        act: |machine| {
            machine.wait_for("stalling");
            std::thread::sleep(Duration::from_secs(4));
            throttle(machine, "disk1", 100);
            machine.wait_for("coldplug: verdict=");
            // Until its prompt the shell may lose what is typed.
            machine.wait_for("/ # ");
            let mut terminal = machine.terminal();
            terminal.line("coldplug rescue retry root=/dev/vda");
            machine.wait_for("retry and continue are not possible");
            machine.wait_for("/ # ");
            terminal.line("cat /proc/mounts; coldplug rescue reboot");
        },
        verdict: "mount-failed",
        says: &[
            "resuming from /dev/vdb",
            "resume=/dev/vdb: reading the image did not end within 65 s",
        ],
        // Nothing may be mounted while the kernel may still resume.
        never: &["/dev/vda /sysroot", "retrying after the failed boot"],
        // reboot(2) waits as long as the resume does, and gets 60 s.
        limit_s: 150,
        ..ROW
    },
    Row {
        name: "a_sync_that_never_ends",
        on_root: &[
            ("bin/sh", Content::Busybox),
            (
                "sbin/init",
                Content::Text(
                    "#!/bin/sh\ndd if=/dev/zero of=/big bs=1M count=2\n\
                     echo stalling > /dev/console\nsleep 4\n",
                ),
            ),
        ],
        words: "rw coldplug.exec=/sbin/init",
        act: |machine| {
            stall(machine, "disk0");
            machine.wait_for("coldplug: verdict=");
            let began = Instant::now();
            while machine.is_running() {
                std::thread::sleep(Duration::from_millis(100));
            }
            let took = began.elapsed().as_secs();
            assert!((8..40).contains(&took), "the restart took {took} s");
        },
        says: &["exit=0"],
        ..ROW
    },
    Row { name: "a_check_that_leaves_a_child", files: LEAVES_A_CHILD, ..ROW },
    Row {
        name: "a_check_that_is_killed",
        files: IS_KILLED,
        verdict: "mount-failed",
        says: &["fsck.ext4 /dev/vda: check failed (signal: 9"],
        limit_s: 30,
        ..ROW
    },
    Row {
        name: "a_check_that_is_not_made",
        quick: true,
        files: IS_NOT_MADE,
        on_root: &[("usr", Content::Directory)],
        words: "rw mount.usr=LABEL=decoy mount.usrflags=defaults,nofail,nodev,dev,nosuid,suid,x-a",
        set_up: |vm| vm.attach(Bus::VirtioBlk, DECOY),
        says: &[
            "fsck.ext4 /dev/vda: filesystem not checked, mounting it all the same (exit status 8)",
            "fsck.ext4 /dev/vdb: errors corrected; reboot wanted, not needed before the mount \
             (exit status 3)",
        ],
        check: |boot| {
            let facts = boot.facts();
            let usr = facts.mount("/usr").unwrap();
            assert!(usr.options.contains(&"rw"), "{usr:?}");
            assert!(!usr.options.iter().any(|o| ["nosuid", "nodev"].contains(o)), "{usr:?}");
        },
        ..ROW
    },
    Row {
        name: "a_check_that_cannot_be_executed",
        files: HAS_NO_SHELL,
        says: &["fsck.ext4 /dev/vda: filesystem not checked, mounting it all the same: exec "],
        ..ROW
    },
    Row {
        name: "a_read_only_disk_is_not_checked",
        quick: true,
        files: SAYS_SO,
        words: "rw",
        drive: ",readonly=on",
        says: &["fsck.ext4 /dev/vda: skipped, the device is read-only"],
        never: &["the check ran"],
        check: |boot| {
            let facts = boot.facts();
            assert!(facts.mount("/").unwrap().options.contains(&"ro"));
        },
        ..ROW
    },
    Row {
        name: "a_partition_of_a_read_only_disk_is_not_checked",
        files: SHOWS_ARGUMENTS,
        root: Root::Made(|file| partitioned(DECOY, file)),
        words: "coldplug.root=/dev/vda1;/dev/vdb",
        drive: ",readonly=on",
        set_up: |vm| vm.attach(Bus::VirtioBlk, ROOT),
        says: &[
            "fsck.ext4 /dev/vda1: skipped, the device is read-only",
            "root /dev/vda1 failed, trying /dev/vdb",
            "checked with -a /dev/vdb",
        ],
        never: &["checked with -a /dev/vda1"],
        ..ROW
    },
    Row {
        name: "a_disk_that_is_set_read_only_is_not_checked",
        files: SETS_READ_ONLY,
        on_root: &[("usr", Content::Directory)],
        words: "mount.usr=LABEL=decoy",
        set_up: |vm| vm.attach(Bus::VirtioBlk, DECOY),
        says: &["checked with -a /dev/vda", "fsck.ext4 /dev/vdb: skipped, the device is read-only"],
        never: &["checked with -a /dev/vdb"],
        ..ROW
    },
    Row {
        name: "a_verified_root_is_not_checked",
        quick: true,
        files: SHOWS_ARGUMENTS,
        root: Root::None,
        words: "rw",
        set_up: verified,
        says: &["fsck.ext4 /dev/mapper/root: skipped, the device is read-only"],
        never: &["checked with"],
        check: |boot| {
            let facts = boot.facts();
            assert_eq!(facts.mount("/").unwrap().source, "/dev/mapper/root");
        },
        ..ROW
    },
    // The medium is a disk like others.
    Row {
        name: "a_root_in_an_image_file_is_not_checked",
        files: SHOWS_ARGUMENTS,
        root: Root::Made(medium_of_ext4),
        words: "coldplug.image=/root.img rw",
        says: &["checked with -a /dev/vda"],
        never: &["checked with -a /dev/loop0"],
        check: |boot| {
            let facts = boot.facts();
            assert_eq!(facts.mount("/").unwrap().source, "/dev/loop0");
        },
        ..ROW
    },
    Row {
        name: "a_check_that_is_slow",
        files: IS_SLOW,
        words: "coldplug.timeout=12",
        says: &["fsck.ext4 /dev/vda: still running after 10 s"],
        ..ROW
    },
    Row {
        name: "a_check_as_systemd_words_ask_for",
        files: SHOWS_ARGUMENTS,
        on_root: ANY_INIT,
        words: "fsck.mode=force fsck.repair=yes \
                \"coldplug.exec=test -f /run/initramfs/fsck-root\"",
        says: &["checked with -y -f /dev/vda", "exit=0"],
        ..ROW
    },
    Row {
        name: "a_check_that_systemd_words_skip",
        files: SHOWS_ARGUMENTS,
        on_root: ANY_INIT,
        words: "fsck.mode=skip \"coldplug.exec=test ! -e /run/initramfs/fsck-root\"",
        says: &["exit=0"],
        never: &["checked with"],
        ..ROW
    },
];

/// Throttles the drive when the console says that a check has begun.
fn stall(machine: &mut Running, drive: &str) {
    machine.wait_for("stalling");
    throttle(machine, drive, 100);
}

/// Limits the drive to so many bytes in a second; 0 means no limit.
fn throttle(machine: &Running, drive: &str, rate: u32) {
    let arguments = json!({
        "device": drive, "bps": rate, "bps_rd": 0, "bps_wr": 0, "iops": 0, "iops_rd": 0,
        "iops_wr": 0,
    });
    machine.qmp().execute("block_set_io_throttle", arguments);
}

/// Attaches a swap partition with the mark of a hibernation image.
fn hibernated(vm: Machine) -> Machine {
    let mut bytes = vec![0; 1 << 20];
    bytes[4086..4095].copy_from_slice(b"S1SUSPEND");
    let file = vm.dir().join("swap");
    fs::write(&file, bytes).unwrap();
    vm.disk(Bus::VirtioBlk, &file)
}

/// Writes an ext4 that holds a squashfs as /root.img.
fn medium(file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let inner = tempfile::tempdir().unwrap();
    let image = dir.path().join("root.img");
    // The mount reads both sides of this file, and the throttled disk grants only the first read.
    fs::write(inner.path().join("file"), vec![b'x'; 1 << 20]).unwrap();
    let mut mksquashfs = tool::command("mksquashfs", "squashfs-tools");
    tool::run(mksquashfs.arg(inner.path()).arg(&image).args(["-noappend", "-quiet", "-noD"]));
    Disk { label: "medium", ..DECOY }.make_of(dir.path(), "16M", file);
}

/// Writes an ext4 that holds the root as /root.img.
fn medium_of_ext4(file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    ROOT.make(&dir.path().join("root.img"));
    Disk { label: "medium", ..DECOY }.make_of(dir.path(), "32M", file);
}

/// Writes a partition table with one partition, which holds `disk`.
fn partitioned(disk: Disk, file: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let content = fs::read(disk.make(&dir.path().join("partition"))).unwrap();
    fs::write(file, [vec![0; 1 << 20], content].concat()).unwrap();
    let mut sfdisk = tool::command("sfdisk", "fdisk");
    tool::feed(sfdisk.arg("-q").arg(file), b"label: dos\nstart=2048, type=83\n");
}

/// Attaches the root and its hash tree, and names the root hash on the command line.
fn verified(vm: Machine) -> Machine {
    let (data, hash) = (vm.dir().join("data"), vm.dir().join("hash"));
    // Verity has blocks of 4096 bytes, and the ext4 must not have smaller ones.
    filesystem::make("ext4", &data);
    let root_hash = disk::verity(&data, &hash, &[]);
    let words = format!("coldplug.verity=roothash={root_hash},data=/dev/vda,hash=/dev/vdb");
    vm.disk(Bus::VirtioBlk, &data).disk(Bus::VirtioBlk, &hash).cmdline(&words)
}
