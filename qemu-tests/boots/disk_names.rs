//! Names of disks: udev's against coldplug's, on a machine with every type of disk that QEMU has.

use harness::kernel::Kernel;
use harness::machine::Machine;
use harness::run::{BOOT, Test};
use harness::{disk, image, note, paths, tests, tool};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    names_are_those_of_udev,
    a_root_by_its_serial_number,
    a_root_by_its_path,
    an_unknown_serial_number_is_reported_with_the_existing_ones,
];

/// Links that udev makes and coldplug does not: prefix of the device, prefix of the link, reason.
const NOT_OURS: [(&str, &str, &str); 8] = [
    ("", "disk/by-uuid/", "found by content, when devices are probed"),
    ("", "disk/by-label/", "found by content, when devices are probed"),
    ("", "disk/by-partuuid/", "found by content, when devices are probed"),
    ("", "disk/by-partlabel/", "found by content, when devices are probed"),
    ("sr", "disk/by-id/scsi-", "sysfs keeps no vital product data of a CD drive"),
    ("", "mapper/", "made by the library of device-mapper"),
    ("md", "md/", "names that mdadm chooses"),
    ("sr", "cdrom", "not below disk/"),
];

/// Parts of links that coldplug makes and udev 252 does not, with the reason.
const NEWER: [(&str, &str); 3] = [
    ("-part/by-partnum/", "systemd 257"),
    ("-usbv", "systemd 257"),
    ("disk/by-diskseq/", "of partitions, systemd 257"),
];

/// `-device` arguments of the disks; the drives are numbered.
const DISKS: [&str; 17] = [
    "virtio-blk-pci,drive=d0,serial=a b/c",
    "virtio-blk-pci,drive=d1,serial=stack",
    "virtio-blk-pci,drive=d2",
    "ide-hd,drive=d3,bus=ide.0,wwn=0x5000c50012345678,serial=ata one,model=A disk/x",
    "ide-cd,drive=d4,bus=ide.1",
    "ide-hd,drive=d5,bus=piix.0,unit=1",
    "scsi-hd,drive=d6,bus=vscsi.0,scsi-id=1,lun=2,serial=S 1",
    "scsi-hd,drive=d7,bus=vscsi.0,scsi-id=1,lun=300,wwn=0x6000c500123456ab,device_id=x y",
    "scsi-cd,drive=d8,bus=vscsi.0,scsi-id=3",
    "scsi-hd,drive=d9,bus=mega.0",
    "scsi-hd,drive=d10,bus=mpt.0,wwn=0x5000c50000000001,port_wwn=0x5000c50000000002",
    "scsi-hd,drive=d11,bus=lsi.0",
    "nvme-ns,drive=d12,bus=nv,nsid=1",
    "nvme-ns,drive=d13,bus=nv,nsid=5,uuid=c01d9106-0000-4000-8000-0000000000aa",
    "usb-storage,drive=d14,bus=xhci.0,serial=stick 1",
    "scsi-hd,drive=d15,bus=uas.0",
    "sd-card,drive=d16",
];

/// Controllers of the disks.
const CONTROLLERS: [&str; 12] = [
    "piix3-ide,id=piix",
    "pcie-root-port,id=rp0,chassis=1,slot=1",
    "virtio-scsi-pci,id=vscsi,bus=rp0",
    "pcie-pci-bridge,id=br",
    "megasas-gen2,id=mega",
    "mptsas1068,id=mpt,bus=br",
    "lsi53c895a,id=lsi,bus=br",
    "nvme,id=nv,serial=nv 0",
    "sdhci-pci",
    "qemu-xhci,id=xhci,p2=4,p3=4",
    "usb-ehci,id=ehci",
    "usb-uas,id=uas,bus=xhci.0",
];

/// Links by device.
type Links = BTreeMap<String, BTreeSet<String>>;

fn links(text: &str, whose: &str) -> Links {
    let lines = text.lines().filter_map(|line| line.strip_prefix(whose)?.trim().split_once(' '));
    lines
        .map(|(name, links)| (name.into(), links.split(' ').map(str::to_owned).collect()))
        .collect()
}

/// Makes a disk of 8 MiB with two partitions.
fn disk(file: &Path) {
    std::fs::File::create(file).unwrap().set_len(8 << 20).unwrap();
    let table = "label: gpt\nsize=2M, name=one\nsize=4M, name=two\n";
    let mut command = tool::command("sfdisk", "fdisk");
    tool::feed(command.arg("-q").arg(file), table.as_bytes());
}

fn names_are_those_of_udev() {
    let tree = Kernel::Full61.get();
    let image = image::udev_of_disks(&tree, include_str!("../data/udev_links/init"));
    let program = std::fs::read(paths::program("examples/disk_links")).unwrap();
    let vm = Machine::new(&tree, &image);
    let image = image::overlay(&image, &[("bin/disk_links", &program)], &vm.dir().join("image"));
    let mut vm = vm.image(&image).args(["-m", "2048"]).deadline(Duration::from_secs(200));
    for controller in CONTROLLERS {
        vm = vm.device(controller);
    }
    for (number, device) in DISKS.iter().enumerate() {
        let file = vm.dir().join(format!("d{number}"));
        disk(&file);
        let media = if device.contains("-cd,") { "cdrom" } else { "disk" };
        let drive =
            format!("if=none,id=d{number},media={media},format=raw,file={}", file.display());
        vm = vm.args(["-drive", &drive]).device(device);
    }
    let boot = vm.run();
    boot.check(boot.facts_text.lines().last() == Some("end"), "the report is not whole");
    let (theirs, ours) = (links(&boot.facts_text, "udev "), links(&boot.facts_text, "own "));
    let missing = beyond(&theirs, &ours, |name, link| {
        NOT_OURS
            .iter()
            .any(|(device, start, _)| name.starts_with(device) && link.starts_with(start))
    });
    let more = beyond(&ours, &theirs, |_, link| NEWER.iter().any(|(part, _)| link.contains(part)));
    note!("udev: {theirs:#?}");
    assert!(missing.is_empty() && more.is_empty(), "udev has {missing:#?}, we have {more:#?}");
    for (dir, least) in [("disk/by-id/", 60), ("disk/by-path/", 60), ("disk/by-diskseq/", 15)] {
        let count = theirs.values().flatten().filter(|link| link.starts_with(dir)).count();
        assert!(count >= least, "udev makes {count} links in {dir}");
    }
}

/// Returns the links that `others` lacks and `but` does not allow.
fn beyond(links: &Links, others: &Links, but: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let none = BTreeSet::new();
    let all = links.iter().flat_map(|(name, links)| links.iter().map(move |link| (name, link)));
    all.filter(|(name, link)| !others.get(*name).unwrap_or(&none).contains(*link))
        .filter(|(name, link)| !but(name, link))
        .map(|(name, link)| format!("{name}: {link}"))
        .collect()
}

/// Boots from a partition of the second disk, which `root` names.
#[track_caller]
fn boots_from_the_second_disk(device: &str, root: &str) {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let vm = Machine::new(&tree, &image).cmdline(&format!("root={root}"));
    let [first, second] = ["first", "second"].map(|name| vm.dir().join(name));
    disk::DECOY.make(&first);
    disk::ROOT.make(&second);
    let drive =
        |id: &str, file: &Path| format!("if=none,id={id},format=raw,file={}", file.display());
    let vm = vm.args(["-drive", &drive("a", &first)]).args(["-drive", &drive("b", &second)]);
    let boot = vm.device("virtio-blk-pci,drive=a,serial=first,addr=0x10").device(device).run();
    boot.expect("ok");
    let facts = boot.facts();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/vdb");
    assert_eq!(facts.record()["root"]["device"], "/dev/vdb");
}

fn a_root_by_its_serial_number() {
    boots_from_the_second_disk(
        "virtio-blk-pci,drive=b,serial=my root,addr=0x11",
        "/dev/disk/by-id/virtio-my_root",
    );
}

fn a_root_by_its_path() {
    boots_from_the_second_disk(
        "virtio-blk-pci,drive=b,serial=second,addr=0x11",
        "/dev/disk/by-path/virtio-pci-0000:00:11.0",
    );
}

fn an_unknown_serial_number_is_reported_with_the_existing_ones() {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--all"]);
    let vm = Machine::new(&tree, &image).cmdline("root=ID=virtio-roof coldplug.timeout=5");
    let file = vm.dir().join("disk");
    disk::ROOT.make(&file);
    let drive = format!("if=none,id=a,format=raw,file={}", file.display());
    let boot = vm.args(["-drive", &drive]).device("virtio-blk-pci,drive=a,serial=root").run();
    boot.expect("no-root");
    boot.check(boot.console.contains("vda is /dev/disk/by-id/virtio-root"), "no near miss");
}
