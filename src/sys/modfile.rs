//! One module file: its descriptor for the kernel, or its decoded image.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Error, Result};
use crate::kmod::compress::{self, Compression, DecodeError};

/// An open module file.
#[derive(Debug)]
pub struct ModuleFile {
    file: File,
    path: PathBuf,
    compression: Compression,
}

/// Why a module's image cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// The file cannot be read.
    Read(Error),
    /// Its content cannot be decoded.
    Decode(DecodeError),
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl ModuleFile {
    /// Opens `path` for reading, which is all that finit_module(2) allows, and reads its first bytes.
    ///
    /// # Errors
    /// It cannot be opened or read. A file too short to be a module is plain.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |op| move |e: std::io::Error| Error::io(op, path, &e);
        let mut file = File::open(path).map_err(failed("open"))?;
        let mut head = Vec::with_capacity(6);
        file.by_ref().take(6).read_to_end(&mut head).map_err(failed("read"))?;
        Ok(Self { file, path: path.to_owned(), compression: Compression::of(&head) })
    }

    /// Its compression, told by its content.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Its descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Its image, decoded, of at most `limit` bytes.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is larger.
    pub fn image(&mut self, limit: usize) -> std::result::Result<Vec<u8>, ImageError> {
        let failed = |e: std::io::Error| ImageError::Read(Error::io("read", &self.path, &e));
        let len = self.file.metadata().map_err(failed)?.len();
        if len > limit as u64 {
            return Err(ImageError::Read(Error::new("read", self.path.display(), Errno::FBIG)));
        }
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(usize::try_from(len).unwrap_or(usize::MAX)).is_err() {
            return Err(ImageError::Read(Error::new("read", self.path.display(), Errno::NOMEM)));
        }
        self.file.rewind().map_err(failed)?;
        self.file.read_to_end(&mut bytes).map_err(failed)?;
        match self.compression {
            Compression::Plain => Ok(bytes),
            _ => compress::decode(&bytes, limit).map_err(ImageError::Decode),
        }
    }
}
