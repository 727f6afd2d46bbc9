//! Writing the legacy format of lz4, which [`super::lz4`] draws.

use std::io::{self, Write};

use lz4::block::{CompressionMode, compress};

use super::lz4::{BLOCK, MAGIC};

/// First level of the slower encoder, as in lz4(1).
const HIGH: u8 = 3;

/// Compresses blocks, one at a time.
pub(crate) struct Lz4Encoder<W> {
    out: W,
    mode: CompressionMode,
    /// The bytes of a block that is not yet full.
    block: Vec<u8>,
}

impl<W: Write> Lz4Encoder<W> {
    /// Writes the magic number to `out`. `level` is that of lz4(1), from 1 to 12.
    ///
    /// # Errors
    /// Errors of the output.
    pub(crate) fn new(mut out: W, level: u8) -> io::Result<Self> {
        out.write_all(&MAGIC.to_le_bytes())?;
        let mode = match level {
            HIGH.. => CompressionMode::HIGHCOMPRESSION(level.into()),
            _ => CompressionMode::DEFAULT,
        };
        Ok(Self { out, mode, block: Vec::new() })
    }

    /// Writes the last block. Returns the output.
    ///
    /// # Errors
    /// Errors of the output.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        Ok(self.out)
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let packed = compress(&self.block, Some(self.mode), false)?;
        let size = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.out.write_all(&size.to_le_bytes())?;
        self.block.clear();
        self.out.write_all(&packed)
    }
}

impl<W: Write> Write for Lz4Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(BLOCK - self.block.len());
        self.block.extend(&bytes[..len]);
        if self.block.len() == BLOCK {
            self.end_block()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
