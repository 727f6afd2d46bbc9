//! Disks that cannot be read, are slow, or disappear; filesystems that are none.

use crate::row::{Content, ROW, Root, Row, SHORT_INIT};
use harness::disk::{self, DECOY, Disk, ROOT};
use harness::machine::{Bus, Machine, Running};
use harness::tool;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// A slot into which a device can be plugged while the machine runs.
const SOCKET: &[&str] = &["-device", "pcie-root-port,id=socket,chassis=1,slot=1"];

/// Returns entries that kill every prober for so many seconds from the load of the disk's driver on.
/// The page cache is emptied, so that each prober has to read the disk; one that waits for it ends
/// when the read does.
macro_rules! prober_killer {
    ($seconds:literal) => {
        &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/killer.conf",
                Content::Text(
                    "install virtio_blk . /killer & exec /bin/coldplug modprobe -i virtio_blk\n",
                ),
            ),
            (
                "killer",
                Content::Text(concat!(
                    "end=$(($(date +%s) + ",
                    $seconds,
                    "))\n\
                     while [ $(date +%s) -lt $end ]; do\n\
                       echo 1 > /proc/sys/vm/drop_caches\n\
                       for dir in /proc/[0-9]*; do\n\
                         read name < $dir/comm\n\
                         [ \"$name\" = coldplug-probe ] && kill -9 ${dir#/proc/}\n\
                       done\n\
                     done\n",
                )),
            ),
        ]
    };
}

/// A shell for breakpoints.
const SHELL: &[(&str, Content)] = &[("bin/sh", Content::Busybox)];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "no_disk",
        quick: true,
        root: Root::None,
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["root device /dev/vda not found after 3 s", "no block devices seen"],
        ..ROW
    },
    Row {
        name: "a_resume_device_that_never_appears",
        words: "resume=LABEL=none",
        says: &["resume=LABEL=none not found after 30 s; booting without resume"],
        limit_s: 60,
        ..ROW
    },
    Row {
        name: "a_disk_of_zeros",
        root: Root::Made(|file| drop(disk::empty(1, file))),
        words: "coldplug.timeout=3",
        verdict: "mount-failed",
        says: &["no known filesystem"],
        ..ROW
    },
    Row {
        name: "a_disk_of_no_bytes",
        root: Root::Made(|file| fs::write(file, "").unwrap()),
        words: "coldplug.timeout=3",
        verdict: "mount-failed",
        ..ROW
    },
    Row { name: "a_read_only_disk_mounted_for_writing", drive: ",readonly=on", words: "rw", ..ROW },
    Row {
        name: "two_disks_with_one_uuid",
        words: "root=UUID=c01d9106-0000-4000-8000-000000000001",
        set_up: |vm| {
            let file = vm.dir().join("root");
            let twin = vm.dir().join("twin");
            fs::copy(file, &twin).unwrap();
            vm.disk(Bus::VirtioBlk, &twin)
        },
        says: &["matches"],
        ..ROW
    },
    Row {
        name: "a_disk_that_appears_late",
        root: Root::On(Bus::Unplugged),
        args: SOCKET,
        words: "rootwait",
        act: |machine| {
            machine.wait_for("coldplug: version");
            std::thread::sleep(Duration::from_secs(20));
            let device = json!({ "driver": "virtio-blk-pci", "drive": "disk0", "bus": "socket" });
            machine.qmp().execute("device_add", device);
        },
        ..ROW
    },
    Row {
        name: "two_hundred_disks",
        words: "root=LABEL=coldplug-root",
        set_up: two_hundred,
        ..ROW
    },
    Row {
        name: "a_root_whose_superblock_cannot_be_read",
        quick: true,
        root: Root::None,
        set_up: |vm| with_bad_sector(vm, ROOT, 2),
        words: "coldplug.timeout=12",
        verdict: "mount-failed",
        says: &["coldplug: read error on /dev/vda: Input/output error"],
        never: &["no known filesystem"],
        ..ROW
    },
    Row {
        name: "a_labelled_root_whose_superblock_cannot_be_read",
        root: Root::None,
        set_up: |vm| with_bad_sector(vm, ROOT, 2),
        words: "root=LABEL=coldplug-root coldplug.timeout=12",
        verdict: "no-root",
        says: &["  vda: read error: Input/output error", "  vda (read error: Input/output error)"],
        ..ROW
    },
    Row {
        name: "a_partition_table_that_cannot_be_read",
        root: Root::None,
        set_up: |vm| with_bad_sector(vm, ROOT, 0),
        words: "root=PARTLABEL=root coldplug.timeout=12",
        verdict: "no-root",
        says: &["  vda: read error: Input/output error"],
        ..ROW
    },
    Row {
        name: "another_disk_that_cannot_be_read",
        set_up: |vm| with_bad_sector(vm, DECOY, 2),
        words: "root=LABEL=coldplug-root",
        ..ROW
    },
    Row {
        // A reserved block of the group descriptors.
        name: "a_bad_sector_that_nobody_needs",
        root: Root::None,
        set_up: |vm| with_bad_sector(vm, ROOT, 72),
        words: "root=LABEL=coldplug-root",
        ..ROW
    },
    Row {
        name: "a_slow_second_disk",
        quick: true,
        set_up: |vm| with_slow_disk(vm, DECOY),
        words: "root=LABEL=coldplug-root",
        ..ROW
    },
    Row {
        name: "a_stored_boot_on_a_slow_disk",
        set_up: |vm| with_slow_disk(vm, DECOY),
        words: "root=LABEL=coldplug-root coldplug.persist=/dev/vdb",
        says: &["coldplug.persist: /dev/vdb: no reply within 10 s"],
        limit_s: 40,
        ..ROW
    },
    Row {
        name: "a_slow_disk_with_the_uuid_of_the_root",
        set_up: |vm| with_slow_disk(vm, ROOT),
        words: "root=UUID=c01d9106-0000-4000-8000-000000000001",
        ..ROW
    },
    Row {
        name: "a_slow_disk_that_may_be_the_root",
        set_up: |vm| with_slow_disk(vm, ROOT),
        words: "root=LABEL=absent coldplug.timeout=12 coldplug.probe_timeout=3",
        verdict: "no-root",
        says: &[
            "coldplug: /dev/vdb did not answer within 3 s; skipped",
            "  vdb: did not answer within 3 s",
            "  vdb (did not answer within 3 s)",
        ],
        limit_s: 40,
        ..ROW
    },
    Row {
        name: "a_slow_disk_that_is_the_root",
        root: Root::None,
        set_up: |vm| with_slow_disk(vm, ROOT),
        words: "coldplug.timeout=12 coldplug.probe_timeout=3",
        verdict: "no-root",
        says: &["coldplug: /dev/vda did not answer within 3 s; skipped"],
        limit_s: 40,
        ..ROW
    },
    Row {
        name: "a_root_by_its_serial_number_beside_a_stalled_disk",
        root: Root::None,
        set_up: |vm| with_serial_number(with_stalled_disk(vm), ROOT, "good"),
        words: "root=/dev/disk/by-id/virtio-good",
        ..ROW
    },
    Row {
        name: "the_serial_number_of_a_stalled_disk",
        root: Root::None,
        set_up: |vm| with_serial_number(with_stalled_disk(vm), ROOT, "good"),
        words: "root=/dev/disk/by-id/virtio-stalled coldplug.timeout=8 coldplug.probe_timeout=3",
        verdict: "no-root",
        says: &[
            "coldplug: /dev/vda did not answer within 3 s; skipped",
            "  vdb is /dev/disk/by-id/virtio-good",
            "  vda: did not answer within 3 s; its links in /dev/disk are unknown",
        ],
        limit_s: 15,
        ..ROW
    },
    Row {
        name: "the_record_of_a_failed_boot_beside_a_stalled_disk",
        quick: true,
        root: Root::None,
        set_up: |vm| with_serial_number(with_stalled_disk(vm), ROOT, "good"),
        words: "root=LABEL=absent coldplug.timeout=8 coldplug.probe_timeout=3",
        verdict: "no-root",
        says: &["  vda (did not answer within 3 s)"],
        limit_s: 15,
        check: |boot| {
            let (seen, good) = (&boot.record()["root"]["seen"], json!("disk/by-id/virtio-good"));
            let links = |at: usize| seen[at]["links"].as_array().expect("links");
            boot.check(links(0).is_empty() && links(1).contains(&good), &seen.to_string());
        },
        ..ROW
    },
    Row {
        name: "a_prober_that_is_killed_for_seconds",
        quick: true,
        files: prober_killer!(6),
        // Each read takes long enough to be interrupted.
        drive: ",throttling.bps-total=200000",
        words: "root=LABEL=coldplug-root",
        says: &["coldplug: /dev/vda could not be read: its prober died; skipped"],
        check: |boot| {
            let count = boot.console.matches("its prober died").count();
            boot.check(count == 1, "the disk is named once");
        },
        ..ROW
    },
    Row {
        name: "a_prober_that_is_always_killed",
        files: prober_killer!(30),
        drive: ",throttling.bps-total=200000",
        words: "root=LABEL=coldplug-root coldplug.timeout=15",
        verdict: "no-root",
        says: &["  vda: could not be read: its prober died"],
        limit_s: 40,
        ..ROW
    },
    Row {
        name: "a_slow_disk_that_is_unplugged",
        args: SOCKET,
        set_up: |vm| {
            let file = ROOT.make(&vm.dir().join("slow"));
            let vm = vm.drive(Bus::Unplugged, &format!("file={}{SLOW}", file.display()));
            vm.device("virtio-blk-pci,id=gone,drive=disk1,bus=socket")
        },
        words: "root=LABEL=absent coldplug.timeout=20",
        act: |machine| {
            machine.wait_for("still waiting for");
            machine.qmp().execute("device_del", json!({ "id": "gone" }));
        },
        verdict: "no-root",
        limit_s: 60,
        ..ROW
    },
    Row {
        name: "a_disk_that_is_cut_short",
        root: Root::Made(|file| {
            ROOT.make(file);
            OpenOptions::new().write(true).open(file).unwrap().set_len(8 << 20).unwrap();
        }),
        words: "coldplug.timeout=15",
        verdict: "mount-failed",
        ..ROW
    },
    Row {
        name: "a_superblock_and_noise",
        root: Root::Made(|file| {
            ROOT.make(file);
            let noise: Vec<u8> =
                (0..1_u32 << 20).map(|n| (n.wrapping_mul(n) >> 3).to_le_bytes()[0]).collect();
            OpenOptions::new().write(true).open(file).unwrap().write_all_at(&noise, 2048).unwrap();
        }),
        words: "coldplug.timeout=15",
        verdict: "mount-failed",
        ..ROW
    },
    Row {
        name: "a_disk_that_cannot_be_read_at_all",
        root: Root::None,
        set_up: |vm| with_errors(vm, |_| vec![-1]),
        words: "coldplug.timeout=15",
        verdict: "mount-failed",
        says: &["read error on /dev/vda"],
        ..ROW
    },
    Row {
        name: "a_journal_that_cannot_be_read",
        root: Root::None,
        set_up: |vm| with_errors(vm, |file| sectors(file, "<8>")),
        words: "coldplug.timeout=15",
        verdict: "mount-failed",
        ..ROW
    },
    Row {
        name: "a_directory_that_cannot_be_read",
        root: Root::None,
        set_up: |vm| with_errors(vm, |file| sectors(file, "/sbin")),
        words: "coldplug.timeout=15",
        verdict: "no-init",
        ..ROW
    },
    Row {
        name: "three_slow_disks_that_are_not_the_root",
        words: "root=LABEL=coldplug-root",
        set_up: |vm| slow_decoy(slow_decoy(slow_decoy(vm, "10"), "100"), "1000"),
        // The usual init waits for the processes of the boot: the kernel reads partition tables.
        on_root: SHORT_INIT,
        ..ROW
    },
    Row {
        name: "a_slow_root_and_another_candidate",
        drive: ",throttling.bps-total=100",
        set_up: |vm| vm.attach(Bus::VirtioBlk, Disk { label: "good", ..ROOT }),
        words: "coldplug.root=/dev/vda,wait=5;/dev/vdb,wait=60",
        ..ROW
    },
    Row { name: "a_root_of_100_kb_per_second", drive: ",throttling.bps-total=100000", ..ROW },
    Row {
        name: "a_disk_that_appears_too_late",
        root: Root::On(Bus::Unplugged),
        args: SOCKET,
        words: "coldplug.timeout=15",
        verdict: "no-root",
        ..ROW
    },
    Row {
        name: "a_root_that_disappears_before_the_mount",
        quick: true,
        files: SHELL,
        root: Root::None,
        set_up: pluggable_root,
        words: "coldplug.break=mount coldplug.timeout=15",
        act: pull,
        verdict: "mount-failed",
        says: &["mount /dev/vda on /sysroot as ext4: No such file or directory"],
        ..ROW
    },
    Row {
        name: "a_disk_that_disappears_and_is_not_the_root",
        files: SHELL,
        set_up: |vm| {
            let vm = vm.args(SOCKET.iter().copied());
            let decoy = vm.dir().join("decoy");
            vm.args(["-drive", &format!("if=none,id=pulled,format=raw,file={}", made(&decoy))])
                .device("virtio-blk-pci,id=pulled,drive=pulled,bus=socket")
        },
        words: "root=LABEL=coldplug-root coldplug.break=mount",
        act: pull,
        ..ROW
    },
];

/// Options of a drive that needs a minute for each block after the first ones.
const SLOW: &str = ",throttling.bps-total=100";

/// Adds a disk that is slow to answer.
fn with_slow_disk(vm: Machine, disk: Disk) -> Machine {
    let file = disk.make(&vm.dir().join("slow"));
    vm.drive(Bus::VirtioBlk, &format!("file={}{SLOW}", file.display()))
}

/// Adds a disk whose serial number cannot be read, because its queue holds one request and a read
/// that takes minutes is in it.
fn with_stalled_disk(vm: Machine) -> Machine {
    let file = DECOY.make(&vm.dir().join("stalled"));
    let vm = vm.drive(Bus::Unplugged, &format!("file={}{SLOW}", file.display()));
    vm.device("virtio-blk-pci,drive=disk0,serial=stalled,addr=0x10")
        .cmdline("virtio_blk.queue_depth=1")
}

/// Adds a disk with this serial number.
fn with_serial_number(vm: Machine, disk: Disk, serial: &str) -> Machine {
    let file = disk.make(&vm.dir().join(serial));
    let drive = format!("if=none,id={serial},format=raw,file={}", file.display());
    vm.args(["-drive", &drive])
        .device(&format!("virtio-blk-pci,drive={serial},serial={serial},addr=0x11"))
}

/// Adds a disk on which every read of `sector` fails.
fn with_bad_sector(vm: Machine, disk: Disk, sector: u64) -> Machine {
    let (file, rules) = (vm.dir().join("bad"), vm.dir().join("rules"));
    disk.make(&file);
    let rule =
        format!("[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"{sector}\"\n");
    fs::write(&rules, rule).unwrap();
    let (file, rules) = (file.display(), rules.display());
    let image = format!("file.image.driver=file,file.image.filename={file}");
    vm.drive(Bus::VirtioBlk, &format!("file.driver=blkdebug,file.config={rules},{image}"))
}

/// Adds the root as /dev/vda, whose sectors that `of` returns cannot be read; -1 stands for all.
fn with_errors(vm: Machine, of: fn(&Path) -> Vec<i64>) -> Machine {
    let (file, config) = (vm.dir().join("root"), vm.dir().join("errors"));
    ROOT.make(&file);
    let rule = |sector: i64| {
        format!("[inject-error]\nevent = \"read_aio\"\nerrno = \"5\"\nsector = \"{sector}\"\n")
    };
    fs::write(&config, of(&file).into_iter().map(rule).collect::<String>()).unwrap();
    let drive = format!("file=blkdebug:{}:{}", config.display(), file.display());
    vm.drive(Bus::VirtioBlk, &drive)
}

/// Returns the sectors of the file `name` in the ext4 `disk`, of its first blocks.
fn sectors(disk: &Path, name: &str) -> Vec<i64> {
    let debugfs = |request: &str| {
        tool::run(tool::command("debugfs", "e2fsprogs").args(["-R", request]).arg(disk))
    };
    let stats = debugfs("stats");
    let size = stats.lines().find_map(|line| line.strip_prefix("Block size:"));
    let size: i64 = size.and_then(|text| text.trim().parse().ok()).expect("the size of a block");
    let block: i64 = debugfs(&format!("bmap {name} 0")).trim().parse().expect("a block");
    (block * size / 512..(block + 1) * size / 512).collect()
}

/// Writes the decoy to `file`, and returns its name.
fn made(file: &Path) -> String {
    DECOY.make(file).display().to_string()
}

/// Adds a disk that is not the root, and transmits so many bytes per second.
fn slow_decoy(vm: Machine, bytes_per_second: &str) -> Machine {
    let file = vm.dir().join(format!("slow-{bytes_per_second}"));
    let drive = format!("file={},throttling.bps-total={bytes_per_second}", made(&file));
    vm.drive(Bus::VirtioBlk, &drive)
}

/// Adds the root in the socket.
fn pluggable_root(vm: Machine) -> Machine {
    let vm = vm.args(SOCKET.iter().copied());
    let file = vm.dir().join("root");
    ROOT.make(&file);
    vm.args(["-drive", &format!("if=none,id=pulled,format=raw,file={}", file.display())])
        .device("virtio-blk-pci,id=pulled,drive=pulled,bus=socket")
}

/// Pulls the device at the breakpoint, and goes on when the kernel has removed it.
fn pull(machine: &mut Running) {
    // Until its prompt the shell may lose what is typed.
    machine.wait_for("/ # ");
    let mut terminal = machine.terminal();
    terminal.line("disks() { ls /sys/block | wc -l; }; count=$(disks); echo counted-$((40+2))");
    machine.wait_for("counted-42");
    machine.qmp().execute("device_del", json!({ "id": "pulled" }));
    terminal.line("while [ $(disks) = $count ]; do sleep 1; done; exit");
}

/// Adds a SCSI controller with two hundred small disks.
fn two_hundred(vm: Machine) -> Machine {
    let file = disk::empty(1, &vm.dir().join("small"));
    let vm = vm.device("virtio-scsi-pci,id=many");
    (0..200).fold(vm, |vm, number| {
        let (channel, lun) = (number / 100, number % 100);
        let drive =
            format!("if=none,id=small{number},format=raw,readonly=on,file={}", file.display());
        let device = format!("scsi-hd,bus=many.0,scsi-id={channel},lun={lun},drive=small{number}");
        vm.args(["-drive", &drive]).device(&device)
    })
}
