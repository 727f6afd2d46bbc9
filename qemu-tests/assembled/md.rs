//! Arrays of md, made by mdadm: superblocks and choices of members, and roots on them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use coldplug::disk::md::members::{self, Candidate, State};
use coldplug::disk::md::{self, MdError, Metadata, Role, Version};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{recipe, tests, tool};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    superblocks_are_read_as_by_mdadm,
    arrays_are_those_of_mdadm_detail,
    members_are_chosen_by_event_counts,
];

/// A disk in a file.
struct Disk(File);

impl coldplug::disk::Source for Disk {
    fn size(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buf, offset)
    }
}

fn read(path: &Path) -> Result<Metadata, MdError> {
    md::read(&Disk(File::open(path).unwrap()))
}

/// Returns what `mdadm --examine` prints of a disk, by the names of the lines.
fn examine(path: &Path) -> BTreeMap<String, String> {
    let mut mdadm = tool::command("mdadm", "mdadm");
    let output = mdadm.arg("--examine").arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| {
        let (name, value) = line.split_once(" : ").or_else(|| line.split_once("   "))?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Returns the lines of `mdadm --examine` that a superblock stands for.
fn lines(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let is_old = metadata.version == Version::V0_90;
    let version = metadata.version.as_str();
    let mut lines = vec![
        ("Version", if is_old { "0.90.00".to_owned() } else { version.to_owned() }),
        (if is_old { "UUID" } else { "Array UUID" }, metadata.uuid_text()),
        ("Raid Level", metadata.level.as_str().to_owned()),
        ("Raid Devices", metadata.raid_disks.to_string()),
        ("State", if metadata.is_clean { "clean" } else { "active" }.to_owned()),
        ("Events", metadata.events.to_string()),
    ];
    if metadata.chunk > 0 {
        lines.push(("Chunk Size", format!("{}K", metadata.chunk / 2)));
    }
    if is_old {
        lines.push(("Preferred Minor", metadata.name.clone()));
        return lines;
    }
    if metadata.data_offset > 0 {
        lines.push(("Data Offset", format!("{} sectors", metadata.data_offset)));
    }
    let slots = 0..metadata.raid_disks;
    lines.extend([
        ("Name", metadata.name.clone()),
        (
            "Device Role",
            match metadata.role() {
                Role::Slot(slot) => format!("Active device {slot}"),
                Role::Journal => "Journal".to_owned(),
                Role::Spare | Role::Faulty => "spare".to_owned(),
            },
        ),
        (
            "Array State",
            slots.map(|slot| if metadata.has_slot(slot) { 'A' } else { '.' }).collect(),
        ),
    ]);
    lines
}

fn superblocks_are_read_as_by_mdadm() {
    let mut count = 0;
    for recipe in recipe::all() {
        let is_firmware = matches!(recipe.name.as_str(), "md-imsm" | "md-ddf");
        if !recipe.name.starts_with("md-") || is_firmware || recipe.name == "md-on-partitions" {
            continue;
        }
        for disk in made(&recipe.name).disks() {
            let text = examine(&disk);
            let metadata = read(&disk).unwrap_or_else(|e| panic!("{}: {e}", disk.display()));
            for (name, want) in lines(&metadata) {
                let found = text.get(name).map(String::as_str).unwrap_or_default();
                let found = match name {
                    "Name" | "UUID" | "Array State" => found.split(' ').next().unwrap(),
                    _ => found,
                };
                assert_eq!(found, want, "{}: {name}: {text:#?}", disk.display());
            }
            count += 1;
        }
    }
    assert!(count >= 100, "{count} superblocks");
}

/// What `mdadm --detail --export` printed of each array while it ran.
fn arrays_are_those_of_mdadm_detail() {
    let mut count = 0;
    for recipe in recipe::all() {
        let is_firmware = matches!(recipe.name.as_str(), "md-imsm" | "md-ddf");
        if !recipe.name.starts_with("md-") || is_firmware || recipe.name == "md-on-partitions" {
            continue;
        }
        let made = made(&recipe.name);
        let Some(device) = ["md0", "md3", "md126", "md127"]
            .into_iter()
            .find(|md| made.output(&format!("detail-{md}")).exists())
        else {
            continue;
        };
        let detail = made.text(&format!("detail-{device}"));
        let value = |name: &str| {
            let line = detail.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
            line.unwrap_or_default().to_owned()
        };
        let metadata = read(&made.disks()[0]).unwrap();
        let version = metadata.version.as_str();
        let row = &recipe.name;
        assert_eq!(value("MD_LEVEL"), metadata.level.as_str(), "{row}: {detail}");
        assert_eq!(value("MD_DEVICES"), metadata.raid_disks.to_string(), "{row}");
        assert_eq!(value("MD_METADATA"), version, "{row}");
        assert_eq!(value("MD_UUID"), metadata.uuid_text(), "{row}");
        if metadata.version != Version::V0_90 {
            assert_eq!(value("MD_NAME"), metadata.name, "{row}");
        }
        count += 1;
    }
    assert!(count >= 30, "{count} arrays");
}

/// Describes the choice among some disks of a recipe: state, slots that are missing and awaited,
/// disks that are left out.
fn chosen(recipe: &str, numbers: &[usize]) -> String {
    let disks = made(recipe).disks();
    let candidate = |number: &usize| {
        let metadata = read(&disks[*number]).unwrap();
        Candidate { path: format!("/dev/{number}"), sectors: 1 << 20, metadata }
    };
    let candidates: Vec<Candidate> = numbers.iter().map(candidate).collect();
    let selection = members::select(&candidates).unwrap();
    let left_out: Vec<usize> = selection.left_out.iter().map(|(at, _)| numbers[*at]).collect();
    let state = match selection.state {
        State::Refused(reason) => return reason.to_string(),
        state => state,
    };
    format!("{state:?} {:?} {:?} {left_out:?}", selection.missing, selection.awaited)
}

fn members_are_chosen_by_event_counts() {
    for (recipe, numbers, want) in [
        ("md-1-1.2", &[0, 1][..], "Complete [] [] []"),
        ("md-1-0.90", &[1], "Degraded [0] [0] []"),
        ("md-0-1.0", &[1], "Incomplete [0] [0] []"),
        ("md-10-1.2", &[0, 2], "Degraded [1] [1] []"),
        ("md-10-1.2", &[0], "Incomplete [1, 2] [1, 2] []"),
        ("md-6-0.90", &[3, 1], "Degraded [0, 2] [0, 2] []"),
        ("md-spare", &[0, 1, 2], "Complete [] [] []"),
        ("md-journal", &[0, 1, 2, 3], "Complete [] [] []"),
        ("md-journal", &[0, 1, 2], "DirtyDegraded [] [] []"),
        ("md-stale", &[0, 1], "Complete [1] [] [1]"),
        ("md-stale", &[1], "Degraded [0] [0] []"),
        ("md-stale-0.90", &[0, 1], "Complete [1] [] [1]"),
        ("md-failed-member", &[0, 1, 2], "Complete [1] [] [1]"),
        ("md-degraded-from-start", &[0, 1], "Complete [1] [] []"),
        ("md-rebuilding", &[0, 1, 2], "Complete [1] [] [1]"),
        ("md-dirty-degraded", &[3, 4], "DirtyDegraded [2] [2] []"),
        ("md-dirty", &[2, 3], "Complete [] [] []"),
        ("md-dirty", &[2], "Degraded [1] [1] []"),
    ] {
        assert_eq!(chosen(recipe, numbers), want, "{recipe} {numbers:?}");
    }
    let halves = chosen("md-halves", &[0, 1]);
    assert!(halves.starts_with("two halves claim to be the newest: /dev/"), "{halves}");
    assert!(chosen("md-dirty", &[0, 1, 2]).contains("both the member in slot 0"));
}
