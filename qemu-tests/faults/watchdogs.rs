//! Watchdogs: their devices, their pings, and who takes them over.

use crate::inits::{long, slow_down_at_the_break};
use crate::row::{Content, Image, ROW, Root, Row};
use harness::machine::{Bus, Running};
use serde_json::json;
use std::thread::sleep;
use std::time::Duration;

/// A slot into which a disk can be plugged while the machine runs.
const SOCKET: [&str; 2] = ["-device", "pcie-root-port,id=socket,chassis=1,slot=1"];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "it_is_pinged_while_the_root_is_awaited",
        root: Root::On(Bus::Unplugged),
        args: &SOCKET,
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,6",
        act: |machine| {
            machine.wait_for("watchdog /dev/watchdog0 (Software Watchdog): timeout 6 s");
            plug_in_after(machine, 20);
        },
        ..ROW
    },
    Row {
        name: "its_driver_is_loaded_for_a_device",
        image: Image::Full,
        root: Root::On(Bus::Unplugged),
        args: &[SOCKET[0], SOCKET[1], "-device", "i6300esb"],
        words: "coldplug.watchdog=/dev/watchdog0,10",
        act: |machine| {
            machine.wait_for("watchdog /dev/watchdog0 (i6300ESB timer): timeout 10 s");
            plug_in_after(machine, 25);
        },
        ..ROW
    },
    Row {
        name: "it_is_pinged_during_the_check_before_the_switch",
        files: &[("bin/sh", Content::Busybox)],
        on_root: &[("sbin/init", Content::Made(long))],
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,4 coldplug.timeout=12 \
                coldplug.break=switch",
        act: slow_down_at_the_break,
        verdict: "no-init",
        says: &[
            "watchdog /dev/watchdog0 (Software Watchdog): timeout 4 s",
            "root /dev/vda: check of its init did not end within 12 s",
        ],
        ..ROW
    },
    Row {
        name: "it_goes_on_after_the_switch",
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,6",
        on_root: &[
            ("bin/busybox", Content::Busybox),
            ("sbin/init", Content::Text("#!/bin/busybox sh\necho init runs\nsleep 1000\n")),
        ],
        // QEMU ends because the watchdog resets the machine.
        says: &["init runs", "watchdog0: watchdog did not stop!"],
        ..ROW
    },
    Row {
        name: "the_real_init_takes_it_over",
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,6",
        on_root: &[
            ("bin/busybox", Content::Busybox),
            (
                "sbin/init",
                Content::Text(
                    "#!/bin/busybox sh\nbusybox watchdog -F -t 1 -T 6 /dev/watchdog0 &\n\
                     sleep 15\necho still here\nbusybox poweroff -f\n",
                ),
            ),
        ],
        says: &["still here"],
        ..ROW
    },
    Row {
        name: "it_resets_a_failed_boot_that_nobody_looks_at",
        root: Root::None,
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,6 coldplug.timeout=10 \
                panic=0 coldplug.onfail=shell coldplug.shell=0",
        verdict: "no-root",
        says: &["watchdog /dev/watchdog0 (Software Watchdog): timeout 6 s"],
        ..ROW
    },
    Row {
        name: "it_resets_a_process_1_that_is_stalled",
        root: Root::None,
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,6 coldplug.timeout=600 \
                cgroup_no_v1=all",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/freeze.conf",
                Content::Text(
                    "install virtio_rng /sbin/modprobe -i softdog; sleep 3; mkdir -p /tmp/c && \
                     mount -t cgroup2 c /tmp/c && mkdir /tmp/c/f && echo 1 > /tmp/c/f/cgroup.procs \
                     && echo process 1 is frozen > /dev/console && echo 1 > /tmp/c/f/cgroup.freeze\n",
                ),
            ),
        ],
        args: &["-device", "virtio-rng-pci"],
        verdict: "",
        says: &["process 1 is frozen"],
        ..ROW
    },
    Row {
        name: "no_device",
        words: "coldplug.watchdog=/dev/watchdog0",
        says: &["coldplug.watchdog: /dev/watchdog0 not found"],
        ..ROW
    },
    Row {
        name: "a_timeout_that_the_driver_refuses",
        words: "coldplug.modules=softdog coldplug.watchdog=/dev/watchdog0,99999999",
        says: &["coldplug.watchdog: WDIOC_SETTIMEOUT /dev/watchdog0: Invalid argument"],
        ..ROW
    },
    Row {
        name: "a_device_that_is_no_watchdog",
        words: "coldplug.watchdog=/dev/console",
        says: &["coldplug.watchdog: WDIOC_GETSUPPORT /dev/console: Inappropriate ioctl"],
        ..ROW
    },
];

/// Plugs in the disk of the root after this many seconds.
fn plug_in_after(machine: &mut Running, seconds: u64) {
    sleep(Duration::from_secs(seconds));
    let device = json!({ "driver": "virtio-blk-pci", "drive": "disk0", "bus": "socket" });
    machine.qmp().execute("device_add", device);
}
