//! The kernel of a guest: its file, and where its modules are.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::message::Error;
use crate::escape;
use crate::image::installed;
use crate::qemu::{Architecture, KERNEL_HEAD, KernelFile};
use crate::sys::{self, Root, procfs};

/// A kernel, and its modules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) path: PathBuf,
    pub(super) architecture: Architecture,
    pub(super) release: String,
    /// Directory with its lib/modules.
    pub(super) root: PathBuf,
}

impl Kernel {
    /// Finds the kernel `word`, a release or a path, below `kernel_root`, or else below `root`, the
    /// root of the guest. Without a word, that is the running kernel or the only one.
    ///
    /// # Errors
    /// There is no such kernel, or it is for an unknown machine; its release is not known.
    pub(super) fn find(
        word: Option<&OsStr>,
        kernel_root: Option<&Path>,
        root: &Path,
    ) -> Result<Self, Error> {
        let below = kernel_root.unwrap_or(root);
        let release = match word {
            Some(word) if word.as_encoded_bytes().contains(&b'/') => {
                return Self::at(Path::new(word), kernel_root, root);
            }
            Some(word) => super::args::release(word.to_owned())?,
            None => default_release(below)?,
        };
        let path = installed::kernel_file(&Root::at(below), &release).ok_or_else(|| {
            let below = escape::path(&below);
            Error::Hinted(
                format!("{below}: no kernel {release} in boot or beside its modules"),
                "--kernel takes the path of a kernel too".to_owned(),
            )
        })?;
        let file = parse(&path)?;
        let root = below.to_owned();
        Ok(Self { path, architecture: file.architecture, release, root })
    }

    /// Returns the kernel at `path`. Its modules are below `kernel_root`, or else in the tree that it
    /// stands in, or else below `root`.
    fn at(path: &Path, kernel_root: Option<&Path>, root: &Path) -> Result<Self, Error> {
        let file = parse(path)?;
        let release = file.release.or_else(|| release_of_name(path));
        let Some(release) = release else {
            return Err(Error::Hinted(
                format!("{}: the release of this kernel is not known", escape::path(&path)),
                "rename it to vmlinuz-RELEASE".to_owned(),
            ));
        };
        let own = path.ancestors().skip(1).take(6);
        let known = kernel_root.map(Path::to_owned).or_else(|| {
            let has_modules = |dir: &&Path| installed::has_modules(&Root::at(*dir), &release);
            own.filter(|dir| !dir.as_os_str().is_empty()).find(has_modules).map(Path::to_owned)
        });
        let root = known.unwrap_or_else(|| root.to_owned());
        Ok(Self { path: path.to_owned(), architecture: file.architecture, release, root })
    }
}

/// Returns the release in the name of a kernel: `vmlinuz-RELEASE`, or `lib/modules/RELEASE/vmlinuz`.
fn release_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let dir = path.parent()?;
    let is_beside_modules = dir.parent().is_some_and(|dir| dir.ends_with("lib/modules"));
    match name.split_once('-') {
        Some((_, release)) => Some(release.to_owned()),
        None if is_beside_modules => Some(dir.file_name()?.to_str()?.to_owned()),
        None => None,
    }
}

/// Returns the release of the running kernel if it is installed below `root`, or the only one there.
fn default_release(root: &Path) -> Result<String, Error> {
    let place = Root::at(root);
    let releases = installed::releases(&place);
    let running = procfs::sysctl(&Root::default(), "kernel/osrelease").unwrap_or_default();
    if releases.contains(&running) {
        return Ok(running);
    }
    super::args::only_release(releases, root)?.ok_or_else(|| {
        Error::Hinted(
            format!("{}: no kernel with modules", escape::path(&root)),
            "name one with --kernel and --kernel-root".to_owned(),
        )
    })
}

fn parse(path: &Path) -> Result<KernelFile, Error> {
    let failed = |e| Error::from(sys::Error::io("open", path, &e));
    let file = File::open(path).map_err(failed)?;
    let mut head = Vec::new();
    file.take(KERNEL_HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let parsed = KernelFile::parse(&head);
    parsed.map_err(|error| Error::Failed(format!("{}: {error}", escape::path(&path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_kernel_is_found_with_its_modules() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path();
        let mut x86 = vec![0; 0x400];
        x86[0x202..0x206].copy_from_slice(b"HdrS");
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        };
        put("boot/vmlinuz-6.1", &x86);
        put("lib/modules/6.1/modules.dep", b"");
        put("lib/modules/7.0/modules.dep", b"");
        put("other/vmlinuz-6.1", &x86);
        put("other/text", b"no kernel");
        put("empty/x", b"");
        let find = |word: Option<&str>, root: &str| {
            Kernel::find(word.map(OsStr::new), None, &dir.join(root))
        };
        let want = |path: &str, root: &str| Kernel {
            path: dir.join(path),
            architecture: Architecture::X86,
            release: "6.1".to_owned(),
            root: dir.join(root),
        };
        assert_eq!(find(None, "").unwrap(), want("boot/vmlinuz-6.1", ""));
        assert_eq!(find(Some("6.1"), "").unwrap(), want("boot/vmlinuz-6.1", ""));
        let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        let own = path("other/vmlinuz-6.1");
        assert_eq!(find(Some(&own), "empty").unwrap().root, dir);
        for (word, root, text) in [
            (None, "empty", "no kernel with modules"),
            (Some("7.0"), "", "no kernel 7.0"),
            (Some("../x"), "", "No such file"),
            (Some(&*path("other/text")), "", "not a kernel image"),
        ] {
            let error = find(word, root).unwrap_err().to_string();
            assert!(error.contains(text), "{word:?}: {error}");
        }
    }
}
