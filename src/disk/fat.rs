//! FAT12, FAT16, FAT32: blkid's vfat, little-endian. References: Microsoft's FAT specification;
//! kernel fs/fat/inode.c.
//!
//! ```text
//! sector 0                          FAT12/16              FAT32
//!  0x0b sector size, u16            0x26 29 or 28         0x24 sectors per FAT, u32
//!  0x0d sectors per cluster, u8     0x27 serial, 4        0x2c root cluster, u32
//!  0x0e reserved sectors, u16       0x36 type, 8          0x30 FSInfo sector, u16
//!  0x10 FATs, u8                                          0x43 serial, 4
//!  0x11 root entries, u16                                 0x52 type, 8
//!  0x13 sectors, u16 (0: 0x20 u32)
//!  0x15 media, u8
//!  0x16 sectors per FAT, u16
//! FAT12/16: reserved │ FAT … │ root directory │ clusters from 2
//! FAT32:    reserved │ FAT … │ clusters from 2, including the root directory
//! directory entry, 32: name, 11 │ attributes, u8 │ … │ 0x14 cluster high, u16
//!                      0x1a cluster low, u16
//! ```
//!
//! The label is the volume entry of the root directory. The label in the boot sector is only a
//! copy that tools forget to update; blkid calls it LABEL_FATBOOT.

use super::bytes::{array, has, le16, le32};
use super::device::Device;
use super::{Superblock, text};

const FAT12_MAX: u32 = 0xff4;
const FAT16_MAX: u32 = 0xfff4;
const FAT32_MAX: u32 = 0x0fff_fff6;
const VOLUME_ID: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
/// Maximum number of clusters of a FAT32 root directory to read; the label is nearly always the
/// first entry.
const CLUSTERS_MAX: usize = 99;
/// Size of a directory entry, in bytes.
const ENTRY_SIZE: usize = 32;
/// Size of one read, in bytes.
const CHUNK: u64 = 4096;

/// Parameters from the boot sector, widened for arithmetic.
struct BootSector {
    sector: u32,
    cluster: u32,
    reserved: u32,
    root_entries: u32,
    fat_sectors: u32,
    all_fats: u32,
    is_fat32: bool,
}

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let sector = device.bytes(0, 512)?;
    let boot = boot(&sector)?;
    let probe = Superblock::filesystem("vfat");
    if boot.is_fat32 {
        check_info(device, &boot, &sector)?;
        let label = search_chain(device, &boot, le32(&sector, 0x2c)?);
        return Some(probe.with_names(text::serial(array(&sector, 0x43)), label));
    }
    let root = u64::from(boot.reserved.wrapping_add(boot.all_fats).wrapping_mul(boot.sector));
    let label = search(device, root, u64::from(boot.root_entries) * ENTRY_SIZE as u64).flatten();
    let serial = matches!(sector[0x26], 0x28 | 0x29).then(|| array(&sector, 0x27)).flatten();
    Some(probe.with_names(text::serial(serial), label))
}

/// Returns whether sector 0 is the boot sector of FAT, and therefore not a partition table,
/// although it ends in 55 aa too.
pub(super) fn is_boot_sector(sector: &[u8]) -> bool {
    boot(sector).is_some()
}

/// Parses a boot sector. Returns `None` if it is invalid.
fn boot(sector: &[u8]) -> Option<BootSector> {
    // BitLocker keeps the layout of the boot sector.
    let is_bitlocker = has(sector, 3, b"-FVE-FS-");
    if !has_magic(sector) || is_bitlocker {
        return None;
    }
    let short = u32::from(le16(sector, 0x16)?);
    let long = le32(sector, 0x24)?;
    let fat_sectors = if short == 0 { long } else { short };
    let boot = BootSector {
        sector: le16(sector, 0x0b)?.into(),
        cluster: (*sector.get(0x0d)?).into(),
        reserved: le16(sector, 0x0e)?.into(),
        root_entries: le16(sector, 0x11)?.into(),
        fat_sectors,
        all_fats: fat_sectors.wrapping_mul((*sector.get(0x10)?).into()),
        is_fat32: short == 0 && long != 0,
    };
    let few = u32::from(le16(sector, 0x13)?);
    let sectors = if few == 0 { le32(sector, 0x20)? } else { few };
    let media = *sector.get(0x15)?;
    let is_valid = sector.get(0x10) != Some(&0)
        && boot.reserved != 0
        && (media >= 0xf8 || media == 0xf0)
        && boot.cluster.is_power_of_two()
        && boot.sector.is_power_of_two()
        && (512..=4096).contains(&boot.sector)
        && clusters_fit(&boot, sectors);
    is_valid.then_some(boot)
}

/// Returns whether the sector has the name of a FAT type, or, as on old floppies, only 55 aa
/// without the name of another file system of OS/2.
fn has_magic(sector: &[u8]) -> bool {
    let names: [(usize, &[u8]); 6] = [
        (0x52, b"MSWIN"),
        (0x52, b"FAT32   "),
        (0x36, b"MSDOS"),
        (0x36, b"FAT16   "),
        (0x36, b"FAT12   "),
        (0x36, b"FAT     "),
    ];
    names.iter().any(|(at, name)| has(sector, *at, name))
        || (has(sector, 0x1fe, b"\x55\xaa")
            && !has(sector, 0x36, b"JFS     ")
            && !has(sector, 0x36, b"HPFS    "))
}

/// Returns whether the number of clusters fits the type.
fn clusters_fit(boot: &BootSector, sectors: u32) -> bool {
    let root = (boot.root_entries * 32).div_ceil(boot.sector);
    let used = boot.reserved.wrapping_add(boot.all_fats).wrapping_add(root);
    let clusters = sectors.wrapping_sub(used) / boot.cluster;
    clusters <= if boot.is_fat32 { FAT32_MAX } else { clusters_max(clusters) }
}

fn clusters_max(clusters: u32) -> u32 {
    if clusters > FAT12_MAX { FAT16_MAX } else { FAT12_MAX }
}

/// Checks the signatures of the FSInfo sector of FAT32. Zeros are valid, because some tools write
/// none.
fn check_info(device: &Device<'_>, boot: &BootSector, sector: &[u8]) -> Option<()> {
    let at = le16(sector, 0x30)?;
    if at == 0 {
        return Some(());
    }
    let info = device.bytes(u64::from(at) * u64::from(boot.sector), 512)?;
    let first: [u8; 4] = array(&info, 0)?;
    let second: [u8; 4] = array(&info, 484)?;
    (matches!(&first, b"RRaA" | b"RRdA" | [0, 0, 0, 0])
        && matches!(&second, b"rrAa" | [0, 0, 0, 0]))
    .then_some(())
}

/// Searches the root directory of FAT32 for the label, cluster by cluster.
fn search_chain(device: &Device<'_>, boot: &BootSector, root: u32) -> Option<String> {
    let entries = u64::from(boot.fat_sectors) * u64::from(boot.sector) / 4;
    let data = u64::from(boot.reserved.wrapping_add(boot.all_fats));
    let (cluster, sector) = (u64::from(boot.cluster), u64::from(boot.sector));
    let mut next = u64::from(root);
    for _ in 0..CLUSTERS_MAX {
        if next < 2 || next >= entries {
            return None;
        }
        let at = (data + (next - 2) * cluster) * sector;
        if let Some(label) = search(device, at, cluster * sector) {
            return label;
        }
        let link = device.bytes(u64::from(boot.reserved) * sector + next * 4, 4)?;
        next = u64::from(le32(&link, 0)? & 0x0fff_ffff);
    }
    None
}

/// Searches `length` bytes of a directory for the label. Returns `Some(None)` if the label is
/// empty, and `None` if the search may continue in the next cluster.
fn search(device: &Device<'_>, start: u64, length: u64) -> Option<Option<String>> {
    let mut at = start;
    while at < start.saturating_add(length) {
        let size = CHUNK.min(start + length - at);
        let chunk = device.bytes(at, usize::try_from(size).ok()?)?;
        for entry in chunk.chunks_exact(ENTRY_SIZE) {
            if entry[0] == 0 {
                return None;
            }
            if is_volume(entry) {
                return Some(volume_name(entry));
            }
        }
        at += size;
    }
    None
}

fn is_volume(entry: &[u8]) -> bool {
    let attributes = entry[11];
    entry[0] != 0xe5
        && entry[20..22] == [0, 0]
        && entry[26..28] == [0, 0]
        && attributes & 0x3f != LONG_NAME
        && attributes & (VOLUME_ID | DIRECTORY) == VOLUME_ID
}

/// Returns the label in a volume entry. A first byte 05 means e5, because e5 marks a free entry.
fn volume_name(entry: &[u8]) -> Option<String> {
    let mut name: [u8; 11] = array(entry, 0)?;
    if name[0] == 0x05 {
        name[0] = 0xe5;
    }
    text::label(Some(&name))
}
