//! The command of the host: all views of a record.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use super::input::Input;
use super::options::{Options, View};
use super::{fleet, print_serial, stored};
use crate::applet::message::Error;
use crate::applet::out;
use crate::escape;
use crate::report::view;
use crate::sys;
use crate::sys::atomic_file::{AtomicFile, output_name};

pub(in crate::applet) use super::options::USAGE;

pub(in crate::applet) fn run(args: &[OsString]) -> Result<(), Error> {
    let options = Options::parse(args)?;
    let (input, only) = (options.input.as_path(), options.module.as_deref());
    let text = match &options.view {
        View::Table(order) => {
            let record = Input::read(input)?.record;
            match only {
                Some(name) if !record.modules.iter().any(|module| module.name == name) => {
                    return Err(unknown(input, name));
                }
                only => view::table(&record, *order, only),
            }
        }
        View::Tree => {
            let tree = view::tree(&Input::read(input)?.record, only);
            tree.ok_or_else(|| unknown(input, only.unwrap_or_default()))?
        }
        View::Critical => view::critical(&Input::read(input)?.record),
        View::Json => Input::read(input)?.pretty(),
        View::Html(out) => return write(out, &view::page(&Input::read(input)?.record)),
        View::Svg(out) => return write(out, &view::chart(&Input::read(input)?.record)),
        View::Diff => {
            let (before, after) = (Input::read(input)?, Input::read(&options.after)?);
            view::diff(&before.record, &after.record)
        }
        View::Fleet => fleet::text(input)?,
        View::Stored => stored::text(&stored::read(input)?),
        View::Serial => return print_serial(input),
    };
    out::text(&text);
    Ok(())
}

/// Returns the error for a module that the record does not have.
fn unknown(input: &Path, name: &str) -> Error {
    let (input, name) = (escape::path(input), escape::line(name));
    Error::Failed(format!("{input}: no module '{name}' in the record"))
}

/// Writes an output, which is replaced when it is complete.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let written = AtomicFile::create_output(path, 0o666).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.commit()
    });
    match written {
        Ok(_) => Ok(()),
        Err(error) => Err(sys::Error::io("write", output_name(path), &error).into()),
    }
}
