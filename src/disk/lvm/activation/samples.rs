//! Compares tables, names and UUIDs with those that Debian's lvm2 gave the same metadata.
//!
//! ```text
//! samples, made from the output of the recipes in qemu-tests/data/made/lvm:
//!   UUID NUMBER SECTORS                   of each device
//!                                         (an empty line)
//!   what `dmsetup table` printed
//!                                         (an empty line)
//!   NAME UUID MAJOR MINOR ATTRIBUTES      what `dmsetup info -c` printed
//!                                         (an empty line)
//!   the metadata
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::id::Id;
use super::*;

struct Sample {
    group: Group,
    devices: Vec<Option<Device>>,
    /// Name → attributes, UUID and lines of the table, with names for numbers.
    want: BTreeMap<String, (bool, String, Vec<String>)>,
}

fn number(text: &str) -> (u32, u32) {
    let (major, minor) = text.split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

fn sample(text: &str) -> Sample {
    let parts: Vec<&str> = text.splitn(4, "\n\n").collect();
    let [devices, table, info, metadata] = parts[..] else { panic!("{text}") };
    let metadata =
        format!("contents = \"Text Format Volume Group\"\nversion = 1\n{}", strip(metadata));
    let group = Group::parse(metadata.as_bytes()).unwrap();
    let device = |id: &Id| {
        let mut lines = devices.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let line = lines.find(|line| Id::parse(line[0]) == Some(*id))?;
        Some(Device { number: number(line[1]), sectors: line[2].parse().unwrap() })
    };
    let devices = group.physical.iter().map(|physical| device(&physical.id)).collect();
    let info: Vec<Vec<&str>> = info.lines().map(|line| line.split(' ').collect()).collect();
    let name_of = |word: &str| {
        let known = info.iter().find(|line| word == format!("{}:{}", line[2], line[3]));
        known.map_or(word, |line| line[0]).to_owned()
    };
    let lines = |name: &str| -> Vec<String> {
        let lines = table.lines().filter_map(|line| line.strip_prefix(&format!("{name}: ")));
        lines.map(|line| line.split(' ').map(name_of).collect::<Vec<_>>().join(" ")).collect()
    };
    let want = info.iter().map(|line| {
        let (name, uuid, is_read_only) = (line[0], line[1], line[4].ends_with('r'));
        (name.to_owned(), (is_read_only, uuid.to_owned(), lines(name)))
    });
    Sample { devices, want: want.collect(), group }
}

/// Returns the metadata without what stands before the group.
fn strip(metadata: &str) -> &str {
    let lines = metadata.lines().take_while(|line| !line.ends_with(" {"));
    &metadata[lines.map(|line| line.len() + 1).sum()..]
}

/// Returns a line without what differs although the metadata is the same: a new array keeps
/// `nosync` until it is activated again, the guest had no monitor of mirrors, and the kernel prints
/// another `max_write_behind` than it was given.
fn normal(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if let Some(at) = words.iter().position(|word| *word == "max_write_behind") {
        words[at + 1] = "N";
    }
    if words.contains(&"raid") {
        words.remove(4);
        words.retain(|word| *word != "nosync");
    }
    words.join(" ").trim_end_matches(" 1 handle_errors").to_owned()
}

fn check(name: &str, text: &str) -> usize {
    let Sample { group, devices, want } = sample(text);
    let active = group.volumes.iter().enumerate().filter(|(_, volume)| {
        let (mapped, _) = top(&group, volume);
        group.is_visible(volume) && want.contains_key(&mapped)
    });
    let mut got = BTreeMap::new();
    let mut count = 0;
    for (at, _) in active {
        let Ok(made) = activate(&group, &devices, &[at], true) else { continue };
        count += 1;
        for Mapping { name, uuid, read_only, targets, .. } in made.mappings {
            let line = |target: Target| {
                let Target { start, sectors, kind, parameters } = target;
                let words = parameters.into_iter().map(|word| match word {
                    Word::Text(text) | Word::Mapped(text) => text,
                    Word::Device((major, minor)) => format!("{major}:{minor}"),
                });
                let words: Vec<String> = words.collect();
                format!("{start} {sectors} {kind} {}", words.join(" ")).trim_end().to_owned()
            };
            let lines: Vec<String> = targets.into_iter().map(line).collect();
            got.insert(name, (read_only, uuid, lines));
        }
    }
    let is_refused = name.contains("cache");
    assert_eq!(count == 0, is_refused, "{name}: {count} volumes");
    for (mapped, (read_only, uuid, lines)) in &got {
        let (want_read_only, want_uuid, want_lines) =
            want.get(mapped).unwrap_or_else(|| panic!("{name}: lvm2 has no {mapped}"));
        let [lines, want_lines] = [lines, want_lines]
            .map(|lines| lines.iter().map(|line| normal(line)).collect::<Vec<_>>());
        assert_eq!(
            (read_only, uuid, lines),
            (want_read_only, want_uuid, want_lines),
            "{name}: {mapped}"
        );
    }
    assert!(is_refused || got.len() == want.len(), "{name}: {:?} of {:?}", got.keys(), want.keys());
    got.len()
}

#[test]
fn tables_are_those_of_lvm2() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/disk/lvm/fixtures");
    let (mut samples, mut devices) = (0, 0);
    for entry in fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sample") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            devices += check(&name, &fs::read_to_string(&path).unwrap());
            samples += 1;
        }
    }
    assert!(samples >= 32 && devices >= 158, "{samples} samples, {devices} devices");
}
