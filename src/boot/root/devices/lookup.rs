//! The lookup of the device that a name stands for.

use std::cmp::Reverse;
use std::path::PathBuf;

use super::{Devices, ProbedDevice};
use crate::boot::root::multi_device::MemberDevice;
use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::disk::{self, Member};
use crate::sys::DeviceError;
use crate::sys::block::{self, BlockDevice};

/// Attributes of the Discoverable Partitions Specification: mount read-only; do not mount
/// automatically.
const READ_ONLY: u64 = 1 << 60;
const NO_AUTO: u64 = 1 << 63;
/// Type GUID of an EFI system partition.
const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";

/// A device that a name stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::boot::root) struct Candidate {
    /// Path of the node.
    pub(in crate::boot::root) node: PathBuf,
    /// Device number: major and minor.
    pub(in crate::boot::root) number: (u32, u32),
    /// Filesystem type of the superblock, if it is one that can be mounted.
    pub(in crate::boot::root) fstype: Option<String>,
    /// blkid's TYPE of the content, whatever it is.
    pub(in crate::boot::root) kind: Option<&'static str>,
    /// Membership of the device in a filesystem that may span several.
    pub(in crate::boot::root) member: Option<Member>,
    /// Whether the partition entry asks for a read-only mount.
    pub(in crate::boot::root) read_only: bool,
    /// Why the content is not known.
    pub(in crate::boot::root) error: Option<DeviceError>,
    /// Nodes of other devices that the name stands for too, except those of the same filesystem.
    pub(in crate::boot::root) duplicates: Vec<String>,
}

/// The content that a device needs if it is looked up by UUID= or LABEL=.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::boot::root) enum Content {
    /// A filesystem.
    Filesystem,
    /// Anything.
    Any,
}

impl Devices {
    /// Returns the device that `name` stands for. If there are several, the first one by node name
    /// is used, or the newest one of the filesystem on it. Returns `None` as long as this is not
    /// known.
    pub(in crate::boot::root) fn find(
        &mut self,
        name: &RootName,
        holds: Content,
    ) -> Option<Candidate> {
        // Its start overlaps with the loads that make the first device appear.
        let _ = self.probers.prepare();
        self.list();
        match name {
            RootName::Device(path) => return self.by_path(path),
            RootName::Number(major, minor) => {
                return self.by_number((*major, *minor));
            }
            RootName::Link(_) => self.probers.wants_links = true,
            _ => {}
        }
        self.ask(|_| true);
        self.choose(name, holds)
    }

    /// Returns the one of the devices that have been read that `name` stands for.
    fn choose(&mut self, name: &RootName, holds: Content) -> Option<Candidate> {
        match name {
            _ if self.is_undecided() || !name.may_be_block_device() => None,
            RootName::GptAuto => self.by_type(),
            RootName::Link(link) => self.by_link(link),
            _ => self.by_name(name, holds),
        }
    }

    fn by_path(&mut self, path: &str) -> Option<Candidate> {
        let node = self.dir.join(byte_text::to_path(path));
        let number = block::number_at(&node)?;
        if !self.listed.iter().any(|listed| listed.device.number == number) {
            self.is_stale = true;
            self.list();
        }
        let mut candidate = match self.listed.iter().any(|l| l.device.number == number) {
            true => self.by_number(number)?,
            false => unknown(number),
        };
        if !candidate.node.starts_with(self.dir.join("dev/mapper")) {
            candidate.node = node;
        }
        Some(candidate)
    }

    /// Returns the device with this number, once it has been read.
    fn by_number(&mut self, number: (u32, u32)) -> Option<Candidate> {
        self.ask(|device| device.number == number);
        let listed = self.listed.iter().find(|listed| listed.device.number == number)?;
        listed.probed.as_ref().map(|known| self.candidate(known))
    }

    /// Returns the device that udev would link to, or that an existing link points to.
    fn by_link(&mut self, link: &str) -> Option<Candidate> {
        let path = format!("disk/{link}");
        let hits = self.probed().filter(|k| k.seen.links.contains(&path)).collect();
        match self.first_of(hits) {
            None => self.by_path(&format!("/dev/{path}")),
            found => found,
        }
    }

    fn by_name(&self, name: &RootName, holds: Content) -> Option<Candidate> {
        let mut hits: Vec<_> = self.probed().filter(|k| matches_name(k, name, holds)).collect();
        if let RootName::Label(_) = name {
            prefer_sprouts(&mut hits);
        }
        let offset = match name {
            RootName::PartUuid(_, offset) => *offset,
            _ => 0,
        };
        if offset == 0 {
            return self.first_of(hits);
        }
        let first = hits.first()?;
        let hit = self.sibling(first, offset)?;
        Some(Candidate { duplicates: duplicates(&hits, first), ..self.candidate(hit) })
    }

    /// Returns the partition whose type is that of a root. Disks that also have an EFI system
    /// partition are preferred.
    fn by_type(&self) -> Option<Candidate> {
        let wanted = disk::root_type_guid()?;
        let of_type = |k: &ProbedDevice, kind: &str| {
            k.entry.as_ref().is_some_and(|e| e.kind == kind && e.attributes & NO_AUTO == 0)
        };
        let mut hits: Vec<_> = self.probed().filter(|k| of_type(k, wanted)).collect();
        let has_esp = |hit: &&ProbedDevice| {
            self.probed().any(|k| k.device.disk == hit.device.disk && of_type(k, ESP))
        };
        hits.sort_by_key(|hit| !has_esp(hit));
        self.first_of(hits)
    }

    /// Returns the first of several devices, with the others as its duplicates.
    fn first_of(&self, hits: Vec<&ProbedDevice>) -> Option<Candidate> {
        let used = hits.iter().find(|hit| self.used == Some(hit.device.number));
        let newest = || {
            let first = hits.first()?;
            let same = hits.iter().filter(|hit| is_same(first, hit));
            same.min_by_key(|hit| Reverse(hit.member.map(|member| member.generation)))
        };
        let first = used.or_else(newest)?;
        Some(Candidate { duplicates: duplicates(&hits, first), ..self.candidate(first) })
    }

    /// Returns what [`Self::find`] returns, with `node` as the one that is used of several devices.
    pub(in crate::boot::root) fn find_used(
        &mut self,
        name: &RootName,
        node: &str,
    ) -> Option<Candidate> {
        let node = byte_text::to_path(node);
        let used = self.listed.iter().find(|l| l.device.usual_path(&self.dir) == *node);
        self.used = used.map(|listed| listed.device.number);
        let found = self.find(name, Content::Filesystem);
        self.used = None;
        found
    }

    /// Returns the devices of all filesystems of this type, sorted by name. A device below another
    /// one, such as the disk below a verity device, is none of them: it shows the same superblock.
    pub(in crate::boot::root) fn members(&self, kind: &str) -> Vec<MemberDevice> {
        let device = |known: &ProbedDevice| {
            let member = known.member.filter(|_| known.seen.kinds == [kind])?;
            let BlockDevice { number, name, .. } = &known.device;
            let device =
                MemberDevice { node: known.device.usual_path(&self.dir), number: *number, member };
            (!block::has_holders(&self.dir, name)).then_some(device)
        };
        self.probed().filter_map(device).collect()
    }

    /// Returns the devices whose content is of this type alone, sorted by name, each with the UUID
    /// of its content.
    #[cfg(feature = "stacks")]
    pub(in crate::boot::root) fn of_kind(
        &self,
        kind: &str,
    ) -> impl Iterator<Item = (&BlockDevice, Option<&str>)> {
        let known = self.probed().filter(move |known| known.seen.kinds == [kind]);
        known.map(|known| (&known.device, known.seen.uuid.as_deref()))
    }

    fn candidate(&self, known: &ProbedDevice) -> Candidate {
        let ProbedDevice { device, seen, entry, member, error, .. } = known;
        let kind = seen.kinds.first().copied().filter(|_| seen.kinds.len() == 1);
        Candidate {
            node: device.usual_path(&self.dir),
            number: device.number,
            fstype: kind.filter(|_| seen.is_filesystem).map(str::to_owned),
            kind,
            member: *member,
            read_only: seen.table == Some("gpt")
                && entry.as_ref().is_some_and(|e| e.attributes & READ_ONLY != 0),
            error: error.clone().filter(|_| seen.kinds.is_empty()),
            duplicates: Vec::new(),
        }
    }

    /// Returns the partition `offset` numbers after `from` on the same disk (PARTNROFF).
    fn sibling(&self, from: &ProbedDevice, offset: i32) -> Option<&ProbedDevice> {
        let number = from.device.partition?.checked_add_signed(offset)?;
        self.probed().find(|known| {
            known.device.disk == from.device.disk && known.device.partition == Some(number)
        })
    }
}

/// Returns the nodes of all devices but the first and those of its filesystem.
fn duplicates(hits: &[&ProbedDevice], first: &ProbedDevice) -> Vec<String> {
    let others = hits.iter().filter(|hit| !is_same(first, hit));
    others.map(|known| format!("/dev/{}", known.seen.name)).collect()
}

/// Returns whether two devices are the same, or belong to the same filesystem.
fn is_same(one: &ProbedDevice, other: &ProbedDevice) -> bool {
    let filesystem = |known: &ProbedDevice| Some(known.member?.filesystem);
    match filesystem(one) {
        None => one.device.name == other.device.name,
        some => some == filesystem(other),
    }
}

/// Drops the seeds of btrfs, if one of the others is a btrfs. A filesystem that is made of a seed,
/// a sprout, has its label until it is given another one.
fn prefer_sprouts(hits: &mut Vec<&ProbedDevice>) {
    let is_seed = |hit: &&ProbedDevice, seed| hit.member.is_some_and(|m| m.is_seed == seed);
    if hits.iter().any(|hit| hit.seen.kinds == ["btrfs"] && is_seed(hit, false)) {
        hits.retain(|hit| !is_seed(hit, true));
    }
}

/// Returns a device that sysfs does not list, or that has no medium.
fn unknown(number: (u32, u32)) -> Candidate {
    Candidate { number, ..Candidate::default() }
}

fn matches_name(known: &ProbedDevice, name: &RootName, holds: Content) -> bool {
    let seen = &known.seen;
    let content = seen.is_filesystem || holds == Content::Any;
    let same = |have: Option<&str>, want: &str| have.is_some_and(|h| h.eq_ignore_ascii_case(want));
    match name {
        RootName::Uuid(uuid) => content && same(seen.uuid.as_deref(), uuid),
        RootName::Label(label) => content && seen.label.as_ref() == Some(label),
        // Like the kernel, compares only as many characters as are given.
        RootName::PartUuid(uuid, _) => {
            same(seen.part_uuid.as_deref().and_then(|u| u.get(..uuid.len())), uuid)
        }
        RootName::PartLabel(label) => seen.part_label.as_ref() == Some(label),
        RootName::Number(major, minor) => known.device.number == (*major, *minor),
        RootName::Device(_) | RootName::Link(_) | RootName::GptAuto | RootName::Other(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::super::Listed;
    use super::*;
    use crate::disk::seen::SeenDevice;
    use crate::sys::probe_message::Entry;
    use crate::sys::{BootTime, Root};

    const ROOT: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

    /// Returns a partition of `disk` that has been read; the number is the last digit of its name.
    fn read(name: &str, disk: &str, kind: &str) -> Listed {
        let partition = name.chars().last().and_then(|c| c.to_digit(10));
        let (number, disk) = ((8, partition.unwrap_or(0)), partition.map(|_| disk.to_owned()));
        let device = BlockDevice { name: name.into(), number, partition, disk, size: 1 };
        let entry = Entry { kind: kind.into(), attributes: 0, uuid: None, label: None };
        let seen = SeenDevice {
            name: name.into(),
            kinds: vec!["ext4"],
            is_filesystem: true,
            label: Some("root".into()),
            part_uuid: Some(format!("uuid-{name}")),
            ..SeenDevice::default()
        };
        let entry = Some(entry);
        let probed = ProbedDevice {
            device: device.clone(),
            seen,
            entry,
            member: None,
            error: None,
            has_links: false,
        };
        Listed { probed: Some(probed), answered: BootTime::now(), ..Listed::new(device) }
    }

    /// Returns the device, not read since `ago`.
    fn asked(listed: Listed, ago: Duration) -> Listed {
        let ago = u64::try_from(ago.as_nanos()).unwrap();
        let since = BootTime::from_nanos(BootTime::now().as_nanos().saturating_sub(ago));
        Listed { probed: None, asked: Some(since), ..listed }
    }

    fn devices(mut all: Vec<Listed>) -> Devices {
        all.sort_unstable_by(|a, b| a.device.name.cmp(&b.device.name));
        let scratch = Root::at("/nonexistent");
        let mut devices = Devices::new(&scratch, Duration::from_secs(10));
        devices.is_stale = false;
        devices.listed = all;
        devices
    }

    /// Returns the node that is found, and the number of its duplicates.
    fn found(devices: &mut Devices, name: &str) -> Option<(String, usize)> {
        let name = RootName::parse(name).unwrap();
        // Not `find`, which starts a prober.
        let candidate = devices.choose(&name, Content::Filesystem)?;
        let node = candidate.node.file_name()?.to_string_lossy().into_owned();
        Some((node, candidate.duplicates.len()))
    }

    #[test]
    fn the_first_node_is_used_once_all_have_been_read() {
        let (one, two) = (|| read("vda1", "vda", ""), || read("vdb1", "vdb", ""));
        let mut both = devices(vec![two(), one()]);
        assert_eq!(found(&mut both, "LABEL=root"), Some(("vda1".into(), 1)));
        let mut waits = devices(vec![asked(one(), Duration::ZERO), two()]);
        assert_eq!(found(&mut waits, "LABEL=root"), None);
        assert!(waits.is_undecided() && waits.is_reading());
        let mut slow = devices(vec![asked(one(), Duration::from_secs(2)), two()]);
        assert_eq!(found(&mut slow, "LABEL=root"), Some(("vdb1".into(), 0)));
        assert!(!slow.is_undecided() && slow.is_reading());
    }

    /// No other event need follow the end of the patience with a slow device.
    #[test]
    fn the_end_of_a_wait_for_a_slow_device_is_news_once() {
        let one = || read("vda1", "vda", "");
        for (listed, holds, want) in [
            (one(), false, [false, false]),
            (one(), true, [true, false]),
            (asked(one(), Duration::ZERO), true, [false, false]),
            (asked(one(), Duration::from_secs(2)), true, [true, false]),
            (asked(one(), Duration::from_secs(2)), false, [false, false]),
        ] {
            let mut all = devices(vec![listed]);
            all.holds_lookups = holds;
            let got = [all.releases_lookups(), all.releases_lookups()];
            assert_eq!(got, want, "{holds} {:?}", all.listed);
        }
    }

    /// Returns a btrfs device, and the others as they are described: node, filesystem, index,
    /// generation, whether it is a seed.
    fn btrfs(all: &[(&str, u128, u64, u64, bool)]) -> Devices {
        let device = |(name, filesystem, index, generation, is_seed): &(&str, _, _, _, _)| {
            let mut listed = read(name, "", "");
            listed.device.number.1 = name.bytes().last().map_or(0, u32::from);
            let probed = listed.probed.as_mut().unwrap();
            let (filesystem, index, generation) = (*filesystem, *index, *generation);
            let (total, is_seed) = (2, *is_seed);
            probed.device = listed.device.clone();
            probed.member = Some(Member { filesystem, index, generation, total, is_seed });
            probed.seen.kinds = vec!["btrfs"];
            listed
        };
        devices(all.iter().map(device).collect())
    }

    #[test]
    fn one_name_may_stand_for_several_btrfs() {
        let a = ("vda", 1, 1, 5, false);
        for (all, want) in [
            (&[a, ("vdb", 1, 2, 5, false)][..], ("vda", 0)),
            (&[a, ("vdb", 2, 1, 5, false)], ("vda", 1)),
            (&[a, ("vdb", 2, 1, 9, false), ("vdc", 2, 2, 9, false)], ("vda", 2)),
            (&[a, ("vdb", 1, 1, 5, false)], ("vda", 0)),
            (&[a, ("vdb", 1, 1, 6, false), ("vdc", 2, 1, 9, false)], ("vdb", 1)),
            (&[a, ("vdb", 1, 2, 6, false)], ("vdb", 0)),
            (&[("vda", 1, 1, 5, true), ("vdb", 2, 2, 6, false)], ("vdb", 0)),
            (
                &[("vda", 1, 1, 5, true), ("vdb", 2, 2, 6, false), ("vdc", 3, 2, 6, false)],
                ("vdb", 1),
            ),
            (&[("vda", 1, 1, 5, true)], ("vda", 0)),
            (&[("vda", 1, 1, 5, true), ("vdb", 2, 2, 6, true)], ("vda", 1)),
        ] {
            let want = (want.0.to_owned(), want.1);
            assert_eq!(found(&mut btrfs(all), "LABEL=root"), Some(want), "{all:?}");
        }
        let mut other = read("vdb", "", "");
        other.device.number.1 = 9;
        other.probed.as_mut().unwrap().device = other.device.clone();
        let mut seed = btrfs(&[("vda", 1, 1, 5, true)]);
        seed.listed.push(other);
        let kept = found(&mut seed, "LABEL=root");
        assert_eq!(kept, Some(("vda".to_owned(), 1)), "an ext4 is no sprout");
    }

    /// The UUID of a bcachefs can be changed; what its devices share is an internal one.
    #[test]
    fn one_uuid_may_stand_for_several_bcachefs() {
        for (second, want) in [((1, 1), 0), ((1, 0), 0), ((2, 1), 1)] {
            let (filesystem, index) = second;
            let mut all = btrfs(&[("vda", 1, 0, 5, false), ("vdb", filesystem, index, 5, false)]);
            for listed in &mut all.listed {
                let seen = &mut listed.probed.as_mut().unwrap().seen;
                (seen.kinds, seen.uuid) = (vec!["bcachefs"], Some("5a".to_owned()));
            }
            let found = found(&mut all, "UUID=5A");
            assert_eq!(found, Some(("vda".to_owned(), want)), "{second:?}");
            assert_eq!(all.members("bcachefs").len(), 2);
        }
    }

    #[test]
    fn a_disk_below_another_device_is_no_copy_of_it() {
        let scratch = tempfile::tempdir().unwrap();
        let mut all = btrfs(&[("dm-0", 1, 1, 5, false), ("vda", 1, 1, 5, false)]);
        all.dir = Root::at(scratch.path());
        for (holders, want) in [("", 2), ("vda/holders", 2), ("vda/holders/dm-0", 1)] {
            fs::create_dir_all(all.dir.join("sys/class/block").join(holders)).unwrap();
            assert_eq!(all.members("btrfs").len(), want, "{holders}");
        }
        assert!(all.members("bcachefs").is_empty());
    }

    #[test]
    fn the_device_that_is_used_comes_first() {
        let mut all =
            btrfs(&[("vda", 1, 1, 5, false), ("vdb", 2, 1, 5, false), ("vdc", 2, 2, 5, false)]);
        all.used = all.listed.last().map(|listed| listed.device.number);
        assert_eq!(found(&mut all, "LABEL=root"), Some(("vdc".to_owned(), 1)));
    }

    #[test]
    fn a_link_leads_to_a_device_whose_links_are_known() {
        let linked = |name: &str, links: &[&str]| {
            let mut listed = read(name, "", "");
            let probed = listed.probed.as_mut().unwrap();
            probed.seen.links = links.iter().map(|&link| link.to_owned()).collect();
            probed.has_links = true;
            listed
        };
        let ask =
            |listed: Listed, ago| Listed { asked: asked(read("x", "", ""), ago).asked, ..listed };
        let (now, before) = (Duration::ZERO, Duration::from_secs(2));
        let (first, second) =
            (|| linked("vda", &["disk/by-id/a"]), || linked("vdb", &["disk/by-id/a"]));
        let unknown = || read("vdb", "", "");
        for (all, want) in [
            (vec![first(), second()], Some(("vda", 1))),
            (vec![linked("vda", &["disk/by-id/b"]), second()], Some(("vdb", 0))),
            (vec![first(), ask(unknown(), now)], None),
            (vec![first(), ask(unknown(), before)], Some(("vda", 0))),
            (vec![linked("vda", &[]), ask(unknown(), before)], None),
        ] {
            let mut devices = devices(all);
            devices.probers.wants_links = true;
            let want = want.map(|(node, duplicates)| (node.to_owned(), duplicates));
            assert_eq!(found(&mut devices, "/dev/disk/by-id/a"), want, "{:?}", devices.listed);
        }
    }

    #[test]
    fn a_device_is_read_again_for_its_links() {
        let (now, mut listed) = (BootTime::now(), read("vda", "", ""));
        assert!(!listed.is_due(now, false) && listed.is_due(now, true));
        listed.asked = Some(now);
        assert!(!listed.is_due(now, true));
        assert_eq!((listed.awaited_since(false), listed.awaited_since(true)), (None, Some(now)));
        listed.probed.as_mut().unwrap().has_links = true;
        assert_eq!(listed.awaited_since(true), None);
    }

    #[test]
    fn a_device_whose_probers_die_is_read_again_after_growing_pauses() {
        let second = |s: u64| BootTime::from_nanos(s * 1_000_000_000);
        let mut listed = Listed { probed: None, ..read("vda", "", "") };
        let mut now = 100;
        for pause in [1, 2, 4, 8, 16, 32, 32] {
            listed.asked = Some(second(now));
            listed.give_up(second(now));
            assert!(listed.skipped.is_some() && listed.awaited_since(false).is_none());
            assert!(!listed.is_due(second(now + pause - 1), false), "{pause}");
            now += pause;
            assert!(listed.is_due(second(now), false), "{pause}");
        }
        listed.asked = Some(second(now));
        assert!(!listed.is_due(second(now + 60), false), "a request is under way");
        listed.clear_faults();
        listed.give_up(second(now));
        assert!(listed.is_due(second(now + 1), false), "an answer clears what was before");
        let mut all = devices(vec![listed, read("vdb", "vdb", "")]);
        assert!(all.has_retries() && !all.is_reading() && !all.is_undecided());
        assert_eq!(found(&mut all, "LABEL=root"), Some(("vdb".into(), 0)));
    }

    #[test]
    fn a_disk_with_an_efi_partition_is_preferred() {
        let all =
            vec![read("vda1", "vda", ROOT), read("vdb1", "vdb", ESP), read("vdb2", "vdb", ROOT)];
        let wanted = disk::root_type_guid() == Some(ROOT);
        let want = wanted.then(|| ("vdb2".to_owned(), 1));
        assert_eq!(found(&mut devices(all), "gpt-auto"), want);
    }

    #[test]
    fn partnroff_counts_on_the_same_disk() {
        let all =
            || vec![read("vda1", "vda", ""), read("vda2", "vda", ""), read("vdb3", "vdb", "")];
        for (name, want) in [
            ("PARTUUID=uuid-vda1/PARTNROFF=1", Some("vda2")),
            ("PARTUUID=uuid-vda1/PARTNROFF=2", None),
            ("PARTUUID=UUID-VDB", Some("vdb3")),
        ] {
            let want = want.map(|node| (node.to_owned(), 0));
            assert_eq!(found(&mut devices(all()), name), want, "{name}");
        }
    }
}
