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
//! tags nor udev's links, so the options may hold any name of a device. With `degraded` a btrfs is
//! mounted without a device that cannot be found, but the kernel refuses an option that names one.

use super::devices::{Candidate, Content, Devices};
use super::multi_device::is_degraded;
use crate::byte_text;
use crate::cmdline::mount_options::options;
use crate::cmdline::root_name::RootName;

/// The option of btrfs.
const DEVICE: &str = "device";
/// Options whose value is a device.
const OPTIONS: [&str; 4] = [DEVICE, "logdev", "rtdev", "journal_path"];

/// The devices that options name.
#[derive(Debug, Default, Clone)]
pub(super) struct NamedDevices {
    /// The options, with the nodes of these devices for their names, without those in `missing`.
    flags: String,
    /// Device numbers.
    numbers: Vec<(u32, u32)>,
    /// Options whose device has not been found, and the names in them.
    missing: Vec<(String, RootName)>,
}

impl NamedDevices {
    /// Finds the devices. If a btrfs may be mounted degraded, one that holds none counts as missing:
    /// it is damaged, or a new disk in its place.
    pub(super) fn find(flags: &str, devices: &mut Devices) -> Self {
        Self::find_by(flags, |name| devices.find(name, Content::Any))
    }

    /// Does what [`Self::find`] does, with `find` as the lookup.
    pub(super) fn find_by(
        flags: &str,
        mut find: impl FnMut(&RootName) -> Option<Candidate>,
    ) -> Self {
        let mut named = Self::default();
        let needs_member = is_degraded(flags);
        for word in options(flags) {
            let Some((option, name)) = device_name(word) else {
                named.push(word);
                continue;
            };
            let needs_member = needs_member && option == DEVICE;
            match find(&name).filter(|device| device.member.is_some() || !needs_member) {
                Some(device) => {
                    named.push(&format!("{option}={}", byte_text::from_path(&device.node)));
                    named.numbers.push(device.number);
                }
                None => named.missing.push((word.to_owned(), name)),
            }
        }
        named
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

    /// Returns the options whose device has not been found, and the names in them.
    pub(super) fn missing(&self) -> &[(String, RootName)] {
        &self.missing
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
    use crate::disk::Member;

    #[test]
    fn options_of_devices_that_are_missing_are_left_out() {
        let member = Member { filesystem: 1, index: 1, generation: 1, total: 2, is_seed: false };
        let find = |name: &RootName| {
            let (node, number, member) = match name.to_string().as_str() {
                "/dev/vda" | "UUID=a" => ("/dev/vda", 1, Some(member)),
                "/dev/vdb" => ("/dev/vdb", 2, None),
                _ => return None,
            };
            let number = (8, number);
            Some(Candidate { node: node.into(), number, member, ..Candidate::default() })
        };
        for (flags, want, numbers, missing) in [
            ("", "", &[][..], ""),
            ("device=UUID=a,ssd", "device=/dev/vda,ssd", &[1], ""),
            ("device=/dev/vda,device=/dev/vdc", "device=/dev/vda", &[1], "device=/dev/vdc"),
            ("device=/dev/vdb", "device=/dev/vdb", &[2], ""),
            ("logdev=LABEL=log,ro", "ro", &[], "logdev=LABEL=log"),
            (
                "degraded,device=/dev/vda,device=/dev/vdb,device=/dev/vdc",
                "degraded,device=/dev/vda",
                &[1],
                "device=/dev/vdb device=/dev/vdc",
            ),
            ("degraded,logdev=/dev/vdb", "degraded,logdev=/dev/vdb", &[2], ""),
            ("device=/dev/vdb,degraded=no", "device=/dev/vdb,degraded=no", &[2], ""),
        ] {
            let named = NamedDevices::find_by(flags, find);
            let words: Vec<_> = named.missing().iter().map(|(word, _)| word.as_str()).collect();
            let minors: Vec<_> = named.numbers().iter().map(|(_, minor)| *minor).collect();
            assert_eq!((named.flags(), &minors[..]), (want, numbers), "{flags}");
            assert_eq!(words.join(" "), missing, "{flags}");
        }
    }

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
