//! gzip decoding.

use super::{Compression, DecodeError, read};

/// Decodes every member of a gzip file.
pub(super) fn decode(file: &[u8], limit: usize, image: &mut Vec<u8>) -> Result<(), DecodeError> {
    let mut reader = flate2::read::MultiGzDecoder::new(file);
    read(Compression::Gzip, &mut reader, size(file), limit, image)
}

/// Returns the size in the last four bytes of a gzip file; exact for one member below 4 GiB.
fn size(file: &[u8]) -> usize {
    file.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize)
}
