//! Disks that cannot be read, are slow, or disappear; filesystems that are none.

use crate::row::{ROW, Root, Row};
use harness::disk;
use harness::machine::{Bus, Machine};
use serde_json::json;
use std::fs;
use std::time::Duration;

/// A slot into which a device can be plugged while the machine runs.
const SOCKET: &[&str] = &["-device", "pcie-root-port,id=socket,chassis=1,slot=1"];

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "no_disk",
        quick: true,
        root: Root::None,
        words: "coldplug.timeout=3",
        verdict: "no-root",
        says: &["root device /dev/vda not found after 3 s", "no block devices seen"],
        ..ROW
    },
    Row {
        name: "a_disk_of_zeros",
        root: Root::Made(|file| drop(disk::empty(1, file))),
        words: "coldplug.timeout=3",
        verdict: "mount-failed",
        says: &["no known filesystem"],
        ..ROW
    },
    Row {
        name: "a_disk_of_no_bytes",
        root: Root::Made(|file| fs::write(file, "").unwrap()),
        words: "coldplug.timeout=3",
        verdict: "mount-failed",
        ..ROW
    },
    Row { name: "a_read_only_disk_mounted_for_writing", drive: ",readonly=on", words: "rw", ..ROW },
    Row {
        name: "two_disks_with_one_uuid",
        words: "root=UUID=c01d9106-0000-4000-8000-000000000001",
        set_up: |vm| {
            let file = vm.dir().join("root");
            let twin = vm.dir().join("twin");
            fs::copy(file, &twin).unwrap();
            vm.disk(Bus::VirtioBlk, &twin)
        },
        says: &["matches"],
        ..ROW
    },
    Row {
        name: "a_disk_that_appears_late",
        root: Root::On(Bus::Unplugged),
        args: SOCKET,
        words: "rootwait",
        act: |machine| {
            machine.wait_for("coldplug: version");
            std::thread::sleep(Duration::from_secs(20));
            let device = json!({ "driver": "virtio-blk-pci", "drive": "disk0", "bus": "socket" });
            machine.qmp().execute("device_add", device);
        },
        ..ROW
    },
    Row {
        name: "two_hundred_disks",
        words: "root=LABEL=coldplug-root",
        set_up: two_hundred,
        ..ROW
    },
];

/// Adds a SCSI controller with two hundred small disks.
fn two_hundred(vm: Machine) -> Machine {
    let file = disk::empty(1, &vm.dir().join("small"));
    let vm = vm.device("virtio-scsi-pci,id=many");
    (0..200).fold(vm, |vm, number| {
        let (channel, lun) = (number / 100, number % 100);
        let drive =
            format!("if=none,id=small{number},format=raw,readonly=on,file={}", file.display());
        let device = format!("scsi-hd,bus=many.0,scsi-id={channel},lun={lun},drive=small{number}");
        vm.args(["-drive", &drive]).device(&device)
    })
}
