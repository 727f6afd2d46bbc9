//! Tables of one group that has every type of segment.

use super::super::availability::{self, State};
use super::*;

const TEXT: &[u8] = include_bytes!("../fixtures/every_type.txt");

fn group() -> Group {
    Group::parse(TEXT).unwrap()
}

/// Returns the devices of the group without those in `missing`.
fn devices(missing: &[usize]) -> Vec<Option<Device>> {
    let device = |at: usize| Device { number: (8, u32::try_from(at).unwrap()), sectors: 262_144 };
    (0..6).map(|at| (!missing.contains(&at)).then(|| device(at))).collect()
}

/// Returns the devices of a volume as `dmsetup table` prints them, with names for numbers.
fn table(name: &str, missing: &[usize]) -> String {
    let group = group();
    let volume = group.find(name).unwrap();
    let made = match activate(&group, &devices(missing), &[volume], !missing.is_empty()) {
        Ok(made) => made,
        Err(error) => return error,
    };
    let mut out = String::new();
    for Mapping { name, read_only, targets, links, .. } in &made.mappings {
        for Target { start, sectors, kind, parameters } in targets {
            out.push_str(&format!("{name}: {start} {sectors} {kind}"));
            for word in parameters {
                match word {
                    Word::Text(text) | Word::Mapped(text) => out.push_str(&format!(" {text}")),
                    Word::Device((major, minor)) => out.push_str(&format!(" {major}:{minor}")),
                }
            }
            out.push('\n');
        }
        let read_only = if *read_only { " read-only" } else { "" };
        if !links.is_empty() || *read_only != *"" {
            out.push_str(&format!("  {}{read_only}\n", links.join(" ")));
        }
    }
    out
}

fn check(name: &str, want: &[&str]) {
    let want: String = want.iter().map(|line| format!("{line}\n")).collect();
    assert_eq!(table(name, &[]), want);
}

#[test]
fn adjacent_segments_are_one_target() {
    check(
        "root",
        &[
            "vg--0-root: 0 24576 linear 8:0 2048",
            "vg--0-root: 24576 8192 linear 8:1 2048",
            "  vg-0/root",
        ],
    );
    check("ro-lv", &["vg--0-ro--lv: 0 8192 linear 8:1 10240", "  vg-0/ro-lv read-only"]);
    check("err", &["vg--0-err: 0 16384 error", "vg--0-err: 16384 8192 zero", "  vg-0/err"]);
}

#[test]
fn stripes_have_a_size() {
    check("stripe", &["vg--0-stripe: 0 32768 striped 2 128 8:0 26624 8:1 18432", "  vg-0/stripe"]);
}

#[test]
fn arrays_stand_on_pairs_of_devices() {
    check(
        "r1",
        &[
            "vg--0-r1_rmeta_0: 0 8192 linear 8:0 59392",
            "vg--0-r1_rimage_0: 0 16384 linear 8:0 43008",
            "vg--0-r1_rmeta_1: 0 8192 linear 8:1 51200",
            "vg--0-r1_rimage_1: 0 16384 linear 8:1 34816",
            "vg--0-r1: 0 16384 raid raid1 5 0 write_mostly 1 region_size 4096 2 \
             vg--0-r1_rmeta_0 vg--0-r1_rimage_0 vg--0-r1_rmeta_1 vg--0-r1_rimage_1",
            "  vg-0/r1",
        ],
    );
    for (name, want) in [
        ("r5", "raid raid5_ls 3 128 region_size 4096 3 vg--0-r5_rmeta_0 vg--0-r5_rimage_0"),
        ("r10", "raid raid10 5 128 region_size 4096 raid10_copies 2 4 vg--0-r10_rmeta_0"),
        ("r0", "raid raid0 1 128 2 - vg--0-r0_rimage_0 - vg--0-r0_rimage_1\n"),
        ("r6", "raid raid6_zr 5 128 rebuild 2 region_size 4096 5 vg--0-r6_rmeta_0"),
    ] {
        let table = table(name, &[]);
        assert!(table.contains(want), "{table}");
    }
}

#[test]
fn mirrors_have_a_log() {
    let table = table("mir", &[]);
    let want = "vg--0-mir: 0 16384 mirror disk 2 vg--0-mir_mlog 4096 2 vg--0-mir_mimage_0 0 \
                vg--0-mir_mimage_1 0 1 handle_errors\n";
    assert!(table.contains(want), "{table}");
}

#[test]
fn thin_volumes_stand_on_the_hidden_pool() {
    let pool = [
        "vg--0-pool_tmeta: 0 8192 linear 8:4 18432",
        "vg--0-pool_tdata: 0 32768 linear 8:3 34816",
        "vg--0-pool-tpool: 0 32768 thin-pool vg--0-pool_tmeta vg--0-pool_tdata 128 0 0",
    ];
    let and = |rest: &[&'static str]| [&pool[..], rest].concat();
    check("thin", &and(&["vg--0-thin: 0 65536 thin vg--0-pool-tpool 1", "  vg-0/thin"]));
    check(
        "pool",
        &and(&["vg--0-pool: 0 32768 linear vg--0-pool-tpool 0", "  vg-0/pool read-only"]),
    );
    let table = table("ext", &[]);
    assert!(table.contains("vg--0-base-real: 0 16384 linear 8:3 75776\n   read-only"), "{table}");
    assert!(
        table.ends_with("65536 thin vg--0-pool-tpool 3 vg--0-base-real\n  vg-0/ext\n"),
        "{table}"
    );
}

#[test]
fn a_new_pool_has_no_device_above_it() {
    check(
        "newpool",
        &[
            "vg--0-newpool_tmeta: 0 8192 linear 8:4 43008",
            "vg--0-newpool_tdata: 0 8192 linear 8:4 34816",
            "vg--0-newpool: 0 8192 thin-pool vg--0-newpool_tmeta vg--0-newpool_tdata 256 0 3 \
             skip_block_zeroing no_discard_passdown error_if_no_space",
            "  vg-0/newpool",
        ],
    );
    let group = group();
    let volume = &group.volumes[group.find("newpool").unwrap()];
    assert!(top(&group, volume).1.ends_with("-tpool"));
}

#[test]
fn snapshots_come_before_their_origin() {
    let want = [
        "vg--0-orig-real: 0 16384 linear 8:3 92160",
        "vg--0-snap-cow: 0 8192 linear 8:4 26624",
        "vg--0-snap: 0 16384 snapshot vg--0-orig-real vg--0-snap-cow P 8",
        "  vg-0/snap",
        "vg--0-orig: 0 16384 snapshot-origin vg--0-orig-real",
        "  vg-0/orig",
    ];
    check("orig", &want);
    check("snap", &want);
}

#[test]
fn a_move_goes_on_with_its_first_open_segment() {
    check(
        "moving",
        &[
            "vg--0-pvmove0: 0 16384 linear 8:3 108544",
            "vg--0-pvmove0: 16384 16384 mirror core 1 4096 2 8:4 67584 8:3 124928",
            "vg--0-pvmove0: 32768 8192 linear 8:4 83968",
            "vg--0-moving: 0 40960 linear vg--0-pvmove0 0",
            "  vg-0/moving",
        ],
    );
}

#[test]
fn uuids_have_the_suffix_of_their_layer() {
    let group = group();
    let all = ["ext", "orig", "r1", "pool", "base"].map(|name| group.find(name).unwrap());
    let made = activate(&group, &devices(&[]), &all, false).unwrap();
    for (name, suffix) in [
        ("vg--0-pool_tmeta", "-tmeta"),
        ("vg--0-pool_tdata", "-tdata"),
        ("vg--0-pool-tpool", "-tpool"),
        ("vg--0-pool", "-pool"),
        ("vg--0-base-real", "-real"),
        ("vg--0-base", ""),
        ("vg--0-orig-real", "-real"),
        ("vg--0-snap-cow", "-cow"),
        ("vg--0-snap", ""),
        ("vg--0-r1_rimage_0", ""),
    ] {
        let mapping = made.mappings.iter().find(|mapping| mapping.name == name).unwrap();
        assert_eq!(mapping.uuid.get(68..), Some(suffix), "{name} {}", mapping.uuid);
    }
    assert_eq!(made.modules, ["dm_mod", "dm_thin_pool", "dm_snapshot", "dm_raid", "raid1"]);
    let pool = Pool { name: "vg--0-pool-tpool".into(), transaction_id: 2, has_messages: false };
    assert_eq!(made.pools, [pool]);
}

#[test]
fn a_missing_leg_is_an_error_device() {
    let degraded = table("r1", &[1]);
    for want in [
        "vg--0-r1_rmeta_1-missing_0_0: 0 8192 error\n",
        "vg--0-r1_rmeta_1: 0 8192 linear vg--0-r1_rmeta_1-missing_0_0 0\n",
        "vg--0-r1_rimage_1-missing_0_0: 0 16384 error\n",
        "vg--0-r1_rimage_1: 0 16384 linear vg--0-r1_rimage_1-missing_0_0 0\n",
    ] {
        assert!(degraded.contains(want), "{degraded}");
    }
    assert_eq!(table("root", &[1]), "a device of root is missing");
}

#[test]
fn states_tell_what_is_missing() {
    let group = group();
    let state = |name: &str, missing: &[usize]| {
        let present: Vec<bool> = (0..6).map(|at| !missing.contains(&at)).collect();
        match availability::state(&group, &present, group.find(name).unwrap()) {
            State::Ready => "ready".to_owned(),
            State::Missing { physical, is_covered } => format!("{physical:?} {is_covered}"),
            State::Refused(reason) => reason,
        }
    };
    for (name, missing, want) in [
        ("root", &[][..], "ready"),
        ("root", &[2, 3], "ready"),
        ("root", &[1], "[1] false"),
        ("r1", &[1], "[1] true"),
        ("r1", &[0, 1], "[0, 1] false"),
        ("onraid", &[1], "[1] true"),
        ("r5", &[2], "[2] true"),
        ("r5", &[1, 2], "[1, 2] false"),
        ("r6", &[1, 2], "[1, 2] true"),
        ("r6", &[1, 2, 3], "[1, 2, 3] false"),
        ("r10", &[0, 2], "[0, 2] true"),
        ("r10", &[0, 1], "[0, 1] false"),
        ("r0", &[1], "[1] false"),
        ("mir", &[1], "[1] false"),
        ("thin", &[4], "[4] false"),
        ("thin", &[5], "ready"),
        ("ext", &[3], "[3] false"),
        ("snap", &[3], "[3] false"),
        ("orig", &[4], "[4] false"),
        ("cached", &[], "cached has segments of type cache: not supported"),
    ] {
        assert_eq!(state(name, missing), want, "{name} {missing:?}");
    }
}

/// As lvm2 writes the metadata of a volume of VDO, with its pool.
#[test]
fn a_volume_of_vdo_is_refused_by_name() {
    let group = Group::parse(include_bytes!("../fixtures/vdo.txt")).unwrap();
    let refused = |text: &str| State::Refused(text.to_owned());
    for (name, want) in [
        ("root", refused("root has segments of type vdo: not supported")),
        ("vpool0", refused("vpool0 has segments of type vdo-pool: not supported")),
        ("other", State::Ready),
    ] {
        let volume = group.find(name).unwrap();
        assert_eq!(availability::state(&group, &[true], volume), want, "{name}");
    }
}

#[test]
fn only_volumes_for_users_are_visible() {
    let group = group();
    let visible = group.volumes.iter().filter(|volume| group.is_visible(volume));
    let names: Vec<_> = visible.map(|volume| &*volume.name).collect();
    assert_eq!(
        names.join(" "),
        "root ro-lv stripe r1 r5 r10 r0 r6 mir pool thin thinsnap ext base orig snap cached onraid \
         newpool err moving"
    );
    let skipped = group.volumes.iter().filter(|volume| volume.is_skipped());
    assert_eq!(skipped.map(|volume| &*volume.name).collect::<Vec<_>>(), ["thinsnap"]);
}

#[test]
fn a_short_device_is_noticed() {
    let group = group();
    let mut devices = devices(&[]);
    devices[1] = Some(Device { number: (8, 1), sectors: 4096 });
    let error = activate(&group, &devices, &[group.find("root").unwrap()], false).unwrap_err();
    assert_eq!(error, format!("root reaches past the end of {}", group.physical[1].id));
}

#[test]
fn metadata_that_contains_itself_is_an_error() {
    let text = String::from_utf8_lossy(TEXT).replace("\"r1\", 0", "\"onraid\", 0");
    let group = Group::parse(text.as_bytes()).unwrap();
    let volume = group.find("onraid").unwrap();
    let error = activate(&group, &devices(&[]), &[volume], false).unwrap_err();
    assert_eq!(error, "volume onraid contains itself");
}

#[test]
fn pools_must_be_as_the_metadata_says() {
    let pool =
        |transaction_id, has_messages| Pool { name: "p".into(), transaction_id, has_messages };
    let status = "2 13/1024 0/64 - rw discard_passdown queue_if_no_space - 1024";
    for (pool, status, want) in [
        (pool(2, false), status, None),
        (pool(0, false), status, None),
        (pool(3, true), status, None),
        (pool(3, false), status, Some("the thin pool has transaction_id 2, expected 3")),
        (pool(2, false), "Fail", Some("the kernel cannot use the thin pool")),
        (
            pool(2, false),
            "2 13/1024 0/64 - ro discard_passdown queue_if_no_space needs_check 1024",
            Some("the thin pool needs a repair: lvconvert --repair"),
        ),
    ] {
        assert_eq!(pool.problem(status).as_deref(), want, "{status}");
    }
}
