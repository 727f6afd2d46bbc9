//! Damaged images and modules, and boots that fail.

use harness::disk::{DECOY, Disk, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, record, tests, tool};
use std::fs;
use std::io::Write;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_root_that_is_not_found,
    an_image_of_another_kernel,
    a_root_without_a_file_system,
    a_false_content_size_fails_one_module,
    a_bomb_for_the_decoder_of_the_kernel,
    damaged_modules_fail_alone,
    a_root_without_init,
    a_damaged_index_falls_back_to_text,
];

fn a_root_that_is_not_found() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=UUID=00000000-dead coldplug.timeout=3");
    let boot = vm.attach(Bus::VirtioBlk, DECOY).deadline(Duration::from_secs(60)).run();
    boot.expect("no-root");
    assert_eq!(boot.record()["verdict"], "no-root");
    boot.check(boot.facts_text.is_empty(), "an init ran without a root");
}

fn an_image_of_another_kernel() {
    let (_, image) = image::all_of(Kernel::Cloud612);
    let vm =
        Machine::new(&Kernel::Cloud61.get(), &image).cmdline("root=/dev/vda coldplug.timeout=3");
    vm.attach(Bus::VirtioBlk, ROOT).run().expect("no-root");
}

fn a_root_without_a_file_system() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda coldplug.timeout=3");
    let file = vm.dir().join("empty");
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    let boot = vm.disk(Bus::VirtioBlk, &file).run();
    boot.expect("mount-failed");
    boot.check(boot.console.contains("no known filesystem"), "the cause is not reported");
    let (_, after) = boot.console.rsplit_once("coldplug: verdict=").unwrap();
    boot.check(!after.contains("coldplug: "), "something of ours follows the verdict");
}

fn a_false_content_size_fails_one_module() {
    let tree = Kernel::Cloud61Zst.get();
    let image =
        image::coldplug(&tree, &["--modules", "@virtio,virtio_net", "--modules-as", "stored"]);
    let vm = Machine::new(&tree, &image).args(["-m", "160"]).cmdline("root=/dev/vda");
    let vm = vm.args(["-netdev", "user,id=n0,restrict=on"]).device("virtio-net-pci,netdev=n0");
    let path = format!("lib/modules/{}/{}", tree.release, tree.module("virtio_net").unwrap());
    let mut bytes = fs::read(tree.root.join(&path)).unwrap();
    // RFC 8878: a frame header with a content size of four bytes ends here; this is the highest
    // byte.
    assert_eq!(bytes[4] >> 6, 2, "the frame states its size in four bytes");
    let highest = if bytes[4] & 0x20 == 0 { 9 } else { 8 };
    bytes[highest] = 0x0f;
    let image = image::overlay(&image, &[(&*path, &bytes)], &vm.dir().join("image"));
    let (boot, facts) = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run_ok();
    assert_eq!(boot.figure("failed"), "1");
    let record = facts.record();
    assert!(
        record::module(&record, "virtio_net")["error"]
            .as_str()
            .unwrap()
            .contains("decodes to more than"),
        "{record:#}"
    );
}

fn a_bomb_for_the_decoder_of_the_kernel() {
    let (tree, image) = image::stored(Kernel::Cloud612);
    let vm = Machine::new(&tree, &image).args(["-m", "256"]).cmdline("root=/dev/vda");
    let vm = vm.device("virtio-rng-pci");
    let path = format!("lib/modules/{}/{}", tree.release, tree.module("virtio_rng").unwrap());
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    for _ in 0..400 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let image = image::overlay(&image, &[(&*path, &bomb)], &vm.dir().join("image"));
    let (boot, facts) = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run_ok();
    assert_eq!(boot.figure("failed"), "1");
    assert_eq!(record::module(&facts.record(), "virtio_rng")["outcome"], "failed");
}

fn damaged_modules_fail_alone() {
    let (tree, image) = image::stored(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let vm = vm.device("virtio-rng-pci").device("virtio-balloon-pci").device("virtio-serial-pci");
    let path = |name| format!("lib/modules/{}/{}", tree.release, tree.module(name).unwrap());
    let half = fs::read(tree.root.join(path("virtio_rng"))).unwrap();
    let bad = [
        (&*path("virtio_rng"), &half[..half.len() / 2]),
        (&*path("virtio_balloon"), b"\x7fELF and then nothing of the kind".as_slice()),
        (&*path("virtio_console"), b"".as_slice()),
    ];
    let image = image::overlay(&image, &bad, &vm.dir().join("image"));
    let vm = vm.image(&image).attach(Bus::VirtioBlk, ROOT);
    let (boot, facts) = vm.run_ok();
    assert_eq!(boot.figure("failed"), "3");
    for name in ["virtio_rng", "virtio_balloon", "virtio_console"] {
        let record = facts.record();
        assert_eq!(record::module(&record, name)["outcome"], "failed", "{name}");
        assert!(record::module(&record, name)["error"].is_string(), "{name}");
    }
    assert!(facts.modules().contains(&"virtio_blk"));
}

fn a_root_without_init() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let busybox = files::busybox();
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda rw coldplug.onfail=shell");
    let image = image::overlay(&image, &[("bin/sh", &busybox)], &vm.dir().join("image"));
    let disks = tempfile::tempdir().unwrap();
    let root = disks.path().join("root.img");
    Disk { init: None, ..ROOT }.make(&root);
    let mut machine = vm.image(&image).disk(Bus::VirtioBlk, &root).start();
    machine.wait_for("coldplug: verdict=no-init");
    let mut terminal = machine.terminal();
    terminal.line("echo alive-$((40+2)); ls -d /init /lib/modules/*/modules.dep");
    machine.wait_for("alive-42");
    machine.wait_for(&format!("\n/lib/modules/{}/modules.dep", tree.release));
    terminal.line("sync; echo o > /proc/sysrq-trigger");
    machine.finish();
    let mut look = tool::command("debugfs", "e2fsprogs");
    let kept = tool::run(look.args(["-R", "cat /etc/keep"]).arg(&root));
    assert_eq!(kept, disk::KEPT);
}

fn a_damaged_index_falls_back_to_text() {
    let (tree, image) = image::all_of(Kernel::Cloud61);
    let vm = Machine::new(&tree, &image).cmdline("root=/dev/vda");
    let path = |name| format!("lib/modules/{}/{name}", tree.release);
    let text = fs::read_to_string(tree.modules().join("modules.alias")).unwrap();
    let torn = text.replacen('\n', "\nalias torn\n", 1);
    let bad = [
        (&*path("modules.alias.bin"), b"not an index".as_slice()),
        (&*path("modules.alias"), torn.as_bytes()),
    ];
    let image = image::overlay(&image, &bad, &vm.dir().join("image"));
    let (_, facts) = vm.image(&image).attach(Bus::VirtioBlk, ROOT).run_ok();
    let record = facts.record();
    assert!(record::has_warning(&record, &["modules.alias.bin"]), "{:#}", record["warnings"]);
    assert!(record::has_warning(&record, &["modules.alias line 2"]), "{:#}", record["warnings"]);
}
