//! Devices with a physical volume, made from metadata.

use super::area;
use super::id::Id;
use super::probe::CRC_SEED;
use crate::disk::crc;

/// Returns a device with the label of the physical volume `id` and `text` as its metadata.
pub(crate) fn device(id: &str, text: &[u8]) -> Vec<u8> {
    let size: u64 = 64 << 10;
    let mut device = area::tests::device(text, 512, size);
    let mut label = [0; 512];
    label[..9].copy_from_slice(b"LABELONE\x01");
    label[20..32].copy_from_slice(b"\x20\0\0\0LVM2 001");
    label[32..64].copy_from_slice(Id::parse(id).unwrap().compact().as_bytes());
    for (at, number) in [(64, 1 << 27), (72, 1 << 20), (104, 4096), (112, size)] {
        label[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
    }
    let sum = crc::update(CRC_SEED, &label[20..]);
    label[16..20].copy_from_slice(&sum.to_le_bytes());
    device[512..1024].copy_from_slice(&label);
    device
}
