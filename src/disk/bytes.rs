//! Numbers at an offset of a slice; `None` if the slice is too short.

/// Returns `N` bytes at offset `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

pub(super) fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// Returns whether `magic` is at offset `at`.
pub(super) fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// Converts an offset or length from the device to an index, or returns `None` on overflow.
pub(super) fn index(number: impl TryInto<usize>) -> Option<usize> {
    number.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_past_the_end_are_none() {
        let bytes = [1, 2, 3, 4];
        assert_eq!(le16(&bytes, 2), Some(0x0403));
        assert_eq!(be32(&bytes, 0), Some(0x0102_0304));
        assert_eq!(le16(&bytes, 3), None);
        assert_eq!(le64(&bytes, usize::MAX), None);
        assert!(has(&bytes, 3, &[4]) && !has(&bytes, 3, &[4, 5]) && !has(&bytes, 9, &[1]));
    }
}
