//! Settings of lvm2 in lvm.conf and lvmlocal.conf that decide which groups this system may use.
//! Reference: lvm.conf(5), lvmsystemid(7).
//!
//! ```text
//! global  { system_id_source = "none" | "lvmlocal" | "machineid" | "uname" | "file"
//!           system_id_file = "…" }
//! local   { system_id = "…"   extra_system_ids = ["…"] }
//! devices { use_devicesfile = 1   devicesfile = "system.devices" }
//! ```

use super::text::{Scalar, Section, TextError};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// Where the name of this system is: `none`, `lvmlocal`, `machineid`, `uname`, `file`.
    pub(crate) system_id_source: String,
    /// The file with the name of this system.
    pub(crate) system_id_file: Option<String>,
    /// Name of this system for `lvmlocal`.
    system_id: String,
    /// Names of other systems whose groups may be used.
    extra_system_ids: Vec<String>,
    /// Name of the devices file below /etc/lvm/devices; `None` if it is not to be used.
    pub(crate) devices_file: Option<String>,
}

impl Settings {
    /// Parses lvm.conf and lvmlocal.conf; the latter counts if both have a setting. An empty text
    /// stands for a file that is missing.
    ///
    /// # Errors
    /// The syntax is wrong.
    pub(crate) fn parse(common: &[u8], local: &[u8]) -> Result<Self, TextError> {
        let files = [Section::parse(local)?, Section::parse(common)?];
        let text = |section, key| {
            files.iter().find_map(|file| first(file, section, key).and_then(text_of))
        };
        let extra = files.iter().find_map(|file| values(file, "local", "extra_system_ids"));
        let use_devices = files.iter().find_map(|file| first(file, "devices", "use_devicesfile"));
        let devices_file = text("devices", "devicesfile").unwrap_or("system.devices");
        Ok(Self {
            system_id_source: text("global", "system_id_source").unwrap_or("none").to_owned(),
            system_id_file: text("global", "system_id_file").map(str::to_owned),
            system_id: text("local", "system_id").unwrap_or_default().to_owned(),
            extra_system_ids: extra
                .unwrap_or_default()
                .iter()
                .filter_map(text_of)
                .map(str::to_owned)
                .collect(),
            devices_file: (use_devices != Some(&Scalar::Number(0)) && !devices_file.contains('/'))
                .then(|| devices_file.to_owned()),
        })
    }

    /// Returns the name of this system for `lvmlocal`.
    pub(crate) fn local_system_id(&self) -> &str {
        &self.system_id
    }

    /// Returns whether a system with the name `own` may use groups of the system `owner`.
    pub(crate) fn allows(&self, owner: &str, own: &str) -> bool {
        owner.is_empty() || owner == own || self.extra_system_ids.iter().any(|id| id == owner)
    }
}

/// Returns the array `section/key`.
fn values<'a>(file: &'a Section, section: &str, key: &str) -> Option<&'a [Scalar]> {
    let inner = file.section(section).and_then(|section| section.values(key));
    inner.or_else(|| file.values(&format!("{section}/{key}")))
}

fn first<'a>(file: &'a Section, section: &str, key: &str) -> Option<&'a Scalar> {
    values(file, section, key)?.first()
}

fn text_of(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) => Some(text),
        _ => None,
    }
}

/// Returns the characters of a name that lvm2 keeps.
pub(crate) fn clean(name: &str) -> String {
    let start = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let kept = start.chars().filter(|c| c.is_ascii_alphanumeric() || "._-+".contains(*c));
    kept.take(127).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_settings_count_first() {
        let common = b"global { system_id_source = \"uname\" }\ndevices/use_devicesfile = 0\n";
        let local = b"local {\n system_id = \"a\"\n extra_system_ids = [\"b\", \"c\"]\n}\n";
        let settings = Settings::parse(common, local).unwrap();
        assert_eq!(settings.system_id_source, "uname");
        assert_eq!(settings.local_system_id(), "a");
        assert_eq!(settings.devices_file, None);
        for (owner, want) in [("", true), ("x", true), ("b", true), ("d", false)] {
            assert_eq!(settings.allows(owner, "x"), want, "{owner}");
        }
        let none = Settings::parse(b"", b"").unwrap();
        assert_eq!((&*none.system_id_source, none.allows("x", "")), ("none", false));
        assert_eq!(none.devices_file.as_deref(), Some("system.devices"));
        assert!(Settings::parse(b"global {", b"").is_err());
    }

    #[test]
    fn names_of_systems_are_cleaned() {
        assert_eq!(clean("--my host_1.b\n"), "myhost_1.b");
    }
}
