//! A failed boot as it is stored on a partition or in a file of its own, for the next boot.
//!
//! ```text
//! offset  size
//!      0     8   magic "coldplug"
//!      8     4   version: 1
//!     12     4   flags: 1 = a later boot has reported it
//!     16     8   sequence number, from 1
//!     24     4   length of the summary, at most 4052
//!     28     4   length of the record
//!     32     4   length of the kernel log
//!     36     4   CRC-32 of summary, record and log
//!     40     4   CRC-32 of the 40 bytes before
//!     44         summary: what ended the boot, as on the console
//!   4096         the record in JSON, directly followed by the kernel log
//! ```
//!
//! Numbers are little-endian. What does not begin with the magic is not a stored boot. If the first
//! 4096 bytes are zero, the bytes after them decide whether the place is free.

use std::fmt;

use crate::disk::crc;

const MAGIC: [u8; 8] = *b"coldplug";
const VERSION: u32 = 1;
const SEEN: u32 = 1;
/// Length of the numbers at the start.
const NUMBERS: usize = 44;
/// Length of the head: the numbers and the summary.
pub const HEAD: usize = 4096;
/// Most bytes of record and log that are read.
const MAX_BODY: usize = 16 << 20;

/// A failed boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredBoot {
    pub(crate) head: Head,
    /// The record in JSON; empty if there was no room for it.
    pub(crate) record: String,
    /// The end of the kernel log.
    pub(crate) log: String,
}

/// The first [`HEAD`] bytes of a stored boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Whether a later boot has reported it.
    pub(crate) is_seen: bool,
    /// Number of the record, counted from 1.
    pub(crate) sequence: u64,
    /// What ended the boot.
    pub(crate) summary: String,
    record_len: usize,
    log_len: usize,
    crc: u32,
}

/// What a place holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Perhaps nothing: it is empty, or all zero as far as a head reaches.
    Free,
    /// A stored boot.
    Boot(Head),
    /// A stored boot that is damaged or was not written to its end.
    Damaged,
    /// A stored boot of another version of the format.
    OtherVersion(u32),
    /// Something else.
    Foreign,
}

/// A stored boot whose content is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored boot is damaged")
    }
}

impl std::error::Error for Damaged {}

impl Place {
    /// Returns what the place with these first bytes holds: [`HEAD`] of them, or all that it has.
    pub fn parse(bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Free;
        }
        if !bytes.starts_with(&MAGIC) {
            return Self::Foreign;
        }
        match number(bytes, 8) {
            Some(VERSION) => Head::parse(bytes).map_or(Self::Damaged, Self::Boot),
            Some(version) => Self::OtherVersion(version),
            None => Self::Damaged,
        }
    }

    /// Returns the sequence number for the next boot that is stored here.
    pub(crate) fn next_sequence(&self) -> u64 {
        match self {
            Self::Boot(head) => head.sequence.saturating_add(1),
            Self::Free | Self::Damaged | Self::OtherVersion(_) | Self::Foreign => 1,
        }
    }
}

/// Returns the start of the head of a boot that is being stored: until the whole head replaces it,
/// the place holds a [`Place::Damaged`] boot.
pub(crate) fn unfinished() -> [u8; NUMBERS] {
    let mut bytes = [0; NUMBERS];
    let start = MAGIC.into_iter().chain(VERSION.to_le_bytes());
    bytes.iter_mut().zip(start).for_each(|(place, byte)| *place = byte);
    bytes
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let numbers = bytes.get(..NUMBERS)?;
        if number(bytes, 40)? != crc32(&[&numbers[..40]]) {
            return None;
        }
        let len = |at| usize::try_from(number(bytes, at)?).ok();
        let summary = bytes.get(NUMBERS..)?.get(..len(24)?)?;
        let head = Self {
            is_seen: number(bytes, 12)? & SEEN != 0,
            sequence: u64::from_le_bytes(*bytes.get(16..)?.first_chunk()?),
            summary: String::from_utf8_lossy(summary).into_owned(),
            record_len: len(28)?,
            log_len: len(32)?,
            crc: number(bytes, 36)?,
        };
        (head.body_len() <= MAX_BODY).then_some(head)
    }

    /// Returns the number of bytes that follow the head.
    pub fn body_len(&self) -> usize {
        self.record_len.saturating_add(self.log_len)
    }

    /// Returns the numbers of the head, which replace those of the same stored boot.
    pub(crate) fn numbers(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let word = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(u32::from(self.is_seen).to_le_bytes());
        bytes.extend(self.sequence.to_le_bytes());
        for len in [self.summary.len(), self.record_len, self.log_len] {
            bytes.extend(word(len).to_le_bytes());
        }
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend(crc32(&[&bytes]).to_le_bytes());
        bytes
    }

    /// Returns the stored boot with this head and the bytes that follow the head.
    ///
    /// # Errors
    /// The bytes are not those that were stored.
    pub fn with_body(self, body: &[u8]) -> Result<StoredBoot, Damaged> {
        let (record, log) = body.split_at_checked(self.record_len).ok_or(Damaged)?;
        let is_whole = log.len() == self.log_len;
        if !is_whole || crc32(&[self.summary.as_bytes(), body]) != self.crc {
            return Err(Damaged);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(StoredBoot { record: text(record), log: text(log), head: self })
    }
}

impl StoredBoot {
    /// Creates a boot with number `sequence` that fits into `capacity` bytes: the start of the log
    /// is left out, then the record. Returns `None` if not even a head fits.
    pub fn new(
        sequence: u64,
        summary: &str,
        mut record: String,
        mut log: String,
        capacity: u64,
    ) -> Option<Self> {
        let room = capacity.checked_sub(HEAD as u64)?;
        let room = usize::try_from(room).unwrap_or(MAX_BODY).min(MAX_BODY);
        if record.len() > room {
            record.clear();
        }
        let start = log.len().saturating_sub(room - record.len());
        let is_start = |at: &usize| log.is_char_boundary(*at);
        let start = (start..log.len()).find(is_start).unwrap_or(log.len());
        log.drain(..start);
        let mut summary = summary.to_owned();
        while summary.len() > HEAD - NUMBERS {
            summary.pop();
        }
        let crc = crc32(&[summary.as_bytes(), record.as_bytes(), log.as_bytes()]);
        let (record_len, log_len) = (record.len(), log.len());
        let head = Head { is_seen: false, sequence, summary, record_len, log_len, crc };
        Some(Self { head, record, log })
    }

    /// Returns the head, and the bytes that follow it.
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut head = self.head.numbers();
        head.extend_from_slice(self.head.summary.as_bytes());
        head.resize(HEAD, 0);
        (head, [self.record.as_bytes(), self.log.as_bytes()].concat())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Returns the CRC-32 of ISO 3309 (that of gzip) of the concatenation of `parts`.
fn crc32(parts: &[&[u8]]) -> u32 {
    !parts.iter().fold(!0, |crc, part| crc::update(crc, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(capacity: u64) -> Option<StoredBoot> {
        let (record, log) = ("{\"a\":1}\n".to_owned(), "one\ntwo ä\nthree\n".to_owned());
        StoredBoot::new(7, "verdict=no-root: root device X not found", record, log, capacity)
    }

    #[test]
    fn the_checksum_is_that_of_gzip() {
        assert_eq!(crc32(&[b"12345", b"6789"]), 0xcbf4_3926);
    }

    #[test]
    fn a_boot_is_read_as_it_was_stored() {
        let stored = boot(1 << 20).unwrap();
        let (head, body) = stored.encode();
        assert_eq!((head.len(), &head[..8]), (HEAD, &b"coldplug"[..]));
        let Place::Boot(found) = Place::parse(&head) else { panic!("{:?}", Place::parse(&head)) };
        assert_eq!(found.body_len(), body.len());
        assert_eq!(found.clone().with_body(&body).unwrap(), stored);
        let mut seen = found;
        seen.is_seen = true;
        let mut marked = head;
        marked[..NUMBERS].copy_from_slice(&seen.numbers());
        assert_eq!(Place::parse(&marked), Place::Boot(seen));
    }

    #[test]
    fn the_log_gives_way_to_the_record_and_both_to_the_summary() {
        for (capacity, record, log) in [
            (4096 + 8 + 17, "{\"a\":1}\n", "one\ntwo ä\nthree\n"),
            (4096 + 8 + 6, "{\"a\":1}\n", "three\n"),
            // A character is not cut.
            (4096 + 8 + 8, "{\"a\":1}\n", "\nthree\n"),
            (4096 + 8, "{\"a\":1}\n", ""),
            (4096 + 7, "", "\nthree\n"),
            (4096, "", ""),
        ] {
            let stored = boot(capacity).unwrap();
            assert_eq!((&*stored.record, &*stored.log), (record, log), "{capacity}");
        }
        assert_eq!(boot(4095), None);
        let long = StoredBoot::new(1, &"ä".repeat(3000), String::new(), String::new(), 1 << 20);
        let long = long.unwrap();
        assert_eq!(long.head.summary.len(), 4052);
        assert_eq!(Place::parse(&long.encode().0), Place::Boot(long.head));
    }

    #[test]
    fn the_first_bytes_tell_what_a_place_holds() {
        let (head, _) = boot(1 << 20).unwrap().encode();
        let changed = |at: usize| {
            let mut bytes = head.clone();
            bytes[at] ^= 0x10;
            bytes
        };
        let mut last = vec![0; HEAD];
        last[HEAD - 1] = 1;
        for (what, bytes, want, sequence) in [
            ("empty", vec![], Place::Free, 1),
            ("zero", vec![0; HEAD], Place::Free, 1),
            ("a boot", head.clone(), Place::Boot(boot(1 << 20).unwrap().head), 8),
            ("a cut head", head[..20].to_vec(), Place::Damaged, 1),
            ("a changed length", changed(28), Place::Damaged, 1),
            ("another version", changed(8), Place::OtherVersion(17), 1),
            ("a changed magic", changed(3), Place::Foreign, 1),
            ("a byte at the end", last, Place::Foreign, 1),
            ("text", b"hello".to_vec(), Place::Foreign, 1),
        ] {
            let place = Place::parse(&bytes);
            assert_eq!((place.next_sequence(), place), (sequence, want), "{what}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let stored = boot(1 << 20).unwrap();
        let (head, body) = stored.encode();
        let whole = |head: &[u8], body: &[u8]| match Place::parse(head) {
            Place::Boot(head) => head.with_body(body).is_ok(),
            _ => false,
        };
        assert!(whole(&head, &body));
        for at in 0..NUMBERS + stored.head.summary.len() {
            let mut head = head.clone();
            head[at] ^= 1;
            assert!(!whole(&head, &body), "head {at}");
        }
        for at in 0..body.len() {
            let mut body = body.clone();
            body[at] ^= 1;
            assert!(!whole(&head, &body), "body {at}");
        }
        assert!(!whole(&head, &body[1..]) && !whole(&head, &[&body[..], b"x"].concat()));
    }
}
