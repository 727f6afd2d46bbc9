//! `coldplug image update` and `coldplug image remove`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::super::args::Args;
use super::super::message::Error;
use super::super::progress::Progress;
use super::super::usage::{Opt, Usage};
use super::super::{args, message, out};
use super::{Command, settings};
use crate::escape;
use crate::image::update::{self, UpdateError};
use crate::image::{Options, installed};
use crate::sys::Root;

/// Path of an image if image.conf names none.
const OUTPUT: &str = "/boot/initrd.img-%v";

/// A parsed command line of either.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The release, or `None` for all installed kernels.
    release: Option<String>,
    output: Option<PathBuf>,
    root: PathBuf,
    quiet: bool,
}

pub(super) static USAGE: Usage =
    Usage::new("image update", "build the images of the installed kernels as image.conf says")
        .text(
            "[option…]\n\n\
     Checks each image before it replaces the one that is there. If that fails or there is no \
     space, the old image stays. Images that were written for kernels which are not installed any \
     more are removed.",
        )
        .options(&[
            Opt('k', "kernel=RELEASE|all: only the image of this kernel; with 'all' those of every installed one (default)"),
            OUTPUT_OPTION,
            ROOT_OPTION,
            QUIET_OPTION,
        ]);

pub(super) static USAGE_OF_REMOVE: Usage =
    Usage::new("image remove", "remove the image that was written for a kernel")
        .text("-k RELEASE [option…]")
        .options(&[
            Opt('k', "kernel=RELEASE: release of the kernel"),
            OUTPUT_OPTION,
            ROOT_OPTION,
            QUIET_OPTION,
        ]);

const OUTPUT_OPTION: Opt = Opt(
    'o',
    "output=OUT: path of the images, with %v for the release (default: as in image.conf, else \
     /boot/initrd.img-%v); '%v' may be missing if there is one kernel",
);
const ROOT_OPTION: Opt =
    Opt('r', "root=DIR: the system below DIR, with its image.conf (default: /)");
const QUIET_OPTION: Opt = Opt('q', "quiet: print no summary");

/// Parses the options after `update`.
pub(super) fn parse(args: Args) -> Result<Command, Error> {
    Ok(Command::Update(request(args)?))
}

/// Parses the options after `remove`.
pub(super) fn parse_remove(args: Args) -> Result<Command, Error> {
    match request(args)? {
        Request { release: None, .. } => Err(super::usage("--kernel RELEASE is missing")),
        request => Ok(Command::Remove(request)),
    }
}

/// Parses the options of both.
fn request(mut args: Args) -> Result<Request, Error> {
    let mut request = Request { release: None, output: None, root: "/".into(), quiet: false };
    while let Some((name, value)) = args.next_named()? {
        match name {
            "kernel" => {
                let release = args::release(value)?;
                request.release = (release != "all").then_some(release);
            }
            "output" => request.output = Some(output(value.into())?),
            "root" => request.root = value.into(),
            "quiet" => request.quiet = true,
            _ => return Err(Error::unexpected(&value)),
        }
    }
    Ok(request)
}

/// Checks the path of an image.
fn output(path: PathBuf) -> Result<PathBuf, Error> {
    match is_path_of_file(&path) {
        true => Ok(path),
        false => Err(super::usage(&format!(
            "--output '{}' is not the absolute path of a file",
            escape::line(&escape::path(&path))
        ))),
    }
}

/// Returns whether `path` is the absolute path of a file: a kernel package runs `update` in any
/// directory.
pub(super) fn is_path_of_file(path: &Path) -> bool {
    path.is_absolute() && path.file_name().is_some()
}

/// What both need: the root, what to build, and where the images are.
struct Setup {
    root: Root,
    options: Options,
    /// Path of an image, with a placeholder for the release.
    pattern: PathBuf,
    quiet: bool,
}

impl Setup {
    /// Reads image.conf.
    fn read(request: &Request) -> Result<Self, Error> {
        let root = Root::at(&request.root);
        let mut build = settings::read(&root)?;
        build.complete()?;
        build.options.root.clone_from(&request.root);
        let configured = Some(&build.options.out).filter(|out| !out.as_os_str().is_empty());
        let pattern = request.output.as_ref().or(configured);
        let pattern = pattern.map_or_else(|| PathBuf::from(OUTPUT), PathBuf::clone);
        if build.options.manifest.as_ref() == Some(&pattern) {
            let path = escape::path(&pattern).into_owned();
            return Err(Error::Failed(format!("{path}: both the image and its manifest")));
        }
        let quiet = request.quiet || build.quiet;
        Ok(Self { root, options: build.options, pattern, quiet })
    }

    /// Returns the path of the image for `release`.
    fn image(&self, release: &str) -> PathBuf {
        update::image_path(&self.root, &self.pattern, release)
    }

    /// Returns the path of the manifest of the image for `release`, if there is to be one.
    fn manifest(&self, release: &str) -> Option<PathBuf> {
        let pattern = self.options.manifest.as_ref()?;
        Some(update::image_path(&self.root, pattern, release))
    }

    /// Returns the paths of the image and of the manifest for `release`.
    fn paths(&self, release: &str) -> Vec<PathBuf> {
        [self.image(release)].into_iter().chain(self.manifest(release)).collect()
    }

    /// Checks that the images and manifests of several kernels have paths of their own.
    fn check_patterns(&self, kernels: usize) -> Result<(), Error> {
        let manifest = self.options.manifest.as_ref().map(|path| ("manifest", path));
        let mut patterns = [("output", &self.pattern)].into_iter().chain(manifest);
        match patterns.find(|(_, path)| kernels > 1 && !update::names_release(path)) {
            None => Ok(()),
            Some((key, _)) => {
                let what = if key == "output" { "images" } else { "manifests" };
                Err(Error::Hinted(
                    format!("{kernels} kernels, and one path for their {what}"),
                    format!("put %v, the kernel release, into the {key} of image.conf"),
                ))
            }
        }
    }

    fn say(&self, text: &str) {
        if !self.quiet {
            out::line(text);
        }
    }

    /// Updates the image of one kernel. Returns whether that worked; if not, the error is printed.
    fn update(&self, release: &str) -> bool {
        let options = Options {
            release: release.to_owned(),
            out: self.image(release),
            manifest: self.manifest(release),
            ..self.options.clone()
        };
        let mut bar = Progress::new(!self.quiet && io::stderr().is_terminal());
        let mut progress = |label, done, total| bar.update(label, done, total);
        match update::update(&self.root, &options, &mut progress) {
            Ok(summary) => {
                for notice in &summary.notices {
                    message::warn("image", notice);
                }
                self.say(&summary.to_string());
                true
            }
            Err(error) => {
                report(&error);
                false
            }
        }
    }

    /// Removes what was written for one kernel, and the files at `paths`; not those of `kept`.
    fn remove(&self, release: &str, paths: &[PathBuf], kept: &[PathBuf]) -> Result<(), Error> {
        let removed = installed::remove_images(&self.root, release, paths, kept)?;
        for path in removed {
            self.say(&format!("{}: removed", escape::path(&path)));
        }
        Ok(())
    }

    /// Removes what was written for kernels that are gone, except for the paths of those in
    /// `releases`. Returns whether that worked; if not, the errors are printed.
    fn remove_stale(&self, releases: &[String]) -> bool {
        let kept: Vec<_> = releases.iter().flat_map(|release| self.paths(release)).collect();
        let mut done = true;
        for release in installed::stale(&self.root) {
            if let Err(error) = self.remove(&release, &[], &kept) {
                error.print("image");
                done = false;
            }
        }
        done
    }
}

fn report(error: &UpdateError) {
    message::warn("image", &error.to_string());
    if let Some(hint) = error.hint() {
        message::hint(&hint);
    }
}

/// Updates the images that the request names. One that fails does not keep the others from being
/// updated. Images of kernels that are gone are removed first, which makes space.
pub(super) fn update(request: &Request) -> Result<(), Error> {
    let setup = Setup::read(request)?;
    let releases = match &request.release {
        Some(release) => vec![release.clone()],
        None => installed::releases(&setup.root),
    };
    let is_clean = request.release.is_some() || setup.remove_stale(&releases);
    setup.check_patterns(releases.len())?;
    if releases.is_empty() {
        message::warn("image", "no kernel is installed, so there is no image to update");
    }
    let done: Vec<bool> = releases.iter().map(|release| setup.update(release)).collect();
    Error::unless(is_clean && done.iter().all(|done| *done))
}

/// Removes the image of the kernel that the request names.
pub(super) fn remove(request: &Request) -> Result<(), Error> {
    let setup = Setup::read(request)?;
    let release = request.release.as_deref().unwrap_or_default();
    // A file at a path without a release may be that of another kernel.
    let image = update::names_release(&setup.pattern).then(|| setup.image(release));
    let manifest = setup.options.manifest.as_deref().is_some_and(update::names_release);
    let manifest = manifest.then(|| setup.manifest(release)).flatten();
    let paths: Vec<_> = image.into_iter().chain(manifest).collect();
    setup.remove(release, &paths, &[])
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn command_lines_are_parsed() {
        let parsed = |line: &str| {
            let words = format!("image {line}");
            let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            parse(&words).map_err(|error| error.to_string())
        };
        let update = |line| match parsed(line) {
            Ok(Command::Update(request)) => request,
            other => panic!("{line}: {other:?}"),
        };
        let all = Request { release: None, output: None, root: "/".into(), quiet: false };
        assert_eq!(update("update"), all);
        assert_eq!(update("update -k all"), all);
        let request = update("update -qk 6.1 -o /efi/%v -r /r");
        assert_eq!((request.release.as_deref(), request.quiet), (Some("6.1"), true));
        assert_eq!(request.output.as_deref(), Some(Path::new("/efi/%v")));
        for (line, want) in [
            ("remove", "--kernel RELEASE is missing"),
            ("remove -k all", "--kernel RELEASE is missing"),
            ("update -k ../x", "--kernel '../x' is not a release"),
            ("update -o x", "--output 'x' is not the absolute path of a file"),
            ("update -o /", "--output '/' is not the absolute path of a file"),
            ("update --modules x", "unrecognized option '--modules'"),
            ("update x", "unexpected argument 'x'"),
        ] {
            assert_eq!(parsed(line).unwrap_err(), want);
        }
    }
}
