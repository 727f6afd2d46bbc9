//! What the modules of a saved record have to do with each other: dependencies, and the driver that
//! made a device appear.

use std::collections::{HashMap, HashSet};

use super::{SavedModule, SavedRecord};

/// Most levels of devices above a device that are looked at; real devices have about twenty.
const MAX_LEVELS: usize = 64;

/// Lookups in the modules of a record, by their place in its list.
#[derive(Debug)]
pub(crate) struct Edges<'a> {
    modules: &'a [SavedModule],
    by_name: HashMap<&'a str, usize>,
    /// Places of the modules that each module needs, without duplicates.
    needs: Vec<Vec<usize>>,
    /// Places of the modules that each module waited for without needing them.
    after: Vec<Vec<usize>>,
    by_device: HashMap<&'a str, Vec<usize>>,
    /// Modules that make devices of a bus appear, by the first word of the modalias.
    by_bus: HashMap<&'a str, usize>,
}

/// Returns the place of each module by its name; the first, if there are several.
pub(super) fn by_name(modules: &[SavedModule]) -> HashMap<&str, usize> {
    let mut places = HashMap::new();
    for (at, module) in modules.iter().enumerate() {
        places.entry(module.name.as_str()).or_insert(at);
    }
    places
}

impl<'a> Edges<'a> {
    /// Indexes the modules of a record.
    pub(crate) fn new(record: &'a SavedRecord) -> Self {
        let modules = record.modules.as_slice();
        let mut by_device: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, module) in modules.iter().enumerate() {
            if let Some(device) = &module.device {
                by_device.entry(device).or_default().push(at);
            }
        }
        let by_name = by_name(modules);
        let places = |names: fn(&SavedModule) -> &[String]| -> Vec<Vec<usize>> {
            let modules = modules.iter().enumerate();
            modules.map(|(at, module)| places_of(names(module), at, &by_name)).collect()
        };
        let (needs, after) = (places(|module| &module.needs), places(|module| &module.after));
        let mut edges = Self { modules, by_name, needs, after, by_device, by_bus: HashMap::new() };
        for (at, module) in modules.iter().enumerate() {
            if let (Some(bus), Some(driver)) = (bus(module), edges.driver_above(at)) {
                edges.by_bus.entry(bus).or_insert(driver);
            }
        }
        edges
    }

    /// Returns the place of the module `name`.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Returns the places of the modules that the module at `at` needs.
    pub(crate) fn needs(&self, at: usize) -> &[usize] {
        self.needs.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the places of the modules that the module at `at` waited for, those that it needs
    /// among them.
    pub(crate) fn waited_for(&self, at: usize) -> impl Iterator<Item = usize> {
        let after = self.after.get(at).into_iter().flatten();
        self.needs(at).iter().chain(after).copied()
    }

    /// Returns the place of the module whose driver made the device of the module at `at` appear:
    /// the driver of a device above it, or else the one that made other devices of the same bus
    /// appear. It must have started before.
    pub(crate) fn made_device(&self, at: usize) -> Option<usize> {
        let module = self.modules.get(at)?;
        module.device.as_ref()?;
        self.driver_above(at).or_else(|| {
            let driver = *self.by_bus.get(bus(module)?)?;
            self.is_before(driver, at).then_some(driver)
        })
    }

    /// Returns the place of the module for the nearest device above that of the module at `at`.
    fn driver_above(&self, at: usize) -> Option<usize> {
        let mut device = self.modules.get(at)?.device.as_deref()?;
        for _ in 0..MAX_LEVELS {
            let (above, _) = device.rsplit_once('/')?;
            let drivers = self.by_device.get(above).into_iter().flatten().copied();
            let loaded = drivers.filter(|driver| self.is_before(*driver, at));
            if let Some(driver) = loaded.max_by_key(|driver| self.start_us(*driver)) {
                return Some(driver);
            }
            device = above;
        }
        None
    }

    /// Returns whether the module at `driver` is live and its load began before the module at `at`
    /// was requested, as far as that is known.
    fn is_before(&self, driver: usize, at: usize) -> bool {
        let is_live = self.modules.get(driver).is_some_and(SavedModule::is_live);
        let requested_us = self.modules.get(at).and_then(|module| module.queued_us);
        let requested_us = requested_us.or_else(|| self.start_us(at));
        is_live && driver != at && self.start_us(driver).is_some_and(|us| Some(us) < requested_us)
    }

    fn start_us(&self, at: usize) -> Option<u64> {
        self.modules.get(at)?.load.map(|load| load.start_us)
    }
}

/// Returns the places of the modules `names`, without duplicates and without the place `at`.
fn places_of(names: &[String], at: usize, by_name: &HashMap<&str, usize>) -> Vec<usize> {
    let mut seen = HashSet::from([at]);
    let places = names.iter().filter_map(|name| by_name.get(name.as_str()).copied());
    places.filter(|place| seen.insert(*place)).collect()
}

/// Returns the bus of the device that a module was requested for: the first word of its modalias.
fn bus(module: &SavedModule) -> Option<&str> {
    module.device.as_ref()?;
    module.modalias.as_deref()?.split_once(':').map(|(bus, _)| bus)
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    #[test]
    fn the_driver_of_a_device_above_made_it_appear() {
        let record = record(
            r#""modules": [
            {"name": "virtio_pci", "outcome": "loaded", "device": "pci0/3",
             "start_us": 5, "end_us": 9},
            {"name": "blk", "device": "pci0/3/virtio0", "modalias": "virtio:d2", "start_us": 7},
            {"name": "net", "device": "pci0/4/virtio1", "modalias": "virtio:d1", "start_us": 8},
            {"name": "early", "device": "pci0/5/virtio1", "modalias": "virtio:d1", "start_us": 4},
            {"name": "asked", "modalias": "virtio:x", "start_us": 8},
            {"name": "top", "device": "pci0", "start_us": 8},
            {"name": "failed", "outcome": "failed", "device": "usb1", "start_us": 1, "end_us": 2},
            {"name": "stick", "device": "usb1/1", "modalias": "usb:v1", "start_us": 3}]"#,
        );
        let edges = Edges::new(&record);
        let made: Vec<_> = (0..8).map(|at| edges.made_device(at)).collect();
        assert_eq!(made, [None, Some(0), Some(0), None, None, None, None, None]);
        assert_eq!(edges.made_device(99), None);
    }

    #[test]
    fn needs_are_places_of_other_modules() {
        let record = record(
            r#""modules": [{"name": "a", "needs": ["b", "a", "none"]},
            {"name": "b", "needs": ["a", "a"]}, {"name": "a", "needs": ["a"]}]"#,
        );
        let edges = Edges::new(&record);
        assert_eq!([edges.needs(0), edges.needs(1), edges.needs(2)], [[1], [0], [0]]);
    }

    #[test]
    fn a_module_waits_for_what_it_needs_and_for_what_it_comes_after() {
        let record = record(
            r#""modules": [{"name": "a", "needs": ["b"], "after": ["c", "a", "none"]},
            {"name": "b", "after": ["c", "c"]}, {"name": "c"}]"#,
        );
        let edges = Edges::new(&record);
        let all = [0, 1, 2].map(|at| edges.waited_for(at).collect::<Vec<_>>());
        assert_eq!(all, [vec![1, 2], vec![2], vec![]]);
    }
}
