//! Writing an archive entry by entry.

use std::io::{self, Write};

use super::{
    HEADER, MAX_NAME, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, TRAILER,
};

/// Archives are padded to a multiple of this size, as by cpio.
const BLOCK: usize = 512;

/// The type of an entry, with the data that only this type has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Dir,
    /// A regular file with its content.
    File(&'a [u8]),
    /// A symbolic link with its target.
    Link(&'a [u8]),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
}

impl<'a> Kind<'a> {
    fn mode(&self) -> u32 {
        match self {
            Self::Dir => S_IFDIR,
            Self::File(_) => S_IFREG,
            Self::Link(_) => S_IFLNK,
            Self::Char(..) => S_IFCHR,
            Self::Block(..) => S_IFBLK,
            Self::Fifo => S_IFIFO,
            Self::Socket => S_IFSOCK,
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

/// An entry to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The path, without a leading slash.
    pub name: &'a [u8],
    /// Permission bits (07777); the type comes from `kind`.
    pub mode: u32,
    /// User ID of the owner.
    pub uid: u32,
    /// Group ID of the owner.
    pub gid: u32,
    /// The type, with its content.
    pub kind: Kind<'a>,
}

/// Writes an archive entry by entry. Inode numbers start at 1; nlink is 2 for directories and 1 for
/// all else but the names of a file that has several. All entries have one mtime and the device number 0:0.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Number of bytes written so far.
    offset: u64,
    ino: u32,
    mtime: u32,
}

/// Returns the offset of the data of an entry with this name whose header is at `offset`.
pub(crate) fn data_offset(offset: u64, name: &str) -> u64 {
    (offset + (HEADER + name.len() + 1) as u64).next_multiple_of(4)
}

impl<W: Write> Writer<W> {
    /// Starts an archive on `out`; `mtime` (seconds since 1970) is the date of every entry.
    pub fn new(out: W, mtime: u32) -> Self {
        Self { out, offset: 0, ino: 0, mtime }
    }

    /// Appends one entry. Its parent directories must come before it: the kernel creates none.
    ///
    /// # Errors
    ///
    /// Errors of the output; InvalidInput if the format has no room for the entry: data of 4 GiB,
    /// or a name that the kernel would skip silently (longer than 4095 bytes, empty, with a NUL, or
    /// that of the entry which ends an archive).
    pub fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let nlink = if entry.kind == Kind::Dir { 2 } else { 1 };
        self.append_name(entry, nlink, None).map(drop)
    }

    /// Appends one of the `nlink` names of a file. Returns its inode number, which is `ino` for all
    /// but the first name. As in gen_init_cpio and cpio, the last name has the content; that of the
    /// others is empty.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`].
    pub fn append_name(
        &mut self,
        entry: &Entry<'_>,
        nlink: u32,
        ino: Option<u32>,
    ) -> io::Result<u32> {
        if entry.name.is_empty()
            || entry.name.len() > MAX_NAME
            || entry.name.contains(&0)
            || entry.name == TRAILER
        {
            return Err(invalid("the name is not valid in a newc archive"));
        }
        let ino = ino.unwrap_or_else(|| {
            self.ino += 1;
            self.ino
        });
        self.record([ino, nlink, self.mtime], entry)?;
        Ok(ino)
    }

    fn record(&mut self, [ino, nlink, mtime]: [u32; 3], entry: &Entry<'_>) -> io::Result<()> {
        let data = entry.kind.data();
        let size = u32::try_from(data.len()).map_err(|_| invalid("the data is 4 GiB or larger"))?;
        let namesize =
            u32::try_from(entry.name.len() + 1).map_err(|_| invalid("the name is too long"))?;
        let (major, minor) = entry.kind.device();
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

    /// Returns the number of bytes written so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes the trailer and the padding. Returns the output and the archive's length in bytes.
    ///
    /// # Errors
    ///
    /// Errors of the output.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        let trailer = Entry { name: TRAILER, mode: 0, uid: 0, gid: 0, kind: Kind::File(&[]) };
        self.record([0, 1, 0], &trailer)?;
        self.pad(BLOCK as u64)?;
        Ok((self.out, self.offset))
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes zeros up to a multiple of `alignment`.
    fn pad(&mut self, alignment: u64) -> io::Result<()> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        let missing = self.offset.next_multiple_of(alignment) - self.offset;
        let missing = usize::try_from(missing).unwrap_or(0);
        self.put(&ZEROS[..missing])
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}
