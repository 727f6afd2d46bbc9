//! Kernels for the boots: packages of Debian, downloaded once into a cache outside the checkout.
//!
//! The cache is `COLDPLUG_CACHE`, else `coldplug` in `XDG_CACHE_HOME` or `~/.cache`:
//!
//! ```text
//! apt/SUITE/        the state of the apt that downloads (apt.rs)
//! kernels/NAME/     vmlinuz, lib/modules/RELEASE with the files of kmod's depmod, and dtbs/ with
//!                   device trees if the package has them
//! kernels/NAME.lock held while NAME is made
//! ```
//!
//! A kernel is made in a temporary directory and renamed, so that a kernel in the cache is
//! complete. It stays the same until its directory is removed by hand.

use crate::apt::Apt;
use crate::arch::Arch;
use crate::tool;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The kernels of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// 6.1 of bookworm for virtual machines, plain `.ko`.
    Cloud61,
    /// 6.12 of trixie for virtual machines, `.ko.xz`; it can decompress modules itself.
    Cloud612,
    /// 6.1 of bookworm with all drivers, plain `.ko`.
    Full61,
    /// [`Kernel::Cloud61`] with every module packed again as `.ko.zst`.
    Cloud61Zst,
    /// [`Kernel::Cloud61`] with every module packed again as `.ko.gz`.
    Cloud61Gz,
    /// [`Kernel::Cloud61`] with every module packed again as `.ko.xz` with a CRC64, the default of
    /// xz. Packages have a CRC32, as the kernel requires.
    Cloud61Xz,
    /// 6.1 of bookworm for virtual machines of arm64, plain `.ko`.
    CloudArm64,
    /// 6.1 of bookworm for arm64 with all drivers, plain `.ko`.
    FullArm64,
    /// 6.1 of bookworm for 32-bit ARM, plain `.ko`.
    ArmMp61,
    /// 6.1 of bookworm for 32-bit PCs, plain `.ko`.
    I686,
    /// 6.12 of trixie for riscv64, `.ko.xz`.
    Riscv612,
    /// 6.1 of bookworm for s390x, which is big-endian, plain `.ko`; not booted.
    S390x61,
    /// 7.x of sid for virtual machines. Its package is a bundle of packages, none of which holds
    /// /boot.
    Cloud7,
}

/// A kernel in the cache.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Directory that holds `lib/modules`.
    pub root: PathBuf,
    /// Release, as `uname -r` prints it.
    pub release: String,
    /// Architecture of the kernel.
    pub arch: Arch,
}

impl Tree {
    /// Returns the path of the kernel image.
    pub fn vmlinuz(&self) -> PathBuf {
        // Systems with Linux 7 keep it with the modules.
        let places = [self.root.join("vmlinuz"), self.modules().join("vmlinuz")];
        places.iter().find(|path| path.exists()).unwrap_or(&places[0]).clone()
    }

    /// Returns the directory of the device trees, which exists if the package of the kernel has any.
    pub fn device_trees(&self) -> PathBuf {
        self.root.join("dtbs")
    }

    /// Returns `lib/modules/RELEASE`.
    pub fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// Returns the file of the module `name` in `modules.dep`, relative to [`Tree::modules`].
    pub fn module(&self, name: &str) -> Option<String> {
        self.dep(name).map(|(file, _)| file)
    }

    /// Returns the `modules.dep` line of the module `name`: its file, and the files that it needs.
    pub fn dep(&self, name: &str) -> Option<(String, Vec<String>)> {
        let dep = fs::read_to_string(self.modules().join("modules.dep")).unwrap();
        let mut lines = dep.lines().filter_map(|line| line.split_once(':'));
        let (file, needs) = lines.find(|(file, _)| stem(file) == name)?;
        Some((file.to_owned(), needs.split_whitespace().map(Into::into).collect()))
    }

    fn open(root: PathBuf) -> Self {
        let mut releases = fs::read_dir(root.join("lib/modules")).unwrap();
        let release = releases.next().unwrap().unwrap().file_name().into_string().unwrap();
        Self { root, release, arch: Arch::X86_64 }
    }
}

/// `kernel/drivers/block/virtio-blk.ko.xz` → `virtio_blk`
pub fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split(".ko").next().unwrap_or_default().replace('-', "_")
}

impl Kernel {
    /// Returns the kernel, which is first downloaded or compressed if the cache does not hold it.
    ///
    /// # Panics
    ///
    /// If the kernel cannot be unpacked. Without a command or the network the test is ignored.
    pub fn get(self) -> Tree {
        let home = cache().join("kernels").join(self.name());
        if !home.exists() {
            let _lock = lock(&home.with_extension("lock"));
            if !home.exists() {
                self.make(&home);
            }
        }
        Tree { arch: self.arch(), ..Tree::open(home) }
    }

    fn arch(self) -> Arch {
        match self {
            Self::CloudArm64 | Self::FullArm64 => Arch::Aarch64,
            Self::ArmMp61 => Arch::Arm,
            Self::I686 => Arch::I686,
            Self::Riscv612 => Arch::Riscv64,
            Self::S390x61 => Arch::S390x,
            _ => Arch::X86_64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cloud61 => "cloud-6_1",
            Self::Cloud612 => "cloud-6_12",
            Self::Full61 => "full-6_1",
            Self::Cloud61Zst => "cloud-6_1-zst",
            Self::Cloud61Gz => "cloud-6_1-gz",
            Self::Cloud61Xz => "cloud-6_1-xz",
            Self::CloudArm64 => "cloud-6_1-arm64",
            Self::FullArm64 => "full-6_1-arm64",
            Self::ArmMp61 => "armmp-6_1",
            Self::I686 => "686-6_1",
            Self::Riscv612 => "riscv-6_12",
            Self::S390x61 => "s390x-6_1",
            Self::Cloud7 => "cloud-7",
        }
    }

    fn make(self, home: &Path) {
        let parent = home.parent().unwrap();
        let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).unwrap();
        let root = aside.path().join("root");
        let (suite, package) = match self {
            Self::Cloud61Zst => return repack(&Self::Cloud61.get(), "zst", &root, home),
            Self::Cloud61Gz => return repack(&Self::Cloud61.get(), "gz", &root, home),
            Self::Cloud61Xz => return repack(&Self::Cloud61.get(), "xz", &root, home),
            Self::Cloud61 => ("bookworm", "linux-image-cloud-amd64"),
            Self::Cloud612 => ("trixie", "linux-image-cloud-amd64"),
            Self::Cloud7 => ("sid", "linux-image-cloud-amd64"),
            Self::Full61 => ("bookworm", "linux-image-amd64"),
            Self::CloudArm64 => ("bookworm", "linux-image-cloud-arm64"),
            Self::FullArm64 => ("bookworm", "linux-image-arm64"),
            Self::ArmMp61 => ("bookworm", "linux-image-armmp"),
            Self::I686 => ("bookworm", "linux-image-686-pae"),
            Self::Riscv612 => ("trixie", "linux-image-riscv64"),
            Self::S390x61 => ("bookworm", "linux-image-s390x"),
        };
        unpack(suite, self.arch().debian(), package, &root);
        fs::rename(&root, home).unwrap();
    }
}

/// Returns the kernel called `name` in the cache. If it is not there, `make` fills a directory, and
/// depmod writes the index files.
pub fn kept(name: &str, make: impl FnOnce(&Path)) -> Tree {
    kept_indexed(name, |root| {
        make(root);
        depmod(&Tree::open(root.to_owned()));
    })
}

/// Returns the kernel called `name` in the cache. If it is not there, `make` fills a directory, the
/// index files included.
pub fn kept_indexed(name: &str, make: impl FnOnce(&Path)) -> Tree {
    let home = cache().join("kernels").join(name);
    let _lock = lock(&home.with_extension("lock"));
    if !home.exists() {
        let parent = home.parent().unwrap();
        let aside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).unwrap();
        let root = aside.path().join("root");
        make(&root);
        fs::rename(&root, &home).unwrap();
    }
    Tree::open(home)
}

/// Writes the index files of the kernel at `root`, whose modules may have any compression.
pub fn index(root: &Path) {
    let tree = Tree::open(root.to_owned());
    let files = tool::files(&tree.modules());
    let packed: Vec<_> =
        files.iter().filter(|f| f.extension().is_some_and(|e| e == "gz")).collect();
    if packed.is_empty() {
        return depmod(&tree);
    }
    let gzip = || tool::command("gzip", "gzip");
    tool::run(gzip().arg("-d").args(&packed));
    depmod(&tree);
    tool::run(gzip().args(["-n", "-6"]).args(packed.iter().map(|file| file.with_extension(""))));
    rename_in_dep(&tree.modules(), "gz");
}

/// Returns a hash of `value` for names of files.
pub fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

/// Returns the directory in which downloads are kept.
pub fn cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("COLDPLUG_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("coldplug")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/coldplug")))
        .expect("COLDPLUG_CACHE, XDG_CACHE_HOME or HOME must be set: kernels are kept there")
}

/// Locks `path` against other processes until the file is dropped.
pub fn lock(path: &Path) -> File {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// Downloads the kernel package that `meta` depends on in `suite` for `arch`, and unpacks it as a
/// [`Tree`] at `root`.
fn unpack(suite: &str, arch: &str, meta: &str, root: &Path) {
    let aside = root.with_extension("deb");
    let files = aside.join("files");
    for deb in download(suite, arch, meta, &aside) {
        tool::run(tool::command("dpkg-deb", "dpkg").arg("-x").args([&deb, &files]));
    }
    let modules = ["lib/modules", "usr/lib/modules"].map(|m| files.join(m));
    let modules = modules.iter().find(|m| m.exists()).expect("a kernel package holds lib/modules");
    fs::create_dir_all(root.join("lib")).unwrap();
    fs::rename(modules, root.join("lib/modules")).unwrap();
    let tree = Tree::open(root.to_owned());
    let release = &tree.release;
    let kernels = [
        files.join(format!("boot/vmlinuz-{release}")),
        files.join(format!("boot/vmlinux-{release}")),
        tree.modules().join("vmlinuz"),
    ];
    let kernel = kernels.iter().find(|path| path.exists()).expect("a package holds a kernel");
    fs::rename(kernel, tree.vmlinuz()).unwrap();
    let dtbs = files.join(format!("usr/lib/linux-image-{release}"));
    if dtbs.exists() {
        fs::rename(dtbs, tree.device_trees()).unwrap();
    }
    depmod(&tree);
}

/// Downloads the kernel package that `meta` depends on and, if that is a bundle, those that it
/// depends on for its release, into directories below `into`.
fn download(suite: &str, arch: &str, meta: &str, into: &Path) -> Vec<PathBuf> {
    let (apt, _lock) = apt(suite, arch);
    let image = apt.dependency(meta, "linux-image-");
    let release = image.trim_start_matches("linux-image-");
    let mut packages = vec![image.clone()];
    packages.extend(apt.dependencies(&image).into_iter().filter(|name| name.ends_with(release)));
    let fetch = |package: &String| {
        let dir = into.join(package);
        fs::create_dir_all(&dir).unwrap();
        apt.download(package, &dir)
    };
    packages.iter().map(fetch).collect()
}

/// Returns the apt of a release, which is locked until the file is dropped.
pub fn apt(suite: &str, arch: &str) -> (Apt, File) {
    let name = if arch == "amd64" { suite.to_owned() } else { format!("{suite}-{arch}") };
    let dir = cache().join("apt").join(name);
    let lock = lock(&dir.with_extension("lock"));
    let security = format!("{suite}-security");
    let suites = if suite == "sid" { vec![suite] } else { vec![suite, &security] };
    (Apt::update(&dir, arch, &suites), lock)
}

fn depmod(tree: &Tree) {
    tool::run(tool::command("depmod", "kmod").arg("-b").arg(&tree.root).arg(&tree.release));
}

/// Copies `from` to `root` with every module compressed, as `.ko.SUFFIX`, and renames it to `home`.
fn repack(from: &Tree, suffix: &str, root: &Path, home: &Path) {
    tool::run(tool::command("cp", "coreutils").arg("-a").args([&from.root, root]));
    let tree = Tree::open(root.to_owned());
    let files = tool::files(&tree.modules());
    let modules: Vec<_> =
        files.iter().filter(|f| f.extension().is_some_and(|e| e == "ko")).collect();
    let (program, package, args) = match suffix {
        "zst" => ("zstd", "zstd", &["-q", "-T0", "--rm"][..]),
        "xz" => ("xz", "xz-utils", &["-q", "-0"][..]),
        _ => ("gzip", "gzip", &["-n", "-6"][..]),
    };
    tool::run(tool::command(program, package).args(args).args(modules));
    match suffix {
        "gz" => rename_in_dep(&tree.modules(), suffix),
        _ => depmod(&tree),
    }
    fs::rename(root, home).unwrap();
}

/// Adds `.SUFFIX` to the files in `modules.dep`.
///
/// Debian's kmod is built without zlib: its depmod ignores `.ko.gz`. All other index files hold
/// names of modules, which stay the same. The binary form of `modules.dep` is removed because it
/// holds names of files.
fn rename_in_dep(modules: &Path, suffix: &str) {
    let text = fs::read_to_string(modules.join("modules.dep")).unwrap();
    let name = format!(".ko.{suffix}");
    fs::write(modules.join("modules.dep"), text.replace(".ko", &name)).unwrap();
    fs::remove_file(modules.join("modules.dep.bin")).unwrap();
}

#[cfg(test)]
mod tests {
    #[test]
    fn module_names() {
        for (path, want) in [
            ("kernel/drivers/block/virtio_blk.ko", "virtio_blk"),
            ("kernel/crypto/crc32c-intel.ko.xz", "crc32c_intel"),
            ("a.ko.gz", "a"),
        ] {
            assert_eq!(super::stem(path), want);
        }
    }
}
