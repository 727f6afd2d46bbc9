//! Extracting an image below a directory.
//!
//! The image is read twice: first the names, which say what the kernel would have after unpacking
//! ([`super::unpacked`]), then the contents. So nothing is written for an image that is damaged or
//! that must not be unpacked.
//!
//! ```text
//! image ─► Unpacked ─► Plan ─► directories, links, nodes ─► contents ─► other names, dates
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use rustix::io::Errno;

use super::newc::Member;
use super::pattern::Patterns;
use super::read;
use super::unpacked::{self, Kind, Node, ROOT, Reading, UnpackError, Unpacked, join};
use super::visitor::Visitor;
use crate::escape;
use crate::sys::subtree::{Attributes, Subtree};
use crate::sys::{self, Cause};

/// Bits of a mode that lend the rights of a file's owner to those who execute it.
const SET_ID: u32 = 0o6000;
/// Number of names in a warning about several files.
const NAMED: usize = 8;

/// The warning about a directory that an image does not have.
const NO_ENTRY: &str = "no entry for this directory: the kernel does not unpack what is in it";
/// The warning about a device node.
const NO_NODE: &str = "device node not made: only root can make it";
/// The warning about set-user-ID and set-group-ID bits.
const NO_SET_ID: &str = "extracted without set-user-ID and set-group-ID, because the owner is lost";

/// What to extract, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The directory below which files are written.
    pub(crate) dir: PathBuf,
    /// The files that are wanted.
    pub(crate) patterns: Patterns,
    /// Whether each part of the image has a directory of its own.
    pub(crate) apart: bool,
    /// How many bytes the image may decompress to.
    pub(crate) limit: u64,
}

/// The files that were written, and the warnings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The paths that were written, in their order.
    pub(crate) paths: Vec<Vec<u8>>,
    /// Warnings.
    pub(crate) notices: Vec<String>,
}

/// Why an image cannot be extracted.
#[derive(Debug)]
pub(crate) enum Error {
    /// The image cannot be unpacked. Nothing was written.
    Unpack(UnpackError),
    /// This pattern matches no file. Nothing was written.
    NoMatch(Vec<u8>),
    /// The filesystem has too little space: bytes that are needed, and bytes that are free. Nothing
    /// was written.
    NoSpace(u64, u64),
    /// The image was changed after the first reading.
    Changed,
    /// A file cannot be written.
    Write(sys::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpack(error) => error.fmt(f),
            Self::NoMatch(pattern) => write!(f, "no file matches '{}'", escape::bytes(pattern)),
            Self::NoSpace(needed, free) => {
                write!(f, "{needed} bytes are needed and {free} bytes are free")
            }
            Self::Changed => f.write_str("the image was changed while it was read"),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unpack(error) => Some(error),
            Self::Write(error) => Some(error),
            _ => None,
        }
    }
}

impl Error {
    /// Returns whether a larger limit would permit the image.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, Self::Unpack(error) if error.is_limit())
    }
}

impl From<sys::Error> for Error {
    fn from(error: sys::Error) -> Self {
        Self::Write(error)
    }
}

/// Extracts an image. `open` opens it at its start and is called twice.
///
/// # Errors
///
/// All of [`Error`].
pub(crate) fn extract<R: BufRead>(
    open: impl Fn() -> sys::Result<R>,
    options: &Options,
) -> Result<Summary, Error> {
    let reading = Reading { limit: options.limit, apart: options.apart, digests: false };
    let parts = unpacked::read(&mut open()?, reading).map_err(Error::Unpack)?;
    let plan = Plan::new(parts, options)?;
    let mut extraction = Extraction::new(&plan, options)?;
    extraction.make_all()?;
    let done = read::visit(&mut open()?, options.limit, &mut extraction);
    if let Some(error) = extraction.failure.take() {
        return Err(error);
    }
    done.map_err(|error| Error::Unpack(UnpackError::Archive(error)))?;
    extraction.finish()
}

/// A file that is to be extracted.
struct Item {
    /// The path below the directory.
    path: Vec<u8>,
    /// The part of the image, and the position of the file in it.
    at: (usize, usize),
}

/// The files that are to be extracted.
struct Plan {
    parts: Vec<Unpacked>,
    /// Every path. A directory comes before its content.
    items: Vec<Item>,
}

impl Plan {
    fn new(parts: Vec<Unpacked>, options: &Options) -> Result<Self, Error> {
        let mut items = Vec::new();
        let all: Vec<_> = parts.iter().map(Unpacked::paths).collect();
        let paths = all.iter().flatten().map(|(path, _)| &**path);
        if let Some(pattern) = options.patterns.unused(paths).first() {
            return Err(Error::NoMatch(pattern.to_vec()));
        }
        for (part, paths) in all.into_iter().enumerate() {
            let dir = part_name(part, parts.len());
            let paths = with_parents(paths, &options.patterns);
            if !dir.is_empty() && !paths.is_empty() {
                items.push(Item { path: dir.clone(), at: (part, ROOT) });
            }
            for (path, at) in paths {
                items.push(Item { path: join(&dir, &path), at: (part, at) });
            }
        }
        Ok(Self { parts, items })
    }

    fn node(&self, item: &Item) -> &Node {
        self.parts[item.at.0].node(item.at.1)
    }

    /// Returns how many bytes the contents have.
    fn size(&self) -> u64 {
        let mut seen = HashSet::new();
        let files = self.items.iter().filter(|item| seen.insert(item.at));
        let sizes = files.filter_map(|item| match &self.node(item).kind {
            Kind::File(content) => Some(u64::from(content.size)),
            _ => None,
        });
        sizes.sum()
    }
}

/// Returns the paths that the patterns choose, with the directories that lead to them.
fn with_parents(paths: Vec<(Vec<u8>, usize)>, patterns: &Patterns) -> Vec<(Vec<u8>, usize)> {
    if patterns.choose_all() {
        return paths;
    }
    let chosen: HashSet<Vec<u8>> = paths
        .iter()
        .filter(|(path, _)| patterns.choose(path))
        .flat_map(|(path, _)| {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            ends.chain([path.len()]).map(|end| path[..end].to_vec()).collect::<Vec<_>>()
        })
        .collect();
    paths.into_iter().filter(|(path, _)| chosen.contains(path)).collect()
}

/// Returns the directory for a part of an image, as unmkinitramfs calls it: the last one is the main
/// part, those before it are for the early boot. The only part needs none.
fn part_name(part: usize, parts: usize) -> Vec<u8> {
    match part {
        _ if parts == 1 => Vec::new(),
        _ if part + 1 == parts => b"main".to_vec(),
        0 => b"early".to_vec(),
        _ => format!("early{}", part + 1).into_bytes(),
    }
}

/// Writes the files of a plan.
struct Extraction<'p> {
    plan: &'p Plan,
    top: Subtree,
    is_root: bool,
    /// Items whose content is in the entry of this number.
    contents: HashMap<u64, usize>,
    /// The item that was written first for a file, which may have several names.
    first: HashMap<(usize, usize), usize>,
    /// Items that are not written, because only root can make device nodes.
    left_out: HashSet<usize>,
    /// Number of the next entry.
    entry: u64,
    /// The file that the data belongs to.
    open: Option<(usize, File)>,
    failure: Option<Error>,
}

impl<'p> Extraction<'p> {
    fn new(plan: &'p Plan, options: &Options) -> Result<Self, Error> {
        let top = Subtree::open(&options.dir)?;
        let (needed, free) = (plan.size(), top.space()?);
        if needed > free {
            return Err(Error::NoSpace(needed, free));
        }
        Ok(Self {
            plan,
            top,
            is_root: rustix::process::geteuid().is_root(),
            contents: HashMap::new(),
            first: HashMap::new(),
            left_out: HashSet::new(),
            entry: 0,
            open: None,
            failure: None,
        })
    }

    /// Makes everything but the contents of files.
    fn make_all(&mut self) -> Result<(), Error> {
        for (number, item) in self.plan.items.iter().enumerate() {
            let node = self.plan.node(item);
            // The other names of a file are made when it is complete.
            if matches!(node.kind, Kind::File(_)) && self.first.contains_key(&item.at) {
                continue;
            }
            self.first.entry(item.at).or_insert(number);
            self.make(number, item, node)?;
        }
        Ok(())
    }

    fn make(&mut self, number: usize, item: &Item, node: &Node) -> Result<(), Error> {
        let (path, to) = (&*item.path, self.attributes(node));
        match &node.kind {
            Kind::Dir(_) => Ok(self.top.make_dir(path)?),
            Kind::Link(target) => {
                self.top.make_link(path, target)?;
                Ok(self.top.set_node_attributes(path, to, true)?)
            }
            Kind::Special(bits, device) => {
                match self.top.make_node(path, *bits, *device) {
                    Err(error) if node.is_device() && error.cause == Errno::PERM => {
                        self.left_out.insert(number);
                        return Ok(());
                    }
                    made => made?,
                }
                Ok(self.top.set_node_attributes(path, to, false)?)
            }
            Kind::File(content) => {
                if let Some(entry) = content.entry {
                    self.contents.insert(entry, number);
                    return Ok(());
                }
                let file = self.top.create(path)?;
                Ok(self.top.set_attributes(file, path, to)?)
            }
        }
    }

    /// Returns the attributes that a file gets. Only root gives files to others, and nobody lends the
    /// rights of an owner whom the file does not have.
    fn attributes(&self, node: &Node) -> Attributes {
        let owner = self.is_root.then_some((node.uid, node.gid));
        let mode = if self.is_root { node.mode } else { node.mode & !SET_ID };
        Attributes { owner, mode, mtime: node.mtime }
    }

    /// Starts with the content of the entry, if it is one that is wanted.
    fn begin(&mut self, member: &Member) -> Result<(), Error> {
        let number = self.contents.remove(&self.entry);
        self.entry += 1;
        let Some(number) = number else { return Ok(()) };
        let item = &self.plan.items[number];
        let is_same = match &self.plan.node(item).kind {
            Kind::File(content) => content.size == member.size && member.is_file(),
            _ => false,
        };
        if !is_same {
            return Err(Error::Changed);
        }
        self.open = Some((number, self.top.create(&item.path)?));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some((number, file)) = &mut self.open else { return Ok(()) };
        file.write_all(bytes).map_err(|error| {
            let path = escape::bytes(&self.plan.items[*number].path).into_owned();
            Error::Write(sys::Error::new("write", path, Cause::from(&error)))
        })
    }

    fn complete(&mut self) -> Result<(), Error> {
        let Some((number, file)) = self.open.take() else { return Ok(()) };
        let item = &self.plan.items[number];
        let to = self.attributes(self.plan.node(item));
        Ok(self.top.set_attributes(file, &item.path, to)?)
    }

    /// Makes the other names of files, and gives directories their attributes.
    fn finish(mut self) -> Result<Summary, Error> {
        if !self.contents.is_empty() {
            return Err(Error::Changed);
        }
        for (number, item) in self.plan.items.iter().enumerate() {
            let first = self.first.get(&item.at).copied().unwrap_or(number);
            if first != number && matches!(self.plan.node(item).kind, Kind::File(_)) {
                self.top.hard_link(&self.plan.items[first].path, &item.path)?;
            }
        }
        // Last, because files change the date of their directory; and its files before it, because
        // its mode may keep its owner out.
        for item in self.plan.items.iter().rev() {
            let node = self.plan.node(item);
            if let Kind::Dir(_) = node.kind {
                let to = self.attributes(node);
                self.top.set_dir_attributes(&item.path, to)?;
            }
        }
        Ok(self.summary())
    }

    fn summary(&self) -> Summary {
        let paths = |wanted: &dyn Fn(usize, &Node) -> bool| -> Vec<&[u8]> {
            let items = self.plan.items.iter().enumerate();
            let wanted = items.filter(|(number, item)| wanted(*number, self.plan.node(item)));
            wanted.map(|(_, item)| &*item.path).collect()
        };
        let loses_set_id = |_, node: &Node| {
            !self.is_root && node.mode & SET_ID != 0 && !matches!(node.kind, Kind::Link(_))
        };
        let implied = self.plan.parts.iter().flat_map(|part| &part.implied);
        let warnings = [
            (implied.map(|path| &**path).collect(), NO_ENTRY),
            (paths(&|number, _| self.left_out.contains(&number)), NO_NODE),
            (paths(&loses_set_id), NO_SET_ID),
        ];
        let written = paths(&|number, _| !self.left_out.contains(&number));
        Summary {
            paths: written.into_iter().map(<[u8]>::to_vec).collect(),
            notices: warnings.iter().flat_map(|(paths, text)| notices(paths, text)).collect(),
        }
    }

    /// Notes a failure, which ends the reading.
    fn progress(&mut self, done: Result<(), Error>) -> ControlFlow<()> {
        match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// Returns a warning for each path, and one for all beyond a few.
fn notices(paths: &[&[u8]], text: &str) -> Vec<String> {
    let shown = paths.iter().take(NAMED).map(|path| format!("{}: {text}", escape::bytes(path)));
    let more = paths.len().saturating_sub(NAMED);
    shown.chain((more > 0).then(|| format!("{more} more: {text}"))).collect()
}

impl Visitor for Extraction<'_> {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        let done = self.begin(member);
        self.progress(done)
    }

    fn data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        let done = self.write(bytes);
        self.progress(done)
    }

    fn end(&mut self, _member: &Member) -> ControlFlow<()> {
        let done = self.complete();
        self.progress(done)
    }
}
