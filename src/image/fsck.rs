//! The programs that check filesystems before they are mounted, with their libraries.
//!
//! ```text
//! sbin/PROGRAM        the program of the root, such as e2fsck
//! sbin/fsck.TYPE      it, or a link to it: the name that PID 1 looks for
//! etc/e2fsck.conf     if the root has it
//! ```
//!
//! The fsck of xfs and btrfs is a script that checks nothing. These filesystems repair their journal
//! when they are mounted, so that the image has their tools instead, for the rescue shell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::manifest::{Content, Manifest, Node};
use super::{Error, libraries, source};
use crate::sys::inside::inside;

/// Directories of the programs, below the root.
const DIRS: [&str; 4] = ["sbin", "usr/sbin", "bin", "usr/bin"];
/// Types that are checked by a program of their own.
const CHECKED: [&str; 8] = ["ext4", "ext3", "ext2", "f2fs", "bcachefs", "vfat", "exfat", "jfs"];
/// Types whose fsck checks nothing, with the tool that can repair them.
const REPAIRED: [(&str, &str); 2] = [("xfs", "xfs_repair"), ("btrfs", "btrfs")];
const E2FSCK_CONF: &str = "etc/e2fsck.conf";
/// Why the programs are in the image.
const REASON: &str = "--fsck";

/// The filesystems whose programs an image is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fsck {
    /// Those that the image can mount.
    Auto,
    /// Of these types.
    Types(Vec<String>),
}

/// Adds the programs of `root`; `mountable` are the filesystems of the image. Returns warnings.
///
/// # Errors
/// [`Error::NoFsck`] for a type that was named; a program or library that cannot be read.
pub(super) fn add(
    manifest: &mut Manifest,
    fsck: &Fsck,
    mountable: &[&str],
    root: &Path,
) -> Result<Vec<String>, Error> {
    let types = match fsck {
        Fsck::Types(types) => types.clone(),
        Fsck::Auto => mountable.iter().map(|kind| (*kind).to_owned()).collect(),
    };
    let mut added = BTreeSet::new();
    for kind in &types {
        let repaired = REPAIRED.iter().find(|(repaired, _)| repaired == kind);
        let own = format!("fsck.{kind}");
        let name = repaired.map_or(own.as_str(), |(_, program)| program);
        let is_known = *fsck != Fsck::Auto || repaired.is_some() || CHECKED.contains(&&**kind);
        match find(root, name).filter(|_| is_known) {
            Some(path) => added.extend(add_program(manifest, &path, name, root)?),
            None if *fsck == Fsck::Auto => {}
            None => return Err(Error::NoFsck(kind.clone(), root.to_owned())),
        }
    }
    let conf = inside(root, Path::new(E2FSCK_CONF));
    if added.iter().any(|name| name.starts_with("fsck.ext")) && conf.is_file() {
        let node = Node::of_root(0o644, Content::File(conf)).because(REASON);
        manifest.add(E2FSCK_CONF, node)?;
    }
    let none = added.is_empty() && !types.is_empty();
    let types = types.join(", ");
    Ok(none.then(|| format!("--fsck: the root has no program for {types}")).into_iter().collect())
}

/// Returns the path below `root` of the program `name`.
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let paths = DIRS.iter().map(|dir| inside(root, &Path::new(dir).join(name)));
    paths.into_iter().find(|path| path.is_file())
}

/// Adds a program under its own name and as `name`, which may be a link to it in the root. A script
/// is not added, because the image has no shell for it. Returns `name` if it is added.
fn add_program(
    manifest: &mut Manifest,
    path: &Path,
    name: &str,
    root: &Path,
) -> Result<Option<String>, Error> {
    let bytes = source::read(path)?;
    if bytes.starts_with(b"#!") {
        return Ok(None);
    }
    libraries::add(manifest, path, &bytes, root)?;
    let own = path.file_name().and_then(|own| own.to_str());
    let own = own.ok_or_else(|| Error::NotUtf8(path.to_owned()))?;
    let node = Node::of_root(0o755, Content::File(path.to_owned()));
    manifest.add(&format!("sbin/{own}"), node.because(REASON))?;
    if own != name {
        let link = Node::of_root(0o777, Content::Link(own.to_owned()));
        manifest.add(&format!("sbin/{name}"), link.because(REASON))?;
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("usr/sbin/e2fsck", "program"),
            ("usr/sbin/fsck.xfs", "#!/bin/sh\nexit 0\n"),
            ("usr/sbin/xfs_repair", "program"),
            ("usr/sbin/fsck.odd", "#!/bin/sh\n"),
            ("usr/sbin/fsck.minix", "program"),
            ("etc/e2fsck.conf", ""),
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("usr/sbin", root.path().join("sbin")).unwrap();
        symlink("e2fsck", root.path().join("usr/sbin/fsck.ext4")).unwrap();
        symlink("/sbin/e2fsck", root.path().join("usr/sbin/fsck.ext2")).unwrap();
        root
    }

    /// Returns what an image gets, and the warnings or the error.
    fn added(fsck: &Fsck, mountable: &[&str]) -> (String, String) {
        let root = root();
        let mut manifest = Manifest::default();
        let said = match add(&mut manifest, fsck, mountable, root.path()) {
            Ok(notices) => notices.join(" "),
            Err(error) => error.to_string().replace(root.path().to_str().unwrap(), "DIR"),
        };
        let files = manifest.iter().filter(|(_, node)| !matches!(node.content, Content::Dir));
        let files = files.map(|(name, node)| match &node.content {
            Content::Link(target) => format!("{name}->{target}"),
            _ => name.to_owned(),
        });
        (files.collect::<Vec<_>>().join(" "), said)
    }

    #[test]
    fn programs_are_those_of_the_filesystems() {
        let named = |types: &[&str]| Fsck::Types(types.iter().map(|t| (*t).to_owned()).collect());
        let e2fsck = "etc/e2fsck.conf sbin/e2fsck";
        let missing = "--fsck: the root has no program for vfat, minix";
        for (fsck, mountable, want, said) in [
            (
                Fsck::Auto,
                &["ext4", "ext2", "xfs", "vfat", "iso9660"][..],
                format!("{e2fsck} sbin/fsck.ext2->e2fsck sbin/fsck.ext4->e2fsck sbin/xfs_repair"),
                "",
            ),
            (Fsck::Auto, &["vfat", "minix"], String::new(), missing),
            (Fsck::Auto, &[], String::new(), ""),
            (named(&["ext4"]), &["xfs"], format!("{e2fsck} sbin/fsck.ext4->e2fsck"), ""),
            (named(&["minix"]), &[], "sbin/fsck.minix".to_owned(), ""),
            (named(&["vfat"]), &[], String::new(), "--fsck: no fsck.vfat below DIR"),
            (named(&["odd"]), &[], String::new(), "--fsck: the root has no program for odd"),
        ] {
            assert_eq!(added(&fsck, mountable), (want, said.to_owned()), "{fsck:?} {mountable:?}");
        }
    }
}
