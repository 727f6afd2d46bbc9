//! Modules that are damaged or misbehave.

use crate::row::{Content, Image, ROW, Row};

const STORED: Image = Image::Options(&["--all", "--modules-as", "stored"]);

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
];
