//! The executor of tasks.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::worker_process::WorkerProcess;

/// The executor of tasks. The two others fall back to `Inline` if the system has no process or no
/// thread for them.
#[derive(Debug)]
pub(super) enum Executor {
    /// A worker process.
    WorkerProcess {
        /// The connection to it.
        process: Arc<WorkerProcess>,
        /// Number of worker processes started so far, this one included.
        starts: usize,
    },
    /// Threads of this process.
    Threads {
        /// Number of threads started so far.
        started: usize,
        /// Maximum number of threads.
        limit: NonZeroUsize,
    },
    /// The thread that calls the loader.
    Inline,
}

impl Executor {
    /// Returns whether tasks are left to the thread that calls the loader.
    pub(super) fn is_inline(&self) -> bool {
        matches!(self, Self::Inline | Self::Threads { started: 0, .. })
    }
}
