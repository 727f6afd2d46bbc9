//! Little memory, and full filesystems.

use std::io::Write;

use crate::row::{Content, Image, ROW, Row};

pub(crate) const ROWS: &[Row] = &[
    Row { name: "memory_of_160_mb", args: &["-m", "160"], ..ROW },
    Row {
        name: "a_module_of_250_mb_of_zeros",
        quick: true,
        image: Image::Options(&["--modules", "@virtio,sha256_ssse3", "--modules-as", "stored"]),
        files: &[(
            "lib/modules/RELEASE/kernel/arch/x86/crypto/sha256-ssse3.ko",
            Content::Made(|_| bomb()),
        )],
        args: &["-m", "192", "-cpu", "max"],
        says: &["module sha256_ssse3 failed", "decodes to more than", "failed=1"],
        ..ROW
    },
    Row {
        name: "memory_of_512_mb_with_all_drivers",
        image: Image::Full,
        args: &["-m", "512"],
        ..ROW
    },
];

/// Returns 250 MB of zeros, compressed. The frame does not state its size.
fn bomb() -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    for _ in 0..250 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}
