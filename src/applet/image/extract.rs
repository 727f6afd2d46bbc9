//! `coldplug image extract`: the files of an image below a directory.

use std::path::PathBuf;

use super::input::MAX_SIZE;
use super::{Command, input, operands};
use crate::applet::args::Args;
use crate::applet::message::{self, Error};
use crate::applet::out;
use crate::applet::usage::{Opt, Usage};
use crate::escape;
use crate::image::extract::{self, Options};
use crate::image::pattern::Patterns;

/// What to extract.
#[derive(Debug)]
pub(super) struct Extraction {
    image: PathBuf,
    pub(super) options: Options,
    is_verbose: bool,
}

pub(super) static USAGE: Usage = Usage::new(
    "image extract",
    "write the files of an image below a directory",
)
.text(
    "[option…] IMAGE [PATTERN…]\n\n\
             Writes the files as the kernel unpacks them, and nothing elsewhere. If the image is \
             damaged, writes nothing.",
)
.options(&[
    Opt('C', "directory=DIR: the directory, which is made if it is missing (default: .)"),
    Opt(
        '\0',
        "parts: write each part of the image into a directory of its own: early, early2, … and \
                 the last one into main",
    ),
    MAX_SIZE,
    Opt('v', "verbose: print the names of the files that are written"),
]);

/// Parses the options of the command.
pub(super) fn parse(mut args: Args) -> Result<Command, Error> {
    let (mut words, mut is_verbose) = (Vec::new(), false);
    let (dir, patterns) = (PathBuf::from("."), Patterns::default());
    let mut options = Options { dir, patterns, apart: false, limit: input::LIMIT };
    while let Some((name, value)) = args.next_named()? {
        match name {
            "directory" => options.dir = value.into(),
            "parts" => options.apart = true,
            "max-size" => options.limit = input::size(&value)?,
            "verbose" => is_verbose = true,
            _ => words.push(value),
        }
    }
    let (image, words) = operands(words)?;
    input::check(&image)?;
    options.patterns = Patterns::new(words);
    Ok(Command::Extract(Extraction { image, options, is_verbose }))
}

impl Extraction {
    /// Extracts the files, and prints their names if that is wanted.
    pub(super) fn run(&self) -> Result<(), Error> {
        let summary = extract::extract(|| input::open(&self.image), &self.options)
            .map_err(|error| self.failed(&error))?;
        for notice in &summary.notices {
            message::warn("image", notice);
        }
        for path in summary.paths.iter().filter(|_| self.is_verbose) {
            out::line(&escape::line(&String::from_utf8_lossy(path)));
        }
        Ok(())
    }

    fn failed(&self, error: &extract::Error) -> Error {
        let Error::Failed(text) = input::failed(&self.image, error) else {
            return Error::Reported;
        };
        match error.is_limit() {
            true => Error::Hinted(text, "--max-size permits larger images".to_owned()),
            false => Error::Failed(text),
        }
    }
}
