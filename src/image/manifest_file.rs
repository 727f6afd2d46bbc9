//! The file of `--manifest`: what an image holds and why, as JSON for programs.
//!
//! ```text
//! {
//! "version": 1,
//! "bytes": size of the image,
//! "kernels": [{"release": …, "modules": …, "modules_known": …, "boots_from": {…}}],
//! "microcode": [{"path": …, "size": …, "sources": [paths]}],
//! "missing_firmware": [{"name": …, "modules": [names]}],
//! "warnings": [texts],
//! "files": [
//! {"path": …, "type": …, "mode": …, "uid": …, "gid": …, "size": …, "source": …, "reason": …},
//! …
//! ]}
//! ```
//!
//! Entries are in the order of the image. A `source` of null is a file that only the image has.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Error;
use super::manifest::{Content, Manifest, Node};
use super::summary::{KernelSummary, Summary};
use crate::escape;
use crate::sys::atomic_file::{AtomicFile, output_name};

/// Sizes in bytes of the packed modules that are not in the manifest, by their paths.
pub(super) type Sizes = HashMap<String, u64>;

/// A file that is not yet complete. If it is dropped, no file is left behind.
pub(super) struct ManifestFile<'a> {
    path: &'a Path,
    file: AtomicFile,
}

impl<'a> ManifestFile<'a> {
    /// Begins the file at `path`; `-` is standard output.
    ///
    /// # Errors
    /// Those of [`AtomicFile::create_output`].
    pub(super) fn create(path: &'a Path) -> Result<Self, Error> {
        let file = AtomicFile::create_output(path, 0o666);
        Ok(Self { path, file: file.map_err(Error::io("create", output_name(path)))? })
    }

    /// Writes the file for the image of a build and puts it in its place.
    ///
    /// # Errors
    /// Errors of the filesystem.
    pub(super) fn write(
        mut self,
        summary: &Summary,
        manifest: &Manifest,
        sizes: &Sizes,
    ) -> Result<(), Error> {
        let text = text(summary, manifest, sizes);
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync());
        let committed = written.and_then(|()| self.file.commit());
        committed.map(drop).map_err(Error::io("write", output_name(self.path)))
    }
}

/// Returns the whole text: one line for each entry, so that tools for lines find them.
fn text(summary: &Summary, manifest: &Manifest, sizes: &Sizes) -> String {
    let kernel = |kernel: &KernelSummary| {
        json!({
            "release": kernel.release,
            "modules": kernel.modules,
            "modules_known": kernel.modules_known,
            "boots_from": kernel.roots.to_json(),
        })
    };
    let mut text = "{\n\"version\": 1,\n".to_owned();
    for (key, value) in [
        ("bytes", summary.bytes.into()),
        ("kernels", summary.kernels.iter().map(kernel).collect()),
        ("microcode", summary.microcode.to_json()),
        ("missing_firmware", summary.missing.to_json()),
        ("warnings", summary.notices.iter().map(String::as_str).collect()),
    ] {
        text += &format!("\"{key}\": {value},\n");
    }
    let files: Vec<_> =
        manifest.iter().map(|(name, node)| entry(name, node, sizes).to_string()).collect();
    text + "\"files\": [\n" + &files.join(",\n") + "\n]}\n"
}

/// Returns the line of an entry.
fn entry(name: &str, node: &Node, sizes: &Sizes) -> Value {
    let source = node.source().map(|path| escape::path(path).into_owned());
    let mut entry = Map::new();
    let mut set = |key: &str, value: Value| _ = entry.insert(key.to_owned(), value);
    set("path", format!("/{name}").into());
    set("mode", format!("{:04o}", node.mode).into());
    set("uid", node.uid.into());
    set("gid", node.gid.into());
    set("source", source.into());
    set("reason", node.reason.as_str().into());
    let kind = match &node.content {
        Content::Dir => "directory",
        Content::Link(_) => "link",
        Content::Char(..) => "character device",
        Content::Block(..) => "block device",
        Content::Fifo => "fifo",
        Content::Socket => "socket",
        Content::Bytes(_) | Content::File(_) | Content::Module(_) => "file",
    };
    set("type", kind.into());
    match &node.content {
        Content::Link(target) => set("target", target.as_str().into()),
        Content::Char(major, minor) | Content::Block(major, minor) => {
            set("device", json!([major, minor]));
        }
        Content::Bytes(bytes) => set("size", bytes.len().into()),
        Content::Module(_) => set("size", sizes.get(name).copied().into()),
        Content::File(path) => set("size", fs::metadata(path).ok().map(|file| file.len()).into()),
        _ => {}
    }
    Value::Object(entry)
}
