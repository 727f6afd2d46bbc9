//! Files of lzop, as the kernel reads them (lib/decompress_unlzo.c). All numbers are big-endian.
//!
//! ```text
//! magic         89 "LZO" 00 0D 0A 1A 0A
//! version u16, of the library u16, needed to extract u16, method u8
//! level u8                                      from version 0x0940 on
//! flags u32, filter u32 if flags have 0x800
//! mode u32, mtime u32, upper mtime u32          the last from version 0x0940 on
//! length of the name u8, name
//! checksum u32
//! block         unpacked size u32, packed size u32, checksum u32, packed bytes
//! …
//! end           0 u32
//! ```
//!
//! A block of two equal sizes is stored. The kernel expects one checksum in each block, which is
//! lzop's default, and does not look at it; here an Adler-32 is verified.

use std::io::{self, BufRead, Read};

use super::super::newc::Counted;

const MAGIC: &[u8; 9] = b"\x89LZO\0\r\n\x1a\n";
/// First version with a level and 64 bits of mtime.
const VERSION_940: u16 = 0x0940;
/// Largest block, unpacked, in bytes.
const BLOCK: usize = 256 << 10;

/// Bit of the flags: Adler-32 of the unpacked block.
const ADLER32: u32 = 1;
/// Bit of the flags: CRC-32 of the unpacked block.
const CRC32: u32 = 0x100;
/// Bits of the flags: checksums of the packed block.
const PACKED_CHECKSUMS: u32 = 2 | 0x200;
/// Bit of the flags: the header has a filter.
const FILTER: u32 = 0x800;

/// Decodes blocks, one at a time.
pub(super) struct Decoder<'a, R> {
    input: &'a mut Counted<R>,
    /// The flags, once the header is read.
    flags: Option<u32>,
    /// Whether the end is read.
    is_at_end: bool,
    /// The packed block.
    packed: Vec<u8>,
    /// The unpacked block.
    block: Vec<u8>,
    /// Number of bytes of `block` that are read.
    at: usize,
}

impl<'a, R: BufRead> Decoder<'a, R> {
    /// Returns a decoder of the data at the position of `input`.
    pub(super) fn new(input: &'a mut Counted<R>) -> Self {
        let (packed, block) = (Vec::new(), Vec::new());
        Self { input, flags: None, is_at_end: false, packed, block, at: 0 }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("the lzo data is truncated"),
            _ => error,
        })?;
        Ok(bytes)
    }

    fn number(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    /// Reads the header. Returns the flags.
    fn header(&mut self) -> io::Result<u32> {
        if self.bytes()? != *MAGIC {
            return Err(io::Error::other("not the magic number of lzop"));
        }
        let has_940 = u16::from_be_bytes(self.bytes()?) >= VERSION_940;
        self.bytes::<5>()?;
        if has_940 {
            self.bytes::<1>()?;
        }
        let flags = self.number()?;
        if flags & FILTER != 0 {
            self.number()?;
        }
        self.bytes::<8>()?;
        if has_940 {
            self.number()?;
        }
        let [name] = self.bytes()?;
        for _ in 0..name {
            self.bytes::<1>()?;
        }
        self.number()?;
        let has_one_checksum = matches!(flags & (ADLER32 | CRC32), ADLER32 | CRC32);
        match has_one_checksum && flags & PACKED_CHECKSUMS == 0 {
            true => Ok(flags),
            false => {
                Err(io::Error::other("the kernel reads lzo data with one checksum in each block"))
            }
        }
    }

    /// Unpacks the next block. Returns whether there is one.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.flags.is_none() {
            self.flags = Some(self.header()?);
        }
        let flags = self.flags.unwrap_or_default();
        let size = self.number()? as usize;
        self.is_at_end = size == 0;
        if self.is_at_end {
            return Ok(false);
        }
        let (packed, checksum) = (self.number()? as usize, self.number()?);
        if size > BLOCK || packed == 0 || packed > size {
            return Err(io::Error::other("corrupt lzo block: impossible size"));
        }
        self.packed.clear();
        self.input.by_ref().take(packed as u64).read_to_end(&mut self.packed)?;
        if self.packed.len() < packed {
            return Err(io::Error::other("the lzo data is truncated"));
        }
        self.unpack(size)?;
        match flags & ADLER32 != 0 && adler2::adler32_slice(&self.block) != checksum {
            true => Err(io::Error::other("corrupt lzo block: the checksum does not match")),
            false => Ok(true),
        }
    }

    /// Unpacks the packed block to `size` bytes.
    fn unpack(&mut self, size: usize) -> io::Result<()> {
        self.at = 0;
        self.block.resize(size, 0);
        if self.packed.len() == size {
            self.block.copy_from_slice(&self.packed);
            return Ok(());
        }
        match lzokay::decompress::decompress(&self.packed, &mut self.block) {
            Ok(len) if len == size => Ok(()),
            Ok(_) => Err(io::Error::other("corrupt lzo block: it unpacks to another size")),
            Err(error) => Err(io::Error::other(format!("corrupt lzo block: {error}"))),
        }
    }
}

impl<R: BufRead> Read for Decoder<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if bytes.is_empty() || self.is_at_end || !self.next_block()? {
                return Ok(0);
            }
        }
        let unread = &self.block[self.at..];
        let len = bytes.len().min(unread.len());
        bytes[..len].copy_from_slice(&unread[..len]);
        self.at += len;
        Ok(len)
    }
}
