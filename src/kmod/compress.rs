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

use liblzma::stream::{Action, Status, Stream};

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
    pub fn detect(head: &[u8]) -> Self {
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
    pub fn as_str(self) -> &'static str {
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
            Self::Damaged(codec, text) => write!(f, "damaged {} data: {text}", codec.as_str()),
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
    let mut image = Vec::new();
    Decoder::default().decode_into(file, limit, &mut image)?;
    Ok(image)
}

/// Memory that an xz decoder may take for its dictionary: twice what the strongest preset asks for. A damaged header
/// may ask for 4 GiB.
const XZ_MEMORY_LIMIT: u64 = 128 << 20;

/// What decoders need besides the image, kept from one file to the next.
#[derive(Default)]
pub struct Decoder {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    /// It stands at the end of a stream: to it the files of a whole run are streams of one file.
    xz: Option<Stream>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// As [`decode`], into a buffer whose content goes and whose memory is used again.
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
            Compression::Xz => self.decode_xz(file, limit, image),
            Compression::Gzip => {
                let mut reader = flate2::read::MultiGzDecoder::new(file);
                read(codec, &mut reader, gzip_size(file), limit, image)
            }
        }
    }

    /// zstd in one call where the frame states its size (the kernel's and kmod's files do), else streamed.
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

    /// Every stream of an xz file, decoded by what decoded the last one: half a millisecond goes into setting a
    /// decoder up and into new memory for its dictionary.
    fn decode_xz(
        &mut self,
        file: &[u8],
        limit: usize,
        image: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        if let Some(mut decoder) = self.xz.take() {
            if run_xz(&mut decoder, file, limit, image).is_ok() {
                self.xz = Some(decoder);
                return Ok(());
            }
            // What an earlier file has left in the decoder is no reason to refuse this one.
            image.clear();
        }
        let mut decoder = new_xz()?;
        run_xz(&mut decoder, file, limit, image)?;
        self.xz = Some(decoder);
        Ok(())
    }
}

fn new_xz() -> Result<Stream, DecodeError> {
    let flags = liblzma::stream::CONCATENATED | liblzma::stream::TELL_ANY_CHECK;
    Stream::new_stream_decoder(XZ_MEMORY_LIMIT, flags).map_err(damaged_xz)
}

fn damaged_xz(error: liblzma::stream::Error) -> DecodeError {
    DecodeError::Damaged(Compression::Xz, std::io::Error::from(error).to_string())
}

/// A stream without content, which `xz --check=none` makes of nothing: header, index, footer.
const EMPTY: ([u8; 12], [u8; 20]) = (
    *b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41",
    *b"\0\0\0\0\x1c\xdf\x44\x21\x06\x72\x9e\x7a\x01\0\0\0\0\0YZ",
);

/// Whether all streams so far are complete: only then is what comes next taken for the header of another, of which
/// the decoder tells. It stands behind that one then.
fn is_between_streams(decoder: &mut Stream) -> bool {
    let mut nothing = Vec::new();
    let mut next = |bytes| decoder.process_vec(bytes, &mut nothing, Action::Run);
    next(&EMPTY.0) == Ok(Status::GetCheck) && next(&EMPTY.1).is_ok()
}

/// Decodes a whole file; the decoder can go on with another behind it.
fn run_xz(
    decoder: &mut Stream,
    file: &[u8],
    limit: usize,
    image: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = decoder.total_in();
    let taken =
        |decoder: &Stream| usize::try_from(decoder.total_in() - start).unwrap_or(usize::MAX);
    let mut room = file.len().saturating_mul(4).min(INITIAL_CAPACITY_LIMIT);
    loop {
        if image.len() == image.capacity() {
            // One byte beyond the limit is room enough to see that it is passed.
            reserve(image, room.min(limit + 1 - image.len()))?;
            room = image.capacity();
        }
        let rest = file.get(taken(decoder)..).unwrap_or_default();
        let status = decoder.process_vec(rest, image, Action::Run).map_err(damaged_xz)?;
        if image.len() > limit {
            return Err(DecodeError::TooLarge(limit));
        }
        let is_full = image.len() == image.capacity();
        let is_done = taken(decoder) == file.len();
        match status {
            Status::GetCheck => {}
            _ if is_full => {}
            _ if is_done && is_between_streams(decoder) => return Ok(()),
            _ => {
                let text = "unexpected end of file".to_owned();
                return Err(DecodeError::Damaged(Compression::Xz, text));
            }
        }
    }
}

/// The size that a gzip file's last four bytes state (exact for one member below 4 GiB).
fn gzip_size(file: &[u8]) -> usize {
    file.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}

/// Makes room for `size` bytes more. The size comes from a file that may be damaged, and PID 1 must not end for want
/// of memory.
fn reserve(image: &mut Vec<u8>, size: usize) -> Result<(), DecodeError> {
    image.try_reserve_exact(size).map_err(|_| DecodeError::NoMemory(size))
}

/// What is set aside at first on the word of a file: a damaged size must not make us allocate, and a module rarely
/// grows more than tenfold.
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

    fn xz(data: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
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
    fn one_decoder_takes_file_after_file() {
        let (mut decoder, mut image) = (Decoder::default(), Vec::new());
        let large: Vec<u8> =
            (0..300_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for data in [&large[..], b"small", b"", &large[..70_000]] {
            for file in samples(data) {
                decoder.decode_into(&file, IMAGE_LIMIT, &mut image).unwrap();
                assert!(image == data, "{:?}", Compression::detect(&file));
                // Damage of any kind is told, and does no harm to the next file.
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

    /// A file with a sound footer whose last stream goes on behind its end, as the decoder sees it.
    #[test]
    fn a_stream_that_the_footer_does_not_end() {
        let large: Vec<u8> = (0..9000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for data in [&b"blank"[..], &large] {
            let sound = xz(data);
            let index = sound.len() - 12 - 4 * (1 + usize::from(sound[sound.len() - 8]));
            let footer = &sound[index..];
            for (broken, what) in [
                (
                    [&sound[..index], b"\xff\0", footer].concat(),
                    "a block in the place of the index",
                ),
                ([&sound, &sound[..12], footer].concat(), "a header with no block"),
                ([&sound, &sound[..3], footer].concat(), "a part of a header"),
                ([&sound[..], &[0; 5]].concat(), "an odd number of zeros"),
            ] {
                let (mut decoder, mut image) = (Decoder::default(), Vec::new());
                assert!(decoder.decode_into(&sound, IMAGE_LIMIT, &mut image).is_ok());
                for _ in 0..2 {
                    let result = decoder.decode_into(&broken, IMAGE_LIMIT, &mut image);
                    assert!(result.is_err(), "{what}");
                }
                assert!(decoder.decode_into(&sound, IMAGE_LIMIT, &mut image).is_ok(), "{what}");
                assert!(image == data, "{what}");
            }
            let padded = [&sound[..], &[0; 8], &sound].concat();
            assert_eq!(decode(&padded, IMAGE_LIMIT).unwrap().len(), 2 * data.len());
        }
    }

    /// What has checked the end of a file takes the next one, without a second try by a new decoder.
    #[test]
    fn the_decoder_of_an_xz_file_goes_on_with_the_next() {
        let (mut decoder, mut image) = (Decoder::default(), Vec::new());
        for data in [&b"first"[..], b"", &[7; 100_000], b"last"] {
            decoder.decode_into(&xz(data), IMAGE_LIMIT, &mut image).unwrap();
            let mut kept = decoder.xz.take().unwrap();
            image.clear();
            run_xz(&mut kept, &xz(data), IMAGE_LIMIT, &mut image).unwrap();
            assert!(image == data);
            decoder.xz = Some(kept);
        }
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
