//! UDF, little-endian. References: ECMA-167, OSTA UDF 2.60.
//!
//! ```text
//! from 32 KiB, one recognition descriptor per 2 KiB (or block): 1 BEA01, NSR02 or NSR03, TEA01, …
//! block 256   anchor: 0 tag 2, u16 │ 12 own block, u32 │ 16 length of the sequence, u32
//!                     20 first block of the sequence, u32
//! sequence    one descriptor per block, up to tag 0 or 8:
//!   tag 1, primary   72 volume set id, dstring of 128: its first 16 characters form the UUID
//!   tag 6, logical   84 logical volume id, dstring of 128: the label
//! dstring     0 compression (8: Latin-1, 16: UTF-16BE) │ characters │ last byte: used length
//! ```

use super::bytes::{has, le16, le32};
use super::device::Device;
use super::{Superblock, text};

const RECOGNITION: u64 = 0x8000;
/// Possible block sizes of an image, independent of the sector size of the device.
const BLOCKS: [u64; 4] = [512, 1024, 2048, 4096];
const RECOGNISED: [&[u8]; 5] = [b"BEA01", b"BOOT2", b"CD001", b"CDW02", b"TEA01"];
/// Limit of the length of a sequence, in blocks; the standard says 16.
const MAX_SEQUENCE: u64 = 64;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let (length, start, block) = BLOCKS.iter().find_map(|block| anchor(device, *block))?;
    let (mut uuid, mut label) = (None, None);
    for number in 0..(u64::from(length) / block).min(MAX_SEQUENCE) {
        let at = u64::from(start) + number;
        let descriptor = device.bytes(at * block, 512)?;
        let own = u64::from(le32(&descriptor, 12)?);
        match le16(&descriptor, 0)? {
            0 | 8 => break,
            _ if own != at => break,
            1 if uuid.is_none() => uuid = format_uuid(&dstring(descriptor.get(72..200)?)),
            6 if label.is_none() => {
                label = text::label(Some(dstring(descriptor.get(84..212)?).as_bytes()))
            }
            _ => {}
        }
    }
    Some(Superblock::filesystem("udf").with_names(uuid, label))
}

/// Returns the length and the first block of the sequence, and the block size.
fn anchor(device: &Device<'_>, block: u64) -> Option<(u32, u32, u64)> {
    if !is_recognised(device, block.max(2048)) {
        return None;
    }
    let anchor = device.bytes(256 * block, 512)?;
    let is_valid = le32(&anchor, 12)? == 256 && le16(&anchor, 0)? == 2;
    Some((le32(&anchor, 16)?, le32(&anchor, 20)?, block)).filter(|_| is_valid)
}

fn is_recognised(device: &Device<'_>, step: u64) -> bool {
    for number in 0..64 {
        let Some(descriptor) = device.bytes(RECOGNITION + number * step, 7) else { return false };
        if has(&descriptor, 1, b"NSR02") || has(&descriptor, 1, b"NSR03") {
            return true;
        }
        if !RECOGNISED.iter().any(|id| has(&descriptor, 1, id)) {
            return false;
        }
    }
    false
}

/// Decodes a dstring.
fn dstring(field: &[u8]) -> String {
    let (Some((&length, body)), Some(&compression)) = (field.split_last(), field.first()) else {
        return String::new();
    };
    let used = body.get(1..).unwrap_or_default();
    let used =
        used.get(..used.len().min(usize::from(length).saturating_sub(1))).unwrap_or_default();
    match compression {
        8 => used.iter().map(|byte| char::from(*byte)).collect(),
        16 => text::utf16be(Some(used)).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Formats the volume set id as a UUID of 16 hexadecimal digits, as blkid does: if the first 8 or
/// 16 bytes are hexadecimal digits, they are kept; the other bytes are printed in hexadecimal.
fn format_uuid(id: &str) -> Option<String> {
    let mut bytes = [0; 16];
    let count = id.len().min(16);
    bytes.get_mut(..count)?.copy_from_slice(id.as_bytes().get(..count)?);
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let kept = match digits {
        _ if count < 8 => return None,
        16 => 16,
        8.. => 8,
        _ => 0,
    };
    let mut text = String::from_utf8_lossy(bytes.get(..kept)?).to_ascii_lowercase();
    for byte in bytes.iter().skip(kept).take((16 - kept) / 2) {
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::{dstring, format_uuid};

    #[test]
    fn uuids_are_as_in_blkid() {
        for (id, want) in [
            ("5F3A9B2C1234ABCDxyz", Some("5f3a9b2c1234abcd")),
            ("5f3a9b2cLinuxUDF", Some("5f3a9b2c4c696e75")),
            ("LinuxUDFLinuxUDF", Some("4c696e7578554446")),
            ("5f3a9b2c", Some("5f3a9b2c00000000")),
            ("short", None),
        ] {
            assert_eq!(format_uuid(id).as_deref(), want, "{id}");
        }
    }

    #[test]
    fn strings_have_the_stored_length() {
        assert_eq!(dstring(b"\x08ab\xe4junk\x04"), "abä");
        assert_eq!(dstring(b"\x10\0a\x20\xac\0\0\x05"), "a€");
        assert_eq!(dstring(b"\x08ab\xff"), "ab");
        assert_eq!(dstring(b"\x09ab\x03"), "");
        assert_eq!(dstring(b""), "");
    }
}
