//! Without the feature `full` similar names are not searched for.

use crate::cmdline::root_name::RootName;
use crate::disk::seen::SeenDevice;

/// Returns why a name cannot be found that only udev's links have.
pub(super) fn near_misses(wanted: &RootName, _: &[SeenDevice]) -> Vec<String> {
    match wanted {
        RootName::Link(_) => vec!["this coldplug knows no links of disks in /dev/disk".to_owned()],
        _ => Vec::new(),
    }
}
