//! `make pages`: the pages of `coldplug report --html` in a browser, in both colour schemes, wide and
//! narrow, with and without their script. `make screenshots` also takes their pictures, and `make
//! records` boots the machines whose records are shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

use std::process::ExitCode;

// The boots of the records.
mod boots;
// A headless Chromium, by its DevTools protocol.
mod browser;
// What must hold on every page.
mod layout;
// Keys, zoom and search.
mod operation;
// Records that are shown.
mod records;
// Pictures for the documents.
mod screenshots;

fn main() -> ExitCode {
    harness::run::main(&[layout::TESTS, operation::TESTS, screenshots::TESTS, boots::TESTS])
}
