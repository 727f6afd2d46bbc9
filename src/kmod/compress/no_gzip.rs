//! Without the feature `full` gzip is not decoded.

use super::{Compression, DecodeError};

/// Decodes nothing.
///
/// # Errors
/// Always.
pub(super) fn decode(_: &[u8], _: usize, _: &mut Vec<u8>) -> Result<(), DecodeError> {
    Err(DecodeError::Absent(Compression::Gzip))
}
