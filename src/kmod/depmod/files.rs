//! The content of the index files.
//!
//! | file                        | line, or key → value                         | order            |
//! |-----------------------------|----------------------------------------------|------------------|
//! | `modules.dep`               | `PATH: PATH…`, all dependencies, users first | module           |
//! | `modules.dep.bin`           | name → line of modules.dep                   |                  |
//! | `modules.alias`             | `alias ALIAS NAME`                           | module, .modinfo |
//! | `modules.alias.bin`         | normalized alias → name                      |                  |
//! | `modules.softdep`           | `softdep NAME TEXT`                          | module, .modinfo |
//! | `modules.weakdep`           | `weakdep NAME TEXT`                          | module, .modinfo |
//! | `modules.symbols`           | `alias symbol:SYMBOL NAME`                   | hash, symbol     |
//! | `modules.symbols.bin`       | `symbol:SYMBOL` → name                       |                  |
//! | `modules.builtin.bin`       | name → empty value                           |                  |
//! | `modules.builtin.alias.bin` | normalized alias → name                      |                  |
//! | `modules.devname`           | `NAME NODE cMAJOR:MINOR` (`b`: block device) | module           |
//!
//! The priority of an index entry is the position of its module; 0 for all builtin modules.

use super::strings::Strings;
use super::{Module, ModuleTree, Notice, hash};
use crate::escape;
use crate::kmod::alias;
use crate::kmod::elf::until_nul;
use crate::kmod::index::{WriteError, Writer};
use crate::kmod::name::ModuleName;

/// An index file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Name in the module directory.
    pub(crate) name: &'static str,
    /// The content.
    pub(crate) bytes: Vec<u8>,
}

/// Files that are generated together, and the messages about them.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    /// The files, in the order in which they are written.
    pub(crate) files: Vec<File>,
    /// The messages, in the order in which they are printed.
    pub(crate) notices: Vec<Notice>,
}

impl Generated {
    fn text(&mut self, name: &'static str, bytes: Vec<u8>) {
        self.files.push(File { name, bytes });
    }

    /// Adds an index. With `duplicates`, the kind of its entries, adds a warning for each entry
    /// that occurs twice.
    fn index(
        &mut self,
        name: &'static str,
        writer: &Writer,
        duplicates: Option<&str>,
    ) -> Result<(), WriteError> {
        if let Some(kind) = duplicates {
            for (key, value) in writer.repeated() {
                let text = match kind {
                    "deps" => escape::bytes(value).into_owned(),
                    _ => format!("{} {}", escape::bytes(key), escape::bytes(value)),
                };
                self.notices.push(Notice::Warning(format!("duplicate module {kind}:\n{text}")));
            }
        }
        self.files.push(File { name, bytes: writer.finish()? });
        Ok(())
    }
}

/// Generates `modules.dep` and its index. With `warn_duplicates`, warns about entries that occur
/// twice in the index.
///
/// # Errors
/// An entry that the index has no room for.
pub(crate) fn dep(tree: &ModuleTree<'_>, warn_duplicates: bool) -> Result<Generated, WriteError> {
    let (mut text, mut writer) = (Vec::new(), Writer::default());
    let mut marks = vec![0; tree.modules.len()];
    for (position, (module, priority)) in tree.modules.iter().zip(0..).enumerate() {
        let start = text.len();
        text.extend_from_slice(&module.path);
        text.push(b':');
        for need in tree.graph.closure(position, &tree.ranks, &mut marks) {
            text.push(b' ');
            text.extend_from_slice(&tree.modules[need].path);
        }
        writer.insert(module.name.as_bytes(), &text[start..], priority)?;
        text.push(b'\n');
    }
    let mut generated = Generated::default();
    generated.text("modules.dep", text);
    generated.index("modules.dep.bin", &writer, warn_duplicates.then_some("deps"))?;
    Ok(generated)
}

/// Generates `modules.alias` and its index; `warn_duplicates` as for [`dep`].
///
/// # Errors
/// An entry that the index has no room for.
pub(crate) fn alias(modules: &[Module], warn_duplicates: bool) -> Result<Generated, WriteError> {
    let (mut generated, mut writer) = (Generated::default(), Writer::default());
    let text = lines(modules, "Aliases extracted from modules themselves", |text, module| {
        for alias in module.facts.aliases.iter() {
            line(text, &[b"alias", alias, module.name.as_bytes()]);
        }
    });
    for (module, priority) in modules.iter().zip(0..) {
        for raw in module.facts.aliases.iter() {
            match alias::normalize(raw) {
                Ok(key) => writer.insert(&key, module.name.as_bytes(), priority)?,
                Err(_) => generated.notices.push(unmatched(raw)),
            }
        }
    }
    generated.text("modules.alias", text);
    generated.index("modules.alias.bin", &writer, warn_duplicates.then_some("alias"))?;
    Ok(generated)
}

/// Generates `modules.softdep` and `modules.weakdep`.
pub(crate) fn softdep(modules: &[Module]) -> Generated {
    let mut generated = Generated::default();
    let list = |word: &'static str, head, entries: fn(&Module) -> &Strings| {
        lines(modules, head, |text, module| {
            for entry in entries(module).iter() {
                line(text, &[word.as_bytes(), module.name.as_bytes(), entry]);
            }
        })
    };
    let soft = list("softdep", "Soft dependencies extracted from modules themselves", |m| {
        &m.facts.softdeps
    });
    let weak = list("weakdep", "Weak dependencies extracted from modules themselves", |m| {
        &m.facts.weakdeps
    });
    generated.text("modules.softdep", soft);
    generated.text("modules.weakdep", weak);
    generated
}

/// Generates `modules.symbols` and its index; `warn_duplicates` as for [`dep`].
///
/// # Errors
/// An entry that the index has no room for.
pub(crate) fn symbols(
    tree: &ModuleTree<'_>,
    warn_duplicates: bool,
) -> Result<Generated, WriteError> {
    let mut symbols: Vec<_> = tree
        .symbols
        .iter()
        .map(|(name, provider)| (hash::bucket(name, hash::SYMBOLS), name, provider.module))
        .collect();
    symbols.sort_unstable();
    let mut text = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
    let mut writer = Writer::default();
    let mut key = Vec::new();
    for (_, symbol, module) in symbols {
        let name = tree.modules[module as usize].name.as_bytes();
        key.clear();
        key.extend_from_slice(b"symbol:");
        key.extend_from_slice(symbol);
        line(&mut text, &[b"alias", &key, name]);
        writer.insert(&key, name, module)?;
    }
    let mut generated = Generated::default();
    generated.text("modules.symbols", text);
    generated.index("modules.symbols.bin", &writer, warn_duplicates.then_some("syms"))?;
    Ok(generated)
}

/// Generates the indexes of builtin modules from `modules.builtin` and `modules.builtin.modinfo`.
/// If a file is missing, its index is an empty file.
///
/// # Errors
/// An entry that the index has no room for.
pub(crate) fn builtin(
    list: Option<&[u8]>,
    modinfo: Option<&[u8]>,
) -> Result<Generated, WriteError> {
    let mut generated = Generated::default();
    match list {
        None => generated.text("modules.builtin.bin", Vec::new()),
        Some(list) => {
            let mut writer = Writer::default();
            for line in list.split_inclusive(|byte| *byte == b'\n') {
                let line = until_nul(line.strip_suffix(b"\n").unwrap_or(line));
                if line.first().is_some_and(u8::is_ascii_alphabetic) {
                    let name = ModuleName::new(line);
                    writer.insert(name.as_bytes(), b"", 0)?;
                } else {
                    let text = format!("Invalid modules.builtin line: {}", escape::bytes(line));
                    generated.notices.push(Notice::Error(text));
                }
            }
            generated.index("modules.builtin.bin", &writer, None)?;
        }
    }
    match modinfo {
        None => generated.text("modules.builtin.alias.bin", Vec::new()),
        Some(modinfo) => builtin_aliases(&mut generated, modinfo)?,
    }
    Ok(generated)
}

/// Generates the index of aliases from records `NAME.KEY=VALUE`, each terminated by a NUL.
fn builtin_aliases(generated: &mut Generated, modinfo: &[u8]) -> Result<(), WriteError> {
    let mut writer = Writer::default();
    // As in kmod, an unterminated record is ignored.
    for record in modinfo.split_inclusive(|byte| *byte == 0) {
        let Some(record) = record.strip_suffix(&[0]) else { continue };
        let Some(dot) = record.iter().position(|byte| *byte == b'.') else { continue };
        let (name, rest) = record.split_at(dot);
        let Some(raw) = rest.strip_prefix(b".alias=").filter(|raw| !raw.is_empty()) else {
            continue;
        };
        match alias::normalize(raw) {
            Ok(key) => writer.insert(&key, name, 0)?,
            Err(_) => generated.notices.push(unmatched(raw)),
        }
    }
    generated.index("modules.builtin.alias.bin", &writer, None)
}

/// Generates `modules.devname`: the device nodes whose first use loads a module.
pub(crate) fn devname(modules: &[Module]) -> Generated {
    let mut generated = Generated::default();
    let mut text = Vec::new();
    for module in modules {
        let Some((node, device)) = node(&module.facts.aliases) else { continue };
        let name = &module.name;
        let Some((kind, major, minor)) = device else {
            let text = format!(
                "Module '{name}' has devname ({}) but lacks major and minor information. Ignoring.",
                escape::bytes(node)
            );
            generated.notices.push(Notice::Error(text));
            continue;
        };
        if text.is_empty() {
            text = b"# Device nodes to trigger on-demand module loading.\n".to_vec();
        }
        let device = format!("{kind}{major}:{minor}");
        line(&mut text, &[name.as_bytes(), node, device.as_bytes()]);
    }
    generated.text("modules.devname", text);
    generated
}

/// The type of a device, `c` (character) or `b` (block), with its major and minor number.
type Device = (char, u32, u32);

/// Returns the first device node in the aliases, with the first device number in them.
fn node(aliases: &Strings) -> Option<(&[u8], Option<Device>)> {
    let (mut node, mut device) = (None, None);
    for alias in aliases.iter() {
        if let Some(name) = alias.strip_prefix(b"devname:") {
            node = Some(name);
        } else if let Some(found) = numbers(alias) {
            device = Some(found);
        }
        if node.is_some() && device.is_some() {
            break;
        }
    }
    Some((node?, device))
}

/// Parses `char-major-X-Y` or `block-major-X-Y`; text after the numbers is ignored.
fn numbers(alias: &[u8]) -> Option<Device> {
    let text = std::str::from_utf8(alias).ok()?;
    let (kind, rest) = match text.strip_prefix("char-major-") {
        Some(rest) => ('c', rest),
        None => ('b', text.strip_prefix("block-major-")?),
    };
    let (major, rest) = rest.split_once('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((kind, major.parse().ok()?, rest[..end].parse().ok()?))
}

fn lines(modules: &[Module], head: &str, add: impl Fn(&mut Vec<u8>, &Module)) -> Vec<u8> {
    let mut text = format!("# {head}.\n").into_bytes();
    modules.iter().for_each(|module| add(&mut text, module));
    text
}

fn line(text: &mut Vec<u8>, words: &[&[u8]]) {
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
    text.push(b'\n');
}

fn unmatched(alias: &[u8]) -> Notice {
    Notice::Warning(format!("Unmatched bracket in {}", escape::bytes(alias)))
}
