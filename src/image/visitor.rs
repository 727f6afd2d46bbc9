//! What reads an image: one value that receives archives, entries and their data in their order.

use std::ops::ControlFlow;

use super::codec::Codec;
use super::newc::Member;

/// Receives what an image holds. A break ends the reading; the visitor knows why.
pub(crate) trait Visitor {
    /// An entry begins. The target of a link is in `member`; other data follows.
    fn start(&mut self, _member: &Member) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A part of the entry's data.
    fn data(&mut self, _bytes: &[u8]) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// The entry is complete, and its checksum is right if it has one.
    fn end(&mut self, _member: &Member) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// An archive is complete.
    fn archive(&mut self) {}

    /// A part of the image is complete: a plain archive, or compressed data with the archives in it.
    fn part(&mut self, _part: &Part) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// A visitor that ignores everything.
#[derive(Debug)]
pub(super) struct Ignore;

impl Visitor for Ignore {}

/// A part of an image: a plain archive, or compressed data with usually one archive in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its offset in the image, in bytes.
    pub(crate) offset: u64,
    /// Its compression; none if it is plain.
    pub(crate) codec: Option<Codec>,
    /// Size in bytes that it has in the image, without the zeros up to the next part.
    pub(crate) packed: u64,
    /// Size in bytes of what it decompresses to.
    pub(crate) unpacked: u64,
}
