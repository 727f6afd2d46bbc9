//! A device and those above it, up to the root of /sys/devices.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::Root;

/// One device of sysfs.
#[derive(Debug, Clone)]
pub(super) struct Node {
    path: PathBuf,
    /// The last part of its path.
    pub(super) name: String,
    /// The subsystem that it belongs to; empty where it has none.
    pub(super) subsystem: String,
}

impl Node {
    /// The device whose folder is `path`; `None` where that is a mere folder.
    fn open(path: &Path) -> Option<Self> {
        if !path.join("uevent").exists() {
            return None;
        }
        let last = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let subsystem = fs::read_link(path.join("subsystem")).ok().and_then(|p| last(&p));
        Some(Self {
            path: path.to_owned(),
            name: last(path)?,
            subsystem: subsystem.unwrap_or_default(),
        })
    }

    /// The device called `name` of a class.
    pub(super) fn of_class(root: &Root, class: &str, name: &str) -> Option<Self> {
        Self::open(&fs::canonicalize(root.join("sys/class").join(class).join(name)).ok()?)
    }

    /// The bytes of an attribute.
    pub(super) fn bytes(&self, attribute: &str) -> Option<Vec<u8>> {
        fs::read(self.path.join(attribute)).ok()
    }

    /// An attribute without the blanks at its end; `None` where nothing is left.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        let bytes = self.bytes(attribute)?;
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end().to_owned()).filter(|text| !text.is_empty())
    }

    /// The kind of device within its subsystem, from its `uevent`.
    pub(super) fn kind(&self) -> Option<String> {
        let text = self.text("uevent")?;
        text.lines().find_map(|line| line.strip_prefix("DEVTYPE=")).map(str::to_owned)
    }

    pub(super) fn is(&self, subsystem: &str, kind: &str) -> bool {
        self.subsystem == subsystem && self.kind().as_deref() == Some(kind)
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Whether a part of its path begins with `word`.
    pub(super) fn lies_below(&self, word: &str) -> bool {
        self.path.to_string_lossy().contains(&format!("/{word}"))
    }

    /// The digits at the end of its name.
    pub(super) fn number(&self) -> &str {
        let stem = self.name.trim_end_matches(|c: char| c.is_ascii_digit());
        self.name.get(stem.len()..).unwrap_or_default()
    }
}

/// A device, what it hangs on, what that hangs on, and so on; never empty.
#[derive(Debug)]
pub(super) struct Chain(Vec<Node>);

impl Chain {
    /// The chain of the disk called `name`, as /sys/class/block spells it.
    pub(super) fn of_block(root: &Root, name: &str) -> Option<Self> {
        Self::of(root, Node::of_class(root, "block", name)?)
    }

    /// The chain of `node`.
    pub(super) fn of(root: &Root, node: Node) -> Option<Self> {
        let top = fs::canonicalize(root.join("sys/devices")).ok()?;
        let above = node.path.ancestors().skip(1).take_while(|path| **path != top);
        let above: Vec<Node> = above.filter_map(Node::open).collect();
        Some(Self(std::iter::once(node).chain(above).collect()))
    }

    /// The device itself.
    pub(super) fn first(&self) -> &Node {
        &self.0[0]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.0
    }

    /// The nearest of this subsystem and kind, from place `from` on.
    pub(super) fn find(&self, from: usize, subsystem: &str, kind: &str) -> Option<(usize, &Node)> {
        self.0.iter().enumerate().skip(from).find(|(_, node)| node.is(subsystem, kind))
    }

    /// Whether one of them belongs to `subsystem`.
    pub(super) fn has(&self, subsystem: &str) -> bool {
        self.0.iter().any(|node| node.subsystem == subsystem)
    }

    /// An attribute of the nearest that has it.
    pub(super) fn text(&self, attribute: &str) -> Option<String> {
        self.0.iter().find_map(|node| node.text(attribute))
    }

    /// The place of the last in an unbroken row of `subsystem` that begins at `from`.
    pub(super) fn last_of(&self, from: usize, subsystem: &str) -> usize {
        let row = self.0.iter().skip(from).take_while(|node| node.subsystem == subsystem).count();
        from + row.saturating_sub(1)
    }
}
