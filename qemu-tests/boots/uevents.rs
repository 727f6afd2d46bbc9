//! More uevents than the socket buffer holds: no device may be missed.

use harness::disk::{LABEL, ROOT};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{image, measured, note, tests};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_flood_of_uevents_loses_no_device,
];

/// Number of devices that are plugged in, each into its own port; the last is the root disk.
const DEVICES: usize = 32;

/// Number of the root disk, which is virtio.
const ROOT_DEVICE: usize = DEVICES - 1;

/// Devices that are plugged in, in turn, and the PCI driver of each.
const KINDS: [(&str, &str); 5] = [
    ("virtio-rng-pci", "virtio-pci"),
    ("nvme", "nvme"),
    ("e1000e", "e1000e"),
    ("virtio-scsi-pci", "virtio-pci"),
    ("qemu-xhci", "xhci_hcd"),
];

/// Makes a machine with an empty root port for every device, eight per slot.
fn machine() -> Machine {
    let tree = Kernel::Full61.get();
    let vm = Machine::new(&tree, &image::coldplug(&tree, &["--all"]))
        .cmdline(&format!("root=LABEL={LABEL} coldplug.rcvbuf=4096"));
    let ports = (0..DEVICES).map(|n| {
        let (slot, function) = (n / 8 + 8, n % 8);
        let several = if function == 0 { ",multifunction=on" } else { "" };
        format!("pcie-root-port,id=port{n},chassis={n},slot={n},addr={slot:#x}.{function}{several}")
    });
    let vm = ports.fold(vm, |vm, port| vm.device(&port));
    let nulls = (0..DEVICES)
        .map(|n| format!("driver=null-co,node-name=null{n},size=33554432,read-zeroes=on"));
    let vm = nulls.fold(vm, |vm, null| vm.args(["-blockdev", &null]));
    let file = vm.dir().join("root");
    ROOT.make(&file);
    vm.disk(Bus::Unplugged, &file)
}

/// Returns the arguments of QMP's `device_add` for device `n`.
fn device(n: usize) -> Value {
    let mut device = Map::new();
    let mut put = |key: &str, value: String| drop(device.insert(key.to_owned(), json!(value)));
    put("id", format!("late{n}"));
    put("bus", format!("port{n}"));
    let driver = KINDS[n % KINDS.len()].0;
    if n == ROOT_DEVICE {
        put("driver", "virtio-blk-pci".to_owned());
        put("drive", "disk0".to_owned());
        return Value::Object(device);
    }
    put("driver", driver.to_owned());
    if driver == "nvme" {
        put("serial", format!("late{n}"));
        put("drive", format!("null{n}"));
    }
    Value::Object(device)
}

/// Returns the PCI driver of device `n`.
fn pci_driver(n: usize) -> &'static str {
    if n == ROOT_DEVICE { "virtio-pci" } else { KINDS[n % KINDS.len()].1 }
}

fn a_flood_of_uevents_loses_no_device() {
    let mut running = machine().start();
    running.wait_for("Run /init");
    let mut qmp = running.qmp();
    running.wait_for("coldplug: version");
    for n in 0..DEVICES {
        qmp.execute("device_add", device(n));
    }
    let boot = running.finish();
    boot.expect("ok");
    let facts = boot.facts();
    let bound = facts.lines("drivers");
    for driver in ["virtio-pci", "nvme", "e1000e", "xhci_hcd"] {
        let plugged = (0..DEVICES).filter(|n| pci_driver(*n) == driver).count();
        // A device in a port has the port as its parent.
        let head = format!("pci/{driver} ");
        let is_in_port = |line: &&&str| {
            line.strip_prefix(&head).is_some_and(|path| Path::new(path).components().count() == 3)
        };
        let there = bound.iter().filter(is_in_port).count();
        note!("{driver}: {plugged} plugged in, {there} bound");
        assert_eq!(there, plugged, "{driver}: {bound:#?}");
    }
    for driver in ["virtio/virtio_rng", "virtio/virtio_scsi"] {
        assert!(bound.iter().any(|line| line.starts_with(driver)), "{driver}: {bound:#?}");
    }
    let uevents = &facts.record()["uevents"];
    note!("{uevents}");
    if measured::knows("coldplug.rcvbuf=4096") {
        assert!(uevents["lost"].as_u64().unwrap() > 0, "the socket held it all: {uevents}");
    }
}
