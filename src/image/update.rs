//! An image of an installed kernel, replaced by a new one.
//!
//! ```text
//! /boot/.NAME.new     a new image, until it has passed the check
//! /boot/NAME          the image that the boot loader starts
//! /boot/NAME.old      the image before, until the new one is in its place and on the medium
//! ```
//!
//! The manifest is replaced after the image, in the same way.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, fstatvfs};
use rustix::io::Errno;

use super::build::Progress;
use super::check::{self, Finding, Kind, ReadError, Request, Severity};
use super::installed::{new_path, old_path, record, remove};
use super::summary::Summary;
use super::{Error, Options, build, build_with_progress};
use crate::escape;
use crate::sys::atomic_file::follow_links;
use crate::sys::{self, BootTime, Cause, Root, machine, process, regular_file, sysfs};

/// The placeholder for the kernel release in a path.
const RELEASE: &[u8] = b"%v";
/// Programs that Debian's policy for kernels wants to be called after each new image, with the
/// release and the path: those of boot loaders that know images by their place on the disk.
const POST_UPDATE: &str = "etc/initramfs/post-update.d";
/// How long these programs may take together.
const POST_UPDATE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long to wait for another update of images in the same directory.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// Size in bytes of what the check reads at once.
const BUFFER: usize = 1 << 18;
/// How often to look whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Why an image is not updated. The image that was there stays, unless the variant says otherwise.
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
    /// The new image has these errors.
    Unfit(PathBuf, Vec<Finding>),
    /// The new image cannot be checked.
    Check(ReadError),
    /// Another update of images in this directory does not end.
    Locked(PathBuf),
    /// An operation on a file failed.
    System(sys::Error),
    /// An operation on a file failed. The new image is in its place.
    Replaced(sys::Error),
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
            Self::Unfit(..) => Some(
                "an image that was there is still in its place; 'coldplug image build --configured' \
                 and 'coldplug image check' show more"
                    .to_owned(),
            ),
            Self::Check(error) => error.hint(),
            Self::Replaced(_) | Self::PostUpdate(_) => {
                Some("the new image is in its place".to_owned())
            }
            Self::Locked(_) | Self::System(_) => None,
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
            Self::Unfit(path, errors) => {
                write!(f, "{}: the new image", escape::path(path))?;
                if let Some(Finding { object, text, .. }) = errors.first() {
                    write!(f, ": {object}: {text}")?;
                }
                match errors.len() {
                    0 | 1 => Ok(()),
                    count => write!(f, " (and {} more errors)", count - 1),
                }
            }
            Self::Check(error) => write!(f, "check of the new image: {error}"),
            Self::Locked(dir) => {
                write!(f, "{}: another update of images has not ended", escape::path(dir))
            }
            Self::System(error) | Self::Replaced(error) => error.fmt(f),
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

/// A file that is replaced, and the names beside it that [`update`] uses.
struct Place {
    path: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl Place {
    /// Returns the place of the file that `path` leads to, which need not exist.
    fn of(path: &Path) -> sys::Result<Self> {
        let path = follow_links(path).map_err(|e| sys::Error::io("open", path, &e))?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        if path.metadata().is_ok_and(|file| !file.is_file()) {
            return Err(sys::Error::new("open", escape::path(&path), Cause::NotRegular));
        }
        Ok(Self { new: new_path(&path), old: old_path(&path), path })
    }

    fn dir(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// Puts back the old file if an interrupted update has left no other, and removes what else
    /// that update has left.
    fn restore(&self) -> sys::Result<()> {
        remove(&self.new)?;
        match self.path.exists() || !self.old.exists() {
            true => remove(&self.old),
            false => fs::rename(&self.old, &self.path)
                .map_err(|e| sys::Error::io("rename", &self.old, &e)),
        }
    }

    /// Puts the new file in its place. The old one stays under its other name; after an error it is
    /// in its place.
    fn replace(&self) -> sys::Result<()> {
        let Self { path, new, old } = self;
        if path.exists() && fs::hard_link(path, old).is_err() {
            // FAT, the filesystem of an ESP, has no hard links.
            fs::rename(path, old).map_err(|e| sys::Error::io("rename", path, &e))?;
        }
        if let Err(error) = fs::rename(new, path) {
            // Of two hard links to one file rename(2) would keep both.
            let _ = if path.exists() { fs::remove_file(old) } else { fs::rename(old, path) };
            return Err(sys::Error::io("rename", path, &error));
        }
        Ok(())
    }

    /// Removes the old file when the new one is on the medium: a power cut must not leave a
    /// directory that has neither.
    fn settle(&self) -> sys::Result<()> {
        let dir = self.dir();
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|e| sys::Error::io("fsync", dir, &e))?;
        remove(&self.old)
    }
}

/// Builds the image of `options` beside the one at its path, checks it, and puts it in its place;
/// its manifest too. `progress` is that of [`build_with_progress`].
///
/// # Errors
///
/// All of [`UpdateError`]. Except for [`UpdateError::Replaced`] and [`UpdateError::PostUpdate`] the
/// image that was there is still in its place.
pub(crate) fn update(
    root: &Root,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Summary, UpdateError> {
    let image = Place::of(&options.out)?;
    let manifest = options.manifest.as_deref().map(Place::of).transpose()?;
    let _lock = lock(image.dir(), LOCK_TIMEOUT)?;
    let places = || [Some(&image), manifest.as_ref()].into_iter().flatten();
    places().try_for_each(Place::restore)?;
    let updated = build_and_check(root, options, &image, manifest.as_ref(), progress)
        .and_then(|summary| replace(root, options, &image, manifest.as_ref()).map(|()| summary));
    if updated.is_err() {
        places().for_each(|place| _ = fs::remove_file(&place.new));
    }
    let summary = Summary { path: image.path.clone(), ..updated? };
    if root == &Root::default() {
        post_update(&options.release, &image.path)?;
    }
    Ok(summary)
}

/// Builds and checks the image and its manifest, under the names of new ones. The summary has the
/// warnings of both.
fn build_and_check(
    root: &Root,
    options: &Options,
    image: &Place,
    manifest: Option<&Place>,
    progress: Progress<'_>,
) -> Result<Summary, UpdateError> {
    let out = image.new.clone();
    let manifest = manifest.map(|place| place.new.clone());
    let unnamed = Options { out, manifest, ..options.clone() };
    let summary = build_with_progress(&unnamed, progress)
        .map_err(|error| no_space(error, image, &unnamed))?;
    let notices = checked(root, image, options)?;
    Ok(Summary { notices: [summary.notices, notices].concat(), ..summary })
}

/// Records the image and its manifest, and puts both in their places.
fn replace(
    root: &Root,
    options: &Options,
    image: &Place,
    manifest: Option<&Place>,
) -> Result<(), UpdateError> {
    let paths: Vec<&Path> =
        [Some(&*options.out), options.manifest.as_deref()].into_iter().flatten().collect();
    record(root, &options.release, &paths)?;
    image.replace()?;
    let settled = image.settle().and_then(|()| match manifest {
        Some(manifest) => manifest.replace().and_then(|()| manifest.settle()),
        None => Ok(()),
    });
    settled.map_err(UpdateError::Replaced)
}

/// Checks the new image for its kernel, the machines of the options, and with `host` for the machine
/// below `root`. Returns warnings.
///
/// If there was no image, one in which single modules are wrong is better than none: it boots most
/// machines, and these errors are warnings.
fn checked(root: &Root, image: &Place, options: &Options) -> Result<Vec<String>, UpdateError> {
    let open = || Ok(BufReader::with_capacity(BUFFER, regular_file::open(&image.new)?));
    let host = options.host.then(|| machine::capture(root)).transpose()?;
    let boards: Vec<_> = options.boards.iter().cloned().chain(host).collect();
    let release = Some(&*options.release);
    let request = Request { limit: u64::MAX, release, boards: &boards, cmdline: None };
    let report = check::check(open, request).map_err(UpdateError::Check)?;
    let mut errors = report.findings;
    // Firmware that the root of the build lacks is no reason against the image: the summary names it.
    errors.retain(|e| e.severity == Severity::Error && e.kind != Kind::Firmware);
    let may_be_wrong = !image.path.exists();
    if errors.is_empty() || may_be_wrong && errors.iter().all(|e| e.kind == Kind::Module) {
        return Ok(errors.iter().map(|e| format!("{}: {}", e.object, e.text)).collect());
    }
    Err(UpdateError::Unfit(image.path.clone(), errors))
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
fn no_space(error: Error, image: &Place, options: &Options) -> UpdateError {
    let cause = match &error {
        Error::System(error) => error.cause.clone(),
        _ => return UpdateError::Build(error),
    };
    if !matches!(cause, Cause::Errno(Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) {
        return UpdateError::Build(error);
    }
    let null = Path::new("/dev/null");
    let nowhere = Options { out: null.to_owned(), manifest: None, ..options.clone() };
    let needed = regular_file::is_null_device(null).then(|| build(&nowhere).ok()).flatten();
    let free = File::open(image.dir()).ok().and_then(|dir| fstatvfs(dir).ok());
    UpdateError::NoSpace {
        path: image.path.clone(),
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
        parts.spawn().map_err(|e| failed(format!("exec run-parts: {}", Cause::from(&e))))?;
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
        let place = Place::of(&path).unwrap();
        assert_eq!((&place.path, &place.old, &place.new), (&path, &old, &new));
        let replace = || place.replace().and_then(|()| place.settle());
        for before in [None, Some("first")] {
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
            fs::write(&new, "first").unwrap();
            replace().unwrap();
            assert_eq!(sysfs::entry_names(scratch.path()), ["i"]);
        }
        // The link fails as on FAT, because there is such a file.
        fs::write(&new, "second").unwrap();
        fs::write(&old, "stale").unwrap();
        replace().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        // Nothing to put there: the old one is back.
        assert!(replace().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(sysfs::entry_names(scratch.path()), ["i"]);
    }

    #[test]
    fn what_an_interrupted_update_has_left_is_put_right() {
        let scratch = tempfile::tempdir().unwrap();
        for (left, want) in [
            (&["i", "i.old", ".i.new"][..], "i"),
            (&["i.old", ".i.new"], "i.old"),
            (&["i"], "i"),
            (&[".i.new"], ""),
            (&[], ""),
        ] {
            left.iter().for_each(|name| fs::write(scratch.path().join(name), name).unwrap());
            let path = scratch.path().join("i");
            Place::of(&path).unwrap().restore().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap_or_default(), want, "{left:?}");
            assert_eq!(sysfs::entry_names(scratch.path()).len(), usize::from(!want.is_empty()));
            let _ = fs::remove_file(&path);
        }
    }

    #[test]
    fn a_place_is_behind_links_and_a_regular_file() {
        let scratch = tempfile::tempdir().unwrap();
        let [link, path] = ["link", "file"].map(|name| scratch.path().join(name));
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(Place::of(&link).unwrap().path, path);
        let error = Place::of(Path::new("/dev/null")).err().unwrap();
        assert_eq!(error.to_string(), "open /dev/null: not a regular file");
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
