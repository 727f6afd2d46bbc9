//! modprobe.d(5), the administrator's configuration of modules; also `modules.softdep` and
//! `modules.weakdep`, which have the same grammar.
//!
//! ```text
//! alias PATTERN MODULE            softdep MODULE [pre: A…] [post: B…]
//! blacklist MODULE                weakdep MODULE A…
//! options MODULE REST-OF-LINE     install MODULE COMMAND      remove MODULE COMMAND
//! mask MODULE                     rule merge-softdeps | install-first       (coldplug only)
//! ```
//!
//! A backslash escapes the next byte; a backslash before a newline joins the two lines. Empty lines
//! and lines whose first word begins with `#` are ignored. Words are separated by spaces and tabs;
//! there is no quoting.

mod lines;
mod named_list;

use std::borrow::Cow;
use std::fmt;

use super::Warning;
use super::alias;
use super::dep::DepLine;
use super::mask::{MaskOrigin, Masks};
use super::name::ModuleName;
use crate::escape;
use lines::next_word;
use named_list::NamedList;

pub(super) use lines::text_lines;
#[cfg(feature = "host")]
pub(super) use lines::{logical_lines, words};

/// Name of the file in which depmod(8) stores the softdeps that modules declare.
pub(crate) const MODULES_SOFTDEP: &str = "modules.softdep";

/// A name with a text: `options NAME TEXT`, `install NAME TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Module, alias or pattern, normalised, in any encoding.
    pub(crate) name: Vec<u8>,
    /// Rest of the line, as configured, in any encoding.
    pub(crate) text: Vec<u8>,
}

/// A line `alias PATTERN MODULE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alias {
    /// The pattern, normalised.
    pub(crate) pattern: Vec<u8>,
    /// The module, normalised.
    pub(crate) module: Vec<u8>,
}

/// A softdep line: the modules to load before and after a module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Softdep {
    /// Module or pattern, normalised.
    pub(crate) name: Vec<u8>,
    /// Names to load before, as written.
    pub(crate) pre: Vec<Vec<u8>>,
    /// Names to load after, as written.
    pub(crate) post: Vec<Vec<u8>>,
    /// Whether the module declares the softdep (in `modules.softdep`), rather than the
    /// administrator.
    pub(crate) from_module: bool,
}

/// Deviations from kmod, each enabled by a `rule` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rules {
    /// All softdep lines of a module apply, those of the administrator before those of the module
    /// itself. Otherwise only the first line applies.
    pub(crate) merge_softdeps: bool,
    /// The install command of a module runs even if the module has softdeps.
    pub(crate) install_first: bool,
}

impl Rules {
    /// Enables the rule `name`, spelled with dashes or underscores. Returns `false` if there is no
    /// such rule.
    pub(crate) fn set(&mut self, name: &[u8]) -> bool {
        match name {
            b"merge-softdeps" | b"merge_softdeps" => self.merge_softdeps = true,
            b"install-first" | b"install_first" => self.install_first = true,
            _ => return false,
        }
        true
    }

    /// Returns the names of the enabled rules.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [("merge-softdeps", self.merge_softdeps), ("install-first", self.install_first)];
        all.into_iter().filter_map(|(name, set)| set.then_some(name))
    }
}

/// The configuration. Each list keeps the order in which its lines were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `alias PATTERN MODULE`.
    pub(crate) aliases: NamedList<Alias>,
    /// `blacklist MODULE`.
    pub(crate) blacklist: Vec<Vec<u8>>,
    /// Modules that the kernel itself refuses (`module_blacklist=`).
    pub(crate) kernel_blacklist: Vec<Vec<u8>>,
    /// `options MODULE TEXT`.
    pub(crate) options: NamedList<Entry>,
    /// `install MODULE COMMAND`.
    pub(crate) install: NamedList<Entry>,
    /// `remove MODULE COMMAND`.
    pub(crate) remove: NamedList<Entry>,
    /// `softdep MODULE …`.
    pub(crate) softdeps: NamedList<Softdep>,
    /// `weakdep MODULE …`: the module and its weak dependencies.
    pub(crate) weakdeps: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
    /// `mask MODULE`.
    pub masks: Masks,
    /// `rule NAME`.
    pub(crate) rules: Rules,
}

/// The reason why a line is ignored; [`Warning`] adds the file and the line number. The wording is
/// kmod's.
#[derive(Debug)]
enum LineError<'a> {
    /// The arguments of this command are missing or invalid, or the command is unknown.
    Bad(&'a [u8]),
    /// A command that kmod no longer supports.
    Deprecated(&'a [u8]),
    /// No rule has this name.
    UnknownRule(Vec<u8>),
}

impl fmt::Display for LineError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(command) => {
                write!(f, "ignoring bad line starting with '{}'", escape::bytes(command))
            }
            Self::Deprecated(command) => {
                write!(f, "command {} is deprecated and not parsed anymore", escape::bytes(command))
            }
            Self::UnknownRule(name) => {
                write!(f, "ignoring unknown rule '{}'", escape::bytes(name))
            }
        }
    }
}

impl std::error::Error for LineError<'_> {}

impl Config {
    /// Adds the lines of one file. Invalid lines are ignored with a warning.
    pub fn add_file(&mut self, file: &str, text: &[u8], warnings: &mut Vec<Warning>) {
        for (number, line) in text_lines(file, text, warnings) {
            if let Err(error) = self.add_line(file, number, &line) {
                warnings.push(Warning::new(file, number, error.to_string()));
            }
        }
    }

    /// Adds one logical line, which ends on line `number` of `file`.
    fn add_line<'a>(
        &mut self,
        file: &str,
        number: usize,
        line: &'a [u8],
    ) -> Result<(), LineError<'a>> {
        let mut rest = line;
        let Some(command) = next_word(&mut rest).filter(|w| !w.starts_with(b"#")) else {
            return Ok(());
        };
        if matches!(command, b"include" | b"config") {
            return Err(LineError::Deprecated(command));
        }
        let bad = || LineError::Bad(command);
        let name = next_word(&mut rest).and_then(normalized).ok_or_else(bad)?;
        match command {
            b"alias" => {
                let module = next_word(&mut rest).and_then(normalized).ok_or_else(bad)?;
                self.aliases.push(Alias { pattern: name, module });
            }
            b"blacklist" => self.blacklist.push(name),
            b"options" | b"install" | b"remove" => {
                // The first separator belongs to the name, further spaces to the text.
                let text = rest.get(1..).filter(|t| !t.trim_ascii().is_empty()).ok_or_else(bad)?;
                let text = text.iter().map(|byte| if *byte == b'\t' { b' ' } else { *byte });
                self.entries_mut(command).push(Entry { name, text: text.collect() });
            }
            b"softdep" | b"weakdep" if rest.len() < 2 => return Err(bad()),
            b"softdep" => {
                let from_module = file.rsplit('/').next() == Some(MODULES_SOFTDEP);
                self.softdeps.push(Softdep { from_module, ..parse_softdep(name, rest) });
            }
            b"weakdep" => self.weakdeps.push((name, dep_words(rest).map(<[u8]>::to_vec).collect())),
            b"mask" => self.masks.add_line(name, file, number),
            b"rule" if self.rules.set(&name) => {}
            b"rule" => return Err(LineError::UnknownRule(name)),
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// Appends options of the module or alias `name`, if `text` is not empty. They take precedence
    /// over all before.
    pub(crate) fn add_options(&mut self, name: &[u8], text: &[u8]) {
        if let Some(name) = normalized(name).filter(|_| !text.is_empty()) {
            self.options.push(Entry { name, text: text.to_vec() });
        }
    }

    fn entries_mut(&mut self, command: &[u8]) -> &mut NamedList<Entry> {
        match command {
            b"install" => &mut self.install,
            b"remove" => &mut self.remove,
            _ => &mut self.options,
        }
    }

    /// Returns whether `name` is blacklisted. The blacklist applies to matches through an alias,
    /// but does not apply to a module requested by its name.
    pub fn is_blacklisted(&self, name: &ModuleName) -> bool {
        self.blacklist.iter().any(|b| b == name.as_bytes())
    }

    /// Returns whether `module_blacklist=` makes the kernel refuse `name`.
    pub(crate) fn is_refused_by_kernel(&self, name: &ModuleName) -> bool {
        self.kernel_blacklist.iter().any(|b| b == name.as_bytes())
    }

    /// Returns the options of `module`, and those of `alias` if the module was found through one:
    /// all that apply, in the order of the configuration, joined by spaces.
    pub fn options_of(&self, module: &ModuleName, alias: Option<&[u8]>) -> Vec<u8> {
        let own = self.options.named_either(module.as_bytes(), alias);
        let texts: Vec<&[u8]> = own.map(|e| &*e.text).collect();
        texts.join(&b' ')
    }

    /// Returns the install command of `module`: the first whose pattern matches.
    pub fn install_of(&self, module: &ModuleName) -> Option<&[u8]> {
        first_matching(&self.install, module)
    }

    /// Returns the remove command of `module`: the first whose pattern matches.
    pub fn remove_of(&self, module: &ModuleName) -> Option<&[u8]> {
        first_matching(&self.remove, module)
    }

    /// Returns the softdep of `module`: as in kmod the first whose pattern matches, or all of them
    /// merged if the rule `merge-softdeps` is enabled.
    pub fn softdep_of(&self, module: &ModuleName) -> Option<Cow<'_, Softdep>> {
        let mut all = self.softdeps.matching(module.as_bytes());
        if !self.rules.merge_softdeps {
            return all.next().map(Cow::Borrowed);
        }
        let (declared, configured): (Vec<_>, Vec<_>) = all.partition(|s| s.from_module);
        let mut all = configured.into_iter().chain(declared);
        let mut merged = all.next()?.clone();
        for softdep in all {
            merge(&mut merged.pre, &softdep.pre);
            merge(&mut merged.post, &softdep.post);
        }
        Some(Cow::Owned(merged))
    }

    /// Returns the masked modules among the dependencies in `line`, each with the origin of its
    /// mask.
    pub(crate) fn masked_dependencies<'a>(
        &'a self,
        line: &'a DepLine,
    ) -> impl Iterator<Item = (ModuleName, &'a MaskOrigin)> {
        // Usually nothing is masked, and then no name is allocated.
        let paths = if self.masks.is_empty() { &[][..] } else { &line.needs };
        let needs = paths.iter().filter_map(ModuleName::from_path);
        needs.filter_map(|module| {
            let origin = self.masks.origin(&module)?;
            Some((module, origin))
        })
    }

    /// Returns whether the softdeps of a module suppress its install command. This is the default,
    /// and the precedence that kmod documents.
    pub(crate) fn softdeps_replace_install(&self, has_softdeps: bool) -> bool {
        has_softdeps && !self.rules.install_first
    }
}

/// Adds those of `more` that `names` does not contain yet.
fn merge(names: &mut Vec<Vec<u8>>, more: &[Vec<u8>]) {
    for name in more {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
}

fn first_matching<'a>(list: &'a NamedList<Entry>, module: &ModuleName) -> Option<&'a [u8]> {
    list.matching(module.as_bytes()).next().map(|e| &*e.text)
}

fn normalized(name: &[u8]) -> Option<Vec<u8>> {
    alias::normalize(name).ok()
}

/// Returns the words of a softdep or weakdep line after its module. Unlike elsewhere, every space of
/// isspace(3) separates them in kmod: a line of a file with carriage returns holds the same names.
fn dep_words(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = rest.split(|byte| byte.is_ascii_whitespace() || *byte == b'\x0b');
    words.filter(|word| !word.is_empty())
}

/// Parses the rest of a softdep line. Words before the first `pre:` or `post:` are ignored; the
/// markers may alternate.
fn parse_softdep(name: Vec<u8>, rest: &[u8]) -> Softdep {
    let mut dep = Softdep { name, ..Softdep::default() };
    let mut list: Option<&mut Vec<Vec<u8>>> = None;
    for word in dep_words(rest) {
        match word {
            b"pre:" => list = Some(&mut dep.pre),
            b"post:" => list = Some(&mut dep.post),
            _ => {
                if let Some(list) = list.as_mut() {
                    list.push(word.to_vec());
                }
            }
        }
    }
    dep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_space_separates_the_names_of_a_softdep() {
        let (config, warnings) = config(
            "softdep a pre: b\x0bc\x0cpost:\r\td\r\nweakdep a b\r\nsoftdep b\r pre: c\nsoftdep c pre: \
             d\u{a0}e\n",
        );
        let dep = &config.softdeps.iter().next().unwrap();
        assert_eq!(
            (&*dep.name, &dep.pre[..], &dep.post[..]),
            (&b"a"[..], &[b"b".into(), b"c".into()][..], &[b"d".into()][..])
        );
        let names: Vec<_> = config.softdeps.iter().map(|dep| &*dep.name).collect();
        assert_eq!(names, [&b"a"[..], b"b\r", b"c"]);
        assert_eq!(config.weakdeps, [(b"a".into(), vec![b"b".into()])]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    fn config(text: &str) -> (Config, Vec<String>) {
        let mut config = Config::default();
        let mut warnings = Vec::new();
        config.add_file("t.conf", text.as_bytes(), &mut warnings);
        (config, warnings.iter().map(ToString::to_string).collect())
    }

    fn joined(names: &[Vec<u8>]) -> String {
        String::from_utf8(names.join(&b' ')).unwrap()
    }

    #[test]
    fn names_keep_all_bytes() {
        let mut config = Config::default();
        let mut warnings = Vec::new();
        let text = b"blacklist f\xe4-o\nmask m\xe4*\nalias caf\xe9-* f\xf6-o\noptions f\xe4o a=1\n\
            options f\xf6o b=1\noptions caf\xe9_* c=1\ninstall i\xe4 x\nremove r\xe4? y\n\
            softdep s\xe4 pre: a\xe9 post: b-\xff\nweakdep w\xe4 a\xe9\nrule \xe4\n";
        config.add_file("t.conf", text, &mut warnings);
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["t.conf line 11: ignoring unknown rule '\\xe4'"]);
        let alias = Alias { pattern: b"caf\xe9_*".into(), module: b"f\xf6_o".into() };
        assert_eq!(*config.aliases, [alias]);
        assert_eq!(config.weakdeps, [(b"w\xe4".into(), vec![b"a\xe9".into()])]);
        let options = |name, alias| config.options_of(&ModuleName::new(name), alias);
        assert_eq!(options(b"f\xe4o", None), b"a=1");
        assert_eq!(options(b"f\xf6o", Some(b"caf\xe9_*")), b"b=1 c=1");
        let dep = config.softdep_of(&ModuleName::new(b"s\xe4")).unwrap();
        assert_eq!(
            (&dep.pre[..], &dep.post[..]),
            (&[b"a\xe9".into()][..], &[b"b-\xff".into()][..])
        );
        for (name, is_hit) in
            [(&b"\xe4"[..], true), (b"\xf6", false), ("\u{fffd}".as_bytes(), false)]
        {
            let module = |start: &[u8], end: &[u8]| ModuleName::new([start, name, end].concat());
            assert_eq!(config.is_blacklisted(&module(b"f", b"-o")), is_hit, "{name:?}");
            assert_eq!(config.masks.origin(&module(b"m", b"")).is_some(), is_hit, "{name:?}");
            assert_eq!(config.install_of(&module(b"i", b"")).is_some(), is_hit, "{name:?}");
            assert_eq!(config.remove_of(&module(b"r", b"\xff")).is_some(), is_hit, "{name:?}");
            assert_eq!(config.softdep_of(&module(b"s", b"")).is_some(), is_hit, "{name:?}");
        }
    }

    #[test]
    fn every_command_is_parsed() {
        let (c, warnings) = config(
            "# comment\n\n \t# comment \n #\nalias my-dev* foo-bar extra\n blacklist snd-pcsp\n\
             options  foo-bar  a=1\tb=2\ninstall x /bin/true a\\\\b\nremove x /bin/false\n\
             softdep a-b lost pre: c-d e post: f pre: g\nweakdep w a b\n",
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        let alias = Alias { pattern: "my_dev*".into(), module: "foo_bar".into() };
        assert_eq!(*c.aliases, [alias]);
        assert_eq!(c.blacklist, [b"snd_pcsp"]);
        assert_eq!(c.options_of(&"foo_bar".into(), None), b" a=1 b=2");
        assert_eq!(c.install_of(&"x".into()), Some(&b"/bin/true a\\b"[..]));
        assert_eq!(c.remove_of(&"x".into()), Some(&b"/bin/false"[..]));
        let s = c.softdep_of(&"a_b".into()).unwrap();
        assert_eq!((joined(&s.pre), joined(&s.post)), ("c-d e g".into(), "f".into()));
        assert_eq!(c.weakdeps, [(b"w".into(), vec![b"a".into(), b"b".into()])]);
    }

    #[test]
    fn a_warning_names_the_file_and_the_last_physical_line() {
        let (c, warnings) = config(
            "options foo \\\n\nnonsense x\nblacklist\ninclude /etc/x\nrule nope\nalias a[ b\n\
             softdep a",
        );
        assert_eq!(
            warnings,
            [
                "t.conf line 2: ignoring bad line starting with 'options'",
                "t.conf line 3: ignoring bad line starting with 'nonsense'",
                "t.conf line 4: ignoring bad line starting with 'blacklist'",
                "t.conf line 5: command include is deprecated and not parsed anymore",
                "t.conf line 6: ignoring unknown rule 'nope'",
                "t.conf line 7: ignoring bad line starting with 'alias'",
                "t.conf line 8: ignoring bad line starting with 'softdep'",
            ]
        );
        assert_eq!(c, Config::default());
    }

    #[test]
    fn the_first_or_all_matching_lines_apply_as_in_kmod() {
        let (c, _) = config(
            "options m a=1\noptions net-pf-9 b=2\noptions m c=3\ninstall snd* one\n\
             install snd two\nsoftdep snd* pre: x\nsoftdep snd post: y\n",
        );
        assert_eq!(c.options_of(&"m".into(), Some(b"net_pf_9")), b"a=1 b=2 c=3");
        assert_eq!(c.install_of(&"snd".into()), Some(&b"one"[..]));
        assert!(c.softdep_of(&"snd".into()).unwrap().post.is_empty());
    }

    #[test]
    fn rules_merge_softdeps_and_keep_install_commands() {
        const OWN: &str = "softdep m pre: own x post: p\n";
        const USER: &str = "softdep m* pre: x u post: q\n";
        for (rule, own_first, want) in [
            ("", true, "own x / p / true"),
            ("", false, "x u / q / true"),
            ("rule merge-softdeps\n", true, "x u own / q p / true"),
            ("rule merge_softdeps\n", false, "x u own / q p / true"),
            ("rule install-first\n", true, "own x / p / false"),
        ] {
            let (mut c, warnings) = config(rule);
            assert!(warnings.is_empty(), "{warnings:?}");
            let own = ("/lib/modules/1/modules.softdep", OWN);
            let user = ("/etc/modprobe.d/z.conf", USER);
            for (file, text) in if own_first { [own, user] } else { [user, own] } {
                c.add_file(file, text.as_bytes(), &mut Vec::new());
            }
            let s = c.softdep_of(&"m".into()).unwrap();
            let cancels = c.softdeps_replace_install(true);
            assert_eq!(format!("{} / {} / {cancels}", joined(&s.pre), joined(&s.post)), want);
            assert!(!c.softdeps_replace_install(false) && c.softdep_of(&"n".into()).is_none());
        }
        let mut rules = Rules::default();
        assert!(
            rules.set(b"install-first") && !rules.set(b"install") && rules.set(b"merge_softdeps")
        );
        assert_eq!(rules.names().collect::<Vec<_>>(), ["merge-softdeps", "install-first"]);
    }

    #[test]
    fn options_and_commands_keep_all_bytes() {
        let (mut config, mut warnings) = (Config::default(), Vec::new());
        let text = b"options m id=M\xf6b\tx=\xff\\\\ # \xfe\ninstall m echo \xe4 \xc3\xb6\n\
            remove m echo \x80\noptions n \xf6\n\xf6 x y\nsoftdep\xf6\n# \xf6\n";
        config.add_file("t.conf", text, &mut warnings);
        let module = "m".into();
        assert_eq!(config.options_of(&module, Some(b"n")), b"id=M\xf6b x=\xff\\ # \xfe \xf6");
        assert_eq!(config.install_of(&module), Some(&b"echo \xe4 \xc3\xb6"[..]));
        assert_eq!(config.remove_of(&module), Some(&b"echo \x80"[..]));
        assert_eq!(
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "t.conf line 5: ignoring bad line starting with '\\xf6'",
                "t.conf line 6: ignoring bad line starting with 'softdep\\xf6'",
            ]
        );
    }

    #[test]
    fn a_mask_records_its_line() {
        let (c, warnings) = config("# x\nmask snd-\\\n*\nmask\n");
        assert_eq!(warnings, ["t.conf line 4: ignoring bad line starting with 'mask'"]);
        assert_eq!(c.masks.origin(&"snd_hda".into()).unwrap().to_string(), "t.conf line 3");
        assert!(!c.is_blacklisted(&"snd_hda".into()));
    }
}
