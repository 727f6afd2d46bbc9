//! `coldplug image diff`: the differences between two images, with the exit status of diff(1).

use std::path::{Path, PathBuf};

use super::{Command, input, usage};
use crate::applet::message::Error;
use crate::applet::out;
use crate::image::diff;
use crate::image::diff::Files;

/// Exit status if something differs.
const DIFFERENT: u8 = 1;
/// Exit status for an error.
const TROUBLE: u8 = 2;

/// The images to compare.
#[derive(Debug)]
pub(super) struct Images {
    images: [PathBuf; 2],
    limit: u64,
}

/// Parses the options of the command.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let Some((words, limit)) = input::words(parser)? else { return Ok(Command::Help) };
    let words: Vec<_> = words.into_iter().map(PathBuf::from).collect();
    let images = <[PathBuf; 2]>::try_from(words).map_err(|_| usage("two images are compared"))?;
    images.iter().try_for_each(|image| input::check(image))?;
    Ok(Command::Diff(Images { images, limit }))
}

/// Prints an error, and returns the exit status for it.
pub(super) fn trouble(error: Error) -> Error {
    match error {
        Error::Code(_) => error,
        error => {
            error.print("image");
            Error::Code(TROUBLE)
        }
    }
}

impl Images {
    /// Prints the differences.
    pub(super) fn print(&self) -> Result<(), Error> {
        let read = |path: &Path| -> Result<Files, Error> {
            let mut image = input::open(path)?;
            Files::read(&mut image, self.limit).map_err(|error| input::failed(path, &error))
        };
        let [first, second] = &self.images;
        let differences = diff::compare(&read(first)?, &read(second)?);
        if differences.is_empty() {
            return Ok(());
        }
        out::text(&differences.to_string());
        Err(Error::Code(DIFFERENT))
    }
}
