//! Surveys and starts in a tree of files.

use std::fs;

use super::*;
use crate::disk::md::samples;
use crate::sys::Root;

/// Makes a tree with devices that hold superblocks, an mdadm.conf, and a free array md127.
fn tree(devices: &[(&str, Vec<u8>)], config: &str) -> (tempfile::TempDir, Vec<Node>) {
    let scratch = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = scratch.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put("etc/mdadm/mdadm.conf", config.as_bytes());
    put("etc/hostname", b"# name\npc\n");
    put("sys/module/md_mod/parameters/new_array", b"");
    put("sys/module/md_mod/parameters/start_dirty_degraded", b"");
    put("sys/class/block/md127/dev", b"9:127\n");
    put("sys/block/md127/md/array_state", b"clear\n");
    put("sys/block/md127/md/metadata_version", b"");
    put("sys/block/md127/md/new_dev", b"");
    put("dev/md127", b"");
    let mut nodes = Vec::new();
    for (name, image) in devices {
        put(&format!("dev/{name}"), image);
        // A regular file has the device number 0:0.
        put(&format!("sys/class/block/{name}/dev"), b"0:0\n");
        put(&format!("sys/class/block/{name}/size"), (image.len() / 512).to_string().as_bytes());
        let path = Path::new("/dev").join(name);
        nodes.push(Node { path, number: (0, 0), size: image.len() as u64 });
    }
    (scratch, nodes)
}

fn text(scratch: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(scratch.path().join(path)).unwrap()
}

#[test]
fn an_array_is_found_and_started() {
    let devices = [0, 1].map(|number| samples::version_1("pc:root", number, 10));
    let [one, other] = devices;
    let (scratch, nodes) = tree(&[("sda", one), ("sdb", other), ("sdc", vec![0; 65536])], "");
    let dir = Root::at(scratch.path());
    let found = survey(&dir, &nodes);
    assert_eq!(found.notes, ["/dev/sdc: no md superblock"]);
    let [array] = &found.arrays[..] else { panic!("{found:?}") };
    assert_eq!((array.device.as_str(), array.link.as_deref()), ("md127", Some("root")));
    assert_eq!((array.level, array.module, array.version), ("raid1", "raid1", "1.2"));
    assert_eq!((&array.state, array.members.len()), (&State::Complete, 2));
    let started = start(&dir, array, Permission::Complete).unwrap();
    assert_eq!((started.number, &*started.links), ((9, 127), &["md/root".to_owned()][..]));
    assert_eq!(text(&scratch, "sys/block/md127/md/metadata_version"), "1.2");
    assert_eq!(text(&scratch, "sys/block/md127/md/array_state"), "read-auto");
    let link = fs::read_link(scratch.path().join("dev/md/root")).unwrap();
    assert_eq!(link, Path::new("../md127"));
    let map = format!("md127 1.2 {} /dev/md/root\n", array.uuid);
    assert_eq!(text(&scratch, "run/mdadm/map"), map);
    // A second start, of an array that runs now.
    let holders = scratch.path().join("sys/dev/block/0:0/holders/md127");
    fs::create_dir_all(holders).unwrap();
    let again = survey(&dir, &nodes);
    assert_eq!(
        (&again.arrays[0].state, again.arrays[0].link.as_deref()),
        (&State::Active, Some("root"))
    );
    assert_eq!(start(&dir, &again.arrays[0], Permission::Complete).unwrap(), started);
    assert_eq!(text(&scratch, "run/mdadm/map"), map);
}

#[test]
fn an_array_that_is_not_complete_needs_permission() {
    let (scratch, nodes) = tree(&[("sda", samples::version_1("pc:0", 0, 10))], "");
    let dir = Root::at(scratch.path());
    let found = survey(&dir, &nodes);
    let array = &found.arrays[0];
    assert_eq!((&*array.device, array.link.as_deref()), ("md0", Some("0")));
    assert_eq!((&array.state, &*array.missing), (&State::Degraded, &[1][..]));
    let error = start(&dir, array, Permission::Complete).unwrap_err();
    assert_eq!(error.to_string(), "start the array /dev/md/0: devices are missing");
}

#[test]
fn mdadm_conf_excludes_arrays_and_devices() {
    for (config, want) in [
        ("AUTO -all", "AUTO in mdadm.conf excludes it"),
        ("ARRAY <ignore> name=pc:0", "ignores it"),
        ("ARRAY <ignore> name=pc:0\nARRAY name=pc:0", "several ARRAY lines"),
        ("ARRAY /dev/sys name=pc:0", "no name of an md device"),
    ] {
        let (scratch, nodes) = tree(&[("sda", samples::version_1("pc:0", 0, 10))], config);
        let found = survey(&Root::at(scratch.path()), &nodes);
        let State::Refused(reason) = &found.arrays[0].state else { panic!("{found:?}") };
        assert!(reason.contains(want), "{reason}");
    }
    let (scratch, nodes) = tree(&[("sda", samples::version_1("pc:0", 0, 10))], "DEVICE /dev/vd*");
    let found = survey(&Root::at(scratch.path()), &nodes);
    assert!(found.arrays.is_empty(), "{found:?}");
    assert_eq!(found.notes, ["/dev/sda: DEVICE in mdadm.conf excludes it"]);
}
