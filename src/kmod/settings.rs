//! Settings that persist when a module is unloaded: the configuration that names them, and their
//! saved values.
//!
//! ```text
//! settings MODULE WORD…     in settings.d/*.conf; WORD: a parameter, a pattern of parameters,
//!                           or a path below /proc/sys or /sys
//!
//! PATH VALUE                a line of the values saved for one module; in VALUE \n stands for a
//!                           newline and \\ for a backslash
//! ```
//!
//! Lines, words and comments are as in modprobe.d(5).

use super::Warning;
use super::alias::fnmatch;
use super::conf::text_lines;
use super::name::ModuleName;
use crate::escape;

/// A word of a settings line: one or more settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// Module parameters whose names match this pattern.
    Parameter(String),
    /// The file at this path.
    Path(String),
}

/// The configured settings, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(Vec<(ModuleName, Setting)>);

impl Settings {
    /// Adds the lines of one file. Invalid words and lines are ignored with a warning.
    pub fn add_file(&mut self, file: &str, text: &[u8], warnings: &mut Vec<Warning>) {
        for (number, line) in text_lines(file, text, warnings) {
            let line = escape::bytes(&line);
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let mut warn = |text: String| warnings.push(Warning::new(file, number, text));
            let (Some(module), "settings") = (words.next(), first) else {
                warn(format!("ignoring bad line starting with '{first}'"));
                continue;
            };
            for word in words {
                match parse_setting(word) {
                    Some(setting) => self.0.push((module.into(), setting)),
                    None => warn(format!(
                        "ignoring '{word}': neither a parameter nor a path below /proc/sys or /sys"
                    )),
                }
            }
        }
    }

    /// Returns the settings of `module`.
    pub fn for_module<'a>(&'a self, module: &'a ModuleName) -> impl Iterator<Item = &'a Setting> {
        self.0.iter().filter(move |(name, _)| name == module).map(|(_, setting)| setting)
    }

    /// Returns the modules that have settings, without duplicates.
    pub fn modules(&self) -> Vec<ModuleName> {
        let mut modules: Vec<ModuleName> = Vec::new();
        for (module, _) in &self.0 {
            if !modules.contains(module) {
                modules.push(module.clone());
            }
        }
        modules
    }
}

impl Setting {
    /// Returns whether the setting includes the parameter `name`.
    pub fn is_parameter(&self, name: &str) -> bool {
        matches!(self, Self::Parameter(pattern) if fnmatch(pattern.as_bytes(), name.as_bytes()))
    }
}

/// Parses a word. Returns `None` for a path outside /proc/sys and /sys, or one that is not
/// canonical.
fn parse_setting(word: &str) -> Option<Setting> {
    if !word.contains('/') {
        return Some(Setting::Parameter(word.to_owned()));
    }
    let below = word.strip_prefix("/proc/sys/").or_else(|| word.strip_prefix("/sys/"))?;
    let is_canonical = below.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_canonical.then(|| Setting::Path(word.to_owned()))
}

/// Parses the saved paths and values of a module. Invalid lines are ignored.
pub fn parse_saved(text: &[u8]) -> Vec<(String, Vec<u8>)> {
    let pair = |line: &[u8]| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let path = std::str::from_utf8(line.get(..space)?).ok()?;
        Some((path.to_owned(), unescape(line.get(space + 1..)?)))
    };
    text.split(|byte| *byte == b'\n').filter_map(pair).collect()
}

/// Formats the paths and values to save for a module.
pub fn format_saved(values: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (path, value) in values {
        text.extend_from_slice(path.as_bytes());
        text.push(b' ');
        for byte in value {
            match byte {
                b'\\' => text.extend_from_slice(b"\\\\"),
                b'\n' => text.extend_from_slice(b"\\n"),
                other => text.push(*other),
            }
        }
        text.push(b'\n');
    }
    text
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => out.extend(bytes.next().map(|b| if b == b'n' { b'\n' } else { b })),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_parameters_and_paths() {
        let text =
            b"# a comment\nsettings snd-x power* /proc/sys/a/b \\\n  /sys/c\n settings y z\n";
        let (mut settings, mut warnings) = (Settings::default(), Vec::new());
        settings.add_file("f", text, &mut warnings);
        assert_eq!(settings.modules(), ["snd_x".into(), "y".into()]);
        let of =
            |module: &str| format!("{:?}", settings.for_module(&module.into()).collect::<Vec<_>>());
        assert_eq!(of("snd_x"), r#"[Parameter("power*"), Path("/proc/sys/a/b"), Path("/sys/c")]"#);
        assert_eq!(of("y"), r#"[Parameter("z")]"#);
        assert!(Setting::Parameter("power*".into()).is_parameter("power_save"));
        assert!(!Setting::Path("/sys/power".into()).is_parameter("power"));
        assert_eq!(warnings, []);
    }

    #[test]
    fn invalid_lines_are_reported_with_their_place() {
        for (line, want) in [
            ("options x y=1", "f line 1: ignoring bad line starting with 'options'"),
            ("settings", "f line 1: ignoring bad line starting with 'settings'"),
            ("settings m /etc/passwd", "f line 1: ignoring '/etc/passwd': neither"),
            ("settings m /proc/sys/../x", "f line 1: ignoring '/proc/sys/../x': neither"),
            ("settings m /sys//x", "f line 1: ignoring '/sys//x': neither"),
            ("settings m a/b", "f line 1: ignoring 'a/b': neither"),
            ("\n\0\0\n\0", "f line 2: NUL byte: "),
        ] {
            let (mut settings, mut warnings) = (Settings::default(), Vec::new());
            settings.add_file("f", line.as_bytes(), &mut warnings);
            assert!(warnings[0].to_string().starts_with(want), "{line}: {warnings:?}");
            assert_eq!((settings, warnings.len()), (Settings::default(), 1));
        }
    }

    #[test]
    fn saved_values_are_restored_unchanged() {
        let values = [
            ("/proc/sys/a", "4096\t87380 6"),
            ("/sys/b", "two\nlines"),
            ("/sys/c", "back\\nslash\\"),
            ("/sys/d", ""),
            ("/sys/e", "two\r\nlines\r"),
        ];
        let mut values = values.map(|(p, v)| (p.to_owned(), v.into())).to_vec();
        values.push(("/sys/f".to_owned(), b"M\xf6b \\\xff\n".to_vec()));
        assert_eq!(parse_saved(&format_saved(&values)), values);
        assert_eq!(parse_saved(b"torn\n\n"), []);
        assert_eq!(parse_saved(b"/x a\\"), [("/x".to_owned(), b"a".to_vec())]);
    }
}
