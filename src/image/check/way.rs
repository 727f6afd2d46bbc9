//! The way to the root device of a machine: the devices above it, and those that must be bound
//! before them.

use std::collections::HashSet;

use super::finding::Findings;
use super::kernel::Kernel;
use crate::escape;
use crate::kmod::catalog::Match;
use crate::kmod::name::ModuleName;
use crate::load::Outcome;
use crate::machine::capture::{Capture, Device};
use crate::scan::simulation::SimulatedBoot;

/// The paths of the devices on the way.
pub(super) struct Way(HashSet<String>);

impl Way {
    /// Returns the way to the root device of a machine; an empty one if the capture names none.
    pub(super) fn to_root_of(board: &Capture) -> Self {
        let mut way = HashSet::new();
        let mut pending: Vec<String> = board.root.iter().map(|root| root.device.clone()).collect();
        while let Some(path) = pending.pop() {
            let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
            for device in ends.map(|end| &path[..end]) {
                if way.insert(device.to_owned()) {
                    let known = board.devices.iter().find(|known| known.path == *device);
                    pending.extend(known.into_iter().flat_map(|known| known.suppliers.clone()));
                }
            }
        }
        Self(way)
    }

    /// Returns whether a device is on the way.
    pub(super) fn has(&self, device: &str) -> bool {
        self.0.contains(device)
    }

    /// Checks that every device on the way that had a driver in the capture has one in the simulated
    /// boot. A module that is missing or damaged has been reported.
    pub(super) fn check(
        &self,
        kernel: &Kernel,
        board: &Capture,
        boot: &SimulatedBoot<'_>,
        findings: &mut Findings,
    ) {
        for (device, found) in &boot.devices {
            let Some(driver) = device.driver.as_deref().filter(|_| self.has(&device.path)) else {
                continue;
            };
            if let Some(problem) = problem(kernel, device, found, boot) {
                findings.error(
                    format!("device {}", escape::line(&device.path)),
                    format!(
                        "driver {}: {problem}; the root device is behind it",
                        escape::line(driver)
                    ),
                );
            }
        }
        if board.root.is_none() {
            let text = "names no root device, so the way to it is not checked";
            findings.warning("capture", text);
        }
    }
}

/// Returns why a device has no driver in the boot; `None` if it has one, or if that was reported.
fn problem(
    kernel: &Kernel,
    device: &Device,
    found: &[Match],
    boot: &SimulatedBoot<'_>,
) -> Option<String> {
    let record = |name: &ModuleName| boot.modules.iter().find(|module| module.name == *name);
    let names = || found.iter().map(|found| &found.module).chain(&device.module);
    let is_bound = |name: &ModuleName| {
        kernel.catalog.is_builtin(name) || record(name).is_some_and(|m| m.outcome.is_live())
    };
    if found.iter().any(Match::is_builtin) || names().any(is_bound) {
        return None;
    }
    let excluded = names().filter_map(record).find_map(|module| match &module.outcome {
        Outcome::Blacklisted | Outcome::Disabled | Outcome::Masked(_) => {
            Some(format!("module {} is {}", module.name, module.outcome.as_str()))
        }
        _ => None,
    });
    // A driver without a module was built in, and may be without an alias.
    let unknown = || {
        let module = device.module.as_ref().filter(|_| found.is_empty())?;
        Some(format!("its module {module} is not one of this kernel"))
    };
    excluded.or_else(unknown)
}
