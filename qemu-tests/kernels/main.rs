//! Boots of small kernels that each lack an option (`make kernels`), or have one that few kernels
//! have: one row of a table a kernel. docs/kernel-support.md describes what users see.
//!
//! The kernels are built at first (harness/built_kernel.rs).
//!
//! In every row the root is an ext4 on virtio-blk, named by its UUID. With the verdict ok its init
//! runs and reports, with the memory of the initramfs freed, and the boot has no other warnings than
//! [`Row::warns`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

use harness::disk::{ROOT, UUID};
use harness::entry::Entry;
use harness::kernel::Tree;
use harness::machine::{Bus, Facts, Machine};
use harness::paths::program;
use harness::run::{self, BOOT, Case};
use harness::{built_kernel, image, record};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One kernel, and what its boot must come to.
struct Row {
    name: &'static str,
    /// Lines of its configuration without `CONFIG_`, which replace those of the base.
    options: &'static [&'static str],
    image: Image,
    /// The load methods of the modules.
    methods: &'static [&'static str],
    /// A part of every warning of the boot.
    warns: &'static [&'static str],
    /// Type of the filesystem at /dev in the real root.
    dev: &'static str,
}

const ROW: Row = Row {
    name: "base",
    options: &[],
    image: Image::Modules,
    methods: &["file"],
    warns: &[],
    dev: "devtmpfs",
};

enum Image {
    /// That of `image build`, with the modules as the kernel has installed them.
    Modules,
    /// The program as /init and a console, without /lib/modules.
    InitAlone,
}

/// Without a uevent socket.
const SCANS: &str = "scanning for devices every 250 ms";

const ROWS: &[Row] = &[
    ROW,
    Row { name: "without_net", options: &["NET=n", "UNIX=n"], warns: &[SCANS], ..ROW },
    Row { name: "without_unix_sockets", options: &["UNIX=n"], ..ROW },
    Row { name: "without_devtmpfs", options: &["DEVTMPFS=n"], dev: "tmpfs", ..ROW },
    Row {
        name: "without_net_and_devtmpfs",
        options: &["NET=n", "UNIX=n", "DEVTMPFS=n"],
        warns: &[SCANS],
        dev: "tmpfs",
        ..ROW
    },
    Row {
        name: "deprecated_sysfs",
        options: &["SYSFS_DEPRECATED=y", "SYSFS_DEPRECATED_V2=y"],
        ..ROW
    },
    Row {
        name: "gz_decompressed_by_coldplug",
        options: &["MODULE_COMPRESS_GZIP=y"],
        methods: &["image"],
        ..ROW
    },
    Row {
        name: "gz_decompressed_by_the_kernel",
        options: &["MODULE_COMPRESS_GZIP=y", "MODULE_DECOMPRESS=y"],
        methods: &["kernel-decompress"],
        ..ROW
    },
    Row {
        name: "xz_decompressed_by_coldplug",
        options: &["MODULE_COMPRESS_XZ=y"],
        methods: &["image"],
        ..ROW
    },
    Row {
        name: "xz_decompressed_by_the_kernel",
        options: &["MODULE_COMPRESS_XZ=y", "MODULE_DECOMPRESS=y"],
        methods: &["kernel-decompress"],
        ..ROW
    },
    // Linux 6.1 cannot decompress zstd itself.
    Row { name: "zst", options: &["MODULE_COMPRESS_ZSTD=y"], methods: &["image"], ..ROW },
    Row { name: "without_kallsyms", options: &["KALLSYMS=n"], ..ROW },
    Row { name: "without_module_unload", options: &["MODULE_UNLOAD=n"], ..ROW },
    Row {
        name: "without_modules",
        options: &["MODULES=n", "MODULE_UNLOAD=n", "VIRTIO_PCI=y", "VIRTIO_BLK=y", "EXT4_FS=y"],
        image: Image::InitAlone,
        methods: &[],
        warns: &["no modules for kernel"],
        ..ROW
    },
];

impl Row {
    fn run(&self) {
        let tree = built_kernel::get(self.name, self.options);
        let scratch = tempfile::tempdir().unwrap();
        let image = self.image.make(&tree, scratch.path());
        let vm = Machine::new(&tree, &image).cmdline(&format!("root=UUID={UUID}"));
        // These kernels cannot switch the power off.
        let vm = vm.replace_words("onfail=poweroff", "onfail=reboot");
        let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_clean();
        self.judge(&facts);
    }

    fn judge(&self, facts: &Facts) {
        let record = facts.record();
        let loaded = record::modules_with(&record, "loaded");
        let methods: BTreeSet<_> = loaded.iter().filter_map(|m| m["road"].as_str()).collect();
        assert_eq!(methods, self.methods.iter().copied().collect(), "{record:#}");
        let warnings = record["warnings"].as_array().unwrap();
        assert_eq!(warnings.len(), self.warns.len(), "{warnings:?}");
        for text in self.warns {
            assert!(record::has_warning(&record, &[text]), "{text}: {warnings:?}");
        }
        assert_eq!(facts.mount("/").unwrap().source, "/dev/vda");
        assert_eq!(facts.mount("/dev").unwrap().kind, self.dev);
    }
}

impl Image {
    /// Returns the image, which is in `dir` if it is not shared.
    fn make(&self, tree: &Tree, dir: &Path) -> PathBuf {
        match self {
            Self::Modules => image::coldplug(tree, &["--all", "--modules-as", "stored"]),
            Self::InitAlone => {
                let (empty, out) = (dir.join("empty"), dir.join("image"));
                fs::write(&empty, "").unwrap();
                let init = fs::read(program("coldplug-init")).unwrap();
                let entries = [
                    ("init".to_owned(), Entry::File(init)),
                    ("dev/console".to_owned(), Entry::Device(5, 1)),
                ];
                image::with_entries(&empty, &entries, &out)
            }
        }
    }
}

fn main() -> ExitCode {
    run::cases(ROWS.iter().map(|row| Case {
        name: row.name.to_owned(),
        needs: &BOOT,
        is_extra: false,
        run: Box::new(|| row.run()),
    }))
}
