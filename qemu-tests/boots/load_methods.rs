//! Load methods: plain and compressed modules, decompressed by the kernel and by coldplug.

use harness::disk::ROOT;
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, machine, record, tests};
use serde_json::Value;
use std::collections::BTreeSet;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    xz_on_6_12_decompressed_by_the_kernel,
    xz_on_6_12_decompressed_by_coldplug,
    zst_on_6_1,
    xz_with_a_crc64_on_6_1,
    gz_on_6_1,
    plain_on_6_1,
];

/// Returns the load methods of the loaded modules.
fn methods(record: &Value) -> BTreeSet<&str> {
    record::modules_with(record, "loaded").iter().filter_map(|m| m["method"].as_str()).collect()
}

fn xz_on_6_12_decompressed_by_the_kernel() {
    let (_, facts) =
        machine::boot_from(&image::stored(Kernel::Cloud612), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(methods(&facts.record()), ["finit_module-compressed"].into());
}

fn xz_on_6_12_decompressed_by_coldplug() {
    let (tree, image) = image::stored(Kernel::Cloud612);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda coldplug.decode=user");
    let (_, facts) = vm.attach(Bus::VirtioBlk, ROOT).run_ok();
    assert_eq!(methods(&facts.record()), ["init_module"].into());
}

fn zst_on_6_1() {
    let (_, facts) =
        machine::boot_from(&image::stored(Kernel::Cloud61Zst), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(methods(&facts.record()), ["init_module"].into());
}

fn xz_with_a_crc64_on_6_1() {
    let (_, facts) =
        machine::boot_from(&image::stored(Kernel::Cloud61Xz), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(methods(&facts.record()), ["init_module"].into());
}

fn gz_on_6_1() {
    let (_, facts) =
        machine::boot_from(&image::stored(Kernel::Cloud61Gz), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(methods(&facts.record()), ["init_module"].into());
}

fn plain_on_6_1() {
    let (_, facts) =
        machine::boot_from(&image::stored(Kernel::Cloud61), Bus::VirtioBlk, "/dev/vda");
    assert_eq!(methods(&facts.record()), ["finit_module"].into());
}
