//! `tied PARENT PROGRAM ARGUMENT…`: becomes a program that ends with its parent, the process PARENT.

use std::ffi::OsString;
use std::path::PathBuf;

use super::super::message::Error;
use crate::escape;
use crate::sys::process;

/// Runs the program that the arguments name; it is killed when the parent of this process ends.
/// Returns only on failure.
pub(in crate::applet) fn run(args: &[OsString]) -> Result<(), Error> {
    let missing = || Error::Usage("PARENT or PROGRAM is missing".to_owned());
    let parent = args.get(1).and_then(|word| word.to_str()?.parse().ok()).ok_or_else(missing)?;
    let words = args.get(2..).unwrap_or_default();
    let program = words.first().ok_or_else(missing)?;
    process::die_with_parent(parent)?;
    let path = match program.as_encoded_bytes().contains(&b'/') {
        true => Some(PathBuf::from(program)),
        false => program.to_str().and_then(process::find_program),
    };
    let missing = || Error::Failed(format!("{}: not found in PATH", escape::path(&program)));
    Err(process::exec(&path.ok_or_else(missing)?, words).into())
}
