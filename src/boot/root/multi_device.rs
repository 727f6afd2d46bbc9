//! Filesystems that span several devices: the kernel needs all of them, and has to be told their
//! nodes.
//!
//! btrfs takes the other devices as options `device=`, bcachefs takes all of them, separated by
//! colons, as the source.

use std::path::PathBuf;

use super::StepContext;
use super::devices::Candidate;

/// The devices of one filesystem.
#[derive(Debug)]
pub(super) struct MultiDevice {
    kind: &'static str,
    /// Devices found so far.
    nodes: Vec<PathBuf>,
    /// Number of devices that the filesystem has.
    total: u64,
}

impl MultiDevice {
    /// Finds the devices of the filesystem on `candidate`, which has `total` devices. Returns
    /// `None` if that is only one.
    pub(super) fn find(
        candidate: &Candidate,
        total: u64,
        cx: &mut StepContext<'_>,
    ) -> Option<Self> {
        let kind = candidate.kind.filter(|kind| is_multi_device_type(kind))?;
        let uuid = candidate.uuid.as_deref()?;
        let found = cx.devices.holders(kind, uuid);
        let nodes = found.iter().map(|device| device.node(cx.dir)).collect();
        (total > 1).then_some(Self { kind, nodes, total })
    }

    /// Returns a message about missing devices, or `None` if all have been found.
    pub(super) fn missing(&self) -> Option<String> {
        let count = self.nodes.len();
        let names: Vec<String> = self.nodes.iter().map(|n| n.display().to_string()).collect();
        (u64::try_from(count).unwrap_or(u64::MAX) < self.total).then(|| {
            format!("{count} of {} {} devices found: {}", self.total, self.kind, names.join(" "))
        })
    }

    /// Returns the source and the options of the mount, from the `node` and `flags` of one device.
    pub(super) fn source(&self, node: PathBuf, flags: &str) -> (PathBuf, String) {
        let names: Vec<String> = self.nodes.iter().map(|n| n.display().to_string()).collect();
        if self.kind == "bcachefs" {
            return (PathBuf::from(names.join(":")), flags.to_owned());
        }
        let devices = names.iter().map(|name| format!("device={name}"));
        let words = (!flags.is_empty()).then(|| flags.to_owned()).into_iter().chain(devices);
        (node, words.collect::<Vec<_>>().join(","))
    }
}

/// Returns whether filesystems of this type may span several devices.
pub(super) fn is_multi_device_type(kind: &str) -> bool {
    matches!(kind, "btrfs" | "bcachefs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_and_counted() {
        let members = |kind, total| {
            let nodes = vec!["/dev/a".into(), "/dev/b".into()];
            MultiDevice { kind, nodes, total }
        };
        assert_eq!(members("btrfs", 2).missing(), None);
        assert_eq!(
            members("btrfs", 3).missing().as_deref(),
            Some("2 of 3 btrfs devices found: /dev/a /dev/b")
        );
        for (kind, flags, node, want) in [
            ("btrfs", "", "/dev/a", "device=/dev/a,device=/dev/b"),
            ("btrfs", "subvol=x", "/dev/a", "subvol=x,device=/dev/a,device=/dev/b"),
            ("bcachefs", "x", "/dev/a:/dev/b", "x"),
        ] {
            let source = members(kind, 2).source("/dev/a".into(), flags);
            assert_eq!(source, (node.into(), want.to_owned()), "{kind} {flags}");
        }
    }
}
