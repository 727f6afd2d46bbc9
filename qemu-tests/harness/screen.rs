//! The screen of a PC in text mode, by QMP: a VGA card whose driver in the kernel is vgacon.
//!
//! ```text
//! 0xb8000   32 KiB: two bytes a cell, a character of code page 437 and its colours
//! 0x3d4     index of a register of the CRT controller, whose value is at 0x3d5:
//!           0x0c, 0x0d: high and low byte of the first cell that is shown
//! ```
//!
//! The kernel scrolls by that register, so that old lines stay in memory.

use crate::qmp::Qmp;
use serde_json::{Value, json};
use std::fs;

const MEMORY: u64 = 0xb8000;
const SIZE: usize = 32 << 10;
const COLUMNS: usize = 80;
const ROWS: usize = 25;

/// Returns the rows of the screen without the spaces at their ends. The machine stands still
/// meanwhile.
pub fn rows(qmp: &mut Qmp) -> Vec<String> {
    let was_running = qmp.execute("query-status", json!({}))["running"] == true;
    qmp.execute("stop", json!({}));
    let start = 2 * first_cell(qmp);
    let file = tempfile::NamedTempFile::new().unwrap();
    qmp.execute("pmemsave", json!({ "val": MEMORY, "size": SIZE, "filename": file.path() }));
    if was_running {
        qmp.execute("cont", json!({}));
    }
    let memory = fs::read(file.path()).unwrap();
    assert_eq!(memory.len(), SIZE);
    let shown = memory.iter().cycle().skip(start).step_by(2).take(COLUMNS * ROWS);
    let characters: Vec<u8> = shown.copied().collect();
    let row = |row: &[u8]| String::from_utf8_lossy(row).trim_end().to_owned();
    characters.chunks(COLUMNS).map(row).collect()
}

/// Returns the number of the first cell that is shown. The kernel may have chosen a register and
/// not yet accessed it, so the choice is restored.
fn first_cell(qmp: &mut Qmp) -> usize {
    let chosen = read_port(qmp, 0x3d4);
    let mut register = |number: usize| {
        write_port(qmp, 0x3d4, number);
        read_port(qmp, 0x3d5)
    };
    let (high, low) = (register(0x0c), register(0x0d));
    write_port(qmp, 0x3d4, chosen);
    high << 8 | low
}

/// Returns the byte at an I/O port. The monitor answers `portb[0x03d4] = 0x0e`.
fn read_port(qmp: &mut Qmp, port: u16) -> usize {
    let text = monitor(qmp, &format!("i/b {port:#x}"));
    let number = text.rsplit("= 0x").next().unwrap_or_default().trim();
    usize::from_str_radix(number, 16).unwrap_or_else(|_| panic!("i/b {port:#x}: {text:?}"))
}

fn write_port(qmp: &mut Qmp, port: u16, byte: usize) {
    let text = monitor(qmp, &format!("o/b {port:#x} {byte:#x}"));
    assert_eq!(text, "", "o/b {port:#x}");
}

/// Runs a command of QEMU's monitor, and returns its output.
fn monitor(qmp: &mut Qmp, line: &str) -> String {
    let answer: Value = qmp.execute("human-monitor-command", json!({ "command-line": line }));
    answer.as_str().unwrap_or_default().to_owned()
}
