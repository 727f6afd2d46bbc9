//! What a screen shows: a PC whose last console is a VGA card in text mode.

use std::time::{Duration, Instant};

use harness::disk::{DECOY, ROOT, UUID};
use harness::kernel::Kernel;
use harness::machine::{Bus, Machine, Running};
use harness::qmp::Qmp;
use harness::run::{BOOT, Test};
use harness::{image, screen, tests};
use serde_json::json;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_status_changes_in_place_until_the_root_appears,
    with_quiet_a_screen_shows_the_status_and_errors,
];

/// Longest wait for a change of the screen, on a busy host.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Interval at which the screen is read.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// What follows the times in the status: one disk, and the UUID without its middle.
const REST: [&str; 2] = [" s, found: vda; waiting for UUID=c01d9106-00", "00-000000000001"];

/// A machine with a screen.
struct Screen {
    machine: Running,
    qmp: Qmp,
}

impl Screen {
    /// Starts a machine whose root is a disk that can be plugged in. It has another disk, and
    /// stands still at its end.
    fn start(words: &str) -> Self {
        let (tree, image) = image::all_of(Kernel::Cloud61);
        let vm = Machine::new(&tree, &image).cmdline(&format!("root=UUID={UUID} console=tty0"));
        let vm = vm.cmdline(words).device("VGA").args(["-no-shutdown"]);
        let vm = vm.device("pcie-root-port,id=socket,chassis=1,slot=1");
        let vm = vm.attach(Bus::VirtioBlk, DECOY).attach(Bus::Unplugged, ROOT);
        let machine = vm.start();
        let qmp = machine.qmp();
        Self { machine, qmp }
    }

    /// Returns the rows that are not empty.
    fn rows(&mut self) -> Vec<String> {
        let mut rows = screen::rows(&mut self.qmp);
        rows.retain(|row| !row.is_empty());
        rows
    }

    /// Waits until the status shows a time of `least` seconds or more, and returns that. The screen
    /// may have one status only.
    fn wait_for_status(&mut self, least: u64, timeout_s: u64) -> u64 {
        let start = Instant::now();
        loop {
            let rows = self.rows();
            let statuses: Vec<_> = rows.iter().filter_map(|row| status(row)).collect();
            assert!(statuses.len() < 2, "a list of statuses: {rows:#?}");
            match statuses.first() {
                Some(&(time, limit, true)) if time >= least && limit == timeout_s => return time,
                _ => assert!(start.elapsed() < TIMEOUT, "no status of {least} s: {rows:#?}"),
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until the machine stands still, ends it, and returns the last rows and the record. The
    /// screen is not read before: QEMU 7.2 may exit if it is stopped while the guest turns the power
    /// off.
    fn finish(mut self) -> (Vec<String>, serde_json::Value) {
        let start = Instant::now();
        while self.qmp.execute("query-status", json!({}))["status"] != "shutdown" {
            let is_late = start.elapsed() >= TIMEOUT;
            assert!(!is_late, "the machine did not end: {:#?}", self.rows());
            std::thread::sleep(POLL_INTERVAL);
        }
        let rows = self.rows();
        self.qmp.execute("quit", json!({}));
        (rows, self.machine.finish().record())
    }
}

/// Returns the two times of a row with a status, and whether the rest is as expected.
fn status(row: &str) -> Option<(u64, u64, bool)> {
    let row = row.strip_prefix("coldplug: ")?;
    let (time, rest) = row.split_once('/')?;
    let (limit, _) = rest.split_once(" s, ")?;
    let rest = &rest[limit.len()..];
    let is_whole = rest.starts_with(REST[0]) && rest.ends_with(REST[1]);
    Some((time.parse().ok()?, limit.parse().ok()?, is_whole))
}

/// Returns whether a row is `coldplug: TEXT`.
fn shows(rows: &[String], text: &str) -> bool {
    rows.iter().any(|row| row.strip_prefix("coldplug: ").is_some_and(|row| row.contains(text)))
}

fn a_status_changes_in_place_until_the_root_appears() {
    let mut screen = Screen::start("");
    let mut time = 0;
    for _ in 0..4 {
        time = screen.wait_for_status(time + 1, 60);
    }
    let late = json!({ "driver": "virtio-blk-pci", "drive": "disk1", "bus": "socket" });
    screen.qmp.execute("device_add", late);
    let (rows, record) = screen.finish();
    assert_eq!(record["verdict"], "ok", "{rows:#?}");
    assert!(!shows(&rows, "waiting for"), "{rows:#?}");
    assert!(shows(&rows, "verdict=ok"), "{rows:#?}");
}

fn with_quiet_a_screen_shows_the_status_and_errors() {
    let mut screen = Screen::start("quiet coldplug.timeout=15");
    let time = screen.wait_for_status(0, 15);
    assert!(time >= 5, "after {time} s");
    screen.wait_for_status(time + 1, 15);
    let rows = screen.rows();
    let ours = rows.iter().filter(|row| row.starts_with("coldplug: ")).count();
    assert!(ours <= 1, "{rows:#?}");
    let (rows, record) = screen.finish();
    assert_eq!(record["verdict"], "no-root", "{rows:#?}");
    assert!(!shows(&rows, "waiting for"), "{rows:#?}");
    // The row ends after this.
    for text in ["not found after", "verdict=no-root"] {
        assert!(shows(&rows, text), "{text}: {rows:#?}");
    }
}
