//! The content of a file of an image, as the running system would read it.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use super::newc::Member;
use super::read;
use super::unpacked::{self, Kind, Reading, UnpackError};
use super::visitor::Visitor;
use crate::sys;

/// Why a content cannot be shown.
#[derive(Debug)]
pub(crate) enum Error {
    /// The image cannot be unpacked.
    Unpack(UnpackError),
    /// There is no such file.
    Missing,
    /// The path leads to this type of file.
    NotAFile(&'static str),
    /// The image was changed after the first reading.
    Changed,
    /// The image cannot be opened.
    Open(sys::Error),
    /// The content cannot be written.
    Write(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => error.fmt(f),
            Self::Missing => f.write_str("not found in the image"),
            Self::NotAFile(kind) => write!(f, "not a regular file but a {kind}"),
            Self::Changed => f.write_str("the image was changed while it was read"),
            Self::Open(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unpack(error) => Some(error),
            Self::Open(error) => Some(error),
            Self::Write(error) => Some(error),
            _ => None,
        }
    }
}

/// The files of an image.
#[derive(Debug)]
pub(crate) struct Files(unpacked::Unpacked);

impl Files {
    /// Reads the names in an image, which may decompress to `limit` bytes.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked.
    pub(crate) fn read(image: &mut dyn BufRead, limit: u64) -> Result<Self, Error> {
        let reading = Reading { limit, apart: false, digests: false };
        let mut parts = unpacked::read(image, reading).map_err(Error::Unpack)?;
        parts.pop().map(Self).ok_or(Error::Unpack(UnpackError::Empty))
    }

    /// Writes the content of the file at `path` to `out`. Links are followed as in the running
    /// system. `open` opens the image at its start.
    ///
    /// # Errors
    ///
    /// There is no such file, it is no regular file, or it cannot be read or written.
    pub(crate) fn write<R: BufRead>(
        &self,
        path: &[u8],
        open: impl Fn() -> sys::Result<R>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let node = self.0.find(path).ok_or(Error::Missing)?;
        let Kind::File(content) = &node.kind else {
            return Err(Error::NotAFile(node.type_name()));
        };
        let Some(entry) = content.entry else { return Ok(()) };
        let mut copy = Copy { entry, next: 0, is_open: false, size: content.size, out, done: None };
        let read = read::visit(&mut open().map_err(Error::Open)?, u64::MAX, &mut copy);
        match copy.done {
            Some(done) => done,
            None => {
                read.map_err(|error| Error::Unpack(UnpackError::Archive(error)))?;
                Err(Error::Changed)
            }
        }
    }
}

/// Copies the data of one entry.
struct Copy<'o> {
    /// Number of the entry.
    entry: u64,
    /// Number of the next entry.
    next: u64,
    /// Whether the data of this entry is being read.
    is_open: bool,
    /// Size of the content in bytes.
    size: u32,
    out: &'o mut dyn Write,
    /// The result, when there is one.
    done: Option<Result<(), Error>>,
}

impl Visitor for Copy<'_> {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        self.is_open = self.next == self.entry;
        self.next += 1;
        if self.is_open && member.size != self.size {
            self.done = Some(Err(Error::Changed));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        if self.is_open
            && let Err(error) = self.out.write_all(bytes)
        {
            self.done = Some(Err(Error::Write(error)));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, _member: &Member) -> ControlFlow<()> {
        if self.is_open {
            self.done = Some(Ok(()));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
