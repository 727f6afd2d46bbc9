//! The loading service: carries out plans, each module as soon as its own dependencies are live, and
//! keeps what became of each. It never prints and never exits.

mod graph;
mod insert;
mod loader;
mod remove;

pub use insert::{InsertError, Inserter};
pub use loader::{Loader, Settings, abandon};
pub use remove::delete;
