//! mdadm.conf(5), as far as it concerns the assembly of arrays.
//!
//! ```text
//! DEVICE partitions /dev/sd*          devices that may be members
//! ARRAY /dev/md/root UUID=… name=…    names of an array; <ignore>: it is not assembled
//! HOMEHOST <system>                   host whose arrays keep their names
//! AUTO +1.x homehost -all             versions of arrays without an ARRAY line
//! CREATE names=yes                    devices of the kernel are called md_NAME
//! ```
//!
//! Keywords need three letters, in either case. A line that begins with a space continues the one
//! before; `#` begins a comment at the start of a word; quotes keep spaces.

use super::super::config_words;
use super::{Metadata, Version, parse_uuid};
use crate::kmod::Warning;
use crate::kmod::alias::fnmatch;

/// Keywords, which may be abbreviated; the first one that fits counts.
const KEYWORDS: [&str; 13] = [
    "devices",
    "array",
    "mailaddr",
    "mailfrom",
    "program",
    "createdev",
    "homehost",
    "homecluster",
    "auto",
    "policy",
    "part-policy",
    "sysfs",
    "monitordelay",
];

/// Words of an ARRAY line that do not identify the array.
const OTHER_WORDS: [&str; 11] = [
    "level",
    "num-devices",
    "disks",
    "raid-disks",
    "spares",
    "spare-group",
    "bitmap",
    "auto",
    "metadata",
    "container",
    "member",
];

/// An ARRAY line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArrayLine {
    /// Path or name of the device, or `<ignore>`.
    pub(crate) device: Option<String>,
    uuid: Option<[u8; 16]>,
    name: Option<String>,
    minor: Option<u32>,
    /// Patterns of the members' paths.
    members: Vec<String>,
}

impl ArrayLine {
    /// Returns whether the array is not to be assembled.
    pub(crate) fn is_ignored(&self) -> bool {
        self.device.as_deref() == Some("<ignore>")
    }

    fn matches(&self, metadata: &Metadata, paths: &[&str]) -> bool {
        let is_member = |path: &&str| {
            self.members.iter().any(|pattern| fnmatch(pattern.as_bytes(), path.as_bytes()))
        };
        let has_identity = self.uuid.is_some()
            || self.name.is_some()
            || self.minor.is_some()
            || !self.members.is_empty();
        has_identity
            && self.uuid.is_none_or(|uuid| uuid == metadata.uuid)
            && self.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&metadata.name))
            && self.minor.is_none_or(|minor| metadata.minor == Some(minor))
            && (self.members.is_empty() || paths.iter().any(is_member))
    }
}

/// Whether arrays of a version are assembled without an ARRAY line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auto {
    Yes,
    No,
    OfHomehost,
}

/// Content of mdadm.conf.
#[derive(Debug, Clone, Default)]
pub struct Config {
    devices: Vec<String>,
    arrays: Vec<ArrayLine>,
    homehost: Option<String>,
    ignores_homehost: bool,
    /// Rules for 0.90 and for 1.x.
    auto: Option<[Auto; 2]>,
    /// Whether the kernel's devices are called after the array.
    pub(crate) uses_names: bool,
}

impl Config {
    /// Adds the content of a file.
    pub fn add_file(&mut self, file: &str, text: &str, warnings: &mut Vec<Warning>) {
        for (number, words) in lines(text) {
            let Some((keyword, words)) = words.split_first() else { continue };
            let known = KEYWORDS.into_iter().find(|known| {
                keyword.len() >= 3
                    && known.get(..keyword.len()).is_some_and(|k| k.eq_ignore_ascii_case(keyword))
            });
            let mut warn = |text: String| warnings.push(Warning::new(file, number, text));
            match known {
                Some("devices") => self.devices.extend_from_slice(words),
                Some("array") => self.arrays.push(array(words, &mut warn)),
                Some("homehost") => self.add_homehost(words),
                Some("auto") if self.auto.is_none() => self.auto = Some(auto(words)),
                Some("createdev") => {
                    let names = words.iter().rev().find_map(|word| value(word, "names"));
                    self.uses_names =
                        names.map_or(self.uses_names, |v| v.eq_ignore_ascii_case("yes"));
                }
                Some(_) => {}
                None => warn(format!("ignored: unknown keyword '{keyword}'")),
            }
        }
    }

    fn add_homehost(&mut self, words: &[String]) {
        for word in words {
            if word.eq_ignore_ascii_case("<ignore>") {
                self.ignores_homehost = true;
            } else if self.homehost.is_none() {
                let is_none = word.eq_ignore_ascii_case("<none>");
                self.homehost = Some(if is_none { String::new() } else { word.clone() });
            }
        }
    }

    /// Returns the host whose arrays keep their names; `system` is the name of this one.
    pub(crate) fn homehost<'a>(&'a self, system: Option<&'a str>) -> Option<&'a str> {
        let host = self.homehost.as_deref().filter(|host| !host.eq_ignore_ascii_case("<system>"));
        host.or(system).filter(|host| !host.is_empty())
    }

    /// Returns whether arrays of other hosts get names with a suffix.
    pub(crate) fn requires_homehost(&self) -> bool {
        !self.ignores_homehost
    }

    /// Returns whether the device at `path` may be a member.
    pub(crate) fn allows_device(&self, path: &str) -> bool {
        let fits = |pattern: &String| {
            pattern.eq_ignore_ascii_case("partitions")
                || fnmatch(pattern.as_bytes(), path.as_bytes())
        };
        self.devices.is_empty() || self.devices.iter().any(fits)
    }

    /// Returns whether an array without an ARRAY line may be assembled.
    pub(crate) fn allows_version(&self, version: Version, is_of_homehost: bool) -> bool {
        let rules = self.auto.unwrap_or([Auto::Yes; 2]);
        match rules[usize::from(version != Version::V0_90)] {
            Auto::Yes => true,
            Auto::No => false,
            Auto::OfHomehost => is_of_homehost,
        }
    }

    /// Returns the ARRAY line of an array with members at `paths`.
    ///
    /// # Errors
    /// Several lines fit.
    pub(crate) fn array_line(
        &self,
        metadata: &Metadata,
        paths: &[&str],
    ) -> Result<Option<&ArrayLine>, &'static str> {
        let mut found = self.arrays.iter().filter(|line| line.matches(metadata, paths));
        match (found.next(), found.next()) {
            (line, None) => Ok(line),
            _ => Err("several ARRAY lines of mdadm.conf match"),
        }
    }

    /// Returns whether no ARRAY line claims the device name `name`.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        self.arrays.iter().all(|line| {
            let minor = line.minor.map(|minor| minor.to_string());
            let names = [&line.device, &line.name, &minor];
            names.into_iter().flatten().all(|taken| short_name(taken) != short_name(name))
        })
    }
}

/// Returns a name without its directory, and the number of `mdN`.
fn short_name(name: &str) -> &str {
    let name = name.strip_prefix("/dev/md/").or_else(|| name.strip_prefix("/dev/")).unwrap_or(name);
    name.strip_prefix("md").filter(|n| n.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(name)
}

/// Returns the value of the word `key=value`.
fn value<'a>(word: &'a str, key: &str) -> Option<&'a str> {
    let (name, value) = word.split_once('=')?;
    name.eq_ignore_ascii_case(key).then_some(value)
}

/// Parses the words of an ARRAY line.
fn array(words: &[String], warn: &mut dyn FnMut(String)) -> ArrayLine {
    let mut line = ArrayLine::default();
    for word in words {
        if let Some(text) = value(word, "uuid") {
            line.uuid = parse_uuid(text);
            if line.uuid.is_none() {
                // A line that matches nothing rather than everything.
                line.uuid = Some([0; 16]);
                warn(format!("ignored: invalid UUID '{text}'"));
            }
        } else if let Some(text) = value(word, "name") {
            line.name = Some(text.to_owned());
        } else if let Some(text) = value(word, "super-minor") {
            line.minor = text.parse().ok();
        } else if let Some(text) = value(word, "devices") {
            line.members = text.split(',').map(str::to_owned).collect();
        } else if !word.contains('=') && line.device.is_none() {
            line.device = Some(word.clone());
        } else if !OTHER_WORDS.iter().any(|key| value(word, key).is_some()) {
            warn(format!("ignored: unknown word '{word}'"));
        }
    }
    line
}

/// Parses the words of an AUTO line, of which the first that concerns a version counts.
fn auto(words: &[String]) -> [Auto; 2] {
    let mut rules = [None; 2];
    let mut rest = Auto::Yes;
    let mut refusal = Auto::No;
    for word in words {
        let word = word.to_ascii_lowercase();
        let (rule, version) = match (&*word, word.split_at_checked(1)) {
            ("yes", _) => (Auto::Yes, "all"),
            ("no", _) => (refusal, "all"),
            ("homehost", _) => {
                refusal = Auto::OfHomehost;
                continue;
            }
            (_, Some(("+", version))) => (Auto::Yes, version),
            (_, Some(("-", version))) => (refusal, version),
            _ => continue,
        };
        match version {
            "all" => {
                rest = rule;
                break;
            }
            "0" | "0.90" => rules[0] = rules[0].or(Some(rule)),
            "1" => rules[1] = rules[1].or(Some(rule)),
            _ if version.starts_with("1.") => rules[1] = rules[1].or(Some(rule)),
            _ => {}
        }
    }
    rules.map(|rule| rule.unwrap_or(rest))
}

/// Returns the words of each logical line, with the number of its first line. A quote that is not
/// closed ends with its line.
fn lines(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut lines: Vec<(usize, Vec<String>)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let continues = line.starts_with([' ', '\t']);
        match lines.last_mut() {
            Some((_, words)) if continues => words.extend(config_words::split(line).0),
            _ => lines.push((number + 1, config_words::split(line).0)),
        }
    }
    lines.retain(|(_, words)| !words.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::metadata;
    use super::*;

    fn parsed(text: &str) -> (Config, Vec<String>) {
        let (mut config, mut warnings) = (Config::default(), Vec::new());
        config.add_file("mdadm.conf", text, &mut warnings);
        (config, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_file_of_debian_is_understood() {
        let (config, warnings) = parsed(
            "# mdadm.conf\n\nHOMEHOST <system>\nMAILADDR root\n\nARRAY /dev/md/0  metadata=1.2 \
             UUID=00000000:00000000:00000000:00000001\n   name=\"host:0\" # old\nARRAY <ignore> \
             devices=/dev/sdz,/dev/loop*\nfoo bar\nARRAY /dev/md/x UUID=1 colour=red\n",
        );
        assert_eq!(
            warnings,
            [
                "mdadm.conf line 9: ignored: unknown keyword 'foo'",
                "mdadm.conf line 10: ignored: invalid UUID '1'",
                "mdadm.conf line 10: ignored: unknown word 'colour=red'"
            ]
        );
        assert_eq!(config.homehost(Some("pc")), Some("pc"));
        let device = |name: &str, paths: &[&str]| {
            let mut metadata = metadata("UU", 0, 10);
            metadata.uuid[15] = 1;
            metadata.name = name.to_owned();
            let line = config.array_line(&metadata, paths);
            line.map(|line| line.and_then(|line| line.device.clone()))
        };
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(device("HOST:0", &["/dev/sda"]), some("/dev/md/0"));
        assert_eq!(device("other", &["/dev/sda"]), Ok(None));
        assert_eq!(device("other", &["/dev/sda", "/dev/loop7"]), some("<ignore>"));
        assert!(device("host:0", &["/dev/sdz"]).is_err());
    }

    #[test]
    fn homehosts_have_special_names() {
        for (text, want) in [
            ("", Some("pc")),
            ("HOMEHOST <system>", Some("pc")),
            ("homehost <none>", None),
            ("HOM server", Some("server")),
            ("HOMEHOST <ignore>", Some("pc")),
            ("HOMEHOST <ignore> server other", Some("server")),
        ] {
            let (config, _) = parsed(text);
            assert_eq!(config.homehost(Some("pc")), want, "{text}");
            assert_eq!(config.requires_homehost(), !text.contains("<ignore>"), "{text}");
        }
    }

    #[test]
    fn the_first_rule_of_a_version_counts() {
        for (text, want) in [
            ("", [true; 4]),
            ("AUTO -all", [false; 4]),
            ("AUTO no", [false; 4]),
            ("AUTO +1.x -all", [false, true, false, true]),
            ("AUTO +1 -1.2 -all", [false, true, false, true]),
            ("AUTO -0.90 homehost -all", [false, false, false, true]),
            ("AUTO homehost -all", [false, false, true, true]),
            ("AUTO +ddf -0.9 yes", [true; 4]),
            ("AUTO -all\nAUTO +all", [false; 4]),
        ] {
            let (config, warnings) = parsed(text);
            assert!(warnings.is_empty(), "{text}");
            let allows = |is_home| {
                [Version::V0_90, Version::V1_2]
                    .map(|version| config.allows_version(version, is_home))
            };
            let [other, home] = [allows(false), allows(true)];
            assert_eq!([other[0], other[1], home[0], home[1]], want, "{text}");
        }
    }

    #[test]
    fn names_of_lines_are_taken() {
        let (config, _) = parsed("ARRAY /dev/md/root uuid=1\nARRAY /dev/md127 name=pc:home\n");
        for (name, want) in [
            ("root", false),
            ("md127", false),
            ("127", false),
            ("pc:home", false),
            ("home", true),
            ("md126", true),
        ] {
            assert_eq!(config.is_free(name), want, "{name}");
        }
        let (config, _) = parsed("DEVICE /dev/sd* /dev/disk/by-id/*\n");
        assert!(config.allows_device("/dev/sda1") && !config.allows_device("/dev/vda"));
        let (config, _) = parsed("DEV partitions");
        assert!(config.allows_device("/dev/vda"));
    }
}
