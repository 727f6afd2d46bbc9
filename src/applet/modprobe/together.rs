//! `modprobe -a --jobs=N`: modules that do not need each other go in side by side, by the loader that PID 1
//! has. What it can't do, or does not get in, is done one by one afterwards, in kmod's way and with its words.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::Duration;

use super::{Modprobe, each};
use crate::applet::tool::Fail;
use crate::kmod::catalog::{Catalog, Match};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::kmod::probe_list::{ProbeRequest, probe_list};
use crate::load::Outcome;
use crate::load::{Inserter, Loader, Rank, Settings};
use crate::sys::module::InitFlags;
use crate::sys::sysfs;

/// The kernel ends every load in the end; one that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Modprobe<'_> {
    /// Inserts what all operands stand for.
    pub(super) fn insert_all(&self, operands: &[OsString]) -> Result<(), Fail> {
        if self.may_load_together() {
            self.load_together(operands);
        }
        each(operands, |operand| self.insert(operand, None))
    }

    /// Whether nothing is asked for but to load: what is to be printed, forced or counted needs the order.
    fn may_load_together(&self) -> bool {
        let options = &self.options;
        let plain = !(options.dry_run
            || options.show_alias
            || options.first_time
            || options.ignore_commands);
        options.jobs > 1 && plain && options.flags == InitFlags::default()
    }

    /// Loads what can be loaded side by side, and tells what has got in.
    fn load_together(&self, operands: &[OsString]) {
        let inserter = Inserter {
            ops: Arc::clone(&self.tool.ops),
            dir: self.dir.path().to_owned(),
            kernel: sysfs::kernel_compression(&self.tool.root),
        };
        let catalog = Catalog::new(Arc::new(self.dir.clone()));
        let (root, config) = (self.tool.root.clone(), self.config.clone());
        let settings = Settings { jobs: self.options.jobs, ..Settings::default() };
        let Ok(loader) = Loader::new(root, catalog, config, inserter, settings) else { return };
        let mut modules = Vec::new();
        for operand in operands {
            if let Some(brought) = self.plain_modules(operand) {
                loader.want_name(&operand.to_string_lossy(), Rank::Rest);
                modules.extend(brought);
            }
        }
        // Where the system gives no threads this one works.
        loader.drive();
        loader.wait_for(&modules, LONGEST);
        for record in loader.records().iter().filter(|r| r.outcome == Outcome::Loaded) {
            self.after_load(&record.name, "");
        }
        if self.prints_actions() {
            self.tell_loaded(&loader);
        }
    }

    /// All that `operand` brings, where this is a matter of module files alone: no install commands, and nothing
    /// that is kept out.
    fn plain_modules(&self, operand: &OsStr) -> Option<Vec<ModuleName>> {
        let name = operand.to_string_lossy();
        let is_file = name.starts_with('/') || name.starts_with("./");
        let found = self.catalog.lookup(&self.config, &name);
        if is_file || found.is_empty() || !found.iter().all(|f| self.is_wanted(f)) {
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

    fn tell_loaded(&self, loader: &Loader) {
        let loaded = loader.records().into_iter().filter(|r| r.outcome == Outcome::Loaded);
        for record in loaded {
            let path = self.dir.path().join(record.path.unwrap_or_default());
            let blank = if record.options.is_empty() { "" } else { " " };
            let line = format!("insmod {} {}{blank}\n", path.display(), record.options);
            self.tool.print(line);
        }
    }
}
