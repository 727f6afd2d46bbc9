//! depmod(8): from what the modules of a tree say of themselves to the index files that modprobe reads.
//!
//! ```text
//! files ─► Facts ─► order ─► Symbols ─► who needs whom ─► Graph ─► modules.dep, .alias, .symbols…
//! ```
//!
//! The bytes are those of kmod 34. Who reads the modules and writes the files is [`crate::depmod`].

pub mod conf;
pub mod facts;
pub mod files;
pub mod graph;
mod hash;
pub mod kernel;
pub mod order;
pub mod resolve;
pub mod strings;

use facts::Facts;
use graph::{Cycles, Graph};
use resolve::Symbols;

use super::name::ModuleName;

/// One module of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: ModuleName,
    /// Its path in modules.dep: below the module directory, or absolute outside of it.
    pub path: String,
    /// What it says of itself; nothing where it cannot be read.
    pub facts: Facts,
}

impl order::Ordered for Module {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn path(&self) -> &str {
        &self.path
    }
}

/// A tree whose dependencies are known and free of circles.
#[derive(Debug)]
pub struct Solved<'a> {
    modules: &'a [Module],
    symbols: Symbols<'a>,
    graph: Graph,
    ranks: Vec<u32>,
}

impl<'a> Solved<'a> {
    /// The tree of these modules, in their order, with what each needs directly.
    ///
    /// # Errors
    /// Modules that depend on themselves.
    pub fn new(
        modules: &'a [Module],
        symbols: Symbols<'a>,
        needs: Vec<Vec<u32>>,
    ) -> Result<Self, Cycles> {
        let graph = Graph::new(needs);
        let ranks = graph.ranks()?;
        Ok(Self { modules, symbols, graph, ranks })
    }
}

/// Something to be said to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something is left out of a file.
    Error(String),
    /// Something looks wrong.
    Warning(String),
}
