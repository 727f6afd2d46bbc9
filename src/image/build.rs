//! Building an image: from the options to the manifest, and from the manifest to the file.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::file_list::FileList;
use super::firmware::Firmware;
use super::host_config::HostConfig;
use super::manifest::{Content, Manifest, Node};
use super::output::Output;
use super::pack::{self, Packed, Packer};
use super::select::{self, Selection};
use super::tree::Tree;
use super::{
    Error, ModuleFormat, Modules, Options, firmware, list_output, newc, programs, reasons, shell,
    source,
};
use crate::escape;
use crate::kmod::index;
use crate::kmod::name::ModuleName;
use crate::sys;
use crate::sys::atomic_file::output_name;
use crate::sys::regular_file::FileBytes;

/// Index files that are copied unchanged, also for modules that are not in the image: so the loader
/// can report which module is missing.
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

/// The warning about an image with key files.
const HAS_KEYS: &str = "the image holds key files: its mode is 0600; keep copies of it to root too";

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Path of the image.
    pub(crate) path: PathBuf,
    /// Size of the image in bytes.
    pub(crate) bytes: u64,
    /// Number of modules in the image.
    pub(crate) modules: usize,
    /// Number of modules in the tree.
    pub(crate) modules_known: usize,
    /// Number of firmware files in the image.
    pub(crate) firmware: usize,
    /// Number of firmware names in these modules for which no file exists.
    pub(crate) firmware_missing: usize,
    /// Warnings: those of depmod if the tree had no index files, modules that are left out, and
    /// programs that the kernel may not execute.
    pub(crate) notices: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bytes, modules, modules_known, firmware, firmware_missing, .. } = self;
        write!(
            f,
            "{}: {bytes} bytes, {modules} of {modules_known} modules, \
             {firmware} firmware files ({firmware_missing} missing)",
            escape::path(&path)
        )
    }
}

/// Builds an image.
///
/// # Errors
///
/// All of [`Error`]. No file is left behind.
pub(crate) fn build(options: &Options) -> Result<Summary, Error> {
    let cache = Cache::open(&options.cache)?;
    let tree = Tree::read(&options.root, &options.release)?;
    let mut config = match options.generic {
        true => HostConfig::default(),
        false => HostConfig::read(&options.root)?,
    };
    let (selection, reasons) = select::select(&tree, &options.modules.with(&config.sets))?;
    let mut notices = tree.indexes.notices.clone();
    notices.append(&mut config.notices);
    let mut manifest = Manifest::default();
    let list = FileList::read(options)?;
    let assembles = can_assemble(&tree, &selection) || config.has_rules(list.names());
    let machine = tree.machine();
    let init = match list.has_init() {
        true => Some(options.init.find(assembles, machine)?),
        false => None,
    };
    list.add_to(&mut manifest, init.as_deref())?;
    if let Some(shell) = &options.shell {
        shell::add(&mut manifest, shell, &options.root)?;
    }
    if let Some(password) = &options.shell_password {
        shell::add_password(&mut manifest, password)?;
    }
    for (name, content) in &tree.modprobe_d {
        manifest.add(name, Node::of_root(0o644, Content::Bytes(content.clone())))?;
    }
    add_indexes(&mut manifest, &tree, options)?;
    for line in selection.iter().map(|at| &tree.lines[*at]) {
        let path = options.module_format.path(&line.path);
        let path = String::from_utf8(path).map_err(|_| Error::NotUtf8(tree.path(&line.path)))?;
        let name = image_path(&options.release, &path);
        manifest.add(&name, Node::of_root(0o644, Content::Module(tree.path(&line.path))))?;
    }
    if !reasons.is_empty() {
        let content = Content::Bytes(reasons.to_bytes());
        let path = image_path(&options.release, reasons::FILE);
        manifest.add(&path, Node::of_root(0o644, content))?;
    }
    let has_keys = config.is_secret;
    notices.extend(has_keys.then(|| HAS_KEYS.to_owned()));
    config.add_to(&mut manifest, &options.root)?;
    notices.extend(programs::check(&manifest, init.as_deref(), machine)?);
    let packed = pack_modules(&mut manifest, options, cache.as_ref(), &mut notices)?;
    let firmware = add_firmware(&mut manifest, &tree, &packed.firmware, options)?;
    let bytes = write(&manifest, options, cache.as_ref(), has_keys)?;
    notices.extend(cache.map(Cache::finish).unwrap_or_default());
    Ok(Summary {
        path: options.out.clone(),
        bytes,
        modules: selection.len() - packed.left_out,
        modules_known: tree.lines.len(),
        firmware: firmware.files.len(),
        firmware_missing: firmware.missing,
        notices,
    })
}

/// Returns whether the kernel of the image has the device-mapper or md, as a module that is in the
/// image or built in: then its root can be on LUKS, LVM or md.
fn can_assemble(tree: &Tree, selection: &Selection) -> bool {
    ["dm_mod", "md_mod"].map(ModuleName::new).iter().any(|name| {
        tree.builtin.contains(name)
            || tree.by_name.get(name).is_some_and(|at| selection.contains(at))
    })
}

/// Returns the path in the image of a path in modules.dep; absolute paths are unchanged.
fn image_path(release: &str, path: &str) -> String {
    match path.strip_prefix('/') {
        Some(external) => external.to_owned(),
        None => format!("lib/modules/{release}/{path}"),
    }
}

/// Adds the tree's index files. modules.dep and modules.dep.bin are rewritten, because the suffixes
/// of paths may change.
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
    let (text, bin) = dep_files(tree, options.module_format)?;
    add("modules.dep", text)?;
    add("modules.dep.bin", bin)
}

/// Returns modules.dep and modules.dep.bin with the paths of the modules in the image.
fn dep_files(tree: &Tree, format: ModuleFormat) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let mut text = Vec::new();
    let mut bin = index::Writer::default();
    for (line, priority) in tree.lines.iter().zip(0..) {
        let mut value = format.path(&line.path);
        value.push(b':');
        for needs in line.needs.iter().rev() {
            value.push(b' ');
            value.extend(format.path(needs));
        }
        let name = ModuleName::new(&line.path);
        bin.insert(name.as_bytes(), &value, priority).map_err(Error::Index)?;
        text.extend(value);
        text.push(b'\n');
    }
    Ok((text, bin.finish().map_err(Error::Index)?))
}

/// The firmware names and the failures found while the modules are packed.
#[derive(Debug, Default)]
struct PackedModules {
    /// The names of their firmware.
    firmware: BTreeSet<String>,
    /// Number of modules that cannot be read.
    left_out: usize,
}

/// Packs the modules of the manifest: reads, decodes and compresses each of them once. Those that
/// there is memory for become part of the manifest, the others are packed again when they are
/// written.
///
/// If no module was requested by name, one that cannot be read is left out: it need not be one that
/// this machine boots with.
///
/// # Errors
///
/// A module that was requested, or that such a module needs, is missing or damaged.
fn pack_modules(
    manifest: &mut Manifest,
    options: &Options,
    cache: Option<&Cache>,
    notices: &mut Vec<String>,
) -> Result<PackedModules, Error> {
    let modules: Vec<(String, PathBuf)> = manifest.modules().collect();
    let mut found = PackedModules::default();
    let mut memory = Memory::default();
    pack::in_order_within_memory(
        &modules,
        |(_, path)| Some(path),
        || Packer::new(options.module_format, cache),
        |packer, (_, path), limit| packer.file(path, limit),
        |(name, path), packed| {
            match packed {
                Ok(Packed { data, firmware }) => {
                    found.firmware.extend(firmware);
                    match data {
                        Some(data) if memory.has_room_for(data.len()) => {
                            manifest.set_content(name, Content::Bytes(data));
                        }
                        Some(_) => {}
                        None => manifest.set_content(name, Content::File(path.clone())),
                    }
                }
                Err(error) if options.modules == Modules::All => {
                    manifest.remove(name);
                    found.left_out += 1;
                    notices.push(format!("{error}; the image has no such module"));
                }
                Err(error) => return Err(error),
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// Memory in which packed modules wait until they are written, in bytes.
struct Memory(usize);

impl Default for Memory {
    fn default() -> Self {
        let memory = usize::try_from(sys::total_memory() / 8).unwrap_or(usize::MAX);
        Self(memory.min(256 << 20))
    }
}

impl Memory {
    /// Reserves memory for one module, if there is any left. A large one is made again when it is
    /// written.
    fn has_room_for(&mut self, len: usize) -> bool {
        let is_kept = len < pack::LARGE && len <= self.0;
        if is_kept {
            self.0 -= len;
        }
        is_kept
    }
}

fn add_firmware(
    manifest: &mut Manifest,
    tree: &Tree,
    names: &BTreeSet<String>,
    options: &Options,
) -> Result<firmware::Found, Error> {
    if !options.firmware {
        return Ok(firmware::Found::default());
    }
    let (root, dir, release) = (tree.root(), &*tree.firmware_dir(), &*options.release);
    let firmware = Firmware { root, dir, release };
    let found = firmware.find(names);
    for file in &found.files {
        let node = Node::of_root(0o644, Content::File(firmware.path(file)));
        manifest.add(&format!("lib/firmware/{file}"), node)?;
    }
    Ok(found)
}

/// One entry of the image, and its place among the names of its file.
struct Item<'a> {
    name: &'a str,
    node: &'a Node,
    /// How many names the file has.
    names: u32,
    /// Whether this is the last name, which has the content.
    is_last: bool,
}

impl Item<'_> {
    /// Returns the file that the content comes from; `None` if it is in the manifest.
    fn file(&self) -> Option<&Path> {
        match &self.node.content {
            Content::File(path) | Content::Module(path) if self.is_last => Some(path),
            _ => None,
        }
    }

    /// Returns the content if it is in the manifest.
    fn bytes(&self) -> &[u8] {
        match &self.node.content {
            Content::Bytes(bytes) if self.is_last => bytes,
            _ => &[],
        }
    }
}

/// Returns the entries of the image in their order.
fn items(manifest: &Manifest) -> Vec<Item<'_>> {
    let mut names: HashMap<usize, u32> = HashMap::new();
    for line in manifest.iter().filter_map(|(_, node)| node.shared) {
        *names.entry(line).or_default() += 1;
    }
    let mut left = names.clone();
    let mut items = Vec::new();
    for (name, node) in manifest.iter() {
        let left = node.shared.and_then(|line| left.get_mut(&line));
        let is_last = left.is_none_or(|left| {
            *left -= 1;
            *left == 0
        });
        let names = node.shared.and_then(|line| names.get(&line)).copied().unwrap_or(1);
        items.push(Item { name, node, names, is_last });
    }
    items
}

/// Writes the image, or its list. Returns the size in bytes.
fn write(
    manifest: &Manifest,
    options: &Options,
    cache: Option<&Cache>,
    has_keys: bool,
) -> Result<u64, Error> {
    // Whoever reads the hash of a password can try passwords against it.
    let is_secret = has_keys || options.shell_password.is_some();
    let mode = if is_secret { 0o600 } else { 0o666 };
    if options.as_list {
        return list_output::write(manifest, options, cache, mode);
    }
    let output = Output::create(&options.out, mode, options.compress)?;
    let mut writer = newc::Writer::new(output, options.mtime);
    let mut inodes = HashMap::new();
    let mut append = |item: &Item<'_>, data: &[u8]| {
        let entry = entry(item.name, item.node, data);
        let written = match item.node.shared {
            None => writer.append(&entry),
            Some(line) => writer
                .append_name(&entry, item.names, inodes.get(&line).copied())
                .map(|ino| _ = inodes.insert(line, ino)),
        };
        written.map_err(Error::io("write", output_name(&options.out)))
    };
    let items = items(manifest);
    let files: Vec<(usize, &Path)> =
        items.iter().enumerate().filter_map(|(at, item)| Some((at, item.file()?))).collect();
    let mut next = 0;
    pack::in_order_within_memory(
        &files,
        |(_, path)| Some(path),
        || Packer::new(options.module_format, cache),
        |packer, (at, path), limit| load(packer, &items[*at].node.content, path, limit),
        |(at, _), data| {
            let data = data?;
            items[next..*at].iter().try_for_each(|item| append(item, item.bytes()))?;
            next = at + 1;
            append(&items[*at], &data)
        },
    )?;
    items[next..].iter().try_for_each(|item| append(item, item.bytes()))?;
    let (output, _) = writer.finish().map_err(Error::io("write", output_name(&options.out)))?;
    output.commit()
}

/// Returns the bytes of a node whose file is at `path`.
fn load(
    packer: &mut Packer<'_>,
    content: &Content,
    path: &Path,
    limit: usize,
) -> Result<FileBytes, Error> {
    match content {
        Content::Module(path) => packer.content(path, limit),
        _ => source::read(path),
    }
}

fn entry<'a>(name: &'a str, node: &'a Node, data: &'a [u8]) -> newc::Entry<'a> {
    let kind = match &node.content {
        Content::Dir => newc::Kind::Dir,
        Content::Link(target) => newc::Kind::Link(target.as_bytes()),
        Content::Char(major, minor) => newc::Kind::Char(*major, *minor),
        Content::Block(major, minor) => newc::Kind::Block(*major, *minor),
        Content::Fifo => newc::Kind::Fifo,
        Content::Socket => newc::Kind::Socket,
        Content::Bytes(_) | Content::File(_) | Content::Module(_) => newc::Kind::File(data),
    };
    newc::Entry { name: name.as_bytes(), mode: node.mode, uid: node.uid, gid: node.gid, kind }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::{CacheChoice, Compress, Init};
    use super::*;

    #[test]
    fn an_image_with_a_password_is_for_its_owner_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let options = Options {
            release: String::new(),
            root: scratch.path().to_owned(),
            out: scratch.path().join("image"),
            modules: Modules::All,
            init: Init::Smallest,
            module_format: ModuleFormat::default(),
            cache: CacheChoice::Off,
            compress: Compress::default(),
            as_list: false,
            list: None,
            firmware: false,
            shell: None,
            shell_password: Some("$5$salt$hash".to_owned()),
            generic: false,
            mtime: 0,
        };
        let without = Options { shell_password: None, ..options.clone() };
        for (options, has_keys, is_secret) in
            [(&options, false, true), (&without, true, true), (&without, false, false)]
        {
            fs::write(&options.out, "an image that everybody may read").unwrap();
            fs::set_permissions(&options.out, fs::Permissions::from_mode(0o644)).unwrap();
            write(&Manifest::default(), options, None, has_keys).unwrap();
            let mode = fs::metadata(&options.out).unwrap().permissions().mode();
            assert_eq!(mode & 0o777 == 0o600, is_secret);
        }
    }
}
