//! Settings of modules: saved before a module is removed, restored when it is loaded again, and the
//! command that does so by hand.

#[cfg(feature = "host")]
mod command;
mod save_restore;

#[cfg(feature = "host")]
pub(super) use command::{USAGE, run};
pub(super) use save_restore::{restore, save};
