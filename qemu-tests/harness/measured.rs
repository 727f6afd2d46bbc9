//! The two machines that are measured, each with its root disk at /dev/vda.

use crate::disk::ROOT;
use crate::files::put;
use crate::kernel::Tree;
use crate::machine::{Bus, Facts, Machine};
use crate::paths;
use crate::paths::program;
use crate::sysfs_names::without_numbers;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Makes a machine with a disk, a network card and a random number generator, all virtio.
pub fn virtio(tree: &Tree, image: &Path) -> Machine {
    with_root(bare_virtio(tree, image), Bus::VirtioBlk)
}

/// Makes the machine of [`virtio`] without its disk.
pub fn bare_virtio(tree: &Tree, image: &Path) -> Machine {
    Machine::new(tree, image)
        .args(["-netdev", "user,id=n0,restrict=on"])
        .device("virtio-net-pci,netdev=n0")
        .device("virtio-rng-pci")
}

/// Makes the fleet machine of data/fleet/machine.args, with a virtio disk.
pub fn fleet(tree: &Tree, image: &Path) -> Machine {
    with_root(Machine::fleet(tree, image), Bus::VirtioBlk)
}

/// Adds a root on `bus` with guest.rs as init, and with coldplug, so that the guest can capture the
/// machine.
pub fn with_root(vm: Machine, bus: Bus) -> Machine {
    let dir = tempfile::tempdir().unwrap();
    for (name, from) in [("sbin/init", "examples/guest"), ("bin/coldplug", "coldplug")] {
        put(dir.path(), name, &fs::read(program(from)).unwrap(), 0o755);
    }
    // systemd, in images of dracut, switches to no root without it.
    put(dir.path(), "etc/os-release", b"ID=bench\n", 0o644);
    let file = vm.dir().join("root");
    ROOT.make_of(dir.path(), "16M", &file);
    vm.disk(bus, &file)
}

/// The state that a boot leads to, without numbers that depend on the order of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Loaded modules.
    pub modules: BTreeSet<String>,
    /// Bound devices, each with its bus and driver.
    pub drivers: Vec<String>,
    /// Kernel names of the disks and network interfaces, by the path of the device.
    pub names: BTreeMap<String, BTreeSet<String>>,
}

impl Reached {
    /// Reads the state from the facts of a guest.
    pub fn new(facts: &Facts) -> Self {
        let modules = facts.modules().into_iter().map(str::to_owned).collect();
        let mut drivers: Vec<_> = facts.lines("drivers").into_iter().map(without_numbers).collect();
        drivers.sort();
        let mut names: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, place) in facts.lines("names").into_iter().filter_map(|l| l.split_once(' ')) {
            names.entry(without_numbers(place)).or_default().insert(name.to_owned());
        }
        Self { modules, drivers, names }
    }

    /// Describes modules and bound devices that only one of the two has; empty if they are equal.
    /// Names of devices may differ.
    pub fn difference(&self, other: &Self) -> String {
        let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        let (ours, theirs) = (set(&self.drivers), set(&other.drivers));
        let mut words = Vec::new();
        for (sign, a, b) in
            [('-', &self.modules, &other.modules), ('+', &other.modules, &self.modules)]
        {
            words.extend(a.difference(b).map(|name| format!("{sign}{name}")));
        }
        for (sign, a, b) in [('-', &ours, &theirs), ('+', &theirs, &ours)] {
            words.extend(a.difference(b).map(|name| format!("{sign}[{name}]")));
        }
        if words.is_empty() && self.drivers != other.drivers {
            words.push("the same devices another number of times".to_owned());
        }
        words.join(" ")
    }
}

/// Returns whether coldplug knows `word` of the kernel command line, such as `coldplug.seed=1`:
/// `coldplug plan` warns of unknown words.
pub fn knows(word: &str) -> bool {
    let data = paths::data("");
    let output = std::process::Command::new(program("coldplug"))
        .args(["plan", "--cmdline", word, "--from"])
        .arg(data.join("commands/plan/capture"))
        .arg("--root")
        .arg(data.join("tree"))
        .output()
        .unwrap();
    assert!(output.status.success(), "plan: {output:?}");
    !String::from_utf8_lossy(&output.stderr).contains(word)
}

/// Returns nanoseconds as milliseconds.
#[allow(clippy::cast_precision_loss, reason = "a boot takes less than 2^53 ns")]
pub fn millis(ns: i64) -> f64 {
    ns as f64 / 1e6
}

/// Returns the least of some times and their median, in milliseconds.
pub fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    (millis(times[0]), millis(times[times.len() / 2]))
}
