//! `coldplug report`: where it finds a record, and what it writes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::files::put;
use harness::run::Test;
use harness::{image, paths, tests, tool};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    a_record_is_found_in_an_image,
    outputs_are_written,
    many_boots_are_summed_up,
];

/// Runs `coldplug report` in `dir`. Returns whether it succeeded, and what it printed.
fn report(dir: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let output = command.arg("report").args(args).current_dir(dir).stdin(Stdio::null());
    let output = output.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn saved(name: &str) -> Vec<u8> {
    fs::read(paths::data("records").join(name)).unwrap()
}

/// Returns the time of a record.
fn time_ms(name: &str) -> u64 {
    let record: serde_json::Value = serde_json::from_slice(&saved(name)).unwrap();
    record["time_ms"].as_u64().unwrap()
}

fn a_record_is_found_in_an_image() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, dir) = (scratch.path().join("tree"), scratch.path());
    put(&tree, "etc/coldplug/record.json", &saved("virtio.json"), 0o644);
    put(&tree, "init", b"#!/bin/sh\n", 0o755);
    fs::write(dir.join("plain.img"), image::archive(&tree)).unwrap();
    fs::write(dir.join("packed.img"), image::archive(&tree)).unwrap();
    tool::run(tool::command("gzip", "gzip").arg(dir.join("packed.img")));
    fs::remove_file(tree.join("etc/coldplug/record.json")).unwrap();
    fs::write(dir.join("without.img"), image::archive(&tree)).unwrap();
    let end = format!("verdict: ok in {} ms\n", time_ms("virtio.json"));
    for name in ["plain.img", "packed.img.gz"] {
        let (is_ok, text) = report(dir, &[name]);
        assert!(is_ok && text.ends_with(&end), "{name}: {text}");
    }
    let (is_ok, text) = report(dir, &["--critical", "without.img"]);
    let why = "without.img: etc/coldplug/record.json: not found in the image";
    assert_eq!((is_ok, text), (false, format!("coldplug report: {why}\n")));
}

fn outputs_are_written() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::write(dir.join("a"), saved("fleet.json")).unwrap();
    for (option, start) in [("--html", "<!DOCTYPE html>"), ("--svg", "<svg ")] {
        assert_eq!(report(dir, &[option, "out", "a"]), (true, String::new()));
        let text = fs::read_to_string(dir.join("out")).unwrap();
        assert!(text.starts_with(start) && text.contains("virtio_blk"));
        let (_, printed) = report(dir, &[option, "-", "a"]);
        assert_eq!(printed, text);
        let (is_ok, error) = report(dir, &[option, "none/out", "a"]);
        assert!(!is_ok && error.contains("none/out"), "{error}");
    }
    let (is_ok, error) = report(dir, &["--tree", "--module", "nonsense", "a"]);
    let want = "coldplug report: a: no module 'nonsense' in the record\n";
    assert_eq!((is_ok, error.as_str()), (false, want));
    assert!(report(dir, &["-m", "virtio-blk", "a"]).1.contains("\nvirtio_blk  loaded"));
}

fn many_boots_are_summed_up() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    for n in 0..9 {
        fs::write(dir.join(format!("{n}.json")), saved("virtio.json")).unwrap();
    }
    fs::write(dir.join("9.json"), saved("no-root.json")).unwrap();
    fs::write(dir.join("README"), "no record").unwrap();
    let (is_ok, text) = report(dir, &["--fleet", "."]);
    assert!(is_ok, "{text}");
    let slowest = format!("9.json {}.0 ms", time_ms("no-root.json"));
    for line in [
        "boots: 10; verdicts: no-root 1, ok 9",
        &slowest,
        "coldplug report: skipped: ./README: not a boot record",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
