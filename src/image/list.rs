//! Readable lists: what an image consists of.
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
//! MODE is octal. A LOCATION that starts with `@` is something the builder carries in itself.
//! Module lists hold a module name or a glob over the paths in modules.dep a line.

use std::fmt;
use std::path::PathBuf;

/// One line of a file list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The path in the image, without its leading slash.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// What it is.
    pub what: What,
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `dir`
    Dir,
    /// `file`
    File(Location),
    /// `slink` and its target
    Link(String),
    /// `nod … c` with major and minor number
    Char(u32, u32),
    /// `nod … b` with major and minor number
    Block(u32, u32),
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `@init`: the program that the image is for.
    Init,
    /// `@initrd-release`: the file of that name that the builder carries.
    InitrdRelease,
    /// A path on the build machine.
    Path(PathBuf),
}

/// A line that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The list, as the caller named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file, self.line, self.why)
    }
}

impl std::error::Error for ListError {}

/// The lines of a file list called `file`.
///
/// # Errors
///
/// The first line that does not follow the grammar.
pub fn parse(file: &str, text: &str) -> Result<Vec<Line>, ListError> {
    numbered(text)
        .map(|(line, words)| {
            parse_line(&words).map_err(|why| ListError { file: file.to_owned(), line, why })
        })
        .collect()
}

/// The entries of a module list: names and globs.
pub fn parse_modules(text: &str) -> impl Iterator<Item = &str> {
    numbered(text).flat_map(|(_, words)| words)
}

/// Lines that say something, as words, with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| words.first().is_some_and(|word| !word.starts_with('#')))
}

fn parse_line(words: &[&str]) -> Result<Line, String> {
    let (name, what, owner) = match *words {
        ["dir", name, ref owner @ ..] => (name, What::Dir, owner),
        ["file", name, location, ref owner @ ..] => {
            (name, What::File(parse_location(location)?), owner)
        }
        ["slink", name, target, ref owner @ ..] => (name, What::Link(target.to_owned()), owner),
        ["nod", name, mode, uid, gid, kind, major, minor] => {
            let what = parse_device(kind, number(major, 10)?, number(minor, 10)?)?;
            return line(name, what, [mode, uid, gid]);
        }
        ["dir" | "file" | "slink" | "nod", ..] => return Err(usage(words[0])),
        [word, ..] => return Err(format!("unknown type '{word}': not dir, file, slink or nod")),
        [] => return Err("empty line".to_owned()),
    };
    let owner = <[&str; 3]>::try_from(owner).map_err(|_| usage(words[0]))?;
    line(name, what, owner)
}

fn usage(word: &str) -> String {
    let form = match word {
        "dir" => "dir NAME MODE UID GID",
        "file" => "file NAME LOCATION MODE UID GID",
        "slink" => "slink NAME TARGET MODE UID GID",
        _ => "nod NAME MODE UID GID TYPE MAJOR MINOR",
    };
    format!("expected '{form}'")
}

fn line(name: &str, what: What, [mode, uid, gid]: [&str; 3]) -> Result<Line, String> {
    let bits = number(mode, 8)?;
    if bits > 0o7777 {
        return Err(format!("mode {mode} is larger than 7777"));
    }
    let name = parse_name(name)?;
    Ok(Line { name, mode: bits, uid: number(uid, 10)?, gid: number(gid, 10)?, what })
}

/// A path as the archive has it; `..` would leave the image, an empty one is the image itself.
fn parse_name(name: &str) -> Result<String, String> {
    let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return Err(format!("'{name}' does not name anything within the image"));
    }
    Ok(parts.join("/"))
}

fn parse_location(word: &str) -> Result<Location, String> {
    match word {
        "@init" => Ok(Location::Init),
        "@initrd-release" => Ok(Location::InitrdRelease),
        _ if word.starts_with('@') => Err(format!("nothing is called {word}")),
        path => Ok(Location::Path(path.into())),
    }
}

fn parse_device(kind: &str, major: u32, minor: u32) -> Result<What, String> {
    match kind {
        "c" => Ok(What::Char(major, minor)),
        "b" => Ok(What::Block(major, minor)),
        _ => Err(format!("device type '{kind}' is neither c nor b")),
    }
}

fn number(word: &str, radix: u32) -> Result<u32, String> {
    u32::from_str_radix(word, radix).map_err(|_| format!("'{word}' is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = |name: &str, mode, what| Line { name: name.into(), mode, uid: 1, gid: 2, what };
        let cases = [
            ("dir /dev 0755 1 2", line("dev", 0o755, What::Dir)),
            ("dir ./a//b/ 1777 1 2", line("a/b", 0o1777, What::Dir)),
            ("file /init @init 755 1 2", line("init", 0o755, What::File(Location::Init))),
            (
                "file e @initrd-release 755 1 2",
                line("e", 0o755, What::File(Location::InitrdRelease)),
            ),
            ("file\te /x/y 644 1 2", line("e", 0o644, What::File(Location::Path("/x/y".into())))),
            ("slink /a ../b 777 1 2", line("a", 0o777, What::Link("../b".into()))),
            ("nod /dev/null 0666 1 2 c 1 3", line("dev/null", 0o666, What::Char(1, 3))),
            ("nod sda 0660 1 2 b 8 0", line("sda", 0o660, What::Block(8, 0))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("t", text).unwrap(), [expected], "{text}");
        }
        assert_eq!(parse("t", "# dir /dev 0755 0 0\n\n   \n  # x\n").unwrap(), []);
    }

    #[test]
    fn bad_lines_are_named() {
        let cases = [
            ("dir /dev 0755 0", "expected 'dir NAME MODE UID GID'"),
            ("dir /dev 0755 0 0 0", "expected 'dir NAME MODE UID GID'"),
            ("dir", "expected 'dir NAME MODE UID GID'"),
            ("file /init 0755 0 0", "expected 'file NAME LOCATION MODE UID GID'"),
            ("nod /dev/x 0600 0 0 p 1 2", "device type 'p' is neither c nor b"),
            ("nod /dev/x 0600 0 0 c 1", "expected 'nod NAME MODE UID GID TYPE MAJOR MINOR'"),
            ("dir /dev 0999 0 0", "'0999' is no number"),
            ("dir /dev 17777 0 0", "mode 17777 is larger than 7777"),
            ("dir / 0755 0 0", "'/' does not name anything within the image"),
            ("dir /a/../../b 0755 0 0", "'/a/../../b' does not name anything within the image"),
            ("file /x @y 0755 0 0", "nothing is called @y"),
            ("pipe /x 0755 0 0", "unknown type 'pipe': not dir, file, slink or nod"),
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
