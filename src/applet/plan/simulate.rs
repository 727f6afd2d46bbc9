//! A simulated boot: the loader of init loads the modules of a captured machine sequentially,
//! without a kernel. Module files are opened and decoded as in a boot, but not loaded; install
//! commands are not run.
//!
//! A capture shows a machine whose modules are loaded. The first scan of its boot found the devices
//! that have no driver of a loadable module above them; the others appear when that module is
//! loaded, as if by a uevent. A capture does not hold the order of the uevents of several devices
//! of one driver: here it is the order of their paths.

use std::collections::HashSet;
use std::sync::Arc;

use crate::applet::scan::Modules;
use crate::boot::RootHint;
use crate::cmdline::KernelCommandLine;
use crate::kmod::catalog::Match;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::Modalias;
use crate::load::{ExecutorKind, Inserter, Loader, ModuleRecord, Rank, SchedulePolicy, Settings};
use crate::machine::capture::{Capture, Device};
use crate::sys::module::DryRun;
use crate::sys::{self, Root};

/// Root directory without files: no module is live there.
const EMPTY_ROOT: &str = "/dev/null";

/// A boot to simulate.
pub(super) struct Simulation<'a> {
    capture: &'a Capture,
    params: &'a KernelCommandLine,
    loader: Loader,
    /// For each device, the modules that match it.
    found: Vec<Vec<Match>>,
    /// For each device, the loadable modules whose drivers are bound to the devices above it.
    holders: Vec<Vec<ModuleName>>,
    /// Devices that have not appeared yet.
    absent: Vec<usize>,
    /// Modaliases that were requested.
    requested: HashSet<Modalias>,
    /// Whether the module of the root filesystem has been requested.
    mounted: bool,
    /// Devices that may lead to the root device, which come first.
    root_hint: RootHint,
}

/// Result of a simulated boot.
#[derive(Debug)]
pub(super) struct SimulatedBoot<'a> {
    /// The machine's devices, and the modules that match each.
    pub(super) devices: Vec<(&'a Device, Vec<Match>)>,
    /// The wanted modules, as in the record of a boot.
    pub(super) modules: Vec<ModuleRecord>,
    /// Warnings.
    pub(super) warnings: Vec<String>,
}

impl<'a> Simulation<'a> {
    /// Prepares a boot of the captured machine with these modules and parameters.
    ///
    /// # Errors
    /// eventfd(2) fails.
    pub(super) fn new(
        capture: &'a Capture,
        modules: Modules,
        params: &'a KernelCommandLine,
    ) -> sys::Result<Self> {
        let found = capture.devices.iter().map(|device| modules.for_device(device)).collect();
        let all = &capture.devices;
        let holders = all.iter().map(|device| holders(device, all, &modules)).collect();
        let dir = modules.dir.path().to_owned();
        let inserter = Inserter { ops: Arc::new(DryRun), dir, kernel: None };
        let executor = ExecutorKind::Inline;
        let settings = Settings { executor, policy: SchedulePolicy::default() };
        let root = Root::at(EMPTY_ROOT);
        let loader = Loader::new(root, modules.catalog, modules.config, inserter, settings)?;
        Ok(Self {
            capture,
            params,
            loader,
            found,
            holders,
            absent: (0..capture.devices.len()).collect(),
            requested: HashSet::new(),
            mounted: false,
            root_hint: RootHint::new(&params.root, None),
        })
    }

    /// Loads the listed modules, then those of the devices that are present, then after each module
    /// those of the devices that appear with it.
    pub(super) fn run(mut self) -> SimulatedBoot<'a> {
        let mut warnings = self.load_listed();
        self.want_filesystems(&self.params.root.fstypes);
        match &self.params.storage {
            Ok(storage) => {
                for module in storage.modules() {
                    self.loader.want_name(module, Rank::Root);
                }
            }
            Err(why) => warnings.push(why.to_string()),
        }
        let mut present = self.appearing();
        present.sort_by_key(|at| self.root_hint.scan_priority(&self.capture.devices[*at].modalias));
        self.request(present);
        loop {
            self.mount();
            if self.loader.run_one() {
                let appearing = self.appearing();
                self.request(appearing);
            } else if !self.absent.is_empty() {
                // A driver above them is in a module that only the kernel requested.
                let absent = std::mem::take(&mut self.absent);
                self.request(absent);
            } else {
                break;
            }
        }
        warnings.extend(self.loader.take_warnings());
        let modules = self.loader.records();
        let devices = self.capture.devices.iter().zip(self.found).collect();
        SimulatedBoot { devices, modules, warnings }
    }

    /// Loads the modules of `coldplug.modules=`. Returns a warning for each unknown name.
    fn load_listed(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for name in &self.params.boot.extra_modules {
            if self.loader.want_name(name, Rank::Root).is_none() {
                warnings.push(format!("coldplug.modules: no module or alias '{name}'"));
            }
            while self.loader.run_one() {}
        }
        warnings
    }

    fn want_filesystems(&self, types: &[String]) {
        for fstype in types {
            self.loader.want_name(&format!("fs-{fstype}"), Rank::Root);
        }
    }

    /// Returns the devices that appear now.
    fn appearing(&mut self) -> Vec<usize> {
        let loaded = self.loaded();
        let is_present =
            |at: &usize| self.holders[*at].iter().all(|module| loaded.contains(module));
        let appearing: Vec<usize> = self.absent.iter().copied().filter(is_present).collect();
        self.absent.retain(|at| !appearing.contains(at));
        appearing
    }

    /// Returns the modules that are live.
    fn loaded(&self) -> Vec<ModuleName> {
        let records = self.loader.records().into_iter();
        records.filter(|module| module.outcome.is_live()).map(|module| module.name).collect()
    }

    /// Requests the modules of devices.
    fn request(&mut self, devices: Vec<usize>) {
        for device in devices.into_iter().filter_map(|at| self.capture.devices.get(at)) {
            if self.requested.insert(device.modalias.clone()) {
                let rank = self.root_hint.rank(&device.modalias);
                self.loader.want_device(&device.path, &device.modalias, &[], rank);
            }
        }
    }

    /// Requests the module of the root filesystem once all devices above it have their drivers.
    fn mount(&mut self) {
        let Some(root) = self.capture.root.as_ref().filter(|_| !self.mounted) else { return };
        let above = self.capture.devices.iter().filter(|d| is_below(&root.device, &d.path));
        let loaded = self.loaded();
        if above.filter_map(|d| d.module.as_ref()).all(|module| loaded.contains(module)) {
            self.mounted = true;
            if self.params.root.fstypes.is_empty() {
                self.want_filesystems(std::slice::from_ref(&root.fstype));
            }
        }
    }
}

/// Returns whether the device at `path` is below the one at `above`.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the loadable modules whose drivers are bound to the devices above `device`.
fn holders(device: &Device, all: &[Device], modules: &Modules) -> Vec<ModuleName> {
    let above = all.iter().filter(|other| is_below(&device.path, &other.path));
    let loadable = above.filter_map(|other| other.module.clone());
    loadable.filter(|module| !modules.catalog.is_builtin(module)).collect()
}
