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
use harness::run::{self, BOOT, Case, RELEASE};
use harness::{built_kernel, image, record, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

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
    methods: &["finit_module"],
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
        methods: &["init_module"],
        ..ROW
    },
    Row {
        name: "gz_decompressed_by_the_kernel",
        options: &["MODULE_COMPRESS_GZIP=y", "MODULE_DECOMPRESS=y"],
        methods: &["finit_module-compressed"],
        ..ROW
    },
    Row {
        name: "xz_decompressed_by_coldplug",
        options: &["MODULE_COMPRESS_XZ=y"],
        methods: &["init_module"],
        ..ROW
    },
    Row {
        name: "xz_decompressed_by_the_kernel",
        options: &["MODULE_COMPRESS_XZ=y", "MODULE_DECOMPRESS=y"],
        methods: &["finit_module-compressed"],
        ..ROW
    },
    // Linux 6.1 cannot decompress zstd itself.
    Row { name: "zst", options: &["MODULE_COMPRESS_ZSTD=y"], methods: &["init_module"], ..ROW },
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
        let methods: BTreeSet<_> = loaded.iter().filter_map(|m| m["method"].as_str()).collect();
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

/// The program of the kernel makes of `--as-list` what `image build` makes: the same entries, apart
/// from the sizes of links and the order of hard links, with the same content.
fn gen_init_cpio_makes_the_image_of_a_list() {
    let tree = built_kernel::get("base", &[]);
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let build = |out: &Path, more: &[&str]| {
        let mut build = Command::new(program("coldplug"));
        build.args(["image", "build", "-q", "--kernel", &tree.release, "--root"]);
        tool::run(build.arg(&tree.root).arg("-o").arg(out).args(more));
    };
    build(&at("image"), &[]);
    build(&at("list"), &["--as-list"]);
    let made = Command::new(built_kernel::gen_init_cpio(scratch.path()))
        .args(["-t", "0"])
        .arg(at("list"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(at("made"), made.stdout).unwrap();
    // It counts the NUL at the end of a link's target, which the kernel does not need.
    let listed = |name: &str| {
        let mut list = Command::new(program("coldplug"));
        let text = tool::run(list.args(["image", "list"]).arg(at(name)));
        let words = |line: &str| {
            let is_link = line.starts_with('l');
            let words = line.split_whitespace().enumerate();
            let kept = words.filter(|(at, _)| !is_link || *at != 2);
            kept.map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
        };
        text.lines().map(words).collect::<BTreeSet<_>>()
    };
    assert_eq!(listed("made"), listed("image"));
    let unpacked = |name: &str| {
        let dir = at(&format!("{name}.d"));
        fs::create_dir(&dir).unwrap();
        let mut cpio = tool::command("cpio", "cpio");
        cpio.args(["-id", "--quiet", "--nonmatching", "dev/*"]).current_dir(&dir);
        tool::feed(&mut cpio, &fs::read(at(name)).unwrap());
        dir
    };
    let mut diff = tool::command("diff", "diffutils");
    let [made, image] = ["made", "image"].map(unpacked);
    assert_eq!(tool::run(diff.args(["-r", "--no-dereference"]).args([made, image])), "");
}

fn main() -> ExitCode {
    let rows = ROWS.iter().map(|row| Case {
        name: row.name.to_owned(),
        needs: &BOOT,
        is_extra: false,
        run: Box::new(|| row.run()),
    });
    let list = Case {
        name: "gen_init_cpio_makes_the_image_of_a_list".to_owned(),
        needs: &RELEASE,
        is_extra: false,
        run: Box::new(gen_init_cpio_makes_the_image_of_a_list),
    };
    run::cases(rows.chain([list]))
}
