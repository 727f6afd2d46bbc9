//! The newc archive ("new ASCII" cpio), as the kernel's initramfs unpacker reads it
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! header   110 bytes: "070701" (or "070702": with checksums), then 13 numbers of 8 hex digits:
//!          ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
//! name     namesize bytes, its NUL included; padded so that header + name is a multiple of 4
//! data     filesize bytes (a file's content, a link's target), padded to a multiple of 4
//! …
//! trailer  an entry of the name TRAILER!!!
//! zeros    up to a multiple of 512
//! ```
//!
//! Several archives may follow each other, with zeros between them.

use std::fmt;
use std::io::{self, Write};

const HEADER: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";
/// The size archives are padded to, as by cpio.
const BLOCK: usize = 512;

/// Bits of the mode that tell the type, as in stat(2).
const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFSOCK: u32 = 0o140_000;

/// What an entry is, with what only this type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A folder.
    Dir,
    /// A regular file and its content.
    File(&'a [u8]),
    /// A symbolic link and its target.
    Link(&'a [u8]),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
}

impl<'a> Kind<'a> {
    fn mode(&self) -> u32 {
        match self {
            Self::Dir => S_IFDIR,
            Self::File(_) => S_IFREG,
            Self::Link(_) => S_IFLNK,
            Self::Char(..) => S_IFCHR,
            Self::Block(..) => S_IFBLK,
        }
    }

    fn data(&self) -> &'a [u8] {
        match self {
            Self::File(data) | Self::Link(data) => data,
            _ => &[],
        }
    }

    fn device(&self) -> (u32, u32) {
        match *self {
            Self::Char(major, minor) | Self::Block(major, minor) => (major, minor),
            _ => (0, 0),
        }
    }
}

/// One entry to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path, without a leading slash.
    pub name: &'a [u8],
    /// Permission bits (07777); the type comes from `kind`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Type and content.
    pub kind: Kind<'a>,
}

/// Writes an archive entry by entry: inodes from 1, nlink 2 for folders and 1 for all else (as
/// gen_init_cpio has it), one mtime for all, device numbers of the medium 0.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Bytes written so far.
    at: u64,
    ino: u32,
    mtime: u32,
}

impl<W: Write> Writer<W> {
    /// An archive that goes to `out`, every entry dated `mtime`.
    pub fn new(out: W, mtime: u32) -> Self {
        Self { out, at: 0, ino: 0, mtime }
    }

    /// Appends one entry. Parents must have come before: the kernel makes none.
    ///
    /// # Errors
    ///
    /// Those of the output; InvalidInput for what the format can't hold: data of 4 GiB, a name the
    /// kernel would skip in silence (longer than 4095 bytes, empty, or with a NUL).
    pub fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if entry.name.is_empty() || entry.name.len() > 4095 || entry.name.contains(&0) {
            return Err(invalid("the name can't stand in a newc archive"));
        }
        self.ino += 1;
        self.record(self.ino, self.mtime, entry)
    }

    fn record(&mut self, ino: u32, mtime: u32, entry: &Entry<'_>) -> io::Result<()> {
        let data = entry.kind.data();
        let size = u32::try_from(data.len()).map_err(|_| invalid("the data passes 4 GiB"))?;
        let namesize = u32::try_from(entry.name.len() + 1).map_err(|_| invalid("long name"))?;
        let (major, minor) = entry.kind.device();
        let nlink = if entry.kind == Kind::Dir { 2 } else { 1 };
        let mode = if ino == 0 { 0 } else { entry.kind.mode() | entry.mode & 0o7777 };
        let (uid, gid) = (entry.uid, entry.gid);
        let fields = [ino, mode, uid, gid, nlink, mtime, size, 0, 0, major, minor, namesize, 0];
        let mut header = String::from("070701");
        for field in fields {
            header += &format!("{field:08X}");
        }
        self.put(header.as_bytes())?;
        self.put(entry.name)?;
        self.put(&[0])?;
        self.pad(4)?;
        self.put(data)?;
        self.pad(4)
    }

    /// Writes trailer and padding, and gives the output back with the archive's length.
    ///
    /// # Errors
    ///
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let trailer = Entry { name: TRAILER, mode: 0, uid: 0, gid: 0, kind: Kind::File(&[]) };
        self.record(0, 0, &trailer)?;
        self.pad(BLOCK as u64)?;
        Ok((self.out, self.at))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, to: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        let missing = self.at.next_multiple_of(to) - self.at;
        let missing = usize::try_from(missing).unwrap_or(0);
        self.put(&ZEROS[..missing])
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// One entry as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The path as it is written, without its NUL.
    pub name: &'a [u8],
    /// Type and permission bits, as in stat(2).
    pub mode: u32,
    /// The inode number within the archive.
    pub ino: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The number of links.
    pub nlink: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// A device's major and minor number.
    pub device: (u32, u32),
    /// A file's content or a link's target.
    pub data: &'a [u8],
}

impl Member<'_> {
    /// Mode as ls(1) shows it: type letter and nine permission letters.
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

    /// Whether it is a symbolic link; its target is the data.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & S_IFMT == S_IFLNK
    }

    /// Whether it is a device node.
    #[must_use]
    pub fn is_device(&self) -> bool {
        matches!(self.mode & S_IFMT, S_IFCHR | S_IFBLK)
    }
}

/// Where and why an archive can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// The offset of the entry.
    pub offset: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpio entry at offset {}: {}", self.offset, self.why)
    }
}

impl std::error::Error for ReadError {}

/// The entries of one archive or of several in a row; trailers and the zeros after them are
/// skipped. Ends at the end of the bytes, at the first error (which it gives), or before bytes that
/// are no archive (see [`Reader::offset`]).
#[must_use]
pub fn read(bytes: &[u8]) -> Reader<'_> {
    Reader { bytes, at: 0, open: false }
}

/// What [`read`] gives.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Within an archive: entries have come, their trailer hasn't.
    open: bool,
}

impl<'a> Reader<'a> {
    /// How far it has read: after the last entry, where another segment of an image may begin.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    fn skip_zeros(&mut self) {
        let zeros = self.bytes[self.at..].iter().take_while(|b| **b == 0).count();
        self.at += zeros;
    }

    /// The entry at the current place; moves behind it.
    fn entry(&mut self) -> Result<Member<'a>, &'static str> {
        let header = self.slice(self.at, HEADER).ok_or("the header is cut off")?;
        let fields = parse_header(header)?;
        let [ino, mode, uid, gid, nlink, mtime, size, _, _, major, minor, namesize, check] = fields;
        let name_at = self.at + HEADER;
        let name = self.slice(name_at, namesize as usize).ok_or("the name is cut off")?;
        let nul = name.iter().position(|b| *b == 0).ok_or("the name lacks its NUL")?;
        let data_at = (name_at + name.len()).next_multiple_of(4);
        let data = self.slice(data_at, size as usize).ok_or("the data is cut off")?;
        let sum = data.iter().fold(0u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        if header.starts_with(b"070702") && mode & S_IFMT == S_IFREG && sum != check {
            return Err("the checksum does not match");
        }
        self.at = (data_at + data.len()).next_multiple_of(4).min(self.bytes.len());
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
            if !self.open {
                self.skip_zeros();
                if !self.bytes[self.at..].starts_with(b"0707") {
                    return None;
                }
                self.open = true;
            }
            let offset = self.at;
            match self.entry() {
                Ok(member) if member.name == TRAILER => self.open = false,
                Ok(member) => return Some(Ok(member)),
                Err(why) => {
                    *self = Reader { bytes: &[], at: 0, open: false };
                    return Some(Err(ReadError { offset, why }));
                }
            }
        }
    }
}

fn parse_header(header: &[u8]) -> Result<[u32; 13], &'static str> {
    let (magic, numbers) = header.split_at(6);
    if magic != b"070701" && magic != b"070702" {
        return Err("no newc magic");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 7);
        let root = |name, mode, kind| Entry { name, mode, uid: 0, gid: 0, kind };
        for entry in [
            root(b"dev", 0o755, Kind::Dir),
            root(b"dev/console", 0o600, Kind::Char(5, 1)),
            root(b"dev/loop0", 0o660, Kind::Block(7, 0)),
            root(b"init", 0o755, Kind::File(b"hello")),
            root(b"sbin", 0o777, Kind::Link(b"usr/sbin")),
        ] {
            writer.append(&entry).unwrap();
        }
        let (out, len) = writer.finish().unwrap();
        assert_eq!(out.len() as u64, len);
        out
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        read(bytes).map(|m| String::from_utf8_lossy(m.unwrap().name).into_owned()).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let archive = sample();
        assert_eq!(archive.len() % 512, 0);
        let members: Vec<_> = read(&archive).map(Result::unwrap).collect();
        let device = |m: &Member<'_>| format!("{}:{}", m.device.0, m.device.1);
        let seen: Vec<_> = members
            .iter()
            .map(|m| {
                let (name, data) =
                    (String::from_utf8_lossy(m.name), String::from_utf8_lossy(m.data));
                let (mode, device) = (m.mode_text(), device(m));
                format!("{} {mode} {} {} {device} {name} {data}", m.ino, m.nlink, m.mtime)
            })
            .collect();
        let expected = [
            "1 drwxr-xr-x 2 7 0:0 dev ",
            "2 crw------- 1 7 5:1 dev/console ",
            "3 brw-rw---- 1 7 7:0 dev/loop0 ",
            "4 -rwxr-xr-x 1 7 0:0 init hello",
            "5 lrwxrwxrwx 1 7 0:0 sbin usr/sbin",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn modes_are_shown_as_by_ls() {
        for (mode, want) in [
            (0o4755, "-rwsr-xr-x"),
            (0o6644, "-rwSr-Sr--"),
            (0o1777, "-rwxrwxrwt"),
            (0o1660, "-rw-rw---T"),
        ] {
            let mut writer = Writer::new(Vec::new(), 0);
            let kind = Kind::File(b"");
            writer.append(&Entry { name: b"x", mode, uid: 0, gid: 0, kind }).unwrap();
            let (archive, _) = writer.finish().unwrap();
            assert_eq!(read(&archive).next().unwrap().unwrap().mode_text(), want, "{mode:o}");
        }
    }

    #[test]
    fn first_entry_byte_for_byte() {
        let expected = concat!(
            "070701",
            "00000001",
            "000041ED",
            "00000000",
            "00000000",
            "00000002",
            "00000007",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "dev\0\0\0"
        );
        assert_eq!(String::from_utf8_lossy(&sample()[..116]), expected);
    }

    #[test]
    fn archives_in_a_row_are_one_sequence() {
        let mut twice = sample();
        twice.extend([0; 12]);
        twice.extend(sample());
        assert_eq!(names(&twice).len(), 10);
        assert!(read(b"").next().is_none());
        assert!(read(b"\0\0\0\0").next().is_none());
        twice.extend(b"\x1f\x8b rest");
        let mut reader = read(&twice);
        assert_eq!(reader.by_ref().count(), 10);
        assert!(twice[reader.offset()..].starts_with(b"\x1f\x8b"));
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let long = [b'a'; 4096];
        for name in [&b""[..], b"a\0b", &long] {
            let entry = Entry { name, mode: 0, uid: 0, gid: 0, kind: Kind::Dir };
            let error = Writer::new(Vec::new(), 0).append(&entry).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

    #[test]
    fn a_broken_archive_says_where() {
        let good = sample();
        let cases: [(Damage<'_>, usize, &str); 5] = [
            (&|a| a.truncate(50), 0, "the header is cut off"),
            (&|a| a.truncate(112), 0, "the name is cut off"),
            (&|a| a[120] = b'x', 116, "no newc magic"),
            (&|a| a[14] = b'g', 0, "a header field is not hexadecimal"),
            (&|a| a[113] = b'x', 0, "the name lacks its NUL"),
        ];
        for (break_it, offset, why) in cases {
            let mut bytes = good.clone();
            break_it(&mut bytes);
            let errors: Vec<_> = read(&bytes).filter_map(Result::err).collect();
            assert_eq!(errors, [ReadError { offset, why }]);
        }
    }

    #[test]
    fn checksums_are_verified() {
        let mut writer = Writer::new(Vec::new(), 0);
        let kind = Kind::File(b"abc");
        writer.append(&Entry { name: b"f", mode: 0o644, uid: 0, gid: 0, kind }).unwrap();
        let (mut bytes, _) = writer.finish().unwrap();
        bytes[5] = b'2';
        assert_eq!(read(&bytes).next().unwrap().unwrap_err().why, "the checksum does not match");
        let sum = format!("{:08x}", 97 + 98 + 99);
        bytes[102..110].copy_from_slice(sum.as_bytes());
        assert_eq!(read(&bytes).next().unwrap().unwrap().data, b"abc");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut noise: Vec<u8>, at in 0usize..1000, cut in 0usize..1024) {
            let mut bytes = sample();
            bytes.truncate(cut.max(1));
            let at = at % bytes.len();
            noise.truncate(bytes.len() - at);
            bytes[at..at + noise.len()].copy_from_slice(&noise);
            proptest::prop_assert!(read(&bytes).count() < 64);
        }
    }
}
