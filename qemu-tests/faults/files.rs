//! Files of the image: damaged indexes and configuration, FIFOs, devices, missing directories.

use crate::row::{Content, Image, ROW, Row};
use harness::kernel::Kernel;

/// Returns the `.bin` indexes, each with this content.
macro_rules! indexes {
    ($content:expr) => {
        &[
            ("lib/modules/RELEASE/modules.alias.bin", $content),
            ("lib/modules/RELEASE/modules.builtin.alias.bin", $content),
            ("lib/modules/RELEASE/modules.builtin.bin", $content),
            ("lib/modules/RELEASE/modules.dep.bin", $content),
            ("lib/modules/RELEASE/modules.symbols.bin", $content),
        ]
    };
}

/// Returns the text indexes that a boot reads, each with this content.
macro_rules! texts {
    ($content:expr) => {
        &[
            ("lib/modules/RELEASE/modules.alias", $content),
            ("lib/modules/RELEASE/modules.dep", $content),
            ("lib/modules/RELEASE/modules.order", $content),
            ("lib/modules/RELEASE/modules.softdep", $content),
            ("lib/modules/RELEASE/modules.builtin", $content),
            ("lib/modules/RELEASE/modules.builtin.modinfo", $content),
        ]
    };
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "modules_of_another_kernel",
        image: Image::Foreign(Kernel::Cloud612),
        words: "coldplug.timeout=3",
        verdict: "no-root",
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
    // Damaged indexes: the text stands in.
    Row { name: "indexes_cut_to_half", files: indexes!(Content::Changed(half)), ..ROW },
    Row { name: "indexes_of_zeros", files: indexes!(Content::Zeros(1 << 16)), ..ROW },
    Row { name: "indexes_without_content", files: indexes!(Content::Text("")), ..ROW },
    Row { name: "indexes_are_fifos", quick: true, files: indexes!(Content::Fifo), ..ROW },
    Row { name: "indexes_are_directories", files: indexes!(Content::Directory), ..ROW },
    Row { name: "indexes_never_end", files: indexes!(Content::Device(1, 5)), ..ROW },
    Row { name: "indexes_are_consoles", files: indexes!(Content::Device(5, 1)), ..ROW },
    Row { name: "indexes_link_to_nothing", files: indexes!(Content::Link("/no/such")), ..ROW },
    // Damaged texts: the indexes are whole.
    Row { name: "texts_are_fifos", files: texts!(Content::Fifo), ..ROW },
    Row { name: "texts_never_end", files: texts!(Content::Device(1, 5)), ..ROW },
    Row { name: "texts_of_zeros", files: texts!(Content::Zeros(1 << 16)), ..ROW },
    Row {
        name: "modules_is_a_file",
        image: Image::Options(&["--modules", ""]),
        words: "coldplug.timeout=3",
        verdict: "no-root",
        ..ROW
    },
    Row {
        name: "configuration_never_ends",
        files: &[("etc/modprobe.d/zero.conf", Content::Device(1, 5))],
        ..ROW
    },
    Row {
        name: "configuration_is_a_directory",
        files: &[("etc/modprobe.d/dir.conf", Content::Directory)],
        ..ROW
    },
    Row {
        name: "configuration_links_to_itself",
        files: &[("etc/modprobe.d/self.conf", Content::Link("self.conf"))],
        ..ROW
    },
    Row {
        name: "the_directory_of_configuration_is_a_file",
        // As with kmod it is then read as configuration.
        files: &[("etc/modprobe.d", Content::Text("blacklist virtio_rng\n"))],
        args: &["-device", "virtio-rng-pci"],
        never: &["virtio_rng loaded"],
        ..ROW
    },
    Row {
        name: "configuration_of_one_line_of_8_mb",
        files: &[("etc/modprobe.d/long.conf", Content::Made(|_| long_line()))],
        ..ROW
    },
    Row {
        name: "aliases_that_name_each_other",
        files: &[(
            "etc/modprobe.d/loop.conf",
            Content::Text("alias virtio_blk virtio_blk\nalias a b\nalias b a\n"),
        )],
        words: "coldplug.modules=a",
        ..ROW
    },
    // Records of earlier boots.
    Row {
        name: "an_earlier_record_that_is_a_fifo",
        files: &[("etc/coldplug/record.json", Content::Fifo)],
        ..ROW
    },
    Row {
        name: "an_earlier_record_that_never_ends",
        files: &[("etc/coldplug/record.json", Content::Device(1, 5))],
        ..ROW
    },
    Row {
        name: "an_earlier_record_of_open_brackets",
        files: &[("etc/coldplug/record.json", Content::Made(|_| vec![b'['; 1 << 20]))],
        ..ROW
    },
    Row { name: "a_replay_of_a_missing_file", words: "coldplug.replay=/no/such", ..ROW },
    Row {
        name: "a_replay_of_a_fifo",
        files: &[("order", Content::Fifo)],
        words: "coldplug.replay=/order",
        ..ROW
    },
    Row { name: "run_is_a_file", files: &[("run", Content::Text(""))], ..ROW },
    Row {
        name: "sysroot_is_a_file",
        files: &[("sysroot", Content::Text(""))],
        words: "coldplug.timeout=15",
        verdict: "mount-failed",
        ..ROW
    },
    Row {
        name: "sbin_links_to_nothing",
        files: &[("sbin/modprobe", Content::Link("/no/such"))],
        ..ROW
    },
    // The record's port.
    Row {
        name: "a_report_to_a_directory",
        words: "coldplug.report=/etc",
        says: &["coldplug.report"],
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

fn long_line() -> Vec<u8> {
    [b"options virtio_blk ".as_slice(), &vec![b'x'; 8 << 20]].concat()
}
