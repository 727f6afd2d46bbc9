//! Records that are shown: of real boots, and made of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{paths, tool};
use serde_json::{Value, json};

/// Names of the records, and how to make them.
pub(crate) const RECORDS: [(&str, fn() -> Value); 8] = [
    ("3 modules", || first(3)),
    ("virtio", || real("virtio")),
    ("fleet", || real("fleet")),
    ("fleet of version 0.1.0", || real("fleet-0.1.0")),
    ("100 threads", || with_threads(real("fleet"), 100)),
    ("8 threads", || with_threads(real("virtio"), 8)),
    ("no root", || real("no-root")),
    ("hostile", hostile),
];

/// Writes the page of a record into `dir`. Returns its path.
pub(crate) fn page(record: &Value, dir: &Path) -> PathBuf {
    let (file, out) = (dir.join("record.json"), dir.join("page.html"));
    fs::write(&file, record.to_string()).unwrap();
    let mut command = Command::new(paths::program("coldplug"));
    tool::run(command.args(["report", "--html"]).arg(&out).arg(&file));
    out
}

/// Returns a record of a real boot in qemu-tests/data/records.
pub(crate) fn real(name: &str) -> Value {
    let path = paths::data("records").join(format!("{name}.json"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns the boot of a virtual machine with only its first `count` modules.
fn first(count: usize) -> Value {
    let mut record = real("virtio");
    let modules = record["modules"].as_array_mut().unwrap();
    modules.retain(|module| module["name"].as_str().unwrap().starts_with("virtio"));
    modules.truncate(count);
    record
}

/// Spreads the loads over many threads, and adds parts of the loads and waits of about equal length.
pub(crate) fn with_threads(mut record: Value, threads: usize) -> Value {
    let mut free_us = vec![0; threads];
    let mut modules: Vec<Value> = record["modules"].as_array().unwrap().clone();
    modules.sort_by_key(|module| module["start_us"].as_u64());
    for module in &mut modules {
        let time = |key: &str| module[key].as_u64().unwrap_or(0);
        let (start, end) = (time("start_us"), time("end_us"));
        let live = module["live_us"].as_u64().unwrap_or(end);
        let Some(lane) = free_us.iter().position(|free| *free <= start) else { continue };
        free_us[lane] = end;
        let part = |n: u64| start + (live - start) * n / 10;
        module["lane"] = lane.into();
        module["queued_us"] = start.saturating_sub(700).into();
        module["read_us"] = part(1).into();
        module["decoded_us"] = part(4).into();
        module["kernel_us"] = part(5).into();
        module["size"] = 40960.into();
    }
    let init_us = record["init_boottime_ns"].as_u64().unwrap() / 1000;
    let phase = |n: usize| init_us + record["phases_us"][n][1].as_u64().unwrap();
    record["waits"] = json!([
        { "for": "the root device /dev/vda", "from_us": phase(1), "to_us": phase(2) },
        { "for": "modules of the root: ext4", "from_us": phase(2), "to_us": phase(3) },
        { "for": "devices to settle", "from_us": phase(3), "to_us": phase(4) },
    ]);
    record["kernel_us"] = json!([
        ["image unpacking", init_us / 3],
        ["image freed", init_us * 9 / 10],
        ["init", init_us],
    ]);
    record["modules"] = modules.into();
    record["jobs"] = threads.into();
    record["schema"] = 1.into();
    record
}

/// Returns a record whose texts and times are meant to do harm.
pub(crate) fn hostile() -> Value {
    let mut record = real("virtio");
    record["kernel"] = "</title><script>document.title = 'harm'</script>".into();
    record["verdict"] = "\"><img src=x onerror=\"document.title='harm'\">".into();
    record["warnings"] = json!(["</ul><script>document.title = 'harm'</script>", "x".repeat(3000)]);
    record["phases_us"] = json!([["scan", 9_000_000], ["</svg><b>", 5], ["late", u64::MAX]]);
    record["kernel_us"] = json!([["<b>", 1], ["\u{202e}abc", 2]]);
    let base = record["modules"][0].clone();
    for n in 0..60u64 {
        let mut module = base.clone();
        module["name"] = match n % 5 {
            0 => "</script><script>document.title = 'harm'</script>".into(),
            1 => "\u{1b}[2J\u{0}\u{9b}".into(),
            2 => "名前".repeat(40).into(),
            3 => format!("m{n}").into(),
            _ => Value::Null,
        };
        module["start_us"] = (1_700_000 + n * 500).into();
        module["end_us"] = if n % 7 == 0 { u64::MAX.into() } else { (1_650_000 + n * 9000).into() };
        module["live_us"] = json!("NaN");
        module["lane"] = json!(n * 1_000_000_007 % 9);
        module["device"] = "' onfocus='document.title = \"harm\"'".into();
        record["modules"].as_array_mut().unwrap().push(module);
    }
    record
}
