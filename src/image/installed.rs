//! The installed kernels, and which images were written for them: so those of kernels that are gone
//! are known, and images of others are left alone.
//!
//! ```text
//! /var/lib/coldplug/images/RELEASE    the paths of the images, one a line
//! ```

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{self, Root, atomic_file, moddir, sysfs};

/// Directory of the records.
const RECORDS: &str = "var/lib/coldplug/images";
/// Names of kernels in /boot, before `-RELEASE`, and in the module directory.
const KERNELS: [&str; 7] = ["vmlinuz", "vmlinux", "Image", "zImage", "uImage", "bzImage", "kernel"];

/// Returns the releases of the installed kernels, sorted: those with modules, and with a kernel in
/// /boot or beside the modules.
pub(crate) fn releases(root: &Root) -> Vec<String> {
    let dirs = ["lib/modules", "usr/lib/modules"];
    let mut found: Vec<_> =
        dirs.iter().flat_map(|dir| sysfs::entry_names(&root.join(dir))).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|release| is_installed(root, release));
    found
}

/// Returns whether the kernel `release` is installed, as [`releases`] has it. What is left of a
/// kernel in /lib/modules, such as modules of dkms, does not count.
pub(crate) fn is_installed(root: &Root, release: &str) -> bool {
    let exists = |path: &Path| root.join(path).exists();
    let modules = moddir::place(release, &exists);
    let boot = Path::new("boot");
    let has_lists =
        ["modules.dep", "modules.order", "modules.builtin"].map(|name| modules.join(name));
    has_lists.iter().any(|path| exists(path))
        && KERNELS.iter().any(|name| {
            exists(&boot.join(format!("{name}-{release}"))) || exists(&modules.join(name))
        })
}

/// Removes the images of the kernel `release`: the one at `path`, those that the record names, and
/// what an interrupted update has left beside them. Returns those that were there.
///
/// # Errors
///
/// A file cannot be removed.
pub(crate) fn remove_images(
    root: &Root,
    release: &str,
    path: Option<&Path>,
) -> sys::Result<Vec<PathBuf>> {
    let file = root.join(RECORDS).join(release);
    let mut removed = Vec::new();
    for image in path.map(Path::to_owned).into_iter().chain(recorded(root, release)) {
        for path in [&image, &old_path(&image), &new_path(&image)] {
            let was_there = path.symlink_metadata().is_ok();
            remove(path)?;
            removed.extend(was_there.then(|| path.clone()));
        }
    }
    remove(&file)?;
    Ok(removed)
}

/// Returns the releases with a record whose kernel is not installed any more, sorted.
pub(crate) fn stale(root: &Root) -> Vec<String> {
    let mut releases = sysfs::entry_names(&root.join(RECORDS));
    releases.retain(|release| !release.starts_with('.') && !is_installed(root, release));
    releases.sort_unstable();
    releases
}

/// Returns the paths of the images that were written for `release`.
fn recorded(root: &Root, release: &str) -> Vec<PathBuf> {
    let file = root.join(RECORDS).join(release);
    // Without a record nothing is known to be ours.
    let text = regular_file::read(&file, CONFIG_LIMIT).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| root.join(OsStr::from_bytes(line))).collect()
}

/// Records that the image at `path` was written for `release`.
pub(super) fn record(root: &Root, release: &str, path: &Path) -> sys::Result<()> {
    let mut paths = recorded(root, release);
    if paths.iter().any(|known| known == path) {
        return Ok(());
    }
    paths.push(path.to_owned());
    let below = root.join("");
    let mut text = Vec::new();
    for path in &paths {
        text.push(b'/');
        text.extend(path.strip_prefix(&below).unwrap_or(path).as_os_str().as_bytes());
        text.push(b'\n');
    }
    atomic_file::replace(&root.join(RECORDS).join(release), &text, false)
}

/// Removes a file that need not be there.
pub(super) fn remove(path: &Path) -> sys::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(sys::Error::io("unlink", path, &error))
        }
        _ => Ok(()),
    }
}

/// Returns the path of the image before, while `path` is replaced.
pub(super) fn old_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}

/// Returns the path of a new image that may replace `path`. Boot loaders that offer every file of a
/// pattern leave out a name with a dot in front.
pub(super) fn new_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_kernel_is_installed_if_it_has_modules_and_a_kernel() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        for file in [
            "lib/modules/6.1/modules.dep",
            "boot/vmlinuz-6.1",
            "lib/modules/6.2/updates/dkms/x.ko",
            "boot/vmlinuz-6.2",
            "lib/modules/6.3/modules.order",
            "usr/lib/modules/7.0/modules.builtin",
            "usr/lib/modules/7.0/vmlinuz",
            "lib/modules/6.4/modules.order",
            "boot/initrd.img-6.4",
        ] {
            put(dir, file, "");
        }
        assert_eq!(releases(&Root::at(dir)), ["6.1", "7.0"]);
    }

    #[test]
    fn the_images_of_a_removed_kernel_are_known_by_its_record() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, root) = (scratch.path(), Root::at(scratch.path()));
        put(dir, "lib/modules/6.1/modules.dep", "");
        put(dir, "boot/vmlinuz-6.1", "");
        for release in ["6.1", "6.2"] {
            let images = ["boot/a-", "efi/b-"].map(|name| dir.join(format!("{name}{release}")));
            for image in images.iter().chain([&images[0]]) {
                record(&root, release, image).unwrap();
                put(dir, image.to_str().unwrap(), "");
            }
            assert_eq!(recorded(&root, release), images);
        }
        for left in ["boot/a-6.2.old", "boot/.a-6.2.new", "boot/a-6.2.bak", "boot/a-6.3"] {
            put(dir, left, "");
        }
        assert_eq!(stale(&root), ["6.2"]);
        let removed = remove_images(&root, "6.2", None).unwrap();
        let names = ["boot/a-6.2", "boot/a-6.2.old", "boot/.a-6.2.new", "efi/b-6.2"];
        assert_eq!(removed, names.map(|name| dir.join(name)));
        assert!(stale(&root).is_empty());
        let left = |dir: &str| {
            let mut names = sysfs::entry_names(&root.join(dir));
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(left("boot"), "a-6.1 a-6.2.bak a-6.3 vmlinuz-6.1");
        assert_eq!((left("efi"), left(RECORDS)), ("b-6.1".to_owned(), "6.1".to_owned()));
        // Without a record only the image of the configuration is removed.
        let other = dir.join("boot/a-6.3");
        assert_eq!(remove_images(&root, "6.3", Some(&other)).unwrap(), [other]);
    }
}
