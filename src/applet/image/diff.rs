//! `coldplug image diff`: the differences between two images, with the exit status of diff(1).

use std::path::{Path, PathBuf};

use super::input::MAX_SIZE;
use super::{Command, input, usage};
use crate::applet::args::Args;
use crate::applet::message::Error;
use crate::applet::out;
use crate::applet::usage::Usage;
use crate::image::diff;
use crate::image::diff::Files;

/// Exit status if something differs.
const DIFFERENT: u8 = 1;

/// The images to compare.
#[derive(Debug)]
pub(super) struct Images {
    images: [PathBuf; 2],
    limit: u64,
}

pub(super) static USAGE: Usage = Usage::new("image diff", "compare what two images unpack to")
    .text(
        "[option…] IMAGE IMAGE\n\n\
         The exit status is 0 if nothing differs, 1 if something does, and 2 for an error. A module \
         of which only the compression differs is 'recompressed'.",
    )
    .options(&[MAX_SIZE]);

/// Parses the options of the command.
pub(super) fn parse(args: Args) -> Result<Command, Error> {
    let (words, limit) = input::words(args)?;
    let words: Vec<_> = words.into_iter().map(PathBuf::from).collect();
    let images = <[PathBuf; 2]>::try_from(words).map_err(|_| usage("two images are compared"))?;
    images.iter().try_for_each(|image| input::check(image))?;
    Ok(Command::Diff(Images { images, limit }))
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
