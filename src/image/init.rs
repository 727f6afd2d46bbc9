//! The program that becomes /init of an image.
//!
//! ```text
//! program                 without              for images
//! coldplug-init           host commands,       that cannot assemble devices
//!                         LUKS, LVM, md
//! coldplug-init-stacks    host commands        that carry dm_mod, md_mod or rules of assemble.d
//! coldplug                                     if it was installed alone
//! ```

use std::fs;
use std::path::{Path, PathBuf};

const SMALL: &str = "coldplug-init";
const STACKS: &str = "coldplug-init-stacks";

/// The program that becomes /init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Init {
    /// This file.
    Program(PathBuf),
    /// The smallest program of this installation that does what the image is for.
    Smallest,
}

impl Init {
    /// Returns the path of the program. `stacks`: whether the image is to assemble devices.
    pub(super) fn path(&self, stacks: bool) -> PathBuf {
        match self {
            Self::Program(path) => path.clone(),
            Self::Smallest => smallest(Path::new("/proc/self/exe"), stacks),
        }
    }
}

/// Returns the program for an image in the directory of `this` program or in ../lib/coldplug; else
/// this one, which is larger.
fn smallest(this: &Path, stacks: bool) -> PathBuf {
    let Ok(path) = fs::read_link(this) else { return this.to_owned() };
    let dir = path.parent().unwrap_or(&path);
    let names: &[&str] = match stacks && cfg!(feature = "stacks") {
        true => &[STACKS],
        false => &[SMALL, STACKS],
    };
    let dirs = [dir.to_owned(), dir.join("../lib/coldplug")];
    let mut candidates = names.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    candidates.find(|path| path.is_file()).unwrap_or_else(|| this.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_smallest_program_that_suffices_is_taken() {
        let usual = &["lib/coldplug/coldplug-init", "lib/coldplug/coldplug-init-stacks"][..];
        for (installed, stacks, expected) in [
            (usual, false, "lib/coldplug/coldplug-init"),
            (usual, true, "lib/coldplug/coldplug-init-stacks"),
            (&["bin/coldplug-init"], false, "bin/coldplug-init"),
            // Better a larger image than one that cannot open its root.
            (&["bin/coldplug-init"], true, "this"),
            (&["bin/coldplug-init-stacks"], false, "bin/coldplug-init-stacks"),
            (&[], false, "this"),
        ] {
            let root = tempfile::tempdir().unwrap();
            for dir in ["bin", "lib/coldplug"] {
                fs::create_dir_all(root.path().join(dir)).unwrap();
            }
            for name in installed {
                fs::write(root.path().join(name), "").unwrap();
            }
            let this = root.path().join("this");
            symlink(root.path().join("bin/coldplug"), &this).unwrap();
            let found = smallest(&this, stacks);
            let expected = root.path().join(expected);
            let found = fs::canonicalize(&found).unwrap_or(found);
            assert_eq!(found, expected, "{installed:?} {stacks}");
        }
    }
}
