//! Reading the entries of archives.

use std::fmt;

use super::{
    HEADER, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, TRAILER,
};

/// An entry as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The path as stored, without its NUL.
    pub name: &'a [u8],
    /// Type and permission bits, as in stat(2).
    pub(crate) mode: u32,
    /// The inode number within the archive.
    pub(crate) ino: u32,
    /// User ID of the owner.
    pub(crate) uid: u32,
    /// Group ID of the owner.
    pub(crate) gid: u32,
    /// The number of links.
    pub(crate) nlink: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u32,
    /// A device's major and minor number.
    pub(crate) device: (u32, u32),
    /// A file's content or a link's target.
    pub data: &'a [u8],
}

impl Member<'_> {
    /// Returns the mode in the form of ls(1): a type letter and nine permission letters.
    #[must_use]
    pub fn mode_text(&self) -> String {
        let kind = match self.mode & S_IFMT {
            S_IFDIR => 'd',
            S_IFLNK => 'l',
            S_IFCHR => 'c',
            S_IFBLK => 'b',
            S_IFREG => '-',
            S_IFIFO => 'p',
            S_IFSOCK => 's',
            _ => '?',
        };
        let mut text = String::from(kind);
        for (shift, special, letters) in [(6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")] {
            let bit = |bit: u32| self.mode & (bit << shift) != 0;
            text.push(if bit(4) { 'r' } else { '-' });
            text.push(if bit(2) { 'w' } else { '-' });
            text.push_str(match (self.mode & special != 0, bit(1)) {
                (true, true) => &letters[..1],
                (true, false) => &letters[1..],
                (false, true) => "x",
                (false, false) => "-",
            });
        }
        text
    }

    /// Returns whether the entry is a symbolic link; its target is the data.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// Returns whether the entry is a device node.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(self.mode & S_IFMT, S_IFCHR | S_IFBLK)
    }
}

/// A fault of an archive, with its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// Offset of the damaged entry in bytes.
    pub(crate) offset: usize,
    /// The fault.
    pub(crate) why: &'static str,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpio entry at offset {}: {}", self.offset, self.why)
    }
}

impl std::error::Error for ReadError {}

/// Returns an iterator over the entries of one archive, or of several archives in a row. It skips
/// trailers and the zeros after them. It ends at the end of the bytes, after the first error, or
/// before bytes that are not an archive (see [`Reader::offset`]).
#[must_use]
pub fn read(bytes: &[u8]) -> Reader<'_> {
    Reader { bytes, offset: 0, in_archive: false }
}

/// Iterator over the entries of archives; made by [`read`].
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Number of bytes read.
    offset: usize,
    /// Whether the reader is between the first entry of an archive and its trailer.
    in_archive: bool,
}

impl<'a> Reader<'a> {
    /// Returns the offset after the last entry, at which another archive of an image may start.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    fn skip_zeros(&mut self) {
        let zeros = self.bytes[self.offset..].iter().take_while(|b| **b == 0).count();
        self.offset += zeros;
    }

    /// Reads the entry at the current offset and advances to the next.
    fn entry(&mut self) -> Result<Member<'a>, &'static str> {
        let header = self.slice(self.offset, HEADER).ok_or("the header is truncated")?;
        let fields = parse_header(header)?;
        let [ino, mode, uid, gid, nlink, mtime, size, _, _, major, minor, namesize, check] = fields;
        let name_at = self.offset + HEADER;
        let name = self.slice(name_at, namesize as usize).ok_or("the name is truncated")?;
        let nul = name.iter().position(|b| *b == 0).ok_or("the name has no NUL")?;
        let data_at = (name_at + name.len()).next_multiple_of(4);
        let data = self.slice(data_at, size as usize).ok_or("the data is truncated")?;
        let sum = data.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        if header.starts_with(b"070702") && mode & S_IFMT == S_IFREG && sum != check {
            return Err("the checksum does not match");
        }
        self.offset = (data_at + data.len()).next_multiple_of(4).min(self.bytes.len());
        let device = (major, minor);
        Ok(Member { name: &name[..nul], mode, ino, uid, gid, nlink, mtime, device, data })
    }

    fn slice(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..at.checked_add(len)?)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Member<'a>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if !self.in_archive {
                self.skip_zeros();
                if !self.bytes[self.offset..].starts_with(b"0707") {
                    return None;
                }
                self.in_archive = true;
            }
            let offset = self.offset;
            match self.entry() {
                Ok(member) if member.name == TRAILER => self.in_archive = false,
                Ok(member) => return Some(Ok(member)),
                Err(why) => {
                    *self = Reader { bytes: &[], offset: 0, in_archive: false };
                    return Some(Err(ReadError { offset, why }));
                }
            }
        }
    }
}

fn parse_header(header: &[u8]) -> Result<[u32; 13], &'static str> {
    let (magic, numbers) = header.split_at(6);
    if magic != b"070701" && magic != b"070702" {
        return Err("not a newc header");
    }
    let mut fields = [0; 13];
    for (field, digits) in fields.iter_mut().zip(numbers.chunks(8)) {
        *field = hex(digits).ok_or("a header field is not hexadecimal")?;
    }
    Ok(fields)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n: u32, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}
