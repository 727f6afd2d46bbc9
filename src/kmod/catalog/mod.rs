//! The Catalog: all index files of one kernel, and the lookup of a name in kmod's order.

#[cfg(test)]
mod damage_tests;
mod digest;
mod fingerprint;
mod table;
mod text;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use super::Warning;
use super::alias;
use super::conf::Config;
use super::dep::DepLine;
use super::index::Bytes;
use super::name::ModuleName;
use crate::escape;
use table::Table;
use text::TextFormat;

/// Access to the index files of a module directory.
pub trait IndexFiles: Send + Sync {
    /// Returns the bytes of the file `name`, such as `modules.dep.bin`, or `None` if it is missing.
    ///
    /// # Errors
    /// The file cannot be used: it is not a regular file, it is too large, or a read failed.
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>>;
}

/// The source of a match. The sources are searched in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// An `alias` line of the configuration.
    ConfigAlias,
    /// A module with that name.
    Name,
    /// An exported symbol (`symbol:NAME`).
    Symbol,
    /// A module with an install or remove command.
    Command,
    /// An alias that the module offers.
    Alias,
    /// A builtin module.
    Builtin,
    /// An alias of a builtin module.
    BuiltinAlias,
}

impl Source {
    /// Returns whether the match came from an alias of any kind; the blacklist applies to those.
    pub(crate) fn is_alias(self) -> bool {
        matches!(self, Self::ConfigAlias | Self::Symbol | Self::Alias | Self::BuiltinAlias)
    }
}

/// A module that a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Name of the module.
    pub module: ModuleName,
    /// Source of the match.
    pub(crate) source: Source,
    /// Alias whose options apply in addition to those of the module; for an alias from an index,
    /// the requested name.
    pub(crate) alias: Option<Vec<u8>>,
    /// Pattern that matched, if the source has patterns, as text for people.
    pub(crate) pattern: Option<String>,
}

impl Match {
    /// Returns whether the module is part of the kernel image.
    pub(crate) fn is_builtin(&self) -> bool {
        matches!(self.source, Source::Builtin | Source::BuiltinAlias)
    }
}

/// The index files of one kernel. Each file is opened on first use; if a `.bin` file is missing or
/// damaged, its text form is used.
pub struct Catalog {
    dep: Table,
    alias: Table,
    symbols: Table,
    builtin: Table,
    builtin_alias: Table,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalog")
    }
}

impl Catalog {
    /// Creates a catalog that reads its files through `files`. As kmod does, it trusts an index
    /// whose structure is intact.
    pub fn new(files: Arc<dyn IndexFiles>) -> Self {
        Self::create(&files, false)
    }

    /// Creates a catalog that compares each lookup in modules.dep.bin with modules.dep, and uses
    /// the text if they differ. [`Self::check`] compares the other indexes. An index without a
    /// complete text is used as it is.
    pub fn checked(files: Arc<dyn IndexFiles>) -> Self {
        Self::create(&files, true)
    }

    fn create(files: &Arc<dyn IndexFiles>, checked: bool) -> Self {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let table = |bin, text, format| {
            let confirms = checked && format == TextFormat::Dep;
            Table::new(Arc::clone(files), (bin, text, format), confirms, Arc::clone(&warnings))
        };
        Self {
            dep: table("modules.dep.bin", "modules.dep", TextFormat::Dep),
            alias: table("modules.alias.bin", "modules.alias", TextFormat::Alias),
            symbols: table("modules.symbols.bin", "modules.symbols", TextFormat::Alias),
            builtin: table("modules.builtin.bin", "modules.builtin", TextFormat::Paths),
            builtin_alias: table(
                "modules.builtin.alias.bin",
                "modules.builtin.modinfo",
                TextFormat::Modinfo,
            ),
            warnings,
        }
    }

    /// Compares all indexes with their texts, which takes as long as hundreds of lookups; the first
    /// call counts. Returns whether one is damaged: then what was not found may be found now.
    pub(crate) fn check(&self) -> bool {
        let tables = [&self.dep, &self.alias, &self.symbols, &self.builtin, &self.builtin_alias];
        tables.map(Table::check).contains(&true)
    }

    /// Returns whether modules.dep exists, in either form.
    pub(crate) fn is_present(&self) -> bool {
        self.dep.is_present()
    }

    /// Returns the modules.dep line of `module`.
    pub fn dep(&self, module: &ModuleName) -> Option<DepLine> {
        let hit = self.dep.exact(module.as_bytes())?;
        let line = DepLine::parse(&hit.value);
        if line.is_none() {
            let text = format!("ignoring the entry of {module}, which is not PATH: PATH...");
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(Warning::new(
                "modules.dep.bin",
                0,
                text,
            ));
        }
        line
    }

    /// Returns whether `module` is part of the kernel image.
    pub fn is_builtin(&self, module: &ModuleName) -> bool {
        self.builtin.exact(module.as_bytes()).is_some()
    }

    /// Returns the warnings since the last call.
    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves `name`, a module name or an alias. The first source that knows the name supplies
    /// all its matches, in the order of modules.order. The result is empty for an unknown or
    /// invalid name.
    pub fn lookup(&self, config: &Config, name: impl AsRef<[u8]>) -> Vec<Match> {
        without_duplicates(self.lookup_all(config, name.as_ref()))
    }

    /// Resolves `name` as [`Self::lookup`] does, but repeats a module that several patterns match,
    /// as `modprobe -R` prints it.
    pub(crate) fn lookup_all(&self, config: &Config, name: &[u8]) -> Vec<Match> {
        alias::normalize(name).map_or_else(|_| Vec::new(), |name| self.lookup_normal(config, &name))
    }

    /// Returns the modules for a device's normalised modalias.
    pub fn lookup_modalias(&self, config: &Config, normal: &[u8]) -> Vec<Match> {
        without_duplicates(self.lookup_normal(config, normal))
    }

    fn lookup_normal(&self, config: &Config, name: &[u8]) -> Vec<Match> {
        type Lookup = fn(&Catalog, &Config, &[u8]) -> Vec<Match>;
        const SOURCES: [Lookup; 7] = [
            |_, config, name| config_aliases(config, name),
            |c, _, name| match name.contains(&b':') {
                true => Vec::new(),
                false => c.lookup_exact(&c.dep, Source::Name, name),
            },
            |c, _, name| match name.starts_with(b"symbol:") {
                true => c.lookup_pattern(&c.symbols, Source::Symbol, name),
                false => Vec::new(),
            },
            |_, config, name| commands(config, name),
            |c, _, name| c.lookup_pattern(&c.alias, Source::Alias, name),
            |c, _, name| c.lookup_exact(&c.builtin, Source::Builtin, name),
            |c, _, name| c.lookup_pattern(&c.builtin_alias, Source::BuiltinAlias, name),
        ];
        SOURCES
            .iter()
            .map(|lookup| lookup(self, config, name))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// Returns the module with exactly this name, in a file or builtin, or the builtin modules with
    /// this alias.
    pub fn lookup_name(&self, module: &ModuleName) -> Vec<Match> {
        let name = module.as_bytes();
        let file = self.lookup_exact(&self.dep, Source::Name, name);
        let or = |found: Vec<Match>, next: &dyn Fn() -> Vec<Match>| {
            if found.is_empty() { next() } else { found }
        };
        let found = or(file, &|| self.lookup_exact(&self.builtin, Source::Builtin, name));
        or(found, &|| self.lookup_pattern(&self.builtin_alias, Source::BuiltinAlias, name))
    }

    fn lookup_exact(&self, table: &Table, source: Source, name: &[u8]) -> Vec<Match> {
        let found = |_| Match { module: ModuleName::new(name), source, alias: None, pattern: None };
        table.exact(name).map(found).into_iter().collect()
    }

    fn lookup_pattern(&self, table: &Table, source: Source, name: &[u8]) -> Vec<Match> {
        let hits = table.search(name).into_iter();
        hits.map(|hit| Match {
            module: ModuleName::new(&hit.value),
            source,
            alias: Some(name.to_owned()),
            pattern: Some(escape::bytes(&hit.key).into_owned()),
        })
        .collect()
    }

    /// Returns every pattern and its module from the alias index, then from the symbol index, each
    /// sorted by pattern.
    pub fn all_aliases(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = [&self.alias, &self.symbols].into_iter().flat_map(Table::entries);
        entries.map(|hit| (hit.key, hit.value)).collect()
    }
}

/// Keeps the first match of each module.
fn without_duplicates(found: Vec<Match>) -> Vec<Match> {
    let mut first: Vec<Match> = Vec::with_capacity(found.len());
    for found in found {
        if first.iter().all(|f| f.module != found.module) {
            first.push(found);
        }
    }
    first
}

fn config_aliases(config: &Config, name: &[u8]) -> Vec<Match> {
    let matches = config.aliases.matching(name);
    matches
        .map(|e| Match {
            module: ModuleName::new(&e.module),
            source: Source::ConfigAlias,
            alias: Some(e.pattern.clone()),
            pattern: Some(escape::bytes(&e.pattern).into_owned()),
        })
        .collect()
}

fn commands(config: &Config, name: &[u8]) -> Vec<Match> {
    let found = Match {
        module: ModuleName::new(name),
        source: Source::Command,
        alias: None,
        pattern: None,
    };
    (config.install.has(name) || config.remove.has(name)).then_some(found).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Tree(HashMap<&'static str, Vec<u8>>);

    /// Content of a file that cannot be used.
    const FIFO: &[u8] = b"FIFO";

    impl IndexFiles for Tree {
        fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
            match self.0.get(name) {
                Some(bytes) if bytes == FIFO => Err("not a regular file".into()),
                bytes => Ok(bytes.map(|b| Box::new(b.clone()) as Bytes)),
            }
        }
    }

    fn tree(damaged: bool) -> Catalog {
        let mut files: HashMap<&'static str, Vec<u8>> = HashMap::from([
            ("modules.dep", b"k/a-b.ko: k/c.ko\nk/c.ko:\n".to_vec()),
            (
                "modules.alias",
                b"# c\nalias pci:v1* a_b\nalias pci:v*d2 c\nalias Cobalt buttons x c\n\
                  nonsense\nalias a[b c\n"
                    .to_vec(),
            ),
            ("modules.symbols", b"alias symbol:crc a_b\n".to_vec()),
            ("modules.builtin", b"kernel/x/unix.ko\n".to_vec()),
            ("modules.builtin.modinfo", b"unix.alias=net-pf-1\0unix.license=GPL\0".to_vec()),
        ]);
        if damaged {
            files.insert(
                "modules.alias.bin",
                vec![0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1, 0x80, 0, 1, 0],
            );
            files.insert("modules.dep.bin", b"not an index at all".to_vec());
            files.insert("modules.symbols.bin", FIFO.to_vec());
            files.insert("modules.symbols", FIFO.to_vec());
        }
        Catalog::new(Arc::new(Tree(files)))
    }

    fn names(found: &[Match]) -> Vec<Cow<'_, str>> {
        found.iter().map(|f| f.module.text()).collect()
    }

    #[test]
    fn the_first_source_that_knows_a_name_is_used() {
        let mut config = Config::default();
        config.add_file("c", b"alias mine a-b\ninstall cmd /bin/true\n", &mut Vec::new());
        let catalog = tree(false);
        for (name, want, source) in [
            ("mine", vec!["a_b"], Some(Source::ConfigAlias)),
            ("a-b", vec!["a_b"], Some(Source::Name)),
            ("symbol:crc", vec!["a_b"], Some(Source::Symbol)),
            ("cmd", vec!["cmd"], Some(Source::Command)),
            ("pci:v1d2", vec!["a_b", "c"], Some(Source::Alias)),
            ("Cobalt buttons x", vec!["c"], Some(Source::Alias)),
            ("unix", vec!["unix"], Some(Source::Builtin)),
            ("net-pf-1", vec!["unix"], Some(Source::BuiltinAlias)),
            ("a[", vec![], None),
            ("nothing", vec![], None),
        ] {
            let found = catalog.lookup(&config, name);
            assert_eq!(names(&found), want, "{name}");
            assert_eq!(found.first().map(|f| f.source), source, "{name}");
        }
    }

    #[test]
    fn a_name_in_any_encoding_matches_its_own_bytes() {
        let mut config = Config::default();
        let text = b"alias caf\xe9* foo\nalias foo:a?b bar\nalias x[\xe0-\xef]y ra\xefnge\n\
            install \xf1 true\n";
        config.add_file("c", text, &mut Vec::new());
        let dep = b"k/f\xe4o.ko:\n".to_vec();
        let alias = b"alias pci:v1* b\xfcs\nalias usb:\xe1?z usb\n".to_vec();
        let builtin = b"kernel/\xf2.ko\n".to_vec();
        let catalog = Catalog::new(Arc::new(Tree(HashMap::from([
            ("modules.dep", dep),
            ("modules.alias", alias),
            ("modules.builtin", builtin),
        ]))));
        for (name, want) in [
            (&b"caf\xe9x"[..], &b"foo"[..]),
            (b"caf\xe8x", b""),
            ("caf\u{fffd}x".as_bytes(), b""),
            (b"foo:a\xe9b", b"bar"),
            ("foo:aéb".as_bytes(), b""),
            (b"x\xe8y", b"ra\xefnge"),
            (b"x\xf0y", b""),
            (b"\xf1", b"\xf1"),
            (b"f\xe4o", b"f\xe4o"),
            (b"f\xf6o", b""),
            (b"pci:v1\xff-", b"b\xfcs"),
            (b"usb:\xe1\xe2z", b"usb"),
            (b"\xf2", b"\xf2"),
            (b"\xf3", b""),
        ] {
            let found = catalog.lookup(&config, name);
            let module = found.first().map_or(&b""[..], |found| found.module.as_bytes());
            assert_eq!((module, found.len()), (want, usize::from(!want.is_empty())), "{name:?}");
            let found = catalog.lookup_modalias(&config, &alias::normalize_modalias(name));
            assert_eq!(found.first().map_or(&b""[..], |found| found.module.as_bytes()), want);
        }
        let found = catalog.lookup(&config, b"caf\xe9x");
        assert_eq!(found[0].pattern.as_deref(), Some("caf\\xe9*"));
        assert_eq!(found[0].alias.as_deref(), Some(&b"caf\xe9*"[..]));
        assert_eq!(catalog.dep(&ModuleName::new(b"f\xe4o")).unwrap().path, b"k/f\xe4o.ko");
    }

    #[test]
    fn the_text_replaces_a_damaged_index() {
        let catalog = tree(true);
        assert_eq!(names(&catalog.lookup(&Config::default(), "pci:v1d2")), ["a_b", "c"]);
        assert_eq!(catalog.dep(&"a_b".into()).unwrap().needs, [b"k/c.ko"]);
        assert!(catalog.lookup(&Config::default(), "symbol:crc").is_empty());
        let warnings: Vec<String> =
            catalog.take_warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "modules.alias.bin: damaged at byte 256; reading modules.alias instead",
                "modules.alias line 5: ignoring a line that is not 'alias PATTERN MODULE'",
                "modules.alias line 6: ignoring an alias with an unmatched bracket",
                "modules.dep.bin: magic check fail: 6e6f7420 instead of b007f457; \
                 reading modules.dep instead",
                "modules.symbols.bin: not a regular file; reading modules.symbols instead",
                "modules.symbols: ignored: not a regular file",
            ]
        );
        assert!(catalog.take_warnings().is_empty());
    }
}
