//! Whether the modules of a kernel fit it and each other: release, machine, and all that each of
//! them needs.

use std::collections::BTreeMap;

use super::finding::{Findings, listed};
use super::kernel::{Kernel, Module, most_common};
use crate::escape;
use crate::kmod::elf_machine::Machine;

/// Directory of modules that were built for another release and fit this kernel too: those of
/// distributions whose kernels keep their interface.
const WEAK_UPDATES: &[u8] = b"weak-updates/";

/// Checks the modules of a kernel for the machine `machine`.
pub(super) fn check(kernel: &Kernel, machine: Option<Machine>, findings: &mut Findings) {
    let usual = most_common(kernel.modules.iter().filter_map(|module| Some(vermagic(module)?.1)));
    for module in &kernel.modules {
        check_vermagic(kernel, module, usual, findings);
        if let Some(kernel_machine) = machine.filter(|machine| *machine != module.machine) {
            let text = format!("{} module, but the kernel is for {kernel_machine}", module.machine);
            findings.error(kernel.shown(&module.path), text);
        }
    }
    check_dependencies(kernel, findings);
}

/// Returns the kernel release for which a module was built, and the rest of its vermagic.
fn vermagic(module: &Module) -> Option<(&str, &str)> {
    let vermagic = module.vermagic.as_deref()?.trim_end();
    Some(vermagic.split_once(' ').unwrap_or((vermagic, "")))
}

/// Checks the vermagic of a module as the kernel does when it loads it. `usual` is how most modules
/// are configured.
fn check_vermagic(kernel: &Kernel, module: &Module, usual: Option<&str>, findings: &mut Findings) {
    let object = || kernel.shown(&module.path);
    let Some((release, configuration)) = vermagic(module) else {
        findings.error(object(), "no vermagic: the kernel refuses the module");
        return;
    };
    if release != kernel.release && !module.path.starts_with(WEAK_UPDATES) {
        let text = format!(
            "built for kernel {}, not for {}",
            escape::line(release),
            escape::line(&kernel.release)
        );
        let hint = "install the module for this kernel, run depmod, and build the image anew";
        findings.hinted(object(), text, hint);
    }
    if let Some(usual) = usual.filter(|usual| *usual != configuration) {
        let text = format!(
            "built for a kernel with '{}', but the other modules for one with '{}'",
            escape::line(configuration),
            escape::line(usual)
        );
        findings.error(object(), text);
    }
}

/// Checks that the files are there which modules.dep and the softdeps name.
fn check_dependencies(kernel: &Kernel, findings: &mut Findings) {
    let mut missing: BTreeMap<Vec<u8>, Vec<&Module>> = BTreeMap::new();
    for module in &kernel.modules {
        let line = kernel.catalog.dep(&module.name);
        for needs in line.into_iter().flat_map(|line| line.needs) {
            if !kernel.file(&needs).is_file() {
                missing.entry(needs).or_default().push(module);
            }
        }
    }
    for (path, users) in missing {
        let names: Vec<_> = users.iter().map(|user| &user.name).collect();
        let (object, verb) = match &names[..] {
            [name] => (format!("module {name}"), "needs"),
            names => (format!("modules {}", listed(names)), "need"),
        };
        let which = if verb == "needs" { "which it needs" } else { "which they need" };
        findings.hinted(
            object,
            format!("{} is missing, {which}", kernel.shown(&path)),
            "build the image anew; if that does not help, run depmod before",
        );
    }
}
