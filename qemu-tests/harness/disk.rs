//! Disks that hold one ext4 with a root.

use crate::arch::Arch;
use crate::files::put;
use crate::kernel::Tree;
use crate::paths::program_for;
use crate::tool;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// UUID of the root disk.
pub const UUID: &str = "c01d9106-0000-4000-8000-000000000001";
/// Label of the root disk.
pub const LABEL: &str = "coldplug-root";

/// Text of /etc/keep on every disk.
pub const KEPT: &str = "this file must stay\n";

/// What a root disk holds.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// The UUID of its ext4.
    pub uuid: &'static str,
    /// The label of its ext4.
    pub label: &'static str,
    /// Path of the program guest.rs in it, such as `sbin/init`.
    pub init: Option<&'static str>,
}

/// The root that a boot must find.
pub const ROOT: Disk = Disk { uuid: UUID, label: LABEL, init: Some("sbin/init") };
/// A filesystem that `root=` does not name.
pub const DECOY: Disk =
    Disk { uuid: "c01d9106-0000-4000-8000-00000000000d", label: "decoy", init: None };

impl Disk {
    /// Writes the disk as one ext4 without partitions to `file`.
    pub fn make(self, file: &Path) -> PathBuf {
        self.make_for(Arch::X86_64, file)
    }

    /// Writes the disk of a machine of `arch` like [`Disk::make`].
    pub fn make_for(self, arch: Arch, file: &Path) -> PathBuf {
        let dir = tempfile::tempdir().unwrap();
        if let Some(init) = self.init {
            let guest = fs::read(program_for(arch, "examples/guest")).unwrap();
            put(dir.path(), init, &guest, 0o755);
        }
        self.make_of(dir.path(), "16M", file)
    }

    /// Writes the disk, of `size`, with the files of `dir` to `file`.
    pub fn make_of(self, dir: &Path, size: &str, file: &Path) -> PathBuf {
        furnish(dir);
        tool::run(
            tool::command("mkfs.ext4", "e2fsprogs")
                .args(["-q", "-F", "-U", self.uuid, "-L", self.label, "-d"])
                .args([dir, file])
                .arg(size),
        );
        file.to_owned()
    }
}

/// Adds the directories and /etc/keep of every root to `dir`.
pub fn furnish(dir: &Path) {
    for sub in ["dev", "proc", "sys", "run", "tmp", "etc", "sbin"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    put(dir, "etc/keep", KEPT.as_bytes(), 0o644);
}

/// Copies the modules `names` and those that they need into `root`, with index files of these
/// alone.
///
/// # Panics
///
/// If `tree` has no such module.
pub fn install_modules(tree: &Tree, names: &[&str], root: &Path) {
    let to = root.join("lib/modules").join(&tree.release);
    let mut files = BTreeSet::new();
    for name in names {
        let (file, needs) = tree.dep(name).unwrap_or_else(|| panic!("no module {name}"));
        files.insert(file);
        files.extend(needs);
    }
    let lists = ["modules.builtin", "modules.builtin.modinfo", "modules.order"];
    for file in files.iter().map(String::as_str).chain(lists) {
        put(&to, file, &fs::read(tree.modules().join(file)).unwrap(), 0o644);
    }
    tool::run(tool::command("depmod", "kmod").arg("-b").arg(root).arg(&tree.release));
}

/// Writes the hash tree of `data` for dm-verity to `hash`, with `options` of veritysetup(8), and
/// returns the root hash.
///
/// # Panics
///
/// If veritysetup prints none.
pub fn verity(data: &Path, hash: &Path, options: &[&str]) -> String {
    let mut format = tool::command("veritysetup", "cryptsetup-bin");
    let output = tool::run(format.arg("format").args([data, hash]).args(options));
    let line = output.lines().find_map(|l| l.strip_prefix("Root hash:")).expect("a root hash");
    line.trim().to_owned()
}

/// Makes `file` a disk of `megabytes` with nothing on it.
pub fn empty(megabytes: u64, file: &Path) -> PathBuf {
    File::create(file).unwrap().set_len(megabytes << 20).unwrap();
    file.to_owned()
}

/// Makes `file` an empty FAT that can be mounted as vfat.
pub fn vfat(file: &Path) -> PathBuf {
    empty(8, file);
    tool::run(tool::command("mkfs.vfat", "dosfstools").arg(file));
    file.to_owned()
}
