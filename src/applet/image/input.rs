//! The image that a command reads, and the limit of what it may unpack to.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::usage;
use crate::applet::args::{Args, text};
use crate::applet::message::Error;
use crate::applet::usage::Opt;
use crate::escape;
use crate::sys::{self, regular_file};

/// Size in bytes of what is read and printed at once.
pub(super) const CHUNK: usize = 1 << 16;
/// How many bytes an image may unpack to without `--max-size`: more than any has.
pub(super) const LIMIT: u64 = 4 << 30;

/// Opens an image at its start.
///
/// # Errors
/// There is no such file, or it is not a regular file.
pub(super) fn open(path: &Path) -> sys::Result<BufReader<File>> {
    Ok(BufReader::with_capacity(CHUNK, regular_file::open(path)?))
}

/// Returns an error if `path` is standard input.
///
/// # Errors
/// It is `-`.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    match path == Path::new("-") {
        true => Err(usage("'-' cannot be read twice, so IMAGE must be a file")),
        false => Ok(()),
    }
}

/// Returns the error of a command on the image at `path`.
pub(super) fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Failed(format!("{}: {why}", escape::path(path)))
}

/// The option for the limit.
pub(super) const MAX_SIZE: Opt = Opt(
    '\0',
    "max-size=SIZE: refuse an image that unpacks to more: bytes, or with K, M, G or T (default: 4G)",
);

/// Parses a command line of words and `--max-size`. Returns the words and the limit.
///
/// # Errors
/// Another option, or a limit that is no size; or help is asked for.
pub(super) fn words(mut args: Args) -> Result<(Vec<OsString>, u64), Error> {
    let (mut words, mut limit) = (Vec::new(), LIMIT);
    while let Some((name, value)) = args.next_named()? {
        match name {
            "max-size" => limit = size(&value)?,
            _ => words.push(value),
        }
    }
    Ok((words, limit))
}

/// Parses a number of bytes, with a suffix of 1024, 1024² and so on.
///
/// # Errors
/// It is no such number.
pub(super) fn size(word: &OsStr) -> Result<u64, Error> {
    let word = text(word)?;
    let (digits, shift) = match word.as_bytes() {
        [digits @ .., b'K'] => (digits.len(), 10),
        [digits @ .., b'M'] => (digits.len(), 20),
        [digits @ .., b'G'] => (digits.len(), 30),
        [digits @ .., b'T'] => (digits.len(), 40),
        digits => (digits.len(), 0),
    };
    let number: Option<u64> = word[..digits].parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| usage(&format!("--max-size '{word}' is not a size")))
}
