//! Who needs whom: symbols that are needed, looked up among those that are offered.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::facts::Facts;
use super::kernel::{KernelSymbols, without};

/// A symbol that a module offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    /// The module's place.
    pub module: u32,
    /// The symbol's version.
    pub crc: u32,
}

/// Every symbol that is offered.
#[derive(Debug, Default)]
pub struct Symbols<'a> {
    providers: HashMap<&'a [u8], Provider, FixedState>,
    kernel: Option<&'a KernelSymbols>,
    prefix: Option<u8>,
}

/// What a module's symbols tell.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Places of the modules that it depends on, once each, in the order in which they are needed first.
    pub needs: Vec<u32>,
    /// What there is to say about its symbols.
    pub notes: Vec<Note>,
}

/// Something to be said about a symbol that a module needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Nobody offers it.
    Unknown(Vec<u8>),
    /// It is offered with another version.
    Version(Vec<u8>),
    /// The module at this place offers it, and is a dependency for its sake.
    Found(Vec<u8>, u32),
}

impl<'a> Symbols<'a> {
    /// The symbols that modules, in order, and the kernel offer. Of modules that offer one symbol the last counts.
    /// Symbols of a platform with a symbol prefix begin with it.
    pub fn new(
        modules: impl IntoIterator<Item = &'a Facts>,
        kernel: Option<&'a KernelSymbols>,
        prefix: Option<u8>,
    ) -> Self {
        let mut providers = HashMap::default();
        for (facts, module) in modules.into_iter().zip(0..) {
            for (name, crc) in facts.exports.iter().zip(&facts.export_crcs) {
                providers.insert(without(prefix, name), Provider { module, crc: *crc });
            }
        }
        Self { providers, kernel, prefix }
    }

    /// Every symbol of a module, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Provider)> {
        self.providers.iter().map(|(name, provider)| (*name, *provider))
    }

    /// What the symbols of one module tell; of notes only those that `wanted` asks for are made.
    pub fn resolve(&self, facts: &Facts, wanted: Wanted) -> Resolved {
        let mut resolved = Resolved::default();
        for (symbol, mark) in facts.needs.iter().zip(&facts.need_marks) {
            let symbol = self.bare(symbol);
            let provider = self.providers.get(symbol);
            let kernel = self.kernel.and_then(|kernel| kernel.get(symbol));
            let crc = provider.map(|p| p.crc).or(kernel);
            let note = match crc {
                None if wanted.errors && !mark.is_weak => Some(Note::Unknown(symbol.to_vec())),
                Some(crc) if wanted.versions && !mark.is_weak && crc != mark.crc => {
                    Some(Note::Version(symbol.to_vec()))
                }
                _ => None,
            };
            resolved.notes.extend(note);
            let Some(provider) = provider else { continue };
            if !resolved.needs.contains(&provider.module) {
                resolved.needs.push(provider.module);
                if wanted.found {
                    resolved.notes.push(Note::Found(symbol.to_vec(), provider.module));
                }
            }
        }
        resolved
    }

    /// A symbol as it stands in the table.
    fn bare<'s>(&self, symbol: &'s [u8]) -> &'s [u8] {
        without(self.prefix, symbol.strip_prefix(b".").unwrap_or(symbol))
    }
}

/// Which notes are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// [`Note::Unknown`]
    pub errors: bool,
    /// [`Note::Version`]
    pub versions: bool,
    /// [`Note::Found`]
    pub found: bool,
}
