//! depmod.d(5): the priorities between files that provide one module, and the directories outside
//! of the module directory.
//!
//! ```text
//! search SUBDIR… | built-in | external   highest priority first; further lines append
//! override NAME VERSION SUBDIR           VERSION is `*` or a regular expression
//! external VERSION DIR                   one more directory of modules; earlier lines win
//! exclude NAME…                          directory entries of this name are ignored
//! include …, make_map_files …            known to older depmods, without effect
//! ```
//!
//! Lines are joined as in modprobe.d(5).

use std::fmt;

use regex_lite::Regex;

use crate::escape;
use crate::kmod::Warning;
use crate::kmod::conf::{text_lines, words};

/// One word of `search`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SearchDir {
    /// A subdirectory of the module directory.
    Subdir(Vec<u8>),
    /// The module directory without the subdirectories that are listed.
    BuiltIn,
    /// The `external` directories.
    External,
}

/// The configuration of depmod.d for one kernel release.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Highest priority first.
    search: Vec<SearchDir>,
    /// Paths below the module directory, without suffix; the first match is used.
    overrides: Vec<Vec<u8>>,
    /// Directories of modules outside of the module directory.
    pub(crate) externals: Vec<Vec<u8>>,
    /// Names of directory entries that are ignored.
    pub(crate) excludes: Vec<Vec<u8>>,
}

/// Why a line is skipped. The messages are those of kmod.
#[derive(Debug)]
enum LineError {
    /// An unknown command, or a missing argument; the command.
    Bad(String),
    /// A version that is not a regular expression.
    BadVersion(String, regex_lite::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(command) => write!(f, "ignoring bad line starting with '{command}'"),
            Self::BadVersion(version, error) => {
                write!(f, "ignoring bad version '{version}': {error}")
            }
        }
    }
}

impl std::error::Error for LineError {}

impl Config {
    /// Adds the lines of one file that apply to kernel `release`. Invalid lines are skipped with a
    /// warning.
    pub fn add_file(
        &mut self,
        file: &str,
        text: &[u8],
        release: &str,
        warnings: &mut Vec<Warning>,
    ) {
        for (number, line) in text_lines(file, text, warnings) {
            if let Err(error) = self.add_line(&line, release) {
                warnings.push(Warning::new(file, number, error.to_string()));
            }
        }
    }

    fn add_line(&mut self, line: &[u8], release: &str) -> Result<(), LineError> {
        let mut rest = words(line);
        let Some(command) = rest.next().filter(|word| !word.starts_with(b"#")) else {
            return Ok(());
        };
        let bad = || LineError::Bad(escape::bytes(command).into_owned());
        let mut next = || rest.next().ok_or_else(bad);
        match command {
            b"search" => self.search.extend(rest.map(SearchDir::from)),
            b"override" => {
                let (name, version, subdir) = (next()?, next()?, next()?);
                if matches(version, release)? {
                    self.overrides.insert(0, [subdir, b"/", name].concat());
                }
            }
            b"external" => {
                let (version, dir) = (next()?, next()?);
                if matches(version, release)? {
                    let end = dir.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
                    self.externals.push(dir[..end].to_owned());
                }
            }
            b"exclude" => self.excludes.extend(rest.map(<[u8]>::to_vec)),
            b"include" | b"make_map_files" => {}
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// Returns whether `new` is preferred to `old`. Both provide one module; they are paths of
    /// modules.dep without suffix.
    ///
    /// If two files have equal priority, a file of the module directory wins, then a file of the
    /// earlier external line, then the file whose path sorts first. So the order in which the
    /// filesystem lists the files has no effect.
    pub fn prefers(&self, old: &[u8], new: &[u8]) -> bool {
        for path in &self.overrides {
            if path == new || path == old {
                return path == new;
            }
        }
        let key = |path| (self.rank(path), self.external(path));
        (key(new), new) < (key(old), old)
    }

    /// Returns the number of the `external` directory of a file, from 1; 0 for a file of the module
    /// directory.
    fn external(&self, path: &[u8]) -> usize {
        self.externals.iter().position(|dir| is_below(path, dir)).map_or(0, |position| position + 1)
    }

    /// Returns the position of a file in `search`; 0 is the highest priority.
    fn rank(&self, path: &[u8]) -> usize {
        let default = [SearchDir::Subdir(b"updates".to_vec())];
        let search = if self.search.is_empty() { &default[..] } else { &self.search };
        let built_in = search.iter().position(|dir| *dir == SearchDir::BuiltIn);
        search
            .iter()
            .position(|dir| match dir {
                SearchDir::Subdir(dir) => is_below(path, dir),
                SearchDir::External => self.externals.iter().any(|dir| is_below(path, dir)),
                SearchDir::BuiltIn => false,
            })
            .or(built_in)
            .unwrap_or(search.len())
    }
}

impl From<&[u8]> for SearchDir {
    fn from(word: &[u8]) -> Self {
        match word {
            b"built-in" => Self::BuiltIn,
            b"external" => Self::External,
            dir => Self::Subdir(dir.to_owned()),
        }
    }
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Returns whether a VERSION of depmod.d matches kernel `release`: it is `*`, or a regular
/// expression that matches a part of the release.
fn matches(version: &[u8], release: &str) -> Result<bool, LineError> {
    if version == b"*" {
        return Ok(true);
    }
    // A release is ASCII; an expression with other bytes matches none.
    let version = &*escape::bytes(version);
    let regex = Regex::new(version).map_err(|e| LineError::BadVersion(version.to_owned(), e))?;
    Ok(regex.is_match(release))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> (Config, String) {
        let mut warnings = Vec::new();
        let mut config = Config::default();
        config.add_file("f", text.as_bytes(), "6.1.0-test", &mut warnings);
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        (config, warnings.join(";"))
    }

    #[test]
    fn the_file_of_higher_priority_is_preferred() {
        for (text, old, new, wins) in [
            ("", "kernel/a", "updates/a", true),
            ("", "updates/a", "kernel/a", false),
            ("", "kernel/a", "updatesx/a", false),
            ("", "kernel/a", "extra/a", true),
            ("", "extra/a", "kernel/a", false),
            ("", "updates/dkms/a", "updates/a", true),
            ("search extra updates", "updates/a", "extra/a", true),
            ("search extra\nsearch updates", "updates/a", "extra/a", true),
            ("search built-in updates", "updates/a", "kernel/a", true),
            ("search updates built-in weak", "weak/a", "kernel/a", true),
            ("search weak", "kernel/a", "updates/a", false),
            ("external * /x\nsearch external built-in", "kernel/a", "/x/a", true),
            ("external * /x", "kernel/a", "/x/a", false),
            ("external * /x/\nsearch external built-in", "kernel/a", "/x/a", true),
            ("external * /y\nexternal * /x", "/y/a", "/x/a", false),
            ("override a * weak", "updates/a", "weak/a", true),
            ("override a ^6\\.1 weak", "updates/a", "weak/a", true),
            ("override a ^6\\.2 weak", "updates/a", "weak/a", false),
            ("override a * weak\noverride a * extra", "weak/a", "extra/a", true),
        ] {
            assert_eq!(
                config(text).0.prefers(old.as_bytes(), new.as_bytes()),
                wins,
                "{text}: {old} {new}"
            );
        }
    }

    #[test]
    fn invalid_lines_are_reported() {
        for (text, want) in [
            ("frob x", "f line 1: ignoring bad line starting with 'frob'"),
            ("# x\n\nmake_map_files a\ninclude b", ""),
            ("override a *", "f line 1: ignoring bad line starting with 'override'"),
            ("external", "f line 1: ignoring bad line starting with 'external'"),
            (
                "search a\n\0\0",
                "f line 2: NUL byte: what follows it on its line is ignored; is the file damaged?",
            ),
        ] {
            assert_eq!(config(text).1, want, "{text}");
        }
        assert!(config("override a ( weak").1.starts_with("f line 1: ignoring bad version '('"));
        assert_eq!(config("exclude a b\\\n c").0.excludes, [b"a", b"b", b"c"]);
    }
}
