//! `report [FILE]`: the record of a boot as a table. FILE is the record in JSON; by default that of the
//! boot that the machine is running from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args, Opt};
use super::{Exit, scan};
use crate::report::Record;
use crate::sys::Error;

const HELP: &str = "\
usage: coldplug report [FILE]

Shows the record of a boot as a table: what was loaded, how long it took and for which device.
FILE is a record in JSON (default: /run/coldplug/record.json, that of the last boot).
";

const OPTIONS: &[Opt] = &[Opt('h', "help", false)];

const RECORD: &str = "/run/coldplug/record.json";

pub(super) fn run(args: &[OsString]) -> Exit {
    let done = match parse(args) {
        Ok(Some(path)) => report(&path),
        Ok(None) => Ok(HELP.to_owned()),
        Err(error) => Err(format!("{error}; coldplug report --help shows the usage")),
    };
    scan::tell("report", args, done)
}

/// The file of the record; `None` where help is asked for.
fn parse(args: &[OsString]) -> Result<Option<PathBuf>, String> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut path = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt(..) => return Ok(None),
            Arg::Operand(word) if path.is_some() => return Err(scan::unexpected(&word)),
            Arg::Operand(file) => path = Some(file.into()),
        }
    }
    Ok(path.or_else(|| Some(RECORD.into())))
}

fn report(path: &Path) -> Result<String, String> {
    let json = std::fs::read_to_string(path);
    let json = json.map_err(|e| Error::io("read", path, &e).to_string())?;
    Record::table(&json).ok_or_else(|| format!("{}: this is not a boot record", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_a_record_is_named_with_its_fault() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("r.json");
        for (bytes, want) in [
            (&b"\xff\xfe"[..], format!("read {}: not valid UTF-8", path.display())),
            (b"text", format!("{}: this is not a boot record", path.display())),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(report(&path).unwrap_err(), want);
        }
    }
}
