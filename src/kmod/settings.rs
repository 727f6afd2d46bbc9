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
            let line = String::from_utf8_lossy(&line);
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
pub fn parse_saved(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('\n').filter_map(|line| line.split_once(' '));
    pairs.map(|(path, value)| (path.to_owned(), unescape(value))).collect()
}

/// Formats the paths and values to save for a module.
pub fn format_saved(values: &[(String, String)]) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('\n', "\\n");
    values.iter().map(|(path, value)| format!("{path} {}\n", escape(value))).collect()
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.as_str().starts_with('n') => {
                chars.next();
                out.push('\n');
            }
            '\\' => out.extend(chars.next()),
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
        let values = values.map(|(p, v)| (p.to_owned(), v.to_owned()));
        assert_eq!(parse_saved(&format_saved(&values)), values);
        assert_eq!(parse_saved("torn\n\n"), []);
        assert_eq!(parse_saved("/x a\\"), [("/x".to_owned(), "a".to_owned())]);
    }
}
