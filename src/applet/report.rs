//! `report [FILE]`: shows the record of a boot as a table. `report --persist PLACE`: shows a stored
//! boot.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args, Opt};
use super::message::Error;
use super::out;
use crate::escape;
use crate::report::Record;
use crate::report::stored_boot::{Damaged, HEAD, Place};
use crate::sys;
use crate::sys::regular_file::{self, RECORD_LIMIT};

const HELP: &str = "\
usage: coldplug report [FILE]
       coldplug report --persist DEVICE|FILE

Shows the record of a boot as a table: what was loaded, how long it took and for which device.
FILE is a record in JSON (default: /run/coldplug/record.json, that of the last boot).
  -p, --persist   show the failed boot that coldplug.persist= has stored: what ended it, its record
                  and the end of the kernel log
";

const OPTIONS: &[Opt] = &[Opt('h', "help", false), Opt('p', "persist", false)];

const RECORD: &str = "/run/coldplug/record.json";

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let text = match parse(args)? {
        Request::Record(path) => report(&path)?,
        Request::Stored(path) => stored(&path)?,
        Request::Help => HELP.to_owned(),
    };
    out::text(&text);
    Ok(())
}

/// What to show.
enum Request {
    Record(PathBuf),
    Stored(PathBuf),
    Help,
}

fn parse(args: &[OsString]) -> Result<Request, Error> {
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let (mut path, mut is_stored) = (None, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('p', _) => is_stored = true,
            Arg::Opt(..) => return Ok(Request::Help),
            Arg::Operand(word) if path.is_some() => return Err(Error::unexpected(&word)),
            Arg::Operand(file) => path = Some(file.into()),
        }
    }
    match path {
        None if is_stored => Err(Error::Failed("--persist: no device or file given".into())),
        Some(path) if is_stored => Ok(Request::Stored(path)),
        path => Ok(Request::Record(path.unwrap_or_else(|| RECORD.into()))),
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

fn report(path: &Path) -> Result<String, Error> {
    let json = regular_file::read_text(path, RECORD_LIMIT)?;
    Record::table(&json)
        .ok_or_else(|| Error::Failed(format!("{}: not a boot record", escape::path(&path))))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        for (bytes, want) in [
            (&b"\xff\xfe"[..], format!("read {}: not valid UTF-8", path.display())),
            (b"text", format!("{}: not a boot record", path.display())),
        ] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(report(&path).unwrap_err().to_string(), want);
        }
    }
}
