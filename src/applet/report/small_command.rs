//! The command of the program in images: the table of a record.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{RECORD, print_serial, stored};
use crate::applet::args::{Arg, Args};
use crate::applet::message::Error;
use crate::applet::out;
use crate::applet::usage::{Opt, Usage};
use crate::escape;
use crate::report::Record;
use crate::sys::regular_file::{self, RECORD_LIMIT};

pub(in crate::applet) static USAGE: Usage = Usage::new(
    "report",
    "show the record of the last boot: loaded modules and the reasons",
)
.text(
    "[--serial] [FILE]\n--persist DEVICE|FILE\n\n\
     Shows the record of a boot as a table. FILE is a record in JSON (default: \
     /run/coldplug/record.json, that of the last boot).",
)
.options(&[
    Opt('p', "persist: show the failed boot that coldplug.persist= has stored"),
    Opt(
        'l',
        "serial: print the record in numbered lines with checksums, for the log of a serial line",
    ),
]);

pub(in crate::applet) fn run(args: &[OsString]) -> Result<(), Error> {
    let text = match parse(args)? {
        Request::Record(path) => report(&path)?,
        Request::Serial(path) => return print_serial(&path),
        Request::Stored(path) => stored::text(&stored::read(&path)?),
    };
    out::text(&text);
    Ok(())
}

/// What to show.
enum Request {
    Record(PathBuf),
    Serial(PathBuf),
    Stored(PathBuf),
}

fn parse(args: &[OsString]) -> Result<Request, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let (mut path, mut is_stored, mut is_serial) = (None, false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('p', _) => is_stored = true,
            Arg::Opt(..) => is_serial = true,
            Arg::Operand(word) if path.is_some() => return Err(Error::unexpected(&word)),
            Arg::Operand(file) => path = Some(file.into()),
        }
    }
    match path {
        None if is_stored => Err(Error::Failed("--persist: no device or file given".into())),
        Some(path) if is_stored => Ok(Request::Stored(path)),
        path => {
            let path = path.unwrap_or_else(|| RECORD.into());
            Ok(if is_serial { Request::Serial(path) } else { Request::Record(path) })
        }
    }
}

fn report(path: &Path) -> Result<String, Error> {
    let json = regular_file::read_text(path, RECORD_LIMIT)?;
    Record::table(&json)
        .ok_or_else(|| Error::Failed(format!("{}: not a boot record", escape::path(&path))))
}
