//! What two files of images are compared by: the BLAKE3 hash of their content, and for a compressed
//! module also that of the module.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;

use super::codec::MEMORY_LIMIT;
use crate::kmod::compress::Compression;
use crate::kmod::name::ModuleName;

/// BLAKE3 hash of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    /// That of the content as it is.
    pub(crate) stored: [u8; 32],
    /// That of the decompressed module, if the file is one and can be decompressed.
    pub(crate) module: Option<[u8; 32]>,
}

/// Takes the content of a file piece by piece.
pub(super) struct Digester {
    stored: blake3::Hasher,
    /// Whether the file is a module.
    is_module: bool,
    module: Module,
    budget: Budget,
}

/// How many bytes the modules of an image may still decompress to. A module beyond that is compared
/// as it is.
pub(super) type Budget = Rc<Cell<u64>>;

/// The decoder of a module.
enum Module {
    /// No byte has come yet.
    New,
    /// Nothing is decoded: the file is no module, is not compressed, or cannot be decompressed.
    None,
    Gzip(flate2::write::MultiGzDecoder<Sink>),
    Xz(liblzma::write::XzDecoder<Sink>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

/// The end of a decoder.
struct Sink {
    sum: blake3::Hasher,
    budget: Budget,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.budget.get().checked_sub(bytes.len() as u64);
        self.budget.set(left.ok_or(io::ErrorKind::FileTooLarge)?);
        self.sum.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digester")
    }
}

impl Digester {
    /// Starts the digest of the file at `path`.
    pub(super) fn new(path: &[u8], budget: &Budget) -> Self {
        let is_module = ModuleName::from_path(path).is_some();
        let budget = Rc::clone(budget);
        Self { stored: blake3::Hasher::new(), is_module, module: Module::New, budget }
    }

    /// Adds the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.stored.update(bytes);
        if !self.is_module {
            return;
        }
        if let Module::New = self.module {
            let sink = Sink { sum: blake3::Hasher::new(), budget: Rc::clone(&self.budget) };
            self.module = Module::start(bytes, sink);
        }
        if self.module.add(bytes).is_err() {
            self.module = Module::None;
        }
    }

    /// Returns the digest.
    pub(super) fn finish(self) -> Digest {
        let stored = self.stored.finalize().into();
        let module = match (self.module.finish(), self.is_module) {
            (Some(sum), _) => Some(sum.finalize().into()),
            (None, true) => Some(stored),
            (None, false) => None,
        };
        Digest { stored, module }
    }
}

impl Module {
    /// Starts the decoder of a module that begins with `head`.
    fn start(head: &[u8], sink: Sink) -> Self {
        match Compression::detect(head) {
            Compression::Plain => Self::None,
            Compression::Gzip => Self::Gzip(flate2::write::MultiGzDecoder::new(sink)),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, flags)
                    .map(|stream| liblzma::write::XzDecoder::new_stream(sink, stream))
                    .map_or(Self::None, Self::Xz)
            }
            Compression::Zstd => {
                zstd::stream::write::Decoder::new(sink).map_or(Self::None, Self::Zstd)
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::New | Self::None => Ok(()),
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Xz(decoder) => decoder.write_all(bytes),
            Self::Zstd(decoder) => decoder.write_all(bytes),
        }
    }

    /// Returns the sum of the decompressed module.
    fn finish(self) -> Option<blake3::Hasher> {
        let sink = match self {
            Self::New | Self::None => return None,
            Self::Gzip(decoder) => decoder.finish().ok()?,
            Self::Xz(decoder) => decoder.finish().ok()?,
            Self::Zstd(mut decoder) => {
                decoder.flush().ok()?;
                decoder.into_inner()
            }
        };
        Some(sink.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(path: &str, bytes: &[u8]) -> Digest {
        digest_within(path, bytes, u64::MAX)
    }

    fn digest_within(path: &str, bytes: &[u8], budget: u64) -> Digest {
        let mut digester = Digester::new(path.as_bytes(), &Rc::new(Cell::new(budget)));
        bytes.chunks(7).for_each(|chunk| digester.add(chunk));
        digester.finish()
    }

    #[test]
    fn a_module_is_the_same_in_every_compression() {
        let module: Vec<u8> = (0..5000_u32).flat_map(|n| (n % 300).to_le_bytes()).collect();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&module).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&module).unwrap();
        let zstd = zstd::stream::encode_all(&module[..], 3).unwrap();
        let plain = digest("a.ko", &module);
        assert_eq!(plain.module, Some(plain.stored));
        let files = [
            ("a.ko.gz", gzip.finish().unwrap()),
            ("a.ko.xz", xz.finish().unwrap()),
            ("a.ko.zst", zstd),
        ];
        for (name, file) in files {
            let packed = digest(name, &file);
            assert_eq!(packed.module, plain.module, "{name}");
            assert_ne!(packed.stored, plain.stored, "{name}");
            assert_eq!(digest("data", &file).module, None, "{name}");
            // What cannot be decompressed is compared as it is.
            let cut = digest(name, &file[..4]);
            assert_ne!(cut.module, plain.module, "{name}");
            let within = |budget| digest_within(name, &file, budget).module;
            assert_eq!(within(20_000), plain.module, "{name}");
            assert_eq!(within(19_999), Some(packed.stored), "{name}");
        }
    }
}
