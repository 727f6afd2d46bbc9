//! Whether a kernel of the image and its /init can open the root that the kernel command line and
//! the captured machine describe: filesystem, and what lies below it.

use super::finding::Findings;
use super::kernel::Kernel;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::root::AUTO;
use crate::escape;
use crate::image::machine_needs::ALWAYS;
use crate::image::manifest::{Content, Manifest};
use crate::kmod::conf::Config;
use crate::machine::capture::Capture;
use crate::sys::regular_file;

/// A parameter that every program of coldplug for /init knows.
const COLDPLUG: &[u8] = b"coldplug.settle";
/// Start of the UUIDs of the mappings of LUKS devices: the programs hold it that open them, which
/// also activate logical volumes and start arrays.
const STACKS: &[u8] = b"CRYPT-LUKS";
/// Size limit of a program that may be one of coldplug, in bytes.
const PROGRAM_LIMIT: usize = 64 << 20;

/// Checks the way from the disks to the root filesystem. `init` is the program that the kernel
/// starts, and whether [it cannot open stacks](lacks_stacks).
pub(super) fn check(
    kernel: &Kernel,
    (init, lacks_stacks): (&str, bool),
    board: Option<&Capture>,
    params: &KernelCommandLine,
    findings: &mut Findings,
) {
    check_filesystem(kernel, board, params, findings);
    let layers = layers(board, params);
    for module in &layers {
        if let Err(problem) = available(kernel, module) {
            let object = format!("module {module}");
            findings.hinted(object, format!("{problem}; the root needs it"), HINT);
        }
    }
    let opens_stacks = |module: &&str| ["dm_crypt", "dm_mod", "md_mod"].contains(module);
    if lacks_stacks && layers.iter().any(|module| opens_stacks(&module.as_str())) {
        let text = "the root is on LUKS, LVM or md, and this program cannot open these";
        let hint = "build the image with coldplug-init-stacks, or with --init coldplug";
        findings.hinted(escape::line(init), text, hint);
    }
}

/// What to do about a module that the image lacks.
const HINT: &str = "build the image with this module: 'coldplug image build --modules'";

/// Checks that the kernel has the filesystem of the root.
fn check_filesystem(
    kernel: &Kernel,
    board: Option<&Capture>,
    params: &KernelCommandLine,
    findings: &mut Findings,
) {
    let named = params.root.fstypes.iter().filter(|fstype| *fstype != AUTO).cloned();
    let mut types: Vec<String> = named.collect();
    if params.root.network.nfs.is_some() {
        types = vec!["nfs".to_owned()];
    } else if types.is_empty() {
        types.extend(board.and_then(|board| board.root.as_ref()).map(|root| root.fstype.clone()));
    }
    if types.is_empty() {
        let text = "the filesystem of the root is not known: name it with rootfstype=";
        findings.warning("kernel command line", text);
        return;
    }
    let problems: Vec<String> =
        types.iter().filter_map(|fstype| filesystem_problem(kernel, fstype)).collect();
    // The kernel tries one type after the other.
    if problems.len() == types.len() {
        findings.hinted("root filesystem", problems.join("; "), HINT);
    }
}

/// Returns why the kernel does not have a filesystem; `None` if it has it.
fn filesystem_problem(kernel: &Kernel, fstype: &str) -> Option<String> {
    if ALWAYS.contains(&fstype) {
        return None;
    }
    let by_alias = available(kernel, &format!("fs-{fstype}"));
    // Kernels before 5.2 list no aliases of what is built in.
    let problem = by_alias.err().filter(|_| available(kernel, fstype).is_err())?;
    Some(format!("{}: {problem}", escape::line(fstype)))
}

/// Checks that the kernel has what a name or an alias stands for: built in, or as a module whose
/// dependencies are in the image too.
///
/// # Errors
/// Why it has not, in words.
fn available(kernel: &Kernel, name: &str) -> Result<(), String> {
    let found = kernel.catalog.lookup(&Config::default(), name);
    let mut problem = "neither a module of this kernel nor built in".to_owned();
    for found in &found {
        if found.is_builtin() {
            return Ok(());
        }
        let Some(line) = kernel.catalog.dep(&found.module) else { continue };
        let missing = [&line.path].into_iter().chain(&line.needs);
        match missing.into_iter().find(|path| !kernel.file(path).is_file()) {
            None => return Ok(()),
            Some(path) => problem = format!("{} is missing", kernel.shown(path)),
        }
    }
    Err(problem)
}

/// Returns the modules of the layers between the disks and the root filesystem.
fn layers(board: Option<&Capture>, params: &KernelCommandLine) -> Vec<String> {
    let mut modules: Vec<&str> = params.stacks.kinds().into_iter().map(module_of).collect();
    if let Ok(storage) = &params.storage {
        modules.extend(storage.modules());
    }
    let root = board.and_then(|board| board.root.as_ref()).map(|root| &*root.device);
    for (head, module) in [("virtual/block/dm-", "dm_mod"), ("virtual/block/md", "md_mod")] {
        modules.extend(root.filter(|device| device.starts_with(head)).map(|_| module));
    }
    modules.sort_unstable();
    modules.dedup();
    modules.into_iter().map(str::to_owned).collect()
}

/// Returns the module without which no device of a kind is made of others.
fn module_of(kind: &str) -> &'static str {
    match kind {
        "crypt" => "dm_crypt",
        "raid" => "md_mod",
        _ => "dm_mod",
    }
}

/// Returns whether `init` of an image is a program of coldplug that cannot open LUKS, LVM and md.
/// Those of others do it by other means. Another check reports a program that cannot be read.
pub(super) fn lacks_stacks(manifest: &Manifest, init: &str) -> bool {
    let Some((_, node)) = manifest.find(init) else { return false };
    let Content::File(path) = &node.content else { return false };
    let Ok(program) = regular_file::contents(path, PROGRAM_LIMIT) else { return false };
    let has = |text: &[u8]| program.windows(text.len()).any(|window| window == text);
    has(COLDPLUG) && !has(STACKS)
}
