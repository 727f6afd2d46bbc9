//! What `image build` puts into images besides modules, and how it compresses them: one boot each.

use harness::disk::{ROOT, install_modules};
use harness::files::{install_with_libraries, put};
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{files, image, paths, tests, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    an_image_in_xz,
    an_image_in_lz4,
    microcode_in_front,
    two_kernels_with_one_image,
    the_root_is_checked_by_a_program_of_fsck,
    the_keymap_of_the_image_is_loaded,
];

/// The modules of [`Kernel::Cloud61`] for the root; it has ext4 built in.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk"];

/// Boots from an image that is built with `options`.
#[track_caller]
fn boots_with(options: &[&str]) {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &[&["--modules", "@virtio,ext4"], options].concat());
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    vm.attach(Bus::VirtioBlk, ROOT).run_clean();
}

fn an_image_in_xz() {
    boots_with(&["--compress", "xz:9"]);
}

fn an_image_in_lz4() {
    boots_with(&["--compress", "lz4", "--modules-as", "plain"]);
}

/// A kernel that has no use for the microcode finds the image behind it.
fn microcode_in_front() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "amd-ucode/microcode_amd.bin", b"DMA\0 a container", 0o644);
    let option = format!("--microcode={}", dir.path().display());
    let tree = Kernel::Cloud61.get();
    let image = built(&tree.root, &[&tree], dir.path(), &[&option, "--compress", "zstd:19"]);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    vm.attach(Bus::VirtioBlk, ROOT).run_clean();
}

/// Builds an image in `dir` of these kernels below `root`.
fn built(root: &Path, kernels: &[&Tree], dir: &Path, options: &[&str]) -> PathBuf {
    let image = dir.join("image");
    let mut build = Command::new(paths::program("coldplug"));
    build.args(["image", "build", "-q", "--modules", "@virtio,ext4", "--root"]).arg(root);
    for kernel in kernels {
        build.args(["--kernel", &kernel.release]);
    }
    tool::run(build.args(options).arg("-o").arg(&image));
    image
}

fn two_kernels_with_one_image() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let kernels = [Kernel::Cloud61.get(), Kernel::Cloud612.get()];
    install_modules(&kernels[0], MODULES, &root);
    // What the other one needs besides is built in.
    install_modules(&kernels[1], &["virtio_blk"], &root);
    let image = built(&root, &[&kernels[0], &kernels[1]], dir.path(), &[]);
    for kernel in &kernels {
        let vm = Machine::new(kernel, &image).cmdline("root=/dev/vda");
        let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_clean();
        assert_eq!(facts.mount("/").unwrap().kind, "ext4");
    }
}

fn the_root_is_checked_by_a_program_of_fsck() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let tree = Kernel::Cloud61.get();
    install_modules(&tree, MODULES, &root);
    install_with_libraries(&root, &tool::find("e2fsck", "e2fsprogs"), "usr/sbin/e2fsck");
    std::os::unix::fs::symlink("e2fsck", root.join("usr/sbin/fsck.ext4")).unwrap();
    let image = built(&root, &[&tree], dir.path(), &["--fsck"]);
    let disk = ROOT.make(&dir.path().join("disk"));
    for request in ["set_super_value free_blocks_count 1", "set_super_value state 2"] {
        let mut debugfs = tool::command("debugfs", "e2fsprogs");
        tool::run(debugfs.args(["-w", "-R", request]).arg(&disk));
    }
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let (_, facts) = vm.disk(Bus::VirtioBlk, &disk).run_clean();
    let warnings = facts.record()["warnings"].to_string();
    let want = "fsck.ext4 /dev/vda: errors corrected (exit status 1)";
    assert!(warnings.contains(want), "{warnings}");
}

fn the_keymap_of_the_image_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    // The first table alone: key 21, `y`, is the letter `z`, and no other key is anything.
    let mut keymap = b"bkeymap\x01".to_vec();
    keymap.resize(263, 0);
    keymap
        .extend((0..128).flat_map(|key| u16::to_ne_bytes(if key == 21 { 0x0b7a } else { 0x0200 })));
    put(dir.path(), "z.kmap", &keymap, 0o644);
    let root = dir.path().join("root");
    put(&root, "bin/busybox", &files::busybox(), 0o755);
    let init = "#!/bin/busybox sh\n\
                /bin/busybox dumpkmap | /bin/busybox tail -c +306 | /bin/busybox head -c 4 | \
                /bin/busybox od -x > /dev/ttyS0\n\
                /bin/busybox poweroff -f\n";
    put(&root, "sbin/init", init.as_bytes(), 0o755);
    let disk = ROOT.make_of(&root, "16M", &dir.path().join("disk"));
    let tree = Kernel::Cloud61.get();
    let option = format!("--keymap={}", dir.path().join("z.kmap").display());
    let image = built(&tree.root, &[&tree], dir.path(), &[&option]);
    let boot =
        Machine::new(&tree, &image).cmdline("root=/dev/vda").disk(Bus::VirtioBlk, &disk).run();
    boot.expect("ok");
    boot.check(boot.console.contains("0000000 0b7a 0200"), "the keymap is not loaded");
    boot.check(!boot.console.contains("keymap:"), "a warning");
}
