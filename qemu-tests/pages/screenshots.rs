//! Pictures of the pages, in the directory that the variable `SCREENSHOTS` names.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use harness::run::{Test, unavailable};
use harness::{paths, tests, tool};

use crate::browser::{Browser, CHROMIUM, Look};
use crate::records::{RECORDS, page};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[CHROMIUM, harness::run::RELEASE[0]] =>
    screenshots,
];

fn screenshots() {
    let Some(dir) = std::env::var_os("SCREENSHOTS").map(PathBuf::from) else {
        unavailable("run `make screenshots`");
    };
    fs::create_dir_all(&dir).unwrap();
    let mut browser = Browser::start();
    for (name, record) in RECORDS {
        let scratch = tempfile::tempdir().unwrap();
        let file = page(&record(), scratch.path());
        for (width, is_dark) in [(1280, false), (1280, true), (400, false), (400, true)] {
            browser.open(&file, Look { width, height: 1000, is_dark, is_print: false }, true);
            let scheme = if is_dark { "dark" } else { "light" };
            let name = name.replace(' ', "-");
            let path = dir.join(format!("{name}-{width}-{scheme}.png"));
            fs::write(path, browser.picture()).unwrap();
        }
    }
    let mut command = Command::new(paths::program("coldplug"));
    let record = paths::data("records/virtio.json");
    tool::run(command.args(["report", "--svg"]).arg(dir.join("chart.svg")).arg(record));
}
