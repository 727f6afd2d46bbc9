//! The status that a screen shows while a boot waits for its root. What changes comes first, and
//! long parts lose their middle, so that all parts fit in one line:
//!
//! ```text
//! coldplug: 12/60 s, found: sda, sda1; waiting for UUID=c01d910...000000001
//! ```

use std::time::Duration;

use crate::boot::log::MAX_STATUS;

/// Least space for what is awaited, in bytes.
const MIN_AWAITED: usize = 23;

/// Returns the status after a wait of `waited` for `awaited`. The wait ends after `limit`; `None`
/// means never. `seen` is what is there, or what the last attempt has met.
pub(super) fn status(
    waited: Duration,
    limit: Option<Duration>,
    seen: Option<&str>,
    awaited: &str,
) -> String {
    const WAITING: &str = "waiting for ";
    let awaited = awaited.strip_prefix("root device ").unwrap_or(awaited);
    let mut text = match limit {
        Some(limit) => format!("{}/{} s, ", waited.as_secs(), limit.as_secs()),
        None => format!("{} s, ", waited.as_secs()),
    };
    let max = MAX_STATUS - WAITING.len();
    if let Some(seen) = seen {
        let reserved = awaited.len().min(MIN_AWAITED) + "; ".len();
        push_short(&mut text, seen, max - reserved);
        text.push_str("; ");
    }
    text.push_str(WAITING);
    push_short(&mut text, awaited, MAX_STATUS);
    text
}

/// Adds `part` to `text`, without its middle if the text would have more than `max` bytes.
fn push_short(text: &mut String, part: &str, max: usize) {
    const GAP: &str = "...";
    let left = max.saturating_sub(text.len());
    if part.len() <= left {
        return text.push_str(part);
    }
    let half = left.saturating_sub(GAP.len()) / 2;
    // A character that does not fit whole is left out.
    let head = (0..=half).rev().find_map(|end| part.get(..end));
    let tail = (part.len() - half..).find_map(|start| part.get(start..));
    text.push_str(head.unwrap_or_default());
    text.push_str(GAP);
    text.push_str(tail.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_fit_in_one_line() {
        let uuid = "root device UUID=c01d9106-0000-4000-8000-000000000001";
        let link = "mount.usr=/dev/disk/by-id/nvme-Samsung_SSD_990_PRO_1TB_S6Z1NJ0W123456-part2";
        let umlauts = "LABEL=äääääääääääää";
        let disks = "found: sda, sda1, sda2, nvme0n1, nvme0n1p1, nvme0n1p2";
        let error = "last attempt: mount /dev/vda on /sysroot as btrfs: No such file or directory";
        for (waited, limit, seen, awaited, want) in [
            (
                3,
                Some(60),
                Some("found: none"),
                "root device LABEL=a",
                "3/60 s, found: none; waiting for LABEL=a",
            ),
            (
                3,
                None,
                None,
                "mount /dev/vda on /sysroot as ext4",
                "3 s, waiting for mount /dev/vda on /sysroot as ext4",
            ),
            (
                12,
                Some(60),
                Some("found: vda"),
                uuid,
                "12/60 s, found: vda; waiting for UUID=c01d9106-00...000-000000000001",
            ),
            (
                123,
                Some(600),
                Some(disks),
                uuid,
                "123/600 s, found: sd...nvme0n1p2; waiting for UUID=c01d9...0000000001",
            ),
            (
                123,
                Some(600),
                Some(disks),
                umlauts,
                "123/600 s, found: sd...nvme0n1p2; waiting for LABEL=ää...äääää",
            ),
            (
                12,
                Some(60),
                Some(error),
                link,
                "12/60 s, last attem... directory; waiting for mount.usr=...3456-part2",
            ),
            (
                12,
                Some(60),
                None,
                link,
                "12/60 s, waiting for mount.usr=/dev/disk/by...B_S6Z1NJ0W123456-part2",
            ),
            (
                u64::MAX,
                Some(u64::MAX),
                Some(error),
                link,
                "18446744073709551615/18446744073709551615 s, ...; waiting for mo...t2",
            ),
        ] {
            let limit = limit.map(Duration::from_secs);
            let text = status(Duration::from_secs(waited), limit, seen, awaited);
            assert_eq!(text, want, "{seen:?} {awaited}");
            assert!(text.len() <= MAX_STATUS, "{text}");
        }
    }
}
