//! Surveys of devices in files.

use std::fs;
use std::path::Path;

use super::*;
use crate::disk::lvm::device_for_tests::device;
use crate::stacks::Node;

/// A group with the volumes `root` on the first of two devices and `both`, an array on both.
const TEXT: &str = r#"contents = "Text Format Volume Group"
version = 1
vg0 {
    id = "VVVVVV-0000-0000-0000-0000-0000-000001"
    seqno = 3
    status = ["RESIZEABLE", "READ", "WRITE"]
    flags = []
    extent_size = 2048
    physical_volumes {
        pv0 {
            id = "PPPPPP-0000-0000-0000-0000-0000-000000"
            device = "/dev/sda2"
            status = ["ALLOCATABLE"]
            flags = []
            pe_start = 2048
            pe_count = 31
        }
        pv1 {
            id = "PPPPPP-0000-0000-0000-0000-0000-000001"
            device = "/dev/sdb2"
            status = ["ALLOCATABLE"]
            flags = []
            pe_start = 2048
            pe_count = 31
        }
    }
    logical_volumes {
        root {
            id = "LLLLLL-0000-0000-0000-0000-0000-000000"
            status = ["READ", "WRITE", "VISIBLE"]
            segment_count = 1
            segment1 {
                start_extent = 0
                extent_count = 2
                type = "striped"
                stripe_count = 1
                stripes = ["pv0", 0]
            }
        }
        both {
            id = "LLLLLL-0000-0000-0000-0000-0000-000001"
            status = ["READ", "WRITE", "VISIBLE"]
            segment_count = 1
            segment1 {
                start_extent = 0
                extent_count = 1
                type = "raid1"
                device_count = 2
                region_size = 1024
                raids = ["both_rimage_0", "both_rimage_1"]
            }
        }
        both_rimage_0 {
            id = "LLLLLL-0000-0000-0000-0000-0000-000002"
            status = ["READ", "WRITE"]
            segment_count = 1
            segment1 {
                start_extent = 0
                extent_count = 1
                type = "striped"
                stripe_count = 1
                stripes = ["pv0", 2]
            }
        }
        both_rimage_1 {
            id = "LLLLLL-0000-0000-0000-0000-0000-000003"
            status = ["READ", "WRITE"]
            segment_count = 1
            segment1 {
                start_extent = 0
                extent_count = 1
                type = "striped"
                stripe_count = 1
                stripes = ["pv1", 0]
            }
        }
    }
}
"#;
const FIRST: &str = "PPPPPP-0000-0000-0000-0000-0000-000000";
const SECOND: &str = "PPPPPP-0000-0000-0000-0000-0000-000001";

/// A tree with devices.
struct Tree {
    scratch: tempfile::TempDir,
    nodes: Vec<Node>,
}

impl Tree {
    fn new(devices: &[(&str, &str)]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let nodes = devices.iter().zip(0..).map(|((id, text), minor)| {
            let path = scratch.path().join(format!("sd{minor}"));
            fs::write(&path, device(id, text.as_bytes())).unwrap();
            Node { path, number: (8, minor), size: 128 << 20 }
        });
        let nodes = nodes.collect();
        Self { scratch, nodes }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.scratch.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn survey(&self) -> Survey {
        survey(&Root::at(self.scratch.path()), &self.nodes)
    }

    /// Returns a text without the path of the tree.
    fn short(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.scratch.path().display()), "")
    }
}

fn state(group: &VolumeGroup, name: &str) -> VolumeState {
    group.volume(name).unwrap().state.clone()
}

#[test]
fn a_whole_group_is_ready() {
    let tree = Tree::new(&[(FIRST, TEXT), (SECOND, TEXT)]);
    let survey = tree.survey();
    let [group] = &survey.groups[..] else { panic!("{survey:?}") };
    assert_eq!((&*group.name, &group.problem, &group.missing[..]), ("vg0", &None, &[][..]));
    assert!(group.devices.iter().flatten().count() == 2);
    assert_eq!(survey.notes, Vec::<String>::new());
    for name in ["root", "both"] {
        assert_eq!(state(group, name), VolumeState::Ready);
    }
    let made = plan(group, &["both"], false).unwrap();
    assert_eq!(made.modules, ["dm_mod", "dm_raid", "raid1"]);
    let names: Vec<_> = made.mappings.iter().map(|mapping| &*mapping.name).collect();
    assert_eq!(names, ["vg0-both_rimage_0", "vg0-both_rimage_1", "vg0-both"]);
    assert_eq!(plan(group, &["home"], false).unwrap_err(), "volume vg0/home: does not exist");
}

#[test]
fn volumes_know_the_devices_that_they_lack() {
    let tree = Tree::new(&[(FIRST, TEXT)]);
    let survey = tree.survey();
    let group = &survey.groups[0];
    let missing = MissingDevice { uuid: SECOND.into(), last_node: "/dev/sdb2".into() };
    assert_eq!(group.missing, std::slice::from_ref(&missing));
    assert_eq!(state(group, "root"), VolumeState::Ready);
    let lacks = VolumeState::Missing { devices: vec![missing], is_covered: true };
    assert_eq!(state(group, "both"), lacks);
    assert!(plan(group, &["root"], false).is_ok() && plan(group, &["both"], true).is_ok());
    assert_eq!(plan(group, &["both"], false).unwrap_err(), "volume vg0/both: devices are missing");
}

#[test]
fn groups_of_others_are_refused() {
    let with = |line: &str| TEXT.replace("    seqno = 3", &format!("    seqno = 3\n    {line}"));
    let exported = TEXT.replace("\"RESIZEABLE\"", "\"RESIZEABLE\", \"EXPORTED\"");
    for (text, conf, want) in [
        (exported, "", Some("is exported")),
        (
            TEXT.replace("\"READ\", \"WRITE\"]\n    flags", "\"READ\"]\n    flags"),
            "",
            Some("is read-only"),
        ),
        (with("lock_type = \"sanlock\""), "", Some("is shared and needs the lock manager sanlock")),
        (with("lock_type = \"none\""), "", None),
        (
            with("system_id = \"other\""),
            "",
            Some("belongs to the system other, and this one has no name for LVM"),
        ),
        (
            with("system_id = \"other\""),
            "local { system_id = \"me\" }\nglobal { system_id_source = \"lvmlocal\" }",
            Some("belongs to the system other, and this one is me"),
        ),
        (
            with("system_id = \"me\""),
            "local { system_id = \"me\" }\nglobal { system_id_source = \"lvmlocal\" }",
            None,
        ),
    ] {
        let tree = Tree::new(&[(FIRST, &text), (SECOND, &text)]);
        tree.write("etc/lvm/lvmlocal.conf", conf);
        assert_eq!(tree.survey().groups[0].problem.as_deref(), want, "{conf}");
    }
}

#[test]
fn duplicates_are_named_unless_one_is_below_the_other() {
    let tree = Tree::new(&[(FIRST, TEXT), (SECOND, TEXT), (FIRST, TEXT)]);
    let problem = tree.survey().groups[0].problem.clone().unwrap();
    assert_eq!(tree.short(&problem), "the same physical volume is on sd0 and sd2");
    // The first device is a path of the third.
    tree.write("sys/dev/block/8:0/holders/dm-0", "");
    tree.write("sys/class/block/dm-0/dev", "8:2\n");
    let group = tree.survey().groups.remove(0);
    assert_eq!(group.problem, None);
    assert_eq!(group.devices[0].map(|device| device.number), Some((8, 2)));
}

#[test]
fn the_newest_metadata_counts() {
    let newer = TEXT.replace("seqno = 3", "seqno = 4").replace("root {", "system {");
    let tree = Tree::new(&[(FIRST, TEXT), (SECOND, &newer)]);
    let group = tree.survey().groups.remove(0);
    assert!(group.volume("system").is_some() && group.volume("root").is_none());
    let notes: Vec<_> = group.notes.iter().map(|note| tree.short(note)).collect();
    assert_eq!(notes, ["sd0: stale metadata 3 ignored, 4 is used"]);

    let other = TEXT.replace("root {", "system {");
    let tree = Tree::new(&[(FIRST, TEXT), (SECOND, &other)]);
    let problem = tree.survey().groups[0].problem.clone();
    assert_eq!(problem.as_deref(), Some("its devices hold different metadata with number 3"));
}

#[test]
fn the_devices_file_limits_the_devices() {
    let tree = Tree::new(&[(FIRST, TEXT), (SECOND, TEXT)]);
    let file = format!("IDTYPE=devname IDNAME=/dev/x PVID={FIRST}\nIDTYPE=new IDNAME=x\n");
    tree.write("etc/lvm/devices/system.devices", &file);
    let survey = tree.survey();
    assert_eq!(survey.groups[0].missing.len(), 1);
    let notes: Vec<_> = survey.notes.iter().map(|note| tree.short(note)).collect();
    let want =
        ["devices file: entry of unknown type new ignored", "sd1: not in the devices file of lvm2"];
    assert_eq!(notes, want);
    tree.write("etc/lvm/lvm.conf", "devices { use_devicesfile = 0 }");
    assert_eq!(tree.survey().groups[0].missing.len(), 0);
}

#[test]
fn damaged_metadata_is_named() {
    let tree = Tree::new(&[(FIRST, "vg0 {"), (SECOND, TEXT)]);
    let mut bytes = fs::read(&tree.nodes[1].path).unwrap();
    bytes[4096 + 600] ^= 1;
    fs::write(&tree.nodes[1].path, bytes).unwrap();
    let survey = tree.survey();
    assert!(survey.groups.is_empty());
    let notes: Vec<_> = survey.notes.iter().map(|note| tree.short(note)).collect();
    let want = [
        "sd0: metadata, line 1: the text ends within a section",
        "sd1: the checksum of the metadata is wrong",
    ];
    assert_eq!(notes, want);
    assert!(survey_of(Path::new("/nowhere/sda")).contains("No such file"));
}

fn survey_of(path: &Path) -> String {
    let node = Node { path: path.to_owned(), number: (8, 0), size: 0 };
    survey(&Root::default(), &[node]).notes.join("\n")
}
