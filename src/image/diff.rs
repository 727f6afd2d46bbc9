//! The differences between two images: what they unpack to, whatever the archives are like.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;

use super::unpacked::{self, Content, Kind, Node, Reading, UnpackError, Unpacked};
use crate::escape;
use crate::kmod::name::{ModuleName, SUFFIXES};

/// The differences, in the byte order of the paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences(Vec<Difference>);

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The path in the first image, or in the second if the first has no such file.
    pub(crate) path: Vec<u8>,
    /// What differs.
    pub(crate) change: Change,
    /// Size of the content in the first image and in the second, in bytes.
    pub(crate) sizes: (u64, u64),
}

/// What differs between two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The file is in the second image alone.
    Added,
    /// The file is in the first image alone.
    Removed,
    /// A module that is the same when it is decompressed; its path in the second image.
    Recompressed(Vec<u8>),
    /// These properties differ.
    Changed(Vec<Property>),
}

/// A property of a file, with the value in the first image and in the second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Property {
    /// The type.
    Kind(&'static str, &'static str),
    /// Permission bits.
    Mode(u32, u32),
    /// User ID and group ID.
    Owner((u32, u32), (u32, u32)),
    /// Size in bytes, of files with different content.
    Content(u32, u32),
    /// The target of a link.
    Target(Vec<u8>, Vec<u8>),
    /// Major and minor number.
    Device((u32, u32), (u32, u32)),
    /// The path of a module whose file has another suffix.
    Path(Vec<u8>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = escape::bytes(&self.path);
        let (before, after) = self.sizes;
        match &self.change {
            Change::Added => write!(f, "added {path}"),
            Change::Removed => write!(f, "removed {path}"),
            Change::Recompressed(other) if *other == self.path => {
                write!(f, "recompressed {path}: size {before} -> {after}")
            }
            Change::Recompressed(other) => {
                let other = escape::bytes(other);
                write!(f, "recompressed {path}: now {other}, size {before} -> {after}")
            }
            Change::Changed(properties) => {
                write!(f, "changed {path}: ")?;
                properties.iter().enumerate().try_for_each(|(at, property)| {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{property}")
                })
            }
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(a, b) => write!(f, "type {a} -> {b}"),
            Self::Mode(a, b) => write!(f, "mode {a:04o} -> {b:04o}"),
            Self::Owner(a, b) => write!(f, "owner {}/{} -> {}/{}", a.0, a.1, b.0, b.1),
            Self::Content(a, b) => write!(f, "content, size {a} -> {b}"),
            Self::Target(a, b) => {
                write!(f, "target {} -> {}", escape::bytes(a), escape::bytes(b))
            }
            Self::Device(a, b) => write!(f, "device {}:{} -> {}:{}", a.0, a.1, b.0, b.1),
            Self::Path(path) => write!(f, "now {}", escape::bytes(path)),
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            writeln!(f, "{line}")?;
        }
        let sum = |kind: fn(&Change) -> bool| {
            let lines = self.0.iter().filter(|line| kind(&line.change));
            lines.fold((0, 0, 0), |sum: (usize, u64, u64), line| {
                (sum.0 + 1, sum.1 + line.sizes.0, sum.2 + line.sizes.1)
            })
        };
        let added = sum(|change| *change == Change::Added);
        let removed = sum(|change| *change == Change::Removed);
        let changed = sum(|change| matches!(change, Change::Changed(_)));
        let recompressed = sum(|change| matches!(change, Change::Recompressed(_)));
        writeln!(
            f,
            "{} added ({} bytes), {} removed ({} bytes), {} changed ({} -> {} bytes), \
             {} recompressed ({} -> {} bytes)",
            added.0,
            added.2,
            removed.0,
            removed.1,
            changed.0,
            changed.1,
            changed.2,
            recompressed.0,
            recompressed.1,
            recompressed.2,
        )
    }
}

impl Differences {
    /// Returns whether the images are the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The files of an image, with digests of their contents.
#[derive(Debug)]
pub(crate) struct Files(Unpacked);

impl Files {
    /// Reads an image, which may decompress to `limit` bytes.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked.
    pub(crate) fn read(image: &mut dyn BufRead, limit: u64) -> Result<Self, UnpackError> {
        let reading = Reading { limit, apart: false, digests: true };
        unpacked::read(image, reading)?.pop().map(Self).ok_or(UnpackError::Empty)
    }
}

/// Compares the files of two images. Dates are not compared, nor which names are one file.
pub(crate) fn compare(first: &Files, second: &Files) -> Differences {
    let (first, second) = (by_key(&first.0), by_key(&second.0));
    let keys: BTreeSet<&Vec<u8>> = first.keys().chain(second.keys()).collect();
    let lines = keys.into_iter().filter_map(|key| match (first.get(key), second.get(key)) {
        (Some((path, node)), None) => {
            let sizes = (size(node), 0);
            Some(Difference { path: path.clone(), change: Change::Removed, sizes })
        }
        (None, Some((path, node))) => {
            let sizes = (0, size(node));
            Some(Difference { path: path.clone(), change: Change::Added, sizes })
        }
        (Some(first), Some(second)) => compare_files(first, second),
        (None, None) => None,
    });
    Differences(lines.collect())
}

/// A path and its file.
type Named<'a> = (Vec<u8>, &'a Node);

/// Returns the files by path. The suffix of a module is left out, unless there are several files
/// that have no other difference in their paths.
fn by_key(files: &Unpacked) -> BTreeMap<Vec<u8>, Named<'_>> {
    let mut found = BTreeMap::new();
    found.insert(Vec::new(), (b".".to_vec(), files.root()));
    for (path, at) in files.paths() {
        let node = files.node(at);
        let key = Some(module_key(&path)).filter(|key| !found.contains_key(key));
        found.insert(key.unwrap_or_else(|| path.clone()), (path, node));
    }
    found
}

/// Returns the path of a module without what its compression has added; any other path as it is.
fn module_key(path: &[u8]) -> Vec<u8> {
    let [plain, compressed @ ..] = SUFFIXES;
    let suffix = compressed.iter().find(|suffix| path.ends_with(suffix.as_bytes()));
    match suffix.filter(|_| ModuleName::from_path(path).is_some()) {
        Some(suffix) => [&path[..path.len() - suffix.len()], plain.as_bytes()].concat(),
        None => path.to_owned(),
    }
}

fn size(node: &Node) -> u64 {
    match &node.kind {
        Kind::File(content) => content.size.into(),
        _ => 0,
    }
}

fn compare_files(first: &Named<'_>, second: &Named<'_>) -> Option<Difference> {
    let ((path, a), (other, b)) = (first, second);
    let mut properties = Vec::new();
    if a.mode != b.mode && !matches!((&a.kind, &b.kind), (Kind::Link(_), Kind::Link(_))) {
        properties.push(Property::Mode(a.mode, b.mode));
    }
    if (a.uid, a.gid) != (b.uid, b.gid) {
        properties.push(Property::Owner((a.uid, a.gid), (b.uid, b.gid)));
    }
    let mut is_recompressed = false;
    match (&a.kind, &b.kind) {
        (Kind::File(a), Kind::File(b)) => {
            let (is_same, is_same_module) = same(a, b);
            is_recompressed = is_same_module && (!is_same || path != other);
            if !is_same && !is_same_module {
                properties.push(Property::Content(a.size, b.size));
            }
        }
        (Kind::Link(a), Kind::Link(b)) if a != b => {
            properties.push(Property::Target(a.clone(), b.clone()));
        }
        (Kind::Special(a_bits, a_device), Kind::Special(b_bits, b_device))
            if a_bits == b_bits && a_device != b_device && a.is_device() =>
        {
            properties.push(Property::Device(*a_device, *b_device));
        }
        _ if a.type_name() != b.type_name() => {
            properties.insert(0, Property::Kind(a.type_name(), b.type_name()));
        }
        _ => {}
    }
    let sizes = (size(a), size(b));
    let change = match (properties.is_empty(), is_recompressed) {
        (true, false) => return None,
        (true, true) => Change::Recompressed(other.clone()),
        (false, _) => {
            if path != other {
                properties.push(Property::Path(other.clone()));
            }
            Change::Changed(properties)
        }
    };
    Some(Difference { path: path.clone(), change, sizes })
}

/// Returns whether two contents are the same, and whether they are the same module.
fn same(a: &Content, b: &Content) -> (bool, bool) {
    let module = |content: &Content| content.digest.and_then(|digest| digest.module);
    let stored = |content: &Content| content.digest.map(|digest| digest.stored);
    (stored(a) == stored(b), module(a).is_some() && module(a) == module(b))
}
