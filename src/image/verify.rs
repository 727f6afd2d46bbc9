//! The check of an image that has just been written.

use std::fmt;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;

use super::newc::Member;
use super::read::{self, ArchiveError};
use super::visitor::Visitor;
use crate::escape;
use crate::sys::{self, regular_file};

/// Size in bytes of what is read at once.
const BUFFER: usize = 1 << 18;

/// Why an image is not fit to boot.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It cannot be opened.
    System(sys::Error),
    /// One of its archives is damaged.
    Damaged(ArchiveError),
    /// It has no /init that is a program or a link.
    NoInit,
    /// It has no modules.dep of this kernel release.
    NoModules(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Damaged(error) => error.fmt(f),
            Self::NoInit => f.write_str("no /init that can be executed"),
            Self::NoModules(release) => {
                write!(f, "no lib/modules/{}/modules.dep", escape::line(release))
            }
        }
    }
}

impl std::error::Error for Unfit {}

/// Reads the image at `path` to its end and checks that it is fit for the kernel `release`: every
/// archive is intact, /init can be executed, and the index of the modules is there.
///
/// # Errors
///
/// All of [`Unfit`].
pub(super) fn verify(path: &Path, release: &str) -> Result<(), Unfit> {
    let file = regular_file::open(path).map_err(Unfit::System)?;
    let index = format!("lib/modules/{release}/modules.dep").into_bytes();
    let mut seen = Seen { index, has_init: false, has_index: false };
    let mut image = BufReader::with_capacity(BUFFER, file);
    read::visit(&mut image, u64::MAX, &mut seen).map_err(Unfit::Damaged)?;
    match (seen.has_init, seen.has_index) {
        (false, _) => Err(Unfit::NoInit),
        (true, false) => Err(Unfit::NoModules(release.to_owned())),
        (true, true) => Ok(()),
    }
}

/// The files of an image that the check looks for.
struct Seen {
    /// Path of the index of the modules.
    index: Vec<u8>,
    has_init: bool,
    has_index: bool,
}

impl Visitor for Seen {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        match name(member) {
            b"init" => self.has_init = can_be_executed(member),
            name if name == self.index => self.has_index = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Returns the path of an entry without a leading `/` or `./`.
fn name(member: &Member) -> &[u8] {
    let name = member.name.strip_prefix(b".").unwrap_or(&member.name);
    name.strip_prefix(b"/").unwrap_or(&member.name)
}

fn can_be_executed(member: &Member) -> bool {
    const EXECUTE: u32 = 0o111;
    // Of several names of a file the last one has its content.
    let has_content = member.size > 0 || member.nlink > 1;
    member.is_link() || (member.is_file() && has_content && member.mode & EXECUTE != 0)
}

#[cfg(test)]
mod tests {
    use super::super::newc::{Entry, Kind, Writer};
    use super::*;

    /// Returns an archive of these names, each with its mode and content.
    fn archive(entries: &[(&str, u32, Kind<'_>)]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 0);
        for (name, mode, kind) in entries {
            let entry = Entry { name: name.as_bytes(), mode: *mode, uid: 0, gid: 0, kind: *kind };
            writer.append(&entry).unwrap();
        }
        writer.finish().unwrap().0
    }

    #[test]
    fn only_a_whole_image_with_an_init_and_an_index_is_fit() {
        const DEP: &str = "lib/modules/6.1/modules.dep";
        let program = || ("init", 0o755, Kind::File(b"\x7fELF"));
        let index = || (DEP, 0o644, Kind::File(b"a.ko:\n"));
        let whole = archive(&[program(), index()]);
        let cut = whole[..whole.len() - 200].to_vec();
        let no_init = "no /init that can be executed";
        let no_index = "no lib/modules/6.1/modules.dep";
        for (what, image, want) in [
            ("whole", whole.clone(), ""),
            ("link", archive(&[("init", 0o777, Kind::Link(b"bin/x")), index()]), ""),
            ("two archives", [archive(&[program()]), archive(&[index()])].concat(), ""),
            ("cut", cut, "archive at offset 0: "),
            ("junk at the end", [whole, b"junk".to_vec()].concat(), "archive at offset "),
            ("no init", archive(&[index()]), no_init),
            ("a directory", archive(&[("init", 0o755, Kind::Dir), index()]), no_init),
            ("no x", archive(&[("init", 0o644, Kind::File(b"x")), index()]), no_init),
            ("empty", archive(&[("init", 0o755, Kind::File(b"")), index()]), no_init),
            ("no index", archive(&[program()]), no_index),
            ("no modules", archive(&[program(), (DEP, 0o644, Kind::File(b""))]), ""),
            ("nothing", Vec::new(), no_init),
        ] {
            let scratch = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(scratch.path(), image).unwrap();
            let found = verify(scratch.path(), "6.1").err().map(|e| e.to_string());
            match found {
                None => assert_eq!(want, "", "{what}"),
                Some(text) => assert!(!want.is_empty() && text.starts_with(want), "{what}: {text}"),
            }
        }
    }
}
