//! Settings of modules: saved when they go and given back when they come, and the command that shows and does it by hand.

#[cfg(feature = "host")]
mod command;
mod keeper;

#[cfg(feature = "host")]
pub(super) use command::run;
pub(super) use keeper::{restore, save};
