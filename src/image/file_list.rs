//! The file list of an image: files, links and device nodes besides modules and firmware. Its grammar
//! is in [`list`].

use std::io::Read;
use std::path::Path;

use super::manifest::{Content, Manifest, Node};
use super::{Error, Options, list, sets, source};
use crate::escape;
use crate::sys;
use crate::sys::regular_file;

/// Longest file list in bytes.
const LIMIT: usize = 64 << 20;

/// A parsed file list.
pub(super) struct FileList {
    /// Its name in messages.
    file: String,
    lines: Vec<list::Line>,
}

impl FileList {
    /// Reads the file list of a build; `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be read, or a line is invalid.
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let file = match &options.list {
            None => "base.list".to_owned(),
            Some(path) if path.as_os_str() == "-" => "standard input".to_owned(),
            Some(path) => escape::path(path).into_owned(),
        };
        let text = text(options.list.as_deref())?;
        let lines = list::parse(&file, &text, &|name| std::env::var_os(name))?;
        Ok(Self { file, lines })
    }

    /// Returns the paths of the list's entries in the image.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| line.name.as_str())
    }

    /// Returns whether a line names the program that becomes /init.
    pub(super) fn has_init(&self) -> bool {
        let init = list::LineKind::File(list::Location::Init);
        self.lines.iter().any(|line| line.kind == init)
    }

    /// Adds the entries of the list to an image with the program `init`, which is there if
    /// [`Self::has_init`].
    ///
    /// # Errors
    /// A file cannot be read, or two lines contradict each other.
    pub(super) fn add_to(self, manifest: &mut Manifest, init: Option<&Path>) -> Result<(), Error> {
        let init = init.unwrap_or_else(|| Path::new(""));
        for line in self.lines {
            let number = line.number;
            let reason = format!("{} line {number}", self.file);
            add_line(manifest, line, init, reason).map_err(|cause| Error::Line {
                file: self.file.clone(),
                line: number,
                cause: Box::new(cause),
            })?;
        }
        Ok(())
    }
}

/// Returns the text of the file list; `-` is standard input.
fn text(path: Option<&Path>) -> Result<Vec<u8>, Error> {
    let Some(path) = path else { return Ok(sets::BASE.into()) };
    if path.as_os_str() != "-" {
        return regular_file::read(path, LIMIT).map_err(Error::System);
    }
    let path = Path::new("standard input");
    let mut text = Vec::new();
    let limited = std::io::stdin().lock().take(LIMIT as u64 + 1).read_to_end(&mut text);
    limited.map_err(Error::io("read", path))?;
    match text.len() > LIMIT {
        true => {
            let cause = sys::Cause::TooLarge(LIMIT);
            Err(Error::System(sys::Error::new("read", escape::path(path), cause)))
        }
        false => Ok(text),
    }
}

/// Adds the nodes of one line of a file list, for this reason.
fn add_line(
    manifest: &mut Manifest,
    line: list::Line,
    init: &Path,
    reason: String,
) -> Result<(), Error> {
    let content = match line.kind {
        list::LineKind::Dir => Content::Dir,
        list::LineKind::Link(target) => Content::Link(target),
        list::LineKind::Char(major, minor) => Content::Char(major, minor),
        list::LineKind::Block(major, minor) => Content::Block(major, minor),
        list::LineKind::Fifo => Content::Fifo,
        list::LineKind::Socket => Content::Socket,
        list::LineKind::File(list::Location::Init) => Content::File(init.to_owned()),
        list::LineKind::File(list::Location::InitrdRelease) => {
            Content::Bytes(sets::INITRD_RELEASE.into())
        }
        list::LineKind::File(list::Location::Path(path)) => {
            source::check(&path).map_err(Error::System)?;
            Content::File(path)
        }
    };
    let shared = (!line.hard_links.is_empty()).then_some(line.number);
    let node = Node::of_root(line.mode, content).because(reason);
    let node = Node { uid: line.uid, gid: line.gid, shared, ..node };
    for name in &line.hard_links {
        manifest.add(name, node.clone())?;
    }
    manifest.add(&line.name, node)
}
