//! depmod.d(5): which of two files of one module counts, and where else modules lie.
//!
//! ```text
//! search SUBDIR… | built-in | external        the first word has the highest priority, more lines append
//! override NAME VERSION SUBDIR                VERSION is `*` or a regular expression
//! external VERSION DIR                        one more directory of modules; earlier lines win
//! exclude NAME…                               entries of this name are not looked at
//! include …, make_map_files …                 known to older depmods, without effect
//! ```
//!
//! Lines are joined as in modprobe.d(5).

use regex_lite::Regex;

use crate::kmod::Warning;
use crate::kmod::conf::{logical_lines, words};

/// A place where modules are found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Below this subdirectory of the module directory.
    Below(String),
    /// In the module directory, below no subdirectory that is listed.
    BuiltIn,
    /// In one of the `external` directories.
    External,
}

/// What depmod.d says, for one kernel release.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Highest priority first.
    search: Vec<Place>,
    /// Path below the module directory without ending; the first counts.
    overrides: Vec<String>,
    /// More directories to look for modules in.
    pub externals: Vec<String>,
    /// Names of entries that are passed over.
    pub excludes: Vec<String>,
}

impl Config {
    /// Adds what one file says to kernel `release`. Lines that make no sense are passed over with a warning.
    pub fn add_file(
        &mut self,
        file: &str,
        text: &[u8],
        release: &str,
        warnings: &mut Vec<Warning>,
    ) {
        for (number, line) in logical_lines(text) {
            let line = String::from_utf8_lossy(&line);
            if let Err(why) = self.add_line(&line, release) {
                warnings.push(Warning::new(file, number, why));
            }
        }
    }

    fn add_line(&mut self, line: &str, release: &str) -> Result<(), String> {
        let mut rest = words(line);
        let Some(command) = rest.next().filter(|word| !word.starts_with('#')) else {
            return Ok(());
        };
        let bad = || format!("ignoring bad line starting with '{command}'");
        let mut next = || rest.next().ok_or_else(bad);
        match command {
            "search" => self.search.extend(rest.map(Place::of)),
            "override" => {
                let (name, version, subdir) = (next()?, next()?, next()?);
                if is_for(version, release)? {
                    self.overrides.insert(0, format!("{subdir}/{name}"));
                }
            }
            "external" => {
                let (version, dir) = (next()?, next()?);
                if is_for(version, release)? {
                    self.externals.push(dir.trim_end_matches('/').to_owned());
                }
            }
            "exclude" => self.excludes.extend(rest.map(str::to_owned)),
            "include" | "make_map_files" => {}
            _ => return Err(bad()),
        }
        Ok(())
    }

    /// Whether of two files of one module, named by their paths in modules.dep without ending, the second is to
    /// be taken. Of files that nothing parts one of the module directory counts, then that of the earlier external line, then the one
    /// whose path comes first, in whatever order the filesystem lists them.
    pub fn prefers(&self, old: &str, new: &str) -> bool {
        for path in &self.overrides {
            if path == new || path == old {
                return path == new;
            }
        }
        let key = |path| (self.rank(path), self.external(path));
        (key(new), new) < (key(old), old)
    }

    /// Which `external` directory a file lies in, the first as 1; 0 for a file of the module directory.
    fn external(&self, path: &str) -> usize {
        self.externals.iter().position(|dir| is_below(path, dir)).map_or(0, |place| place + 1)
    }

    /// The place of a file among those of `search`, the best first.
    fn rank(&self, path: &str) -> usize {
        let default = [Place::Below("updates".to_owned())];
        let search = if self.search.is_empty() { &default[..] } else { &self.search };
        let built_in = search.iter().position(|place| *place == Place::BuiltIn);
        search
            .iter()
            .position(|place| match place {
                Place::Below(dir) => is_below(path, dir),
                Place::External => self.externals.iter().any(|dir| is_below(path, dir)),
                Place::BuiltIn => false,
            })
            .or(built_in)
            .unwrap_or(search.len())
    }
}

impl Place {
    fn of(word: &str) -> Self {
        match word {
            "built-in" => Self::BuiltIn,
            "external" => Self::External,
            dir => Self::Below(dir.to_owned()),
        }
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a VERSION of depmod.d means kernel `release`: `*`, or a regular expression that is found in it.
fn is_for(version: &str, release: &str) -> Result<bool, String> {
    if version == "*" {
        return Ok(true);
    }
    let regex =
        Regex::new(version).map_err(|e| format!("ignoring bad version '{version}': {e}"))?;
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
    fn the_file_that_counts() {
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
            assert_eq!(config(text).0.prefers(old, new), wins, "{text}: {old} {new}");
        }
    }

    #[test]
    fn lines_without_sense_are_told() {
        for (text, want) in [
            ("frob x", "f line 1: ignoring bad line starting with 'frob'"),
            ("# x\n\nmake_map_files a\ninclude b", ""),
            ("override a *", "f line 1: ignoring bad line starting with 'override'"),
            ("external", "f line 1: ignoring bad line starting with 'external'"),
        ] {
            assert_eq!(config(text).1, want, "{text}");
        }
        assert!(config("override a ( weak").1.starts_with("f line 1: ignoring bad version '('"));
        assert_eq!(config("exclude a b\\\n c").0.excludes, ["a", "b", "c"]);
    }
}
