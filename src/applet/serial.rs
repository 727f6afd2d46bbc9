//! Texts that are printed for the log of a serial line.

use super::out;
use crate::machine::serial_lines::{self, Kind};
use crate::sys::console::QuietKernel;
use crate::sys::{Root, terminal};

/// Prints `text` in lines on standard output, without messages of the kernel between them.
pub(super) fn print(kind: Kind, text: &[u8]) {
    let _quiet = QuietKernel::new(&Root::default());
    out::text(&serial_lines::encode(kind, text));
    // The kernel prints again when the last line has been sent.
    terminal::drain();
}
