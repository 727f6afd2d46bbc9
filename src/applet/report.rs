//! `report [FILE]`: the record of a boot as a table. FILE is the record in JSON; by default that of the
//! boot that the machine is running from.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Exit, out};
use crate::report::Record;

const RECORD: &str = "/run/coldplug/record.json";

pub(super) fn run(args: &[OsString]) -> Exit {
    let path = args.get(1).map_or_else(|| PathBuf::from(RECORD), PathBuf::from);
    let json = match std::fs::read_to_string(&path) {
        Ok(json) => json,
        Err(error) => {
            out::error(&format!("report: {}: {error}", path.display()));
            return Exit::Failure;
        }
    };
    match Record::table(&json) {
        Some(table) => {
            out::line(table.trim_end());
            Exit::Success
        }
        None => {
            out::error(&format!("report: {}: this is not a boot record", path.display()));
            Exit::Failure
        }
    }
}
