//! Formats with a magic and names at fixed offsets. All are little-endian except UBI.
//!
//! ```text
//! type            superblock  magic          also required        UUID   label
//! btrfs           0x10000     +0x40 _BHRfS_M                       +0x20  +0x12b, 256
//! f2fs            0x400       +0 f2f52010    version +4.. > 1.0    +0x6c  +0x7c, 1024, UTF-16LE
//! erofs           0x400       +0 e0f5e1e2    block size +12 ≤ 4096 +48    +64, 16
//! squashfs        0           +0 hsqs        major +28 ≥ 4
//! squashfs3       0           hsqs or sqsh   major +28 ≤ 3 (in the byte order of the magic)
//! ubifs           0           +0 06101831                          +108
//! UBI             0           +0 UBI#                              image_seq +24, decimal
//! DM_verity_hash  0           +0 verity\0\0  version +8 = 1        +16
//! bcache          0x1000      +24 16 bytes   own sector +8 = 8     +40
//! bcachefs        0x1000      +24 16 bytes   own sector +104 = 8   +56    +72, 32
//! ```
//!
//! Kernel: fs/btrfs/disk-io.h, include/linux/f2fs_fs.h, fs/erofs/erofs_fs.h,
//! fs/squashfs/squashfs_fs.h, fs/ubifs/ubifs-media.h, drivers/mtd/ubi/ubi-media.h,
//! drivers/md/bcache/bcache_ondisk.h; cryptsetup's wiki page on the on-disk format of DM-verity.

use super::bytes::{array, be16, be32, has, le16, le32, le64};
use super::device::Device;
use super::{Member, Superblock, Usage, text};

/// Returns the superblock at `start` if it lies in the head and has the magic at offset `at`.
fn block<'a>(device: &'a Device<'_>, start: usize, at: usize, magic: &[u8]) -> Option<&'a [u8]> {
    let block = device.head().get(start..)?;
    has(block, at, magic).then_some(block)
}

pub(super) fn btrfs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0x10000, 0x40, b"_BHRfS_M")?;
    let label = text::label(Some(sb.get(0x12b..0x22b)?));
    let names = Superblock::filesystem("btrfs").with_names(text::uuid(array(sb, 0x20)), label);
    Some(Superblock { member: Member::of_btrfs(sb), ..names })
}

/// Probes for f2fs. Version 1.0 had another superblock, whose names are unknown.
pub(super) fn f2fs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0x400, 0, b"\x10\x20\xf5\xf2")?;
    let probe = Superblock::filesystem("f2fs");
    if (le16(sb, 4)?, le16(sb, 6)?) == (1, 0) {
        return Some(probe);
    }
    Some(probe.with_names(text::uuid(array(sb, 0x6c)), text::utf16le(sb.get(0x7c..0x47c))))
}

pub(super) fn erofs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0x400, 0, b"\xe2\xe1\xf5\xe0")?;
    if *sb.get(12)? > 12 {
        return None;
    }
    let label = text::label(sb.get(64..80));
    Some(Superblock::filesystem("erofs").with_names(text::uuid(array(sb, 48)), label))
}

pub(super) fn squashfs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0, 0, b"hsqs")?;
    (le16(sb, 28)? >= 4).then(|| Superblock::filesystem("squashfs"))
}

pub(super) fn squashfs3(device: &Device<'_>) -> Option<Superblock> {
    let major = match block(device, 0, 0, b"sqsh") {
        Some(sb) => be16(sb, 28)?,
        None => le16(block(device, 0, 0, b"hsqs")?, 28)?,
    };
    (major <= 3).then(|| Superblock::filesystem("squashfs3"))
}

pub(super) fn ubifs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0, 0, b"\x31\x18\x10\x06")?;
    Some(Superblock::filesystem("ubifs").with_names(text::uuid(array(sb, 108)), None))
}

pub(super) fn ubi(device: &Device<'_>) -> Option<Superblock> {
    let image = be32(block(device, 0, 0, b"UBI#")?, 24)?;
    let uuid = (image != 0).then(|| image.to_string());
    Some(Superblock::new("ubi", Usage::Raid).with_names(uuid, None))
}

pub(super) fn verity(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0, 0, b"verity\0\0")?;
    let probe = Superblock::new("DM_verity_hash", Usage::Crypto);
    (le32(sb, 8)? == 1).then(|| probe.with_names(text::uuid(array(sb, 16)), None))
}

const BCACHE: &[u8] = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
const BCACHEFS: &[u8] = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";

pub(super) fn bcache(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0x1000, 24, BCACHE)?;
    let probe = Superblock::new("bcache", Usage::Other);
    (le64(sb, 8)? == 8).then(|| probe.with_names(text::uuid(array(sb, 40)), None))
}

pub(super) fn bcachefs(device: &Device<'_>) -> Option<Superblock> {
    let sb = block(device, 0x1000, 24, BCACHEFS)?;
    let label = text::label(sb.get(72..104));
    let names = Superblock::filesystem("bcachefs").with_names(text::uuid(array(sb, 56)), label);
    (le64(sb, 104)? == 8).then(|| Superblock { member: Member::of_bcachefs(sb), ..names })
}

#[cfg(test)]
mod tests {
    use super::super::probe;
    use super::*;

    fn image(size: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut image = vec![0; size];
        for (at, bytes) in parts {
            image[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        image
    }

    /// The blkid of Debian 12 does not support bcachefs, so the test relies on the layout.
    #[test]
    fn bcachefs_is_found_by_its_layout() {
        let parts: [(usize, &[u8]); 4] =
            [(0x1018, BCACHEFS), (0x1038, &[0x5a; 16]), (0x1048, b"tank  "), (0x1068, &[8])];
        let found = probe(&image(1 << 20, &parts).as_slice()).unwrap();
        assert_eq!((found.kind, found.usage), ("bcachefs", Usage::Filesystem));
        assert_eq!(found.uuid.as_deref(), Some("5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a"));
        assert_eq!(found.label.as_deref(), Some("tank"));
        assert_eq!(probe(&image(1 << 20, &parts[..3]).as_slice()), None);
    }

    #[test]
    fn the_version_selects_the_format() {
        for (parts, want) in [
            (vec![(0, &b"hsqs"[..]), (28, &[4])], Some("squashfs")),
            (vec![(0, b"hsqs"), (28, &[3])], Some("squashfs3")),
            (vec![(0, b"sqsh"), (29, &[3])], Some("squashfs3")),
            (vec![(0, b"sqsh"), (29, &[4])], None),
            (vec![(0x400, b"\x10\x20\xf5\xf2\x01")], Some("f2fs")),
            (vec![(0x400, b"\xe2\xe1\xf5\xe0"), (0x40c, &[13])], None),
            (vec![(0, b"verity\0\0\x02")], None),
        ] {
            let found = probe(&image(1 << 21, &parts).as_slice());
            assert_eq!(found.map(|f| f.kind), want, "{parts:?}");
        }
    }
}
