//! Numbers and sized buffers (TPM2B) of TPM structures, big-endian.
//!
//! ```text
//! TPM2B   size, u16 │ size bytes
//! ```

use std::fmt;

/// Bytes that are not what the specification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The structure.
    pub what: &'static str,
    /// Offset of the first byte that does not fit.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

/// What a reader returns.
pub(super) type Parsed<T> = Result<T, Malformed>;

/// Reads a structure from its first byte to its last.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0 }
    }

    /// Returns the error for the place that was reached.
    pub(super) fn malformed(&self) -> Malformed {
        Malformed { what: self.what, at: self.at }
    }

    pub(super) fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (taken, _) = rest.split_at_checked(count).ok_or_else(|| self.malformed())?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let error = self.malformed();
        self.take(N)?.try_into().map_err(|_| error)
    }

    pub(super) fn u8(&mut self) -> Parsed<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Parsed<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Returns the content of a TPM2B.
    pub(super) fn sized(&mut self) -> Parsed<&'a [u8]> {
        let size = self.u16()?;
        self.take(usize::from(size))
    }

    /// Returns what follows.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Returns `value` if nothing follows.
    pub(super) fn end<T>(&self, value: T) -> Parsed<T> {
        if self.is_at_end() { Ok(value) } else { Err(self.malformed()) }
    }
}

/// Writes a structure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(self, number: u8) -> Self {
        self.bytes(&[number])
    }

    pub(super) fn u16(self, number: u16) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn u32(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    /// Writes a TPM2B. What does not fit into one is cut: the TPM refuses anything so large, and its
    /// buffers are 4 KiB.
    pub(super) fn sized(self, bytes: &[u8]) -> Self {
        let size = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(size).bytes(bytes.get(..usize::from(size)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_buffer_is_named_with_its_place() {
        let mut reader = Reader::new("answer", &[0, 2, 7, 8, 0, 3, 9]);
        assert_eq!(reader.sized(), Ok(&[7, 8][..]));
        assert_eq!(reader.clone().end(()), Err(Malformed { what: "answer", at: 4 }));
        let error = reader.sized().unwrap_err();
        assert_eq!(error.to_string(), "malformed answer at byte 6");
        assert_eq!(reader.rest(), [9]);
        assert!(reader.u8().is_err() && reader.end(1) == Ok(1));
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = Writer::default().u8(1).u16(2).u32(3).sized(b"xyz").0;
        assert_eq!(bytes, [1, 0, 2, 0, 0, 0, 3, 0, 3, b'x', b'y', b'z']);
        assert_eq!(Writer::default().sized(&[0; 70_000]).0.len(), 2 + 65_535);
    }
}
