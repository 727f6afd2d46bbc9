//! The modules of a machine with many devices, against those that kmod loads.

use harness::disk::{DECOY, ROOT};
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, note, tests};
use std::collections::BTreeSet;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    loads_what_kmod_loads,
];

/// What kmod's modprobe would do: load all modaliases until no new one appears, then mount the
/// root.
const KMOD_INIT: &str = r#"#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
modaliases() {
    {
        $bb find /sys/devices -name modalias -exec $bb cat {} +
        $bb find /sys/devices -name uevent -exec $bb sed -n 's/^MODALIAS=//p' {} +
    } 2>/dev/null | $bb sort -u
}
live() { $bb cut -d ' ' -f 1 /proc/modules | $bb sort; }
# Until two passes, with a second between them, see the same: USB devices take that long to appear.
before=
same=0
while [ $same -lt 2 ]; do
    set --
    while read -r alias; do set -- "$@" "$alias"; done <<EOF
$(modaliases)
EOF
    /sbin/modprobe -a -b "$@" 2>/dev/null
    $bb sleep 1
    now=$(modaliases; live)
    if [ "$now" = "$before" ]; then same=$((same + 1)); else same=0; fi
    before=$now
done
$bb mount -t ext4 -o ro /dev/vda /root || echo "the root cannot be mounted"
$bb cat /proc/modules > /dev/ttyS1
$bb poweroff -f
"#;

/// Makes the machine of the comparison, with the default devices of QEMU.
fn comparison(tree: &Tree, image: &std::path::Path) -> Machine {
    let vm = Machine::with_defaults(tree, image)
        .args(["-m", "2048", "-cpu", "max", "-netdev", "user,id=n0,restrict=on", "-netdev"])
        .args(["user,id=n1,restrict=on", "-device", "qemu-xhci,id=usb"])
        .cmdline("root=/dev/vda")
        .deadline(Duration::from_secs(240));
    let vm =
        ["virtio-net-pci,netdev=n0", "e1000e,netdev=n1", "virtio-rng-pci", "usb-kbd,bus=usb.0"]
            .into_iter()
            .fold(vm, Machine::device);
    vm.attach(Bus::VirtioBlk, ROOT).attach(Bus::Nvme, DECOY)
}

fn loads_what_kmod_loads() {
    let tree = Kernel::Full61.get();
    let kmod = comparison(&tree, &image::kmod(&tree, KMOD_INIT)).run();
    let theirs: BTreeSet<_> =
        kmod.facts_text.lines().filter_map(|line| line.split(' ').next()).collect();
    kmod.check(
        theirs.contains("virtio_blk") && theirs.contains("ext4"),
        "kmod's side is not whole",
    );
    let (tree, image) = image::all_of(Kernel::Full61);
    let (_, facts) = comparison(&tree, &image).run_ok();
    let ours: BTreeSet<_> = facts.modules().into_iter().collect();
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&theirs).collect();
    note!("{} modules by kmod, {} by coldplug", theirs.len(), ours.len());
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, more {extra:?}");
}
