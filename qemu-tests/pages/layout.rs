//! What must hold on every page: no text covers another one, every line of the chart has its name,
//! no text is small or pale, nothing sticks out of the window.

use harness::run::Test;
use harness::{note, tests};

use crate::browser::{Browser, CHROMIUM, Look};
use crate::records::{RECORDS, page};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[CHROMIUM, harness::run::RELEASE[0]] =>
    every_page_can_be_read,
    every_page_can_be_read_without_its_script,
];

/// Function `complaints()`, which lists what is wrong with the page.
const CHECKS: &str = include_str!("checks.js");

/// Widths, whether the page is dark, and whether it is printed: A4 is 1047 px wide without its
/// margins.
const LOOKS: [(u32, bool, bool); 6] = [
    (1280, false, false),
    (1280, true, false),
    (400, false, false),
    (400, true, false),
    (1047, false, true),
    (1047, true, true),
];

fn every_page_can_be_read() {
    check(true);
}

fn every_page_can_be_read_without_its_script() {
    check(false);
}

fn check(with_script: bool) {
    let mut browser = Browser::start();
    for (name, record) in RECORDS {
        let dir = tempfile::tempdir().unwrap();
        let file = page(&record(), dir.path());
        for (width, is_dark, is_print) in LOOKS {
            browser.open(&file, Look { width, height: 900, is_dark, is_print }, with_script);
            let found = browser.evaluate(&format!("{CHECKS}\ncomplaints()"));
            let found: Vec<_> = found.as_array().unwrap().iter().collect();
            let place = format!("{name}, {width} px, dark: {is_dark}, print: {is_print}");
            assert!(found.is_empty(), "{place}: {found:#?}");
            let texts = browser.evaluate("texts().length").as_u64().unwrap();
            assert!(texts > 20, "{place}: the check sees {texts} texts");
            note!("{place}: {texts} texts");
        }
    }
}
