//! The critical path as a table.

use super::units::{duration, in_one_line, millis, put};
use crate::report::critical_path::{CriticalPath, Step, Work};
use crate::report::saved::{SavedRecord, Span};

/// Maximum width of the column of steps.
const MAX_WIDTH: usize = 64;

/// Returns the critical path of a boot: each step with its start, its length and what it waited
/// for. If the root was there by another path, that one is shown first. Times are in ms since the
/// entry of /init.
pub(crate) fn critical(record: &SavedRecord) -> String {
    let path = CriticalPath::of(record);
    let mut text = String::new();
    if record.boot.from_us > 0 {
        put(&mut text, &format!("before /init: {}", duration(record.boot.from_us)));
    }
    if let Some(to_root) = path.to_root(record) {
        let device = record.root.device.as_deref().unwrap_or("the root device");
        put(&mut text, &format!("path to {device}"));
        table(record, &to_root, &format!("until {device} was there"), &mut text);
        put(&mut text, "");
        put(&mut text, "path to the verdict");
    }
    let verdict = record.verdict.as_deref().unwrap_or("none");
    table(record, &path, &format!("until the verdict: {verdict}"), &mut text);
    text
}

/// Appends the table of a path.
fn table(record: &SavedRecord, path: &CriticalPath, sum: &str, text: &mut String) {
    let steps: Vec<_> = path.steps.iter().map(|step| (step, step_words(record, step))).collect();
    let longest = steps.iter().map(|(_, words)| words.chars().count()).max().unwrap_or(0);
    let width = longest.clamp("step".len(), MAX_WIDTH);
    let mut line = |from: &str, took: &str, step: &str, after: &str| {
        put(text, &format!("{from:>12}  {took:>12}  {step:width$}  {after}"));
    };
    line("start", "time", "step", "waited for");
    let ms = |us| format!("{} ms", millis(us));
    let mut found_us = record.root_found_us();
    for (step, words) in &steps {
        if let Some(us) = found_us.filter(|us| step.span.from_us >= *us) {
            let device = record.root.device.as_deref().unwrap_or("the root device");
            line(&ms(record.since_init_us(us)), "", &format!("-- {device} is there"), "");
            found_us = None;
        }
        let from = ms(record.since_init_us(step.span.from_us));
        line(&from, &ms(step.span.len_us()), words, &in_one_line(&step.after));
    }
    line("sum", &ms(path.sum_us()), sum, "");
}

/// Returns what was done in a step, with the parts of a load.
pub(super) fn step_words(record: &SavedRecord, step: &Step) -> String {
    let Work::Load(at) = step.work else { return own_words(step) };
    let Some(module) = record.modules.get(at) else { return own_words(step) };
    let mut parts: Vec<String> = Vec::new();
    if step.waited_us >= 100 {
        parts.push(format!("queue {}", millis(step.waited_us)));
    }
    for (what, span) in module.load.map(|load| load.parts(record.boot.to_us)).unwrap_or_default() {
        let to_us = span.to_us.min(step.span.to_us);
        let cut = Span::new(span.from_us.max(step.span.from_us).min(to_us), to_us);
        if cut.len_us() >= 100 {
            parts.push(format!("{what} {}", millis(cut.len_us())));
        }
    }
    match parts.as_slice() {
        [] | [_] => format!("load {}", module.name),
        parts => format!("load {} ({})", module.name, parts.join(", ")),
    }
}

fn own_words(step: &Step) -> String {
    match &step.work {
        Work::Own(words) => in_one_line(words),
        Work::Load(_) => "load".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::saved::tests::record;
    use super::*;

    /// Two paths: the root is there after its driver, the boot ends after a slower module.
    const BOOT: &str = r#""init_boottime_ns": 1000000, "time_ms": 50, "verdict": "ok",
        "phases_us": [["mounts", 1000], ["scan", 5000], ["root device", 20000], ["mount", 22000],
        ["load", 45000], ["close", 46000], ["switch", 49000]],
        "root": {"device": "/dev/vda", "fstype": "ext4", "modules": ["blk"]}, "modules": [
        {"name": "pci", "outcome": "loaded", "device": "pci0/1", "modalias": "pci:v1",
         "start_us": 5000, "live_us": 11000, "end_us": 12000},
        {"name": "blk", "outcome": "loaded", "device": "pci0/1/virtio0", "modalias": "virtio:d2",
         "start_us": 11050, "end_us": 22000},
        {"name": "lib", "outcome": "loaded", "why": "dependency of slow", "start_us": 4000,
         "end_us": 30000},
        {"name": "slow", "outcome": "loaded", "device": "pci0/2", "start_us": 30000,
         "end_us": 44000}]"#;

    #[test]
    fn steps_are_contiguous() {
        let want = "\
before /init: 1.0 ms
path to /dev/vda
       start          time  step                              waited for
      0.0 ms        1.0 ms  mount /dev, /proc, /sys and /run  entry of /init
      1.0 ms        3.0 ms  scan for devices                  end of mounts
      4.0 ms        6.0 ms  load pci                          device pci0/1
     10.0 ms       10.0 ms  load blk                          device pci0/1/virtio0, by pci
         sum       20.0 ms  until /dev/vda was there

path to the verdict
       start          time  step                              waited for
      0.0 ms        1.0 ms  mount /dev, /proc, /sys and /run  entry of /init
      1.0 ms        2.0 ms  scan for devices                  end of mounts
      3.0 ms       26.0 ms  load lib                          request of slow
     20.0 ms                -- /dev/vda is there
     29.0 ms       14.0 ms  load slow                         lib live
     43.0 ms        2.0 ms  wait until devices have settled   slow loaded
     45.0 ms        1.0 ms  stop loading                      end of load
     46.0 ms        3.0 ms  switch to the new root            end of close
     49.0 ms        1.0 ms  last checks, record and verdict   end of switch
         sum       50.0 ms  until the verdict: ok
";
        let record = SavedRecord::parse(&format!("{{{BOOT}}}")).unwrap();
        assert_eq!(critical(&record), want);
    }

    /// `late` ends between the start of the load and its call of the kernel: the load, one by
    /// `coldplug finish`, did not wait for it.
    #[test]
    fn a_load_follows_what_it_comes_after() {
        let modules = |outcome: &str| {
            record(&format!(
                r#""time_ms": 30, "verdict": "ok", "phases_us": [["load", 30000]], "modules": [
            {{"name": "user", "outcome": "{outcome}", "start_us": 1000, "end_us": 12000}},
            {{"name": "late", "outcome": "loaded", "start_us": 1000, "end_us": 19000}},
            {{"name": "post", "outcome": "loaded", "why": "softdep of user", "after": ["user", "late"],
             "queued_us": 900, "start_us": 12500, "kernel_us": 20000, "end_us": 30000}}]"#
            ))
        };
        for (outcome, want) in [("loaded", "user live"), ("failed", "the end of user")] {
            let text = critical(&modules(outcome));
            let lines: Vec<_> = text.lines().filter(|line| line.contains("load post")).collect();
            assert!(lines.len() == 1 && lines[0].ends_with(want), "{text}");
        }
    }

    #[test]
    fn what_the_record_says_of_waits_is_used() {
        let record = record(
            r#""time_ms": 100, "verdict": "ok", "phases_us": [["scan", 10000], ["load", 100000]],
            "waits": [{"for": "a passphrase", "from_us": 20000, "to_us": 90000}], "modules": []"#,
        );
        let text = critical(&record);
        for line in [
            "     10.0 ms       10.0 ms  wait until devices have settled  end of scan",
            "     20.0 ms       70.0 ms  wait: a passphrase               end of scan",
            "     90.0 ms       10.0 ms  wait until devices have settled  end of scan",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_root_that_is_not_found_was_waited_for() {
        let record =
            SavedRecord::parse(include_str!("../../../qemu-tests/data/records/no-root.json"));
        let text = critical(&record.unwrap());
        assert!(text.contains("wait for LABEL=none, not found"), "{text}");
        assert!(text.ends_with("until the verdict: no-root\n"), "{text}");
    }

    /// Times of any kind leave the sum whole.
    #[test]
    fn the_sum_is_the_whole_time() {
        for json in [
            include_str!("../../../qemu-tests/data/records/virtio.json"),
            include_str!("../../../qemu-tests/data/records/fleet.json"),
            include_str!("../../../qemu-tests/data/records/fleet-0.1.0.json"),
            include_str!("../../../qemu-tests/data/records/no-root.json"),
        ] {
            // Some random changes, the same in every run.
            for seed in 0..40u64 {
                let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
                let mut state = seed;
                for module in value["modules"].as_array_mut().unwrap() {
                    for key in ["start_us", "live_us", "end_us", "queued_us", "kernel_us"] {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                        if seed > 0 && state >> 61 == 0 {
                            module[key] = (state >> 20).into();
                        } else if seed > 0 && state >> 61 == 1 {
                            module[key] = (1_600_000 + (state >> 42)).into();
                        }
                    }
                }
                let record = SavedRecord::from_value(&value).unwrap();
                let path = CriticalPath::of(&record);
                assert_eq!(path.sum_us(), record.boot.len_us());
                let ends =
                    path.steps.windows(2).all(|two| two[0].span.to_us == two[1].span.from_us);
                assert!(ends, "{seed}: {:?}", path.steps);
            }
        }
    }
}
