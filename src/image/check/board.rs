//! Whether a kernel of the image drives the devices of a machine: a boot is simulated with what the
//! image has, as `coldplug plan` does it.

use std::collections::HashSet;
use std::sync::Arc;

use super::finding::Findings;
use super::kernel::Kernel;
use super::way::Way;
use crate::cmdline::KernelCommandLine;
use crate::escape;
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::load::{ModuleRecord, Outcome};
use crate::machine::capture::Capture;
use crate::scan::simulation::{KernelModules, SimulatedBoot, Simulation};
use crate::sys::{self, Root, moddir, modules_load};

/// What to do about a module that the image lacks.
const HINT: &str =
    "build the image for this machine: 'coldplug image build --board FILE', or on it '--host'";

/// Checks a kernel, whose modules and configuration are below `root`, for the machine `board` and
/// the parameters `params`. Returns the modules that the devices want.
///
/// # Errors
/// The simulation cannot be started.
pub(super) fn check(
    root: &Root,
    kernel: &Kernel,
    board: &Capture,
    params: &KernelCommandLine,
    findings: &mut Findings,
) -> sys::Result<HashSet<ModuleName>> {
    check_machine(kernel, board, findings);
    let mut config = moddir::config_with(root, &kernel.dir, &params.modules, &mut Vec::new());
    let listed = listed(root, &params.boot.more_modules, &mut config);
    let catalog = Catalog::checked(Arc::new(kernel.dir.clone()));
    let modules = KernelModules { dir: kernel.dir.path().to_owned(), catalog, config, listed };
    let boot = Simulation::new(board, modules, params)?.run();
    let way = Way::to_root_of(board);
    for module in &boot.modules {
        check_module(kernel, module, &way, findings);
    }
    way.check(kernel, board, &boot, findings);
    for warning in &boot.warnings {
        // A list of the image is named by its path.
        let list = warning.split_once(": ").filter(|(place, _)| place.starts_with('/'));
        let (place, text) = list.unwrap_or(("kernel command line", warning));
        findings.warning(place, escape::line(text));
    }
    Ok(wanted(&boot))
}

/// Returns the modules of `named` and those in the lists below `root`, each with its place in the
/// image.
fn listed(root: &Root, named: &[String], config: &mut Config) -> Vec<(String, Vec<u8>)> {
    let above = escape::path(&root.join("")).trim_end_matches('/').to_owned();
    let mut listed = modules_load::names(root, named, config, &mut Vec::new());
    for (file, _) in &mut listed {
        *file = file.strip_prefix(&*above).unwrap_or(file).to_owned();
    }
    listed
}

/// Checks that the modules are for the machine of the capture.
fn check_machine(kernel: &Kernel, board: &Capture, findings: &mut Findings) {
    let (Some(name), Some(machine)) = (&board.machine, kernel.machine()) else { return };
    if machine.has_name(name) == Some(false) {
        let text =
            format!("the modules are for {machine}, but the machine is {}", escape::line(name));
        findings.error(kernel.directory(), text);
    }
}

/// Reports a module that a device, the kernel command line or a list requests and the boot would
/// not load, unless the configuration forbids it. The filesystem of the root has a check of its own.
fn check_module(kernel: &Kernel, module: &ModuleRecord, way: &Way, findings: &mut Findings) {
    let Some(origin) = &module.origin else { return };
    let Some(problem) = problem(kernel, module) else { return };
    match &origin.device {
        Some(device) => {
            let suffix = if way.has(device) { "; the root device is behind it" } else { "" };
            let text = format!("module {}: {problem}{suffix}", module.name);
            findings.hinted(format!("device {}", escape::line(device)), text, HINT);
        }
        None if origin.request.starts_with("fs-") => {}
        None => {
            let text =
                format!("{problem}; the kernel command line or a list of modules requests it");
            findings.hinted(format!("module {}", module.name), text, HINT);
        }
    }
}

/// Returns why a module would not be loaded; `None` if it would be, or is not wanted.
fn problem(kernel: &Kernel, module: &ModuleRecord) -> Option<String> {
    match &module.outcome {
        Outcome::Missing => Some(missing(kernel, module)),
        Outcome::Failed(error) => Some(error.to_string()),
        _ => None,
    }
}

/// Returns which file a module lacks: its own, or one of the modules that it needs.
fn missing(kernel: &Kernel, module: &ModuleRecord) -> String {
    let own = module.path.as_deref().unwrap_or_default();
    let line = kernel.catalog.dep(&module.name);
    let needs = line.into_iter().flat_map(|line| line.needs);
    match needs.into_iter().find(|path| !kernel.file(path).is_file()) {
        Some(needs) if kernel.file(own).is_file() => {
            format!("{} is missing, which it needs", kernel.shown(&needs))
        }
        _ => format!("{} is missing", kernel.shown(own)),
    }
}

/// Returns the modules that the devices want.
fn wanted(boot: &SimulatedBoot<'_>) -> HashSet<ModuleName> {
    let is_wanted = |module: &&ModuleRecord| {
        module.origin.as_ref().is_some_and(|origin| origin.device.is_some())
    };
    boot.modules.iter().filter(is_wanted).map(|module| module.name.clone()).collect()
}
