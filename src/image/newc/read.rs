//! Reading the entries of archives from a stream, one at a time. The content of files is skipped, and
//! names and targets have limits, so that no archive takes more memory than another.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use super::{
    HEADER, MAX_NAME, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK,
    TRAILER,
};
use crate::sys::Cause;

/// An entry as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path as stored, without its NUL.
    pub name: Vec<u8>,
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
    /// Size of the data in bytes.
    pub size: u32,
    /// Offset of the data in the stream, in bytes.
    pub data_at: u64,
    /// The target of a symbolic link, without the NUL that gen_init_cpio stores; else empty.
    pub target: Vec<u8>,
}

impl Member {
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

    /// Returns whether the entry is a symbolic link; see [`Member::target`].
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// Returns whether the entry is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.mode & S_IFMT == S_IFREG
    }

    /// Returns whether the entry is a device node.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(self.mode & S_IFMT, S_IFCHR | S_IFBLK)
    }
}

/// A fault of an archive, with its position.
#[derive(Debug)]
pub struct ReadError {
    /// Offset of the damaged entry in bytes.
    pub(crate) offset: u64,
    /// The fault.
    pub(crate) cause: ReadCause,
}

/// Why an entry cannot be read.
#[derive(Debug)]
pub(crate) enum ReadCause {
    /// The entry itself is damaged.
    Damaged(&'static str),
    /// The stream cannot be read or decompressed.
    Input(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpio entry at offset {}: {}", self.offset, self.cause)
    }
}

impl fmt::Display for ReadCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Input(error) if error.raw_os_error().is_some() => Cause::from(error).fmt(f),
            // The words of a decoder.
            Self::Input(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ReadCause::Damaged(_) => None,
            ReadCause::Input(error) => Some(error),
        }
    }
}

impl From<io::Error> for ReadCause {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<&'static str> for ReadCause {
    fn from(why: &'static str) -> Self {
        Self::Damaged(why)
    }
}

/// A stream that counts the bytes read.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    input: R,
    /// Number of bytes read.
    pub(crate) offset: u64,
}

impl<R: BufRead> Counted<R> {
    /// Counts from the current position of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self { input, offset: 0 }
    }

    /// Skips zeros. Returns the byte after them, which is not yet read, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub(crate) fn skip_zeros(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let (next, is_end) = (bytes.get(zeros).copied(), bytes.is_empty());
            self.consume(zeros);
            if next.is_some() || is_end {
                return Ok(next);
            }
        }
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(bytes)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.offset += count as u64;
    }
}

/// Sum of all bytes written, as in an archive with checksums.
struct Checksum(u32);

impl Write for Checksum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns an iterator over the entries of one archive, or of several archives in a row. It skips
/// trailers and the zeros after them. It ends at the end of the stream, after the first error, or
/// before bytes that are not an archive (see [`Reader::offset`]).
#[must_use]
pub fn read<R: BufRead>(input: R) -> Reader<R> {
    Reader { input: Counted::new(input), in_archive: false, entry_at: 0, has_failed: false }
}

/// Iterator over the entries of archives; made by [`read`].
#[derive(Debug)]
pub struct Reader<R> {
    input: Counted<R>,
    /// Whether the reader is between the first entry of an archive and its trailer.
    in_archive: bool,
    /// Offset of the entry that is being read.
    entry_at: u64,
    /// Whether an error has ended the iteration.
    has_failed: bool,
}

impl<R: BufRead> Reader<R> {
    /// Returns the offset after the last entry, at which another archive of an image may start.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.input.offset
    }

    /// Returns whether the stream has no more bytes.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub(crate) fn is_at_end(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.is_empty())
    }

    /// Reads the next entry. Returns `None` before bytes that are not an archive and at the end.
    fn member(&mut self) -> Result<Option<Member>, ReadCause> {
        loop {
            if !self.in_archive {
                // No compressed archive starts with this byte (see init/initramfs.c).
                if self.input.skip_zeros()? != Some(b'0') {
                    return Ok(None);
                }
                self.in_archive = true;
            }
            self.entry_at = self.offset();
            let member = self.entry()?;
            if member.name != TRAILER {
                return Ok(Some(member));
            }
            self.in_archive = false;
        }
    }

    /// Reads the entry at the current offset and advances to the next.
    fn entry(&mut self) -> Result<Member, ReadCause> {
        let header = self.bytes(HEADER, "the header is truncated")?;
        let fields = parse_header(&header)?;
        let [ino, mode, uid, gid, nlink, mtime, size, _, _, major, minor, namesize, check] = fields;
        // The kernel skips longer names and targets silently.
        let within = |len: u32| Some(len as usize).filter(|len| *len <= MAX_NAME + 1);
        let namesize = within(namesize).ok_or("the name is longer than 4095 bytes")?;
        let mut name = self.bytes(namesize, "the name is truncated")?;
        let nul = name.iter().position(|b| *b == 0).ok_or("the name has no NUL")?;
        name.truncate(nul);
        self.skip_padding()?;
        let data_at = self.offset();
        let mut target = Vec::new();
        if mode & S_IFMT == S_IFLNK {
            let len = within(size).ok_or("the target of the link is longer than 4096 bytes")?;
            target = self.bytes(len, "the data is truncated")?;
            let nul = target.iter().position(|b| *b == 0).unwrap_or(target.len());
            target.truncate(nul);
        } else {
            let sum = self.skip_data(size)?;
            if header.starts_with(b"070702") && mode & S_IFMT == S_IFREG && sum != check {
                return Err("the checksum does not match".into());
            }
        }
        self.skip_padding()?;
        let device = (major, minor);
        Ok(Member { name, mode, ino, uid, gid, nlink, mtime, device, size, data_at, target })
    }

    /// Reads `len` bytes; `why` is the error if there are fewer.
    fn bytes(&mut self, len: usize, why: &'static str) -> Result<Vec<u8>, ReadCause> {
        let mut bytes = Vec::with_capacity(len);
        self.input.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() == len { Ok(bytes) } else { Err(why.into()) }
    }

    /// Skips the data of an entry. Returns the sum of its bytes.
    fn skip_data(&mut self, size: u32) -> Result<u32, ReadCause> {
        let mut sum = Checksum(0);
        let size = u64::from(size);
        match io::copy(&mut self.input.by_ref().take(size), &mut sum)? == size {
            true => Ok(sum.0),
            false => Err("the data is truncated".into()),
        }
    }

    /// Skips bytes up to a multiple of 4. At the end of a stream they may be missing.
    fn skip_padding(&mut self) -> io::Result<()> {
        let missing = self.offset().next_multiple_of(4) - self.offset();
        io::copy(&mut self.input.by_ref().take(missing), &mut io::sink()).map(drop)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Member, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        self.member()
            .map_err(|cause| {
                self.has_failed = true;
                ReadError { offset: self.entry_at, cause }
            })
            .transpose()
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
