//! What `coldplug report` shows of saved records.

mod critical;
mod diff;
mod fleet;
mod markup;
mod page;
mod table;
mod tree;
mod units;

pub(crate) use critical::critical;
pub(crate) use diff::diff;
pub(crate) use fleet::fleet;
pub(crate) use page::{chart, page};
pub(crate) use table::{Order, table};
pub(crate) use tree::tree;
