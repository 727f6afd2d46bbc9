//! The CRC64 of .xz files, for the programs in images. Modules of kernels have CRC32; one that a
//! person has compressed by `xz` without options has CRC64, and is read once. liblzma's version needs
//! 9 KB more.
//!
//! ECMA-182, reflected, with inverted start and end: the .xz file format, 6. CRC-64.

/// The polynomial, reflected.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

/// What four bits that leave the register do to it.
const TABLE: [u64; 16] = table();

const fn table() -> [u64; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let (mut crc, mut bit) = (index as u64, 0);
        while bit < 4 {
            crc = if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Returns the CRC64 of bytes whose predecessors have the CRC64 `crc`; that of no bytes is 0.
pub(crate) fn crc64(bytes: &[u8], crc: u64) -> u64 {
    let four_bits = |crc: u64| crc >> 4 ^ TABLE[(crc & 15) as usize];
    !bytes.iter().fold(!crc, |crc, byte| four_bits(four_bits(crc ^ u64::from(*byte))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_that_of_the_format_in_parts_too() {
        let want = 0x995d_c9bb_df19_39fa;
        assert_eq!(crc64(b"123456789", 0), want);
        assert_eq!(crc64(b"56789", crc64(b"1234", 0)), want);
        assert_eq!(crc64(b"", want), want);
    }
}
