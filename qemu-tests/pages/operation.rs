//! Keys, pointer, zoom and search.

use std::collections::BTreeSet;

use harness::run::Test;
use harness::tests;
use serde_json::Value;

use crate::browser::{Browser, CHROMIUM, Look};
use crate::records::{page, real, with_threads};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[CHROMIUM, harness::run::RELEASE[0]] =>
    tab_reaches_every_module,
    arrow_keys_go_along_the_lines,
    zoom_and_search,
];

const LOOK: Look = Look { width: 1280, height: 900, is_dark: false, is_print: false };

/// Opens the page of a record.
fn open(record: &Value, look: Look, with_script: bool) -> Browser {
    let dir = tempfile::tempdir().unwrap();
    let file = page(record, dir.path());
    let mut browser = Browser::start();
    browser.open(&file, look, with_script);
    browser
}

/// Returns the link of the element that has the focus.
fn focus(browser: &mut Browser) -> String {
    let target = browser.evaluate(
        "(() => { const at = document.activeElement, row = at.closest('#modules tr');\
         return row ? '#' + row.id : at.getAttribute('href') || ''; })()",
    );
    target.as_str().unwrap().to_owned()
}

fn tab_reaches_every_module() {
    let record = real("fleet");
    let count = record["modules"].as_array().unwrap().len();
    let all: BTreeSet<String> = (0..count).map(|at| format!("#m{at}")).collect();
    for (width, with_script) in [(1280, true), (400, true), (1280, false)] {
        let mut browser = open(&record, Look { width, ..LOOK }, with_script);
        let mut reached = BTreeSet::new();
        for _ in 0..all.len() * 2 + 100 {
            browser.press("Tab");
            reached.insert(focus(&mut browser));
        }
        let missing: Vec<_> = all.difference(&reached).collect();
        assert!(missing.is_empty(), "{width} px, script: {with_script}: {missing:?}");
        // What has the focus is in the window.
        browser.evaluate("document.querySelector('.plot .load:last-of-type').focus()");
        let left = browser.evaluate("document.activeElement.getBoundingClientRect().left");
        assert!(left.as_f64().unwrap() < f64::from(width), "{left}");
    }
}

fn arrow_keys_go_along_the_lines() {
    let mut browser = open(&with_threads(real("virtio"), 8), LOOK, true);
    browser.evaluate("document.querySelector('.plot .load').focus()");
    let first = focus(&mut browser);
    browser.press("ArrowRight");
    let second = focus(&mut browser);
    browser.press("ArrowDown");
    let below = focus(&mut browser);
    assert!(first != second && second != below && !below.is_empty(), "{first} {second} {below}");
    let name = "document.activeElement.querySelector('title').textContent";
    let details = browser.evaluate("document.getElementById('details').textContent");
    assert_eq!(details, browser.evaluate(name));
    browser.press("ArrowUp");
    browser.press("ArrowLeft");
    browser.press("Enter");
    let hash = browser.evaluate("location.hash");
    assert!(hash.as_str().unwrap().starts_with("#m"), "{hash}");
    // The pointer shows details too.
    let place = browser.evaluate(
        "(() => { scrollTo(0, 0); const box = document.querySelector('.plot .load .box')\
         .getBoundingClientRect(); return [box.left + box.width / 2, box.top + 5]; })()",
    );
    browser.point(place[0].as_f64().unwrap(), place[1].as_f64().unwrap());
    let details = browser.evaluate("document.getElementById('details').textContent");
    let title = browser.evaluate("document.querySelector('.plot .load title').textContent");
    assert_eq!(details, title);
}

fn zoom_and_search() {
    let mut browser = open(&real("fleet"), LOOK, true);
    let width = "document.querySelector('.plot').getBoundingClientRect().width";
    let names = "document.querySelectorAll('.plot .load text').length";
    let before = (browser.evaluate(width).as_f64().unwrap(), browser.evaluate(names).as_u64());
    browser.evaluate("document.querySelector('.plot .load').focus()");
    browser.press("+");
    browser.press("+");
    let after = (browser.evaluate(width).as_f64().unwrap(), browser.evaluate(names).as_u64());
    assert!(after.0 > before.0 * 3.9 && after.1 > before.1, "{before:?} {after:?}");
    let checks = include_str!("checks.js");
    let found = browser.evaluate(&format!("{checks}\ncomplaints()"));
    assert_eq!(found, serde_json::json!([]));
    browser.press("0");
    assert_eq!(browser.evaluate(width).as_f64(), Some(before.0));
    browser.evaluate("document.getElementById('search').focus()");
    for key in ["u", "s", "b", "_", "s"] {
        browser.press(key);
    }
    let shown = "document.querySelectorAll('#modules tbody tr:not([hidden])').length";
    let shown = browser.evaluate(shown).as_u64().unwrap();
    assert!((1..20).contains(&shown), "{shown} rows");
    let bright = browser.evaluate("document.querySelectorAll('.plot .load:not(.dim)').length");
    assert!(bright.as_u64().unwrap() <= shown && bright.as_u64() > Some(0), "{bright} bars");
    let said = browser.evaluate("document.getElementById('found').textContent");
    assert!(said.as_str().unwrap().starts_with(&format!("{shown} of ")), "{said}");
}
