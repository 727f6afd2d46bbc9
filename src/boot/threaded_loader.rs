//! The loader of a program that is not PID 1, and may therefore load modules in its own threads.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::kmod::Warning;
use crate::kmod::catalog::{Catalog, IndexFiles};
use crate::load::{ExecutorKind, Inserter, Loader, SchedulePolicy, Settings};
use crate::sys::moddir::{self, ModuleDir};
use crate::sys::module::Kernel;
use crate::sys::{self, Root, procfs, sysfs};

/// Starts the loader with the configuration below `root`. `catalog` opens the indexes.
///
/// # Errors
/// The loader cannot start.
pub(super) fn threaded_loader(
    root: &Root,
    catalog: fn(Arc<dyn IndexFiles>) -> Catalog,
    threads: NonZeroUsize,
    warnings: &mut Vec<Warning>,
) -> sys::Result<Loader> {
    let dir = ModuleDir::new(root, &sys::release());
    let params = procfs::kernel_command_line(root).modules;
    let config = moddir::config_with(root, &dir, &params, warnings);
    let kernel = sysfs::kernel_compression(root);
    let inserter = Inserter { ops: Arc::new(Kernel), dir: dir.path().to_owned(), kernel };
    let executor = ExecutorKind::Threads(threads);
    let settings = Settings { executor, policy: SchedulePolicy::default() };
    Loader::new(root.clone(), catalog(Arc::new(dir)), config, inserter, settings)
}
