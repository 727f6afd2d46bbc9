//! Detects the compression of a module file by its first bytes and decodes it, up to a size limit.
//!
//! | first bytes         | codec | note                                              |
//! |---------------------|-------|---------------------------------------------------|
//! | `28 B5 2F FD`       | zstd  | with or without the content size in the frame     |
//! | `FD 37 7A 58 5A 00` | xz    | every check, BCJ filters, several streams         |
//! | `1F 8B`             | gzip  | several members                                   |
//! | anything else       | plain |                                                   |
//!
//! The suffix of the file name is ignored. Without the feature `full` only zstd is decoded.

#[cfg(any(test, all(feature = "full", not(feature = "host"))))]
pub(crate) mod crc64;
#[cfg(feature = "full")]
mod gzip;
#[cfg(not(feature = "full"))]
#[path = "no_gzip.rs"]
mod gzip;
#[cfg(feature = "full")]
mod xz;
#[cfg(not(feature = "full"))]
#[path = "no_xz.rs"]
mod xz;

use std::fmt;
#[cfg(feature = "host")]
use std::io::BufRead;
use std::io::Read;

/// Maximum size of a decoded image, in bytes: INT_MAX, the kernel's own limit. A plain file of
/// which only parts are read may be larger.
pub const IMAGE_LIMIT: usize = i32::MAX as usize;

/// Compression of a module file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed, or compressed with an unknown codec.
    Plain,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// gzip.
    Gzip,
}

impl Compression {
    /// Detects the compression of a file that starts with `head`; 6 bytes suffice.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// Parses the content of `/sys/module/compression`. Returns `None` for an unknown codec.
    pub(crate) fn from_kernel(word: &str) -> Option<Self> {
        match word.trim_end() {
            "zstd" => Some(Self::Zstd),
            "xz" => Some(Self::Xz),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// Returns the kernel's name of the codec, or `plain` for none.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
        }
    }
}

/// The reason why a file cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The data is damaged; the text is the decoder's.
    Damaged(Compression, String),
    /// The image is larger than this limit, in bytes.
    TooLarge(usize),
    /// An allocation of this many bytes for the image failed.
    NoMemory(usize),
    /// This program is built without the decoder.
    Absent(Compression),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(codec, text) => write!(f, "damaged {} data: {text}", codec.as_str()),
            Self::TooLarge(limit) => write!(f, "decodes to more than {limit} bytes"),
            Self::NoMemory(size) => write!(f, "cannot allocate {size} bytes for the image"),
            Self::Absent(codec) => write!(f, "this coldplug decodes no {}", codec.as_str()),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Decodes `file`, detecting the compression by the first bytes. The output is allocated once if
/// the format states its size.
///
/// # Errors
/// Damaged data, or an image of more than `limit` bytes.
pub fn decode(file: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut image = Vec::new();
    Decoder::default().decode_into(file, limit, &mut image)?;
    Ok(image)
}

/// Decodes the first `len` bytes of `file`, or all if there are fewer, and reads no further than
/// that needs.
///
/// # Errors
/// Those of the reader, or damaged data.
#[cfg(feature = "host")]
pub(crate) fn head(codec: Compression, file: impl BufRead, len: usize) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut take = |reader: &mut dyn Read| reader.take(len as u64).read_to_end(&mut head);
    match codec {
        Compression::Plain => take(&mut { file }),
        Compression::Zstd => take(&mut zstd::stream::read::Decoder::with_buffer(file)?),
        Compression::Xz => take(&mut xz::reader(file)?),
        Compression::Gzip => take(&mut flate2::bufread::MultiGzDecoder::new(file)),
    }?;
    Ok(head)
}

/// Decoder state that is reused from file to file.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    xz: xz::Decoder,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// Decodes `file` as [`decode`] does, into a buffer whose content is discarded and whose
    /// memory is reused.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode_into(
        &mut self,
        file: &[u8],
        limit: usize,
        image: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        image.clear();
        let codec = Compression::detect(file);
        match codec {
            Compression::Plain if file.len() > limit => Err(DecodeError::TooLarge(limit)),
            Compression::Plain => {
                reserve(image, file.len())?;
                image.extend_from_slice(file);
                Ok(())
            }
            Compression::Zstd => self.decode_zstd(file, limit, image),
            Compression::Xz => self.xz.decode(file, limit, image),
            Compression::Gzip => gzip::decode(file, limit, image),
        }
    }

    /// Decodes zstd: in one call if the frame states its size, as it does in files made for the
    /// kernel and kmod, otherwise as a stream.
    fn decode_zstd(
        &mut self,
        file: &[u8],
        limit: usize,
        image: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let codec = Compression::Zstd;
        let damaged = |e: std::io::Error| DecodeError::Damaged(codec, e.to_string());
        let size = zstd::zstd_safe::get_frame_content_size(file).ok().flatten();
        let one_frame = zstd::zstd_safe::find_frame_compressed_size(file).ok() == Some(file.len());
        match size.map(usize::try_from) {
            Some(Ok(size)) if one_frame && size <= limit => {
                reserve(image, size)?;
                let decoder = match &mut self.zstd {
                    Some(decoder) => decoder,
                    none => none.insert(zstd::bulk::Decompressor::new().map_err(damaged)?),
                };
                decoder.decompress_to_buffer(file, image).map_err(damaged)?;
                Ok(())
            }
            Some(_) if one_frame => Err(DecodeError::TooLarge(limit)),
            _ => {
                let mut reader = zstd::stream::read::Decoder::with_buffer(file).map_err(damaged)?;
                read(codec, &mut reader, file.len() * 4, limit, image)
            }
        }
    }
}

/// Reserves `size` more bytes and reports a failed allocation as an error. The size comes from a
/// file that may be damaged, and PID 1 must not abort because of a failed allocation.
fn reserve(image: &mut Vec<u8>, size: usize) -> Result<(), DecodeError> {
    image.try_reserve_exact(size).map_err(|_| DecodeError::NoMemory(size))
}

/// Upper limit of the initial allocation, in bytes. The size that a file states may be damaged, and
/// a module rarely grows more than tenfold.
const INITIAL_CAPACITY_LIMIT: usize = 32 << 20;

fn read(
    codec: Compression,
    reader: &mut impl Read,
    expected: usize,
    limit: usize,
    image: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    reserve(image, expected.min(limit).min(INITIAL_CAPACITY_LIMIT))?;
    reader
        .take(limit as u64 + 1)
        .read_to_end(image)
        .map_err(|e| DecodeError::Damaged(codec, e.to_string()))?;
    if image.len() > limit { Err(DecodeError::TooLarge(limit)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[cfg(feature = "host")]
    #[test]
    fn a_head_is_decoded_without_the_rest() {
        let data: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let files = [zstd::bulk::compress(&data, 1).unwrap(), xz(&data), gzip(&data), data.clone()];
        for file in files {
            let codec = Compression::detect(&file);
            let decoded = |len| head(codec, &file[..file.len() * 3 / 4], len).unwrap();
            assert_eq!(decoded(20), &data[..20], "{codec:?}");
            assert_eq!(decoded(0), b"", "{codec:?}");
            assert_eq!(head(codec, &file[..], usize::MAX).unwrap(), data, "{codec:?}");
            if codec != Compression::Plain {
                assert!(head(codec, &file[..8], 20).is_err(), "{codec:?}");
            }
        }
    }

    pub(super) fn xz(data: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn samples(data: &[u8]) -> Vec<Vec<u8>> {
        let streamed = zstd::stream::encode_all(data, 3).unwrap();
        vec![zstd::bulk::compress(data, 3).unwrap(), streamed, gzip(data), xz(data), data.to_vec()]
    }

    #[test]
    fn every_codec_decodes_to_the_same_image() {
        let data: Vec<u8> =
            b"\x7fELF".iter().copied().chain((0..200_000u32).map(|n| (n % 251) as u8)).collect();
        for file in samples(&data) {
            assert_eq!(
                decode(&file, IMAGE_LIMIT).unwrap(),
                data,
                "{:?}",
                Compression::detect(&file)
            );
        }
        let twice =
            [zstd::bulk::compress(&data, 3).unwrap(), zstd::bulk::compress(&data, 3).unwrap()]
                .concat();
        assert_eq!(decode(&twice, IMAGE_LIMIT).unwrap().len(), 2 * data.len());
        let twice = [xz(&data), xz(&data)].concat();
        assert_eq!(decode(&twice, IMAGE_LIMIT).unwrap().len(), 2 * data.len());
        let twice = [gzip(&data), gzip(&data)].concat();
        assert_eq!(decode(&twice, IMAGE_LIMIT).unwrap().len(), 2 * data.len());
    }

    #[test]
    fn one_decoder_handles_many_files() {
        let (mut decoder, mut image) = (Decoder::default(), Vec::new());
        let large: Vec<u8> =
            (0..300_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for data in [&large[..], b"small", b"", &large[..70_000]] {
            for file in samples(data) {
                decoder.decode_into(&file, IMAGE_LIMIT, &mut image).unwrap();
                assert!(image == data, "{:?}", Compression::detect(&file));
                // Any damage is detected and does not affect the next file.
                if Compression::detect(&file) != Compression::Plain && file.len() > 60 {
                    for cut in [file.len() / 2..file.len(), 30..34, 30..file.len() - 12] {
                        let mut broken = file.clone();
                        broken.drain(cut);
                        let result = decoder.decode_into(&broken, IMAGE_LIMIT, &mut image);
                        assert!(result.is_err() || image != data);
                    }
                }
            }
        }
    }

    #[test]
    fn the_size_limit_is_enforced() {
        for file in samples(&vec![7; 100_000]) {
            assert_eq!(decode(&file, 99_999), Err(DecodeError::TooLarge(99_999)));
            assert!(decode(&file, 100_000).is_ok());
        }
    }

    #[test]
    fn damaged_data_is_an_error() {
        let data: Vec<u8> = (0..5000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for file in
            samples(&data).into_iter().filter(|f| Compression::detect(f) != Compression::Plain)
        {
            for len in [6, 10, file.len() / 2, file.len() - 1] {
                assert!(
                    decode(&file[..len], IMAGE_LIMIT).is_err(),
                    "{:?} cut to {len}",
                    Compression::detect(&file)
                );
            }
            for at in (8..file.len()).step_by(37) {
                let mut broken = file.clone();
                broken[at] ^= 0x55;
                if let Ok(image) = decode(&broken, IMAGE_LIMIT) {
                    assert!(image.len() < 1 << 22);
                }
            }
        }
    }
}
