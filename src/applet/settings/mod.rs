//! Settings of modules: saved when they go and given back when they come, and the command that shows and does it by hand.

#[cfg(feature = "host")]
mod command;
mod save_restore;

#[cfg(feature = "host")]
pub(super) use command::run;
pub(super) use save_restore::{restore, save};
