//! `report [FILE]`: shows the record of a boot as a table.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args, Opt};
use super::message::Error;
use super::out;
use crate::report::Record;
use crate::sys;

const HELP: &str = "\
usage: coldplug report [FILE]

Shows the record of a boot as a table: what was loaded, how long it took and for which device.
FILE is a record in JSON (default: /run/coldplug/record.json, that of the last boot).
";

const OPTIONS: &[Opt] = &[Opt('h', "help", false)];

const RECORD: &str = "/run/coldplug/record.json";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let text = match parse(args)? {
        Some(path) => report(&path)?,
        None => HELP.to_owned(),
    };
    out::text(&text);
    Ok(())
}

/// Returns the file of the record; `None` for `--help`.
fn parse(args: &[OsString]) -> Result<Option<PathBuf>, Error> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut path = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt(..) => return Ok(None),
            Arg::Operand(word) if path.is_some() => return Err(Error::unexpected(&word)),
            Arg::Operand(file) => path = Some(file.into()),
        }
    }
    Ok(path.or_else(|| Some(RECORD.into())))
}

fn report(path: &Path) -> Result<String, Error> {
    let json = std::fs::read_to_string(path);
    let json = json.map_err(|e| sys::Error::io("read", path, &e))?;
    Record::table(&json)
        .ok_or_else(|| Error::Failed(format!("{}: not a boot record", path.display())))
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
            (b"text", format!("{}: not a boot record", path.display())),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(report(&path).unwrap_err().to_string(), want);
        }
    }
}
