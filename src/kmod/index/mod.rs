//! `modules.*.bin`: kmod's on-disk radix tree of names and patterns.
//!
//! All integers are 32-bit, big-endian, unaligned.
//!
//! ```text
//! file    magic B007F457 | version 00020001 (readers check the high half) | root offset word
//!         | nodes…
//!
//! offset word   flags in the top four bits, byte offset from the start of the file in the low 28
//!               8… node has a prefix   4… node has values   2… node has children
//!               low 28 bits zero: no node
//!
//! node    each part is present only if its flag is set, in this order:
//!           prefix     bytes, NUL
//!           children   u8 first | u8 last | (last-first+1) offset words, zero if there is no child
//!           values     u32 count | count × (u32 priority, bytes, NUL)
//! ```
//!
//! The byte on an edge is not part of the child's prefix. Keys `ext4`, `ext3` and value lists:
//!
//! ```text
//! root "ext" ─┬─ '3' ─ "" values
//!             └─ '4' ─ "" values
//! ```
//!
//! Priorities are positions in modules.order; a search returns its values by ascending priority.

mod read;
mod write;

pub use read::{Bytes, Index, IndexError, IndexValue};
pub use write::{WriteError, Writer};

/// First word of every index.
pub(crate) const MAGIC: u32 = 0xB007_F457;
/// Version that kmod writes; readers compare the high half.
pub(crate) const VERSION: u32 = 0x0002_0001;
/// Flag: the node has a prefix.
pub(crate) const PREFIX: u32 = 0x8000_0000;
/// Flag: the node has values.
pub(crate) const VALUES: u32 = 0x4000_0000;
/// Flag: the node has children.
pub(crate) const CHILDREN: u32 = 0x2000_0000;
/// Mask of the byte offset in an offset word.
pub(crate) const OFFSET: u32 = 0x0fff_ffff;
