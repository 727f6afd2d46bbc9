//! Whether the firmware is there that the modules name.
//!
//! A driver usually names files for many devices and versions, of which a machine needs one or none,
//! so a missing one is a warning. It is an error if a device of the machine wants the module and all
//! of its files are missing.

use std::collections::BTreeSet;

use super::finding::{Findings, listed};
use super::kernel::Kernel;
use crate::escape;
use crate::image::firmware::{Firmware, Wanted};
use crate::kmod::name::ModuleName;
use crate::sys::Root;

/// Checks the firmware of the modules of a kernel. `wanted` tells whether a device of the machine
/// wants a module.
pub(super) fn check(
    root: &Root,
    kernel: &Kernel,
    wanted: &dyn Fn(&ModuleName) -> bool,
    findings: &mut Findings,
) {
    let (root, release) = (root.join(""), &*kernel.release);
    let firmware = Firmware { root: &root, dir: "lib/firmware".as_ref(), release };
    for module in &kernel.modules {
        let names = module.firmware.iter().map(|name| (name.clone(), BTreeSet::new()));
        let wants: Wanted = names.collect();
        let missing = firmware.find(&wants).missing;
        if missing.is_empty() {
            continue;
        }
        let names: Vec<_> = missing.keys().map(|name| escape::line(name)).collect();
        let object = format!("module {}", module.name);
        let text = format!("firmware is missing: {}", listed(&names));
        match missing.len() == wants.len() && wanted(&module.name) {
            true => {
                let text = format!("{text}; a device of the machine wants the module");
                findings.hinted(object, text, "install the firmware, and build the image anew");
            }
            false => findings.warning(object, text),
        }
    }
}
