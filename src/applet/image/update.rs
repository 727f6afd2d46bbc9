//! `coldplug image update` and `coldplug image remove`.

use std::path::{Path, PathBuf};

use super::super::message::Error;
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

/// Parses the options after `update`.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    Ok(request(parser)?.map_or(Command::Help, Command::Update))
}

/// Parses the options after `remove`.
pub(super) fn parse_remove(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    match request(parser)? {
        None => Ok(Command::Help),
        Some(Request { release: None, .. }) => Err(super::usage("--kernel RELEASE is missing")),
        Some(request) => Ok(Command::Remove(request)),
    }
}

/// Parses the options of both; `None` asks for help.
fn request(parser: &mut lexopt::Parser) -> Result<Option<Request>, Error> {
    use lexopt::Arg::{Long, Short};
    let mut request = Request { release: None, output: None, root: "/".into(), quiet: false };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(None),
            Long("kernel") | Short('k') => {
                let release = args::release(parser.value()?)?;
                request.release = (release != "all").then_some(release);
            }
            Long("output") | Short('o') => request.output = Some(output(parser.value()?.into())?),
            Long("root") | Short('r') => request.root = parser.value()?.into(),
            Long("quiet") | Short('q') => request.quiet = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(request))
}

/// Checks the path of an image: a kernel package runs this in any directory.
fn output(path: PathBuf) -> Result<PathBuf, Error> {
    match path.is_absolute() && path.file_name().is_some() {
        true => Ok(path),
        false => Err(super::usage(&format!(
            "--output '{}' is not the absolute path of a file",
            escape::line(&escape::path(&path))
        ))),
    }
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
        let pattern = match (&request.output, configured) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => output(path.clone())?,
            (None, None) => PathBuf::from(OUTPUT),
        };
        let quiet = request.quiet || build.quiet;
        Ok(Self { root, options: build.options, pattern, quiet })
    }

    /// Returns the path of the image for `release`.
    fn image(&self, release: &str) -> PathBuf {
        update::image_path(&self.root, &self.pattern, release)
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
            ..self.options.clone()
        };
        match update::update(&self.root, &options) {
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

    /// Removes the images of one kernel; that at `path` too.
    fn remove(&self, release: &str, path: Option<&Path>) -> Result<(), Error> {
        let removed = installed::remove_images(&self.root, release, path)?;
        for path in removed {
            self.say(&format!("{}: removed", escape::path(&path)));
        }
        Ok(())
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
    if request.release.is_none() {
        for release in installed::stale(&setup.root) {
            setup.remove(&release, None)?;
        }
    }
    if releases.len() > 1 && !update::names_release(&setup.pattern) {
        return Err(Error::Hinted(
            format!("{} kernels, and one path for their images", releases.len()),
            "put %v, the kernel release, into the output of image.conf".to_owned(),
        ));
    }
    if releases.is_empty() {
        message::warn("image", "no kernel is installed, so there is no image to update");
    }
    let done: Vec<bool> = releases.iter().map(|release| setup.update(release)).collect();
    Error::unless(done.iter().all(|done| *done))
}

/// Removes the image of the kernel that the request names.
pub(super) fn remove(request: &Request) -> Result<(), Error> {
    let setup = Setup::read(request)?;
    let release = request.release.as_deref().unwrap_or_default();
    // An image at a path without a release may be that of another kernel.
    let path = update::names_release(&setup.pattern).then(|| setup.image(release));
    setup.remove(release, path.as_deref())
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
            parse(words.into_iter()).map_err(|error| error.to_string())
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
            ("update --modules x", "invalid option '--modules'"),
            ("update x", "unexpected argument \"x\""),
        ] {
            assert_eq!(parsed(line).unwrap_err(), want);
        }
    }
}
