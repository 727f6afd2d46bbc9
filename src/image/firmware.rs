//! The firmware files that modules name in `.modinfo`, found in the directories that the kernel
//! searches (Documentation/driver-api/firmware/fw_search_path.rst).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, ModuleFormat, source};
use crate::kmod::alias::{fnmatch, is_wildcard};
use crate::kmod::elf;

/// Suffixes under which the kernel finds a file, in its order.
const SUFFIXES: [&str; 3] = ["", ".zst", ".xz"];

/// Returns the firmware names in the `.modinfo` of the module file at `path`.
///
/// # Errors
///
/// The file cannot be read or decompressed, or is not a module.
pub(super) fn names(path: &Path) -> Result<Vec<String>, Error> {
    let stored = source::read(path)?;
    let image =
        ModuleFormat::Plain.pack(stored).map_err(|error| Error::Decode(path.to_owned(), error))?;
    let info = elf::modinfo(&image).map_err(|error| Error::Module(path.to_owned(), error))?;
    Ok(info.into_iter().filter(|(key, _)| key == "firmware").map(|(_, name)| name).collect())
}

/// The result of a search for firmware.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Paths of the files found, below the firmware directory.
    pub(super) files: BTreeSet<String>,
    /// Number of names for which no file exists.
    pub(super) missing: usize,
}

/// Finds the files for `names` below `dir`.
pub(super) fn find(dir: &Path, release: &str, names: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    for name in names.iter().filter(|name| is_relative(name)) {
        let files = candidates(dir, release, name);
        found.missing += usize::from(files.is_empty());
        found.files.extend(files);
    }
    found
}

/// Returns whether `name` stays below the firmware directory: a module must not add other files to
/// the image.
fn is_relative(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('/') && !name.split('/').any(|part| part == "..")
}

/// Returns the files for `name` in the first of the kernel's directories that has one. In the
/// modules of newer kernels the name may be a glob.
fn candidates(dir: &Path, release: &str, name: &str) -> Vec<String> {
    let updates = format!("updates/{release}/");
    let own = format!("{release}/");
    for prefix in [&updates, "updates/", &own, ""] {
        let name = format!("{prefix}{name}");
        let files =
            if name.bytes().any(is_wildcard) { glob(dir, &name) } else { plain(dir, &name) };
        if !files.is_empty() {
            return files;
        }
    }
    Vec::new()
}

fn plain(dir: &Path, name: &str) -> Vec<String> {
    let files = SUFFIXES.map(|suffix| format!("{name}{suffix}"));
    files.into_iter().find(|file| dir.join(file).is_file()).into_iter().collect()
}

/// Returns the files that match a glob in the last component of `name`.
fn glob(dir: &Path, name: &str) -> Vec<String> {
    let (parent, pattern) = name.rsplit_once('/').unwrap_or(("", name));
    let matches = |path: &PathBuf| {
        let base = path.file_name().and_then(|base| base.to_str()).unwrap_or_default();
        let stem = base.strip_suffix(".zst").or_else(|| base.strip_suffix(".xz")).unwrap_or(base);
        fnmatch(pattern.as_bytes(), stem.as_bytes()) && path.is_file()
    };
    let entries = fs::read_dir(dir.join(parent)).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(matches);
    files.filter_map(|path| path.strip_prefix(dir).ok()?.to_str().map(str::to_owned)).collect()
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
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let cases: [(&str, &[&str], usize); 7] = [
            ("a.bin", &["updates/a.bin"], 0),
            ("b.bin", &["6.1/b.bin.xz"], 0),
            ("c.bin", &[], 1),
            ("brcm/x-*.bin", &["brcm/x-1.bin", "brcm/x-2.bin.zst"], 0),
            ("brcm/z*", &[], 1),
            ("brcm", &[], 1),
            ("../a.bin", &[], 0),
        ];
        for (name, files, missing) in cases {
            let found = find(dir.path(), "6.1", &BTreeSet::from([name.to_owned()]));
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            assert_eq!(found, Found { files, missing }, "{name}");
        }
    }
}
