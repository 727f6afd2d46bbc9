//! A device and those above it, up to the root of /sys/devices.

use std::path::{Path, PathBuf};

use super::DeviceTree;
use crate::escape;

/// One device of sysfs.
#[derive(Clone)]
pub(super) struct Node<'a> {
    tree: &'a dyn DeviceTree,
    path: PathBuf,
    /// The last part of the path.
    pub(super) name: String,
    /// The subsystem; empty if the device belongs to none.
    pub(super) subsystem: String,
}

impl<'a> Node<'a> {
    /// Opens the device at `path`; `None` if the directory is not a device.
    fn open(tree: &'a dyn DeviceTree, path: &Path) -> Option<Self> {
        let subsystem = tree.subsystem(path)?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(Self { tree, path: path.to_owned(), name, subsystem })
    }

    /// Opens the device called `name` of a class in the same tree.
    pub(super) fn of_class(&self, class: &str, name: &str) -> Option<Self> {
        Self::open(self.tree, &self.tree.class_device(class, name)?)
    }

    /// Returns what the block device called `name` holds.
    pub(super) fn probe(&self, name: &str) -> Option<crate::disk::Superblock> {
        self.tree.probe(name)
    }

    /// Returns the bytes of an attribute.
    pub(super) fn bytes(&self, attribute: &str) -> Option<Vec<u8>> {
        self.tree.attribute(&self.path, attribute)
    }

    /// Returns an attribute without trailing white space; `None` if nothing is left.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        let bytes = self.bytes(attribute)?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
    }

    /// Returns the kind of the device within its subsystem, from its `uevent`.
    pub(super) fn kind(&self) -> Option<String> {
        let text = self.text("uevent")?;
        text.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).map(str::to_owned)
    }

    pub(super) fn is(&self, subsystem: &str, kind: &str) -> bool {
        self.subsystem == subsystem && self.kind().as_deref() == Some(kind)
    }

    /// Returns the names in a directory of the device.
    pub(super) fn entries(&self, directory: &str) -> Vec<String> {
        self.tree.entries(&self.path.join(directory))
    }

    /// Returns the names in the directory that holds the device.
    pub(super) fn siblings(&self) -> Vec<String> {
        self.tree.entries(self.path.parent().unwrap_or(&self.path))
    }

    /// Returns whether a part of the path begins with `word`.
    pub(super) fn lies_below(&self, word: &str) -> bool {
        format!("/{}", escape::path(&self.path)).contains(&format!("/{word}"))
    }

    /// Returns the digits at the end of the name.
    pub(super) fn number(&self) -> &str {
        let stem = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        self.name.get(stem.len()..).unwrap_or_default()
    }
}

/// A device, its parent, the parent of that, and so on; never empty.
pub(super) struct Chain<'a>(Vec<Node<'a>>);

impl<'a> Chain<'a> {
    /// Returns the chain of the disk called `name` in /sys/class/block.
    pub(super) fn of_block(tree: &'a dyn DeviceTree, name: &str) -> Option<Self> {
        Some(Self::of(Node::open(tree, &tree.class_device("block", name)?)?))
    }

    /// Returns the chain of `node`.
    pub(super) fn of(node: Node<'a>) -> Self {
        let above = node.path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
        let above: Vec<Node<'a>> = above.filter_map(|path| Node::open(node.tree, path)).collect();
        Self(std::iter::once(node).chain(above).collect())
    }

    /// Returns the device itself.
    pub(super) fn first(&self) -> &Node<'a> {
        &self.0[0]
    }

    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.0
    }

    /// Returns the nearest device of this subsystem and kind, from index `from` on.
    pub(super) fn find(
        &self,
        from: usize,
        subsystem: &str,
        kind: &str,
    ) -> Option<(usize, &Node<'a>)> {
        self.0.iter().enumerate().skip(from).find(|(_, node)| node.is(subsystem, kind))
    }

    /// Returns whether one of the devices belongs to `subsystem`.
    pub(super) fn has(&self, subsystem: &str) -> bool {
        self.0.iter().any(|node| node.subsystem == subsystem)
    }

    /// Returns an attribute of the nearest device that has it.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        self.0.iter().find_map(|node| node.text(attribute))
    }

    /// Returns the index of the last device in an unbroken run of `subsystem` that begins at
    /// `from`.
    pub(super) fn last_of(&self, from: usize, subsystem: &str) -> usize {
        let run = self.0.iter().skip(from).take_while(|node| node.subsystem == subsystem).count();
        from + run.saturating_sub(1)
    }
}
