//! Filesystems that span several devices: the kernel needs all of them, and has to be told their
//! nodes.
//!
//! btrfs takes the other devices as options `device=`, bcachefs takes all of them, separated by
//! colons, as the source.
//!
//! A device is known by its filesystem and its index in it (btrfs: fsid and devid). If two devices
//! share both, one is a bit copy of the other, a second path to it, or a disk that was removed from
//! the filesystem and whose index was given away. The kernel's answer to that depends on the order
//! in which it sees them; it must see only one. That is the one that the command line names, else
//! the one with the higher generation, else the first by node name.

use std::cmp::Reverse;
use std::path::PathBuf;

use super::StepContext;
use super::devices::Candidate;
pub(super) use super::member_device::{DEGRADED, MemberDevice, is_degraded};
use super::named_devices::NamedDevices;
use crate::boot::reporter::Reporter;
use crate::byte_text;
use crate::cmdline::mount_options::options;
use crate::disk::Member;

/// The devices of one filesystem.
#[derive(Debug)]
pub(super) struct MultiDevice {
    kind: &'static str,
    /// Its devices, one for each index.
    own: Vec<MemberDevice>,
    /// Devices of other filesystems that the options of the mount name: seeds.
    named: Vec<PathBuf>,
    /// Nodes of all devices of filesystems of this type, without copies.
    all: Vec<PathBuf>,
    /// Copies of its devices: the device that is used, and the one that is not.
    copies: Vec<(MemberDevice, MemberDevice)>,
    /// Number of devices that the filesystem has.
    total: u64,
}

impl MultiDevice {
    /// Finds the devices of the filesystem on `candidate` among those that have been read. Returns
    /// `None` for a filesystem that cannot span several.
    pub(super) fn find(
        candidate: &Candidate,
        named: &NamedDevices,
        cx: &mut StepContext<'_>,
    ) -> Option<Self> {
        let (kind, member) = (candidate.kind?, candidate.member?);
        let preferred = [&[candidate.number], named.numbers()].concat();
        Some(Self::choose(kind, member.filesystem, cx.devices.members(kind), &preferred))
    }

    /// Chooses among the devices of all filesystems, which are sorted by node name. The device
    /// numbers `preferred` are those that the command line names.
    fn choose(
        kind: &'static str,
        filesystem: u128,
        mut found: Vec<MemberDevice>,
        preferred: &[(u32, u32)],
    ) -> Self {
        let is_preferred = |device: &MemberDevice| preferred.contains(&device.number);
        let is_own = |device: &MemberDevice| device.member.filesystem == filesystem;
        found.sort_by_key(|device| {
            let Member { filesystem, index, generation, .. } = device.member;
            (filesystem, index, !is_preferred(device), Reverse(generation))
        });
        let (mut used, mut copies) = (Vec::<MemberDevice>::new(), Vec::new());
        for device in found {
            let key = |device: &MemberDevice| (device.member.filesystem, device.member.index);
            match used.last().filter(|last| key(last) == key(&device)) {
                Some(last) if is_own(last) => copies.push((last.clone(), device)),
                Some(_) => {}
                None => used.push(device),
            }
        }
        let all = used.iter().map(|device| device.node.clone()).collect();
        let (own, others): (Vec<_>, Vec<_>) = used.into_iter().partition(is_own);
        let named = others.into_iter().filter(is_preferred).map(|device| device.node).collect();
        // The devices that were away have not learned of those that were added or removed.
        let newest = own.iter().max_by_key(|device| device.member.generation);
        let total = newest.map_or(0, |device| device.member.total);
        Self { kind, own, named, all, copies, total }
    }

    /// Warns about copies of the devices.
    pub(super) fn warn_copies(&self, text: &str, reporter: &mut Reporter) {
        let kind = self.kind;
        for (used, copy) in &self.copies {
            let (index, node, other) = (
                used.member.index,
                byte_text::from_path(&used.node),
                byte_text::from_path(&copy.node),
            );
            let (newer, older) = (used.member.generation, copy.member.generation);
            reporter.warn_once(format!(
                "{text}: {kind} device {index} is {node} (used, generation {newer}) and {other} \
                 (generation {older})"
            ));
        }
    }

    /// Returns whether the filesystem has, or once had, more than one device.
    pub(super) fn is_plural(&self) -> bool {
        self.total > 1 || self.own.len() > 1
    }

    /// Returns whether devices are missing.
    pub(super) fn is_short(&self) -> bool {
        let count = self.own.len() + self.named.len();
        u64::try_from(count).unwrap_or(u64::MAX) < self.total
    }

    /// Returns whether a device of a btrfs has missed commits. It may have been removed from the
    /// filesystem meanwhile, and then it does not count.
    pub(super) fn may_be_outdated(&self) -> bool {
        let first = self.own.first().map(|device| device.member.generation);
        let is_other = |device: &MemberDevice| Some(device.member.generation) != first;
        self.is_btrfs() && self.own.iter().any(is_other)
    }

    /// Returns whether the kernel can be asked for its own view of the filesystem.
    pub(super) fn is_btrfs(&self) -> bool {
        self.kind == "btrfs"
    }

    /// Returns the nodes of all devices of filesystems of this type, without copies.
    pub(super) fn all(&self) -> &[PathBuf] {
        &self.all
    }

    /// Returns the device numbers of its devices.
    pub(super) fn numbers(&self) -> Vec<(u32, u32)> {
        self.own.iter().map(|device| device.number).collect()
    }

    /// Returns how many devices have been found, for messages.
    pub(super) fn summary(&self) -> String {
        let own = self.own.iter().map(|device| &device.node);
        let nodes: Vec<_> =
            own.chain(&self.named).map(|node| byte_text::from_path(&node).into_owned()).collect();
        let (count, total, kind) = (nodes.len(), self.total, self.kind);
        format!("{count} of {total} {kind} devices found: {}", nodes.join(" "))
    }

    /// Returns the source and the options of the mount, from the `node` and `flags` of one device.
    pub(super) fn source(&self, node: PathBuf, flags: &str) -> (PathBuf, String) {
        let names = self.own.iter().map(|device| byte_text::from_path(&device.node).into_owned());
        if !self.is_plural() {
            return (node, flags.to_owned());
        }
        if !self.is_btrfs() {
            let all = names.collect::<Vec<_>>().join(":");
            return (byte_text::to_path(&all).into_owned(), flags.to_owned());
        }
        let has = |word: &String| options(flags).any(|given| given == word);
        let devices = names.map(|name| format!("device={name}")).filter(|word| !has(word));
        let words = (!flags.is_empty()).then(|| flags.to_owned()).into_iter().chain(devices);
        (node, words.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a device: node, filesystem, index, generation, number of devices.
    fn device(device: &(&str, u128, u64, u64, u64)) -> MemberDevice {
        let (node, filesystem, index, generation, total) = *device;
        let minor = node.bytes().last().map_or(0, u32::from);
        let member = Member { filesystem, index, generation, total, is_seed: false };
        MemberDevice { node: format!("/dev/{node}").into(), number: (8, minor), member }
    }

    fn choose(
        kind: &'static str,
        found: &[(&str, u128, u64, u64, u64)],
        preferred: &str,
    ) -> MultiDevice {
        let preferred: Vec<_> = preferred.bytes().map(|minor| (8, minor.into())).collect();
        MultiDevice::choose(kind, 1, found.iter().map(device).collect(), &preferred)
    }

    #[test]
    fn devices_are_counted_by_their_index() {
        for (name, found, preferred, want, short, copies) in [
            (
                "complete",
                &[("a", 1, 1, 9, 2), ("b", 1, 2, 9, 2)][..],
                "a",
                "2 of 2: a b",
                false,
                "",
            ),
            ("half", &[("a", 1, 1, 9, 2)], "a", "1 of 2: a", true, ""),
            ("copy", &[("a", 1, 1, 9, 2), ("b", 1, 1, 9, 2)], "a", "1 of 2: a", true, "a-b"),
            (
                "equal copies",
                &[("a", 1, 1, 9, 1), ("b", 1, 1, 9, 1)],
                "",
                "1 of 1: a",
                false,
                "a-b",
            ),
            ("newer", &[("a", 1, 1, 8, 1), ("b", 1, 1, 9, 1)], "", "1 of 1: b", false, "b-a"),
            ("named", &[("a", 1, 1, 8, 1), ("b", 1, 1, 9, 1)], "a", "1 of 1: a", false, "a-b"),
            (
                "copy of the second",
                &[("a", 1, 1, 9, 2), ("b", 1, 2, 8, 2), ("c", 1, 2, 9, 2)],
                "a",
                "2 of 2: a c",
                false,
                "c-b",
            ),
            ("other", &[("a", 1, 1, 9, 2), ("b", 2, 2, 9, 2)], "a", "1 of 2: a", true, ""),
            (
                "copy of another",
                &[("a", 1, 1, 9, 1), ("b", 2, 1, 9, 1), ("c", 2, 1, 9, 1)],
                "a",
                "1 of 1: a",
                false,
                "",
            ),
            ("seed", &[("a", 2, 1, 5, 1), ("b", 1, 2, 9, 2)], "b", "1 of 2: b", true, ""),
            ("named seed", &[("a", 2, 1, 5, 1), ("b", 1, 2, 9, 2)], "ba", "2 of 2: b a", false, ""),
            ("added since", &[("a", 1, 1, 5, 1), ("b", 1, 2, 9, 2)], "a", "2 of 2: a b", false, ""),
            ("removed", &[("a", 1, 1, 5, 2), ("b", 1, 2, 9, 1)], "a", "2 of 1: a b", false, ""),
        ] {
            let members = choose("btrfs", found, preferred);
            let summary =
                members.summary().replace(" btrfs devices found", "").replace("/dev/", "");
            assert_eq!((&*summary, members.is_short()), (want, short), "{name}");
            let name_of = |device: &MemberDevice| device.node.display().to_string();
            let pairs = members.copies.iter().map(|(used, copy)| {
                format!("{}-{}", name_of(used), name_of(copy)).replace("/dev/", "")
            });
            assert_eq!(pairs.collect::<Vec<_>>().join(" "), copies, "{name}");
        }
    }

    #[test]
    fn no_copy_is_given_to_the_kernel() {
        let members = choose(
            "btrfs",
            &[("a", 1, 1, 9, 2), ("b", 1, 1, 9, 2), ("c", 2, 1, 4, 1), ("d", 2, 1, 5, 1)],
            "b",
        );
        assert_eq!(members.all(), ["/dev/b", "/dev/d"].map(PathBuf::from));
    }

    #[test]
    fn a_device_that_missed_commits_is_noticed() {
        for (kind, second, want) in
            [("btrfs", 9, false), ("btrfs", 8, true), ("bcachefs", 8, false)]
        {
            let members = choose(kind, &[("a", 1, 1, 9, 2), ("b", 1, 2, second, 2)], "a");
            assert_eq!(members.may_be_outdated(), want, "{kind} {second}");
        }
    }

    #[test]
    fn the_mount_names_every_device_once() {
        let both = &[("a", 1, 1, 9, 2), ("b", 1, 2, 9, 2)][..];
        let stale = &[("a", 1, 1, 5, 2), ("b", 1, 2, 9, 1)];
        let single = &[("a", 1, 1, 9, 1), ("b", 1, 1, 9, 1)];
        for (kind, found, flags, node, want) in [
            ("btrfs", both, "", "/dev/a", "device=/dev/a,device=/dev/b"),
            ("btrfs", both, "subvol=x", "/dev/a", "subvol=x,device=/dev/a,device=/dev/b"),
            ("btrfs", both, "device=/dev/b", "/dev/a", "device=/dev/b,device=/dev/a"),
            ("btrfs", stale, "", "/dev/a", "device=/dev/a,device=/dev/b"),
            ("btrfs", single, "ssd", "/dev/a", "ssd"),
            ("bcachefs", both, "x", "/dev/a:/dev/b", "x"),
            ("bcachefs", single, "x", "/dev/a", "x"),
        ] {
            let source = choose(kind, found, "a").source("/dev/a".into(), flags);
            assert_eq!(source, (node.into(), want.to_owned()), "{kind} {flags}");
        }
    }
}
