//! The module tree of one kernel on the build machine, from its index files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::indexes::{Indexes, read_optional};
use super::kernel_config::KernelConfig;
use crate::kmod::catalog::Catalog;
use crate::kmod::conf::Config;
use crate::kmod::dep::DepLine;
use crate::kmod::elf_machine::Machine;
use crate::kmod::name::ModuleName;
use crate::scan::simulation::KernelModules;
use crate::sys;
use crate::sys::inside::{first_dir, inside};
use crate::sys::moddir;
use crate::sys::modfile::ModuleFile;

/// The directories of modprobe.d(5) that are copied into an image. /run is not among them: it is
/// state of the build machine, and the image mounts an empty /run.
const CONFIG_DIRS: [&str; 4] =
    ["etc/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];

/// The modules of one kernel, as depmod indexes them.
#[derive(Debug)]
pub(super) struct Tree {
    /// `lib/modules/RELEASE` below the root.
    dir: PathBuf,
    /// The index files.
    pub(super) indexes: Arc<Indexes>,
    root: PathBuf,
    /// The lines of modules.dep, in the order of the file.
    pub(super) lines: Vec<DepLine>,
    /// Module name → position in `lines`.
    pub(super) by_name: HashMap<ModuleName, usize>,
    /// The modules built into the kernel.
    pub(super) builtin: HashSet<ModuleName>,
    /// The configuration of modules.alias, modules.softdep, modules.weakdep, modules.builtin.modinfo
    /// and modprobe.d.
    pub(super) config: Config,
    /// modprobe.d files: path in the image, content.
    pub(super) modprobe_d: Vec<(String, Vec<u8>)>,
}

impl Tree {
    /// Reads the indexes of `release` below `root`.
    ///
    /// # Errors
    ///
    /// [`Error::NoModules`] and [`Error::Depmod`]; a file that exists and cannot be read.
    pub(super) fn read(root: &Path, release: &str) -> Result<Self, Error> {
        let below = moddir::place(release, &|path| inside(root, path).exists());
        let indexes = Indexes::open(root, &inside(root, &below), release)?;
        let lines = dep_lines(&indexes.read("modules.dep")?.unwrap_or_default());
        let mut by_name = HashMap::new();
        for (at, line) in lines.iter().enumerate() {
            by_name.entry(ModuleName::new(&line.path)).or_insert(at);
        }
        let builtin = indexes.read("modules.builtin")?;
        // A kernel without modules has modules.builtin and an empty modules.order. Debian's kernel
        // image, and the lists with the names of all modules, are packages without the modules.
        let order = indexes.read("modules.order")?.unwrap_or_default();
        if lines.is_empty() && (builtin.is_none() || !order.is_empty()) {
            let (dir, release) = (inside(root, &below), release.to_owned());
            return Err(Error::NoModules { dir, release });
        }
        let builtin = builtin.unwrap_or_default();
        let modprobe_d = read_modprobe_d(root)?;
        let config = read_config(&indexes, &modprobe_d)?;
        let builtin = builtin_names(&builtin);
        Ok(Self {
            dir: below,
            indexes: Arc::new(indexes),
            root: root.to_owned(),
            lines,
            by_name,
            builtin,
            config,
            modprobe_d,
        })
    }

    /// Returns the path on the build machine of a path in modules.dep. An absolute path is below
    /// the root.
    #[must_use]
    pub(super) fn path(&self, line: &[u8]) -> PathBuf {
        inside(&self.root, &self.dir.join(sys::path(line)))
    }

    /// Returns the machine that the first module which can be read is for, and with it the kernel;
    /// `None` if there is none.
    #[must_use]
    pub(super) fn machine(&self) -> Option<Machine> {
        self.lines.iter().find_map(|line| ModuleFile::machine(&self.path(&line.path)))
    }

    /// Returns all modules as the boot from an image of this tree sees them, without what the kernel
    /// command line adds to modprobe.d, and without lists of modules.
    #[must_use]
    pub(super) fn kernel_modules(&self) -> KernelModules {
        KernelModules {
            dir: inside(&self.root, &self.dir),
            catalog: Catalog::new(self.indexes.clone()),
            config: self.boot_config(),
            listed: Vec::new(),
        }
    }

    /// Returns modprobe.d, modules.softdep and modules.weakdep in the order in which the boot reads
    /// them. Of files with one name the first one is used.
    fn boot_config(&self) -> Config {
        let mut files: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
        for (path, text) in &self.modprobe_d {
            let name = path.rsplit('/').next().unwrap_or(path);
            files.entry(name).or_insert_with(|| text.clone());
        }
        for name in ["modules.softdep", "modules.weakdep"] {
            files.extend(self.indexes.read(name).ok().flatten().map(|text| (name, text)));
        }
        let (mut config, mut warnings) = (Config::default(), Vec::new());
        for (name, text) in files {
            config.add_file(name, &text, &mut warnings);
        }
        config
    }

    /// Returns the firmware directory, below the root.
    #[must_use]
    pub(super) fn firmware_dir(&self) -> PathBuf {
        first_dir(&self.root, ["lib/firmware".into(), "usr/lib/firmware".into()])
    }

    /// Returns the options that the kernel was built with.
    #[must_use]
    pub(super) fn kernel_config(&self, release: &str) -> KernelConfig {
        KernelConfig::read(&self.root, &self.dir, release)
    }

    /// Returns the root of the build.
    #[must_use]
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn dep_lines(text: &[u8]) -> Vec<DepLine> {
    lines(text).filter_map(DepLine::parse).collect()
}

fn builtin_names(text: &[u8]) -> HashSet<ModuleName> {
    lines(text).filter_map(ModuleName::from_path).collect()
}

/// Reads the configuration that affects the closure. Invalid lines are skipped, as at load time.
fn read_config(indexes: &Indexes, modprobe_d: &[(String, Vec<u8>)]) -> Result<Config, Error> {
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    for name in ["modules.alias", "modules.softdep", "modules.weakdep"] {
        let text = indexes.read(name)?.unwrap_or_default();
        config.add_file(name, &text, &mut warnings);
    }
    let builtin = indexes.read("modules.builtin.modinfo")?.unwrap_or_default();
    config.add_file("modules.builtin.modinfo", &builtin_lines(&builtin), &mut warnings);
    for (name, text) in modprobe_d {
        config.add_file(name, text, &mut warnings);
    }
    Ok(config)
}

/// Returns the aliases, softdeps and weakdeps of builtin modules as lines of modprobe.d: the kernel
/// requests such modules itself. depmod stores only the dependencies of loadable modules.
///
/// ```text
/// modules.builtin.modinfo    MODULE.KEY=VALUE NUL ...       ext4.softdep=pre: crypto-crc32c
/// ```
fn builtin_lines(modinfo: &[u8]) -> Vec<u8> {
    let line = |field: &[u8]| {
        let dot = field.iter().position(|byte| *byte == b'.')?;
        let (module, rest) = (&field[..dot], &field[dot + 1..]);
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&rest[..equals], &rest[equals + 1..]);
        match key {
            b"softdep" | b"weakdep" => Some([key, b" ", module, b" ", value, b"\n"].concat()),
            b"alias" => Some([key, b" ", value, b" ", module, b"\n"].concat()),
            _ => None,
        }
    };
    modinfo.split(|byte| *byte == 0).filter_map(line).flatten().collect()
}

fn read_modprobe_d(root: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for name in CONFIG_DIRS {
        let dir = inside(root, Path::new(name));
        // On a merged /usr, lib/modprobe.d and usr/lib/modprobe.d are one directory.
        let Ok(real) = fs::canonicalize(&dir) else { continue };
        if seen.insert(real) {
            read_conf_files(root, &dir, name, &mut files)?;
        }
    }
    Ok(files)
}

fn read_conf_files(
    root: &Path,
    dir: &Path,
    name: &str,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let base = path.file_name().unwrap_or_default();
        let base = base.to_str().ok_or_else(|| Error::NotUtf8(path.clone()))?;
        let real = inside(root, &Path::new(name).join(base));
        if base.starts_with('.') || !base.ends_with(".conf") || real.is_dir() {
            continue;
        }
        // A dangling link has no effect, as with modprobe.
        if let Some(content) = read_optional(&real)? {
            files.push((format!("{name}/{base}"), content));
        }
    }
    Ok(())
}
