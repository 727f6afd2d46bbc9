//! An image for a captured machine with its root on LVM in LUKS, on an NVMe disk: `image check` passes
//! it, and a boot loads what `plan` lists and what the layers need.

use harness::captured::Captured;
use harness::machine::{Bus, Machine};
use harness::made_disk::{PASSPHRASE, made};
use harness::run::{BOOT, Test};
use harness::{debian, image, tests};
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT => lvm_in_luks_on_nvme_loads_what_is_predicted];

fn lvm_in_luks_on_nvme_loads_what_is_predicted() {
    let tree = debian::system();
    let machine = |image: &Path| {
        let vm = Machine::new(&tree, image)
            .cmdline("root=/dev/vg0/root rootfstype=ext4 rd.lvm.vg=vg0 coldplug.settle=all");
        made("lvm-on-luks").attach(vm, Bus::Nvme)
    };
    let boot = |vm: Machine| {
        let boot = vm.run_with_answers("assphrase for ", &[PASSPHRASE]);
        boot.expect("ok");
        boot
    };
    let layers = ["--modules", "@crypt,@lvm"];
    let all = machine(&image::coldplug(&tree, &["--generic", "--all"]));
    let first = boot(all.cmdline("coldplug.capture=/dev/console"));
    let board = Captured::new(&tree, &first.console);
    let image = board.image(&layers);
    board.check(&image);
    let second = boot(machine(&image));
    // The modules of the layers depend on the cipher and on the volumes.
    let [before, after] = [&first, &second].map(|boot| board.beyond_the_plan(&boot.facts()));
    assert_eq!(after, before);
    assert!(after.contains("dm_crypt"), "{after:?}");
}
