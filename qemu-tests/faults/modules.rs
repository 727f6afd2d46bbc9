//! Modules that are damaged or misbehave.

use crate::row::{Content, Image, ROW, Row};

const STORED: Image = Image::Options(&["--all", "--modules-as", "stored"]);
const RNG: &[&str] = &["-device", "virtio-rng-pci"];
const RNG_FILE: &str = "lib/modules/RELEASE/kernel/drivers/char/hw_random/virtio-rng.ko";
const BLK_FILE: &str = "lib/modules/RELEASE/kernel/drivers/block/virtio_blk.ko";

/// Locks, and succeeds if modules_disabled is 1.
const LOCKED: &str = "coldplug.lock=1 \"coldplug.exec=grep 1 /proc/sys/kernel/modules_disabled\"";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a_module_without_content",
        quick: true,
        image: STORED,
        files: &[(RNG_FILE, Content::Text(""))],
        args: RNG,
        says: &["module virtio_rng failed", "failed=1"],
        ..ROW
    },
    Row {
        name: "a_module_that_is_a_directory",
        image: STORED,
        files: &[(RNG_FILE, Content::Directory)],
        args: RNG,
        says: &["module virtio_rng failed", "failed=1"],
        ..ROW
    },
    Row {
        name: "a_module_that_never_ends",
        image: STORED,
        files: &[(RNG_FILE, Content::Device(1, 5))],
        args: RNG,
        says: &["module virtio_rng failed", "failed=1"],
        ..ROW
    },
    Row {
        name: "a_module_that_links_to_itself",
        image: STORED,
        files: &[(RNG_FILE, Content::Link("virtio-rng.ko"))],
        args: RNG,
        says: &["module virtio_rng", "failed=1"],
        ..ROW
    },
    Row {
        name: "a_module_that_the_root_needs_is_no_module",
        image: STORED,
        files: &[(BLK_FILE, Content::Text("\x7fELF and nothing"))],
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["module virtio_blk failed"],
        ..ROW
    },
    Row {
        name: "a_module_that_the_root_needs_is_a_fifo",
        image: STORED,
        files: &[(BLK_FILE, Content::Fifo)],
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["module virtio_blk failed"],
        ..ROW
    },
    Row {
        name: "an_image_without_drivers",
        image: Image::Options(&["--modules", "ext4"]),
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["no block devices seen"],
        ..ROW
    },
    Row {
        name: "a_module_that_sleeps_in_its_init",
        image: Image::OwnModules,
        args: &["-device", "virtio-serial-pci"],
        ..ROW
    },
    Row {
        name: "a_bug_in_a_module_that_shall_panic",
        image: Image::OwnModules,
        words: "coldplug.modules=coldplug_oops",
        verdict: "",
        panics: true,
        says: &["kernel BUG at", "Kernel panic - not syncing: Fatal exception"],
        ..ROW
    },
    Row {
        name: "a_flood_of_uevents",
        image: Image::OwnModules,
        words: "coldplug.modules=coldplug_flood",
        ..ROW
    },
    Row {
        name: "a_flood_of_uevents_into_a_small_buffer",
        image: Image::OwnModules,
        words: "coldplug.modules=coldplug_flood coldplug.rcvbuf=2048",
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
