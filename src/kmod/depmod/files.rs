//! The files that depmod writes, as bytes.
//!
//! | file                        | line, or key → value                                      | order                  |
//! |-----------------------------|-----------------------------------------------------------|------------------------|
//! | `modules.dep`               | `PATH: PATH…`, all that it needs, users before the used   | the modules'           |
//! | `modules.dep.bin`           | name → the line in modules.dep                            |                        |
//! | `modules.alias`             | `alias ALIAS NAME`                                        | modules', then file's  |
//! | `modules.alias.bin`         | alias, normalised → name                                  |                        |
//! | `modules.softdep`           | `softdep NAME TEXT`                                       | modules', then file's  |
//! | `modules.weakdep`           | `weakdep NAME TEXT`                                       | modules', then file's  |
//! | `modules.symbols`           | `alias symbol:SYMBOL NAME`                                | hash, then symbol      |
//! | `modules.symbols.bin`       | `symbol:SYMBOL` → name                                    |                        |
//! | `modules.builtin.bin`       | name → nothing                                            |                        |
//! | `modules.builtin.alias.bin` | alias, normalised → name                                  |                        |
//! | `modules.devname`           | `NAME NODE cMAJOR:MINOR`, `b` for block devices           | the modules'           |
//!
//! Priorities in the indexes are the modules' places; of builtin modules all are 0.

use super::strings::Strings;
use super::{Module, Notice, Solved, hash};
use crate::kmod::alias;
use crate::kmod::index::{WriteError, Writer};
use crate::kmod::name::ModuleName;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name below the module directory.
    pub name: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Files that are made together, and what there is to say about them.
#[derive(Debug, Default)]
pub struct Made {
    /// In the order in which they are written.
    pub files: Vec<File>,
    /// In order.
    pub notices: Vec<Notice>,
}

impl Made {
    fn text(&mut self, name: &'static str, bytes: Vec<u8>) {
        self.files.push(File { name, bytes });
    }

    /// `what` is the kind of entries, for the warning about those that come twice, where it is wanted.
    fn index(
        &mut self,
        name: &'static str,
        writer: &Writer,
        what: Option<&str>,
    ) -> Result<(), WriteError> {
        if let Some(what) = what {
            for (key, value) in writer.repeated() {
                let text = match what {
                    "deps" => lossy(value),
                    _ => format!("{} {}", lossy(key), lossy(value)),
                };
                self.notices.push(Notice::Warning(format!("duplicate module {what}:\n{text}")));
            }
        }
        self.files.push(File { name, bytes: writer.finish()? });
        Ok(())
    }
}

/// `modules.dep` and its index. `twice` asks for warnings about entries that an index holds twice.
///
/// # Errors
/// What an index has no room for.
pub fn dep(tree: &Solved<'_>, twice: bool) -> Result<Made, WriteError> {
    let (mut text, mut writer) = (Vec::new(), Writer::default());
    let mut marks = vec![0; tree.modules.len()];
    for (place, (module, priority)) in tree.modules.iter().zip(0..).enumerate() {
        let start = text.len();
        text.extend_from_slice(module.path.as_bytes());
        text.push(b':');
        for need in tree.graph.closure(place, &tree.ranks, &mut marks) {
            text.push(b' ');
            text.extend_from_slice(tree.modules[need].path.as_bytes());
        }
        writer.insert(module.name.as_str().as_bytes(), &text[start..], priority)?;
        text.push(b'\n');
    }
    let mut made = Made::default();
    made.text("modules.dep", text);
    made.index("modules.dep.bin", &writer, twice.then_some("deps"))?;
    Ok(made)
}

/// `modules.alias` and its index; `twice` as for [`dep`].
///
/// # Errors
/// What an index has no room for.
pub fn alias(modules: &[Module], twice: bool) -> Result<Made, WriteError> {
    let (mut made, mut writer) = (Made::default(), Writer::default());
    let text = lines(modules, "Aliases extracted from modules themselves", |text, module| {
        for alias in module.facts.aliases.iter() {
            line(text, &[b"alias", alias, module.name.as_str().as_bytes()]);
        }
    });
    for (module, priority) in modules.iter().zip(0..) {
        for raw in module.facts.aliases.iter() {
            match alias::normalize(raw) {
                Ok(key) => writer.insert(&key, module.name.as_str().as_bytes(), priority)?,
                Err(_) => made.notices.push(unmatched(raw)),
            }
        }
    }
    made.text("modules.alias", text);
    made.index("modules.alias.bin", &writer, twice.then_some("alias"))?;
    Ok(made)
}

/// `modules.softdep` and `modules.weakdep`.
pub fn softdep(modules: &[Module]) -> Made {
    let mut made = Made::default();
    let list = |word: &'static str, head, of: fn(&Module) -> &Strings| {
        lines(modules, head, |text, module| {
            for entry in of(module).iter() {
                line(text, &[word.as_bytes(), module.name.as_str().as_bytes(), entry]);
            }
        })
    };
    let soft = list("softdep", "Soft dependencies extracted from modules themselves", |m| {
        &m.facts.softdeps
    });
    let weak = list("weakdep", "Weak dependencies extracted from modules themselves", |m| {
        &m.facts.weakdeps
    });
    made.text("modules.softdep", soft);
    made.text("modules.weakdep", weak);
    made
}

/// `modules.symbols` and its index; `twice` as for [`dep`].
///
/// # Errors
/// What an index has no room for.
pub fn symbols(tree: &Solved<'_>, twice: bool) -> Result<Made, WriteError> {
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
        let name = tree.modules[module as usize].name.as_str().as_bytes();
        key.clear();
        key.extend_from_slice(b"symbol:");
        key.extend_from_slice(symbol);
        line(&mut text, &[b"alias", &key, name]);
        writer.insert(&key, name, module)?;
    }
    let mut made = Made::default();
    made.text("modules.symbols", text);
    made.index("modules.symbols.bin", &writer, twice.then_some("syms"))?;
    Ok(made)
}

/// The indexes of builtin modules, of `modules.builtin` and `modules.builtin.modinfo`. The index of a file that is
/// missing is an empty file.
///
/// # Errors
/// What an index has no room for.
pub fn builtin(list: Option<&[u8]>, modinfo: Option<&[u8]>) -> Result<Made, WriteError> {
    let mut made = Made::default();
    match list {
        None => made.text("modules.builtin.bin", Vec::new()),
        Some(list) => {
            let mut writer = Writer::default();
            for line in list.split_inclusive(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                if line.first().is_some_and(u8::is_ascii_alphabetic) {
                    let name = ModuleName::new(&lossy(line));
                    writer.insert(name.as_str().as_bytes(), b"", 0)?;
                } else {
                    let text = format!("Invalid modules.builtin line: {}", lossy(line));
                    made.notices.push(Notice::Error(text));
                }
            }
            made.index("modules.builtin.bin", &writer, None)?;
        }
    }
    match modinfo {
        None => made.text("modules.builtin.alias.bin", Vec::new()),
        Some(modinfo) => builtin_aliases(&mut made, modinfo)?,
    }
    Ok(made)
}

/// Records `NAME.KEY=VALUE`, each ended by a NUL.
fn builtin_aliases(made: &mut Made, modinfo: &[u8]) -> Result<(), WriteError> {
    let mut writer = Writer::default();
    // As in kmod, a record without an end is none.
    for record in modinfo.split_inclusive(|byte| *byte == 0) {
        let Some(record) = record.strip_suffix(&[0]) else { continue };
        let Some(dot) = record.iter().position(|byte| *byte == b'.') else { continue };
        let (name, rest) = record.split_at(dot);
        let Some(raw) = rest.strip_prefix(b".alias=").filter(|raw| !raw.is_empty()) else {
            continue;
        };
        match alias::normalize(raw) {
            Ok(key) => writer.insert(&key, name, 0)?,
            Err(_) => made.notices.push(unmatched(raw)),
        }
    }
    made.index("modules.builtin.alias.bin", &writer, None)
}

/// `modules.devname`: device nodes whose first use loads a module.
pub fn devname(modules: &[Module]) -> Made {
    let mut made = Made::default();
    let mut text = Vec::new();
    for module in modules {
        let Some((node, device)) = node(&module.facts.aliases) else { continue };
        let name = &module.name;
        let Some((kind, major, minor)) = device else {
            let text = format!(
                "Module '{name}' has devname ({}) but lacks major and minor information. Ignoring.",
                lossy(node)
            );
            made.notices.push(Notice::Error(text));
            continue;
        };
        if text.is_empty() {
            text = b"# Device nodes to trigger on-demand module loading.\n".to_vec();
        }
        let device = format!("{kind}{major}:{minor}");
        line(&mut text, &[name.as_str().as_bytes(), node, device.as_bytes()]);
    }
    made.text("modules.devname", text);
    made
}

/// Whether a device is a character (`c`) or a block device (`b`), and its numbers.
type Device = (char, u32, u32);

/// The first node that aliases name, with the first device that they name.
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

/// `char-major-X-Y` or `block-major-X-Y`; what follows the numbers does not count.
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
    Notice::Warning(format!("Unmatched bracket in {}", lossy(alias)))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
