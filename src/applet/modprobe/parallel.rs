//! `modprobe -a --jobs=N`: loads modules that do not need each other in parallel, with the loader
//! of PID 1. Afterwards the modules that it cannot load, or failed to load, are loaded sequentially
//! as kmod does, with kmod's messages.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use super::insert::is_file;
use super::{Modprobe, each};
use crate::applet::tool::Fail;
use crate::kmod::catalog::{Catalog, Match};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::kmod::probe_list::{ProbeRequest, probe_list};
use crate::load::{
    ExecutorKind, Inserter, Loader, ModuleRecord, Outcome, Rank, SchedulePolicy, Settings,
};
use crate::sys::module::InitFlags;
use crate::sys::{self, sysfs};

/// Longest wait for the loads. The kernel ends every load at some time; one that takes longer
/// hangs.
const TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

impl Modprobe<'_> {
    /// Inserts the modules of all operands.
    pub(super) fn insert_all(&self, operands: &[OsString]) -> Result<(), Fail> {
        if let Some(threads) = self.parallel_loads() {
            self.load_in_parallel(operands, threads);
        }
        each(operands, |operand| self.insert(operand, None))
    }

    /// Returns the number of parallel loads; `None` if loads must be sequential, because options
    /// that print, force or check need the order.
    fn parallel_loads(&self) -> Option<NonZeroUsize> {
        let options = &self.options;
        let plain = !(options.dry_run
            || options.show_alias
            || options.first_time
            || options.ignore_commands);
        let parallel = options.jobs > 1 && plain && options.flags == InitFlags::default();
        NonZeroUsize::new(options.jobs).filter(|_| parallel)
    }

    /// Loads the modules that can be loaded in parallel, and prints those that were loaded.
    fn load_in_parallel(&self, operands: &[OsString], threads: NonZeroUsize) {
        let inserter = Inserter {
            ops: Arc::clone(&self.tool.ops),
            dir: self.dir.path().to_owned(),
            kernel: sysfs::kernel_compression(&self.tool.root),
        };
        let catalog = Catalog::new(Arc::new(self.dir.clone()));
        let (root, config) = (self.tool.root.clone(), self.config.clone());
        let executor = ExecutorKind::Threads(threads);
        let settings = Settings { executor, policy: SchedulePolicy::default() };
        let Ok(loader) = Loader::new(root, catalog, config, inserter, settings) else { return };
        let mut modules = Vec::new();
        for operand in operands {
            if let Some(needed) = self.plain_modules(operand) {
                loader.want_name(operand.as_bytes(), Rank::Rest);
                modules.extend(needed);
            }
        }
        // If the system has no threads, this one loads.
        loader.drive();
        loader.wait_for(&modules, TIMEOUT);
        let mut loaded = loader.records();
        loaded.retain(|record| record.outcome == Outcome::Loaded);
        for record in &loaded {
            self.after_load(&record.name, b"");
        }
        if self.prints_actions() {
            self.print_loaded(loaded);
        }
    }

    /// Returns all modules that `operand` loads; `None` unless it only inserts module files: it has
    /// no install command and no excluded module.
    fn plain_modules(&self, operand: &OsStr) -> Option<Vec<ModuleName>> {
        let found = self.catalog.lookup(&self.config, operand.as_bytes());
        if is_file(operand) || found.is_empty() || !found.iter().all(|f| self.is_wanted(f)) {
            return None;
        }
        let request = ProbeRequest { running: &self.running, ..ProbeRequest::default() };
        let lists = found.iter().map(|f| probe_list(&self.catalog, &self.config, f, request).0);
        let items: Vec<_> = lists.flatten().collect();
        let plain = items.iter().all(|i| !matches!(i.action, Action::Command(_)));
        plain.then(|| items.into_iter().map(|i| i.module).collect())
    }

    fn is_wanted(&self, found: &Match) -> bool {
        let listed = self.options.use_blacklist && self.config.is_blacklisted(&found.module);
        !listed && !self.config.is_refused_by_kernel(&found.module)
    }

    fn print_loaded(&self, loaded: Vec<ModuleRecord>) {
        for record in loaded {
            let path = self.dir.path().join(sys::path(&record.path.unwrap_or_default()));
            let space: &[u8] = if record.options.is_empty() { b"" } else { b" " };
            let path = path.as_os_str().as_bytes();
            self.tool.print([b"insmod ", path, b" ", &record.options, space, b"\n"].concat());
        }
    }
}
