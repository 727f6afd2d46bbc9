//! Files and trees that the user adds to an image with `--include`.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::manifest::{Content, Manifest, Node};
use super::newc::MAX_NAME;
use super::{Error, libraries, source};
use crate::escape;
use crate::sys::inside::inside;

/// First bytes of an ELF file.
const ELF: &[u8] = b"\x7fELF";

/// A file or a directory of the build machine, and its path in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Include {
    /// The path on the build machine.
    pub(crate) source: PathBuf,
    /// The path in the image; that of the source if there is none.
    pub(crate) target: Option<PathBuf>,
}

impl Include {
    /// Parses `SRC` or `SRC:DST`. DST starts with a slash, so that SRC may have colons.
    #[must_use]
    pub(crate) fn parse(word: &Path) -> Self {
        let bytes = word.as_os_str().as_bytes();
        let at = bytes.windows(2).rposition(|two| two == b":/").filter(|at| *at > 0);
        match at {
            Some(at) => Self {
                source: crate::sys::path(&bytes[..at]).to_owned(),
                target: Some(crate::sys::path(&bytes[at + 1..]).to_owned()),
            },
            None => Self { source: word.to_owned(), target: None },
        }
    }

    /// Adds the file or the tree to an image, with the libraries of programs: those of `root` if it
    /// is there. What the image has already is replaced. Returns warnings.
    ///
    /// # Errors
    /// [`Error::Include`] for a path that an image cannot have and for a file that is neither a
    /// regular file nor a link nor a directory; one that cannot be read; [`Error::NoLibrary`] if the
    /// source itself is a program.
    pub(super) fn add_to(
        &self,
        manifest: &mut Manifest,
        root: &Path,
    ) -> Result<Vec<String>, Error> {
        let target = self.target_below(root)?;
        // Of the source itself the file counts that it leads to. Libraries come from where it does.
        let (source, libraries) = match self.source.strip_prefix(root) {
            Ok(below) => (inside(root, below), root),
            Err(_) => (self.source.clone(), Path::new("/")),
        };
        let mut tree = Tree {
            manifest,
            libraries,
            reason: format!("--include {}", escape::path(&self.source)),
            notices: Vec::new(),
        };
        let about = fs::metadata(&source).map_err(Error::io("open", &self.source))?;
        match about.is_dir() {
            true => tree.add_tree(source, target)?,
            false if target.is_empty() => return Err(self.refused("/ of the image is no file")),
            false => {
                tree.add(&source, &target, &about)?;
                tree.add_libraries(&source)?;
            }
        }
        Ok(tree.notices)
    }

    fn refused(&self, why: &'static str) -> Error {
        Error::Include(self.target.clone().unwrap_or_else(|| self.source.clone()), why)
    }

    /// Returns the path in the image, without a slash at its start.
    fn target_below(&self, root: &Path) -> Result<String, Error> {
        let target = match &self.target {
            Some(target) => target,
            None => match self.source.strip_prefix(root) {
                Ok(below) => below,
                Err(_) if self.source.is_absolute() => &self.source,
                Err(_) => return Err(self.refused("a relative path needs ':/PATH' after it")),
            },
        };
        let mut names = Vec::new();
        for part in target.components() {
            match part {
                Component::Normal(name) => names.push(name.as_bytes()),
                Component::RootDir | Component::CurDir => {}
                _ => return Err(self.refused("a path in the image has no '..'")),
            }
        }
        String::from_utf8(names.join(&b'/')).map_err(|_| Error::NotUtf8(target.to_owned()))
    }
}

/// The state while files are added.
struct Tree<'a> {
    manifest: &'a mut Manifest,
    /// The root that libraries come from.
    libraries: &'a Path,
    reason: String,
    notices: Vec<String>,
}

impl Tree<'_> {
    /// Adds a directory with all that is below it. Links below it are not followed.
    fn add_tree(&mut self, dir: PathBuf, target: String) -> Result<(), Error> {
        let mut pending = vec![(dir, target)];
        while let Some((path, name)) = pending.pop() {
            let about = fs::symlink_metadata(&path).map_err(Error::io("open", &path))?;
            if !name.is_empty() {
                self.add(&path, &name, &about)?;
            }
            if about.is_file() {
                self.add_found_libraries(&path)?;
            }
            if !about.is_dir() {
                continue;
            }
            let mut below = Vec::new();
            for entry in fs::read_dir(&path).map_err(Error::io("read", &path))? {
                let entry = entry.map_err(Error::io("read", &path))?;
                let own = entry.file_name().into_string();
                let own = own.map_err(|_| Error::NotUtf8(entry.path()))?;
                let name = if name.is_empty() { own } else { format!("{name}/{own}") };
                below.push((entry.path(), name));
            }
            // The order decides which of two paths that links make one counts.
            below.sort_unstable_by(|a, b| b.1.cmp(&a.1));
            pending.extend(below);
        }
        Ok(())
    }

    /// Adds one file, link or directory.
    fn add(&mut self, path: &Path, name: &str, about: &Metadata) -> Result<(), Error> {
        let refused = |why| Err(Error::Include(path.to_owned(), why));
        if name.len() > MAX_NAME || name == "TRAILER!!!" {
            return refused("an image cannot have this path");
        }
        let kind = about.file_type();
        let there = self.manifest.find(name).map(|(_, node)| &node.content);
        let content = match there {
            // A link to a directory stays: what is below it comes there.
            Some(Content::Dir) if kind.is_dir() => return Ok(()),
            Some(Content::Dir) if !kind.is_symlink() => {
                return refused("the image has a directory there");
            }
            Some(_) if kind.is_dir() => return refused("the image has a file there"),
            _ if kind.is_dir() => Content::Dir,
            _ if kind.is_file() => {
                source::check(path).map_err(Error::System)?;
                Content::File(path.to_owned())
            }
            _ if kind.is_symlink() => {
                let target = fs::read_link(path).map_err(Error::io("readlink", path))?;
                match target.into_os_string().into_string() {
                    Ok(target) => Content::Link(target),
                    Err(_) => return Err(Error::NotUtf8(path.to_owned())),
                }
            }
            _ => return refused("neither a regular file nor a link nor a directory"),
        };
        let is_link = matches!(content, Content::Link(_));
        if is_link && self.manifest.has_below(name) {
            return refused("the image has a directory with files there");
        }
        let mode = if is_link { 0o777 } else { about.permissions().mode() & 0o7777 };
        self.manifest.add(name, Node::of_root(mode, content).because(self.reason.as_str()))
    }

    /// Adds the libraries of a program.
    fn add_libraries(&mut self, path: &Path) -> Result<(), Error> {
        let bytes = source::read(path)?;
        match bytes.starts_with(ELF) {
            true => libraries::add(self.manifest, path, &bytes, self.libraries),
            false => Ok(()),
        }
    }

    /// Adds the libraries of a program of a tree. One that is not found is a warning.
    fn add_found_libraries(&mut self, path: &Path) -> Result<(), Error> {
        match self.add_libraries(path) {
            Err(error @ Error::NoLibrary { .. }) => {
                self.notices.push(format!("{error}; the image has no such library"));
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Includes these words, in which `DIR` is a scratch directory that `make` has filled. Returns
    /// the entries of the image, or the error, both without the directory.
    fn included(make: impl Fn(&Path), words: &[&str]) -> Result<Vec<String>, String> {
        let scratch = tempfile::tempdir().unwrap();
        make(scratch.path());
        let dir = scratch.path().to_str().unwrap();
        let mut manifest = Manifest::default();
        for name in ["bin/busybox", "tmp/x"] {
            manifest.add(name, Node::of_root(0o755, Content::Bytes(Vec::new()))).unwrap();
        }
        let lib = Content::Link("usr/lib".to_owned());
        manifest.add("lib", Node::of_root(0o777, lib)).unwrap();
        manifest.add("usr/lib", Node::of_root(0o755, Content::Dir)).unwrap();
        for word in words {
            let include = Include::parse(Path::new(&word.replace("DIR", dir)));
            let added = include.add_to(&mut manifest, scratch.path());
            added.map_err(|error| error.to_string().replace(dir, "DIR"))?;
        }
        let own = manifest.iter().filter(|(_, node)| node.reason.starts_with("--include"));
        let own = own.map(|(name, node)| match &node.content {
            Content::Dir => format!("{name}/ {:o}", node.mode),
            Content::Link(target) => format!("{name} -> {target}"),
            _ => format!("{name} {:o}", node.mode),
        });
        Ok(own.collect())
    }

    fn put(dir: &Path, name: &str, mode: u32) {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn words_are_a_source_and_a_target() {
        for (word, source, target) in [
            ("/a", "/a", None),
            ("/a:/b", "/a", Some("/b")),
            ("a:b:/c:d", "a:b", Some("/c:d")),
            ("/a:b", "/a:b", None),
            ("/a:/b:/c", "/a:/b", Some("/c")),
        ] {
            let want = Include { source: source.into(), target: target.map(Into::into) };
            assert_eq!(Include::parse(Path::new(word)), want, "{word}");
        }
    }

    #[test]
    fn files_links_and_trees_keep_their_modes() {
        let make = |dir: &Path| {
            put(dir, "etc/one.conf", 0o640);
            put(dir, "tree/lib/x.so", 0o4755);
            put(dir, "tree/tmp/y", 0o600);
            symlink("../etc/one.conf", dir.join("tree/link")).unwrap();
            symlink("/etc/one.conf", dir.join("named")).unwrap();
            symlink("tree", dir.join("tree/loop")).unwrap();
            fs::set_permissions(dir.join("tree/tmp"), fs::Permissions::from_mode(0o700)).unwrap();
        };
        let all = |words: &[&str]| included(make, words).unwrap().join(", ");
        assert_eq!(all(&["DIR/etc/one.conf"]), "etc/one.conf 640");
        assert_eq!(all(&["DIR/etc/one.conf:/a//./b"]), "a/b 640");
        // The source itself is what it leads to; links below it are kept.
        assert_eq!(all(&["DIR/named"]), "named 640");
        assert_eq!(
            all(&["DIR/tree:/"]),
            "link -> ../etc/one.conf, loop -> tree, tmp/y 600, usr/lib/x.so 4755"
        );
        assert_eq!(
            all(&["DIR/tree:/new", "DIR/etc/one.conf:/new/tmp/y"]),
            "new/ 755, new/lib/ 755, new/lib/x.so 4755, new/link -> ../etc/one.conf, \
             new/loop -> tree, new/tmp/ 700, new/tmp/y 640"
        );
    }

    #[test]
    fn paths_that_an_image_cannot_have_are_refused() {
        let make = |dir: &Path| {
            put(dir, "file", 0o644);
            put(dir, "tree/bin/busybox/x", 0o644);
            put(dir, "named/TRAILER!!!", 0o644);
            fs::create_dir_all(dir.join("links")).unwrap();
            symlink("file", dir.join("links/tmp")).unwrap();
            fs::create_dir_all(dir.join("sockets")).unwrap();
            std::os::unix::net::UnixListener::bind(dir.join("sockets/x")).unwrap();
            fs::create_dir_all(dir.join("bytes")).unwrap();
            fs::write(dir.join("bytes").join(crate::sys::path(b"\xff")), "").unwrap();
        };
        for (word, why) in [
            ("DIR/file:/a/../b", "--include /a/../b: a path in the image has no '..'"),
            ("DIR/file:/..", "--include /..: a path in the image has no '..'"),
            ("DIR/file:/", "--include /: / of the image is no file"),
            ("DIR/file:/tmp", "--include DIR/file: the image has a directory there"),
            ("DIR/file:/bin/busybox/x", "/bin/busybox/x: a parent is not a directory"),
            ("DIR/tree:/", "--include DIR/tree/bin/busybox: the image has a file there"),
            ("DIR/links:/", "--include DIR/links/tmp: the image has a directory with files there"),
            ("DIR/named:/", "--include DIR/named/TRAILER!!!: an image cannot have this path"),
            (
                "DIR/sockets",
                "--include DIR/sockets/x: neither a regular file nor a link nor a directory",
            ),
            ("DIR/bytes", "DIR/bytes/\\xff: the path is not UTF-8"),
            ("DIR/none", "open DIR/none: No such file or directory"),
            ("none", "--include none: a relative path needs ':/PATH' after it"),
        ] {
            assert_eq!(included(make, &[word]).unwrap_err(), why, "{word}");
        }
    }
}
