//! Further devices that the options of a mount name: `rootflags=device=/dev/vdb`.
//!
//! ```text
//! device=         btrfs, erofs: another device; a seed of btrfs too
//! logdev=         xfs: the log
//! rtdev=          xfs: the realtime section
//! journal_path=   ext4: the journal
//! ```
//!
//! The kernel opens them by path, and no mount succeeds before they are there. It knows neither
//! tags nor udev's links, so the options may hold any name of a device.

use super::devices::{Content, Devices};
use crate::cmdline::mount_options::options;
use crate::cmdline::root_name::RootName;

/// Options whose value is a device.
const OPTIONS: [&str; 4] = ["device", "logdev", "rtdev", "journal_path"];

/// The devices that options name.
#[derive(Debug, Default, Clone)]
pub(super) struct NamedDevices {
    /// The options, with the nodes of these devices for their names.
    flags: String,
    /// Device numbers.
    numbers: Vec<(u32, u32)>,
}

impl NamedDevices {
    /// Finds the devices.
    ///
    /// # Errors
    /// One has not been found yet: the option, and the name in it.
    pub(super) fn find(flags: &str, devices: &mut Devices) -> Result<Self, (String, RootName)> {
        let mut named = Self::default();
        for word in options(flags) {
            let Some((option, name)) = device_name(word) else {
                named.push(word);
                continue;
            };
            let Some(device) = devices.find(&name, Content::Any) else {
                return Err((word.to_owned(), name));
            };
            named.push(&format!("{option}={}", device.node.display()));
            named.numbers.push(device.number);
        }
        Ok(named)
    }

    fn push(&mut self, word: &str) {
        if !self.flags.is_empty() {
            self.flags.push(',');
        }
        self.flags.push_str(word);
    }

    /// Returns the options of the mount.
    pub(super) fn flags(&self) -> &str {
        &self.flags
    }

    /// Returns the device numbers.
    pub(super) fn numbers(&self) -> &[(u32, u32)] {
        &self.numbers
    }
}

/// Returns the option and the device if `word` is an option that names one.
fn device_name(word: &str) -> Option<(&str, RootName)> {
    let (option, value) = word.split_once('=').filter(|(option, _)| OPTIONS.contains(option))?;
    let name = RootName::parse(value)?;
    // `logdev=none` and the like are the filesystem's own.
    (!matches!(name, RootName::Other(_) | RootName::GptAuto)).then_some((option, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_name_devices() {
        for (word, want) in [
            ("device=/dev/vdb", Some("/dev/vdb")),
            ("device=LABEL=seed", Some("LABEL=seed")),
            ("device=/dev/disk/by-partuuid/5", Some("PARTUUID=5")),
            ("logdev=/dev/vdb1", Some("/dev/vdb1")),
            ("journal_path=UUID=x", Some("UUID=x")),
            ("logdev=none", None),
            ("device=", None),
            ("devid=1", None),
            ("degraded", None),
            ("subvol=/dev/vdb", None),
        ] {
            let name = device_name(word).map(|(_, name)| name.to_string());
            assert_eq!(name.as_deref(), want, "{word}");
        }
    }
}
