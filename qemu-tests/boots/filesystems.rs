//! A boot from each filesystem that a root may have.

use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{filesystem, image, tests};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    ext2,
    ext3,
    ext4,
    xfs,
    btrfs,
    f2fs,
    squashfs,
    erofs,
    iso9660,
    udf,
    vfat,
    exfat,
    ntfs3,
];

/// Boots with only `root=/dev/vda` from a disk with this filesystem.
#[track_caller]
fn boots_from(kind: &str, kernel: Kernel) {
    let tree = kernel.get();
    let image = image::coldplug(&tree, &["--modules", "@virtio,@filesystems"]);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let disk = filesystem::make(kind, &vm.dir().join("disk"));
    let (boot, facts) = vm.disk(Bus::VirtioBlk, &disk).run_clean();
    let root = facts.mount("/").expect("a root in mountinfo");
    boot.check((root.kind, root.source) == (kind, "/dev/vda"), &format!("the root is {root:?}"));
    boot.check(root.options.contains(&"ro"), &format!("the root is {root:?}"));
    assert_eq!(*facts.get("own_mounts"), serde_json::json!([]), "mounts the guest had to make");
    assert_eq!(facts.record()["root"]["fstype"], kind);
}

fn ext2() {
    boots_from("ext2", Kernel::Cloud61);
}

fn ext3() {
    boots_from("ext3", Kernel::Cloud612);
}

fn ext4() {
    boots_from("ext4", Kernel::Cloud612);
}

fn xfs() {
    boots_from("xfs", Kernel::Cloud61);
}

fn btrfs() {
    boots_from("btrfs", Kernel::Cloud61);
}

fn f2fs() {
    boots_from("f2fs", Kernel::Full61);
}

fn squashfs() {
    boots_from("squashfs", Kernel::Cloud61);
}

fn erofs() {
    boots_from("erofs", Kernel::Cloud61);
}

fn iso9660() {
    boots_from("iso9660", Kernel::Cloud61);
}

fn udf() {
    boots_from("udf", Kernel::Cloud61);
}

fn vfat() {
    boots_from("vfat", Kernel::Cloud61);
}

fn exfat() {
    boots_from("exfat", Kernel::Cloud61);
}

fn ntfs3() {
    boots_from("ntfs3", Kernel::Cloud612);
}
