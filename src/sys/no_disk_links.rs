//! Without the feature `full` disks have no links in /dev/disk that tell how they identify
//! themselves or where they are connected.

use super::Root;
use super::block::BlockDevice;

/// Returns no links.
pub(crate) fn links(_: &Root, _: &BlockDevice) -> Vec<String> {
    Vec::new()
}
