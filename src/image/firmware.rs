//! The firmware files that modules name in `.modinfo`, found in the directories that the kernel
//! searches (Documentation/driver-api/firmware/fw_search_path.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, source};
use crate::kmod::alias::{fnmatch, is_wildcard};
use crate::kmod::compress::{self, IMAGE_LIMIT};
use crate::kmod::elf;
use crate::kmod::name::ModuleName;
use crate::sys::inside::inside;

/// Suffixes under which the kernel finds a file, in its order.
const SUFFIXES: [&str; 3] = ["", ".zst", ".xz"];
/// Those of compressed files.
pub(super) const COMPRESSED: [&str; 2] = [".zst", ".xz"];

/// Returns the firmware names in the `.modinfo` of `image`, the module of the file at `path`.
///
/// # Errors
///
/// It is not a module.
pub(super) fn names(path: &Path, image: &[u8]) -> Result<Vec<String>, Error> {
    let info = elf::modinfo(image).map_err(|error| Error::Module(path.to_owned(), error))?;
    Ok(info.into_iter().filter(|(key, _)| key == "firmware").map(|(_, name)| name).collect())
}

/// Returns the decompressed content of the firmware at `path`.
///
/// # Errors
/// It cannot be read, or is damaged.
pub(super) fn decoded(path: &Path) -> Result<Vec<u8>, Error> {
    compress::decode(&source::read(path)?, IMAGE_LIMIT)
        .map_err(|error| Error::Decode(path.to_owned(), error))
}

/// Names of firmware, each with the modules that name it.
pub(super) type Wanted = BTreeMap<String, BTreeSet<ModuleName>>;

/// The result of a search for firmware.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Paths of the files found, below the firmware directory, with the modules that name them.
    pub(super) files: Wanted,
    /// Names for which no file exists.
    pub(super) missing: Wanted,
}

impl Found {
    /// Adds what was found for another kernel.
    pub(super) fn merge(&mut self, other: Self) {
        for (own, others) in [(&mut self.files, other.files), (&mut self.missing, other.missing)] {
            for (name, modules) in others {
                own.entry(name).or_default().extend(modules);
            }
        }
    }
}

/// The firmware of a root.
#[derive(Debug)]
pub(super) struct Firmware<'a> {
    /// The root of the build.
    pub(super) root: &'a Path,
    /// The firmware directory below it.
    pub(super) dir: &'a Path,
    /// Release of the kernel, which may have files of its own.
    pub(super) release: &'a str,
}

impl Firmware<'_> {
    /// Finds the files for the names.
    pub(super) fn find(&self, wanted: &Wanted) -> Found {
        let mut found = Found::default();
        for (name, modules) in wanted.iter().filter(|(name, _)| is_relative(name)) {
            let files = self.candidates(name);
            if files.is_empty() {
                found.missing.insert(name.clone(), modules.clone());
            }
            for file in files {
                found.files.entry(file).or_default().extend(modules.iter().cloned());
            }
        }
        found
    }

    /// Returns the path on the build machine of a file of the firmware directory.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        inside(self.root, &self.dir.join(file))
    }

    /// Returns the files for `name`: each in the first of the kernel's directories that has it. In
    /// the modules of newer kernels the name may be a glob.
    fn candidates(&self, name: &str) -> Vec<String> {
        let release = self.release;
        let dirs = [
            format!("updates/{release}/"),
            "updates/".into(),
            format!("{release}/"),
            String::new(),
        ];
        let mut names = BTreeSet::from([name.to_owned()]);
        if name.bytes().any(is_wildcard) {
            names = dirs.iter().flat_map(|dir| self.glob(dir, name)).collect();
        }
        let first = |name: &String| dirs.iter().find_map(|dir| self.plain(&format!("{dir}{name}")));
        names.iter().filter_map(first).collect()
    }

    /// Returns the first file of this name, which may be compressed.
    fn plain(&self, name: &str) -> Option<String> {
        let files = SUFFIXES.map(|suffix| format!("{name}{suffix}"));
        files.into_iter().find(|file| self.path(file).is_file())
    }

    /// Returns the names, without the directory `dir` and a suffix, that match a glob. As in a
    /// shell a wildcard matches no slash.
    fn glob(&self, dir: &str, glob: &str) -> Vec<String> {
        glob.split('/').fold(vec![String::new()], |found, pattern| {
            let names = |parent: &String| {
                let entries = fs::read_dir(self.path(&format!("{dir}{parent}")));
                let names = entries.into_iter().flatten().flatten();
                let names = names.filter_map(|entry| entry.file_name().into_string().ok());
                let stems = names.map(|name| {
                    let stem = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".xz"));
                    stem.unwrap_or(&name).to_owned()
                });
                let matches = stems.filter(|stem| fnmatch(pattern.as_bytes(), stem.as_bytes()));
                let join = |stem| if parent.is_empty() { stem } else { format!("{parent}/{stem}") };
                matches.map(join).collect::<Vec<_>>()
            };
            found.iter().flat_map(names).collect()
        })
    }
}

/// Returns whether `name` stays below the firmware directory: a module must not add other files to
/// the image.
fn is_relative(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_kernels_search_path() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "a.bin",
            "updates/a.bin",
            "6.1/b.bin.xz",
            "brcm/x-1.bin",
            "brcm/x-2.bin.zst",
            "brcm/y.bin",
            "c.bin.gz",
            "updates/brcm/x-2.bin",
            "updates/6.1/brcm/x-3.bin.xz",
            "soc/one/dsp.mbn",
            "soc/two/dsp.mbn.zst",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let cases: [(&str, &[&str], usize); 9] = [
            ("a.bin", &["updates/a.bin"], 0),
            ("b.bin", &["6.1/b.bin.xz"], 0),
            ("c.bin", &[], 1),
            (
                "brcm/x-*.bin",
                &["brcm/x-1.bin", "updates/brcm/x-2.bin", "updates/6.1/brcm/x-3.bin.xz"],
                0,
            ),
            ("soc/*/dsp.mbn", &["soc/one/dsp.mbn", "soc/two/dsp.mbn.zst"], 0),
            ("soc/*", &[], 1),
            ("brcm/z*", &[], 1),
            ("brcm", &[], 1),
            ("../a.bin", &[], 0),
        ];
        for (name, files, missing) in cases {
            let (root, below) = (dir.path(), Path::new(""));
            let firmware = Firmware { root, dir: below, release: "6.1" };
            let by = BTreeSet::from([ModuleName::new("x")]);
            let found = firmware.find(&Wanted::from([(name.to_owned(), by.clone())]));
            let files = files.iter().map(|file| ((*file).to_owned(), by.clone())).collect();
            assert_eq!((found.files, found.missing.len()), (files, missing), "{name}");
        }
    }
}
