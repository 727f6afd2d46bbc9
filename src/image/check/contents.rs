//! The content of an image as far as the check reads it, in a temporary directory: the loader and
//! the indexes of modules read files.
//!
//! ```text
//! DIR/files/N                     the content of entry N of the image
//! DIR/root/lib/modules/RELEASE/…  its module directories, the directories of modprobe.d(5) and
//!                                 modules-load.d(5), and /etc/modules, as the running image has
//!                                 them: links to DIR/files/N
//! DIR/root/lib/firmware/…         empty files with the names of its firmware
//! ```
//!
//! Links of the image are followed within the image, and none is made. Files with keys are not
//! copied: only programs, modules, indexes and the configuration of modules are.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::temporary::TemporaryDir;
use crate::byte_text;
use crate::image::manifest::{self, Manifest};
use crate::image::newc::Member;
use crate::image::read;
use crate::image::unpacked::{self, Kind, Node, Reading, UnpackError, Unpacked, join};
use crate::image::visitor::Visitor;
use crate::sys::modules_load::ETC_MODULES;
use crate::sys::subtree::Subtree;
use crate::sys::{self, Root};

/// The directories of modprobe.d(5) and modules-load.d(5). PID 1 mounts an empty /run.
const CONFIG_DIRS: [&str; 8] = [
    "etc/modprobe.d",
    "usr/local/lib/modprobe.d",
    "usr/lib/modprobe.d",
    "lib/modprobe.d",
    "etc/modules-load.d",
    "usr/local/lib/modules-load.d",
    "usr/lib/modules-load.d",
    "lib/modules-load.d",
];
/// The directory of the modules.
const MODULES: &str = "lib/modules";
/// The directory of the firmware.
const FIRMWARE: &str = "lib/firmware";
/// Directories in which no file is a program.
const NO_PROGRAMS: [&[u8]; 4] =
    [b"lib/firmware/", b"usr/lib/firmware/", b"lib/modules/", b"usr/lib/modules/"];
/// Most directories in each other, with those that links lead to.
const MAX_DEPTH: usize = 16;
/// Most files of all directories that are read.
const MAX_FILES: usize = 1 << 17;

/// Why an image cannot be checked.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The image cannot be unpacked.
    Unpack(UnpackError),
    /// The links in this directory of the image lead to too many files.
    TooManyFiles(&'static str),
    /// The image was changed after the first reading.
    Changed,
    /// The temporary directory has too little space: bytes that are needed, and bytes that are free.
    NoSpace(PathBuf, u64, u64),
    /// The image cannot be opened, or a file of the temporary directory cannot be made.
    System(sys::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => error.fmt(f),
            Self::TooManyFiles(dir) => write!(f, "{dir}: more than {MAX_FILES} files"),
            Self::Changed => f.write_str("the image was changed while it was read"),
            Self::NoSpace(dir, needed, free) => {
                let dir = crate::escape::path(dir);
                write!(f, "{dir}: {needed} bytes are needed and {free} bytes are free")
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unpack(error) => Some(error),
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

impl From<sys::Error> for ReadError {
    fn from(error: sys::Error) -> Self {
        Self::System(error)
    }
}

impl ReadError {
    /// Returns whether the image is to blame, and not the machine on which it is checked.
    pub(crate) fn is_of_image(&self) -> bool {
        matches!(self, Self::Unpack(_) | Self::TooManyFiles(_))
    }

    /// Returns what the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoSpace(..) => Some("name another directory in TMPDIR".to_owned()),
            Self::Unpack(error) if error.is_limit() => {
                Some("permit more with --max-size".to_owned())
            }
            _ => None,
        }
    }
}

/// The content of an image.
#[derive(Debug)]
pub(super) struct Contents {
    dir: TemporaryDir,
    files: Unpacked,
    /// The kernel releases that have a directory with modules or indexes, sorted.
    pub(super) releases: Vec<String>,
}

impl Contents {
    /// Reads an image, which may decompress to `limit` bytes. `open` opens it at its start and is
    /// called twice.
    ///
    /// # Errors
    /// All of [`ReadError`].
    pub(super) fn read<R: BufRead>(
        open: impl Fn() -> sys::Result<R>,
        limit: u64,
    ) -> Result<Self, ReadError> {
        let reading = Reading { limit, apart: false, digests: false };
        let mut parts = unpacked::read(&mut open()?, reading).map_err(ReadError::Unpack)?;
        let files = parts.pop().ok_or(ReadError::Unpack(UnpackError::Empty))?;
        let dir = TemporaryDir::new()?;
        let plan = Plan::new(&files)?;
        plan.write(dir.path(), open, limit)?;
        Ok(Self { dir, files, releases: plan.releases })
    }

    /// Returns the directory that has the modules, the indexes, the configuration of modules and
    /// the names of the firmware.
    pub(super) fn root(&self) -> Root {
        Root::at(root_in(self.dir.path()))
    }

    /// Returns the directories for which the image has no entry, although it has files in them.
    pub(super) fn implied(&self) -> &[Vec<u8>] {
        &self.files.implied
    }

    /// Returns the files of the image. Those that are no programs have no content.
    pub(super) fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::default();
        for (path, at) in self.files.paths() {
            let node = self.files.node(at);
            let content = match &node.kind {
                Kind::Dir(_) => manifest::Content::Dir,
                Kind::Link(target) => {
                    manifest::Content::Link(byte_text::from_bytes(target).into_owned())
                }
                Kind::File(content) => self.content(content),
                Kind::Special(..) => manifest::Content::Fifo,
            };
            let node = manifest::Node::of_root(node.mode, content);
            // These paths lead through no links, so nothing is in the way.
            let _ = manifest.add(&byte_text::from_bytes(&path), node);
        }
        manifest
    }

    fn content(&self, content: &unpacked::Content) -> manifest::Content {
        let path = content.entry.map(|entry| copy_of(self.dir.path(), entry));
        match path {
            None => manifest::Content::File("/dev/null".into()),
            Some(path) if path.exists() => manifest::Content::File(path),
            Some(_) => manifest::Content::Bytes(Vec::new()),
        }
    }
}

fn root_in(dir: &Path) -> PathBuf {
    dir.join("root")
}

/// Returns the path of the copy of an entry.
fn copy_of(dir: &Path, entry: u64) -> PathBuf {
    dir.join("files").join(entry.to_string())
}

/// The files to write into the temporary directory.
#[derive(Default)]
struct Plan {
    /// The entries that are copied, each with the size of its data.
    entries: BTreeMap<u64, u32>,
    /// The files below `root`, each with the entry that has its content; none if it is empty.
    links: Vec<(Vec<u8>, Option<u64>)>,
    releases: Vec<String>,
}

impl Plan {
    fn new(files: &Unpacked) -> Result<Self, ReadError> {
        let mut plan = Self::default();
        for (name, _) in children(files, MODULES.as_bytes()) {
            let dir = join(MODULES.as_bytes(), &name);
            let found = walk(files, &dir, MODULES)?;
            if let (false, Ok(release)) = (found.is_empty(), String::from_utf8(name)) {
                plan.releases.push(release);
                plan.add(found);
            }
        }
        for dir in CONFIG_DIRS {
            plan.add(walk(files, dir.as_bytes(), dir)?);
        }
        if let Some(Kind::File(list)) = files.find(ETC_MODULES.as_bytes()).map(|node| &node.kind) {
            plan.add(vec![(ETC_MODULES.into(), *list)]);
        }
        let firmware = walk(files, FIRMWARE.as_bytes(), FIRMWARE)?;
        plan.links.extend(firmware.into_iter().map(|(path, _)| (path, None)));
        let programs = files.paths().into_iter().filter(|(path, at)| {
            const EXECUTE: u32 = 0o111;
            files.node(*at).mode & EXECUTE != 0
                && !NO_PROGRAMS.iter().any(|dir| path.starts_with(dir))
        });
        let programs = programs.map(|(_, at)| files.node(at)).chain(files.find(b"init"));
        for node in programs {
            if let Kind::File(content) = &node.kind {
                plan.copy(content);
            }
        }
        Ok(plan)
    }

    fn add(&mut self, files: Vec<(Vec<u8>, unpacked::Content)>) {
        for (path, content) in files {
            self.copy(&content);
            self.links.push((path, content.entry));
        }
    }

    fn copy(&mut self, content: &unpacked::Content) {
        self.entries.extend(content.entry.map(|entry| (entry, content.size)));
    }

    /// Writes everything into `dir`.
    fn write<R: BufRead>(
        &self,
        dir: &Path,
        open: impl Fn() -> sys::Result<R>,
        limit: u64,
    ) -> Result<(), ReadError> {
        make_dir(&dir.join("files"))?;
        make_dir(&root_in(dir))?;
        let needed = self.entries.values().map(|size| u64::from(*size)).sum();
        let free = Subtree::open(dir)?.space()?;
        if needed > free {
            let parent = dir.parent().unwrap_or(dir).to_owned();
            return Err(ReadError::NoSpace(parent, needed, free));
        }
        let mut copies =
            Copies { entries: &self.entries, dir, next: 0, open: None, done: 0, failure: None };
        let read = read::visit(&mut open()?, limit, &mut copies);
        if let Some(failure) = copies.failure.take() {
            return Err(failure);
        }
        read.map_err(|error| ReadError::Unpack(UnpackError::Archive(error)))?;
        if copies.done != self.entries.len() {
            return Err(ReadError::Changed);
        }
        self.link(dir)
    }

    /// Links the copies under their names in the image.
    fn link(&self, dir: &Path) -> Result<(), ReadError> {
        let root = root_in(dir);
        for (path, entry) in &self.links {
            let path = root.join(sys::path(path));
            make_dir(path.parent().unwrap_or(&root))?;
            let made = match entry {
                Some(entry) => fs::hard_link(copy_of(dir, *entry), &path),
                None => File::create(&path).map(drop),
            };
            made.map_err(|error| sys::Error::io("create", &path, &error))?;
        }
        Ok(())
    }
}

fn make_dir(path: &Path) -> sys::Result<()> {
    fs::create_dir_all(path).map_err(|error| sys::Error::io("mkdir", path, &error))
}

/// Returns the files in a directory of the running image, each with what it leads to.
fn children<'u>(files: &'u Unpacked, dir: &[u8]) -> Vec<(Vec<u8>, &'u Node)> {
    let Some(Kind::Dir(found)) = files.find(dir).map(|node| &node.kind) else { return Vec::new() };
    let names = found.files.keys();
    names.filter_map(|name| Some((name.clone(), files.find(&join(dir, name))?))).collect()
}

/// Returns the regular files below a directory of the running image. `what` names it in the error.
fn walk(
    files: &Unpacked,
    dir: &[u8],
    what: &'static str,
) -> Result<Vec<(Vec<u8>, unpacked::Content)>, ReadError> {
    let mut found = Vec::new();
    let mut pending = vec![(dir.to_owned(), 0)];
    let mut seen = 0;
    while let Some((dir, depth)) = pending.pop() {
        for (name, node) in children(files, &dir) {
            seen += 1;
            if seen > MAX_FILES {
                return Err(ReadError::TooManyFiles(what));
            }
            let path = join(&dir, &name);
            match &node.kind {
                Kind::Dir(_) if depth < MAX_DEPTH => pending.push((path, depth + 1)),
                Kind::File(content) => found.push((path, *content)),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Copies the data of entries.
struct Copies<'p> {
    entries: &'p BTreeMap<u64, u32>,
    dir: &'p Path,
    /// Number of the next entry.
    next: u64,
    open: Option<(PathBuf, File)>,
    /// Number of the entries that were copied.
    done: usize,
    failure: Option<ReadError>,
}

impl Copies<'_> {
    fn begin(&mut self, member: &Member) -> Result<(), ReadError> {
        let entry = self.next;
        self.next += 1;
        let Some(size) = self.entries.get(&entry) else { return Ok(()) };
        if !member.is_file() || member.size != *size {
            return Err(ReadError::Changed);
        }
        let path = copy_of(self.dir, entry);
        let file = File::create_new(&path).map_err(|e| sys::Error::io("create", &path, &e))?;
        self.open = Some((path, file));
        Ok(())
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        file.write_all(bytes).map_err(|error| sys::Error::io("write", path, &error))?;
        Ok(())
    }

    fn proceed(&mut self, result: Result<(), ReadError>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }
}

impl Visitor for Copies<'_> {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        let begun = self.begin(member);
        self.proceed(begun)
    }

    fn data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let copied = self.copy(bytes);
        self.proceed(copied)
    }

    fn end(&mut self, _member: &Member) -> ControlFlow<()> {
        self.done += usize::from(self.open.take().is_some());
        ControlFlow::Continue(())
    }
}
