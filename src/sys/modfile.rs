//! One module file: its descriptor for the kernel, or its decoded image.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Error, Result};
use crate::kmod::compress::{Compression, DecodeError, Decoder};

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
        Ok(Self { file, path: path.to_owned(), compression: Compression::detect(&head) })
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
        let (mut bytes, mut image) = (Vec::new(), Vec::new());
        self.image_into(&mut Decoder::default(), &mut bytes, &mut image, limit)?;
        Ok(image)
    }

    /// As [`Self::image`], into memory that is used again; `bytes` is for the file as it is.
    ///
    /// # Errors
    /// As [`Self::image`].
    pub fn image_into(
        &mut self,
        decoder: &mut Decoder,
        bytes: &mut Vec<u8>,
        image: &mut Vec<u8>,
        limit: usize,
    ) -> std::result::Result<(), ImageError> {
        let plain = self.compression == Compression::Plain;
        self.read_into(if plain { image } else { bytes }, limit)?;
        match plain {
            true => Ok(()),
            false => decoder.decode_into(bytes, limit, image).map_err(ImageError::Decode),
        }
    }

    fn read_into(
        &mut self,
        bytes: &mut Vec<u8>,
        limit: usize,
    ) -> std::result::Result<(), ImageError> {
        let failed = |e: std::io::Error| ImageError::Read(Error::io("read", &self.path, &e));
        let told = |errno| ImageError::Read(Error::new("read", self.path.display(), errno));
        let len = self.file.metadata().map_err(failed)?.len();
        if len > limit as u64 {
            return Err(told(Errno::FBIG));
        }
        bytes.clear();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(len).map_err(|_| told(Errno::NOMEM))?;
        self.file.rewind().map_err(failed)?;
        self.file.read_to_end(bytes).map_err(failed)?;
        Ok(())
    }
}
