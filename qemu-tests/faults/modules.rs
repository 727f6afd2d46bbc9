//! Modules that are damaged or misbehave.

use crate::row::{Content, Image, ROW, Row};

const STORED: Image = Image::Options(&["--all", "--modules-as", "stored"]);

/// Locks, and succeeds if modules_disabled is 1.
const LOCKED: &str = "coldplug.lock=1 \"coldplug.exec=grep 1 /proc/sys/kernel/modules_disabled\"";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a_module_without_content",
        quick: true,
        image: STORED,
        files: &[(
            "lib/modules/RELEASE/kernel/drivers/char/hw_random/virtio-rng.ko",
            Content::Text(""),
        )],
        args: &["-device", "virtio-rng-pci"],
        says: &["module virtio_rng failed", "failed=1"],
        ..ROW
    },
    Row {
        name: "a_module_that_sleeps_in_its_init",
        image: Image::OwnModules,
        args: &["-device", "virtio-serial-pci"],
        ..ROW
    },
    Row {
        name: "a_module_that_the_root_needs_is_no_module",
        image: STORED,
        files: &[(
            "lib/modules/RELEASE/kernel/drivers/block/virtio_blk.ko",
            Content::Text("\x7fELF and nothing"),
        )],
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["module virtio_blk failed"],
        ..ROW
    },
    Row {
        name: "modules_that_are_missing",
        quick: true,
        image: STORED,
        files: &[
            ("lib/modules/RELEASE/kernel/drivers/block/virtio_blk.ko", Content::Link("/none")),
            ("lib/modules/RELEASE/kernel/drivers/input/evdev.ko", Content::Link("/none")),
        ],
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["coldplug: module virtio_blk missing"],
        never: &["coldplug: module evdev missing"],
        check: |boot| {
            let (_, end) = boot.console.rsplit_once("module virtio_blk missing").unwrap();
            boot.check(end.contains("root device /dev/vda not found"), "the cause is not last");
        },
        ..ROW
    },
    Row {
        name: "a_lock_after_the_switch",
        quick: true,
        on_root: &[
            ("bin/sh", Content::Busybox),
            ("bin/grep", Content::Link("sh")),
            ("sbin/init", Content::Text("")),
        ],
        words: LOCKED,
        says: &["exit=0"],
        ..ROW
    },
    Row {
        name: "a_lock_waits_for_all_modules",
        image: Image::OwnModules,
        args: &["-device", "virtio-serial-pci"],
        words: "coldplug.settle=root coldplug.lock=1",
        says: &["coldplug.settle=root ignored: coldplug.lock=1 forbids later loads"],
        check: |boot| {
            let record = boot.facts().record();
            let open =
                |m: &&serde_json::Value| m["outcome"] == "loading" || m["outcome"] == "waiting";
            let left: Vec<_> = record["modules"].as_array().unwrap().iter().filter(open).collect();
            assert!(left.is_empty(), "{left:#?}");
        },
        ..ROW
    },
];
