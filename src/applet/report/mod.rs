//! `report [INPUT]`: shows the record of a boot. The program in images has the table alone; the one of
//! the host has all views, and finds the record in logs, images and stored boots.

#[cfg(feature = "host")]
mod command;
#[cfg(not(feature = "host"))]
#[path = "small_command.rs"]
mod command;
#[cfg(feature = "host")]
mod fleet;
#[cfg(feature = "host")]
mod input;
#[cfg(feature = "host")]
mod options;
mod stored;

use std::path::Path;

use super::message::Error;
use super::serial;
use crate::machine::serial_lines::Kind;
use crate::sys::regular_file::{self, RECORD_LIMIT};

pub(super) use command::{USAGE, run};

/// The record of the last boot.
const RECORD: &str = "/run/coldplug/record.json";

/// Prints the record in the file at `path` in lines for the log of a serial line.
///
/// # Errors
/// The file cannot be read.
fn print_serial(path: &Path) -> Result<(), Error> {
    serial::print(Kind::Record, &regular_file::read(path, RECORD_LIMIT)?);
    Ok(())
}
