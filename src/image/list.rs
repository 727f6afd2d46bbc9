//! File lists and module lists: the text files that define the content of an image.
//!
//! File lists have the grammar of the kernel's gen_init_cpio (usr/gen_init_cpio.c):
//!
//! ```text
//! # comment
//! dir   NAME MODE UID GID
//! file  NAME LOCATION MODE UID GID [HARD-LINK…]
//! slink NAME TARGET MODE UID GID
//! nod   NAME MODE UID GID TYPE MAJOR MINOR      TYPE: c or b
//! pipe  NAME MODE UID GID
//! sock  NAME MODE UID GID
//! ```
//!
//! MODE is octal. `${NAME}` in a LOCATION is a variable of the environment. A LOCATION that starts
//! with `@` names a file that the program supplies. A word that starts with `#` after the last
//! field begins a comment.
//! Module lists:
//!
//! ```text
//! # comment
//! NAME|GLOB…              modules, by name or by the path in modules.dep
//! BUS:… GLOB…             those of them that have an alias for a device on one of these buses
//! ```

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::newc::MAX_NAME;

/// Variables of the environment that one location may expand to, also through each other.
const MAX_VARIABLES: usize = 100;
/// Bits of a mode that are not the type.
const PERMISSIONS: u32 = 0o7777;

/// One line of a file list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The line number, from 1.
    pub(crate) number: usize,
    /// The path in the image, without its leading slash.
    pub(crate) name: String,
    /// The other names of a file.
    pub(crate) hard_links: Vec<String>,
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
    /// `pipe`
    Fifo,
    /// `sock`
    Socket,
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
    /// Mode bits other than permissions and the type of the line.
    BadMode(String),
    /// A path that names nothing inside the image.
    BadPath(String),
    /// A name or target that the kernel would skip silently.
    TooLong,
    /// A line with a byte that no name can have.
    Nul,
    /// A line that is not text.
    NotUtf8,
    /// A location whose variables name each other without end.
    EndlessVariable(String),
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
                write!(f, "unknown type '{word}', expected dir, file, slink, nod, pipe or sock")
            }
            Self::Syntax(form) => write!(f, "expected '{form}'"),
            Self::BadMode(mode) => {
                write!(f, "mode {mode} has bits other than 7777 and those of the type")
            }
            Self::TooLong => write!(f, "a name or target is longer than {MAX_NAME} bytes"),
            Self::Nul => f.write_str("the line has a NUL byte"),
            Self::NotUtf8 => f.write_str("not valid UTF-8"),
            Self::EndlessVariable(word) => write!(f, "'{word}' expands without end"),
            Self::BadPath(name) => write!(f, "'{name}' is not a path inside the image"),
            Self::UnknownLocation(word) => write!(f, "no built-in file {word}"),
            Self::BadDeviceType(kind) => write!(f, "device type '{kind}' is neither c nor b"),
            Self::NotANumber(word) => write!(f, "'{word}' is not a number"),
        }
    }
}

impl std::error::Error for LineError {}

/// Returns the value of a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&OsStr) -> Option<OsString>;

/// Parses the file list `file`.
///
/// # Errors
///
/// The first invalid line.
pub(crate) fn parse(
    file: &str,
    text: &[u8],
    environment: Environment<'_>,
) -> Result<Vec<Line>, ListError> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let parsed = parse_line(line, environment);
        let failed = |cause| ListError { file: file.to_owned(), line: number, cause };
        lines.extend(parsed.map_err(failed)?.map(|line| Line { number, ..line }));
    }
    Ok(lines)
}

/// One line of a module list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleLine<'a> {
    /// The starts of aliases, such as `of:`, of which a module must have one; none: any module.
    pub(crate) buses: Vec<&'a str>,
    /// Module names, or globs that match paths in modules.dep.
    pub(crate) names: Vec<&'a str>,
}

/// Returns the lines of a module list.
pub(crate) fn parse_modules(text: &str) -> impl Iterator<Item = ModuleLine<'_>> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| {
        let (buses, names) = words(line).partition(|word| word.ends_with(':'));
        ModuleLine { buses, names }
    })
}

/// Returns the words of a line, separated as by isspace(3).
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t', '\r', '\x0b', '\x0c']).filter(|word| !word.is_empty())
}

/// Parses a line. Returns `None` if it is blank or a comment.
fn parse_line(line: &[u8], environment: Environment<'_>) -> Result<Option<Line>, LineError> {
    if line.trim_ascii_start().starts_with(b"#") {
        return Ok(None);
    }
    if line.contains(&0) {
        return Err(LineError::Nul);
    }
    let line = std::str::from_utf8(line).map_err(|_| LineError::NotUtf8)?;
    let words: Vec<_> = words(line).take_while(|word| !word.starts_with('#')).collect();
    let [keyword, fields @ ..] = &words[..] else { return Ok(None) };
    parse_fields(keyword, fields, environment).map(Some)
}

/// Parses the fields of a line after its type.
fn parse_fields(
    keyword: &str,
    fields: &[&str],
    environment: Environment<'_>,
) -> Result<Line, LineError> {
    let form = match keyword {
        "dir" => "dir NAME MODE UID GID",
        "file" => "file NAME LOCATION MODE UID GID [HARD-LINK…]",
        "slink" => "slink NAME TARGET MODE UID GID",
        "nod" => "nod NAME MODE UID GID TYPE MAJOR MINOR",
        "pipe" => "pipe NAME MODE UID GID",
        "sock" => "sock NAME MODE UID GID",
        word => return Err(LineError::UnknownType(word.to_owned())),
    };
    match (keyword, fields) {
        ("dir", [name, access @ ..]) => line(name, LineKind::Dir, access, 0o040_000, form),
        ("pipe", [name, access @ ..]) => line(name, LineKind::Fifo, access, 0o010_000, form),
        ("sock", [name, access @ ..]) => line(name, LineKind::Socket, access, 0o140_000, form),
        ("file", [name, location, mode, uid, gid, hard_links @ ..]) => {
            let kind = LineKind::File(parse_location(location, environment)?);
            let line = line(name, kind, &[mode, uid, gid], 0o100_000, form)?;
            let hard_links = hard_links.iter().map(|name| parse_name(name));
            Ok(Line { hard_links: hard_links.collect::<Result<_, _>>()?, ..line })
        }
        ("slink", [name, target, access @ ..]) => {
            let kind = LineKind::Link(within_limit(target)?.to_owned());
            line(name, kind, access, 0o120_000, form)
        }
        ("nod", [name, mode, uid, gid, "b", major, minor]) => {
            let kind = LineKind::Block(number(major, 10)?, number(minor, 10)?);
            line(name, kind, &[mode, uid, gid], 0o060_000, form)
        }
        ("nod", [name, mode, uid, gid, "c", major, minor]) => {
            let kind = LineKind::Char(number(major, 10)?, number(minor, 10)?);
            line(name, kind, &[mode, uid, gid], 0o020_000, form)
        }
        ("nod", [_, _, _, _, kind, _, _]) => Err(LineError::BadDeviceType((*kind).to_owned())),
        _ => Err(LineError::Syntax(form)),
    }
}

/// Returns the line for `name` with `access`, which is mode, user ID and group ID. `type_bits` may
/// stand in the mode, as stat(2) returns it.
fn line(
    name: &str,
    kind: LineKind,
    access: &[&str],
    type_bits: u32,
    form: &'static str,
) -> Result<Line, LineError> {
    let [mode, uid, gid] = access else { return Err(LineError::Syntax(form)) };
    let bits = number(mode, 8)?;
    if bits & !(PERMISSIONS | type_bits) != 0 {
        return Err(LineError::BadMode((*mode).to_owned()));
    }
    Ok(Line {
        number: 0,
        name: parse_name(name)?,
        hard_links: Vec::new(),
        mode: bits & PERMISSIONS,
        uid: number(uid, 10)?,
        gid: number(gid, 10)?,
        kind,
    })
}

/// Parses a path of the image into the form of the archive. `..` would leave the image, and an
/// empty path would name the image itself.
fn parse_name(name: &str) -> Result<String, LineError> {
    let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() || parts.contains(&"..") {
        return Err(LineError::BadPath(name.to_owned()));
    }
    within_limit(&parts.join("/")).map(str::to_owned)
}

fn within_limit(name: &str) -> Result<&str, LineError> {
    if name.len() > MAX_NAME { Err(LineError::TooLong) } else { Ok(name) }
}

fn parse_location(word: &str, environment: Environment<'_>) -> Result<Location, LineError> {
    match word {
        "@init" => Ok(Location::Init),
        "@initrd-release" => Ok(Location::InitrdRelease),
        _ if word.starts_with('@') => Err(LineError::UnknownLocation(word.to_owned())),
        path => expand(path, environment).map(Location::Path),
    }
}

/// Replaces every `${NAME}` in a path, also in the values of variables. A variable that is not set
/// is empty.
fn expand(word: &str, environment: Environment<'_>) -> Result<PathBuf, LineError> {
    let mut path = word.as_bytes().to_vec();
    for _ in 0..MAX_VARIABLES {
        let Some((start, end)) = variable(&path) else {
            return Ok(OsString::from_vec(path).into());
        };
        let value = environment(OsStr::from_bytes(&path[start + 2..end])).unwrap_or_default();
        path.splice(start..=end, value.into_vec());
        if path.len() > MAX_NAME {
            break;
        }
    }
    Err(LineError::EndlessVariable(word.to_owned()))
}

/// Returns the positions of the `$` and the `}` of the first `${NAME}`.
fn variable(path: &[u8]) -> Option<(usize, usize)> {
    let start = path.windows(2).position(|bytes| bytes == b"${")?;
    let len = path[start..].iter().position(|byte| *byte == b'}')?;
    Some((start, start + len))
}

fn number(word: &str, radix: u32) -> Result<u32, LineError> {
    u32::from_str_radix(word, radix).map_err(|_| LineError::NotANumber(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &OsStr) -> Option<OsString> {
        let bytes = match name.to_str()? {
            "DIR" => &b"/srv"[..],
            "NESTED" => b"${DIR}/x",
            "LOOP" => b"${LOOP}",
            "GROWING" => b"/a${GROWING}",
            "BYTES" => b"/\xf6",
            _ => return None,
        };
        Some(OsString::from_vec(bytes.to_vec()))
    }

    #[test]
    fn lines_are_parsed() {
        let line = |name: &str, mode, kind| Line {
            number: 1,
            name: name.into(),
            hard_links: Vec::new(),
            mode,
            uid: 1,
            gid: 2,
            kind,
        };
        let file = |path: &str| LineKind::File(Location::Path(path.into()));
        let cases = [
            ("dir /dev 0755 1 2", line("dev", 0o755, LineKind::Dir)),
            ("dir ./a//b/ 1777 1 2", line("a/b", 0o1777, LineKind::Dir)),
            ("file /init @init 755 1 2", line("init", 0o755, LineKind::File(Location::Init))),
            (
                "file e @initrd-release 755 1 2",
                line("e", 0o755, LineKind::File(Location::InitrdRelease)),
            ),
            ("file\te /x/y 644 1 2", line("e", 0o644, file("/x/y"))),
            ("slink /a ../b 777 1 2", line("a", 0o777, LineKind::Link("../b".into()))),
            ("nod /dev/null 0666 1 2 c 1 3", line("dev/null", 0o666, LineKind::Char(1, 3))),
            ("nod sda 0660 1 2 b 8 0", line("sda", 0o660, LineKind::Block(8, 0))),
            ("pipe /run/fifo 0600 1 2", line("run/fifo", 0o600, LineKind::Fifo)),
            ("sock /run/socket 0666 1 2", line("run/socket", 0o666, LineKind::Socket)),
            // The mode as stat(2) has it, and spaces as in files of other systems.
            ("dir /dev 040755 1 2\r", line("dev", 0o755, LineKind::Dir)),
            (" \tfile \x0b e /x 0104755 1 2 \x0c", line("e", 0o4755, file("/x"))),
            ("pipe /p 010600 1 2 # comment", line("p", 0o600, LineKind::Fifo)),
            ("dir /a\u{a0}b 0755 1 2", line("a\u{a0}b", 0o755, LineKind::Dir)),
            ("dir /$DIR/${DIR} 0755 1 2", line("$DIR/${DIR}", 0o755, LineKind::Dir)),
            ("file e ${DIR}/y 644 1 2", line("e", 0o644, file("/srv/y"))),
            ("file e ${NESTED}/${DIR}${NONE} 644 1 2", line("e", 0o644, file("/srv/x//srv"))),
            ("file e /x/$DIR/${DIR 644 1 2", line("e", 0o644, file("/x/$DIR/${DIR"))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("t", text.as_bytes(), &environment).unwrap(), [expected], "{text}");
        }
        let lines = parse("t", b"file e ${BYTES} 644 1 2", &environment).unwrap();
        let location = Location::Path(OsStr::from_bytes(b"/\xf6").into());
        assert_eq!(lines[0].kind, LineKind::File(location));
        let lines = parse("t", b"file /a/b /x 755 0 0 /c ./d# # e", &environment).unwrap();
        assert_eq!(lines[0].hard_links, ["c", "d#"]);
        let nothing = b"# dir /dev 0755 0 0\n\n   \n  # x\n\r\n# \xff \0\n";
        assert_eq!(parse("t", nothing, &environment).unwrap(), []);
    }

    #[test]
    fn invalid_lines_are_reported() {
        let types = "expected dir, file, slink, nod, pipe or sock";
        let long = "x".repeat(4096);
        let cases = [
            ("dir /dev 0755 0", "expected 'dir NAME MODE UID GID'"),
            ("dir /dev 0755 0 0 0", "expected 'dir NAME MODE UID GID'"),
            ("dir", "expected 'dir NAME MODE UID GID'"),
            ("pipe /p 0600 0", "expected 'pipe NAME MODE UID GID'"),
            ("sock", "expected 'sock NAME MODE UID GID'"),
            ("file /init 0755 0 0", "expected 'file NAME LOCATION MODE UID GID [HARD-LINK…]'"),
            ("file /x /y 0755 0 # 0", "expected 'file NAME LOCATION MODE UID GID [HARD-LINK…]'"),
            ("file /x /y 0755 0 0 /z ../v", "'../v' is not a path inside the image"),
            ("nod /dev/x 0600 0 0 p 1 2", "device type 'p' is neither c nor b"),
            ("nod /dev/x 0600 0 0 c 1", "expected 'nod NAME MODE UID GID TYPE MAJOR MINOR'"),
            ("nod /dev/x 0600 0 0 c 1 x", "'x' is not a number"),
            ("dir /dev 0999 0 0", "'0999' is not a number"),
            ("dir /dev 0755 -1 0", "'-1' is not a number"),
            ("dir /dev 17777 0 0", "mode 17777 has bits other than 7777 and those of the type"),
            ("dir /dev 0100755 0 0", "mode 0100755 has bits other than 7777 and those of the type"),
            ("dir / 0755 0 0", "'/' is not a path inside the image"),
            ("dir /a/../../b 0755 0 0", "'/a/../../b' is not a path inside the image"),
            ("file /x @y 0755 0 0", "no built-in file @y"),
            ("file /x ${LOOP} 0755 0 0", "'${LOOP}' expands without end"),
            ("file /x ${GROWING} 0755 0 0", "'${GROWING}' expands without end"),
            ("dir /x\0/y 0755 0 0", "the line has a NUL byte"),
            (&format!("dir /{long} 0755 0 0"), "a name or target is longer than 4095 bytes"),
            (&format!("slink /a {long} 0755 0 0"), "a name or target is longer than 4095 bytes"),
            ("fifo /x 0755 0 0", &format!("unknown type 'fifo', {types}")),
        ];
        for (text, why) in cases {
            let text = format!("# one\n\n{text}\n");
            let error = parse("my.list", text.as_bytes(), &environment).unwrap_err();
            assert_eq!(error.to_string(), format!("my.list line 3: {why}"));
        }
        let error = parse("my.list", b"\ndir /\xff 0755 0 0", &environment).unwrap_err();
        assert_eq!(error.to_string(), "my.list line 2: not valid UTF-8");
    }

    #[test]
    fn module_lists_are_names_and_globs() {
        let text = "# set\nvirtio_blk\n kernel/drivers/ata/*  a b\nof: spi: kernel/c/*\n\n#x\n";
        let line = |buses: &[&'static str], names: &[&'static str]| ModuleLine {
            buses: buses.to_vec(),
            names: names.to_vec(),
        };
        let lines = [
            line(&[], &["virtio_blk"]),
            line(&[], &["kernel/drivers/ata/*", "a", "b"]),
            line(&["of:", "spi:"], &["kernel/c/*"]),
            line(&[], &[]),
        ];
        assert_eq!(parse_modules(text).collect::<Vec<_>>(), lines);
    }
}
