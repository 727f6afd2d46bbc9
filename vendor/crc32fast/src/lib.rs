//! The part of crc32fast that flate2 uses, on the CRC32 of liblzma.
//!
//! The program has liblzma anyway, whose CRC32 also uses carry-less multiplication if the processor
//! has it. The tables and variants of crc32fast would be 20 KB more.

/// A CRC32 that is being computed.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    crc: u32,
    length: u64,
}

impl Hasher {
    /// Returns the CRC32 of no bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        // SAFETY: the pointer and the length are those of a slice, which is only read.
        self.crc = unsafe { liblzma_sys::lzma_crc32(bytes.as_ptr(), bytes.len(), self.crc) };
        self.length += bytes.len() as u64;
    }

    /// Returns the CRC32 of all bytes so far.
    pub fn finalize(self) -> u32 {
        self.crc
    }

    /// Forgets all bytes.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adds the bytes of another one. coldplug never calls it, so it is short rather than fast: the
    /// CRC is divided by the polynomial once for every bit of the other's bytes.
    pub fn combine(&mut self, other: &Self) {
        for _ in 0..other.length.saturating_mul(8) {
            let has_carry = self.crc & 1 != 0;
            self.crc = self.crc >> 1 ^ if has_carry { 0xedb8_8320 } else { 0 };
        }
        self.crc ^= other.crc;
        self.length += other.length;
    }
}

#[cfg(test)]
mod tests {
    use super::Hasher;

    fn crc(parts: &[&[u8]]) -> Hasher {
        let mut hasher = Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher
    }

    #[test]
    fn the_check_value_is_that_of_the_standard_in_parts_too() {
        assert_eq!(crc(&[b"123456789"]).finalize(), 0xcbf4_3926);
        assert_eq!(crc(&[b"1234", b"", b"56789"]).finalize(), 0xcbf4_3926);
        let mut combined = crc(&[b"1234"]);
        combined.combine(&crc(&[b"56789"]));
        assert_eq!(combined.finalize(), 0xcbf4_3926);
    }
}
