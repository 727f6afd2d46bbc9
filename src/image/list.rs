//! File lists and module lists: the text files that define the content of an image.
//!
//! File lists have the grammar of the kernel's gen_init_cpio (usr/gen_init_cpio.c):
//!
//! ```text
//! # comment
//! dir   NAME MODE UID GID
//! file  NAME LOCATION MODE UID GID
//! slink NAME TARGET MODE UID GID
//! nod   NAME MODE UID GID TYPE MAJOR MINOR      TYPE: c or b
//! ```
//!
//! MODE is octal. A LOCATION that starts with `@` names a file that the program supplies.
//! A line of a module list has module names, or globs that match paths in modules.dep.

use std::fmt;
use std::path::PathBuf;

/// One line of a file list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The path in the image, without its leading slash.
    pub(crate) name: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// User ID of the owner.
    pub(crate) uid: u32,
    /// Group ID of the owner.
    pub(crate) gid: u32,
    /// The type, with the fields that only this type has.
    pub(crate) kind: LineKind,
}

/// The type of a line, with the fields that only this type has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// `dir`
    Dir,
    /// `file`
    File(Location),
    /// `slink` with its target
    Link(String),
    /// `nod … c` with major and minor number
    Char(u32, u32),
    /// `nod … b` with major and minor number
    Block(u32, u32),
}

/// The source of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `@init`: the program that becomes /init.
    Init,
    /// `@initrd-release`: the file of this name that the program supplies.
    InitrdRelease,
    /// A path on the build machine.
    Path(PathBuf),
}

/// An invalid line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListError {
    /// The path of the list, or its name if it is built in.
    pub(crate) file: String,
    /// The line number, from 1.
    pub(crate) line: usize,
    /// The fault of the line.
    pub(crate) cause: LineError,
}

/// The fault of a line, with the word at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineError {
    /// A first word that is not a type.
    UnknownType(String),
    /// Too few or too many words for the type; the expected form.
    Syntax(&'static str),
    /// Permission bits above 7777.
    ModeTooLarge(String),
    /// A path that names nothing inside the image.
    BadPath(String),
    /// A word with `@` for which there is no file.
    UnknownLocation(String),
    /// A device type other than c and b.
    BadDeviceType(String),
    /// A mode, an ID or a device number that is not a number.
    NotANumber(String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.cause)
    }
}

impl std::error::Error for ListError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(word) => {
                write!(f, "unknown type '{word}', expected dir, file, slink or nod")
            }
            Self::Syntax(form) => write!(f, "expected '{form}'"),
            Self::ModeTooLarge(mode) => write!(f, "mode {mode} is larger than 7777"),
            Self::BadPath(name) => write!(f, "'{name}' is not a path inside the image"),
            Self::UnknownLocation(word) => write!(f, "no built-in file {word}"),
            Self::BadDeviceType(kind) => write!(f, "device type '{kind}' is neither c nor b"),
            Self::NotANumber(word) => write!(f, "'{word}' is not a number"),
        }
    }
}

impl std::error::Error for LineError {}

/// Parses the file list `file`.
///
/// # Errors
///
/// The first invalid line.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Line>, ListError> {
    numbered(text)
        .map(|(line, words)| {
            parse_line(&words).map_err(|cause| ListError { file: file.to_owned(), line, cause })
        })
        .collect()
}

/// Returns the entries of a module list: names and globs.
pub(crate) fn parse_modules(text: &str) -> impl Iterator<Item = &str> {
    numbered(text).flat_map(|(_, words)| words)
}

/// Returns the words of each line that is neither empty nor a comment, with its line number.
fn numbered(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| words.first().is_some_and(|word| !word.starts_with('#')))
}

fn parse_line(words: &[&str]) -> Result<Line, LineError> {
    let [keyword, fields @ ..] = words else { return Err(LineError::Syntax("TYPE NAME …")) };
    let form = match *keyword {
        "dir" => "dir NAME MODE UID GID",
        "file" => "file NAME LOCATION MODE UID GID",
        "slink" => "slink NAME TARGET MODE UID GID",
        "nod" => "nod NAME MODE UID GID TYPE MAJOR MINOR",
        word => return Err(LineError::UnknownType(word.to_owned())),
    };
    match (*keyword, fields) {
        ("dir", [name, mode, uid, gid]) => line(name, LineKind::Dir, [mode, uid, gid]),
        ("file", [name, location, mode, uid, gid]) => {
            line(name, LineKind::File(parse_location(location)?), [mode, uid, gid])
        }
        ("slink", [name, target, mode, uid, gid]) => {
            line(name, LineKind::Link((*target).to_owned()), [mode, uid, gid])
        }
        ("nod", [name, mode, uid, gid, kind, major, minor]) => {
            let kind = parse_device(kind, number(major, 10)?, number(minor, 10)?)?;
            line(name, kind, [mode, uid, gid])
        }
        _ => Err(LineError::Syntax(form)),
    }
}

fn line(name: &str, kind: LineKind, [mode, uid, gid]: [&str; 3]) -> Result<Line, LineError> {
    let bits = number(mode, 8)?;
    if bits > 0o7777 {
        return Err(LineError::ModeTooLarge(mode.to_owned()));
    }
    let name = parse_name(name)?;
    Ok(Line { name, mode: bits, uid: number(uid, 10)?, gid: number(gid, 10)?, kind })
}

/// Parses a path of the image into the form of the archive. `..` would leave the image, and an
/// empty path would name the image itself.
fn parse_name(name: &str) -> Result<String, LineError> {
    let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return Err(LineError::BadPath(name.to_owned()));
    }
    Ok(parts.join("/"))
}

fn parse_location(word: &str) -> Result<Location, LineError> {
    match word {
        "@init" => Ok(Location::Init),
        "@initrd-release" => Ok(Location::InitrdRelease),
        _ if word.starts_with('@') => Err(LineError::UnknownLocation(word.to_owned())),
        path => Ok(Location::Path(path.into())),
    }
}

fn parse_device(kind: &str, major: u32, minor: u32) -> Result<LineKind, LineError> {
    match kind {
        "c" => Ok(LineKind::Char(major, minor)),
        "b" => Ok(LineKind::Block(major, minor)),
        _ => Err(LineError::BadDeviceType(kind.to_owned())),
    }
}

fn number(word: &str, radix: u32) -> Result<u32, LineError> {
    u32::from_str_radix(word, radix).map_err(|_| LineError::NotANumber(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let line = |name: &str, mode, kind| Line { name: name.into(), mode, uid: 1, gid: 2, kind };
        let cases = [
            ("dir /dev 0755 1 2", line("dev", 0o755, LineKind::Dir)),
            ("dir ./a//b/ 1777 1 2", line("a/b", 0o1777, LineKind::Dir)),
            ("file /init @init 755 1 2", line("init", 0o755, LineKind::File(Location::Init))),
            (
                "file e @initrd-release 755 1 2",
                line("e", 0o755, LineKind::File(Location::InitrdRelease)),
            ),
            (
                "file\te /x/y 644 1 2",
                line("e", 0o644, LineKind::File(Location::Path("/x/y".into()))),
            ),
            ("slink /a ../b 777 1 2", line("a", 0o777, LineKind::Link("../b".into()))),
            ("nod /dev/null 0666 1 2 c 1 3", line("dev/null", 0o666, LineKind::Char(1, 3))),
            ("nod sda 0660 1 2 b 8 0", line("sda", 0o660, LineKind::Block(8, 0))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("t", text).unwrap(), [expected], "{text}");
        }
        assert_eq!(parse("t", "# dir /dev 0755 0 0\n\n   \n  # x\n").unwrap(), []);
    }

    #[test]
    fn invalid_lines_are_reported() {
        let cases = [
            ("dir /dev 0755 0", "expected 'dir NAME MODE UID GID'"),
            ("dir /dev 0755 0 0 0", "expected 'dir NAME MODE UID GID'"),
            ("dir", "expected 'dir NAME MODE UID GID'"),
            ("file /init 0755 0 0", "expected 'file NAME LOCATION MODE UID GID'"),
            ("nod /dev/x 0600 0 0 p 1 2", "device type 'p' is neither c nor b"),
            ("nod /dev/x 0600 0 0 c 1", "expected 'nod NAME MODE UID GID TYPE MAJOR MINOR'"),
            ("dir /dev 0999 0 0", "'0999' is not a number"),
            ("dir /dev 17777 0 0", "mode 17777 is larger than 7777"),
            ("dir / 0755 0 0", "'/' is not a path inside the image"),
            ("dir /a/../../b 0755 0 0", "'/a/../../b' is not a path inside the image"),
            ("file /x @y 0755 0 0", "no built-in file @y"),
            ("pipe /x 0755 0 0", "unknown type 'pipe', expected dir, file, slink or nod"),
        ];
        for (text, why) in cases {
            let error = parse("my.list", &format!("# one\n\n{text}\n")).unwrap_err();
            assert_eq!(error.to_string(), format!("my.list line 3: {why}"));
        }
    }

    #[test]
    fn module_lists_are_names_and_globs() {
        let text = "# set\nvirtio_blk\n kernel/drivers/ata/*  \n\n#x\n";
        assert_eq!(parse_modules(text).collect::<Vec<_>>(), ["virtio_blk", "kernel/drivers/ata/*"]);
    }
}
