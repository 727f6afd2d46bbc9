//! The file that an image is written to, compressed as a whole if requested.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::compress::{Compress, Encoder};
use crate::sys::atomic_file::{AtomicFile, output_name};

/// An incomplete file. If it is dropped before [`Output::commit`], no file is left behind.
pub(super) struct Output {
    encoder: Option<Encoder<BufWriter<AtomicFile>>>,
    path: PathBuf,
}

impl Output {
    /// Creates a new file for `path` with the permissions `mode`. It begins with `head`, which is not
    /// compressed.
    ///
    /// # Errors
    ///
    /// Those of [`AtomicFile::create_output`].
    pub(super) fn create(
        path: &Path,
        mode: u32,
        compress: Compress,
        head: &[u8],
    ) -> Result<Self, Error> {
        let file = AtomicFile::create_output(path, mode)
            .map_err(Error::io("create", output_name(path)))?;
        let mut file = BufWriter::with_capacity(1 << 18, file);
        file.write_all(head).map_err(Error::io("write", output_name(path)))?;
        let mut output = Self { encoder: None, path: output_name(path).to_owned() };
        output.encoder = Some(Encoder::new(file, compress).map_err(output.failed())?);
        Ok(output)
    }

    /// Returns a function for `map_err` that makes the error of a failed write.
    pub(super) fn failed(&self) -> impl FnOnce(io::Error) -> Error + use<'_> {
        Error::io("write", &self.path)
    }

    /// Completes the file and renames it to its path. Returns its size in bytes.
    ///
    /// # Errors
    ///
    /// Errors of the filesystem.
    pub(super) fn commit(mut self) -> Result<u64, Error> {
        let file = self.encoder.take().map(finish).transpose().map_err(self.failed())?;
        let Some(file) = file else { return Ok(0) };
        file.sync().map_err(self.failed())?;
        file.commit().map_err(self.failed())
    }
}

fn finish(encoder: Encoder<BufWriter<AtomicFile>>) -> io::Result<AtomicFile> {
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.encoder {
            Some(encoder) => encoder.write(bytes),
            None => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.flush(),
            None => Ok(()),
        }
    }
}
