//! The compression of a whole archive: what the kernel's decoders unpack (lib/decompress_*.c).
//!
//! | codec | default level | what is written |
//! |---|---|---|
//! | zstd | see [`ZSTD`] | one frame with a checksum, with a window of 128 MiB at most |
//! | xz | 6 | one stream of LZMA2 with CRC32: the kernel has no CRC64 |
//! | gzip | 9 | one member, without a file name and a time |
//! | lz4 | 9 | the legacy format, as of `lz4 -l` |

use std::io::{self, Write};
use std::str::FromStr;

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use zstd::zstd_safe::{CParameter, ParamSwitch, Strategy};

use super::codec::lz4_encoder::Lz4Encoder;

/// Parameters of zstd without a level: those for modules, with larger tables and longer searches. The
/// window is the 4 MiB of level 9, because the kernel allocates it.
const ZSTD: [CParameter; 5] = [
    CParameter::CompressionLevel(9),
    CParameter::Strategy(Strategy::ZSTD_lazy2),
    CParameter::SearchLog(5),
    CParameter::MinMatch(4),
    CParameter::UseBlockSplitter(ParamSwitch::Enable),
];

/// Compression of the whole archive, with the level of its codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compress {
    /// Not compressed.
    #[default]
    None,
    /// zstd, from 1 to 22; `None` for [`ZSTD`].
    Zstd(Option<u8>),
    /// xz, from 0 to 9.
    Xz(u8),
    /// gzip, from 1 to 9.
    Gzip(u8),
    /// lz4, from 1 to 12.
    Lz4(u8),
}

impl FromStr for Compress {
    type Err = String;

    /// Parses `CODEC` or `CODEC:LEVEL`.
    fn from_str(word: &str) -> Result<Self, String> {
        let (codec, level) = match word.split_once(':') {
            Some((codec, level)) => (codec, Some(level)),
            None => (word, None),
        };
        let level = |from: u8, to: u8| match level {
            None => Ok(None),
            Some(level) => match level.parse() {
                Ok(level) if (from..=to).contains(&level) => Ok(Some(level)),
                _ => Err(format!("expected a level of {codec} from {from} to {to}")),
            },
        };
        match codec {
            "none" if word == codec => Ok(Self::None),
            "none" => Err("none has no level".to_owned()),
            "zstd" => level(1, 22).map(Self::Zstd),
            "xz" => Ok(Self::Xz(level(0, 9)?.unwrap_or(6))),
            "gzip" => Ok(Self::Gzip(level(1, 9)?.unwrap_or(9))),
            "lz4" => Ok(Self::Lz4(level(1, 12)?.unwrap_or(9))),
            _ => Err("expected none, zstd, xz, gzip or lz4, or CODEC:LEVEL".to_owned()),
        }
    }
}

/// The encoder of a codec, or the bare output if there is none.
pub(super) enum Encoder<W: Write> {
    None(W),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Xz(liblzma::write::XzEncoder<W>),
    Gzip(flate2::write::GzEncoder<W>),
    Lz4(Lz4Encoder<W>),
}

impl<W: Write> Encoder<W> {
    /// Makes an encoder that writes to `out`.
    ///
    /// # Errors
    /// The encoder finds no memory.
    pub(super) fn new(out: W, compress: Compress) -> io::Result<Self> {
        Ok(match compress {
            Compress::None => Self::None(out),
            Compress::Zstd(level) => Self::Zstd(zstd_encoder(out, level)?),
            Compress::Xz(level) => {
                Self::Xz(liblzma::write::XzEncoder::new_stream(out, xz_stream(level)?))
            }
            Compress::Gzip(level) => {
                let level = flate2::Compression::new(level.into());
                Self::Gzip(flate2::write::GzEncoder::new(out, level))
            }
            Compress::Lz4(level) => Self::Lz4(Lz4Encoder::new(out, level)?),
        })
    }

    /// Writes the end of the compressed data. Returns the output.
    ///
    /// # Errors
    /// Errors of the output.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Xz(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Xz(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Lz4(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Zstd(encoder) => encoder.flush(),
            Self::Xz(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Lz4(encoder) => encoder.flush(),
        }
    }
}

fn zstd_encoder<W: Write>(
    out: W,
    level: Option<u8>,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(out, level.unwrap_or(0).into())?;
    if level.is_none() {
        for parameter in ZSTD {
            encoder.set_parameter(parameter)?;
        }
    }
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Returns an encoder of LZMA2 alone: a kernel may have no filter for the code of a machine.
fn xz_stream(level: u8) -> io::Result<Stream> {
    let options = LzmaOptions::new_preset(level.into())?;
    let mut filters = Filters::new();
    filters.lzma2(&options);
    Ok(Stream::new_stream_encoder(&filters, Check::Crc32)?)
}

#[cfg(test)]
mod tests {
    use super::super::codec::Codec;
    use super::super::newc::Counted;
    use super::*;
    use std::io::Read;

    #[test]
    fn words_are_codecs_with_levels() {
        for (word, want) in [
            ("none", Ok(Compress::None)),
            ("zstd", Ok(Compress::Zstd(None))),
            ("zstd:19", Ok(Compress::Zstd(Some(19)))),
            ("xz", Ok(Compress::Xz(6))),
            ("xz:0", Ok(Compress::Xz(0))),
            ("gzip", Ok(Compress::Gzip(9))),
            ("lz4:12", Ok(Compress::Lz4(12))),
            ("none:1", Err("none has no level")),
            ("zstd:23", Err("expected a level of zstd from 1 to 22")),
            ("zstd:", Err("expected a level of zstd from 1 to 22")),
            ("xz:-1", Err("expected a level of xz from 0 to 9")),
            ("gzip:0", Err("expected a level of gzip from 1 to 9")),
            ("lz4:300", Err("expected a level of lz4 from 1 to 12")),
            ("bzip2", Err("expected none, zstd, xz, gzip or lz4, or CODEC:LEVEL")),
        ] {
            assert_eq!(word.parse::<Compress>(), want.map_err(str::to_owned), "{word}");
        }
    }

    /// More than a block of lz4, with parts that cannot be compressed.
    fn data() -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        let noise: Vec<u8> = (0..3 << 20).map(|_| next()).collect();
        [noise, b"an initramfs ".repeat(500_000)].concat()
    }

    #[test]
    fn every_codec_is_read_back() {
        let data = data();
        for word in ["zstd", "zstd:3", "xz:0", "gzip:1", "lz4:1", "lz4:3"] {
            for data in [&data[..], &data[..1], &data[..0]] {
                let mut encoder = Encoder::new(Vec::new(), word.parse().unwrap()).unwrap();
                data.chunks(100_000).for_each(|part| encoder.write_all(part).unwrap());
                let packed = encoder.finish().unwrap();
                assert!(data.len() < 2 || packed.len() < data.len() / 2, "{word}");
                let codec = Codec::detect(&packed).unwrap();
                assert_eq!(Some(codec.as_str()), word.split(':').next());
                let mut read = Vec::new();
                let mut input = Counted::new(&packed[..]);
                codec.decoder(&mut input).unwrap().read_to_end(&mut read).unwrap();
                assert!(read == data, "{word}: {} bytes", data.len());
            }
        }
    }

    #[test]
    fn xz_has_the_check_of_the_kernel() {
        let encoder = Encoder::new(Vec::new(), Compress::Xz(6)).unwrap();
        assert!(encoder.finish().unwrap().starts_with(b"\xfd7zXZ\0\0\x01"));
    }
}
