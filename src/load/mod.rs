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
mod stamps;
mod supervisor;
mod task;
mod worker;
mod worker_main;

pub(crate) use error::InsertError;
pub(crate) use inserter::Inserter;
pub(crate) use loader::Loader;
pub(crate) use outcome::Outcome;
pub(crate) use policy::{Rank, SchedulePolicy};
pub(crate) use record::{ModuleRecord, Origin};
pub(crate) use remove::delete;
pub(crate) use settings::{Concurrency, ExecutorKind, Settings};
pub(crate) use shutdown::ShutdownHandle;
pub(crate) use stamps::Point;
pub(crate) use worker_main::worker_main;

// The tests of the record make records.
#[cfg(test)]
pub(crate) use {error::LoadError, method::LoadMethod};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A thread that panicked never returns its lock in a released program
/// (panic=abort).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
