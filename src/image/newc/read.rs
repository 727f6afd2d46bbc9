//! Reading the entries of archives from a stream, one at a time. The content of files is handed on or
//! skipped, and names and targets have limits, so that no archive takes more memory than another.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::ops::ControlFlow;

use super::super::visitor::{Ignore, Visitor};
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
    /// Major and minor number of the device that the file was on. With the inode number they tell
    /// which names are one file.
    pub(crate) on_device: (u32, u32),
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

/// A stream that counts the bytes read, and whose next bytes can be looked at.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    input: R,
    /// Number of bytes read.
    pub(crate) offset: u64,
    /// Bytes of the input that were looked at and are not yet read.
    ahead: Vec<u8>,
}

impl<R: BufRead> Counted<R> {
    /// Counts from the current position of `input`.
    pub(crate) fn new(input: R) -> Self {
        Self { input, offset: 0, ahead: Vec::new() }
    }

    /// Returns the next `len` bytes, or those up to the end if there are fewer, and reads none.
    ///
    /// # Errors
    ///
    /// Those of the stream.
    pub(crate) fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        let missing = len.saturating_sub(self.ahead.len());
        self.input.by_ref().take(missing as u64).read_to_end(&mut self.ahead)?;
        Ok(&self.ahead[..len.min(self.ahead.len())])
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
        if self.ahead.is_empty() {
            let count = self.input.read(bytes)?;
            self.offset += count as u64;
            return Ok(count);
        }
        let count = bytes.len().min(self.ahead.len());
        bytes[..count].copy_from_slice(&self.ahead[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() { self.input.fill_buf() } else { Ok(&self.ahead) }
    }

    fn consume(&mut self, count: usize) {
        self.offset += count as u64;
        match self.ahead.is_empty() {
            true => self.input.consume(count),
            false => drop(self.ahead.drain(..count)),
        }
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

    /// Hands the entries of one archive to `visitor`, up to its trailer. Returns `None` before bytes
    /// that are not an archive and at the end, and else whether the reading goes on.
    ///
    /// # Errors
    ///
    /// A damaged entry, or those of the stream.
    pub(crate) fn visit_archive(
        &mut self,
        visitor: &mut dyn Visitor,
    ) -> Result<Option<ControlFlow<()>>, ReadError> {
        let visited = self.visit(visitor);
        visited.map_err(|cause| ReadError { offset: self.entry_at, cause })
    }

    fn visit(&mut self, visitor: &mut dyn Visitor) -> Result<Option<ControlFlow<()>>, ReadCause> {
        self.entry_at = self.offset();
        if self.input.skip_zeros()? != Some(b'0') {
            return Ok(None);
        }
        loop {
            self.entry_at = self.offset();
            match self.entry(visitor)? {
                ControlFlow::Continue(member) if member.name == TRAILER => {
                    return Ok(Some(ControlFlow::Continue(())));
                }
                ControlFlow::Continue(_) => {}
                ControlFlow::Break(()) => return Ok(Some(ControlFlow::Break(()))),
            }
        }
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
            match self.entry(&mut Ignore)? {
                ControlFlow::Continue(member) if member.name == TRAILER => self.in_archive = false,
                ControlFlow::Continue(member) => return Ok(Some(member)),
                ControlFlow::Break(()) => return Ok(None),
            }
        }
    }

    /// Reads the entry at the current offset, hands it to `visitor`, and advances to the next. The
    /// trailer is handed to nobody.
    fn entry(&mut self, visitor: &mut dyn Visitor) -> Result<ControlFlow<(), Member>, ReadCause> {
        let header = self.bytes(HEADER, "the header is truncated")?;
        let (mut member, name_size, check) = parse_header(&header)?;
        // The kernel skips longer names and targets silently.
        let within = |len: u32| Some(len as usize).filter(|len| *len <= MAX_NAME + 1);
        let name_size = within(name_size).ok_or("the name is longer than 4095 bytes")?;
        member.name =
            self.text(name_size, "the name is truncated")?.ok_or("the name has no NUL")?;
        self.skip_padding()?;
        member.data_at = self.offset();
        if member.is_link() {
            let len =
                within(member.size).ok_or("the target of the link is longer than 4096 bytes")?;
            let target = self.bytes(len, "the data is truncated")?;
            member.target = target.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        }
        let visitor: &mut dyn Visitor = if member.name == TRAILER { &mut Ignore } else { visitor };
        if visitor.start(&member).is_break() || self.data(&member, check, visitor)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.skip_padding()?;
        Ok(visitor.end(&member).map_continue(|()| member))
    }

    /// Hands the data of an entry that is no link to `visitor`, and verifies the checksum if there
    /// is one.
    fn data(
        &mut self,
        member: &Member,
        check: Option<u32>,
        visitor: &mut dyn Visitor,
    ) -> Result<ControlFlow<()>, ReadCause> {
        let mut left = if member.is_link() { 0 } else { member.size as usize };
        let mut sum = 0_u32;
        while left > 0 {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => &bytes[..left.min(bytes.len())],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if bytes.is_empty() {
                return Err("the data is truncated".into());
            }
            if check.is_some() {
                sum = bytes.iter().fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
            }
            if visitor.data(bytes).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            left -= bytes.len();
            let read = bytes.len();
            self.input.consume(read);
        }
        match check.filter(|_| member.is_file()) {
            Some(check) if check != sum => Err("the checksum does not match".into()),
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    /// Reads `len` bytes; `why` is the error if there are fewer.
    fn bytes(&mut self, len: usize, why: &'static str) -> Result<Vec<u8>, ReadCause> {
        let mut bytes = Vec::with_capacity(len);
        self.input.by_ref().take(len as u64).read_to_end(&mut bytes)?;
        if bytes.len() == len { Ok(bytes) } else { Err(why.into()) }
    }

    /// Reads `len` bytes. Returns those before the first NUL, or `None` without one; `why` is the
    /// error if there are fewer.
    fn text(&mut self, len: usize, why: &'static str) -> Result<Option<Vec<u8>>, ReadCause> {
        let mut bytes = self.bytes(len, why)?;
        let nul = bytes.iter().position(|byte| *byte == 0);
        Ok(nul.map(|nul| {
            bytes.truncate(nul);
            bytes
        }))
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

/// Returns the entry of a header, without name and target; the size of its name; and its checksum,
/// if it has one.
fn parse_header(header: &[u8]) -> Result<(Member, u32, Option<u32>), &'static str> {
    let (magic, numbers) = header.split_at(6);
    match magic {
        b"070701" | b"070702" => {}
        b"070707" => return Err("an archive of cpio's old format; the kernel reads newc"),
        _ => return Err("not a newc header"),
    }
    let mut fields = [0; 13];
    for (field, digits) in fields.iter_mut().zip(numbers.chunks(8)) {
        *field = hex(digits).ok_or("a header field is not hexadecimal")?;
    }
    let [ino, mode, uid, gid, nlink, mtime, size, on_major, on_minor, ..] = fields;
    let [.., major, minor, name_size, check] = fields;
    let (device, on_device) = ((major, minor), (on_major, on_minor));
    let (name, target, data_at) = (Vec::new(), Vec::new(), 0);
    let member = Member {
        name,
        mode,
        ino,
        uid,
        gid,
        nlink,
        mtime,
        device,
        on_device,
        size,
        data_at,
        target,
    };
    Ok((member, name_size, (magic == b"070702").then_some(check)))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n: u32, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}
