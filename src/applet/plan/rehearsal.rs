//! A boot without a kernel: the loader that init has, at work on a captured machine, one module after the other. Module files
//! are opened and decoded as in a boot, and handed to nobody; install commands are not run.
//!
//! A capture shows a machine whose modules are loaded. What a scan at the start of its boot found are the devices
//! with no driver of a loadable module above them; the others come when that module is loaded, as events would tell.
//! The order of events that several devices of one driver send is not in a capture: here it is that of their paths.

use std::collections::HashSet;
use std::sync::Arc;

use crate::applet::scan::Modules;
use crate::boot::RootHint;
use crate::cmdline::KernelCommandLine;
use crate::kmod::catalog::Match;
use crate::kmod::name::ModuleName;
use crate::kmod::uevent::Modalias;
use crate::load::ModuleRecord;
use crate::load::{Inserter, Loader, Order, Rank, Settings};
use crate::machine::capture::{Capture, Device};
use crate::sys::module::DryRun;
use crate::sys::{self, Root};

/// A directory in which nothing is: no module is live there.
const NOWHERE: &str = "/dev/null";

/// A boot that is about to be tried.
pub(super) struct Rehearsal<'a> {
    capture: &'a Capture,
    params: &'a KernelCommandLine,
    loader: Loader,
    /// For each device, the modules that stand for it.
    found: Vec<Vec<Match>>,
    /// For each device, the loadable modules whose drivers hold the devices above it.
    holders: Vec<Vec<ModuleName>>,
    /// Devices that have not come yet.
    absent: Vec<usize>,
    /// Modaliases that were asked for.
    asked: HashSet<Modalias>,
    /// The root's filesystem has been asked for.
    mounted: bool,
    /// What may lead to the root comes first.
    root_hint: RootHint,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Rehearsed<'a> {
    /// The machine's devices, and the modules that stand for each.
    pub(super) devices: Vec<(&'a Device, Vec<Match>)>,
    /// What was wanted, as the record of a boot has it.
    pub(super) modules: Vec<ModuleRecord>,
    /// What was passed over.
    pub(super) warnings: Vec<String>,
}

impl<'a> Rehearsal<'a> {
    /// A boot of `capture`'s machine with these modules, which `params` has words for.
    ///
    /// # Errors
    /// The kernel gives no eventfd(2).
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
        // Without threads all is done on ours, when we say so.
        let order = Order { serial: true, ..Order::default() };
        let settings = Settings { jobs: 0, order, apart: false };
        let root = Root::at(NOWHERE);
        let loader = Loader::new(root, modules.catalog, modules.config, inserter, settings)?;
        Ok(Self {
            capture,
            params,
            loader,
            found,
            holders,
            absent: (0..capture.devices.len()).collect(),
            asked: HashSet::new(),
            mounted: false,
            root_hint: RootHint::new(&params.root, None),
        })
    }

    /// Boots: what is listed, what is there, and after each module what comes of it, until nothing more does.
    pub(super) fn run(mut self) -> Rehearsed<'a> {
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
        let mut there = self.coming();
        there.sort_by_key(|at| self.root_hint.scan_priority(&self.capture.devices[*at].modalias));
        self.come(there);
        loop {
            self.mount();
            if self.loader.step() {
                let coming = self.coming();
                self.come(coming);
            } else if !self.absent.is_empty() {
                // A driver above them is in a module that nothing here asks for: the kernel did.
                let absent = std::mem::take(&mut self.absent);
                self.come(absent);
            } else {
                break;
            }
        }
        warnings.extend(self.loader.take_warnings());
        let modules = self.loader.records();
        let devices = self.capture.devices.iter().zip(self.found).collect();
        Rehearsed { devices, modules, warnings }
    }

    /// Loads what `coldplug.modules=` names; gives what it names in vain.
    fn load_listed(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for name in &self.params.boot.extra_modules {
            if self.loader.want_name(name, Rank::Root).is_none() {
                warnings.push(format!("coldplug.modules: no module or alias '{name}'"));
            }
            while self.loader.step() {}
        }
        warnings
    }

    fn want_filesystems(&self, types: &[String]) {
        for fstype in types {
            self.loader.want_name(&format!("fs-{fstype}"), Rank::Root);
        }
    }

    /// The devices that are there now and were not before.
    fn coming(&mut self) -> Vec<usize> {
        let loaded = self.loaded();
        let here = |at: &usize| self.holders[*at].iter().all(|module| loaded.contains(module));
        let coming: Vec<usize> = self.absent.iter().copied().filter(here).collect();
        self.absent.retain(|at| !coming.contains(at));
        coming
    }

    /// The modules that are live.
    fn loaded(&self) -> Vec<ModuleName> {
        let records = self.loader.records().into_iter();
        records.filter(|module| module.outcome.is_live()).map(|module| module.name).collect()
    }

    fn come(&mut self, coming: Vec<usize>) {
        for device in coming.into_iter().filter_map(|at| self.capture.devices.get(at)) {
            if self.asked.insert(device.modalias.clone()) {
                let rank = self.root_hint.rank(&device.modalias);
                self.loader.want_device(&device.path, &device.modalias, &[], rank);
            }
        }
    }

    /// Asks for the root's filesystem, once all devices above it have their drivers.
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

/// Whether the device at `path` hangs below the one at `above`.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// The loadable modules whose drivers hold the devices above `device`.
fn holders(device: &Device, all: &[Device], modules: &Modules) -> Vec<ModuleName> {
    let above = all.iter().filter(|other| is_below(&device.path, &other.path));
    let loadable = above.filter_map(|other| other.module.clone());
    loadable.filter(|module| !modules.catalog.is_builtin(module)).collect()
}
