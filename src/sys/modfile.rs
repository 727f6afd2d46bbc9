//! One module file: its descriptor for finit_module(2), or its decoded image for init_module(2).

use std::fs::File;
#[cfg(feature = "host")]
use std::io::BufReader;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::regular_file::{self, FileBytes};
use super::{BootTime, Error, Result};
use crate::escape;
#[cfg(feature = "host")]
use crate::kmod::compress;
use crate::kmod::compress::{Compression, DecodeError, Decoder, IMAGE_LIMIT};
#[cfg(feature = "host")]
use crate::kmod::elf_machine::Machine;

/// Plain modules from this size in bytes on are mapped by [`ModuleFile::contents`]. modinfo uses a
/// few pages, and reading all of xfs took longer than the whole of kmod's modinfo.
const MAP_SIZE: u64 = 1 << 20;

/// An open module file.
#[derive(Debug)]
pub(crate) struct ModuleFile {
    file: File,
    path: PathBuf,
    compression: Compression,
}

/// Why a module file has no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ImageError {
    /// The file cannot be read.
    Read(Error),
    /// Its content is damaged, or larger than the limit.
    Decode(DecodeError),
}

impl std::error::Error for ImageError {}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl ModuleFile {
    /// Opens `path` read-only, because finit_module(2) returns ETXTBSY for a writable descriptor,
    /// and reads the first bytes. A file that is too short to be a module counts as not compressed.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is not a regular file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::io("read", path, &e);
        let mut file = regular_file::open(path)?;
        let mut head = Vec::with_capacity(6);
        file.by_ref().take(6).read_to_end(&mut head).map_err(failed)?;
        Ok(Self { file, path: path.to_owned(), compression: Compression::detect(&head) })
    }

    /// Returns the compression, detected by content.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }

    /// Returns the descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns the decoded image, at most `limit` bytes.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is larger than `limit`.
    pub(crate) fn image(&mut self, limit: usize) -> std::result::Result<Vec<u8>, ImageError> {
        let (mut bytes, mut image) = (Vec::new(), Vec::new());
        self.image_into(&mut Decoder::default(), &mut bytes, &mut image, limit)?;
        Ok(image)
    }

    /// Returns the decoded image. A large plain file is mapped, so that only what is used of it
    /// takes memory, whatever its size.
    ///
    /// # Errors
    /// The file cannot be read or mapped, is damaged, or decodes to more than the limit.
    pub(crate) fn contents(mut self) -> std::result::Result<FileBytes, ImageError> {
        if self.compression == Compression::Plain {
            let map = FileBytes::map_if_large(&self.file, MAP_SIZE);
            let failed =
                |errno| ImageError::Read(Error::new("mmap", escape::path(&self.path), errno));
            if let Some(map) = map.map_err(failed)? {
                return Ok(map);
            }
        }
        self.image(IMAGE_LIMIT).map(FileBytes::Read)
    }

    /// Returns the first `len` bytes of the decoded image, or the whole if it is shorter. No more
    /// is decoded.
    ///
    /// # Errors
    /// The file cannot be read, or its start is damaged.
    #[cfg(feature = "host")]
    pub(crate) fn head(&mut self, len: usize) -> Result<Vec<u8>> {
        let failed = |e: std::io::Error| Error::io("read", &self.path, &e);
        self.file.rewind().map_err(failed)?;
        compress::head(self.compression, BufReader::new(&self.file), len).map_err(failed)
    }

    /// Returns the machine that the module or program at `path` is for; `None` if it cannot be
    /// read, or is no ELF file.
    #[cfg(feature = "host")]
    pub(crate) fn machine(path: &Path) -> Option<Machine> {
        let head = Self::open(path).ok()?.head(Machine::HEADER).ok()?;
        Machine::parse(&head).ok().filter(|_| head.starts_with(b"\x7fELF"))
    }

    /// Returns the last `len` bytes of the file as it is, or the whole file if it is shorter.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn end(&mut self, len: usize) -> Result<Vec<u8>> {
        let failed = |e: std::io::Error| Error::io("read", &self.path, &e);
        let size = self.file.metadata().map_err(failed)?.len();
        self.file.seek(SeekFrom::Start(size.saturating_sub(len as u64))).map_err(failed)?;
        let mut bytes = Vec::with_capacity(len);
        self.file.by_ref().take(len as u64).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    /// Decodes the image into `image`, as [`Self::image`] does, to reuse its memory. `bytes` holds
    /// the compressed file meanwhile. Returns the time at which the file had been read.
    ///
    /// # Errors
    /// As [`Self::image`].
    pub(crate) fn image_into(
        &mut self,
        decoder: &mut Decoder,
        bytes: &mut Vec<u8>,
        image: &mut Vec<u8>,
        limit: usize,
    ) -> std::result::Result<BootTime, ImageError> {
        let plain = self.compression == Compression::Plain;
        self.read_into(if plain { image } else { bytes }, limit)?;
        let has_read = BootTime::now();
        if !plain {
            decoder.decode_into(bytes, limit, image).map_err(ImageError::Decode)?;
        }
        Ok(has_read)
    }

    fn read_into(
        &mut self,
        bytes: &mut Vec<u8>,
        limit: usize,
    ) -> std::result::Result<(), ImageError> {
        let failed = |e: std::io::Error| ImageError::Read(Error::io("read", &self.path, &e));
        let len = self.file.metadata().map_err(failed)?.len();
        bytes.clear();
        self.file.rewind().map_err(failed)?;
        regular_file::read_to_end(&mut self.file, len, limit, bytes)
            .map_err(|cause| ImageError::Read(Error::new("read", escape::path(&self.path), cause)))
    }
}
