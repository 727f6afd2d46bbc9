//! A machine with several disks, and the near misses of many names on it.

use super::tags::distance;
use super::*;

fn filesystem(name: &str, kind: &'static str, uuid: &str, label: &str) -> SeenDevice {
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    SeenDevice {
        name: name.into(),
        kinds: vec![kind],
        is_filesystem: !matches!(kind, "crypto_LUKS" | "LVM2_member" | "swap"),
        uuid: text(uuid),
        label: text(label),
        ..SeenDevice::default()
    }
}

fn on(disk: &str, number: u32, table: &'static str, uuid: &str, seen: SeenDevice) -> SeenDevice {
    SeenDevice {
        disk: Some(disk.into()),
        partition: Some(number),
        table: Some(table),
        part_uuid: Some(uuid.into()),
        part_label: (table == "gpt").then(|| format!("part {number}")),
        ..seen
    }
}

fn disk(name: &str, table: &'static str) -> SeenDevice {
    SeenDevice { name: name.into(), table: Some(table), ..SeenDevice::default() }
}

fn machine() -> Vec<SeenDevice> {
    const GPT: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    vec![
        disk("vda", "gpt"),
        on("vda", 1, "gpt", GPT, filesystem("vda1", "ext4", "aaaa-1111-22", "Root")),
        on("vda", 2, "gpt", "x", filesystem("vda2", "crypto_LUKS", "bbbb", "")),
        filesystem("vdb", "xfs", "cccc", "data"),
        disk("sda", "dos"),
        on("sda", 1, "dos", "89abcdef-01", filesystem("sda1", "ext4", "dddd", "backup")),
        on("sda", 3, "dos", "89abcdef-03", filesystem("sda3", "swap", "eeee", "swap")),
        SeenDevice { kinds: vec!["ext4", "xfs"], uuid: Some("ffff".into()), ..disk("vdc", "") },
        SeenDevice {
            usual_name: Some("vg0/home".into()),
            ..filesystem("dm-1", "ext4", "12345678", "people")
        },
    ]
}

#[test]
fn the_nearest_device_and_the_cause_are_named() {
    for (root, want) in [
        ("LABEL=root", "vda1 has LABEL=Root: upper and lower case differ"),
        ("LABEL=Rot", "vda1 has LABEL=Root: one character differs"),
        ("LABEL=peeple", "vg0/home has LABEL=people: one character differs"),
        ("UUID=12345679", "vg0/home has UUID=12345678: one character differs"),
        ("PARTLABEL=people", "vg0/home has LABEL=people, not PARTLABEL"),
        ("people", "vg0/home has this LABEL: use root=LABEL=people"),
        ("LABEL=part 1", "vda1 has PARTLABEL=part 1, not LABEL"),
        ("PARTLABEL=Root", "vda1 has LABEL=Root, not PARTLABEL"),
        ("PARTLABEL=Part 1", "vda1 has PARTLABEL=part 1: upper and lower case differ"),
        ("UUID=aaaa-1111-23", "vda1 has UUID=aaaa-1111-22: one character differs"),
        ("UUID=bbbb", "vda2 has this UUID, but holds crypto_LUKS, which is locked"),
        ("UUID=eeee", "sda3 has this UUID, but holds swap, which is not a filesystem"),
        (
            "UUID=ffff",
            "vdc has this UUID, but holds ext4 and xfs signatures at once: remove the stale one \
             with wipefs(8)",
        ),
        ("UUID=89abcdef-01", "sda1 has PARTUUID=89abcdef-01, not UUID"),
        (
            "PARTUUID=12345678-01",
            "12345678-01 has the format of an MBR, but vda has a GPT, whose PARTUUIDs have 36 \
             characters",
        ),
        ("PARTUUID=89abcdef-02", "sda has disk ID 89abcdef, but no partition 02, only 01, 03"),
        ("PARTUUID=cccc", "vdb has UUID=cccc, not PARTUUID"),
        (
            "PARTUUID=89abcdef-01/PARTNROFF=1",
            "sda1 has this PARTUUID, but its disk has no partition 2 (PARTNROFF=1)",
        ),
        ("/dev/vda3", "vda has partitions 1, 2 only"),
        ("/dev/vdb1", "vdb has no partitions; the whole disk is xfs"),
        ("/dev/sdb1", "no sdb, but sda1 ext4 UUID=dddd LABEL=backup PARTUUID=89abcdef-01"),
        ("/dev/nvme0n1", "no nvme0n1, but sda (dos partition table)"),
        ("/dev/mapper/vg-root", "vda2 holds crypto_LUKS, which is locked"),
        ("Root", "vda1 has this LABEL: use root=LABEL=Root"),
        ("vdb", "vdb is a device: use root=/dev/vdb"),
        ("nfs:box:/srv", "the server of a root on NFS has to be an IPv4 address"),
        ("nfs4:[fe80::1]:/srv,soft", "the server of a root on NFS has to be an IPv4 address"),
        ("box.example.org:/srv", "the server of a root on NFS has to be an IPv4 address"),
        ("gpt-auto", "vda has a GPT, but no root partition for this architecture"),
    ] {
        let lines = near_misses(&RootName::parse(root).unwrap(), &machine());
        assert_eq!(lines.first().map(String::as_str), Some(want), "{root}: {lines:#?}");
    }
}

#[test]
fn distant_names_are_not_listed() {
    for root in ["LABEL=completely", "UUID=0", "PARTUUID=zz", "8:1", "/dev/disk/by-id/x"] {
        assert!(near_misses(&RootName::parse(root).unwrap(), &machine()).is_empty(), "{root}");
    }
    assert!(near_misses(&RootName::parse("/dev/sda1").unwrap(), &[]).is_empty());
}

#[test]
fn characters_that_differ() {
    for (a, b, want) in [
        ("", "", 0),
        ("ab", "ab", 0),
        ("ab", "ac", 1),
        ("ab", "b", 1),
        ("ab", "ba", 2),
        ("a", "wxyz", 3),
        ("abcdef", "uvwxyz", 3),
    ] {
        assert_eq!(distance(a, b), want, "{a} {b}");
    }
}

#[test]
fn links_that_lead_nowhere() {
    let disk = |name: &str, links: &[&str], part: Option<u32>| SeenDevice {
        name: name.into(),
        links: links.iter().map(|l| format!("disk/{l}")).collect(),
        partition: part,
        disk: part.map(|_| "sda".into()),
        ..SeenDevice::default()
    };
    let seen = [
        disk("sda", &["by-id/ata-X_1", "by-path/pci-0"], None),
        disk("sda1", &["by-id/ata-X_1-part1"], Some(1)),
        disk("vdb", &["by-id/virtio-data"], None),
    ];
    for (wanted, want) in [
        ("by-id/ata-X_1-part2", &["sda has partitions 1 only"][..]),
        (
            "by-id/ata-X_2",
            &["sda is /dev/disk/by-id/ata-X_1", "vdb is /dev/disk/by-id/virtio-data"],
        ),
        ("by-path/pci-1", &["sda is /dev/disk/by-path/pci-0"]),
        ("by-other/x", &[]),
    ] {
        assert_eq!(near_misses(&RootName::Link(wanted.into()), &seen), want, "{wanted}");
    }
}

#[test]
fn the_links_of_a_disk_that_is_skipped_are_unknown() {
    let disk = |links: &[&str]| SeenDevice {
        name: "vdb".into(),
        links: links.iter().map(|&link| link.to_owned()).collect(),
        error: Some("did not answer within 3 s".into()),
        ..SeenDevice::default()
    };
    let plain = "vdb: did not answer within 3 s";
    let unknown = "vdb: did not answer within 3 s; its links in /dev/disk are unknown";
    for (wanted, links, want) in [
        ("LABEL=x", &[][..], plain),
        ("ID=x", &[], unknown),
        ("/dev/disk/by-path/x", &[], unknown),
        ("ID=x", &["disk/by-path/y"], plain),
    ] {
        let name = RootName::parse(wanted).unwrap();
        assert_eq!(near_misses(&name, &[disk(links)]), [want], "{wanted}");
    }
}
