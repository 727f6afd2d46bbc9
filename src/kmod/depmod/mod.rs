//! depmod(8): makes the index files that modprobe reads from the metadata and symbols of modules.
//!
//! ```text
//! files ─► Facts ─► order ─► Symbols ─► dependencies ─► Graph ─► modules.dep, .alias, .symbols…
//! ```
//!
//! The files are identical to those of kmod 34. [`crate::depmod`] reads the modules and writes the
//! files.

pub mod conf;
pub mod facts;
pub(crate) mod files;
pub(crate) mod graph;
mod hash;
pub(crate) mod kernel;
pub(crate) mod order;
pub(crate) mod resolve;
pub(crate) mod strings;

use facts::Facts;
use graph::{Cycles, Graph};
use resolve::Symbols;

use super::name::ModuleName;

/// One module of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// The name in canonical form.
    pub(crate) name: ModuleName,
    /// Path in modules.dep: relative to the module directory, or absolute outside of it.
    pub(crate) path: Vec<u8>,
    /// The metadata and symbols; empty if the file cannot be read.
    pub(crate) facts: Facts,
}

impl order::Ordered for Module {
    fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    fn path(&self) -> &[u8] {
        &self.path
    }
}

/// The modules of a tree with their dependencies, which have no cycles.
#[derive(Debug)]
pub(crate) struct ModuleTree<'a> {
    modules: &'a [Module],
    symbols: Symbols<'a>,
    graph: Graph,
    ranks: Vec<u32>,
}

impl<'a> ModuleTree<'a> {
    /// Returns the tree of `modules`; `needs` has the direct dependencies of each.
    ///
    /// # Errors
    /// Dependency cycles.
    pub(crate) fn new(
        modules: &'a [Module],
        symbols: Symbols<'a>,
        needs: Vec<Vec<u32>>,
    ) -> Result<Self, Cycles> {
        let graph = Graph::new(needs);
        let ranks = graph.ranks()?;
        Ok(Self { modules, symbols, graph, ranks })
    }
}

/// A message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A file or entry is left out.
    Error(String),
    /// A probable mistake, without effect on the files.
    Warning(String),
}
