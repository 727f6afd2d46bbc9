//! XFS: superblock in sector 0, big-endian (kernel: fs/xfs/libxfs/xfs_format.h, struct xfs_dsb).
//!
//! ```text
//!   0 XFSB           32 sb_uuid, 16       102 sb_sectsize, u16    120 sb_blocklog, u8
//!   4 sb_blocksize   80 sb_rextsize       104 sb_inodesize, u16   121 sb_sectlog, u8
//!   8 sb_dblocks     84 sb_agblocks       108 sb_fname, 12:       122 sb_inodelog, u8
//!     (u64)          88 sb_agcount            the label           123 sb_inopblog, u8
//!                                                                 127 sb_imax_pct, u8
//! ```

use super::bytes::{array, be16, be32, be64, has};
use super::device::Device;
use super::{Superblock, text};

/// Minimum size of an allocation group, in blocks.
const MIN_AG_BLOCKS: u64 = 64;

pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let sb = device.head();
    if !has(sb, 0, b"XFSB") || !is_consistent(sb)? {
        return None;
    }
    let label = text::label(sb.get(108..120));
    Some(Superblock::filesystem("xfs").with_names(text::uuid(array(sb, 32)), label))
}

/// Returns whether the sizes agree with their logarithms and with each other, because a magic of
/// four letters alone proves little.
fn is_consistent(sb: &[u8]) -> Option<bool> {
    let (block, sector, inode) =
        (be32(sb, 4)?, u32::from(be16(sb, 102)?), u32::from(be16(sb, 104)?));
    let [block_log, sector_log, inode_log, per_block_log] = array(sb, 120)?;
    Some(
        is_power(block, block_log, 9..=16)
            && is_power(sector, sector_log, 9..=15)
            && is_power(inode, inode_log, 8..=11)
            && block_log.checked_sub(inode_log) == Some(per_block_log)
            && (4096..=1 << 30).contains(&be32(sb, 80)?.wrapping_mul(block))
            && *sb.get(127)? <= 100
            && groups_fit(be64(sb, 8)?, be32(sb, 88)?.into(), be32(sb, 84)?.into()),
    )
}

fn is_power(size: u32, log: u8, allowed: std::ops::RangeInclusive<u8>) -> bool {
    allowed.contains(&log) && size == 1 << log
}

/// Returns whether the allocation groups hold all blocks and only the last group is short.
fn groups_fit(blocks: u64, groups: u64, group: u64) -> bool {
    groups > 0
        && blocks > 0
        && blocks <= groups * group
        && blocks >= (groups - 1) * group + MIN_AG_BLOCKS
}

#[cfg(test)]
mod tests {
    use super::groups_fit;

    #[test]
    fn allocation_groups_hold_all_blocks() {
        assert!(groups_fit(4096, 4, 1024));
        assert!(groups_fit(3072 + 64, 4, 1024));
        assert!(!groups_fit(3072 + 63, 4, 1024));
        assert!(!groups_fit(4097, 4, 1024));
        assert!(!groups_fit(0, 0, 0));
        assert!(!groups_fit(1, u32::MAX.into(), u32::MAX.into()));
    }
}
