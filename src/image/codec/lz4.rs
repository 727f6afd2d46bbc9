//! The legacy format of lz4, as the kernel reads it (lib/decompress_unlz4.c) and `lz4 -l` writes it.
//! All numbers are little-endian.
//!
//! ```text
//! magic u32: 0x184C2102
//! block: packed size u32, then as many bytes; unpacks to 8 MiB, the last block to less
//! …
//! ```
//!
//! Nothing marks the end. The magic may come again in the place of a size, which starts another
//! file. A size of zero is padding.

use std::io::{self, BufRead, Read};

use super::super::newc::Counted;

/// The first bytes of a file.
pub(super) const MAGIC: u32 = 0x184c_2102;
/// Largest block, unpacked, in bytes.
pub(super) const BLOCK: usize = 8 << 20;
/// Largest block, packed, in bytes: LZ4_COMPRESSBOUND.
const PACKED: usize = BLOCK + BLOCK / 255 + 16;

/// Decodes blocks, one at a time.
pub(super) struct Decoder<'a, R> {
    input: &'a mut Counted<R>,
    /// The packed block.
    packed: Vec<u8>,
    /// Space for an unpacked block.
    block: Vec<u8>,
    /// The part of `block` that is not yet read.
    unread: std::ops::Range<usize>,
    /// Whether the magic is read.
    has_started: bool,
}

impl<'a, R: BufRead> Decoder<'a, R> {
    /// Returns a decoder of the data at the position of `input`.
    pub(super) fn new(input: &'a mut Counted<R>) -> Self {
        let (packed, block) = (Vec::new(), Vec::new());
        Self { input, packed, block, unread: 0..0, has_started: false }
    }

    /// Unpacks the next block. Returns whether there is one.
    fn next_block(&mut self) -> io::Result<bool> {
        let Some(size) = self.size()? else { return Ok(false) };
        self.packed.clear();
        self.input.by_ref().take(size as u64).read_to_end(&mut self.packed)?;
        if self.packed.len() < size {
            return Err(io::Error::other("the lz4 block is truncated"));
        }
        self.block.resize(BLOCK, 0);
        let len = lz4_flex::block::decompress_into(&self.packed, &mut self.block)
            .map_err(|error| io::Error::other(format!("corrupt lz4 block: {error}")))?;
        self.unread = 0..len;
        Ok(true)
    }

    /// Reads the packed size of the next block. Returns `None` at the end of the data, before what
    /// is not a size.
    fn size(&mut self) -> io::Result<Option<usize>> {
        loop {
            let head = self.input.peek(4)?;
            let Ok(word) = <[u8; 4]>::try_from(head).map(u32::from_le_bytes) else {
                return Ok(None);
            };
            if !self.has_started && word != MAGIC {
                return Err(io::Error::other("not the magic number of lz4"));
            }
            let size = word as usize;
            if word != MAGIC && (size == 0 || size > PACKED) {
                return Ok(None);
            }
            self.input.consume(4);
            if word != MAGIC {
                return Ok(Some(size));
            }
            self.has_started = true;
        }
    }
}

impl<R: BufRead> Read for Decoder<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.unread.is_empty() {
            if bytes.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let len = bytes.len().min(self.unread.len());
        let from = self.unread.start;
        bytes[..len].copy_from_slice(&self.block[from..from + len]);
        self.unread.start += len;
        Ok(len)
    }
}
