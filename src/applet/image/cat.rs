//! `coldplug image cat`: the contents of files of an image.

use std::io;
use std::path::PathBuf;

use super::input::MAX_SIZE;
use super::{Command, input, operands, usage};
use crate::applet::args::Args;
use crate::applet::message::{self, Error};
use crate::applet::out;
use crate::applet::usage::Usage;
use crate::escape;
use crate::image::cat;

/// What to print.
#[derive(Debug)]
pub(super) struct Files {
    image: PathBuf,
    paths: Vec<Vec<u8>>,
    limit: u64,
}

pub(super) static USAGE: Usage =
    Usage::new("image cat", "print the content of files, through links, as the system reads them")
        .text("[option…] IMAGE PATH…")
        .options(&[MAX_SIZE]);

/// Parses the options of the command.
pub(super) fn parse(args: Args) -> Result<Command, Error> {
    let (words, limit) = input::words(args)?;
    let (image, paths) = operands(words)?;
    input::check(&image)?;
    if paths.is_empty() {
        return Err(usage("PATH is missing"));
    }
    Ok(Command::Cat(Files { image, paths, limit }))
}

impl Files {
    /// Prints the contents. A path that has none is an error; the others are printed.
    pub(super) fn print(&self) -> Result<(), Error> {
        let mut image = input::open(&self.image)?;
        let files = cat::Files::read(&mut image, self.limit)
            .map_err(|error| input::failed(&self.image, &error))?;
        let mut is_complete = true;
        for path in &self.paths {
            let written = files.write(path, || input::open(&self.image), &mut io::stdout().lock());
            match written {
                Ok(()) => {}
                Err(cat::Error::Write(error)) => {
                    out::record(Err(error));
                    return Ok(());
                }
                Err(error) => {
                    let (image, path) = (escape::path(&self.image), escape::bytes(path));
                    message::warn("image", &format!("{image}: {path}: {error}"));
                    is_complete = false;
                }
            }
        }
        Error::unless(is_complete)
    }
}
