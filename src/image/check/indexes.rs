//! Whether the indexes of a kernel agree with each other and with the modules in the image.
//!
//! The indexes are those of the whole kernel: they may name modules that the image does not have. So
//! what counts is what they say of the modules that are there.
//!
//! ```text
//! .bin file of an index            has what its text has
//! line of modules.dep              the path of the module, and all whose symbols it needs
//! modules.alias, modules.symbols   every alias and every exported symbol of the module
//! modules.softdep, .weakdep        every softdep and weakdep of the module
//! ```

use std::collections::{BTreeSet, HashMap, HashSet};

use super::finding::{Findings, Kind, listed};
use super::kernel::{Kernel, Module};
use crate::escape;
use crate::kmod::alias::normalize;
use crate::kmod::conf::Config;
use crate::kmod::dep::DepLine;
use crate::kmod::depmod::strings::Strings;
use crate::kmod::name::ModuleName;

/// What to do about an index that does not fit the modules.
const HINT: &str = "run depmod for this kernel, and build the image anew";
/// The indexes and their texts.
const FILES: [(&str, &str); 3] = [
    ("modules.dep.bin", "modules.dep"),
    ("modules.alias.bin", "modules.alias"),
    ("modules.symbols.bin", "modules.symbols"),
];
/// Start of the keys in modules.symbols.
const SYMBOL: &[u8] = b"symbol:";

/// Checks the indexes of a kernel.
pub(super) fn check(kernel: &Kernel, findings: &mut Findings) {
    if !has_files(kernel, findings.about(Kind::Content)) {
        return;
    }
    findings.about(Kind::Module);
    kernel.catalog.check();
    let entries = Entries::read(kernel);
    for module in &kernel.modules {
        check_dep(kernel, module, &entries, findings);
        let missing = missing(&module.facts.aliases, |alias| {
            normalize(alias).is_err() || entries.has(alias, &module.name)
        });
        report(kernel, module, "modules.alias", "alias", &missing, findings);
        let missing = self::missing(&module.facts.exports, |symbol| {
            entries.has(&[SYMBOL, symbol].concat(), &module.name)
        });
        report(kernel, module, "modules.symbols", "symbol", &missing, findings);
        check_soft(kernel, module, findings);
    }
    for warning in kernel.catalog.take_warnings() {
        let text = warning.text.split("; reading ").next().unwrap_or_default().to_owned();
        let line =
            if warning.line > 0 { format!("line {}: ", warning.line) } else { String::new() };
        findings.hinted(kernel.shown(warning.file.as_bytes()), line + &text, HINT);
    }
}

/// Returns whether there is an index of the modules. A file of which only one form is missing is
/// replaced by the other one.
fn has_files(kernel: &Kernel, findings: &mut Findings) -> bool {
    if !kernel.catalog.is_present() {
        let text = "missing: no module of this kernel is found";
        findings.hinted(kernel.shown(b"modules.dep"), text, HINT);
        return false;
    }
    for (bin, text) in FILES {
        match [bin, text].map(|name| kernel.file(name.as_bytes()).is_file()) {
            [false, true] => findings.warning(
                kernel.shown(bin.as_bytes()),
                format!("missing: {text} is read instead, which takes longer"),
            ),
            [true, false] => findings.warning(
                kernel.shown(text.as_bytes()),
                format!("missing: it cannot replace a damaged {bin}"),
            ),
            _ => {}
        }
    }
    true
}

/// The aliases and symbols of the indexes.
struct Entries {
    /// Pattern and module.
    all: HashSet<(Vec<u8>, ModuleName)>,
    /// The modules that export each symbol.
    providers: HashMap<Vec<u8>, Vec<ModuleName>>,
}

impl Entries {
    fn read(kernel: &Kernel) -> Self {
        let mut entries = Self { all: HashSet::new(), providers: HashMap::new() };
        for (pattern, module) in kernel.catalog.all_aliases() {
            let module = ModuleName::new(&module);
            if let Some(symbol) = pattern.strip_prefix(SYMBOL) {
                entries.providers.entry(symbol.to_owned()).or_default().push(module.clone());
            }
            let pattern = normalize(&pattern).unwrap_or(pattern);
            entries.all.insert((pattern, module));
        }
        entries
    }

    fn has(&self, pattern: &[u8], module: &ModuleName) -> bool {
        let pattern = normalize(pattern).unwrap_or_else(|_| pattern.to_owned());
        self.all.contains(&(pattern, module.clone()))
    }
}

/// Returns the strings that `is_there` does not know.
fn missing(strings: &Strings, is_there: impl Fn(&[u8]) -> bool) -> Vec<String> {
    let missing = strings.iter().filter(|string| !is_there(string));
    missing.map(|string| escape::bytes(string).into_owned()).collect()
}

/// Reports the entries of a module that an index lacks.
fn report(
    kernel: &Kernel,
    module: &Module,
    index: &str,
    what: &str,
    missing: &[String],
    findings: &mut Findings,
) {
    if !missing.is_empty() {
        let file = kernel.shown(index.as_bytes());
        let text = format!("{file} has no line for its {what} {}", listed(missing));
        findings.hinted(format!("module {}", module.name), text, HINT);
    }
}

/// Checks the line of modules.dep for a module.
fn check_dep(kernel: &Kernel, module: &Module, entries: &Entries, findings: &mut Findings) {
    let object = || format!("module {}", module.name);
    let dep = || kernel.shown(b"modules.dep");
    let Some(line) = kernel.catalog.dep(&module.name) else {
        let text = format!("{} has no line for {}", dep(), kernel.shown(&module.path));
        findings.hinted(object(), text, HINT);
        return;
    };
    if line.path != module.path {
        let text = format!(
            "{} names {}, but the file is {}",
            dep(),
            kernel.shown(&line.path),
            kernel.shown(&module.path)
        );
        findings.hinted(object(), text, HINT);
    }
    let unlisted = unlisted(module, &line, entries);
    if !unlisted.is_empty() {
        let names: Vec<_> = unlisted.into_iter().collect();
        let text =
            format!("its line in {} lacks {}, whose symbols it needs", dep(), listed(&names));
        findings.hinted(object(), text, HINT);
    }
}

/// Returns the modules whose symbols a module needs and that its line does not name. If several
/// modules export a symbol, one of them suffices.
fn unlisted(module: &Module, line: &DepLine, entries: &Entries) -> BTreeSet<ModuleName> {
    let listed: HashSet<ModuleName> = line.needs.iter().map(ModuleName::new).collect();
    let needs = module.facts.needs.iter().zip(&module.facts.need_attributes);
    let needs = needs.filter(|(_, attributes)| !attributes.is_weak);
    let providers = needs.filter_map(|(symbol, _)| entries.providers.get(symbol));
    let unlisted = providers.filter(|providers| {
        providers.iter().all(|name| *name != module.name && !listed.contains(name))
    });
    unlisted.filter_map(|providers| providers.first().cloned()).collect()
}

/// Checks the lines of modules.softdep and modules.weakdep for a module, and that the modules of the
/// softdeps are in the image. depmod before kmod 33 writes no modules.weakdep.
fn check_soft(kernel: &Kernel, module: &Module, findings: &mut Findings) {
    let object = || format!("module {}", module.name);
    let declared = declared(module);
    for softdep in declared.softdeps.iter() {
        let is_same = |line: &&crate::kmod::conf::Softdep| {
            (&line.name, &line.pre, &line.post) == (&softdep.name, &softdep.pre, &softdep.post)
        };
        if !kernel.config.softdeps.iter().any(|line| is_same(&line)) {
            let text = format!("{} has no line for its softdep", kernel.shown(b"modules.softdep"));
            findings.hinted(object(), text, HINT);
        }
        for name in softdep.pre.iter().chain(&softdep.post) {
            let found = kernel.catalog.lookup(&Config::default(), name);
            if !found.is_empty() && !found.iter().any(|found| kernel.has(&found.module)) {
                let text = format!("its softdep {} is not in the image", escape::bytes(name));
                findings.warning(object(), text);
            }
        }
    }
    let has_weakdeps = kernel.file(b"modules.weakdep").is_file();
    if has_weakdeps && declared.weakdeps.iter().any(|weak| !kernel.config.weakdeps.contains(weak)) {
        let text = format!("{} has no line for its weakdep", kernel.shown(b"modules.weakdep"));
        findings.hinted(object(), text, HINT);
    }
}

/// Returns the softdeps and weakdeps that a module declares.
fn declared(module: &Module) -> Config {
    let line = |word: &str, value: &[u8]| {
        [word.as_bytes(), b" ", module.name.as_bytes(), b" ", value, b"\n"].concat()
    };
    let softdeps = module.facts.softdeps.iter().map(|value| line("softdep", value));
    let lines = softdeps.chain(module.facts.weakdeps.iter().map(|value| line("weakdep", value)));
    let mut config = Config::default();
    config.add_file("", &lines.collect::<Vec<_>>().concat(), &mut Vec::new());
    config
}
