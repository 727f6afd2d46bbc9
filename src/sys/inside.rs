//! Paths below another root. Links there mean what they mean when that directory is `/`: an
//! absolute target, such as /etc/alternatives/NAME, is below it too.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Largest number of links on the way to a file, as in the kernel.
const MAX_LINKS: usize = 40;

/// Returns the path of the file that `path` names when `root` is `/`. The file need not exist, and
/// at a cycle of links the result is a path that does not.
pub(crate) fn inside(root: &Path, path: &Path) -> PathBuf {
    let mut pending: Vec<OsString> = reversed(path);
    let (mut found, mut links) = (PathBuf::new(), 0);
    while let Some(name) = pending.pop() {
        if name == ".." {
            found.pop();
            continue;
        }
        found.push(&name);
        let Ok(target) = fs::read_link(root.join(&found)) else { continue };
        links += 1;
        if links > MAX_LINKS {
            return root.join("cycle of links");
        }
        found.pop();
        if target.is_absolute() {
            found = PathBuf::new();
        }
        pending.extend(reversed(&target));
    }
    root.join(found)
}

/// Returns the first of `paths` that is a directory when `root` is `/`, or else the first.
pub(crate) fn first_dir(root: &Path, paths: [PathBuf; 2]) -> PathBuf {
    let found = paths.iter().find(|path| inside(root, path).is_dir());
    found.unwrap_or(&paths[0]).clone()
}

/// Returns the names and `..` of a path, the last one first.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs::create_dir_all(root.join("usr/lib/firmware")).unwrap();
        for (link, target) in [
            ("lib", "/usr/lib"),
            ("usr/lib/relative", "firmware/../x"),
            ("usr/lib/above", "../../../../../etc"),
            ("usr/lib/chain", "/lib/relative"),
            ("usr/lib/cycle", "/lib/cycle"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        for (path, want) in [
            ("lib/firmware", "usr/lib/firmware"),
            ("/lib/none/x", "usr/lib/none/x"),
            ("lib/relative", "usr/lib/x"),
            ("lib/above/passwd", "etc/passwd"),
            ("lib/chain", "usr/lib/x"),
            ("usr/../..", ""),
        ] {
            assert_eq!(inside(root, Path::new(path)), root.join(want), "{path}");
        }
        assert!(inside(root, Path::new("lib/cycle")).symlink_metadata().is_err());
    }
}
