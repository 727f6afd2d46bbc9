//! image.conf(5): the options of `coldplug image update`.
//!
//! ```text
//! # comment                 also with ';'; only at the start of a line
//! KEY = VALUE               KEY: a long option of `image build` without its dashes
//! KEY =                     takes back what earlier lines say about KEY
//! ```
//!
//! The main file is image.conf in the first of the directories that has one; then come the files
//! image.conf.d/*.conf of all directories in the order of their names. Of two files with one name,
//! that of the first directory is read, and a link to /dev/null is an empty file.
//!
//! ```text
//! etc/coldplug, run/coldplug, usr/local/lib/coldplug, usr/lib/coldplug, lib/coldplug
//! ```

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::escape;
use crate::kmod::Warning;
use crate::sys::moddir;
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{self, Root};

/// Name of the main file.
const NAME: &str = "coldplug/image.conf";

/// One line `KEY = VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The option's long name.
    pub(crate) key: String,
    /// The text after the sign, without spaces around it.
    pub(crate) value: OsString,
    /// The file and the line, as `FILE:LINE`.
    pub(crate) place: String,
}

/// Why the configuration cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfError {
    /// A file cannot be read.
    System(sys::Error),
    /// A line that is no `KEY = VALUE`, with its place.
    NoAssignment {
        /// The file and the line, as `FILE:LINE`.
        place: String,
        /// The line.
        line: String,
    },
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::NoAssignment { place, line } => {
                write!(f, "{place}: '{line}' is not KEY = VALUE")
            }
        }
    }
}

impl std::error::Error for ConfError {}

/// Returns the settings of the configuration below `root`, in their order. `warnings` receives
/// files that are skipped.
///
/// # Errors
///
/// A file cannot be read, or one of its lines is no `KEY = VALUE`.
pub(crate) fn read(root: &Root, warnings: &mut Vec<Warning>) -> Result<Vec<Setting>, ConfError> {
    let mains = moddir::config_dirs(root, NAME);
    let main = mains.into_iter().find(|path| path.symlink_metadata().is_ok());
    let dropins = moddir::conf_files(&moddir::config_dirs(root, "coldplug/image.conf.d"), warnings);
    let mut settings = Vec::new();
    for path in main.into_iter().chain(dropins) {
        let bytes = regular_file::read_or_null(&path, CONFIG_LIMIT).map_err(ConfError::System)?;
        settings.extend(parse(&path, &bytes)?);
    }
    Ok(settings)
}

/// Returns the settings of one file.
///
/// # Errors
///
/// [`ConfError::NoAssignment`]
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Setting>, ConfError> {
    let mut settings = Vec::new();
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        let place = format!("{}:{number}", escape::path(path));
        settings.push(match assignment(line) {
            Some((key, value)) => Setting { key, value: OsStr::from_bytes(value).into(), place },
            None => {
                let line = escape::line(&escape::bytes(line)).into_owned();
                return Err(ConfError::NoAssignment { place, line });
            }
        });
    }
    Ok(settings)
}

/// Splits `KEY = VALUE`.
fn assignment(line: &[u8]) -> Option<(String, &[u8])> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (line[..at].trim_ascii(), line[at + 1..].trim_ascii());
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_key = !key.is_empty() && key.iter().all(is_name);
    is_key.then(|| (String::from_utf8_lossy(key).into_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn lines_are_parsed() {
        let text = b"# comment\n\n ; comment = 1\nmodules=@virtio, ext4 \r\n  init =\n\
            list = /a=b # c\ninit=/\xff\n";
        let settings = parse(Path::new("f"), text).unwrap();
        let found: Vec<_> =
            settings.iter().map(|s| (&*s.key, s.value.as_bytes(), &*s.place)).collect();
        let want: [(_, &[u8], _); 4] = [
            ("modules", b"@virtio, ext4", "f:4"),
            ("init", b"", "f:5"),
            ("list", b"/a=b # c", "f:6"),
            ("init", b"/\xff", "f:7"),
        ];
        assert_eq!(found, want);
        for (text, message) in [
            ("a=1\nquiet", "f:2: 'quiet' is not KEY = VALUE"),
            ("[Image]", "f:1: '[Image]' is not KEY = VALUE"),
            ("= x", "f:1: '= x' is not KEY = VALUE"),
            ("a b = x", "f:1: 'a b = x' is not KEY = VALUE"),
            ("--quiet\x07", "f:1: '--quiet\\x07' is not KEY = VALUE"),
        ] {
            assert_eq!(parse(Path::new("f"), text.as_bytes()).unwrap_err().to_string(), message);
        }
    }

    /// Files of a root, and the values of the settings that are read.
    #[test]
    fn files_are_merged_by_precedence() {
        let etc = "etc/coldplug/image.conf";
        for (files, want) in [
            (&[][..], ""),
            (&["usr/lib/coldplug/image.conf"], "usr/lib/coldplug/image.conf"),
            (&["usr/lib/coldplug/image.conf", "run/coldplug/image.conf", etc], etc),
            (
                &["usr/lib/coldplug/image.conf.d/b.conf", "etc/coldplug/image.conf.d/a.conf", etc],
                "etc/coldplug/image.conf etc/coldplug/image.conf.d/a.conf \
                 usr/lib/coldplug/image.conf.d/b.conf",
            ),
            (
                &["usr/lib/coldplug/image.conf.d/b.conf", "run/coldplug/image.conf.d/b.conf"],
                "run/coldplug/image.conf.d/b.conf",
            ),
            (&["etc/coldplug/image.conf.d/b", "etc/coldplug/image.conf.d/.a.conf"], ""),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            for file in files {
                let path = scratch.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("list = {file}\n")).unwrap();
            }
            let settings = read(&Root::at(scratch.path()), &mut Vec::new()).unwrap();
            let found: Vec<_> = settings.iter().map(|s| s.value.to_str().unwrap()).collect();
            assert_eq!(found.join(" "), want, "{files:?}");
        }
    }

    #[test]
    fn a_masked_file_is_empty_and_a_missing_one_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let path = |name: &str| scratch.path().join(name);
        fs::create_dir_all(path("etc/coldplug/image.conf.d")).unwrap();
        fs::create_dir_all(path("usr/lib/coldplug/image.conf.d")).unwrap();
        fs::write(path("usr/lib/coldplug/image.conf"), "quiet = yes").unwrap();
        fs::write(path("usr/lib/coldplug/image.conf.d/x.conf"), "quiet = yes").unwrap();
        symlink("/dev/null", path("etc/coldplug/image.conf")).unwrap();
        symlink("/dev/null", path("etc/coldplug/image.conf.d/x.conf")).unwrap();
        assert_eq!(read(&root, &mut Vec::new()), Ok(Vec::new()));
        fs::remove_file(path("etc/coldplug/image.conf")).unwrap();
        symlink("nowhere", path("etc/coldplug/image.conf")).unwrap();
        let error = read(&root, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.ends_with("image.conf: No such file or directory"), "{error}");
    }
}
