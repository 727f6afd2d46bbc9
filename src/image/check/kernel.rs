//! The modules of one kernel in an image, with what their files say of themselves.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::finding::Findings;
use crate::depmod;
use crate::escape;
use crate::image::pack::in_order_within_memory;
use crate::image::{Error, source};
use crate::kmod::catalog::Catalog;
use crate::kmod::compress::{self, Compression, DecodeError};
use crate::kmod::conf::Config;
use crate::kmod::depmod::conf;
use crate::kmod::depmod::facts::{Collector, Facts};
use crate::kmod::elf::{ElfError, Sections};
use crate::kmod::elf_machine::Machine;
use crate::kmod::modinfo::split_key_value;
use crate::kmod::name::ModuleName;
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::regular_file::FileBytes;
use crate::sys::{self, Root};

/// A module in the image.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) name: ModuleName,
    /// Its path in the module directory.
    pub(super) path: Vec<u8>,
    /// The machine that it is for.
    pub(super) machine: Machine,
    /// `vermagic=` of its `.modinfo`.
    pub(super) vermagic: Option<String>,
    /// `firmware=` of its `.modinfo`.
    pub(super) firmware: Vec<String>,
    /// Its aliases, symbols and softdeps.
    pub(super) facts: Facts,
}

/// The modules and the indexes of one kernel in an image.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) release: String,
    pub(super) dir: ModuleDir,
    /// The indexes.
    pub(super) catalog: Catalog,
    /// modules.softdep and modules.weakdep without modprobe.d.
    pub(super) config: Config,
    /// The modules whose files can be read, in the order of their paths.
    pub(super) modules: Vec<Module>,
    /// The names of the modules whose files are there, also of those that cannot be read.
    pub(super) names: HashSet<ModuleName>,
}

impl Kernel {
    /// Reads the modules of the kernel `release` below `root`, as far as `budget` lasts. Files that
    /// cannot be read are findings.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn read(
        root: &Root,
        release: &str,
        budget: &Budget,
        findings: &mut Findings,
    ) -> sys::Result<Self> {
        let dir = ModuleDir::new(root, release);
        let catalog = Catalog::checked(Arc::new(dir.clone()));
        let config = moddir::config_at(&[], &dir, &mut Vec::new());
        let mut notices = Vec::new();
        let mut found = depmod::scan(dir.path(), &conf::Config::default(), &mut notices)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let names = found.iter().map(|found| found.name.clone()).collect();
        let mut kernel =
            Self { release: release.to_owned(), dir, catalog, config, modules: Vec::new(), names };
        kernel.read_modules(&found, budget, findings);
        Ok(kernel)
    }

    fn read_modules(&mut self, found: &[depmod::Found], budget: &Budget, findings: &mut Findings) {
        let mut modules = Vec::with_capacity(found.len());
        let mut unread = 0;
        // No result ends the work.
        let _ = in_order_within_memory(
            found,
            |found| Some(&found.file),
            Collector::default,
            |collector, found, share| module(collector, found, share, budget),
            |found, result| {
                match result {
                    Ok(Some(module)) => modules.push(module),
                    Ok(None) => unread += 1,
                    Err(error) => findings.error(self.shown(&found.path), cause(&error)),
                }
                Ok(())
            },
        );
        self.modules = modules;
        if unread > 0 {
            let text =
                format!("modules decompress to too much: {unread} of {} not read", found.len());
            findings.hinted(self.directory(), text, "permit more with --max-size");
        }
    }

    /// Returns its directory in the image, for messages.
    pub(super) fn directory(&self) -> String {
        format!("lib/modules/{}", escape::line(&self.release))
    }

    /// Returns the path in the image of a path in modules.dep, for messages.
    pub(super) fn shown(&self, path: &[u8]) -> String {
        let path = escape::bytes(path);
        match path.starts_with('/') {
            true => path.into_owned(),
            false => format!("{}/{path}", self.directory()),
        }
    }

    /// Returns the file of a path in modules.dep.
    pub(super) fn file(&self, path: &[u8]) -> PathBuf {
        self.dir.path().join(sys::path(path))
    }

    /// Returns whether the image has this module, as a file or in the kernel.
    pub(super) fn has(&self, name: &ModuleName) -> bool {
        self.names.contains(name) || self.catalog.is_builtin(name)
    }

    /// Returns the machine of the kernel: that of most of its modules; `None` if it has none.
    pub(super) fn machine(&self) -> Option<Machine> {
        most_common(self.modules.iter().map(|module| module.machine))
    }
}

/// Returns the value that occurs most often; of several the first.
pub(super) fn most_common<T: Copy + Eq + std::hash::Hash>(
    values: impl Iterator<Item = T>,
) -> Option<T> {
    let mut counts: HashMap<T, (usize, usize)> = HashMap::new();
    for (at, value) in values.enumerate() {
        let (count, _) = counts.entry(value).or_insert((0, usize::MAX - at));
        *count += 1;
    }
    counts.into_iter().max_by_key(|(_, order)| *order).map(|(value, _)| value)
}

/// How many more bytes the modules of an image may have, decompressed and all together.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Returns how many bytes are left.
    fn left(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// Subtracts the size of a module; what processors read in parallel may have more than is left.
    fn spend(&self, bytes: usize) {
        let less = |left: u64| Some(left.saturating_sub(bytes as u64));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// Returns a module, decompressed, which may have `share` bytes. `None`: it has more bytes than are
/// left in the budget.
///
/// # Errors
/// It cannot be read or decompressed. That costs as much as the largest module that is permitted:
/// how much of it was decompressed is not known.
fn content(file: &Path, share: usize, budget: &Budget) -> Result<Option<FileBytes>, Error> {
    let left = budget.left();
    let limit = share.min(left);
    let stored = source::read(file)?;
    let decoded = match Compression::detect(&stored) {
        Compression::Plain if stored.len() > left => Err(DecodeError::TooLarge(left)),
        Compression::Plain => Ok(stored),
        _ => compress::decode(&stored, limit).map(FileBytes::Read),
    };
    budget.spend(decoded.as_ref().map_or(limit, |bytes| bytes.len()));
    match decoded {
        Ok(bytes) => Ok(Some(bytes)),
        Err(DecodeError::TooLarge(limit)) if limit == left => Ok(None),
        Err(error) => Err(Error::Decode(file.to_owned(), error)),
    }
}

/// Reads a module as [`content`] does.
fn module(
    collector: &mut Collector,
    found: &depmod::Found,
    share: usize,
    budget: &Budget,
) -> Result<Option<Module>, Error> {
    let Some(image) = content(&found.file, share, budget)? else { return Ok(None) };
    let broken = |error| Error::Module(found.file.clone(), error);
    let sections = Sections::parse(&image).map_err(broken)?;
    let machine = Machine::parse(&image).map_err(|part| broken(ElfError::Broken(part)))?;
    let values = |wanted: &'static [u8]| {
        let pairs = sections.modinfo().map(split_key_value);
        let values = pairs.filter(move |(key, _)| *key == wanted);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    };
    Ok(Some(Module {
        name: found.name.clone(),
        path: found.path.clone(),
        machine,
        vermagic: values(b"vermagic").next(),
        firmware: values(b"firmware").collect(),
        facts: collector.facts(&sections),
    }))
}

/// Returns the cause of an error, without the path of the temporary file.
fn cause(error: &Error) -> String {
    match error {
        Error::Decode(_, error) => error.to_string(),
        Error::Module(_, error) => format!("not a module: {error}"),
        Error::System(error) => error.cause.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_as_far_as_the_budget_lasts() {
        let scratch = tempfile::tempdir().unwrap();
        let zstd = zstd::bulk::compress(&[0; 600], 3).unwrap();
        let mut broken = zstd.clone();
        broken.truncate(zstd.len() - 1);
        let plain = vec![0; 600];
        for (files, share, want, left) in [
            (&[&zstd][..], 2000, "read", 400),
            (&[&zstd, &zstd, &zstd], 2000, "read, none, none", 0),
            (&[&plain, &plain], 100, "read, none", 300),
            (&[&zstd, &plain], 600, "read, none", 0),
            (&[&zstd], 500, "too large", 500),
            (&[&broken], 700, "error", 300),
        ] {
            let budget = Budget::new(1000);
            let read = |bytes: &&Vec<u8>| {
                let file = scratch.path().join("x.ko");
                std::fs::write(&file, bytes).unwrap();
                match content(&file, share, &budget) {
                    Ok(Some(bytes)) if bytes.len() == 600 => "read",
                    Ok(None) => "none",
                    Err(Error::Decode(_, DecodeError::TooLarge(_))) => "too large",
                    _ => "error",
                }
            };
            let found: Vec<_> = files.iter().map(read).collect();
            assert_eq!((&*found.join(", "), budget.left()), (want, left));
        }
    }
}
