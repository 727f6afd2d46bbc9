//! The loading service: carries out plans, each module as soon as its own dependencies are live, and
//! keeps what became of each. It never prints and never exits.

mod act;
mod graph;
mod images;
mod insert;
mod loader;
mod order;
mod outcome;
mod record;
mod remove;
mod server;
mod wire;

pub use insert::{InsertError, Inserter};
pub use loader::{Brake, Loader, Settings};
pub use order::{Order, Rank};
pub use outcome::{LoadMethod, Outcome};
pub use record::{ModuleRecord, Origin};
pub use remove::delete;
pub use server::serve;
