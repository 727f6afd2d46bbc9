//! `coldplug image extract`: the files of an image below a directory.

use std::path::PathBuf;

use super::{Command, input, operands};
use crate::applet::message::{self, Error};
use crate::applet::out;
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

/// Parses the options of the command.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    use lexopt::Arg::{Long, Short, Value};
    use lexopt::ValueExt;
    let (mut words, mut is_verbose) = (Vec::new(), false);
    let (dir, patterns) = (PathBuf::from("."), Patterns::default());
    let mut options = Options { dir, patterns, apart: false, limit: input::LIMIT };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("directory") | Short('C') => options.dir = parser.value()?.into(),
            Long("parts") => options.apart = true,
            Long("max-size") => options.limit = input::size(&parser.value()?.string()?)?,
            Long("verbose") | Short('v') => is_verbose = true,
            Value(word) => words.push(word),
            other => return Err(other.unexpected().into()),
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
