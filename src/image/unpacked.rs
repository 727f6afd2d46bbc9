//! The files of an image as the kernel leaves them when it has unpacked all archives
//! (init/initramfs.c), without their contents. Nothing is written; what may be written is known when
//! this is complete.
//!
//! The kernel's rules:
//!
//! - A name is relative to the root, with and without a leading slash. Its parents may be links,
//!   whose targets cannot leave the root.
//! - A later entry wins. It replaces a file of another type, and a directory that is empty. A file
//!   that is there is written anew, and with it all of its names.
//! - Entries with one inode number, of one device and archive, are names of one file.
//!
//! Two rules differ. Missing parents are added, and listed in [`Unpacked::implied`]: the kernel skips
//! what is below them. An entry that the kernel skips silently for another reason is an error, as is
//! a name with `..`, which no tool writes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::BufRead;
use std::ops::ControlFlow;

use super::digest::{Budget, Digest, Digester};
use super::newc::{Member, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK};
use super::read::{self, ArchiveCause, ArchiveError};
use super::visitor::{Part, Visitor};
use crate::escape;

/// Most symbolic links that one path may contain, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Longest name of one file, in bytes: that of filesystems.
const MAX_FILE_NAME: usize = 255;
/// Most directories in each other.
const MAX_DEPTH: usize = 128;
/// Most entries. The largest images have some ten thousand.
const MAX_ENTRIES: usize = 1 << 18;
/// Length in bytes of all paths and targets together.
const MAX_PATHS: usize = 32 << 20;
/// Most steps from directory to directory in all paths.
const MAX_STEPS: u64 = 4 << 20;

/// Position of the root directory among the nodes.
pub(super) const ROOT: usize = 0;

/// The files of an image, or of one part of it.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Files, each once. Those that were replaced stay, but no path leads to them.
    nodes: Vec<Node>,
    /// Directories for which there was no entry when an entry needed them.
    pub(crate) implied: Vec<Vec<u8>>,
    /// Length of all paths and targets in bytes.
    path_bytes: usize,
}

/// One file, which may have several names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Permission bits.
    pub(crate) mode: u32,
    /// User ID of the owner.
    pub(crate) uid: u32,
    /// Group ID of the owner.
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u32,
    /// The type, with what only this type has.
    pub(crate) kind: Kind,
}

/// The type of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Dir(Dir),
    /// A regular file.
    File(Content),
    /// A symbolic link with its target.
    Link(Vec<u8>),
    /// A device node, FIFO or socket: its type bits, and its major and minor number.
    Special(u32, (u32, u32)),
}

/// The files in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dir {
    /// Position of each file by its name.
    pub(crate) files: BTreeMap<Vec<u8>, usize>,
    /// Number of directories above it.
    depth: usize,
    /// Length of its path in bytes.
    path_len: usize,
}

/// The content of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Size in bytes.
    pub(crate) size: u32,
    /// Number of the entry in the image that has the content, from 0; none if it is empty.
    pub(crate) entry: Option<u64>,
    /// Digest of the content, if it was asked for.
    pub(crate) digest: Option<Digest>,
}

impl Node {
    /// Returns whether the file is a device node.
    pub(crate) fn is_device(&self) -> bool {
        matches!(self.kind, Kind::Special(S_IFCHR | S_IFBLK, _))
    }

    /// Returns the type bits of the file.
    fn type_bits(&self) -> u32 {
        match self.kind {
            Kind::Dir(_) => S_IFDIR,
            Kind::File(_) => S_IFREG,
            Kind::Link(_) => S_IFLNK,
            Kind::Special(bits, _) => bits,
        }
    }

    /// Returns the type as people call it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.type_bits() {
            S_IFDIR => "directory",
            S_IFREG => "file",
            S_IFLNK => "symbolic link",
            S_IFCHR => "character device",
            S_IFBLK => "block device",
            S_IFIFO => "FIFO",
            _ => "socket",
        }
    }
}

/// How an image is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// How many bytes the image may unpack to, and its modules may decompress to.
    pub(crate) limit: u64,
    /// Whether every part of the image is kept apart from the others.
    pub(crate) apart: bool,
    /// Whether the contents of files are to be compared.
    pub(crate) digests: bool,
}

/// Why an image cannot be unpacked.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// An archive is damaged.
    Archive(ArchiveError),
    /// An entry with this name, and what is wrong with it.
    Entry(Vec<u8>, EntryCause),
    /// The image has no archive.
    Empty,
}

/// Why an entry cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryCause {
    /// The name has `..`, which leads out of the directories that it names.
    ParentDirectory,
    /// A part of the name is too long for a filesystem.
    NameTooLong,
    /// The name or a link leads through too many directories.
    TooDeep,
    /// Too many symbolic links, or a cycle of them.
    TooManyLinks,
    /// Something on the way is not a directory.
    NotADirectory,
    /// The entry would replace a directory that is not empty.
    DirectoryNotEmpty,
    /// The entry is the root and not a directory.
    RootNotADirectory,
    /// The mode has no type, or one that does not exist.
    NoType,
    /// The entry has data, and is neither a file nor a link.
    HasData,
    /// There are too many entries.
    TooManyEntries,
    /// The paths and targets are together too long.
    TooManyPaths,
    /// The names and links of the image take too long to follow.
    TooManySteps,
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => error.fmt(f),
            Self::Entry(name, cause) => write!(f, "entry '{}': {cause}", escape::bytes(name)),
            Self::Empty => f.write_str("the image is empty"),
        }
    }
}

impl UnpackError {
    /// Returns whether a larger limit would permit the image.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, Self::Archive(error) if matches!(error.cause, ArchiveCause::TooLarge(_)))
    }
}

impl std::error::Error for UnpackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Archive(error) => Some(error),
            Self::Entry(..) | Self::Empty => None,
        }
    }
}

impl fmt::Display for EntryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentDirectory => f.write_str("the name has '..'"),
            Self::NameTooLong => {
                write!(f, "a part of the name is longer than {MAX_FILE_NAME} bytes")
            }
            Self::TooDeep => write!(f, "more than {MAX_DEPTH} directories in each other"),
            Self::TooManyLinks => write!(f, "more than {MAX_LINKS} symbolic links on the way"),
            Self::NotADirectory => f.write_str("a part of the name is not a directory"),
            Self::DirectoryNotEmpty => {
                f.write_str("it would replace a directory that is not empty")
            }
            Self::RootNotADirectory => f.write_str("the root is not a directory"),
            Self::NoType => f.write_str("the mode has no file type"),
            Self::HasData => f.write_str("it has data but is neither a file nor a link"),
            Self::TooManyEntries => write!(f, "the image has more than {MAX_ENTRIES} entries"),
            Self::TooManyPaths => {
                write!(f, "the paths of the image are together longer than {MAX_PATHS} bytes")
            }
            Self::TooManySteps => f.write_str("the links of the image take too long to follow"),
        }
    }
}

/// Reads an image and returns its files: one value, or one for each part of the image.
///
/// # Errors
///
/// A damaged image, an entry that must not be unpacked, or an image beyond the limits.
pub(crate) fn read(
    image: &mut dyn BufRead,
    reading: Reading,
) -> Result<Vec<Unpacked>, UnpackError> {
    let mut unpacker = Unpacker::new(reading);
    let done = read::visit(image, reading.limit, &mut unpacker);
    if let Some((name, cause)) = unpacker.failure {
        return Err(UnpackError::Entry(name, cause));
    }
    if done.map_err(UnpackError::Archive)?.archives == 0 {
        return Err(UnpackError::Empty);
    }
    let mut parts = unpacker.parts;
    if !reading.apart {
        parts.push(unpacker.files);
    }
    Ok(parts)
}

/// Why the walk along a path ends.
enum Stop {
    /// This directory has no file of this name.
    Missing(usize, Vec<u8>),
    Failed(EntryCause),
}

impl From<EntryCause> for Stop {
    fn from(cause: EntryCause) -> Self {
        Self::Failed(cause)
    }
}

impl Unpacked {
    fn new() -> Self {
        let root = Node::directory(Dir::default());
        Self { nodes: vec![root], implied: Vec::new(), path_bytes: 0 }
    }

    /// Returns the file that the path `name` of the running image leads to, through links; `None`
    /// if there is nothing.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Node> {
        let at = self.walk(name, &mut 0).ok()?;
        Some(&self.nodes[at])
    }

    /// Returns the file at a position in a directory.
    pub(crate) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    /// Returns the files in the root directory.
    pub(crate) fn root(&self) -> &Node {
        &self.nodes[ROOT]
    }

    /// Returns every path with the position of its file, which tells the names of one file. The
    /// paths have no leading slash. Directories come before their content, names in byte order. The
    /// root is left out.
    pub(crate) fn paths(&self) -> Vec<(Vec<u8>, usize)> {
        let mut found = Vec::new();
        let mut pending = vec![(Vec::new(), ROOT)];
        while let Some((path, at)) = pending.pop() {
            if let Kind::Dir(dir) = &self.nodes[at].kind {
                for (name, file) in dir.files.iter().rev() {
                    pending.push((join(&path, name), *file));
                }
            }
            if at != ROOT {
                found.push((path, at));
            }
        }
        found
    }

    /// Walks along `path`, through links. Counts the steps.
    fn walk(&self, path: &[u8], steps: &mut u64) -> Result<usize, Stop> {
        let mut pending: Vec<&[u8]> = parts(path).rev().collect();
        let (mut dirs, mut links) = (vec![ROOT], 0);
        let mut found = ROOT;
        while let Some(name) = pending.pop() {
            *steps += 1;
            if *steps > MAX_STEPS {
                return Err(EntryCause::TooManySteps.into());
            }
            let Kind::Dir(Dir { files, .. }) = &self.nodes[found].kind else {
                return Err(EntryCause::NotADirectory.into());
            };
            if name == b".." {
                if dirs.len() > 1 {
                    dirs.pop();
                }
                found = dirs[dirs.len() - 1];
                continue;
            }
            let at = *files.get(name).ok_or_else(|| Stop::Missing(found, name.to_owned()))?;
            match &self.nodes[at].kind {
                Kind::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(EntryCause::TooManyLinks.into());
                    }
                    if target.starts_with(b"/") {
                        dirs.truncate(1);
                    }
                    found = dirs[dirs.len() - 1];
                    pending.extend(parts(target).rev());
                }
                Kind::Dir(_) => {
                    dirs.push(at);
                    found = at;
                }
                _ => found = at,
            }
        }
        Ok(found)
    }

    /// Returns the directory at `path`, which is made if it is missing.
    fn directory(&mut self, path: &[u8], steps: &mut u64) -> Result<usize, EntryCause> {
        loop {
            match self.walk(path, steps) {
                Ok(at) if matches!(self.nodes[at].kind, Kind::Dir(_)) => return Ok(at),
                Ok(_) => return Err(EntryCause::NotADirectory),
                Err(Stop::Failed(cause)) => return Err(cause),
                Err(Stop::Missing(parent, name)) => {
                    if self.implied.last().is_none_or(|last| last != path) {
                        self.implied.push(path.to_owned());
                    }
                    self.make_dir(parent, &name)?;
                }
            }
        }
    }

    /// Makes the directory `name` in a directory. Returns its position.
    fn make_dir(&mut self, parent: usize, name: &[u8]) -> Result<usize, EntryCause> {
        let Kind::Dir(Dir { depth, path_len, .. }) = &self.nodes[parent].kind else {
            return Err(EntryCause::NotADirectory);
        };
        if *depth == MAX_DEPTH {
            return Err(EntryCause::TooDeep);
        }
        let (depth, path_len) = (depth + 1, path_len + 1 + name.len());
        self.put(parent, name, Node::directory(Dir { depth, path_len, ..Dir::default() }))
    }

    /// Puts a new file into a directory. Returns its position.
    fn put(&mut self, parent: usize, name: &[u8], node: Node) -> Result<usize, EntryCause> {
        if self.nodes.len() >= MAX_ENTRIES {
            return Err(EntryCause::TooManyEntries);
        }
        if let Kind::Link(target) = &node.kind {
            self.path_bytes += target.len();
        }
        self.nodes.push(node);
        self.link(parent, name, self.nodes.len() - 1)
    }

    /// Adds a name for the file at position `at`, which is returned.
    fn link(&mut self, parent: usize, name: &[u8], at: usize) -> Result<usize, EntryCause> {
        if name.len() > MAX_FILE_NAME {
            return Err(EntryCause::NameTooLong);
        }
        let Kind::Dir(dir) = &mut self.nodes[parent].kind else {
            return Err(EntryCause::NotADirectory);
        };
        self.path_bytes += dir.path_len + 1 + name.len();
        if self.path_bytes > MAX_PATHS {
            return Err(EntryCause::TooManyPaths);
        }
        dir.files.insert(name.to_owned(), at);
        Ok(at)
    }

    /// Returns the file `name` of a directory, if an entry of this type is to be written into it.
    ///
    /// # Errors
    ///
    /// The file is a directory with content, which no other type can replace.
    fn reusable(&self, parent: usize, name: &[u8], bits: u32) -> Result<Option<usize>, EntryCause> {
        let Kind::Dir(dir) = &self.nodes[parent].kind else { return Ok(None) };
        let Some(at) = dir.files.get(name).copied() else { return Ok(None) };
        match &self.nodes[at].kind {
            Kind::Dir(dir) if bits != S_IFDIR && !dir.files.is_empty() => {
                Err(EntryCause::DirectoryNotEmpty)
            }
            // The kernel makes links anew.
            Kind::Link(_) => Ok(None),
            _ => Ok(Some(at).filter(|at| self.nodes[*at].type_bits() == bits)),
        }
    }
}

impl Node {
    /// Returns a directory for which there is no entry.
    fn directory(dir: Dir) -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: 0, kind: Kind::Dir(dir) }
    }
}

/// Returns the names in a path.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."))
}

/// Identity of a file within an archive: inode number and device.
type FileId = (u32, (u32, u32));

/// Follows the kernel through the entries of an image.
struct Unpacker {
    reading: Reading,
    files: Unpacked,
    /// The parts that are complete, if they are kept apart.
    parts: Vec<Unpacked>,
    /// Files with several names in the archive that is being read.
    hard_links: HashMap<FileId, usize>,
    /// Number of entries.
    entries: u64,
    /// Steps from directory to directory.
    steps: u64,
    /// How much modules may decompress to.
    budget: Budget,
    /// The file that the data belongs to, and its digest.
    open: Option<(usize, Option<Digester>)>,
    /// The name of the entry at which the reading ended, and why.
    failure: Option<(Vec<u8>, EntryCause)>,
}

impl Unpacker {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            files: Unpacked::new(),
            parts: Vec::new(),
            hard_links: HashMap::new(),
            entries: 0,
            steps: 0,
            budget: Budget::new(reading.limit.into()),
            open: None,
            failure: None,
        }
    }

    /// Adds an entry. Its data, if it has any, belongs to `open`.
    fn add(&mut self, member: &Member) -> Result<(), EntryCause> {
        if self.entries >= MAX_ENTRIES as u64 {
            return Err(EntryCause::TooManyEntries);
        }
        if parts(&member.name).any(|part| part == b"..") {
            return Err(EntryCause::ParentDirectory);
        }
        let bits = member.mode & S_IFMT;
        let is_type = |bits| {
            matches!(bits, S_IFREG | S_IFDIR | S_IFLNK | S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK)
        };
        if !is_type(bits) {
            return Err(EntryCause::NoType);
        }
        if member.size > 0 && !matches!(bits, S_IFREG | S_IFLNK) {
            return Err(EntryCause::HasData);
        }
        let Some(name) = parts(&member.name).next_back().map(<[u8]>::to_owned) else {
            return self.add_root(member);
        };
        let end = member.name.len() - trailing(&member.name);
        let parent = &member.name[..end - name.len()];
        let parent = self.files.directory(parent, &mut self.steps)?;
        self.add_file(parent, &name, member)
    }

    /// Applies an entry to the root directory.
    fn add_root(&mut self, member: &Member) -> Result<(), EntryCause> {
        if member.mode & S_IFMT != S_IFDIR {
            return Err(EntryCause::RootNotADirectory);
        }
        self.set_attributes(ROOT, member);
        Ok(())
    }

    /// Adds the file `name` to a directory.
    fn add_file(&mut self, parent: usize, name: &[u8], member: &Member) -> Result<(), EntryCause> {
        let bits = member.mode & S_IFMT;
        let there = self.files.reusable(parent, name, bits)?;
        let id = (member.ino, member.on_device);
        let has_names = member.nlink >= 2 && !matches!(bits, S_IFDIR | S_IFLNK);
        let first = self.hard_links.get(&id).copied().filter(|_| has_names);
        let first = first.filter(|at| self.files.nodes[*at].type_bits() == bits);
        let at = match (first, there) {
            (Some(first), _) => self.files.link(parent, name, first)?,
            (None, Some(there)) => there,
            (None, None) if bits == S_IFDIR => self.files.make_dir(parent, name)?,
            (None, None) => {
                let kind = match bits {
                    S_IFREG => Kind::File(Content::default()),
                    S_IFLNK => Kind::Link(member.target.clone()),
                    bits => Kind::Special(bits, member.device),
                };
                let node = Node { mode: 0, uid: 0, gid: 0, mtime: 0, kind };
                self.files.put(parent, name, node)?
            }
        };
        if has_names {
            self.hard_links.insert(id, at);
        }
        // The kernel does not touch a device that has another name already.
        if first.is_none() || bits == S_IFREG {
            self.set_attributes(at, member);
        }
        self.set_content(at, member, first.is_some());
        Ok(())
    }

    fn set_attributes(&mut self, at: usize, member: &Member) {
        let node = &mut self.files.nodes[at];
        node.mode = member.mode & !S_IFMT;
        (node.uid, node.gid, node.mtime) = (member.uid, member.gid, member.mtime);
    }

    /// Notes where the content of a file is. Another name of a file that has content already brings
    /// content or leaves it.
    fn set_content(&mut self, at: usize, member: &Member, is_other_name: bool) {
        let Kind::File(content) = &mut self.files.nodes[at].kind else { return };
        if is_other_name && member.size == 0 {
            return;
        }
        let entry = (member.size > 0).then_some(self.entries);
        *content = Content { size: member.size, entry, digest: None };
        let digester = self.reading.digests.then(|| Digester::new(&member.name, &self.budget));
        self.open = Some((at, digester));
    }
}

/// Returns the path of `name` in the directory at `path`, which is empty for the root.
pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_owned() } else { [path, b"/", name].concat() }
}

/// Returns the length of the slashes and single dots at the end of a path.
fn trailing(path: &[u8]) -> usize {
    let mut len = path.len();
    loop {
        match &path[..len] {
            [.., b'/'] => len -= 1,
            [b'.'] | [.., b'/', b'.'] => len -= 1,
            _ => return path.len() - len,
        }
    }
}

impl Visitor for Unpacker {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        if let Err(cause) = self.add(member) {
            self.failure = Some((member.name.clone(), cause));
            return ControlFlow::Break(());
        }
        self.entries += 1;
        ControlFlow::Continue(())
    }

    fn data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        if let Some((_, Some(digester))) = &mut self.open {
            digester.add(bytes);
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, _member: &Member) -> ControlFlow<()> {
        if let Some((at, digester)) = self.open.take()
            && let Kind::File(content) = &mut self.files.nodes[at].kind
        {
            content.digest = digester.map(Digester::finish);
        }
        ControlFlow::Continue(())
    }

    fn archive(&mut self) {
        self.hard_links.clear();
    }

    fn part(&mut self, _part: &Part) -> ControlFlow<()> {
        if self.reading.apart {
            let path_bytes = self.files.path_bytes;
            let next = Unpacked { path_bytes, ..Unpacked::new() };
            self.parts.push(std::mem::replace(&mut self.files, next));
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::newc::{Entry, Kind as Type, Writer};

    /// Returns the archive of lines: `dir NAME`, `file NAME CONTENT`, `link NAME TARGET`,
    /// `hard NAME CONTENT` for another name of the same file, and `node NAME`.
    fn archive(lines: &str) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 7);
        let mut ino = None;
        for line in lines.split(';').map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<_> = line.split(' ').collect();
            let content = words.get(2).copied().unwrap_or("").as_bytes();
            let kind = match words[0] {
                "dir" => Type::Dir,
                "link" => Type::Link(content),
                "node" => Type::Char(1, 3),
                _ => Type::File(content),
            };
            let entry = Entry { name: words[1].as_bytes(), mode: 0o750, uid: 0, gid: 0, kind };
            match words[0] {
                "hard" => ino = Some(writer.append_name(&entry, 2, ino).unwrap()),
                _ => writer.append(&entry).unwrap(),
            }
        }
        writer.finish().unwrap().0
    }

    /// Returns the files of an image, one word each: `dir/`, `file=SIZE@ENTRY`, `link>TARGET`, `node%`.
    fn listed(archives: &[&str]) -> Result<String, String> {
        let image = archives.iter().flat_map(|lines| archive(lines)).collect::<Vec<_>>();
        let reading = Reading { limit: u64::MAX, apart: false, digests: false };
        let files = read(&mut &image[..], reading).map_err(|error| error.to_string())?;
        let words = files[0].paths().into_iter().map(|(path, at)| {
            let path = escape::bytes(&path).into_owned();
            match &files[0].node(at).kind {
                Kind::Dir(_) => path + "/",
                Kind::File(Content { size, entry, .. }) => match entry {
                    Some(entry) => format!("{path}={size}@{entry}"),
                    None => format!("{path}={size}"),
                },
                Kind::Link(target) => format!("{path}>{}", escape::bytes(target)),
                Kind::Special(..) => path + "%",
            }
        });
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn entries_are_unpacked_as_by_the_kernel() {
        for (archives, want) in [
            (&["dir a; file a/x 12; link l a/x; node n"][..], "a/ a/x=2@1 l>a/x n%"),
            // A later entry wins, also one of another type.
            (&["file x 1", "file x 22"], "x=2@1"),
            (&["dir d", "file d 1"], "d=1@1"),
            (&["file d 1", "dir d; file d/x 1"], "d/ d/x=1@2"),
            (&["link l a", "link l b"], "l>b"),
            (&["link l a", "file l 1"], "l=1@1"),
            (&["file x 1", "file x"], "x=0"),
            // Parents through links, which do not leave the root.
            (&["dir usr; link lib usr; file lib/x 1"], "lib>usr usr/ usr/x=1@2"),
            (&["dir a; link a/up ../../..; file a/up/x 1"], "a/ a/up>../../.. x=1@2"),
            (&["dir etc; dir a; link a/l /etc; file a/l/x 1"], "a/ a/l>/etc etc/ etc/x=1@3"),
            // Names with dots and slashes.
            (&["dir .; dir /a; file ./a/./x/. 1"], "a/ a/x=1@2"),
            // Missing parents.
            (&["file a/b/x 1"], "a/ a/b/ a/b/x=1@0"),
            (&["link l a; file l/x 1"], "a/ a/x=1@1 l>a"),
            // The last name of a file has the content.
            (&["hard a; hard b 12"], "a=2@1 b=2@1"),
            (&["hard a 12; hard b"], "a=2@0 b=2@0"),
            // A new content for one name is one for all.
            (&["hard a; hard b 12", "file b 1"], "a=1@2 b=1@2"),
            // Inode numbers are those of one archive.
            (&["hard a 1", "hard b 12"], "a=1@0 b=2@1"),
        ] {
            assert_eq!(listed(archives).as_deref(), Ok(want), "{archives:?}");
        }
    }

    #[test]
    fn paths_are_followed() {
        let image = archive("dir a; link a/l /b; file b 1; link loop loop; link none x; dir a/d");
        let reading = Reading { limit: u64::MAX, apart: true, digests: true };
        let files = read(&mut &image[..], reading).unwrap();
        for (path, want) in [
            ("a/l", Some("file")),
            ("/a/../b", Some("file")),
            ("..//a/d/", Some("directory")),
            ("loop", None),
            ("none", None),
            ("b/x", None),
            ("a/none", None),
        ] {
            let found = files[0].find(path.as_bytes());
            assert_eq!(found.map(Node::type_name), want, "{path}");
        }
        assert!(files[0].implied.is_empty());
    }

    #[test]
    fn entries_that_the_kernel_skips_are_errors() {
        for (archives, want) in [
            (&["file a/../x"][..], "entry 'a/../x': the name has '..'"),
            (&["file x 1; file x/y"], "entry 'x/y': a part of the name is not a directory"),
            (
                &["dir d; file d/x", "link d x"],
                "entry 'd': it would replace a directory that is not empty",
            ),
            (&["link a a; file a/x"], "entry 'a/x': more than 40 symbolic links on the way"),
            (&["file /"], "entry '/': the root is not a directory"),
        ] {
            assert_eq!(listed(archives), Err(want.to_owned()), "{archives:?}");
        }
        assert_eq!(
            read(&mut &b""[..], Reading { limit: 0, apart: false, digests: false })
                .unwrap_err()
                .to_string(),
            "the image is empty"
        );
    }
}
