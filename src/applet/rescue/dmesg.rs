//! `dmesg`: what the log of the kernel holds.

use std::ffi::OsString;

use super::super::message::Error;
use super::super::out;
use crate::escape;
use crate::sys::{Root, kmsg};

pub(super) fn run(words: &[OsString]) -> Result<(), Error> {
    if let Some(word) = words.get(1) {
        return Err(Error::unexpected(word));
    }
    Ok(kmsg::records(&Root::default(), |seconds, us, text| {
        for line in text.lines() {
            out::line(&format!("[{seconds:5}.{us:06}] {}", escape::line(line)));
        }
    })?)
}
