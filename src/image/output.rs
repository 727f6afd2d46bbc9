//! The file that an image is written to, compressed as a whole if requested.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use zstd::zstd_safe::{CParameter, ParamSwitch, Strategy};

use super::Error;
use crate::sys::atomic_file::{AtomicFile, output_name};

/// Parameters of zstd for archives: those for modules, with larger tables and longer searches. The
/// window is the 4 MiB of level 9, because the kernel allocates it.
const ZSTD: [CParameter; 5] = [
    CParameter::CompressionLevel(9),
    CParameter::Strategy(Strategy::ZSTD_lazy2),
    CParameter::SearchLog(5),
    CParameter::MinMatch(4),
    CParameter::UseBlockSplitter(ParamSwitch::Enable),
];

/// Compression of the whole archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compress {
    /// Not compressed.
    #[default]
    None,
    /// One zstd frame. Its window is far below the kernel's limit of 128 MiB.
    Zstd,
    /// gzip, without a file name and time in its header.
    Gzip,
}

/// The encoder, or the bare file if the archive is not compressed.
enum Encoder {
    None(BufWriter<AtomicFile>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<AtomicFile>>),
    Gzip(flate2::write::GzEncoder<BufWriter<AtomicFile>>),
}

/// An incomplete file. If it is dropped before [`Output::commit`], no file is left behind.
pub(super) struct Output {
    encoder: Option<Encoder>,
    path: PathBuf,
}

impl Output {
    /// Creates a new file for `path` with the permissions `mode`.
    ///
    /// # Errors
    ///
    /// Those of [`AtomicFile::create_output`].
    pub(super) fn create(path: &Path, mode: u32, compress: Compress) -> Result<Self, Error> {
        let file = AtomicFile::create_output(path, mode)
            .map_err(Error::io("create", output_name(path)))?;
        let file = BufWriter::with_capacity(1 << 18, file);
        let mut output = Self { encoder: None, path: output_name(path).to_owned() };
        output.encoder = Some(match compress {
            Compress::None => Encoder::None(file),
            Compress::Zstd => Encoder::Zstd(zstd_encoder(file).map_err(output.failed())?),
            Compress::Gzip => {
                let level = flate2::Compression::best();
                Encoder::Gzip(flate2::write::GzEncoder::new(file, level))
            }
        });
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

fn zstd_encoder(
    file: BufWriter<AtomicFile>,
) -> io::Result<zstd::stream::write::Encoder<'static, BufWriter<AtomicFile>>> {
    let mut encoder = zstd::stream::write::Encoder::new(file, 0)?;
    for parameter in ZSTD {
        encoder.set_parameter(parameter)?;
    }
    encoder.include_checksum(true)?;
    Ok(encoder)
}

fn finish(encoder: Encoder) -> io::Result<AtomicFile> {
    let file = match encoder {
        Encoder::None(file) => file,
        Encoder::Zstd(encoder) => encoder.finish()?,
        Encoder::Gzip(encoder) => encoder.finish()?,
    };
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.encoder {
            Some(Encoder::None(file)) => file.write(bytes),
            Some(Encoder::Zstd(encoder)) => encoder.write(bytes),
            Some(Encoder::Gzip(encoder)) => encoder.write(bytes),
            None => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.encoder {
            Some(Encoder::None(file)) => file.flush(),
            Some(Encoder::Zstd(encoder)) => encoder.flush(),
            Some(Encoder::Gzip(encoder)) => encoder.flush(),
            None => Ok(()),
        }
    }
}
