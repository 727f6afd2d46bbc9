//! Without the feature `full` xz is not decoded.

use super::{Compression, DecodeError};

/// Nothing.
#[derive(Default)]
pub(super) struct Decoder;

impl Decoder {
    /// Decodes nothing.
    ///
    /// # Errors
    /// Always.
    pub(super) fn decode(
        &mut self,
        _: &[u8],
        _: usize,
        _: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        Err(DecodeError::Absent(Compression::Xz))
    }
}
