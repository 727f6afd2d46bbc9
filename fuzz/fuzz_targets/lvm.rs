//! LVM2: metadata as a text, or a whole device, whose checksums are set right so that mutations get
//! past them. Tables have no gaps and use only devices that come before.
//!
//! ```text
//! 0 │ text                                                     metadata
//! 1 │ sector of the label, 512 │ header of the area, 512 │ text  a device, the area at 4 KiB
//! ```
#![no_main]

use coldplug::disk::lvm;
use libfuzzer_sys::fuzz_target;

const AREA: usize = 4096;
const HEADER: usize = 512;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, text)) => {
            let _ = lvm::check_text(text);
        }
        Some((_, rest)) if rest.len() >= 1024 => {
            let _ = lvm::check(&&*device(rest));
        }
        _ => {}
    }
});

/// Returns the device that `data` describes.
fn device(data: &[u8]) -> Vec<u8> {
    let (label, rest) = data.split_at(512);
    let (header, text) = rest.split_at(HEADER);
    let mut device = vec![0; AREA];
    device[512..1024].copy_from_slice(label);
    device.extend([header, text].concat());
    let crc = checksum(&device[532..1024]);
    device[528..532].copy_from_slice(&crc.to_le_bytes());
    let area = &mut device[AREA..];
    let field = |at: usize| usize::from_le_bytes(area[at..at + 8].try_into().unwrap());
    let (size, offset, length) = (field(32), field(40), field(48));
    let first = length.min(size.saturating_sub(offset));
    let head = offset.checked_add(first).and_then(|end| area.get(offset..end));
    let tail = HEADER.checked_add(length - first).and_then(|end| area.get(HEADER..end));
    if let (Some(head), Some(tail)) = (head, tail) {
        let crc = checksum(&[head, tail].concat());
        area[56..60].copy_from_slice(&crc.to_le_bytes());
    }
    let crc = checksum(&area[4..HEADER]);
    area[..4].copy_from_slice(&crc.to_le_bytes());
    device
}

/// Computes LVM's CRC-32.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xf597_a6cf, |crc, byte| {
        let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), step)
    })
}
