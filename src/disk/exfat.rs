//! exFAT, little-endian. References: Microsoft's exFAT specification; kernel fs/exfat/exfat_raw.h.
//!
//! ```text
//! sector 0: 3 "EXFAT   " │ 80 FAT offset, u32 │ 88 cluster heap offset, u32 (both in sectors)
//!           96 root cluster, u32
//!           100 serial, 4 │ 108 log2 sector size, u8 │ 109 log2 sectors per cluster, u8
//! directory entry, 32: type, u8 (83: label; 00: end) │ characters, u8 │ UTF-16LE, 22
//! ```

use super::bytes::{array, has, index, le32};
use super::device::Device;
use super::{Superblock, text};

const LABEL: u8 = 0x83;
const END: u8 = 0x00;
/// Size of a directory entry, in bytes.
const ENTRY_SIZE: u64 = 32;
/// Maximum number of entries to read; the label is among the first entries of the root directory.
const ENTRIES_MAX: usize = 2048;
const LAST_CLUSTER: u32 = 0x0fff_fff6;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let sector = device.bytes(0, 512)?;
    if !is_boot_sector(&sector) {
        return None;
    }
    let label = search(device, &sector).flatten();
    Some(Superblock::filesystem("exfat").with_names(text::serial(array(&sector, 100)), label))
}

/// Returns whether sector 0 is the boot sector of exFAT, and therefore not a partition table.
pub(super) fn is_boot_sector(sector: &[u8]) -> bool {
    has(sector, 3, b"EXFAT   ") && shifts(sector).is_some()
}

/// Returns log2 of the sector size and of the cluster size.
fn shifts(sector: &[u8]) -> Option<(u8, u8)> {
    let [bytes, sectors]: [u8; 2] = array(sector, 108)?;
    (bytes < 32 && sectors < 32).then(|| (bytes, bytes + sectors))
}

/// Searches the root directory for the label. Returns `None` if there is no label entry, and
/// `Some(None)` if the label is empty.
fn search(device: &Device<'_>, sector: &[u8]) -> Option<Option<String>> {
    let (bytes, cluster_log) = shifts(sector)?;
    let heap = u64::from(le32(sector, 88)?) << bytes;
    let fat = u64::from(le32(sector, 80)?) << bytes;
    let mut cluster = le32(sector, 96)?;
    let mut entries = 0..ENTRIES_MAX;
    while (2..=LAST_CLUSTER).contains(&cluster) {
        let start = heap.checked_add(u64::from(cluster - 2).checked_shl(cluster_log.into())?)?;
        for at in (start..start.checked_add(1u64.checked_shl(cluster_log.into())?)?).step_by(32) {
            entries.next()?;
            let entry = device.bytes(at, index(ENTRY_SIZE)?)?;
            match entry[0] {
                END => return None,
                LABEL => return Some(name(&entry)),
                _ => {}
            }
        }
        cluster = le32(&device.bytes(fat + u64::from(cluster) * 4, 4)?, 0)?;
    }
    None
}

fn name(entry: &[u8]) -> Option<String> {
    let length = (usize::from(entry[1]) * 2).min(22);
    text::utf16le(entry.get(2..2 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sector_sizes_are_rejected() {
        let mut sector = [0; 512];
        sector[3..11].copy_from_slice(b"EXFAT   ");
        for (bytes, sectors, is_exfat) in
            [(9, 3, true), (31, 31, true), (32, 0, false), (0, 32, false), (255, 255, false)]
        {
            sector[108..110].copy_from_slice(&[bytes, sectors]);
            assert_eq!(is_boot_sector(&sector), is_exfat, "{bytes} {sectors}");
            let _ = probe(&Device::new(&&sector[..]));
        }
    }
}
