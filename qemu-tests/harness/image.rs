//! Initramfs images, made during the run.
//!
//! Images are kept below the target directory. Their names hash all inputs, so that test processes
//! can share them.

use crate::arch::Arch;
use crate::entry::{self, Entry};
use crate::files::{install, install_kmod, install_with_libraries, put};
use crate::kernel::{Kernel, Tree, lock, stem};
use crate::paths::{program, program_for};
use crate::{paths, tool};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Returns an image of `coldplug image build` for `tree` with `options`, such as `--all`.
pub fn coldplug(tree: &Tree, options: &[&str]) -> PathBuf {
    let mut programs = version();
    if tree.arch != Arch::X86_64 {
        programs.extend(fs::read(program_for(tree.arch, "coldplug-init")).unwrap());
    }
    let kind = format!("coldplug-{}", tree.arch.debian());
    kept(&kind, &programs, &(&tree.root, &tree.release, options), |out| {
        build(tree, options, out);
    })
}

/// Returns the programs that an image depends on: the builder, and those beside it of which one
/// becomes /init.
fn version() -> Vec<u8> {
    let programs = ["coldplug", "coldplug-init", "coldplug-init-stacks", "coldplug-init-boot"];
    programs.map(|name| fs::read(program(name)).unwrap()).concat()
}

/// Runs `coldplug image build`.
fn build(tree: &Tree, options: &[&str], out: &Path) {
    let mut command = std::process::Command::new(program("coldplug"));
    command.args(["image", "build", "--kernel", &tree.release, "--root"]).arg(&tree.root);
    if tree.arch != Arch::X86_64 {
        command.arg("--init").arg(program_for(tree.arch, "coldplug-init"));
    }
    tool::run(command.arg("-o").arg(out).args(options));
}

/// Returns an image with all modules of `tree`, and with the directories and nodes that `list`
/// names instead of the built-in list.
pub fn with_list(tree: &Tree, list: &str) -> PathBuf {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), list).unwrap();
    kept("listed", &version(), &(&tree.root, &tree.release, list), |out| {
        build(tree, &["--all", "--list", file.path().to_str().unwrap()], out);
    })
}

/// Returns `kernel` and an image by coldplug that carries all of its modules.
pub fn all_of(kernel: Kernel) -> (Tree, PathBuf) {
    let tree = kernel.get();
    let image = coldplug(&tree, &["--all"]);
    (tree, image)
}

/// Returns a kernel and an image that carries every module as the package of the kernel has it.
pub fn stored(kernel: Kernel) -> (Tree, PathBuf) {
    let tree = kernel.get();
    let image = coldplug(&tree, &["--all", "--modules-as", "stored"]);
    (tree, image)
}

/// Returns an image with guests/floor.rs as init, which loads `modules`, in this order or in any
/// that modules.dep allows.
pub fn floor(tree: &Tree, modules: &[&str]) -> PathBuf {
    let binary = program("examples/floor");
    let version = fs::read(&binary).unwrap();
    kept("floor", &version, &(&tree.root, &tree.release, modules), |out| {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "init", &version, 0o755);
        let mut list = String::new();
        for name in modules {
            let (file, needs) = tree.dep(name).unwrap_or_else(|| panic!("no module {name}"));
            let bytes = fs::read(tree.modules().join(&file)).unwrap();
            put(dir.path(), &format!("modules/{file}"), &bytes, 0o644);
            let needs = needs.iter().filter(|need| modules.contains(&stem(need).as_str()));
            let needs: String = needs.map(|need| format!(" /modules/{need}")).collect();
            list += &format!("/modules/{file}:{needs}\n");
        }
        put(dir.path(), "modules.list", list.as_bytes(), 0o644);
        for sub in ["dev", "proc", "sys", "root"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        fs::write(out, archive(dir.path())).unwrap();
    })
}

/// Returns the image that [`coldplug`] returns for `tree` and `options`, with guests/floor.rs as
/// init, which loads `modules` from it in this order.
pub fn floor_in_place(tree: &Tree, options: &[&str], modules: &[&str]) -> PathBuf {
    let binary = program("examples/floor");
    let version = [version(), fs::read(&binary).unwrap()].concat();
    kept("floor-in-place", &version, &(&tree.root, &tree.release, options, modules), |out| {
        let aside = out.with_extension("floor");
        build(tree, &[&["--init", binary.to_str().unwrap()], options].concat(), &aside);
        let list = modules.iter().map(|name| {
            let file = tree.module(name).unwrap_or_else(|| panic!("no module {name}"));
            format!("/lib/modules/{}/{file}.zst:\n", tree.release)
        });
        let list = Entry::File(list.collect::<String>().into_bytes());
        let entries = [("modules.list".to_owned(), list), ("root".to_owned(), Entry::Directory)];
        with_entries(&aside, &entries, out);
        fs::remove_file(&aside).unwrap();
    })
}

/// Returns an image with busybox, Debian's kmod, and `script` as /init.
pub fn kmod(tree: &Tree, script: &str) -> PathBuf {
    in_shell("kmod", tree, script, |_| {})
}

/// Returns an image like that of [`kmod`] with btrfs(8).
pub fn btrfs(tree: &Tree, script: &str) -> PathBuf {
    in_shell("btrfs", tree, script, |dir| {
        install_with_libraries(dir, &tool::find("btrfs", "btrfs-progs"), "sbin/btrfs");
    })
}

/// Returns an image like that of [`kmod`] with Debian's udev: systemd-udevd, udevadm, and the rule
/// that loads drivers.
pub fn udev(tree: &Tree, script: &str) -> PathBuf {
    in_shell("udev", tree, script, |dir| {
        let udevadm = fs::canonicalize(tool::find("udevadm", "udev")).unwrap();
        for name in ["sbin/systemd-udevd", "sbin/udevadm"] {
            install_with_libraries(dir, &udevadm, name);
        }
        let rule = "lib/udev/rules.d/80-drivers.rules";
        install(dir, &Path::new("/").join(rule), rule);
    })
}

/// Returns an image like that of [`udev`] with all rules and programs that name disks, dmsetup and
/// mdadm included.
pub fn udev_of_disks(tree: &Tree, script: &str) -> PathBuf {
    in_shell("udev-disks", tree, script, |dir| {
        let udevadm = fs::canonicalize(tool::find("udevadm", "udev")).unwrap();
        for name in ["sbin/systemd-udevd", "sbin/udevadm"] {
            install_with_libraries(dir, &udevadm, name);
        }
        for (name, package) in [("dmsetup", "dmsetup"), ("mdadm", "mdadm")] {
            install_with_libraries(dir, &tool::find(name, package), &format!("sbin/{name}"));
        }
        for name in ["ata_id", "scsi_id", "cdrom_id"] {
            let path = Path::new("/lib/udev").join(name);
            install_with_libraries(dir, &path, &format!("lib/udev/{name}"));
        }
        for name in [
            "50-udev-default",
            "55-dm",
            "60-block",
            "60-cdrom_id",
            "60-persistent-storage",
            "60-persistent-storage-dm",
            "63-md-raid-arrays",
            "80-drivers",
        ] {
            let rules = format!("lib/udev/rules.d/{name}.rules");
            install(dir, &Path::new("/").join(&rules), &rules);
        }
    })
}

/// Returns an image with busybox, Debian's kmod, the files that `fill` adds, and `script` as /init.
fn in_shell(kind: &str, tree: &Tree, script: &str, fill: impl FnOnce(&Path)) -> PathBuf {
    // Several scripts may have one kind.
    kept(kind, b"", &(script, &tree.root, &tree.release), |out| {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "init", script.as_bytes(), 0o755);
        install(dir.path(), &tool::find("busybox", "busybox-static"), "bin/busybox");
        install_kmod(dir.path(), "sbin/modprobe");
        fill(dir.path());
        for sub in ["dev", "proc", "sys", "root", "tmp", "run"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        fs::create_dir_all(dir.path().join("lib/modules")).unwrap();
        let modules = dir.path().join("lib/modules").join(&tree.release);
        tool::run(tool::command("cp", "coreutils").arg("-a").args([&tree.modules(), &modules]));
        fs::write(out, archive(dir.path())).unwrap();
    })
}

/// Writes `image` followed by an archive of `files` to `out`; they replace files of the same name.
///
/// The kernel unpacks archives in sequence; an uncompressed one starts at a multiple of four.
pub fn overlay(image: &Path, files: &[(&str, &[u8])], out: &Path) -> PathBuf {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(dir.path(), name, bytes, 0o755);
    }
    let mut bytes = fs::read(image).unwrap();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(archive(dir.path()));
    fs::write(out, bytes).unwrap();
    out.to_owned()
}

/// Writes `image` followed by an archive of `entries` to `out`; each replaces the entry of its name,
/// except for a directory that is not empty.
pub fn with_entries(image: &Path, entries: &[(String, Entry)], out: &Path) -> PathBuf {
    let mut bytes = fs::read(image).unwrap();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(entry::archive(entries));
    fs::write(out, bytes).unwrap();
    out.to_owned()
}

/// Returns a newc archive of all files below `dir`, made by cpio(1).
///
/// # Panics
///
/// If cpio(1) fails.
pub fn archive(dir: &Path) -> Vec<u8> {
    let list = tool::run(tool::command("find", "findutils").current_dir(dir).arg("."));
    let mut cpio = tool::command("cpio", "cpio")
        .current_dir(dir)
        .args(["--quiet", "-o", "-H", "newc", "-R", "0:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut names = cpio.stdin.take().unwrap();
    // A thread writes the names, because cpio may fill the pipe of its output before it has read
    // them all.
    let writer = std::thread::spawn(move || names.write_all(list.as_bytes()));
    let output = cpio.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "cpio: {}", output.status);
    output.stdout
}

/// Returns the file that `make` writes with `program` for `inputs`; it is made once and shared by
/// all processes.
///
/// Files of the same kind and other versions of `program` are removed, so all that are in use at the
/// same time have one version.
pub(crate) fn kept(
    kind: &str,
    program: &[u8],
    inputs: &impl Hash,
    make: impl FnOnce(&Path),
) -> PathBuf {
    let dir = paths::scratch().join("images");
    let version = format!("{kind}-{:016x}-", hash(program));
    let path = dir.join(format!("{version}{:016x}.img", hash(inputs)));
    let _lock = lock(&dir.join("lock").join(path.file_name().unwrap()));
    if !path.exists() {
        remove_others(&dir, kind, &version);
        let aside = path.with_extension("new");
        make(&aside);
        fs::rename(&aside, &path).unwrap();
    }
    path
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn remove_others(dir: &Path, kind: &str, version: &str) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // KIND-PROGRAM-INPUTS, and a kind may be the start of another one.
        if name.rsplitn(3, '-').nth(2) == Some(kind) && !name.starts_with(version) {
            // Another process may have removed it already.
            let _ = fs::remove_file(entry.path());
        }
    }
}
