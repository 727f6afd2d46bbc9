//! The executor of tasks.

use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::sys::child::ChildProcess;

/// The executor of tasks.
#[derive(Debug)]
pub(super) enum Executor {
    /// A worker process; `None` while there is none, because one has died or cannot be started.
    WorkerProcess(Option<Arc<ChildProcess>>),
    /// Threads of this process. If it has none, the thread that calls the loader runs the tasks.
    Threads {
        /// Number of threads started so far.
        started: usize,
        /// Maximum number of threads.
        limit: NonZeroUsize,
    },
    /// The thread that calls the loader.
    #[cfg(feature = "host")]
    Inline,
}

impl Executor {
    /// Returns whether tasks are left to the thread that calls the loader.
    pub(super) fn is_inline(&self) -> bool {
        match self {
            Self::WorkerProcess(_) => false,
            Self::Threads { started, .. } => *started == 0,
            #[cfg(feature = "host")]
            Self::Inline => true,
        }
    }
}
