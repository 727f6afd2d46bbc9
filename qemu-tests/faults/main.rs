//! Boots with a fault, one row of a table each: how the machine differs from the shared one, the
//! verdict, and what the console says. [`row::Row`] describes the fields and what holds in every
//! row.
//!
//! `make faults` runs all rows; `make test` runs those that are marked quick. A row that is named on
//! the command line always runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

mod row;

// Consoles that are absent or doubled, and where the verdict goes then.
mod consoles;
// Disks that cannot be read, are slow, or disappear; filesystems that are none.
mod disks;
// Files of the image: damaged indexes and configuration, FIFOs, devices, missing directories.
mod files;
// Inits that cannot run, and names under which coldplug is started.
mod inits;
// Little memory, and full filesystems.
mod memory;
// Modules that are damaged or misbehave.
mod modules;
// Mounts and checks of filesystems that do not end.
mod mounts;
// Network interfaces whose driver does not bring them up.
mod network;
// Names, inheritance, signals, crashes, console and report of PID 1.
mod pid1;
// Text from disks, devices and the command line.
mod text;
// Watchdogs: their devices, their pings, and who takes them over.
mod watchdogs;
// Worker processes that die.
mod workers;

use harness::run;
use std::process::ExitCode;

fn main() -> ExitCode {
    let tables = [
        ("consoles", consoles::ROWS),
        ("disks", disks::ROWS),
        ("files", files::ROWS),
        ("inits", inits::ROWS),
        ("memory", memory::ROWS),
        ("modules", modules::ROWS),
        ("mounts", mounts::ROWS),
        ("network", network::ROWS),
        ("pid1", pid1::ROWS),
        ("text", text::ROWS),
        ("watchdogs", watchdogs::ROWS),
        ("workers", workers::ROWS),
    ];
    let rows = tables.into_iter().flat_map(|(kind, rows)| rows.iter().map(move |row| (kind, row)));
    run::cases(rows.map(|(kind, row)| row.case(kind)))
}
