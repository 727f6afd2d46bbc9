//! The record that a command reads, wherever it is: in JSON, in the log of a serial line, in an
//! image, or in a stored boot.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::stored;
use crate::applet::capture_file::LOG_LIMIT;
use crate::applet::message::Error;
use crate::escape;
use crate::image::cat;
use crate::machine::serial_lines::{self, Kind};
use crate::report::saved::SavedRecord;
use crate::report::stored_boot::{HEAD, Place};
use crate::sys::{self, atomic_file, regular_file};

/// Record in an image.
const IN_IMAGE: &[u8] = b"etc/coldplug/record.json";
/// How many bytes an image may unpack to.
const IMAGE_LIMIT: u64 = 4 << 30;

/// A record, parsed, and its JSON.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) record: SavedRecord,
    pub(super) json: Value,
}

impl Input {
    /// Reads the record at `path`; `-` is standard input. If there are several in a log, the last
    /// one is used.
    ///
    /// # Errors
    /// The file cannot be read, or holds no record, or only a part of one.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        if atomic_file::is_standard_output(path) {
            return Self::find(Path::new("standard input"), &standard_input()?);
        }
        let head = head(path)?;
        match Place::parse(&head) {
            Place::Foreign | Place::Free => {}
            Place::Boot(_) | Place::Damaged | Place::OtherVersion(_) => {
                let json = stored::read(path)?.record;
                return Self::find(path, json.as_bytes());
            }
        }
        if !is_binary(&head) {
            return Self::find(path, &regular_file::read(path, LOG_LIMIT)?);
        }
        // The log of a serial line may hold any byte too.
        Self::from_image(path).or_else(|error| {
            let bytes = regular_file::read(path, LOG_LIMIT).map_err(|_| ());
            bytes.and_then(|bytes| Self::find(path, &bytes).map_err(|_| ())).map_err(|()| error)
        })
    }

    /// Finds the record in the bytes of `path`.
    fn find(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let text = match serial_lines::decode(Kind::Record, bytes) {
            None => String::from_utf8_lossy(bytes),
            Some(Ok(text)) => String::from_utf8_lossy(&text).into_owned().into(),
            Some(Err(error)) => return Err(failed(path, &error)),
        };
        // A port that is no console gets the text as it is, in one line for each boot.
        let in_line = |line: &str| Self::parse(line.get(line.find('{')?..)?);
        let found = Self::parse(&text).or_else(|| text.lines().rev().find_map(in_line));
        found.ok_or_else(|| failed(path, &"not a boot record"))
    }

    fn from_image(path: &Path) -> Result<Self, Error> {
        let open = || -> sys::Result<BufReader<File>> {
            Ok(BufReader::with_capacity(1 << 16, regular_file::open(path)?))
        };
        let files = cat::Files::read(&mut open()?, IMAGE_LIMIT).map_err(|error| {
            failed(path, &format!("neither a boot record nor an image: {error}"))
        })?;
        let mut bytes = Vec::new();
        files.write(IN_IMAGE, open, &mut bytes).map_err(|error| {
            failed(path, &format!("{}: {error}", String::from_utf8_lossy(IN_IMAGE)))
        })?;
        Self::find(path, &bytes)
    }

    fn parse(json: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(json.trim()).ok()?;
        Some(Self { record: SavedRecord::from_value(&json)?, json })
    }

    /// Returns the JSON of the record in lines for people. What a terminal must not get is escaped
    /// in the manner of JSON.
    pub(super) fn pretty(&self) -> String {
        let text = serde_json::to_string_pretty(&self.json).unwrap_or_default();
        let mut safe = String::with_capacity(text.len());
        for line in text.lines() {
            for c in line.chars() {
                let mut buffer = [0; 4];
                let is_safe = escape::line(c.encode_utf8(&mut buffer)).chars().eq([c]);
                match is_safe {
                    true => safe.push(c),
                    false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                        safe.push_str(&format!("\\u{unit:04x}"));
                    }),
                }
            }
            safe.push('\n');
        }
        safe
    }
}

/// Returns the error about an input.
fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!("{}: {why}", escape::path(&path)))
}

fn standard_input() -> Result<Vec<u8>, Error> {
    let path = Path::new("standard input");
    let mut bytes = Vec::new();
    let read = io::stdin().take(LOG_LIMIT as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| sys::Error::io("read", path, &error))?;
    match bytes.len() > LOG_LIMIT {
        true => Err(failed(path, &format!("larger than {} MiB", LOG_LIMIT >> 20))),
        false => Ok(bytes),
    }
}

/// Returns the first bytes of a file or device.
fn head(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let mut file = regular_file::open_or_device(path)?.take(HEAD as u64);
    file.read_to_end(&mut bytes).map_err(|error| sys::Error::io("read", path, &error))?;
    Ok(bytes)
}

/// Returns whether the start of a file is that of an image rather than of a text.
fn is_binary(head: &[u8]) -> bool {
    // The last character may be cut.
    let is_text = |error: std::str::Utf8Error| error.error_len().is_none();
    head.starts_with(b"0707")
        || head.contains(&0)
        || std::str::from_utf8(head).err().is_some_and(|error| !is_text(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stored_boot::StoredBoot;
    use crate::report::{Record, Verdict};
    use std::fs;

    /// Returns the verdict of the record in a file with this content, or the error.
    fn verdict(bytes: &[u8]) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("input");
        fs::write(&path, bytes).unwrap();
        match Input::read(&path) {
            Ok(input) => input.record.verdict.unwrap(),
            Err(error) => error.to_string().replace(path.to_str().unwrap(), "FILE"),
        }
    }

    fn json() -> String {
        Record { verdict: Some(Verdict::NoSlot), ..Record::default() }.to_json()
    }

    #[test]
    fn a_file_without_a_record_is_named() {
        for bytes in [&b"text"[..], b"{}", b"a {\n", b"", b"[[[["] {
            assert_eq!(verdict(bytes), "FILE: not a boot record");
        }
        assert!(verdict(b"a\0b").starts_with("FILE: neither a boot record nor an image: "));
        let missing = Input::read(Path::new("/no/such")).unwrap_err().to_string();
        assert!(missing.contains("/no/such"), "{missing}");
    }

    #[test]
    fn a_record_is_found_in_a_log() {
        let json = json();
        let lines = serial_lines::encode(Kind::Record, json.as_bytes());
        let second = lines.lines().nth(1).unwrap();
        for text in [
            json.clone(),
            format!("[ 1.0] \u{e4}\r\n{json}\r\n[ 2.0] y\r\n"),
            format!("[ 1.0] \0\r\n{json}\r\n"),
            format!("[ 1.0] x {{\r\n{}coldplug: y\r\n", lines.replace('\n', "\r\n")),
        ] {
            assert_eq!(verdict(text.as_bytes()), "no-slot", "{text}");
        }
        let error = verdict(lines.replace(second, "").as_bytes());
        assert!(error.contains("are missing or damaged"), "{error}");
    }

    #[test]
    fn a_record_is_found_in_a_stored_boot() {
        let boot = StoredBoot::new(3, "verdict=no-root: a", json(), "log".to_owned(), 1 << 20);
        let (head, body) = boot.unwrap().encode();
        let mut bytes = [head, body].concat();
        bytes.resize(1 << 20, 0);
        assert_eq!(verdict(&bytes), "no-slot");
        bytes[4200] ^= 1;
        assert_eq!(verdict(&bytes), "FILE: the stored boot is damaged");
        let boot = StoredBoot::new(3, "x", String::new(), String::new(), 1 << 20);
        assert_eq!(verdict(&boot.unwrap().encode().0), "FILE: not a boot record");
    }

    #[test]
    fn json_is_safe_for_a_terminal() {
        let json = r#"{"modules": [], "root": {}, "x": "\u009b\u202e\u001b\ud83d\ude00"}"#;
        let input = Input::parse(json).unwrap();
        let pretty = input.pretty();
        assert!(pretty.contains(r#""\u009b\u202e\u001b😀""#), "{pretty}");
        assert_eq!(serde_json::from_str::<Value>(&pretty).unwrap(), input.json);
    }
}
