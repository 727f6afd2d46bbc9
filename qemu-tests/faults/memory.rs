//! Little memory, and full filesystems.

use std::io::Write;

use crate::row::{Content, Image, ROW, Row, SHORT_INIT};

const RNG: &[&str] = &["-device", "virtio-rng-pci"];

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
    Row { name: "memory_of_128_mb", quick: true, args: &["-m", "128"], ..ROW },
    Row {
        name: "memory_of_96_mb_with_a_small_image",
        image: Image::Options(&["--modules", "@virtio,ext4"]),
        args: &["-m", "96"],
        ..ROW
    },
    Row {
        name: "memory_of_320_mb_with_all_drivers",
        image: Image::Full,
        args: &["-m", "320"],
        ..ROW
    },
    Row {
        name: "a_module_that_unpacks_to_250_mb",
        quick: true,
        files: &[(
            "lib/modules/RELEASE/kernel/drivers/char/hw_random/virtio-rng.ko.zst",
            Content::Made(|_| bomb()),
        )],
        args: &["-m", "192", "-device", "virtio-rng-pci"],
        says: &["module virtio_rng failed", "failed=1"],
        ..ROW
    },
    Row {
        name: "an_image_that_fills_its_filesystem",
        // Without root= the first root of the kernel is a tmpfs of half the memory.
        files: &[("zeros", Content::Zeros(100 << 20))],
        args: &["-m", "320"],
        set_up: |vm| vm.replace_words("root=/dev/vda", "coldplug.root=/dev/vda"),
        says: &["Initramfs unpacking failed"],
        ..ROW
    },
    Row {
        name: "a_full_run",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/fill.conf",
                Content::Text("install virtio_rng cat /dev/zero > /run/zeros\n"),
            ),
        ],
        args: RNG,
        words: "coldplug.jobs=1 coldplug.modules=virtio_rng",
        says: &["record"],
        ..ROW
    },
    Row {
        name: "as_many_processes_as_fit",
        files: &[
            ("bin/sh", Content::Busybox),
            (
                "etc/modprobe.d/forks.conf",
                Content::Text("install virtio_rng while sleep 100000 & do :; done\n"),
            ),
        ],
        args: &["-m", "160", "-device", "virtio-rng-pci"],
        on_root: SHORT_INIT,
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
