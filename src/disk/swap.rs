//! Swap areas, and swap areas that hold a hibernation image. Kernel: include/linux/swap.h, union
//! swap_header.
//!
//! ```text
//! 1024  version, u32 │ last page, u32 │ bad pages, u32 │ uuid, 16 │ label, 16 │ padding, 117 × u32
//! end of the first page (4 to 64 KiB) - 10:  SWAPSPACE2, SWAP-SPACE (old format without names),
//!                                            S1SUSPEND, LINHIB0001, …
//! ```
//!
//! Numbers have the byte order of the host that created the area. Hibernation keeps the names.

use super::bytes::{array, has, le32};
use super::device::Device;
use super::{Superblock, Usage, text};

/// Page sizes.
const PAGES: [usize; 5] = [0x1000, 0x2000, 0x4000, 0x8000, 0x10000];
const TUX_ON_ICE: &[u8] = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c";
const SUSPENDED: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];

/// Probes for a swap area that swapon(8) accepts.
pub(super) fn probe(device: &Device<'_>) -> Option<Superblock> {
    let head = device.head();
    if has(head, 0, TUX_ON_ICE) {
        return None;
    }
    for page in PAGES {
        if has(head, page - 10, b"SWAP-SPACE") {
            return Some(Superblock::new("swap", Usage::Other));
        }
        if has(head, page - 10, b"SWAPSPACE2") {
            let version = le32(head, 1024)?;
            let is_valid = (version == 1 || version.swap_bytes() == 1) && le32(head, 1028)? != 0;
            return is_valid.then(|| with_names(head, Superblock::new("swap", Usage::Other)));
        }
    }
    None
}

/// Probes for a swap area that holds a hibernation image.
pub(super) fn hibernated(device: &Device<'_>) -> Option<Superblock> {
    let head = device.head();
    let found = has(head, 0, TUX_ON_ICE)
        || PAGES.iter().any(|page| SUSPENDED.iter().any(|magic| has(head, page - 10, magic)));
    found.then(|| with_names(head, Superblock::new("swsuspend", Usage::Other)))
}

/// Adds UUID and label, unless bytes that mkswap(8) leaves zero show that the header has another
/// format.
fn with_names(head: &[u8], probe: Superblock) -> Superblock {
    if array(head, 1196) != Some([0; 8]) {
        return probe;
    }
    probe.with_names(text::uuid(array(head, 1036)), text::label(head.get(1052..1068)))
}
