//! Settings of a loader.

use std::num::NonZeroUsize;

use super::policy::SchedulePolicy;

/// Settings of a [`super::Loader`].
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Executor of the loads.
    pub(crate) executor: ExecutorKind,
    /// Order of the loads.
    pub(crate) policy: SchedulePolicy,
}

/// Executors of loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExecutorKind {
    /// A process of its own, which starts threads as needed. Its loads go on if this process
    /// becomes another program.
    WorkerProcess(Concurrency),
    /// At most this many threads of this process.
    Threads(NonZeroUsize),
    /// The thread that calls [`super::Loader::run_one`] or [`super::Loader::drive`].
    #[cfg(feature = "host")]
    Inline,
}

/// Number of loads at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    /// One load at a time, started by [`super::Loader::drive`]: its caller has then seen the result
    /// of the one before, and the order of loads is repeatable.
    Sequential,
    /// At most this many. A load whose module is live and that only waits for the kernel's
    /// asynchronous work does not count.
    Parallel(NonZeroUsize),
}

impl Concurrency {
    /// Returns the concurrency for `jobs` loads; one job is sequential.
    pub(crate) fn from_jobs(jobs: usize) -> Self {
        match NonZeroUsize::new(jobs) {
            Some(jobs) if jobs.get() > 1 => Self::Parallel(jobs),
            _ => Self::Sequential,
        }
    }
}

impl ExecutorKind {
    pub(super) fn concurrency(self) -> Concurrency {
        match self {
            Self::WorkerProcess(concurrency) => concurrency,
            Self::Threads(limit) => Concurrency::Parallel(limit),
            #[cfg(feature = "host")]
            Self::Inline => Concurrency::Sequential,
        }
    }
}
