//! The order in which the devices of a scan are requested: by rank, and suppliers before the
//! devices that wait for them.
//!
//! The kernel probes a device once all its suppliers are bound. A device whose module is live
//! before those of its suppliers costs nothing, so nothing waits here: the probe is deferred before
//! its driver is called, and repeated when a supplier is bound.

use super::RootHint;
use crate::kmod::uevent::Modalias;
use crate::load::Rank;
use crate::machine::supplier_order::{self, supplier_order};
use crate::sys::devices::DeviceLink;

/// A device of the scan, in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Index of the device in the scan.
    pub(crate) device: usize,
    /// Rank of its modules: the best one of the device and of all that wait for it.
    pub(crate) rank: Rank,
    /// Index of a device that waits for it, if its turn comes earlier for that reason.
    pub(crate) consumer: Option<usize>,
}

/// Returns the turns of `devices`, path and modalias of each, sorted by path. A cycle among `links`
/// is cut where it closes.
pub(crate) fn scan_order(
    hint: &RootHint,
    devices: &[(&str, &Modalias)],
    links: &[DeviceLink],
) -> Vec<Turn> {
    let mut starts: Vec<usize> = (0..devices.len()).collect();
    // The best ranks come first. A supplier has the rank of the first device that leads to it.
    starts.sort_by_key(|at| hint.scan_priority(devices[*at].1));
    let turns = supplier_order(devices.len(), starts, &needs(devices, links));
    let turn = |turn: supplier_order::Turn| {
        let rank = hint.rank(devices[turn.start].1);
        Turn { device: turn.index, rank, consumer: turn.consumer }
    };
    turns.into_iter().map(turn).collect()
}

/// Returns pairs of a device and of one that it waits for, by index and sorted. A supplier without
/// a modalias stands for the device above it whose driver makes it, such as the port of a PHY. A
/// device is there only after all above it, so it waits for none of these.
fn needs(devices: &[(&str, &Modalias)], links: &[DeviceLink]) -> Vec<(usize, usize)> {
    let find = |path: &str| devices.binary_search_by(|(other, _)| (*other).cmp(path)).ok();
    let nearest = |path: &str| {
        let ends = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
        std::iter::once(path).chain(ends).find_map(find)
    };
    let is_above = |path: &str, below: &str| {
        below.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let pairs = links.iter().filter_map(|link| {
        let (consumer, supplier) = (find(&link.consumer)?, nearest(&link.supplier)?);
        (!is_above(devices[supplier].0, &link.consumer)).then_some((consumer, supplier))
    });
    let mut needs: Vec<(usize, usize)> = pairs.collect();
    needs.sort_unstable();
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::KernelCommandLine;

    const DISK: &str = "pci:v00001AF4d00001042sv00001AF4sd00001100bc01sc00i00";
    const USB: &str = "usb:v0627p0001d0000dc00dsc00dp00ic03isc00ip02in00";

    /// Returns the turns of devices, `PATH MODALIAS` sorted, with links `CONSUMER SUPPLIER`, as
    /// lines `PATH RANK CONSUMER`.
    fn turns(devices: &[(&str, &str)], links: &[(&str, &str)]) -> Vec<String> {
        let hint = RootHint::new(&KernelCommandLine::parse("root=/dev/vda").root, None);
        let modaliases: Vec<Modalias> =
            devices.iter().map(|(_, text)| Modalias::new(text.as_bytes()).unwrap()).collect();
        let devices: Vec<(&str, &Modalias)> =
            devices.iter().map(|(path, _)| *path).zip(&modaliases).collect();
        let link = |(consumer, supplier): &(&str, &str)| DeviceLink {
            consumer: (*consumer).to_owned(),
            supplier: (*supplier).to_owned(),
        };
        let links: Vec<DeviceLink> = links.iter().map(link).collect();
        let name = |at: usize| devices[at].0;
        let line = |turn: &Turn| {
            format!("{} {:?} {}", name(turn.device), turn.rank, turn.consumer.map_or("-", name))
        };
        scan_order(&hint, &devices, &links).iter().map(line).collect()
    }

    #[test]
    fn without_links_the_rank_decides() {
        let devices = [("a", "x:"), ("b", USB), ("c", DISK), ("cpu", "cpu:type:x86"), ("d", DISK)];
        assert_eq!(
            turns(&devices, &[]),
            ["cpu Rest -", "c Root -", "d Root -", "b Slow -", "a Rest -"]
        );
    }

    #[test]
    fn suppliers_come_first_and_have_the_best_rank() {
        let devices = [
            ("audio", "x:"),
            ("clock", "x:"),
            ("disk", DISK),
            ("phy", "x:"),
            ("power", "x:"),
            ("usb", USB),
        ];
        let links = [
            ("audio", "clock"),
            ("usb", "phy"),
            ("disk", "phy"),
            ("phy", "power"),
            ("disk", "clock"),
            ("disk", "clock"),
        ];
        assert_eq!(
            turns(&devices, &links),
            [
                "clock Root disk",
                "power Root phy",
                "phy Root disk",
                "disk Root -",
                "usb Slow -",
                "audio Rest -"
            ]
        );
    }

    #[test]
    fn cycles_end() {
        let devices = [("a", "x:"), ("b", "x:"), ("c", DISK), ("d", "x:")];
        let links = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")];
        assert_eq!(turns(&devices, &links), ["b Root a", "a Root c", "c Root -", "d Rest -"]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let names: Vec<String> = (0..50_000).map(|n| format!("{n:05}")).collect();
        let devices: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x:")).collect();
        let links: Vec<(&str, &str)> =
            names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
        assert_eq!(turns(&devices, &links)[0], "49999 Rest 49998");
    }

    #[test]
    fn links_that_lead_nowhere_or_upwards_are_ignored() {
        let devices = [("bus", "x:"), ("bus/disk", DISK), ("phy", "x:"), ("phy2", "x:")];
        for (link, want) in [
            (("bus/disk", "gone"), "bus/disk Root -"),
            (("gone", "phy"), "bus/disk Root -"),
            (("bus/disk", "bus"), "bus/disk Root -"),
            (("bus/disk", "bus/glue/port"), "bus/disk Root -"),
            // A port has no modalias, and its PHY has.
            (("bus/disk", "phy/phy/port.0"), "phy Root bus/disk"),
        ] {
            assert_eq!(turns(&devices, &[link])[0], want, "{link:?}");
        }
    }
}
