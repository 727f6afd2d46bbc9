//! Dependencies between modules: finds the modules that export the symbols that a module needs.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::facts::Facts;
use super::kernel::{KernelSymbols, strip_prefix};

/// The module that exports a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provider {
    /// Position of the module.
    pub(crate) module: u32,
    /// Version of the symbol.
    pub(crate) crc: u32,
}

/// All exported symbols.
#[derive(Debug, Default)]
pub(crate) struct Symbols<'a> {
    providers: HashMap<&'a [u8], Provider, FixedState>,
    kernel: Option<&'a KernelSymbols>,
    prefix: Option<u8>,
}

/// The dependencies of a module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Positions of the modules that it depends on, without duplicates, in the order in which they
    /// are first needed.
    pub(crate) needs: Vec<u32>,
    /// Notes about the symbols that it needs.
    pub(crate) notes: Vec<Note>,
}

/// A note about a symbol that a module needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Note {
    /// Neither a module nor the kernel exports the symbol.
    Unknown(Vec<u8>),
    /// The symbol is exported with another version.
    Version(Vec<u8>),
    /// The symbol is the reason for the dependency on the module at this position.
    Found(Vec<u8>, u32),
}

impl<'a> Symbols<'a> {
    /// Collects the symbols that the modules and the kernel export. If several modules export a
    /// symbol, the last one is used. `prefix` is the character that symbols of the platform start
    /// with.
    pub(crate) fn new(
        modules: impl IntoIterator<Item = &'a Facts>,
        kernel: Option<&'a KernelSymbols>,
        prefix: Option<u8>,
    ) -> Self {
        let mut providers = HashMap::default();
        for (facts, module) in modules.into_iter().zip(0..) {
            for (name, crc) in facts.exports.iter().zip(&facts.export_crcs) {
                providers.insert(strip_prefix(prefix, name), Provider { module, crc: *crc });
            }
        }
        Self { providers, kernel, prefix }
    }

    /// Returns the symbols of all modules, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'a [u8], Provider)> {
        self.providers.iter().map(|(name, provider)| (*name, *provider))
    }

    /// Determines the dependencies of one module, with the notes that `filter` selects.
    pub(crate) fn resolve(&self, facts: &Facts, filter: NoteFilter) -> Resolved {
        let mut resolved = Resolved::default();
        for (symbol, attributes) in facts.needs.iter().zip(&facts.need_attributes) {
            let symbol = self.key(symbol);
            let provider = self.providers.get(symbol);
            let kernel = self.kernel.and_then(|kernel| kernel.get(symbol));
            let crc = provider.map(|p| p.crc).or(kernel);
            if !attributes.is_weak {
                let note = match crc {
                    None if filter.errors => Some(Note::Unknown(symbol.to_vec())),
                    Some(crc) if filter.versions && crc != attributes.crc => {
                        Some(Note::Version(symbol.to_vec()))
                    }
                    _ => None,
                };
                resolved.notes.extend(note);
            }
            let Some(provider) = provider else { continue };
            if !resolved.needs.contains(&provider.module) {
                resolved.needs.push(provider.module);
                if filter.found {
                    resolved.notes.push(Note::Found(symbol.to_vec(), provider.module));
                }
            }
        }
        resolved
    }

    /// Returns the key of a symbol in the table.
    fn key<'s>(&self, symbol: &'s [u8]) -> &'s [u8] {
        strip_prefix(self.prefix, symbol.strip_prefix(b".").unwrap_or(symbol))
    }
}

/// The notes to return.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NoteFilter {
    /// Whether to return [`Note::Unknown`].
    pub(crate) errors: bool,
    /// Whether to return [`Note::Version`].
    pub(crate) versions: bool,
    /// Whether to return [`Note::Found`].
    pub(crate) found: bool,
}
