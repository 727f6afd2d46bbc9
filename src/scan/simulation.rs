//! A simulated boot: the loader of init loads the modules of a captured machine sequentially,
//! without a kernel. Module files are opened and decoded as in a boot, but not loaded; install
//! commands are not run.
//!
//! A capture shows a machine whose modules are loaded. The first scan of its boot found the devices
//! that have no driver of a loadable module above them; the others appear when that module is
//! loaded, as if by a uevent. A capture does not hold the order of the uevents of several devices
//! of one driver: here it is the order of their paths.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{RootHint, scan_order};
use crate::cmdline::KernelCommandLine;
use crate::cmdline::root::AUTO;
use crate::kmod::catalog::{Catalog, Match};
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::Modalias;
use crate::load::{ExecutorKind, Inserter, Loader, ModuleRecord, Rank, SchedulePolicy, Settings};
use crate::machine::capture::{Capture, Device};
use crate::sys::devices::DeviceLink;
use crate::sys::module::DryRun;
use crate::sys::{self, Root};

/// Root directory without files: no module is live there.
const EMPTY_ROOT: &str = "/dev/null";

/// The modules of the kernel that boots.
pub(crate) struct KernelModules {
    /// The directory that the paths of modules.dep start from.
    pub(crate) dir: PathBuf,
    /// The index files.
    pub(crate) catalog: Catalog,
    /// modprobe.d, and what the kernel command line and the lists add to it.
    pub(crate) config: Config,
    /// Modules that the kernel command line and lists of the image name, each with its place.
    pub(crate) listed: Vec<(String, Vec<u8>)>,
}

/// A boot to simulate.
pub(crate) struct Simulation<'a> {
    capture: &'a Capture,
    params: &'a KernelCommandLine,
    loader: Loader,
    /// Modules that the kernel command line and lists name, each with its place.
    listed: Vec<(String, Vec<u8>)>,
    /// For each device, the modules that match it.
    found: Vec<Vec<Match>>,
    /// For each device, the number of modules that must be live before it appears: the loadable
    /// ones whose drivers are bound to the devices above it.
    holders: Vec<usize>,
    /// The devices that each of these modules holds back.
    held: HashMap<ModuleName, Vec<usize>>,
    /// Devices that appear now, because nothing holds them back any more.
    appearing: Vec<usize>,
    /// Modules that are live.
    live: HashSet<ModuleName>,
    /// Number of modules whose outcome has been looked at.
    settled: usize,
    /// Modules of the devices above the root device that are not live yet; `None` if the capture
    /// names no root.
    above_root: Option<HashSet<ModuleName>>,
    /// Modaliases that were requested.
    requested: HashSet<Modalias>,
    /// Whether the module of the root filesystem has been requested.
    mounted: bool,
    /// Devices that may lead to the root device, which come first.
    root_hint: RootHint,
}

/// Result of a simulated boot.
#[derive(Debug)]
pub(crate) struct SimulatedBoot<'a> {
    /// The machine's devices, and the modules that match each.
    pub(crate) devices: Vec<(&'a Device, Vec<Match>)>,
    /// The wanted modules, as in the record of a boot.
    pub(crate) modules: Vec<ModuleRecord>,
    /// Warnings.
    pub(crate) warnings: Vec<String>,
}

impl<'a> Simulation<'a> {
    /// Prepares a boot of the captured machine with these modules and parameters.
    ///
    /// # Errors
    /// eventfd(2) fails.
    pub(crate) fn new(
        capture: &'a Capture,
        modules: KernelModules,
        params: &'a KernelCommandLine,
    ) -> sys::Result<Self> {
        let KernelModules { dir, catalog, config, listed } = modules;
        let lookup =
            |device: &Device| catalog.lookup_modalias(&config, &device.modalias.normalized());
        let found = capture.devices.iter().map(lookup).collect();
        let drivers = Drivers::new(&capture.devices, &catalog);
        let above: Vec<Vec<ModuleName>> =
            capture.devices.iter().map(|device| drivers.loadable_above(&device.path)).collect();
        let above_root = capture
            .root
            .as_ref()
            .map(|root| drivers.loadable_above(&root.device).into_iter().collect());
        let inserter = Inserter { ops: Arc::new(DryRun), dir, kernel: None };
        let executor = ExecutorKind::Inline;
        let settings = Settings { executor, policy: SchedulePolicy::default() };
        let root = Root::at(EMPTY_ROOT);
        let loader = Loader::new(root, catalog, config, inserter, settings)?;
        Ok(Self {
            capture,
            params,
            loader,
            listed,
            found,
            appearing: (0..above.len()).filter(|at| above[*at].is_empty()).collect(),
            holders: above.iter().map(Vec::len).collect(),
            held: held(above),
            live: HashSet::new(),
            settled: 0,
            above_root,
            requested: HashSet::new(),
            mounted: false,
            root_hint: RootHint::new(&params.root, None),
        })
    }

    /// Loads the listed modules, then those of the devices that are present, then after each module
    /// those of the devices that appear with it.
    pub(crate) fn run(mut self) -> SimulatedBoot<'a> {
        let mut warnings = self.load_first();
        self.want_filesystems(&self.params.root.fstypes);
        match &self.params.storage {
            Ok(storage) => {
                for module in storage.modules() {
                    self.loader.want_name(module, Rank::Root);
                }
            }
            Err(why) => warnings.push(why.to_string()),
        }
        self.note_live();
        self.scan();
        warnings.extend(self.request_listed());
        loop {
            self.mount();
            if self.loader.run_one() {
                self.note_live();
                let appearing = self.take_appearing();
                self.request(appearing);
            } else if self.held.is_empty() {
                break;
            } else {
                // A driver above them is in a module that only the kernel requested.
                let mut absent: Vec<usize> = self.held.drain().flat_map(|(_, held)| held).collect();
                absent.sort_unstable();
                absent.dedup();
                absent.retain(|at| self.holders[*at] > 0);
                self.request(absent);
            }
        }
        warnings.extend(self.loader.take_warnings());
        let modules = self.loader.records();
        let devices = self.capture.devices.iter().zip(self.found).collect();
        SimulatedBoot { devices, modules, warnings }
    }

    /// Requests the modules of the devices that are there before the first load, as a scan does.
    fn scan(&mut self) {
        let devices = &self.capture.devices;
        let present: Vec<&Device> =
            self.take_appearing().into_iter().map(|at| &devices[at]).collect();
        let link = |device: &Device, supplier: &String| DeviceLink {
            consumer: device.path.clone(),
            supplier: supplier.clone(),
        };
        let links: Vec<DeviceLink> = present
            .iter()
            .flat_map(|device| device.suppliers.iter().map(|supplier| link(device, supplier)))
            .collect();
        let scanned: Vec<(&str, &Modalias)> =
            present.iter().map(|device| (device.path.as_str(), &device.modalias)).collect();
        self.root_hint.note_devices(&scanned);
        for turn in scan_order(&self.root_hint, &scanned, &links) {
            let consumer = turn.consumer.map(|at| scanned[at].0);
            self.request_one(present[turn.device], turn.rank, consumer);
        }
    }

    /// Loads the modules of `rd.driver.pre=` and `coldplug.modules=`. Returns a warning for each
    /// unknown name.
    fn load_first(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (parameter, names) in self.params.boot.first_modules() {
            for name in names {
                let wanted = self.loader.want_listed(parameter, name.as_bytes(), Rank::Root);
                warnings.extend(wanted.err());
                while self.loader.run_one() {}
            }
        }
        warnings
    }

    /// Requests the listed modules. Returns a warning for each unknown name.
    fn request_listed(&self) -> Vec<String> {
        let wanted = |(place, name): &(String, Vec<u8>)| {
            self.loader.want_listed(place, name, Rank::Rest).err()
        };
        self.listed.iter().filter_map(wanted).collect()
    }

    fn want_filesystems(&self, types: &[String]) {
        for fstype in types.iter().filter(|fstype| *fstype != AUTO) {
            self.loader.want_name(format!("fs-{fstype}"), Rank::Root);
        }
    }

    /// Notes the modules that have become live, and the devices that appear with them.
    fn note_live(&mut self) {
        let settled = self.loader.settled_since(self.settled);
        self.settled += settled.len();
        for (module, _) in settled.into_iter().filter(|(_, is_live)| *is_live) {
            for at in self.held.remove(&module).unwrap_or_default() {
                self.holders[at] -= 1;
                if self.holders[at] == 0 {
                    self.appearing.push(at);
                }
            }
            self.live.insert(module);
        }
    }

    /// Returns the devices that appear now, sorted by path.
    fn take_appearing(&mut self) -> Vec<usize> {
        let mut appearing = std::mem::take(&mut self.appearing);
        appearing.sort_unstable();
        appearing
    }

    /// Requests the modules of devices.
    fn request(&mut self, devices: Vec<usize>) {
        for device in devices.into_iter().filter_map(|at| self.capture.devices.get(at)) {
            self.request_one(device, self.root_hint.rank(&device.modalias), None);
        }
    }

    fn request_one(&mut self, device: &Device, rank: Rank, consumer: Option<&str>) {
        if self.requested.insert(device.modalias.clone()) {
            self.loader.want_device(&device.path, &device.modalias, &[], rank, consumer);
        }
    }

    /// Requests the module of the root filesystem once all devices above it have their drivers.
    fn mount(&mut self) {
        let Some(above) = self.above_root.as_mut().filter(|_| !self.mounted) else { return };
        above.retain(|module| !self.live.contains(module));
        if above.is_empty() {
            self.mounted = true;
            let fstypes = &self.params.root.fstypes;
            if fstypes.is_empty() || fstypes.iter().any(|fstype| fstype == AUTO) {
                let fstype = self.capture.root.as_ref().map(|root| root.fstype.clone());
                self.want_filesystems(fstype.as_slice());
            }
        }
    }
}

/// The modules whose drivers are bound to the devices of a machine.
struct Drivers<'a> {
    /// By the path of the device.
    modules: HashMap<&'a str, &'a ModuleName>,
    catalog: &'a Catalog,
}

impl<'a> Drivers<'a> {
    fn new(devices: &'a [Device], catalog: &'a Catalog) -> Self {
        let bound = devices.iter().filter_map(|d| Some((d.path.as_str(), d.module.as_ref()?)));
        Self { modules: bound.collect(), catalog }
    }

    /// Returns the modules of the devices above the one at `path`, from the nearest one upwards.
    fn above(&self, path: &str) -> impl Iterator<Item = ModuleName> {
        let ends = path.rmatch_indices('/').map(|(at, _)| at);
        ends.filter_map(|end| self.modules.get(path.get(..end)?).map(|module| (*module).clone()))
    }

    /// Returns those of them that are loadable, each once.
    fn loadable_above(&self, path: &str) -> Vec<ModuleName> {
        let mut modules: Vec<ModuleName> =
            self.above(path).filter(|module| !self.catalog.is_builtin(module)).collect();
        modules.sort_unstable();
        modules.dedup();
        modules
    }
}

/// Returns the devices that each module holds back.
fn held(above: Vec<Vec<ModuleName>>) -> HashMap<ModuleName, Vec<usize>> {
    let mut held: HashMap<ModuleName, Vec<usize>> = HashMap::new();
    for (at, modules) in above.into_iter().enumerate() {
        for module in modules {
            held.entry(module).or_default().push(at);
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::moddir::{self, ModuleDir};

    #[test]
    fn suppliers_are_loaded_first() {
        for (suppliers, want, consumer) in [
            ("", "gamma beta_two lone alpha late", None),
            ("supplier bus0/dev.gone", "gamma beta_two lone alpha late", None),
            ("supplier bus0/dev.z", "late lone gamma beta_two alpha", Some("bus0/dev.a")),
        ] {
            let text = format!(
                "coldplug-capture 2\ndevice bus0/dev.a\nmodalias dev:a1\n{suppliers}\n\
                 device bus0/dev.z\nmodalias both\nend\n"
            );
            let capture = Capture::parse(text.as_bytes()).unwrap();
            let params = KernelCommandLine::default();
            let root = Root::at("qemu-tests/data/tree");
            let dir = ModuleDir::new(&root, "1.0");
            let config = moddir::config(&root, &dir, &mut Vec::new());
            let catalog = Catalog::new(Arc::new(dir.clone()));
            let (dir, listed) = (dir.path().to_owned(), Vec::new());
            let modules = KernelModules { dir, catalog, config, listed };
            let boot = Simulation::new(&capture, modules, &params).unwrap().run();
            let names: Vec<_> = boot.modules.iter().map(|module| module.name.text()).collect();
            assert_eq!(names.join(" "), want, "{suppliers}");
            let late = boot.modules.iter().find(|module| module.name == "late".into()).unwrap();
            let supplier_of = late.origin.as_ref().and_then(|o| o.supplier_of.as_deref());
            assert_eq!(supplier_of, consumer, "{suppliers}");
        }
    }
}
