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
];

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
