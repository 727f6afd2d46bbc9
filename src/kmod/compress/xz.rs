//! xz decoding with a decoder that is reused from file to file.

#[cfg(feature = "host")]
use std::io::BufRead;

use liblzma::stream::{Action, Status, Stream};

use super::{Compression, DecodeError, INITIAL_CAPACITY_LIMIT, reserve};

/// Memory limit of an xz decoder's dictionary, in bytes: twice what the strongest preset needs. A
/// damaged header may ask for 4 GiB.
const MEMORY_LIMIT: u64 = 128 << 20;

/// xz decoder for many files.
#[derive(Default)]
pub(super) struct Decoder {
    /// Positioned at the end of a stream: the decoder sees the files of a run as streams of one
    /// file.
    stream: Option<Stream>,
}

impl Decoder {
    /// Decodes every stream of an xz file with the decoder of the previous file, because setting
    /// up a decoder and allocating its dictionary takes half a millisecond.
    pub(super) fn decode(
        &mut self,
        file: &[u8],
        limit: usize,
        image: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        if let Some(mut decoder) = self.stream.take() {
            if run(&mut decoder, file, limit, image).is_ok() {
                self.stream = Some(decoder);
                return Ok(());
            }
            // The failure may come from state that an earlier file left behind, so a new decoder
            // retries.
            image.clear();
        }
        let mut decoder = new_stream()?;
        run(&mut decoder, file, limit, image)?;
        self.stream = Some(decoder);
        Ok(())
    }
}

fn new_stream() -> Result<Stream, DecodeError> {
    let flags = liblzma::stream::CONCATENATED | liblzma::stream::TELL_ANY_CHECK;
    Stream::new_stream_decoder(MEMORY_LIMIT, flags).map_err(damaged)
}

/// Returns a reader of the decoded data of an xz file.
#[cfg(feature = "host")]
pub(super) fn reader<R: BufRead>(file: R) -> std::io::Result<liblzma::bufread::XzDecoder<R>> {
    let stream = Stream::new_stream_decoder(MEMORY_LIMIT, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(file, stream))
}

fn damaged(error: liblzma::stream::Error) -> DecodeError {
    DecodeError::Damaged(Compression::Xz, std::io::Error::from(error).to_string())
}

/// An empty stream, as `xz --check=none` makes it from empty input: header, then index and footer.
const EMPTY_STREAM: ([u8; 12], [u8; 20]) = (
    *b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41",
    *b"\0\0\0\0\x1c\xdf\x44\x21\x06\x72\x9e\x7a\x01\0\0\0\0\0YZ",
);

/// Returns whether all streams so far are complete. Only then does the decoder accept the header of
/// another stream, which it reports as [`Status::GetCheck`]. On success the decoder is positioned
/// after that empty stream.
fn is_between_streams(decoder: &mut Stream) -> bool {
    let mut nothing = Vec::new();
    let mut next = |bytes| decoder.process_vec(bytes, &mut nothing, Action::Run);
    next(&EMPTY_STREAM.0) == Ok(Status::GetCheck) && next(&EMPTY_STREAM.1).is_ok()
}

/// Decodes a whole file. Afterwards the decoder can continue with another file.
fn run(
    decoder: &mut Stream,
    file: &[u8],
    limit: usize,
    image: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = decoder.total_in();
    let consumed =
        |decoder: &Stream| usize::try_from(decoder.total_in() - start).unwrap_or(usize::MAX);
    let mut capacity = file.len().saturating_mul(4).min(INITIAL_CAPACITY_LIMIT);
    loop {
        if image.len() == image.capacity() {
            // One byte beyond the limit suffices to detect that the limit is exceeded.
            reserve(image, capacity.min(limit + 1 - image.len()))?;
            capacity = image.capacity();
        }
        let rest = file.get(consumed(decoder)..).unwrap_or_default();
        let status = decoder.process_vec(rest, image, Action::Run).map_err(damaged)?;
        if image.len() > limit {
            return Err(DecodeError::TooLarge(limit));
        }
        let is_full = image.len() == image.capacity();
        let is_done = consumed(decoder) == file.len();
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

#[cfg(test)]
mod tests {
    use super::super::tests::xz;
    use super::super::{Decoder, IMAGE_LIMIT, decode};
    use super::run;

    /// The file has a valid footer, but the decoder is still inside a stream at the end of the
    /// file.
    #[test]
    fn a_stream_that_its_footer_does_not_end_is_an_error() {
        let large: Vec<u8> = (0..9000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
        for data in [&b"short"[..], &large] {
            let valid = xz(data);
            let index = valid.len() - 12 - 4 * (1 + usize::from(valid[valid.len() - 8]));
            let footer = &valid[index..];
            for (broken, what) in [
                ([&valid[..index], b"\xff\0", footer].concat(), "a block instead of the index"),
                ([&valid, &valid[..12], footer].concat(), "a header with no block"),
                ([&valid, &valid[..3], footer].concat(), "a part of a header"),
                ([&valid[..], &[0; 5]].concat(), "an odd number of zeros"),
            ] {
                let (mut decoder, mut image) = (Decoder::default(), Vec::new());
                assert!(decoder.decode_into(&valid, IMAGE_LIMIT, &mut image).is_ok());
                for _ in 0..2 {
                    let result = decoder.decode_into(&broken, IMAGE_LIMIT, &mut image);
                    assert!(result.is_err(), "{what}");
                }
                assert!(decoder.decode_into(&valid, IMAGE_LIMIT, &mut image).is_ok(), "{what}");
                assert!(image == data, "{what}");
            }
            let padded = [&valid[..], &[0; 8], &valid].concat();
            assert_eq!(decode(&padded, IMAGE_LIMIT).unwrap().len(), 2 * data.len());
        }
    }

    /// The decoder that checked the end of a file decodes the next one; no new decoder is needed.
    #[test]
    fn an_xz_decoder_continues_with_the_next_file() {
        let (mut decoder, mut image) = (Decoder::default(), Vec::new());
        for data in [&b"first"[..], b"", &[7; 100_000], b"last"] {
            decoder.decode_into(&xz(data), IMAGE_LIMIT, &mut image).unwrap();
            let mut kept = decoder.xz.stream.take().unwrap();
            image.clear();
            run(&mut kept, &xz(data), IMAGE_LIMIT, &mut image).unwrap();
            assert!(image == data);
            decoder.xz.stream = Some(kept);
        }
    }
}
