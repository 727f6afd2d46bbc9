//! Building an image: from the options to the manifest, and from the manifest to the file.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::file_list::FileList;
use super::firmware::{Firmware, Found, Wanted};
use super::host_config::HostConfig;
use super::kernel::Kernel;
use super::machine_needs;
use super::manifest::{Content, Manifest, Node};
use super::manifest_file::{ManifestFile, Sizes};
use super::microcode::Microcode;
use super::missing_firmware::MissingFirmware;
use super::module_lists::ModuleLists;
use super::optional_firmware::{self, LeftOut};
use super::output::Output;
use super::pack::{self, Packed, Packer};
use super::roots::{Abilities, Roots};
use super::select;
use super::summary::Summary;
use super::tree::Tree;
use super::{
    Error, Init, Modules, Options, firmware, fsck, host, keymap, list_output, newc, programs,
    shell, source,
};
use crate::escape;
use crate::kmod::elf_machine::Machine;
use crate::kmod::name::ModuleName;
use crate::sys;
use crate::sys::atomic_file::output_name;
use crate::sys::regular_file::{FileBytes, is_null_device};

/// A function that shows the progress of a build.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(&'static str, usize, usize);

/// The warning about an image with key files.
const HAS_KEYS: &str = "the image holds key files: its mode is 0600; keep copies of it to root too";

/// Returns a warning if files of the build machine are in the image that not every user may read.
/// Whoever can read the image can read them.
fn private_files(manifest: &Manifest) -> Option<String> {
    const OTHERS_READ: u32 = 0o004;
    let has_content =
        |node: &Node| matches!(&node.content, Content::File(path) if !is_null_device(path));
    let mut files =
        manifest.iter().filter(|(_, node)| node.mode & OTHERS_READ == 0 && has_content(node));
    let (first, _) = files.next()?;
    let more = match files.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = escape::line(first);
    Some(format!(
        "not every user may read /{first}{more}: the mode of the image is 0600; keep copies of it \
         to root too"
    ))
}

/// Builds an image.
///
/// # Errors
///
/// All of [`Error`]. No file is left behind.
pub(crate) fn build(options: &Options) -> Result<Summary, Error> {
    build_with_progress(options, &mut |_, _, _| {})
}

/// Builds an image as [`build`] does. `progress` is called with what is being done, and how many of
/// how many are done.
///
/// # Errors
///
/// Those of [`build`].
pub(crate) fn build_with_progress(
    options: &Options,
    progress: Progress<'_>,
) -> Result<Summary, Error> {
    let cache = Cache::open(&options.cache)?;
    let mut config = match options.generic {
        true => HostConfig::default(),
        false => HostConfig::read(&options.root)?,
    };
    let lists = match options.generic {
        true => ModuleLists::default(),
        false => ModuleLists::read(&options.root)?,
    };
    let mut notices = Vec::new();
    let kernels = read_kernels(options, &config, &lists, &mut notices)?;
    let machine = machine(&kernels)?;
    let tree = &kernels[0].tree;
    notices.append(&mut config.notices);
    let microcode = microcode(tree, machine, options)?;
    notices.extend(microcode.notices.iter().cloned());
    let mut manifest = Manifest::default();
    let list = FileList::read(options)?;
    let has_rules = config.has_rules(list.names());
    let assembles = has_rules || kernels.iter().any(Kernel::can_assemble);
    let init = match list.has_init() {
        true => Some(options.init.find(assembles, machine)?),
        false => None,
    };
    list.add_to(&mut manifest, init.as_deref())?;
    let abilities = abilities(options, assembles);
    let roots: Vec<Roots> = kernels.iter().map(|kernel| kernel.roots(abilities)).collect();
    notices.extend(add_options(&mut manifest, options, &roots)?);
    for (name, content) in &tree.modprobe_d {
        let node = Node::of_root(0o644, Content::Bytes(content.clone()));
        manifest.add(name, node.because("configuration of modules"))?;
    }
    lists.add_to(&mut manifest)?;
    for kernel in &kernels {
        kernel.add_to(&mut manifest, options)?;
    }
    let has_keys = config.is_secret;
    notices.extend(has_keys.then(|| HAS_KEYS.to_owned()));
    config.add_to(&mut manifest, &options.root)?;
    for include in &options.includes {
        notices.extend(include.add_to(&mut manifest, &options.root)?);
    }
    notices.extend(programs::check(&manifest, init.as_deref(), machine)?);
    let packed =
        pack_modules(&mut manifest, &kernels, options, cache.as_ref(), &mut notices, progress)?;
    let firmware = add_firmware(&mut manifest, &kernels, &packed, options)?;
    let file = options.manifest.as_deref().map(ManifestFile::create).transpose()?;
    let private = private_files(&manifest);
    let is_secret = has_keys || private.is_some();
    notices.extend(private);
    let bytes = write(&manifest, options, cache.as_ref(), is_secret, &microcode, progress)?;
    notices.extend(cache.map(Cache::finish).unwrap_or_default());
    let parts = kernels.iter().zip(&packed.kernels).zip(roots);
    let summary = Summary {
        path: options.out.clone(),
        bytes,
        kernels: parts
            .map(|((kernel, packed), roots)| kernel.summary(packed.left_out, roots))
            .collect(),
        firmware: firmware.found.files.len(),
        missing: MissingFirmware(firmware.found.missing),
        firmware_left_out: firmware.left_out,
        microcode,
        notices,
    };
    if let Some(file) = file {
        file.write(&summary, &manifest, &packed.sizes)?;
    }
    Ok(summary)
}

/// Returns the kernels of an image, each with the choice of its modules.
fn read_kernels(
    options: &Options,
    config: &HostConfig,
    lists: &ModuleLists,
    notices: &mut Vec<String>,
) -> Result<Vec<Kernel>, Error> {
    let modules = options.modules.with(&config.sets);
    let machines = machines(options, notices)?;
    let releases = [&options.release].into_iter().chain(&options.more_releases);
    let kernel = |release: &String| {
        let tree = Tree::read(&options.root, release)?;
        notices.extend(tree.indexes.notices.iter().cloned());
        let mut groups = Vec::new();
        for machine in &machines {
            groups.push(machine.modules(&tree, notices)?);
        }
        groups.extend(lists.groups(&tree, notices));
        for extra in &options.extras {
            groups.push(optional_firmware::group(&tree, *extra)?);
        }
        let selected = select::select(&tree, &modules, groups, notices)?;
        Ok(Kernel::new(release, tree, selected))
    };
    releases.map(kernel).collect()
}

/// Returns the machines that the image is for. If something about them is not known, that is added
/// to `notices`.
fn machines<'a>(
    options: &'a Options,
    notices: &mut Vec<String>,
) -> Result<Vec<machine_needs::Machine<'a>>, Error> {
    let mut machines: Vec<_> = options.boards.iter().map(machine_needs::Machine::board).collect();
    if options.host {
        machines.push(host::read(&options.root, notices)?);
    }
    Ok(machines)
}

/// Returns the machine of the kernels, if one of their modules can be read.
///
/// # Errors
/// [`Error::KernelOfOtherMachine`]: an image has one /init for all of them.
fn machine(kernels: &[Kernel]) -> Result<Option<Machine>, Error> {
    let mut machines = kernels.iter().filter_map(|kernel| kernel.tree.machine());
    let first = machines.next();
    match machines.find(|machine| Some(*machine) != first) {
        Some(other) => Err(Error::KernelOfOtherMachine(other)),
        None => Ok(first),
    }
}

/// Returns what /init of the image can open.
fn abilities(options: &Options, assembles: bool) -> Abilities {
    let only_boots = options.init == Init::BootOnly;
    let stacks = assembles && !only_boots && cfg!(feature = "stacks");
    Abilities { stacks, others: !only_boots }
}

/// Returns a warning for each option that has no effect, or less, because coldplug-init-boot is
/// /init.
fn without_effect(options: &Options) -> Vec<String> {
    let text = |option| format!("{option} has no effect with --boot-only");
    let shell = "--shell: with --boot-only a boot that fails starts no shell; only commands of \
                 modprobe.d use it";
    let given = [
        options.shell.as_ref().map(|_| shell.to_owned()),
        options.shell_password.as_ref().map(|_| text("--shell-password-hash")),
        options.fsck.as_ref().map(|_| text("--fsck")),
        options.keymap.as_ref().map(|_| text("--keymap")),
    ];
    given.into_iter().flatten().collect()
}

/// Adds what options ask for besides modules. Returns warnings.
fn add_options(
    manifest: &mut Manifest,
    options: &Options,
    roots: &[Roots],
) -> Result<Vec<String>, Error> {
    let mut notices = Vec::new();
    if let Some(shell) = &options.shell {
        shell::add(manifest, shell, &options.root)?;
    }
    if options.init == Init::BootOnly {
        return Ok(without_effect(options));
    }
    if let Some(password) = &options.shell_password {
        shell::add_password(manifest, password)?;
    }
    if let Some(fsck) = &options.fsck {
        let mut mountable: Vec<_> = roots.iter().flat_map(Roots::filesystems).copied().collect();
        mountable.sort_unstable();
        mountable.dedup();
        notices.extend(fsck::add(manifest, fsck, &mountable, &options.root)?);
    }
    if let Some(keymap) = &options.keymap {
        keymap::add(manifest, keymap, &options.root)?;
    }
    Ok(notices)
}

/// The firmware of an image.
#[derive(Debug, Default)]
struct ImageFirmware {
    /// The firmware in the image.
    found: Found,
    /// Firmware that is left out, because only some machines need it.
    left_out: LeftOut,
}

/// Adds the firmware that the modules of all kernels want, each file once. It stays compressed
/// unless a kernel does not read it so.
fn add_firmware(
    manifest: &mut Manifest,
    kernels: &[Kernel],
    packed: &PackedModules,
    options: &Options,
) -> Result<ImageFirmware, Error> {
    let mut all = ImageFirmware::default();
    if !options.firmware {
        return Ok(all);
    }
    let mut optional = BTreeSet::new();
    for (kernel, packed) in kernels.iter().zip(&packed.kernels) {
        all.found.merge(kernel.find_firmware(&packed.firmware));
        optional.extend(kernel.find_firmware(&packed.optional_firmware).files.into_keys());
    }
    let tree = &kernels[0].tree;
    let dir = tree.firmware_dir();
    let firmware = Firmware { root: tree.root(), dir: &dir, release: &options.release };
    for file in optional.iter().filter(|file| !all.found.files.contains_key(*file)) {
        all.left_out.files += 1;
        all.left_out.bytes += fs::metadata(firmware.path(file)).map_or(0, |file| file.len());
    }
    let unread: Vec<&str> = firmware::COMPRESSED
        .into_iter()
        .filter(|suffix| !kernels.iter().all(|kernel| kernel.reads_firmware(suffix)))
        .collect();
    for (file, modules) in &all.found.files {
        let modules: Vec<_> = modules.iter().map(ModuleName::text).collect();
        let path = firmware.path(file);
        let stem = unread.iter().find_map(|suffix| file.strip_suffix(suffix));
        let (name, content, origin) = match stem {
            Some(stem) => (stem, Content::Bytes(firmware::decoded(&path)?), Some(path)),
            None => (file.as_str(), Content::File(path), None),
        };
        let node =
            Node::of_root(0o644, content).because(format!("firmware of {}", modules.join(", ")));
        manifest.add(&format!("lib/firmware/{name}"), Node { origin, ..node })?;
    }
    Ok(all)
}

/// Returns the microcode for a kernel of x86. For another one a configuration for many machines may
/// ask for it too.
fn microcode(tree: &Tree, machine: Option<Machine>, options: &Options) -> Result<Microcode, Error> {
    let Some(choice) = &options.microcode else { return Ok(Microcode::default()) };
    let arch = machine.and_then(Machine::target).map(|(arch, _)| arch);
    match arch {
        None | Some("x86_64" | "i686") => {
            Microcode::read(choice, tree.root(), &tree.firmware_dir())
        }
        Some(arch) => {
            Ok(Microcode::none(format!("--microcode has no effect: the kernel is for {arch}")))
        }
    }
}

/// The results of packing the modules of all kernels.
#[derive(Debug)]
struct PackedModules {
    /// For each kernel.
    kernels: Vec<PackedKernel>,
    /// Sizes of the modules that are packed again when they are written.
    sizes: Sizes,
}

/// The firmware names and the failures found while the modules of a kernel were packed.
#[derive(Debug, Default)]
struct PackedKernel {
    /// The names of their firmware.
    firmware: Wanted,
    /// The names of firmware that only some machines need.
    optional_firmware: Wanted,
    /// Number of modules that cannot be read.
    left_out: usize,
}

impl PackedModules {
    /// Returns the state before the modules of this number of kernels are packed.
    fn new(kernels: usize) -> Self {
        let kernels = (0..kernels).map(|_| PackedKernel::default()).collect();
        Self { kernels, sizes: Sizes::new() }
    }

    /// Returns the kernel whose module is `name` in the image, and what was found for it. A module
    /// outside of lib/modules counts for the first.
    fn of<'a>(&mut self, kernels: &'a [Kernel], name: &str) -> (&'a Kernel, &mut PackedKernel) {
        let at = kernels.iter().position(|kernel| kernel.has_path(name)).unwrap_or(0);
        (&kernels[at], &mut self.kernels[at])
    }
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
    kernels: &[Kernel],
    options: &Options,
    cache: Option<&Cache>,
    notices: &mut Vec<String>,
    progress: Progress<'_>,
) -> Result<PackedModules, Error> {
    let modules: Vec<(String, PathBuf)> = manifest.modules().collect();
    let mut found = PackedModules::new(kernels.len());
    let mut memory = Memory::default();
    let mut done = 0;
    pack::in_order_within_memory(
        &modules,
        |(_, path)| Some(path),
        || Packer::new(options.module_format, cache),
        |packer, (_, path), limit| packer.file(path, limit),
        |(name, path), packed| {
            done += 1;
            progress("packing modules", done, modules.len());
            match packed {
                Ok(Packed { data, firmware }) => {
                    let module = ModuleName::new(name);
                    let (kernel, found_for) = found.of(kernels, name);
                    let wanted = match kernel.is_without_firmware(&module) {
                        true => &mut found_for.optional_firmware,
                        false => &mut found_for.firmware,
                    };
                    for file in firmware {
                        wanted.entry(file).or_default().insert(module.clone());
                    }
                    match data {
                        Some(data) if memory.has_room_for(data.len()) => {
                            manifest.set_content(name, Content::Bytes(data));
                        }
                        Some(data) => {
                            found.sizes.insert(name.clone(), data.len() as u64);
                        }
                        None => manifest.set_content(name, Content::File(path.clone())),
                    }
                }
                Err(error) if options.modules == Modules::All => {
                    manifest.remove(name);
                    found.of(kernels, name).1.left_out += 1;
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

/// Writes the image, or its list. Only its owner may read one that `is_secret`. Returns the size in
/// bytes.
fn write(
    manifest: &Manifest,
    options: &Options,
    cache: Option<&Cache>,
    is_secret: bool,
    microcode: &Microcode,
    progress: Progress<'_>,
) -> Result<u64, Error> {
    // Whoever reads the hash of a password can try passwords against it.
    let is_secret = is_secret || options.shell_password.is_some();
    let mode = if is_secret { 0o600 } else { 0o666 };
    if options.as_list {
        return list_output::write(manifest, options, cache, mode);
    }
    let head = microcode.archive(options.mtime);
    let head = head.map_err(Error::io("write", output_name(&options.out)))?;
    let output = Output::create(&options.out, mode, options.compress, &head)?;
    let mut writer = newc::Writer::new(output, options.mtime);
    let mut inodes = HashMap::new();
    let items = items(manifest);
    let mut done = 0;
    let mut append = |item: &Item<'_>, data: &[u8]| {
        done += 1;
        progress("writing files", done, items.len());
        let entry = entry(item.name, item.node, data);
        let written = match item.node.shared {
            None => writer.append(&entry),
            Some(line) => writer
                .append_name(&entry, item.names, inodes.get(&line).copied())
                .map(|ino| _ = inodes.insert(line, ino)),
        };
        written.map_err(Error::io("write", output_name(&options.out)))
    };
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

    use super::super::{CacheChoice, Compress, ModuleFormat};
    use super::*;

    #[test]
    fn files_that_not_every_user_may_read_are_named() {
        let file = |path: &str| Content::File(path.into());
        for (files, want) in [
            (&[("etc/a", 0o644, file("/etc/a")), ("init", 0o755, file("/i"))][..], None),
            (&[("etc/a", 0o600, Content::Bytes(Vec::new())), ("root", 0o700, Content::Dir)], None),
            (&[("etc/empty", 0o600, file("/dev/null"))], None),
            (&[("etc/b", 0o640, file("/b")), ("etc/a", 0o644, file("/a"))], Some("/etc/b: ")),
            (
                &[("etc/b", 0o640, file("/b")), ("etc/a", 0o4711, file("/a"))],
                Some("/etc/a and 1 more: "),
            ),
        ] {
            let mut manifest = Manifest::default();
            for (name, mode, content) in files {
                manifest.add(name, Node::of_root(*mode, content.clone())).unwrap();
            }
            let found = private_files(&manifest);
            assert_eq!(found.is_some(), want.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(want.unwrap_or_default()), "{want:?}");
        }
    }

    fn options(scratch: &Path) -> Options {
        Options {
            release: String::new(),
            more_releases: Vec::new(),
            root: scratch.to_owned(),
            out: scratch.join("image"),
            modules: Modules::All,
            boards: Vec::new(),
            host: false,
            extras: Vec::new(),
            trims_indexes: false,
            init: Init::Smallest,
            module_format: ModuleFormat::default(),
            cache: CacheChoice::Off,
            compress: Compress::default(),
            as_list: false,
            manifest: None,
            list: None,
            firmware: false,
            microcode: None,
            includes: Vec::new(),
            fsck: None,
            keymap: None,
            shell: None,
            shell_password: Some("$5$salt$hash".to_owned()),
            generic: false,
            mtime: 0,
        }
    }

    #[test]
    fn options_without_effect_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let usual = options(scratch.path());
        let small = Options {
            init: Init::BootOnly,
            fsck: Some(fsck::Fsck::Auto),
            keymap: Some(keymap::Keymap::Named("de".into())),
            ..usual.clone()
        };
        let mut manifest = Manifest::default();
        let notices = add_options(&mut manifest, &small, &[]).unwrap().join("\n");
        let want = ["--shell-password-hash", "--fsck", "--keymap"]
            .map(|option| format!("{option} has no effect with --boot-only"));
        assert_eq!(notices, want.join("\n"));
        assert!(manifest.find("etc/coldplug/shell-password").is_none());
        let with_shell = Options { shell: Some(shell::Shell::Any), ..small };
        let notices = without_effect(&with_shell);
        assert!(notices[0].contains("starts no shell"), "{notices:?}");
        assert_eq!(without_effect(&Options { shell_password: None, ..usual }), [""; 0]);
    }

    #[test]
    fn an_image_with_a_password_is_for_its_owner_alone() {
        let scratch = tempfile::tempdir().unwrap();
        let options = options(scratch.path());
        let without = Options { shell_password: None, ..options.clone() };
        for (options, holds_secrets, is_secret) in
            [(&options, false, true), (&without, true, true), (&without, false, false)]
        {
            fs::write(&options.out, "an image that everybody may read").unwrap();
            fs::set_permissions(&options.out, fs::Permissions::from_mode(0o644)).unwrap();
            let none = Microcode::default();
            let manifest = Manifest::default();
            write(&manifest, options, None, holds_secrets, &none, &mut |_, _, _| {}).unwrap();
            let mode = fs::metadata(&options.out).unwrap().permissions().mode();
            assert_eq!(mode & 0o777 == 0o600, is_secret);
        }
    }
}
