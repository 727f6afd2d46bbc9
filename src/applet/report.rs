//! `report [FILE]`: shows the record of a boot as a table. `report --persist PLACE`: shows a stored
//! boot.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args, Opt};
#[cfg(feature = "host")]
use super::capture_file::LOG_LIMIT;
use super::message::Error;
use super::{out, serial};
use crate::escape;
#[cfg(feature = "host")]
use crate::machine::serial_lines;
use crate::machine::serial_lines::Kind;
use crate::report::Record;
use crate::report::stored_boot::{Damaged, HEAD, Place};
use crate::sys;
use crate::sys::regular_file::{self, RECORD_LIMIT};

const HELP: &str = "\
usage: coldplug report [--serial] [FILE]
       coldplug report --persist DEVICE|FILE

Shows the record of a boot as a table: what was loaded, how long it took and for which device.
FILE is a record in JSON (default: /run/coldplug/record.json, that of the last boot), or the log of
a serial line that holds one.
  -p, --persist   show the failed boot that coldplug.persist= has stored: what ended it, its record
                  and the end of the kernel log
  -l, --serial    print the record in numbered lines with checksums, for the log of a serial line
";

const OPTIONS: &[Opt] =
    &[Opt('h', "help", false), Opt('p', "persist", false), Opt('l', "serial", false)];

const RECORD: &str = "/run/coldplug/record.json";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let text = match parse(args)? {
        Request::Record(path) => report(&path)?,
        Request::Serial(path) => {
            let json = regular_file::read(&path, RECORD_LIMIT)?;
            serial::print(Kind::Record, &json);
            return Ok(());
        }
        Request::Stored(path) => stored(&path)?,
        Request::Help => HELP.to_owned(),
    };
    out::text(&text);
    Ok(())
}

/// What to show.
enum Request {
    Record(PathBuf),
    Serial(PathBuf),
    Stored(PathBuf),
    Help,
}

fn parse(args: &[OsString]) -> Result<Request, Error> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let (mut path, mut is_stored, mut is_serial) = (None, false, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('p', _) => is_stored = true,
            Arg::Opt('l', _) => is_serial = true,
            Arg::Opt(..) => return Ok(Request::Help),
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

fn stored(path: &Path) -> Result<String, Error> {
    let io = |e: std::io::Error| Error::from(sys::Error::io("read", path, &e));
    let mut file = regular_file::open_or_device(path)?;
    let mut take = |len: usize| -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        file.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    };
    let failed = |text: &str| Error::Failed(format!("{}: {text}", escape::path(&path)));
    let head = match Place::parse(&take(HEAD)?) {
        Place::Boot(head) => head,
        Place::Free => return Err(failed("no boot is stored")),
        Place::OtherVersion(_) => return Err(failed("stored by another version of coldplug")),
        Place::Damaged => return Err(failed(&Damaged.to_string())),
        Place::Foreign => return Err(failed("not a stored boot")),
    };
    let body = take(head.body_len())?;
    let boot = head.with_body(&body).map_err(|error| failed(&error.to_string()))?;
    let seen = if boot.head.is_seen { ", reported by a later boot" } else { "" };
    let mut text = format!("boot {}{seen}\n", boot.head.sequence);
    let lines = |text: &str| {
        text.lines().map(|line| escape::line(line).to_string() + "\n").collect::<String>()
    };
    text += &lines(&boot.head.summary);
    text += &Record::table(&boot.record).map(|table| format!("\n{table}")).unwrap_or_default();
    text += "\n";
    text += &lines(&boot.log);
    Ok(text)
}

#[cfg(not(feature = "host"))]
fn report(path: &Path) -> Result<String, Error> {
    let json = regular_file::read_text(path, RECORD_LIMIT)?;
    Record::table(&json)
        .ok_or_else(|| Error::Failed(format!("{}: not a boot record", escape::path(&path))))
}

/// Returns the table of the record at `path`, or of the last one in a log.
#[cfg(feature = "host")]
fn report(path: &Path) -> Result<String, Error> {
    let bytes = regular_file::read(path, LOG_LIMIT)?;
    let failed = |text: String| Error::Failed(format!("{}: {text}", escape::path(&path)));
    let text = match serial_lines::decode(Kind::Record, &bytes) {
        None => bytes,
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(failed(error.to_string())),
    };
    let text = String::from_utf8_lossy(&text);
    // A port that is no console gets the text as it is, in one line for each boot.
    let in_line = |line: &str| Record::table(line.get(line.find('{')?..)?);
    let table = Record::table(&text).or_else(|| text.lines().rev().find_map(in_line));
    table.ok_or_else(|| failed("not a boot record".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "host")]
    use crate::report::Verdict;
    use crate::report::stored_boot::StoredBoot;

    #[test]
    fn a_stored_boot_is_shown() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("part");
        let (record, log) = ("{}".to_owned(), "[    1.000000] x\u{1b}[1m\n".to_owned());
        let boot = StoredBoot::new(3, "verdict=no-root: a", record, log, 1 << 20).unwrap();
        let (head, body) = boot.encode();
        let mut bytes = [head, body].concat();
        bytes.resize(1 << 20, 0);
        std::fs::write(&path, &bytes).unwrap();
        let text = "boot 3\nverdict=no-root: a\n\n[    1.000000] x\\x1b[1m\n";
        assert_eq!(stored(&path).unwrap(), text);
        bytes[5000] ^= 1;
        for (content, want) in [
            (&bytes[..4096], "the stored boot is damaged"),
            (&[0; 5000], "no boot is stored"),
            (b"text", "not a stored boot"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = stored(&path).unwrap_err().to_string();
            assert_eq!(error, format!("{}: {want}", path.display()));
        }
    }

    #[test]
    fn a_file_that_is_not_a_record_is_named_with_its_fault() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("r.json");
        for bytes in [&b"text"[..], b"{}", b"a {\n"] {
            std::fs::write(&path, bytes).unwrap();
            let want = format!("{}: not a boot record", path.display());
            assert_eq!(report(&path).unwrap_err().to_string(), want);
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn a_record_is_found_in_a_log() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let json = Record { verdict: Some(Verdict::NoSlot), ..Record::default() }.to_json();
        let lines = serial_lines::encode(Kind::Record, json.as_bytes());
        let second = lines.lines().nth(1).unwrap();
        for text in [
            json.clone(),
            format!("[ 1.0] \u{e4}\r\n{}\r\n[ 2.0] y\r\n", json),
            format!("[ 1.0] x {{\r\n{}coldplug: y\r\n", lines.replace('\n', "\r\n")),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert!(report(&path).unwrap().contains("verdict: no-slot"), "{text}");
        }
        std::fs::write(&path, lines.replace(second, "")).unwrap();
        let error = report(&path).unwrap_err().to_string();
        assert!(error.contains("are missing or damaged"), "{error}");
    }
}
