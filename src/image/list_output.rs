//! An image as a list for the kernel's gen_init_cpio, instead of an archive: for
//! CONFIG_INITRAMFS_SOURCE and for build systems that make the archive themselves.
//!
//! ```text
//! OUT          the list, in the grammar that `list` parses; entries in the byte order of their paths
//! OUT.files/   the files that are not on the build machine as they are in the image, each at its
//!              path there: packed modules, index files, modprobe.d
//! ```
//!
//! All other files are named where they are. gen_init_cpio gives a file the date of its source, so
//! that files below OUT.files have the date of the image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::cache::Cache;
use super::manifest::{Content, Manifest, Node};
use super::pack::{self, Packer};
use super::{Error, Options, source};
use crate::sys::atomic_file::AtomicFile;
use crate::sys::regular_file::FileBytes;

/// A list that is being written.
struct List {
    text: String,
    /// Absolute path of the directory of files.
    files: PathBuf,
    /// Date of the files that are written, in seconds since 1970.
    mtime: u32,
    /// Permission bits of the files that are written.
    mode: u32,
}

/// What a line of a file names.
enum Source {
    /// The absolute path of a file of the build machine.
    InPlace(PathBuf),
    /// The bytes of a file that only the image has.
    Bytes(FileBytes),
}

/// Returns the directory of the files that only the image has: `OUT.files`.
fn files_dir(out: &Path) -> PathBuf {
    let mut path = OsString::from(out);
    path.push(".files");
    path.into()
}

/// Writes the list of an image to [`Options::out`], and the files that it needs. `mode` is that of
/// both. Returns the size of the list in bytes.
///
/// # Errors
///
/// [`Error::NoWord`] for a name with a space; a file cannot be read or written. The list is then not
/// written.
pub(super) fn write(
    manifest: &Manifest,
    options: &Options,
    cache: Option<&Cache>,
    mode: u32,
) -> Result<u64, Error> {
    let out = &options.out;
    let files = std::path::absolute(files_dir(out)).map_err(Error::io("resolve", out))?;
    let mut list = List { text: String::new(), files, mtime: options.mtime, mode };
    let shared = names_of_files(manifest);
    let others = |name: &str, node: &Node| match node.shared.and_then(|line| shared.get(&line)) {
        None => Some(&[][..]),
        // The line of the first name holds the others.
        Some(names) => {
            names.split_first().filter(|(first, _)| **first == name).map(|(_, rest)| rest)
        }
    };
    let lines = manifest.iter().filter_map(|(name, node)| Some((name, node, others(name, node)?)));
    let lines: Vec<_> = lines.collect();
    pack::in_order_within_memory(
        &lines,
        |(_, node, _)| match &node.content {
            Content::Module(path) => Some(path),
            _ => None,
        },
        || Packer::new(options.module_format, cache),
        |packer, (_, node, _), limit| load(packer, &node.content, limit),
        |(name, node, others), source| list.add(name, node, others, source?),
    )?;
    let mut file = AtomicFile::create_output(out, mode).map_err(Error::io("create", out))?;
    let written = file.write_all(list.text.as_bytes()).and_then(|()| file.sync());
    written.and_then(|()| file.commit()).map_err(Error::io("write", out))
}

/// Returns the names of each file that has several, by the number that its nodes share.
fn names_of_files(manifest: &Manifest) -> BTreeMap<usize, Vec<&str>> {
    let mut names: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, node) in manifest.iter() {
        if let Some(line) = node.shared {
            names.entry(line).or_default().push(name);
        }
    }
    names
}

impl List {
    /// Adds the line of `node` at `name`, with the other names of the file and its source.
    fn add(
        &mut self,
        name: &str,
        node: &Node,
        others: &[&str],
        source: Source,
    ) -> Result<(), Error> {
        let path = format!("/{name}");
        let path = word(&path)?;
        let access = format!("{:04o} {} {}", node.mode, node.uid, node.gid);
        let line = match &node.content {
            Content::Dir => format!("dir {path} {access}"),
            Content::Fifo => format!("pipe {path} {access}"),
            Content::Socket => format!("sock {path} {access}"),
            Content::Char(major, minor) => format!("nod {path} {access} c {major} {minor}"),
            Content::Block(major, minor) => format!("nod {path} {access} b {major} {minor}"),
            Content::Link(target) => format!("slink {path} {} {access}", word(target)?),
            Content::File(_) | Content::Module(_) | Content::Bytes(_) => {
                let location = self.location(name, source)?;
                let text = location.to_str().ok_or_else(|| Error::NotUtf8(location.clone()))?;
                let mut line = format!("file {path} {} {access}", word(text)?);
                for other in others {
                    _ = write!(line, " {}", word(&format!("/{other}"))?);
                }
                line
            }
        };
        self.text.push_str(&line);
        self.text.push('\n');
        Ok(())
    }

    /// Returns where the content of a file is; it is written there if no other file has it.
    fn location(&self, name: &str, source: Source) -> Result<PathBuf, Error> {
        let bytes = match source {
            Source::InPlace(path) => return Ok(path),
            Source::Bytes(bytes) => bytes,
        };
        let path = self.files.join(name);
        let parent = path.parent().unwrap_or(&self.files);
        fs::create_dir_all(parent).map_err(Error::io("mkdir", parent))?;
        self.put(&path, &bytes).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// Writes a file with the date of the image.
    fn put(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = AtomicFile::create(path, self.mode)?;
        file.write_all(bytes)?;
        file.commit()?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(self.mtime.into());
        fs::File::open(path)?.set_modified(date)
    }
}

/// Returns the source of a node; one that is no file has no bytes.
fn load(packer: &mut Packer<'_>, content: &Content, limit: usize) -> Result<Source, Error> {
    Ok(Source::Bytes(match content {
        Content::File(path) => {
            let absolute = std::path::absolute(path).map_err(Error::io("resolve", path))?;
            if is_location(&absolute) {
                return Ok(Source::InPlace(absolute));
            }
            source::read(path)?
        }
        Content::Module(path) => packer.content(path, limit)?,
        Content::Bytes(bytes) => FileBytes::Read(bytes.clone()),
        _ => FileBytes::default(),
    }))
}

/// Returns `text` if it can be a word of a list: gen_init_cpio reads it up to the next space, and a
/// word with `#` starts a comment in other readers.
fn word(text: &str) -> Result<&str, Error> {
    let is_space = |c: char| c.is_ascii_whitespace() || c == '\x0b';
    match text.is_empty() || text.starts_with('#') || text.contains(is_space) {
        true => Err(Error::NoWord(text.to_owned())),
        false => Ok(text),
    }
}

/// Returns whether a list can name this file: gen_init_cpio replaces `${NAME}` in a LOCATION.
fn is_location(path: &Path) -> bool {
    path.to_str().is_some_and(|path| word(path).is_ok() && !path.contains("${"))
}

#[cfg(test)]
mod tests {
    use super::super::{CacheChoice, Compress, Init, ModuleFormat, Modules, list};
    use super::*;

    fn options(out: PathBuf) -> Options {
        Options {
            release: String::new(),
            more_releases: Vec::new(),
            root: PathBuf::from("/"),
            out,
            modules: Modules::All,
            boards: Vec::new(),
            host: false,
            extras: Vec::new(),
            init: Init::Smallest,
            module_format: ModuleFormat::default(),
            cache: CacheChoice::Off,
            compress: Compress::default(),
            as_list: true,
            manifest: None,
            list: None,
            trims_indexes: false,
            firmware: false,
            microcode: None,
            includes: Vec::new(),
            fsck: None,
            keymap: None,
            shell: None,
            shell_password: None,
            generic: false,
            mtime: 1,
        }
    }

    #[test]
    fn a_node_is_the_line_that_the_parser_reads() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        for name in ["plain", "with space", "${HOME}"] {
            fs::write(dir.join(name), name).unwrap();
        }
        let file = |name: &str| Content::File(dir.join(name));
        let mut manifest = Manifest::default();
        let mut add = |name: &str, content, shared| {
            let node = Node { uid: 1, gid: 2, shared, ..Node::of_root(0o4755, content) };
            manifest.add(name, node).unwrap();
        };
        add("d", Content::Dir, None);
        add("d/link", Content::Link("../x".to_owned()), None);
        add("c", Content::Char(1, 3), None);
        add("b", Content::Block(8, 0), None);
        add("p", Content::Fifo, None);
        add("s", Content::Socket, None);
        add("f", file("plain"), None);
        add("g", file("with space"), None);
        add("h", file("${HOME}"), None);
        add("i", Content::Bytes(b"bytes".to_vec()), Some(7));
        add("d/j", Content::Bytes(b"bytes".to_vec()), Some(7));
        let options = options(dir.join("list"));
        let size = write(&manifest, &options, None, 0o666).unwrap();
        let text = fs::read_to_string(&options.out).unwrap();
        assert_eq!(size, text.len() as u64);
        let at = dir.display();
        let want = format!(
            "nod /b 4755 1 2 b 8 0\nnod /c 4755 1 2 c 1 3\ndir /d 4755 1 2\n\
             file /d/j {at}/list.files/d/j 4755 1 2 /i\nslink /d/link ../x 4755 1 2\n\
             file /f {at}/plain 4755 1 2\nfile /g {at}/list.files/g 4755 1 2\n\
             file /h {at}/list.files/h 4755 1 2\npipe /p 4755 1 2\nsock /s 4755 1 2\n"
        );
        assert_eq!(text, want);
        assert_eq!(list::parse("list", text.as_bytes(), &|_| None).unwrap().len(), 10);
        for (name, content) in [("g", "with space"), ("h", "${HOME}"), ("d/j", "bytes")] {
            let path = dir.join("list.files").join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            let date = fs::metadata(path).unwrap().modified().unwrap();
            assert_eq!(date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 1);
        }
    }

    #[test]
    fn a_name_with_a_space_is_an_error_and_leaves_no_list() {
        for (name, content, want) in [
            ("a b", Content::Dir, "/a b"),
            ("a\u{b}b", Content::Dir, "/a\u{b}b"),
            ("l", Content::Link("a\nb".to_owned()), "a\nb"),
            ("l", Content::Link("#".to_owned()), "#"),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let mut manifest = Manifest::default();
            manifest.add(name, Node::of_root(0o755, content)).unwrap();
            let options = options(scratch.path().join("list"));
            let error = write(&manifest, &options, None, 0o666).unwrap_err();
            assert!(matches!(error, Error::NoWord(word) if word == want), "{name}");
            assert!(!options.out.exists());
        }
    }
}
