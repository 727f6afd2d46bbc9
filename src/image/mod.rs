//! Initramfs images: what goes in, and the newc archive.
//!
//! ```text
//! command line ─► Options ─► Tree      modules.dep and its siblings (made here if there are none), modprobe.d
//!                              │
//!                           select     what was asked for and its closure
//!                              │
//! file list ─────────────► Manifest ◄─ index files, firmware
//!                              │
//!                         in_order     modules packed on all cores, taken by path
//!                              ▼
//!                 newc::Writer ─► Output (compressed as a whole, renamed when complete)
//! ```
//!
//! The same input gives the same bytes: paths in byte order, one date for all, and no encoder that
//! depends on the number of cores.

mod error;
mod firmware;
mod indexes;
pub mod list;
mod manifest;
pub mod newc;
mod output;
mod pack;
pub mod read;
mod select;
pub mod sets;
mod tree;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use error::Error;
use manifest::{Content, Manifest, Node};
pub use output::Compress;
use output::Output;
pub use pack::ModulesAs;
use select::Selection;
use tree::Tree;

use crate::kmod::index;
use crate::kmod::name::ModuleName;

/// Index files that are taken over as they are. Those of modules that are not carried too: so the
/// loader can say which module lacks.
const INDEX_FILES: [&str; 13] = [
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.builtin.modinfo",
    "modules.builtin.ranges",
    "modules.devname",
    "modules.order",
    "modules.softdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.weakdep",
];

/// The modules to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// All that the tree has.
    All,
    /// Names, globs and `@sets`, with what they need.
    Named(Vec<String>),
}

/// What to build.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kernel's release (`uname -r`).
    pub release: String,
    /// Where /lib/modules, /lib/firmware and the modprobe.d folders hang.
    pub root: PathBuf,
    /// The image's path.
    pub out: PathBuf,
    /// The modules to carry.
    pub modules: Modules,
    /// The program that becomes /init.
    pub init: PathBuf,
    /// How modules are carried.
    pub modules_as: ModulesAs,
    /// How the whole archive is compressed.
    pub compress: Compress,
    /// The file list in place of the one carried in the program.
    pub list: Option<PathBuf>,
    /// Whether firmware goes in.
    pub firmware: bool,
    /// The date of every entry, in seconds since 1970.
    pub mtime: u32,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The image's path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Modules carried.
    pub modules: usize,
    /// Modules that the tree has.
    pub modules_known: usize,
    /// Firmware files carried.
    pub firmware: usize,
    /// Firmware names of carried modules that have no file.
    pub firmware_missing: usize,
    /// What there was to say about modules that had not been indexed.
    pub notices: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bytes, modules, modules_known, firmware, firmware_missing, .. } = self;
        write!(
            f,
            "{}: {bytes} bytes, {modules} of {modules_known} modules, \
             {firmware} firmware files ({firmware_missing} missing)",
            path.display()
        )
    }
}

/// Builds an image.
///
/// # Errors
///
/// Whatever [`Error`] names; no file is left behind then.
pub fn build(options: &Options) -> Result<Summary, Error> {
    let tree = Tree::read(&options.root, &options.release)?;
    let selection = select::select(&tree, &options.modules)?;
    let mut manifest = Manifest::default();
    add_list(&mut manifest, options)?;
    for (name, content) in &tree.modprobe_d {
        manifest.add(name, Node::of_root(0o644, Content::Bytes(content.clone())))?;
    }
    add_indexes(&mut manifest, &tree, options)?;
    for line in selection.iter().map(|at| &tree.lines[*at]) {
        let name = image_path(&options.release, &options.modules_as.path(&line.path));
        manifest.add(&name, Node::of_root(0o644, Content::Module(tree.path(&line.path))))?;
    }
    let firmware = add_firmware(&mut manifest, &tree, &selection, options)?;
    let odd = check_init(&manifest)?;
    let bytes = write(&manifest, options)?;
    Ok(Summary {
        path: options.out.clone(),
        bytes,
        modules: selection.len(),
        modules_known: tree.lines.len(),
        firmware: firmware.files.len(),
        firmware_missing: firmware.missing,
        notices: tree.indexes.notices.into_iter().chain(odd).collect(),
    })
}

/// Whether a kernel can start the image's /init: gives what may be meant and is unusual, in words.
///
/// # Errors
/// It is no program.
fn check_init(manifest: &Manifest) -> Result<Option<String>, Error> {
    let init = manifest.iter().find(|(name, _)| *name == "init").map(|(_, node)| node);
    let odd = match init {
        None => "has no /init: a kernel starts nothing of it unless rdinit= names a program",
        Some(Node { content: Content::File(path), .. }) if !is_program(path)? => {
            return Err(Error::NotProgram(path.clone()));
        }
        Some(Node { content: Content::File(_), mode, .. }) if mode & 0o111 == 0 => {
            "has an /init that is not executable"
        }
        Some(_) => return Ok(None),
    };
    Ok(Some(format!("the image {odd}")))
}

/// Whether a file starts as a program or a script does.
fn is_program(path: &Path) -> Result<bool, Error> {
    let mut head = Vec::new();
    let file = fs::File::open(path).map_err(Error::io("read", path))?;
    file.take(4).read_to_end(&mut head).map_err(Error::io("read", path))?;
    Ok(head == b"\x7fELF" || head.starts_with(b"#!"))
}

/// Where a path of modules.dep lies in the image; absolute ones stay where they are.
fn image_path(release: &str, path: &str) -> String {
    match path.strip_prefix('/') {
        Some(external) => external.to_owned(),
        None => format!("lib/modules/{release}/{path}"),
    }
}

fn add_list(manifest: &mut Manifest, options: &Options) -> Result<(), Error> {
    let lines = match &options.list {
        None => list::parse("base.list", sets::BASE)?,
        Some(path) => {
            let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
            list::parse(&path.display().to_string(), &text)?
        }
    };
    for line in lines {
        let content = match line.what {
            list::What::Dir => Content::Dir,
            list::What::Link(target) => Content::Link(target),
            list::What::Char(major, minor) => Content::Char(major, minor),
            list::What::Block(major, minor) => Content::Block(major, minor),
            list::What::File(list::Location::Init) => Content::File(options.init.clone()),
            list::What::File(list::Location::InitrdRelease) => {
                Content::Bytes(sets::INITRD_RELEASE.into())
            }
            list::What::File(list::Location::Path(path)) => Content::File(path),
        };
        let node = Node { mode: line.mode, uid: line.uid, gid: line.gid, content };
        manifest.add(&line.name, node)?;
    }
    Ok(())
}

/// The tree's index files; modules.dep and its .bin anew, as the endings of paths may change.
fn add_indexes(manifest: &mut Manifest, tree: &Tree, options: &Options) -> Result<(), Error> {
    let mut add = |name: &str, content| {
        let path = image_path(&options.release, name);
        manifest.add(&path, Node::of_root(0o644, Content::Bytes(content)))
    };
    for name in INDEX_FILES {
        if let Some(content) = tree.indexes.read(name)? {
            add(name, content)?;
        }
    }
    let (text, bin) = dep_files(tree, options.modules_as)?;
    add("modules.dep", text)?;
    add("modules.dep.bin", bin)
}

/// modules.dep and modules.dep.bin with the paths that the modules have in the image.
fn dep_files(tree: &Tree, modules_as: ModulesAs) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut text = Vec::new();
    let mut bin = index::Writer::default();
    for (line, priority) in tree.lines.iter().zip(0..) {
        let mut value = modules_as.path(&line.path) + ":";
        for needs in line.needs.iter().rev() {
            value += " ";
            value += &modules_as.path(needs);
        }
        let name = ModuleName::new(&line.path);
        bin.insert(name.as_str().as_bytes(), value.as_bytes(), priority).map_err(Error::Index)?;
        text.extend(value.into_bytes());
        text.push(b'\n');
    }
    Ok((text, bin.finish().map_err(Error::Index)?))
}

fn add_firmware(
    manifest: &mut Manifest,
    tree: &Tree,
    selection: &Selection,
    options: &Options,
) -> Result<firmware::Found, Error> {
    if !options.firmware {
        return Ok(firmware::Found::default());
    }
    let modules: Vec<_> = selection.iter().map(|at| tree.path(&tree.lines[*at].path)).collect();
    let mut names = BTreeSet::new();
    pack::in_order(
        &modules,
        |path| firmware::names(path),
        |_, found| {
            names.extend(found?);
            Ok::<_, Error>(())
        },
    )?;
    let dir = tree.firmware_dir();
    let found = firmware::find(&dir, &options.release, &names);
    for file in &found.files {
        let node = Node::of_root(0o644, Content::File(dir.join(file)));
        manifest.add(&format!("lib/firmware/{file}"), node)?;
    }
    Ok(found)
}

/// Writes what the manifest holds; gives the file's size.
fn write(manifest: &Manifest, options: &Options) -> Result<u64, Error> {
    let output = Output::create(&options.out, options.compress)?;
    let mut writer = newc::Writer::new(output, options.mtime);
    let nodes: Vec<_> = manifest.iter().collect();
    pack::in_order(
        &nodes,
        |(_, node)| load(&node.content, options.modules_as),
        |(name, node), data| {
            let data = data?;
            writer.append(&entry(name, node, &data)).map_err(Error::io("write", &options.out))
        },
    )?;
    let (output, _) = writer.finish().map_err(Error::io("write", &options.out))?;
    output.commit()
}

/// The bytes of a node that come from the build machine.
fn load(content: &Content, modules_as: ModulesAs) -> Result<Vec<u8>, Error> {
    let read = |path: &Path| fs::read(path).map_err(Error::io("read", path));
    match content {
        Content::File(path) => read(path),
        Content::Module(path) => pack::pack_file(modules_as, path),
        Content::Bytes(bytes) => Ok(bytes.clone()),
        _ => Ok(Vec::new()),
    }
}

fn entry<'a>(name: &'a str, node: &'a Node, data: &'a [u8]) -> newc::Entry<'a> {
    let kind = match &node.content {
        Content::Dir => newc::Kind::Dir,
        Content::Link(target) => newc::Kind::Link(target.as_bytes()),
        Content::Char(major, minor) => newc::Kind::Char(*major, *minor),
        Content::Block(major, minor) => newc::Kind::Block(*major, *minor),
        Content::Bytes(_) | Content::File(_) | Content::Module(_) => newc::Kind::File(data),
    };
    newc::Entry { name: name.as_bytes(), mode: node.mode, uid: node.uid, gid: node.gid, kind }
}
