//! The contents of an image by path, collected before any of it is written. Entries are written in
//! the byte order of their paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Error;

/// Most symbolic links that one path may contain, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Owner, permission bits and content of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Permission bits.
    pub(super) mode: u32,
    /// User ID of the owner.
    pub(super) uid: u32,
    /// Group ID of the owner.
    pub(super) gid: u32,
    /// Type and content.
    pub(super) content: Content,
    /// Line of the file list that gives a file several names. All nodes of the line are one file.
    pub(super) shared: Option<usize>,
    /// Why it is in the image, in words for people.
    pub(super) reason: String,
    /// The file of the build machine that `content` was made from, if it does not name that itself.
    pub(super) origin: Option<PathBuf>,
}

impl Node {
    /// Returns a node that root owns.
    #[must_use]
    pub(super) fn of_root(mode: u32, content: Content) -> Self {
        Self { mode, uid: 0, gid: 0, content, shared: None, reason: String::new(), origin: None }
    }

    /// Returns the node with the reason for which it is in the image.
    #[must_use]
    pub(super) fn because(self, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    /// Returns the file of the build machine that the content comes from.
    pub(super) fn source(&self) -> Option<&Path> {
        match &self.content {
            Content::File(path) | Content::Module(path) => Some(path),
            _ => self.origin.as_deref(),
        }
    }
}

/// The type of a node, with the source of its bytes. Files are read when they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A directory.
    Dir,
    /// A symbolic link's target.
    Link(String),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A file with this content.
    Bytes(Vec<u8>),
    /// A file of the build machine, unchanged.
    File(PathBuf),
    /// A module file, packed in the format that the options name.
    Module(PathBuf),
}

/// Nodes by path. The parent directories of every path are present.
///
/// Paths have no leading slash. In byte order each directory comes before its content.
#[derive(Debug, Default)]
pub(super) struct Manifest(BTreeMap<String, Node>);

impl Manifest {
    /// Adds `node` at `name`, or replaces the node there, and adds the missing parent directories.
    /// If a parent is a symbolic link, `name` is resolved through it.
    ///
    /// # Errors
    ///
    /// [`Error::NotADirectory`] if a parent is not a directory.
    pub(super) fn add(&mut self, name: &str, node: Node) -> Result<(), Error> {
        let name = self.resolve(name)?;
        for (at, _) in name.match_indices('/') {
            let dir = || {
                let reason = format!("directory of /{name}");
                Node::of_root(0o755, Content::Dir).because(reason)
            };
            self.0.entry(name[..at].to_owned()).or_insert_with(dir);
        }
        self.0.insert(name, node);
        Ok(())
    }

    /// Returns `name` with the links among its parents replaced by their targets.
    fn resolve(&self, name: &str) -> Result<String, Error> {
        let mut path = name.to_owned();
        for _ in 0..MAX_LINKS {
            match self.first_link(&path)? {
                Some(replaced) => path = replaced,
                None => return Ok(path),
            }
        }
        Err(Error::NotADirectory(name.to_owned()))
    }

    /// Returns `path` with its first parent that is a link replaced by the target.
    fn first_link(&self, path: &str) -> Result<Option<String>, Error> {
        for (at, _) in path.match_indices('/') {
            match self.0.get(&path[..at]).map(|node| &node.content) {
                None | Some(Content::Dir) => {}
                Some(Content::Link(target)) => {
                    return Ok(Some(join(&path[..at], target) + &path[at..]));
                }
                Some(_) => return Err(Error::NotADirectory(path.to_owned())),
            }
        }
        Ok(None)
    }

    /// Returns the path and the node that the path `name` of the running image leads to, through
    /// links; `None` if there is nothing.
    pub(super) fn find(&self, name: &str) -> Option<(&str, &Node)> {
        let mut path = join("", name);
        for _ in 0..MAX_LINKS {
            path = self.resolve(&path).ok()?;
            let (found, node) = self.0.get_key_value(&path)?;
            match &node.content {
                Content::Link(target) => path = join(&path, target),
                _ => return Some((found, node)),
            }
        }
        None
    }

    /// Returns the path of every module in the image, and that of its file, in the byte order of the
    /// former.
    pub(super) fn modules(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.0.iter().filter_map(|(name, node)| match &node.content {
            Content::Module(path) => Some((name.clone(), path.clone())),
            _ => None,
        })
    }

    /// Replaces the content of the node at `name`, a path as [`Manifest::iter`] returns it, by one
    /// that was made from it.
    pub(super) fn set_content(&mut self, name: &str, content: Content) {
        if let Some(node) = self.0.get_mut(name) {
            node.origin = node.source().map(Path::to_owned);
            node.content = content;
        }
    }

    /// Returns whether there is anything below the directory `name`.
    pub(super) fn has_below(&self, name: &str) -> bool {
        let Ok(name) = self.resolve(name) else { return false };
        let start = name + "/";
        let mut below = self.0.range(start.clone()..);
        below.next().is_some_and(|(name, _)| name.starts_with(&start))
    }

    /// Removes the node at `name`, a path as [`Manifest::iter`] returns it. Its parents stay.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Returns all paths and nodes, in the byte order of the paths.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(name, node)| (name.as_str(), node))
    }
}

/// Returns the path that `target` names in the link at `link`.
fn join(link: &str, target: &str) -> String {
    let parent = link.rsplit_once('/').map_or("", |(parent, _)| parent);
    let start = if target.starts_with('/') { "" } else { parent };
    let mut parts: Vec<&str> = Vec::new();
    for part in start.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(links: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (name, target) in links {
            let link = Node::of_root(0o777, Content::Link((*target).to_owned()));
            manifest.add(name, link).unwrap();
        }
        manifest
    }

    fn file() -> Node {
        Node::of_root(0o644, Content::Bytes(Vec::new()))
    }

    #[test]
    fn missing_parents_are_added_before_their_content() {
        let mut m = manifest(&[]);
        for name in ["a/b/c", "a-b", "a/b.d", "init"] {
            m.add(name, file()).unwrap();
        }
        let names: Vec<_> = m.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a-b", "a/b", "a/b.d", "a/b/c", "init"]);
    }

    #[test]
    fn a_path_is_resolved_through_links() {
        let cases = [
            (&[("lib", "usr/lib")][..], "lib/modules/x", "usr/lib/modules/x"),
            (&[("usr/lib64", "lib")], "usr/lib64/x", "usr/lib/x"),
            (&[("a", "/b"), ("b", "c/./d/..")], "a/x", "c/x"),
            (&[("lib", "usr/lib")], "lib", "lib"),
        ];
        for (links, name, expected) in cases {
            let mut m = manifest(links);
            m.add(name, file()).unwrap();
            assert_eq!(m.0.get(expected), Some(&file()), "{name}");
        }
    }

    #[test]
    fn a_path_is_followed_to_its_file() {
        let links = [("lib64", "usr/lib"), ("bin/sh", "busybox"), ("init", "/bin/sh")];
        let mut m = manifest(&links);
        m.add("loop", Node::of_root(0o777, Content::Link("loop".to_owned()))).unwrap();
        m.add("dangling", Node::of_root(0o777, Content::Link("none".to_owned()))).unwrap();
        m.add("bin/busybox", file()).unwrap();
        m.add("usr/lib/ld", file()).unwrap();
        for (name, want) in [
            ("/init", Some("bin/busybox")),
            ("bin/sh", Some("bin/busybox")),
            ("/lib64//./ld", Some("usr/lib/ld")),
            ("/bin", Some("bin")),
            ("/bin/ash", None),
            ("loop", None),
            ("dangling", None),
            ("bin/busybox/x", None),
        ] {
            assert_eq!(m.find(name).map(|(name, _)| name), want, "{name}");
        }
    }

    #[test]
    fn a_path_below_a_file_or_a_link_loop_is_rejected() {
        let mut m = manifest(&[("loop", "loop")]);
        m.add("init", file()).unwrap();
        for name in ["init/x", "loop/x"] {
            assert!(matches!(m.add(name, file()), Err(Error::NotADirectory(_))), "{name}");
        }
    }
}
