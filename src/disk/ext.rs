//! ext2, ext3, ext4 and their external journal: one superblock, distinguished by its feature bits.
//!
//! ```text
//! 0x400  superblock, little-endian (kernel: fs/ext4/ext4.h, struct ext4_super_block)
//!  +0x38 magic 53 ef
//!  +0x5c s_feature_compat     0x4: has a journal
//!  +0x60 s_feature_incompat   0x8: is a journal device
//!  +0x64 s_feature_ro_compat
//!  +0x68 s_uuid, 16
//!  +0x78 s_volume_name, 16
//! ```

use super::bytes::{array, has, le32};
use super::device::Device;
use super::{Superblock, Usage, text};

const HAS_JOURNAL: u32 = 0x4;
const JOURNAL_DEV: u32 = 0x8;
/// sparse_super, large_file, btree_dir.
const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
/// filetype, recover, meta_bg.
const EXT3_INCOMPAT: u32 = 0x2 | 0x4 | 0x10;
const RECOVER: u32 = 0x4;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let sb = device.bytes(0x400, 0x200)?;
    if !has(&sb, 0x38, b"\x53\xef") {
        return None;
    }
    let kind = kind(le32(&sb, 0x5c)?, le32(&sb, 0x60)?, le32(&sb, 0x64)?)?;
    let usage = if kind == "jbd" { Usage::Other } else { Usage::Filesystem };
    let label = text::label(sb.get(0x78..0x88));
    Some(Superblock::new(kind, usage).with_names(text::uuid(array(&sb, 0x68)), label))
}

/// Returns the type by blkid's rules: first a journal device, then ext4 if it has a feature that
/// ext3 lacks, then ext3 or ext2 depending on the journal.
fn kind(compat: u32, incompat: u32, ro_compat: u32) -> Option<&'static str> {
    if incompat & JOURNAL_DEV != 0 {
        return Some("jbd");
    }
    if ro_compat & !EXT3_RO_COMPAT != 0 || incompat & !EXT3_INCOMPAT != 0 {
        return Some("ext4");
    }
    match (compat & HAS_JOURNAL != 0, incompat & RECOVER != 0) {
        (true, _) => Some("ext3"),
        (false, false) => Some("ext2"),
        // The journal needs a replay, but there is none.
        (false, true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn feature_bits_select_the_type() {
        for (compat, incompat, ro_compat, want) in [
            (0x38, 0x2, 0x3, Some("ext2")),
            (0x3c, 0x2, 0x3, Some("ext3")),
            (0x3c, 0x6, 0x3, Some("ext3")),
            (0x3c, 0x2c2, 0x46b, Some("ext4")),
            (0x38, 0x2c2, 0x46b, Some("ext4")),
            (0x3c, 0x2, 0x8, Some("ext4")),
            (0x0, 0x8, 0x0, Some("jbd")),
            (0x0, 0x6, 0x0, None),
        ] {
            assert_eq!(kind(compat, incompat, ro_compat), want, "{compat:x} {incompat:x}");
        }
    }
}
