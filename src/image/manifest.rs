//! What an image will hold, by path: collected first, written in the order of the paths' bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Error;

/// Links that one path may lead through, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// One path's owner, permission bits and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Permission bits.
    pub(super) mode: u32,
    /// The owner.
    pub(super) uid: u32,
    /// The group.
    pub(super) gid: u32,
    /// Type and content.
    pub(super) content: Content,
}

impl Node {
    /// Something that root owns.
    #[must_use]
    pub(super) fn of_root(mode: u32, content: Content) -> Self {
        Self { mode, uid: 0, gid: 0, content }
    }
}

/// What stands at a path, and where its bytes come from when its turn comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A folder.
    Dir,
    /// A symbolic link's target.
    Link(String),
    /// A character device: major, minor.
    Char(u32, u32),
    /// A block device: major, minor.
    Block(u32, u32),
    /// Bytes already at hand.
    Bytes(Vec<u8>),
    /// A file of the build machine, as it is.
    File(PathBuf),
    /// A module's file, to be packed as the options say.
    Module(PathBuf),
}

/// Paths and nodes; a path's parents are always there.
///
/// Paths have no leading slash. Byte order puts each folder before what lies in it.
#[derive(Debug, Default)]
pub(super) struct Manifest(BTreeMap<String, Node>);

impl Manifest {
    /// Puts `node` at `name`, in place of what stood there, and makes the folders that lack. Where
    /// the way leads over a symbolic link, `name` is taken to lie behind it.
    ///
    /// # Errors
    ///
    /// [`Error::NotADir`] if a parent is no folder.
    pub(super) fn add(&mut self, name: &str, node: Node) -> Result<(), Error> {
        let name = self.resolve(name)?;
        for (at, _) in name.match_indices('/') {
            let dir = || Node::of_root(0o755, Content::Dir);
            self.0.entry(name[..at].to_owned()).or_insert_with(dir);
        }
        self.0.insert(name, node);
        Ok(())
    }

    /// `name` with the links among its parents replaced by their targets.
    fn resolve(&self, name: &str) -> Result<String, Error> {
        let mut path = name.to_owned();
        for _ in 0..MAX_LINKS {
            match self.first_link(&path)? {
                Some(replaced) => path = replaced,
                None => return Ok(path),
            }
        }
        Err(Error::NotADir(name.to_owned()))
    }

    /// `path` with its first parent that is a link replaced.
    fn first_link(&self, path: &str) -> Result<Option<String>, Error> {
        for (at, _) in path.match_indices('/') {
            match self.0.get(&path[..at]).map(|node| &node.content) {
                None | Some(Content::Dir) => {}
                Some(Content::Link(target)) => {
                    return Ok(Some(join(&path[..at], target) + &path[at..]));
                }
                Some(_) => return Err(Error::NotADir(path.to_owned())),
            }
        }
        Ok(None)
    }

    /// All paths and nodes, by the paths' bytes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(name, node)| (name.as_str(), node))
    }
}

/// What `target` means in the link at `link`.
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
    fn parents_come_first_and_by_themselves() {
        let mut m = manifest(&[]);
        for name in ["a/b/c", "a-b", "a/b.d", "init"] {
            m.add(name, file()).unwrap();
        }
        let names: Vec<_> = m.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "a-b", "a/b", "a/b.d", "a/b/c", "init"]);
    }

    #[test]
    fn a_path_over_a_link_lies_behind_it() {
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
    fn what_is_no_folder_holds_nothing() {
        let mut m = manifest(&[("loop", "loop")]);
        m.add("init", file()).unwrap();
        for name in ["init/x", "loop/x"] {
            assert!(matches!(m.add(name, file()), Err(Error::NotADir(_))), "{name}");
        }
    }
}
