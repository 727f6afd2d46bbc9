//! Files of the image: damaged indexes and configuration, FIFOs, devices, missing directories.

use crate::row::{Content, Image, ROW, Row};
use harness::kernel::Kernel;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "modules_of_another_kernel",
        image: Image::Foreign(Kernel::Cloud612),
        words: "coldplug.timeout=3",
        verdict: "no-root",
        ..ROW
    },
    Row {
        name: "alias_index_cut_to_half",
        files: &[("lib/modules/RELEASE/modules.alias.bin", Content::Changed(half))],
        ..ROW
    },
    Row {
        name: "alias_index_of_zeros",
        files: &[("lib/modules/RELEASE/modules.alias.bin", Content::Zeros(1 << 16))],
        ..ROW
    },
    Row {
        name: "alias_index_with_flipped_bytes",
        files: &[("lib/modules/RELEASE/modules.alias.bin", Content::Changed(flip))],
        ..ROW
    },
    Row {
        name: "alias_index_is_a_directory",
        files: &[("lib/modules/RELEASE/modules.alias.bin", Content::Directory)],
        ..ROW
    },
    Row {
        name: "configuration_is_a_device",
        files: &[("etc/modprobe.d/null.conf", Content::Device(1, 3))],
        ..ROW
    },
    Row {
        name: "an_image_without_directories",
        quick: true,
        image: Image::List(
            "dir /dev 0755 0 0\nnod /dev/console 0600 0 0 c 5 1\n\
                            file /init @init 0755 0 0\n",
        ),
        ..ROW
    },
    Row {
        name: "configuration_with_bytes_that_are_no_text",
        files: &[("etc/modprobe.d/bytes.conf", Content::Bytes(b"blacklist \xff\xfe\0\x1b[31m\n"))],
        ..ROW
    },
    Row {
        name: "dependency_index_without_its_last_byte",
        files: &[(
            "lib/modules/RELEASE/modules.dep.bin",
            Content::Made(|tree| {
                let mut bytes = std::fs::read(tree.modules().join("modules.dep.bin")).unwrap();
                bytes.pop();
                bytes
            }),
        )],
        ..ROW
    },
    Row {
        name: "configuration_is_a_fifo",
        quick: true,
        files: &[
            ("etc/modprobe.d/fifo.conf", Content::Fifo),
            ("etc/modprobe.d/zero.conf", Content::Link("/dev/zero")),
            ("etc/modprobe.d/large.conf", Content::Zeros(5 << 20)),
            ("run/modprobe.d", Content::Fifo),
            ("lib/modules/RELEASE/modules.softdep", Content::Fifo),
            ("etc/coldplug/record.json", Content::Fifo),
        ],
        says: &[
            "fifo.conf: ignored: not a regular file",
            "zero.conf: ignored: not a regular file",
            "large.conf: ignored: larger than the limit of 4 MiB",
            "modules.softdep: ignored: not a regular file",
            "record.json: not a regular file",
        ],
        ..ROW
    },
    Row {
        name: "dependency_index_is_a_fifo",
        files: &[("lib/modules/RELEASE/modules.dep.bin", Content::Fifo)],
        says: &["modules.dep.bin: not a regular file; reading modules.dep instead"],
        ..ROW
    },
    Row {
        name: "dependencies_are_fifos",
        files: &[
            ("lib/modules/RELEASE/modules.dep.bin", Content::Fifo),
            ("lib/modules/RELEASE/modules.dep", Content::Fifo),
        ],
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["no modules for kernel"],
        ..ROW
    },
    Row {
        name: "a_module_is_a_fifo",
        image: STORED,
        files: &[(
            "lib/modules/RELEASE/kernel/drivers/char/hw_random/virtio-rng.ko",
            Content::Fifo,
        )],
        args: &["-device", "virtio-rng-pci"],
        says: &["module virtio_rng failed", "not a regular file", "failed=1"],
        ..ROW
    },
    Row {
        name: "replay_of_an_endless_file",
        quick: true,
        words: "coldplug.replay=/dev/zero",
        says: &["coldplug.replay: /dev/zero: not a regular file"],
        ..ROW
    },
    Row {
        name: "replay_of_the_console",
        words: "coldplug.replay=/dev/console",
        says: &["coldplug.replay: /dev/console: not a regular file"],
        ..ROW
    },
    Row {
        name: "indexes_truncated_while_in_use",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/truncate.conf",
                Content::Text(
                    "install virtio_rng for f in /lib/modules/*/modules.*; do : > $f; done\n\
                     softdep virtio_blk pre: virtio_rng\n",
                ),
            ),
        ],
        args: &["-device", "virtio-rng-pci"],
        ..ROW
    },
    Row {
        name: "dependency_index_with_flipped_bytes",
        quick: true,
        image: STORED,
        files: &[("lib/modules/RELEASE/modules.dep.bin", Content::Changed(flip))],
        says: &["modules.dep.bin: ", "; reading modules.dep instead"],
        ..ROW
    },
    Row {
        name: "every_index_with_flipped_bytes",
        image: STORED,
        files: &[
            ("lib/modules/RELEASE/modules.dep.bin", Content::Changed(flip)),
            ("lib/modules/RELEASE/modules.alias.bin", Content::Changed(flip)),
            ("lib/modules/RELEASE/modules.symbols.bin", Content::Changed(flip)),
            ("lib/modules/RELEASE/modules.builtin.bin", Content::Changed(flip)),
            ("lib/modules/RELEASE/modules.builtin.alias.bin", Content::Changed(flip)),
        ],
        args: &["-device", "virtio-rng-pci"],
        ..ROW
    },
    Row {
        name: "dependency_text_cut_to_half",
        image: STORED,
        files: &[("lib/modules/RELEASE/modules.dep", Content::Changed(half))],
        ..ROW
    },
];

const STORED: Image = Image::Options(&["--all", "--modules-as", "stored"]);

/// Returns the first half of `bytes`.
fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// Inverts every 211th byte.
fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.iter_mut().step_by(211).for_each(|byte| *byte = !*byte);
    bytes
}
