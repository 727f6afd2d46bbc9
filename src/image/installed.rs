//! The installed kernels, and which images were written for them: so those of kernels that are gone
//! are known, and images of others are left alone.
//!
//! ```text
//! /var/lib/coldplug/images/RELEASE    the paths of the images and manifests, one a line
//! ```
//!
//! Several records may name one path, which has no release in it: the file goes with the last of
//! these records.

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
    let mut found = releases_with_modules(root);
    found.retain(|release| is_installed(root, release));
    found
}

/// Returns the releases of the kernels whose modules are below `root`, sorted.
pub(crate) fn releases_with_modules(root: &Root) -> Vec<String> {
    let dirs = ["lib/modules", "usr/lib/modules"];
    let mut found: Vec<_> =
        dirs.iter().flat_map(|dir| sysfs::entry_names(&root.inside(dir))).collect();
    found.sort_unstable();
    found.dedup();
    found.retain(|release| has_modules(root, release));
    found
}

/// Returns whether the modules of the kernel `release` are below `root`. What is left of a kernel
/// in /lib/modules, such as modules of dkms, does not count.
pub(crate) fn has_modules(root: &Root, release: &str) -> bool {
    let exists = |path: &Path| root.inside(path).exists();
    let modules = moddir::place(release, &exists);
    let lists = ["modules.dep", "modules.order", "modules.builtin"];
    lists.iter().any(|name| exists(&modules.join(name)))
}

/// Returns whether the kernel `release` is installed, as [`releases`] has it.
pub(crate) fn is_installed(root: &Root, release: &str) -> bool {
    has_modules(root, release) && kernel_file(root, release).is_some()
}

/// Returns the path of the kernel `release`, in /boot or beside its modules.
pub(crate) fn kernel_file(root: &Root, release: &str) -> Option<PathBuf> {
    let exists = |path: &Path| root.inside(path).exists();
    let modules = moddir::place(release, &exists);
    let in_boot = KERNELS.map(|name| Path::new("boot").join(format!("{name}-{release}")));
    let beside = KERNELS.map(|name| modules.join(name));
    // The directory `kernel` beside the modules holds modules.
    in_boot.into_iter().chain(beside).map(|path| root.inside(path)).find(|path| path.is_file())
}

/// Removes what was written for the kernel `release`: the files at `paths`, those that the record
/// names, and what an interrupted update has left beside them. A file that another record names, or
/// that is one of `kept`, is that of another kernel. Returns the files that were there.
///
/// # Errors
///
/// A file cannot be removed.
pub(crate) fn remove_images(
    root: &Root,
    release: &str,
    paths: &[PathBuf],
    kept: &[PathBuf],
) -> sys::Result<Vec<PathBuf>> {
    let recorded_paths = recorded(root, release);
    let others = recorded_for_others(root, release);
    let own = paths.iter().chain(&recorded_paths);
    let mut removed = Vec::new();
    for path in own.filter(|path| !others.contains(path) && !kept.contains(path)) {
        for path in [path, &old_path(path), &new_path(path)] {
            let was_there = path.symlink_metadata().is_ok();
            remove(path)?;
            removed.extend(was_there.then(|| path.clone()));
        }
    }
    // Without its directory, a file may be on a filesystem that is not mounted.
    if recorded_paths.iter().all(|path| path.parent().is_some_and(Path::exists)) {
        remove(&root.join(RECORDS).join(release))?;
    }
    Ok(removed)
}

/// Returns the releases with a record whose modules are gone, sorted. While they are there, the
/// kernel may have a name or a place that [`kernel_file`] does not know.
pub(crate) fn stale(root: &Root) -> Vec<String> {
    let mut releases = recorded_releases(root);
    releases.retain(|release| !has_modules(root, release));
    releases.sort_unstable();
    releases
}

/// Returns the releases with a record.
fn recorded_releases(root: &Root) -> Vec<String> {
    let mut releases = sysfs::entry_names(&root.join(RECORDS));
    releases.retain(|release| !release.starts_with('.'));
    releases
}

/// Returns the paths in the records of all releases but `release`.
fn recorded_for_others(root: &Root, release: &str) -> Vec<PathBuf> {
    let others = recorded_releases(root).into_iter().filter(|other| other != release);
    others.flat_map(|other| recorded(root, &other)).collect()
}

/// Returns the paths of the files that were written for `release`.
fn recorded(root: &Root, release: &str) -> Vec<PathBuf> {
    let file = root.join(RECORDS).join(release);
    // Without a record nothing is known to be ours.
    let text = regular_file::read(&file, CONFIG_LIMIT).unwrap_or_default();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| root.join(OsStr::from_bytes(line))).collect()
}

/// Records that the files at `new` are written for `release`.
pub(super) fn record(root: &Root, release: &str, new: &[&Path]) -> sys::Result<()> {
    let mut paths = recorded(root, release);
    let known = paths.len();
    for path in new {
        if !paths.iter().any(|known| known == path) {
            paths.push((*path).to_owned());
        }
    }
    if paths.len() == known {
        return Ok(());
    }
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
            "lib/modules/6.5/modules.order",
            "lib/modules/6.5/kernel/fs/x.ko",
        ] {
            put(dir, file, "");
        }
        assert_eq!(releases(&Root::at(dir)), ["6.1", "7.0"]);
    }

    #[test]
    fn an_absolute_link_stays_below_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, elsewhere) = (scratch.path().join("root"), scratch.path().join("elsewhere"));
        put(&elsewhere, "modules/5.9/modules.dep", "");
        put(&dir, "boot/vmlinuz-5.9", "");
        put(&dir, "boot/vmlinuz-6.1", "");
        let target = elsewhere.strip_prefix("/").unwrap();
        put(&dir.join(target), "modules/6.1/modules.dep", "");
        std::os::unix::fs::symlink(&elsewhere, dir.join("lib")).unwrap();
        assert_eq!(releases(&Root::at(&dir)), ["6.1"]);
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
                record(&root, release, &[image]).unwrap();
                put(dir, image.to_str().unwrap(), "");
            }
            assert_eq!(recorded(&root, release), images);
        }
        for left in ["boot/a-6.2.old", "boot/.a-6.2.new", "boot/a-6.2.bak", "boot/a-6.3"] {
            put(dir, left, "");
        }
        assert_eq!(stale(&root), ["6.2"]);
        fs::remove_file(dir.join("boot/vmlinuz-6.1")).unwrap();
        assert_eq!(stale(&root), ["6.2"]);
        put(dir, "boot/vmlinuz-6.1", "");
        let removed = remove_images(&root, "6.2", &[], &[]).unwrap();
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
        let other = [dir.join("boot/a-6.3")];
        assert_eq!(remove_images(&root, "6.3", &other, &[]).unwrap(), other);
    }

    #[test]
    fn a_path_without_a_release_goes_with_its_last_kernel() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, root) = (scratch.path(), Root::at(scratch.path()));
        let [image, manifest] = ["boot/initrd", "boot/json"].map(|name| dir.join(name));
        for name in ["boot/initrd", "boot/initrd.old", "boot/json"] {
            put(dir, name, "");
        }
        record(&root, "6.1", &[&image, &manifest]).unwrap();
        record(&root, "6.2", &[&image]).unwrap();
        // An update is about to write the manifest for another kernel.
        let kept = std::slice::from_ref(&manifest);
        assert!(remove_images(&root, "6.1", &[], kept).unwrap().is_empty());
        assert_eq!((image.exists(), manifest.exists()), (true, true));
        assert_eq!(stale(&root), ["6.2"]);
        let removed = remove_images(&root, "6.2", &[], &[]).unwrap();
        assert_eq!(removed, [image.clone(), old_path(&image)]);
        assert!(stale(&root).is_empty());
    }

    #[test]
    fn a_record_stays_while_the_directory_of_an_image_is_missing() {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, root) = (scratch.path(), Root::at(scratch.path()));
        let image = dir.join("efi/linux/6.1.img");
        record(&root, "6.1", &[&image]).unwrap();
        assert!(remove_images(&root, "6.1", &[], &[]).unwrap().is_empty());
        assert_eq!(stale(&root), ["6.1"]);
        put(dir, "efi/linux/6.1.img", "");
        assert_eq!(remove_images(&root, "6.1", &[], &[]).unwrap(), [image]);
        assert!(stale(&root).is_empty());
    }
}
