//! One boot that reaches the real init, and its figures.

use harness::image;
use harness::kernel::Tree;
use harness::machine::{Facts, Machine};
use harness::measured::millis;
use harness::paths::program;
use harness::record::phases;
use serde_json::Value;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Deadline of a boot whose instructions are counted, on a busy host.
const DEADLINE: Duration = Duration::from_secs(900);

/// Words for every program: the start of entry.rs, a kernel log that keeps what it writes, no panic
/// if a busy host delays the timer, and no prompt of dracut if the root is not found.
const WORDS: &str = "rdinit=/bench-entry log_buf_len=4M no_timer_check root=/dev/vda rd.shell=0 \
                     rd.emergency=reboot";

/// What one boot took.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    /// From the start of the kernel to /init.
    pub(crate) before_ms: f64,
    /// From /init to the real init.
    pub(crate) init_ms: f64,
    /// Memory that is not available at the real init.
    pub(crate) used_kib: f64,
    /// Loaded modules, in order.
    pub(crate) modules: Vec<String>,
    /// Name and length in ms of each phase in coldplug's record.
    pub(crate) phases: Vec<(String, f64)>,
    /// Name of each module in coldplug's record, and the ms that it was in the kernel until it was
    /// live, the longest first.
    pub(crate) loads: Vec<(String, f64)>,
}

/// Returns a copy of `image` with entry.rs, in `dir`.
pub(crate) fn with_entry(image: &Path, dir: &Path) -> PathBuf {
    let entry = fs::read(program("examples/entry")).unwrap();
    let name = image.file_name().unwrap();
    image::overlay(image, &[("bench-entry", &entry)], &dir.join(name))
}

/// Boots a machine with the words of all and `words`, and returns what the real init has found.
///
/// # Errors
///
/// The real init was not reached: the message is the end of the console.
pub(crate) fn run(vm: Machine, words: &str) -> Result<Facts, String> {
    let vm = vm.deadline(DEADLINE).cmdline(WORDS).cmdline(words).may_panic();
    // The message is printed as the cause of a missing row.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let facts = catch_unwind(AssertUnwindSafe(|| vm.run().facts()));
    std::panic::set_hook(hook);
    facts.map_err(|cause| match cause.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "the boot failed".to_owned(),
    })
}

/// Boots an image with counted instructions.
///
/// # Errors
///
/// The real init was not reached.
pub(crate) fn timed(
    make: fn(&Tree, &Path) -> Machine,
    tree: &Tree,
    image: &Path,
    words: &str,
) -> Result<Figures, String> {
    Figures::new(&run(make(tree, image).timed(), words)?)
}

impl Figures {
    /// Reads the figures from the facts of a boot.
    ///
    /// # Errors
    ///
    /// entry.rs has left no time.
    pub(crate) fn new(facts: &Facts) -> Result<Self, String> {
        let time = |key: &str| facts.get(key).as_i64();
        let entry_ns = time("entry_ns").ok_or("no time of entry in the kernel log")?;
        let real_ns = time("boottime_ns").ok_or("no time of the real init")?;
        let record = if facts.get("record").is_string() { facts.record() } else { Value::Null };
        Ok(Self {
            before_ms: millis(entry_ns),
            init_ms: millis(real_ns - entry_ns),
            used_kib: count(facts.meminfo_kib("MemTotal") - facts.meminfo_kib("MemAvailable")),
            modules: facts.modules().into_iter().map(str::to_owned).collect(),
            phases: phases(&record),
            loads: loads(&record),
        })
    }
}

/// Returns the modules with the time that each was in the kernel, the longest first.
fn loads(record: &Value) -> Vec<(String, f64)> {
    let modules = record["modules"].as_array().into_iter().flatten();
    let mut loads: Vec<_> = modules
        .filter_map(|module| {
            let end_us = module["live_us"].as_i64().or_else(|| module["end_us"].as_i64())?;
            let took_us = end_us - module["kernel_us"].as_i64()?;
            Some((module["name"].as_str()?.to_owned(), millis(took_us * 1000)))
        })
        .collect();
    loads.sort_by(|a, b| b.1.total_cmp(&a.1));
    loads
}

/// Returns a count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts and sizes are below 2^53")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}
