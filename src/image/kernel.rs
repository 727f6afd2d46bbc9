//! One kernel of an image: its modules, and what is in the image for them.

use std::collections::BTreeSet;

use super::firmware::{Firmware, Found, Wanted};
use super::manifest::{Content, Manifest, Node};
use super::optional_firmware;
use super::reasons::{self, Reasons};
use super::roots::{Abilities, Roots};
use super::select::{Selected, Selection};
use super::summary::KernelSummary;
use super::tree::Tree;
use super::trimmed_indexes::TrimmedIndexes;
use super::{Error, ModuleFormat, Options};
use crate::kmod::index;
use crate::kmod::name::ModuleName;

/// Index files that are copied unchanged unless they are trimmed, also for modules that are not in
/// the image: so the loader can report which module is missing.
const INDEX_FILES: [&str; 13] = [
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.builtin.modinfo",
    "modules.builtin.ranges",
    "modules.devname",
    "modules.order",
    "modules.softdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.weakdep",
];

/// A kernel, and the choice of its modules.
pub(super) struct Kernel {
    release: String,
    /// Its modules, as they are on the build machine.
    pub(super) tree: Tree,
    selection: Selection,
    /// Positions of the modules whose firmware is left out.
    without_firmware: BTreeSet<usize>,
    reasons: Reasons,
}

impl Kernel {
    /// Returns a kernel with its chosen modules.
    pub(super) fn new(release: &str, tree: Tree, selected: Selected) -> Self {
        let without_firmware = optional_firmware::modules_without(&tree, &selected);
        let Selected { modules: selection, reasons, .. } = selected;
        Self { release: release.to_owned(), tree, selection, without_firmware, reasons }
    }

    /// Returns whether the firmware of a module is left out, because only some machines need it.
    pub(super) fn is_without_firmware(&self, module: &ModuleName) -> bool {
        self.tree.by_name.get(module).is_some_and(|at| self.without_firmware.contains(at))
    }

    /// Returns whether a module is in the image or built in.
    fn has(&self, name: &str) -> bool {
        let name = ModuleName::new(name);
        let module = self.tree.by_name.get(&name);
        self.tree.builtin.contains(&name) || module.is_some_and(|at| self.selection.contains(at))
    }

    /// Returns whether it has the device-mapper or md: then its root can be on LUKS, LVM or md.
    pub(super) fn can_assemble(&self) -> bool {
        self.has("dm_mod") || self.has("md_mod")
    }

    /// Returns what it can boot from with such an /init.
    pub(super) fn roots(&self, init: Abilities) -> Roots {
        Roots::new(init, |name| self.has(name))
    }

    /// Adds its modules and their index files to an image.
    ///
    /// # Errors
    /// A path is not UTF-8; an index file cannot be read.
    pub(super) fn add_to(&self, manifest: &mut Manifest, options: &Options) -> Result<(), Error> {
        let format = options.module_format;
        self.add_indexes(manifest, format, options.trims_indexes)?;
        for line in self.selection.iter().map(|at| &self.tree.lines[*at]) {
            let source = self.tree.path(&line.path);
            let path = String::from_utf8(format.path(&line.path));
            let path = path.map_err(|_| Error::NotUtf8(source.clone()))?;
            let reason = self.reasons.text_of(&ModuleName::new(&line.path));
            let node = Node::of_root(0o644, Content::Module(source));
            let node = node.because(reason.unwrap_or_else(|| "--all".to_owned()));
            manifest.add(&self.image_path(&path), node)?;
        }
        if !self.reasons.is_empty() {
            let node = Node::of_root(0o644, Content::Bytes(self.reasons.to_bytes()));
            let path = self.image_path(reasons::FILE);
            manifest.add(&path, node.because("why modules are in the image"))?;
        }
        Ok(())
    }

    /// Adds the tree's index files. modules.dep and modules.dep.bin are rewritten, because the
    /// suffixes of paths may change. Those that are trimmed hold nothing about other modules.
    fn add_indexes(
        &self,
        manifest: &mut Manifest,
        format: ModuleFormat,
        trims: bool,
    ) -> Result<(), Error> {
        let mut add = |name: &str, content| {
            let node = Node::of_root(0o644, Content::Bytes(content));
            manifest.add(&self.image_path(name), node.because("index of the modules"))
        };
        let trimmed = trims.then(|| TrimmedIndexes::new(&self.tree, &self.selection));
        for name in INDEX_FILES {
            let content = match &trimmed {
                Some(trimmed) => trimmed.read(name)?,
                None => self.tree.indexes.read(name)?,
            };
            if let Some(content) = content {
                add(name, content)?;
            }
        }
        let is_listed = |at| !trims || self.selection.contains(&at);
        let (text, bin) = dep_files(&self.tree, format, is_listed)?;
        add("modules.dep", text)?;
        add("modules.dep.bin", bin)
    }

    /// Returns the path in the image of a path in modules.dep; absolute paths are unchanged.
    fn image_path(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(external) => external.to_owned(),
            None => format!("lib/modules/{}/{path}", self.release),
        }
    }

    /// Returns whether a path of the image is in its directory of modules.
    pub(super) fn has_path(&self, name: &str) -> bool {
        name.starts_with(&self.image_path(""))
    }

    /// Finds the firmware that its modules want.
    pub(super) fn find_firmware(&self, wanted: &Wanted) -> Found {
        let dir = self.tree.firmware_dir();
        Firmware { root: self.tree.root(), dir: &dir, release: &self.release }.find(wanted)
    }

    /// Returns whether it reads firmware files that are compressed as their suffix says.
    pub(super) fn reads_firmware(&self, suffix: &str) -> bool {
        self.tree.kernel_config(&self.release).reads_firmware(suffix)
    }

    /// Returns the part of the summary about it; `left_out` of the chosen modules are not in the
    /// image.
    pub(super) fn summary(&self, left_out: usize, roots: Roots) -> KernelSummary {
        KernelSummary {
            release: self.release.clone(),
            modules: self.selection.len() - left_out,
            modules_known: self.tree.lines.len(),
            roots,
        }
    }
}

/// Returns modules.dep and modules.dep.bin with the paths of the modules in the image, of the lines
/// at the positions that are listed.
fn dep_files(
    tree: &Tree,
    format: ModuleFormat,
    is_listed: impl Fn(usize) -> bool,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut text = Vec::new();
    let mut bin = index::Writer::default();
    let lines = tree.lines.iter().zip(0..).enumerate().filter(|(at, _)| is_listed(*at));
    for (_, (line, priority)) in lines {
        let mut value = format.path(&line.path);
        value.push(b':');
        for needs in line.needs.iter().rev() {
            value.push(b' ');
            value.extend(format.path(needs));
        }
        let name = ModuleName::new(&line.path);
        bin.insert(name.as_bytes(), &value, priority).map_err(Error::Index)?;
        text.extend(value);
        text.push(b'\n');
    }
    Ok((text, bin.finish().map_err(Error::Index)?))
}
