//! An image of an installed kernel, replaced by a new one.
//!
//! ```text
//! /boot/.NAME.new     a new image, until it has passed the check
//! /boot/NAME          the image that the boot loader starts
//! /boot/NAME.old      the image before, until the new one is in its place and on the medium
//! ```

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstatvfs};
use rustix::io::Errno;

use super::build::Summary;
use super::installed::{new_path, old_path, record, remove};
use super::verify::{Unfit, verify};
use super::{Error, Options, build};
use crate::escape;
use crate::sys::{self, BootTime, Cause, Root, process, regular_file, sysfs};

/// The placeholder for the kernel release in a path.
const RELEASE: &[u8] = b"%v";
/// Programs that Debian's policy for kernels wants to be called after each new image, with the
/// release and the path: those of boot loaders that know images by their place on the disk.
const POST_UPDATE: &str = "etc/initramfs/post-update.d";
/// How long these programs may take together.
const POST_UPDATE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long to wait for another update of images in the same directory.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// How often to look whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Why an image is not updated. The image that was there stays.
#[derive(Debug)]
pub(crate) enum UpdateError {
    /// The new image cannot be built.
    Build(Error),
    /// The new image does not fit beside the one that is there.
    NoSpace {
        /// The image.
        path: PathBuf,
        /// The error of the write.
        cause: Cause,
        /// Size of the new image in bytes, if it could be built for its size alone.
        needed: Option<u64>,
        /// Bytes that are free.
        free: Option<u64>,
    },
    /// The new image is not fit to boot.
    Unfit(PathBuf, Unfit),
    /// Another update of images in this directory does not end.
    Locked(PathBuf),
    /// An operation on a file failed.
    System(sys::Error),
    /// The programs in [`POST_UPDATE`] failed, in these words. The new image is in its place.
    PostUpdate(String),
}

impl UpdateError {
    /// Returns advice for the user, if there is any.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::NoSpace { .. } => Some(
                "the old image is still in its place; remove a kernel that is not used, or choose \
                 modules in /etc/coldplug/image.conf"
                    .to_owned(),
            ),
            Self::Unfit(..) => Some("the old image is still in its place".to_owned()),
            _ => None,
        }
    }
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => error.fmt(f),
            Self::NoSpace { path, cause, needed, free } => {
                write!(f, "write {}: {cause}", escape::path(path))?;
                if let Some(needed) = needed {
                    write!(f, ": {needed} bytes are needed")?;
                }
                match free {
                    Some(free) => write!(f, ", {free} bytes are free"),
                    None => Ok(()),
                }
            }
            Self::Unfit(path, why) => write!(f, "{}: the new image: {why}", escape::path(path)),
            Self::Locked(dir) => {
                write!(f, "{}: another update of images has not ended", escape::path(dir))
            }
            Self::System(error) => error.fmt(f),
            Self::PostUpdate(why) => write!(f, "/{POST_UPDATE}: {why}"),
        }
    }
}

impl std::error::Error for UpdateError {}

impl From<sys::Error> for UpdateError {
    fn from(error: sys::Error) -> Self {
        Self::System(error)
    }
}

/// Returns the path of the image for `release`: `pattern` below `root`, with `%v` replaced.
pub(crate) fn image_path(root: &Root, pattern: &Path, release: &str) -> PathBuf {
    let mut rest = pattern.as_os_str().as_bytes();
    let mut path = Vec::new();
    while let Some(at) = rest.windows(RELEASE.len()).position(|word| word == RELEASE) {
        path.extend(&rest[..at]);
        path.extend(release.as_bytes());
        rest = &rest[at + RELEASE.len()..];
    }
    path.extend(rest);
    root.join(OsString::from_vec(path))
}

/// Returns whether `pattern` is different for each kernel.
pub(crate) fn names_release(pattern: &Path) -> bool {
    pattern.as_os_str().as_bytes().windows(RELEASE.len()).any(|word| word == RELEASE)
}

/// Builds the image of `options` beside the one at its path, checks it, and puts it in its place.
///
/// # Errors
///
/// All of [`UpdateError`]. Except for [`UpdateError::PostUpdate`] the image that was there is still
/// in its place.
pub(crate) fn update(root: &Root, options: &Options) -> Result<Summary, UpdateError> {
    let path = match fs::canonicalize(&options.out) {
        Ok(path) => path,
        Err(_) => options.out.clone(),
    };
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    let _lock = lock(dir, LOCK_TIMEOUT)?;
    let (new, old) = (new_path(&path), old_path(&path));
    // An update that was interrupted has left these.
    remove(&new)?;
    if path.exists() {
        remove(&old)?;
    }
    let unnamed = Options { out: new.clone(), ..options.clone() };
    let built = build(&unnamed).map_err(|error| no_space(error, &path, dir, &unnamed));
    let checked = built.and_then(|summary| match verify(&new, &options.release) {
        Ok(()) => Ok(summary),
        Err(unfit) => Err(UpdateError::Unfit(path.clone(), unfit)),
    });
    let placed = checked.and_then(|summary| {
        record(root, &options.release, &options.out)?;
        replace(&new, &path, &old)?;
        Ok(summary)
    });
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    let summary = Summary { path: path.clone(), ..placed? };
    if root == &Root::default() {
        post_update(&options.release, &path)?;
    }
    Ok(summary)
}

/// Puts the image `new` in the place of `path`, and removes the one that was there when the new one
/// is on the medium.
fn replace(new: &Path, path: &Path, old: &Path) -> sys::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("/"));
    if path.exists() && fs::hard_link(path, old).is_err() {
        // FAT, the filesystem of an ESP, has no hard links.
        fs::rename(path, old).map_err(|e| sys::Error::io("rename", path, &e))?;
    }
    if let Err(error) = fs::rename(new, path) {
        // Of two hard links to one file rename(2) would keep both.
        let _ = if path.exists() { fs::remove_file(old) } else { fs::rename(old, path) };
        return Err(sys::Error::io("rename", path, &error));
    }
    // A power cut must not leave a directory that has neither.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| sys::Error::io("fsync", dir, &e))?;
    remove(old)
}

/// flock(2): locks out other updates of images in `dir` until the file is closed.
fn lock(dir: &Path, timeout: Duration) -> Result<File, UpdateError> {
    let file = File::open(dir).map_err(|e| sys::Error::io("open", dir, &e))?;
    let end = BootTime::now() + timeout;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if BootTime::now() < end => thread::sleep(POLL_INTERVAL),
            Err(Errno::WOULDBLOCK) => return Err(UpdateError::Locked(dir.to_owned())),
            // Some filesystems have no locks.
            _ => return Ok(file),
        }
    }
}

/// Returns the error of an update whose build failed. If there is no space, the image is built once
/// more for its size alone.
fn no_space(error: Error, path: &Path, dir: &Path, options: &Options) -> UpdateError {
    let cause = match &error {
        Error::System(error) => error.cause.clone(),
        _ => return UpdateError::Build(error),
    };
    if !matches!(cause, Cause::Errno(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) {
        return UpdateError::Build(error);
    }
    let null = Path::new("/dev/null");
    let nowhere = Options { out: null.to_owned(), ..options.clone() };
    let needed = regular_file::is_null_device(null).then(|| build(&nowhere).ok()).flatten();
    let free = File::open(dir).ok().and_then(|dir| fstatvfs(dir).ok());
    UpdateError::NoSpace {
        path: path.to_owned(),
        cause,
        needed: needed.map(|summary| summary.bytes),
        free: free.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)),
    }
}

/// Runs the programs in [`POST_UPDATE`] by run-parts(8), if there are any.
fn post_update(release: &str, path: &Path) -> Result<(), UpdateError> {
    let dir = Root::default().join(POST_UPDATE);
    if sysfs::entry_names(&dir).is_empty() {
        return Ok(());
    }
    let failed = |why: String| UpdateError::PostUpdate(why);
    let mut arg = OsString::from("--arg=");
    arg.push(path);
    let mut parts = Command::new("run-parts");
    parts.arg(format!("--arg={release}")).arg(arg).arg(dir).stdin(Stdio::null());
    let mut child =
        parts.spawn().map_err(|e| sys::Error::io("exec", Path::new("run-parts"), &e))?;
    match process::wait_for(&mut child, POST_UPDATE_TIMEOUT) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(failed(format!("run-parts: {status}"))),
        Ok(None) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(failed(format!("not ended after {} s", POST_UPDATE_TIMEOUT.as_secs())))
        }
        Err(error) => Err(failed(Cause::from(&error).to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_one_image_for_each_kernel() {
        let root = Root::at("/r");
        for (pattern, want, is_named) in [
            ("/boot/initrd.img-%v", "/r/boot/initrd.img-6.1", true),
            ("boot/%v/%v.img", "/r/boot/6.1/6.1.img", true),
            ("/boot/initrd", "/r/boot/initrd", false),
            ("/boot/100%", "/r/boot/100%", false),
        ] {
            let pattern = Path::new(pattern);
            assert_eq!(image_path(&root, pattern, "6.1"), Path::new(want));
            assert_eq!(names_release(pattern), is_named);
        }
    }

    #[test]
    fn an_image_is_replaced_with_and_without_hard_links() {
        let scratch = tempfile::tempdir().unwrap();
        let [path, old, new] = ["i", "i.old", ".i.new"].map(|name| scratch.path().join(name));
        assert_eq!((old_path(&path), new_path(&path)), (old.clone(), new.clone()));
        for before in [None, Some("first")] {
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
            fs::write(&new, "first").unwrap();
            replace(&new, &path, &old).unwrap();
            assert_eq!(sysfs::entry_names(scratch.path()), ["i"]);
        }
        // The link fails as on FAT, because there is such a file.
        fs::write(&new, "second").unwrap();
        fs::write(&old, "stale").unwrap();
        replace(&new, &path, &old).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        // Nothing to put there: the old one is back.
        assert!(replace(&new, &path, &old).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(sysfs::entry_names(scratch.path()), ["i"]);
    }

    #[test]
    fn two_updates_exclude_each_other() {
        let scratch = tempfile::tempdir().unwrap();
        let held = lock(scratch.path(), Duration::ZERO).unwrap();
        let error = lock(scratch.path(), Duration::ZERO).unwrap_err();
        assert!(error.to_string().ends_with("another update of images has not ended"), "{error}");
        drop(held);
        lock(scratch.path(), Duration::ZERO).unwrap();
    }
}
