//! How a module file is compressed, told by its first bytes, and decoding it with a limit.
//!
//! | first bytes         | codec | note                                              |
//! |---------------------|-------|---------------------------------------------------|
//! | `28 B5 2F FD`       | zstd  | a frame states its content size, or is streamed   |
//! | `FD 37 7A 58 5A 00` | xz    | every check, BCJ filters, several streams         |
//! | `1F 8B`             | gzip  | several members                                   |
//! | anything else       | plain |                                                   |
//!
//! The ending of the file's name says nothing.

use std::fmt;
use std::io::Read;

/// The largest image that is decoded, in bytes: many times the largest module there is, small enough
/// that a bomb does not take the machine.
pub const IMAGE_LIMIT: usize = 256 << 20;

/// A module file's compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not compressed (as far as we know codecs).
    Plain,
    /// Zstandard.
    Zstd,
    /// xz.
    Xz,
    /// gzip.
    Gzip,
}

impl Compression {
    /// The compression of a file that starts with `head` (6 bytes are enough).
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// The codec that `/sys/module/compression` names; `None` for a word we do not know.
    pub fn from_kernel(word: &str) -> Option<Self> {
        match word.trim_end() {
            "zstd" => Some(Self::Zstd),
            "xz" => Some(Self::Xz),
            "gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// The kernel's word for this codec; `plain` for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
        }
    }
}

/// Why a file could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The decoder's own words.
    Damaged(Compression, String),
    /// The image would be larger than the limit, in bytes.
    TooLarge(usize),
    /// There is no memory for an image of so many bytes.
    NoMemory(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(codec, text) => write!(f, "damaged {} data: {text}", codec.name()),
            Self::TooLarge(limit) => write!(f, "decodes to more than {limit} bytes"),
            Self::NoMemory(size) => write!(f, "no memory for an image of {size} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// The image in `file`, whose compression its first bytes tell. The output is allocated once where
/// the format tells its size.
///
/// # Errors
/// Damaged data, or an image of more than `limit` bytes.
pub fn decode(file: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let codec = Compression::of(file);
    let damaged = |e: std::io::Error| DecodeError::Damaged(codec, e.to_string());
    match codec {
        Compression::Plain if file.len() > limit => Err(DecodeError::TooLarge(limit)),
        Compression::Plain => Ok(file.to_vec()),
        Compression::Zstd => decode_zstd(file, limit),
        Compression::Xz => {
            read(codec, &mut lzma_rust2::XzReader::new(file, true), file.len() * 4, limit)
        }
        Compression::Gzip => {
            read(codec, &mut flate2::read::MultiGzDecoder::new(file), gzip_size(file), limit)
        }
    }
    .map_err(|e| match e {
        DecodeError::Damaged(_, text) => damaged(std::io::Error::other(text)),
        other => other,
    })
}

/// zstd in one call where the frame states its size (the kernel's and kmod's files do), else streamed.
fn decode_zstd(file: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let codec = Compression::Zstd;
    let damaged = |e: std::io::Error| DecodeError::Damaged(codec, e.to_string());
    let size = zstd::zstd_safe::get_frame_content_size(file).ok().flatten();
    let one_frame = zstd::zstd_safe::find_frame_compressed_size(file).ok() == Some(file.len());
    match size.map(usize::try_from) {
        Some(Ok(size)) if one_frame && size <= limit => {
            let mut image = reserve(size)?;
            zstd::bulk::Decompressor::new()
                .and_then(|mut decoder| decoder.decompress_to_buffer(file, &mut image))
                .map_err(damaged)?;
            Ok(image)
        }
        Some(_) if one_frame => Err(DecodeError::TooLarge(limit)),
        _ => {
            let mut reader = zstd::stream::read::Decoder::with_buffer(file).map_err(damaged)?;
            read(codec, &mut reader, file.len() * 4, limit)
        }
    }
}

/// The size that a gzip file's last four bytes state (exact for one member below 4 GiB).
fn gzip_size(file: &[u8]) -> usize {
    file.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

/// An empty buffer with room for `size` bytes. The size comes from a file that may be damaged, and PID 1 must not
/// end for want of memory.
fn reserve(size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut image = Vec::new();
    image.try_reserve_exact(size).map_err(|_| DecodeError::NoMemory(size))?;
    Ok(image)
}

fn read(
    codec: Compression,
    reader: &mut impl Read,
    expected: usize,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    // A damaged size must not make us allocate: a module rarely grows more than tenfold.
    let mut image = reserve(expected.min(limit).min(32 << 20))?;
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut image)
        .map_err(|e| DecodeError::Damaged(codec, e.to_string()))?;
    if image.len() > limit { Err(DecodeError::TooLarge(limit)) } else { Ok(image) }
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

    fn xz(data: &[u8]) -> Vec<u8> {
        let mut encoder =
            lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn samples(data: &[u8]) -> Vec<Vec<u8>> {
        let streamed = zstd::stream::encode_all(data, 3).unwrap();
        vec![zstd::bulk::compress(data, 3).unwrap(), streamed, gzip(data), xz(data), data.to_vec()]
    }

    #[test]
    fn every_codec_gives_the_image_back() {
        let data: Vec<u8> =
            b"\x7fELF".iter().copied().chain((0..200_000u32).map(|n| (n % 251) as u8)).collect();
        for file in samples(&data) {
            assert_eq!(decode(&file, IMAGE_LIMIT).unwrap(), data, "{:?}", Compression::of(&file));
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
    fn the_limit_holds() {
        for file in samples(&vec![7; 100_000]) {
            assert_eq!(decode(&file, 99_999), Err(DecodeError::TooLarge(99_999)));
            assert!(decode(&file, 100_000).is_ok());
        }
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let data: Vec<u8> = (0..5000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for file in samples(&data).into_iter().filter(|f| Compression::of(f) != Compression::Plain)
        {
            for len in [6, 10, file.len() / 2, file.len() - 1] {
                assert!(
                    decode(&file[..len], IMAGE_LIMIT).is_err(),
                    "{:?} cut to {len}",
                    Compression::of(&file)
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
