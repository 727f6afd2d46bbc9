//! The compression of an archive of an image: every codec of the kernel, recognised by the same two
//! bytes (lib/decompress.c).
//!
//! | first bytes | codec | what is read |
//! |---|---|---|
//! | `1F 8B` | gzip | one member |
//! | `42 5A` | bzip2 | one stream |
//! | `5D 00` | lzma | a file of LZMA alone, up to its size or end marker |
//! | `FD 37` | xz | one stream |
//! | `89 4C` | lzo | a file of lzop, up to its empty block ([`lzo`]) |
//! | `02 21` | lz4 | the legacy format, up to a size that no block has ([`lz4`]) |
//! | `28 B5` | zstd | one frame |

mod lz4;
pub(super) mod lz4_encoder;
mod lzo;

use std::io::{self, BufRead, Read};

use super::newc::Counted;

/// Largest memory of an xz or lzma decoder, in bytes: twice what the strongest preset needs. zstd
/// has the same limit for its window, and so has the kernel.
pub(super) const MEMORY_LIMIT: u64 = 128 << 20;

/// Number of bytes that [`Codec::detect`] needs.
pub(super) const HEAD: usize = 4;

/// Compression of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// LZMA alone, the format before xz.
    Lzma,
    /// xz.
    Xz,
    /// LZO1X in files of lzop.
    Lzo,
    /// lz4 in its legacy format.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// Detects the codec of data that starts with `head`.
    pub(super) fn detect(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', ..] => Self::Bzip2,
            [0x5d, 0, ..] => Self::Lzma,
            [0xfd, b'7', ..] => Self::Xz,
            [0x89, b'L', ..] => Self::Lzo,
            [2, 0x21, ..] => Self::Lz4,
            [0x28, 0xb5, ..] => Self::Zstd,
            _ => return None,
        })
    }

    /// Returns the kernel's name of the codec.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Returns a decoder that ends where the compressed data does and reads no byte after it.
    ///
    /// # Errors
    /// The decoder finds no memory, or its first bytes cannot be read.
    pub(super) fn decoder<'a, R: BufRead>(
        self,
        input: &'a mut Counted<R>,
    ) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::GzDecoder::new(input)),
            Self::Bzip2 => Box::new(bzip2::bufread::BzDecoder::new(input)),
            Self::Lzma | Self::Xz => {
                let stream = match self {
                    Self::Xz => liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, 0),
                    _ => liblzma::stream::Stream::new_lzma_decoder(MEMORY_LIMIT),
                };
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream?))
            }
            Self::Lzo => Box::new(lzo::Decoder::new(input)),
            Self::Lz4 => Box::new(lz4::Decoder::new(input)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?.single_frame()),
        })
    }
}
