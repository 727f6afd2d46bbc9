//! modprobe.d(5): what an administrator says about modules; also `modules.softdep` and
//! `modules.weakdep`, which have the same grammar.
//!
//! ```text
//! alias PATTERN MODULE            softdep MODULE [pre: A…] [post: B…]
//! blacklist MODULE                weakdep MODULE A…
//! options MODULE REST-OF-LINE     install MODULE COMMAND      remove MODULE COMMAND
//! ```
//!
//! A backslash takes the next byte as it is; before a newline both go and the lines are one. Lines whose
//! first byte is `#` and empty lines say nothing. Words are parted by spaces and tabs, without quoting.

use super::Warning;
use super::alias::{self, fnmatch};
use super::name::ModuleName;

/// A named text: `options NAME TEXT`, `install NAME TEXT`, `alias NAME TEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The module, alias or pattern, normalised.
    pub name: String,
    /// The rest, as configured.
    pub text: String,
}

/// A softdep line: modules to try before and after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Softdep {
    /// The module, which may be a pattern; normalised.
    pub name: String,
    /// Names to load before, as written.
    pub pre: Vec<String>,
    /// Names to load after, as written.
    pub post: Vec<String>,
}

/// Everything that configuration says, each list in the order in which it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `alias PATTERN MODULE`.
    pub aliases: Vec<Entry>,
    /// `blacklist MODULE`.
    pub blacklist: Vec<String>,
    /// Modules the kernel itself refuses (`module_blacklist=`).
    pub kernel_blacklist: Vec<String>,
    /// `options MODULE TEXT`.
    pub options: Vec<Entry>,
    /// `install MODULE COMMAND`.
    pub install: Vec<Entry>,
    /// `remove MODULE COMMAND`.
    pub remove: Vec<Entry>,
    /// `softdep MODULE …`.
    pub softdeps: Vec<Softdep>,
    /// `weakdep MODULE …`: name and names.
    pub weakdeps: Vec<(String, Vec<String>)>,
}

impl Config {
    /// Adds what one file says. Lines that make no sense are passed over with a warning.
    pub fn add_file(&mut self, file: &str, text: &[u8], warnings: &mut Vec<Warning>) {
        for (number, line) in logical_lines(text) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(why) = self.add_line(&line) {
                warnings.push(Warning::new(file, number, why));
            }
        }
    }

    /// Adds one logical line.
    fn add_line(&mut self, line: &str) -> Result<(), String> {
        let mut rest = line;
        let Some(command) = word(&mut rest) else { return Ok(()) };
        let bad = || format!("ignoring bad line starting with '{command}'");
        let deprecated = || format!("command {command} is deprecated and not parsed anymore");
        if matches!(command, "include" | "config") {
            return Err(deprecated());
        }
        let name = word(&mut rest).and_then(normal).ok_or_else(bad)?;
        let entry = |text: &str| Entry { name: name.clone(), text: text.replace('\t', " ") };
        match command {
            "alias" => {
                let module = word(&mut rest).and_then(normal).ok_or_else(bad)?;
                self.aliases.push(entry(&module));
            }
            "blacklist" => self.blacklist.push(name),
            "options" | "install" | "remove" => {
                // One separator goes with the name; further blanks belong to the text.
                let text = rest
                    .strip_prefix([' ', '\t'])
                    .filter(|t| !t.trim().is_empty())
                    .ok_or_else(bad)?;
                self.list(command).push(entry(text));
            }
            "softdep" | "weakdep" if rest.len() < 2 => return Err(bad()),
            "softdep" => self.softdeps.push(softdep(name, rest)),
            "weakdep" => self.weakdeps.push((name, words(rest).map(str::to_owned).collect())),
            _ => return Err(bad()),
        }
        Ok(())
    }

    fn list(&mut self, command: &str) -> &mut Vec<Entry> {
        match command {
            "install" => &mut self.install,
            "remove" => &mut self.remove,
            _ => &mut self.options,
        }
    }

    /// Whether `name` is on the blacklist, which stops matches of aliases and not plain names.
    pub fn is_blacklisted(&self, name: &ModuleName) -> bool {
        self.blacklist.iter().any(|b| b == name.as_str())
    }

    /// Whether the kernel was told to refuse `name`.
    pub fn is_refused_by_kernel(&self, name: &ModuleName) -> bool {
        self.kernel_blacklist.iter().any(|b| b == name.as_str())
    }

    /// The options of `module`, when found through `alias` also those of the alias: all that apply in
    /// the order of configuration, parted by one space.
    pub fn options_of(&self, module: &ModuleName, alias: Option<&str>) -> String {
        let applies = |e: &&Entry| e.name == module.as_str() || Some(e.name.as_str()) == alias;
        let texts: Vec<&str> =
            self.options.iter().filter(applies).map(|e| e.text.as_str()).collect();
        texts.join(" ")
    }

    /// The install command of `module`: the first whose pattern matches.
    pub fn install_of(&self, module: &ModuleName) -> Option<&str> {
        first_match(&self.install, module)
    }

    /// The remove command of `module`: the first whose pattern matches.
    pub fn remove_of(&self, module: &ModuleName) -> Option<&str> {
        first_match(&self.remove, module)
    }

    /// The softdep of `module`: the first whose pattern matches, as kmod has it.
    pub fn softdep_of(&self, module: &ModuleName) -> Option<&Softdep> {
        self.softdeps.iter().find(|s| fnmatch(s.name.as_bytes(), module.as_str().as_bytes()))
    }
}

fn first_match<'a>(list: &'a [Entry], module: &ModuleName) -> Option<&'a str> {
    let hit = list.iter().find(|e| fnmatch(e.name.as_bytes(), module.as_str().as_bytes()));
    hit.map(|e| e.text.as_str())
}

/// Lines with their backslashes resolved, each with the number of its last physical line.
fn logical_lines(text: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut number = 1;
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'\n') => number += 1,
                Some(literal) => line.push(literal),
                None => {}
            },
            b'\n' => {
                lines.push((number, std::mem::take(&mut line)));
                number += 1;
            }
            _ => line.push(byte),
        }
    }
    if !line.is_empty() {
        lines.push((number, line));
    }
    lines
}

/// Takes the first word off `rest`, leaving what follows it directly.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let start = rest.trim_start_matches([' ', '\t']);
    let end = start.find([' ', '\t']).unwrap_or(start.len());
    let (word, after) = start.split_at(end);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t']).filter(|w| !w.is_empty())
}

fn normal(name: &str) -> Option<String> {
    alias::normalize(name.as_bytes()).ok().map(|n| String::from_utf8_lossy(&n).into_owned())
}

/// Words before the first `pre:` or `post:` are dropped; the markers may alternate.
fn softdep(name: String, rest: &str) -> Softdep {
    let mut dep = Softdep { name, ..Softdep::default() };
    let mut list: Option<&mut Vec<String>> = None;
    for word in words(rest) {
        match word {
            "pre:" => list = Some(&mut dep.pre),
            "post:" => list = Some(&mut dep.post),
            _ => {
                if let Some(list) = list.as_mut() {
                    list.push(word.to_owned());
                }
            }
        }
    }
    dep
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> (Config, Vec<String>) {
        let mut config = Config::default();
        let mut warnings = Vec::new();
        config.add_file("t.conf", text.as_bytes(), &mut warnings);
        (config, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_command_is_read() {
        let (c, warnings) = config(
            "# comment\n\nalias my-dev* foo-bar extra\n blacklist snd-pcsp\noptions  foo-bar  a=1\tb=2\n\
             install x /bin/true a\\\\b\nremove x /bin/false\nsoftdep a-b lost pre: c-d e post: f pre: g\nweakdep w a b\n",
        );
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(c.aliases, [Entry { name: "my_dev*".into(), text: "foo_bar".into() }]);
        assert_eq!(c.blacklist, ["snd_pcsp"]);
        assert_eq!(c.options_of(&"foo_bar".into(), None), " a=1 b=2");
        assert_eq!(c.install_of(&"x".into()), Some("/bin/true a\\b"));
        assert_eq!(c.remove_of(&"x".into()), Some("/bin/false"));
        let s = c.softdep_of(&"a_b".into()).unwrap();
        assert_eq!((s.pre.join(" "), s.post.join(" ")), ("c-d e g".into(), "f".into()));
        assert_eq!(c.weakdeps, [("w".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
    }

    #[test]
    fn bad_lines_name_file_and_last_line() {
        let (c, warnings) = config(
            "options foo \\\n\nnonsense x\nblacklist\ninclude /etc/x\n  # no\nalias a[ b\nsoftdep a",
        );
        assert_eq!(
            warnings,
            [
                "t.conf line 2: ignoring bad line starting with 'options'",
                "t.conf line 3: ignoring bad line starting with 'nonsense'",
                "t.conf line 4: ignoring bad line starting with 'blacklist'",
                "t.conf line 5: command include is deprecated and not parsed anymore",
                "t.conf line 6: ignoring bad line starting with '#'",
                "t.conf line 7: ignoring bad line starting with 'alias'",
                "t.conf line 8: ignoring bad line starting with 'softdep'",
            ]
        );
        assert_eq!(c, Config::default());
    }

    #[test]
    fn lists_answer_as_kmod_has_them() {
        let (c, _) = config(
            "options m a=1\noptions net-pf-9 b=2\noptions m c=3\ninstall snd* one\ninstall snd two\n\
             softdep snd* pre: x\nsoftdep snd post: y\n",
        );
        assert_eq!(c.options_of(&"m".into(), Some("net_pf_9")), "a=1 b=2 c=3");
        assert_eq!(c.install_of(&"snd".into()), Some("one"));
        assert!(c.softdep_of(&"snd".into()).unwrap().post.is_empty());
    }
}
