//! The loading service: carries out plans, each module as soon as its own dependencies are live,
//! and keeps the outcome of each. It never prints and never exits.

mod decode_buffers;
mod dispatcher;
mod error;
mod executor;
mod graph;
mod inserter;
mod loader;
mod method;
mod outcome;
mod policy;
mod protocol;
mod record;
mod remove;
mod request;
mod settings;
mod shutdown;
mod signature_hash;
mod sorted_vec;
mod task;
mod worker;
mod worker_main;
mod worker_process;

pub use error::{InsertError, LoadError};
pub use inserter::Inserter;
pub use loader::Loader;
pub use method::LoadMethod;
pub use outcome::Outcome;
pub use policy::{Rank, SchedulePolicy};
pub use record::{ModuleRecord, Origin};
pub use remove::delete;
pub use settings::{Concurrency, ExecutorKind, Settings};
pub use shutdown::ShutdownHandle;
pub use worker_main::worker_main;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A thread that panicked never returns its lock in a released program
/// (panic=abort).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
