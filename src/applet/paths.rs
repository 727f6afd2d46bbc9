//! Paths of operands and options, put together as kmod does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[cfg(feature = "host")]
use crate::escape;

/// Returns the module directory for the base directory `-d` and the release `-S`.
pub(super) fn module_dir(base: Option<&OsString>, release: Option<&OsString>) -> PathBuf {
    let base = base.filter(|base| !base.is_empty());
    let mut dir = base.map_or_else(OsString::new, |base| absolute(base.as_ref()).into());
    dir.push("/lib/modules/");
    match release {
        Some(release) => dir.push(release),
        None => dir.push(crate::sys::release()),
    }
    dir.into()
}

/// Returns a hint how to index the module directory `dir`, which ends with the release; `None` if
/// it does not exist.
#[cfg(feature = "host")]
pub(super) fn depmod_hint(dir: &Path) -> Option<String> {
    let (modules, release) = (dir.parent()?, dir.file_name()?);
    let (base, option) = match modules.ancestors().nth(3) {
        Some(base) if modules.ends_with("usr/lib/modules") => (base, "-m /usr/lib/modules "),
        _ => (modules.ancestors().nth(2)?, ""),
    };
    let base = match base {
        base if base == Path::new("/") => String::new(),
        base if base == Path::new("") => "-b . ".to_owned(),
        base => format!("-b {} ", escape::path(base)),
    };
    let command = format!("coldplug depmod {base}{option}{}", escape::path(release));
    dir.is_dir().then(|| format!("run '{command}', which writes it"))
}

/// Returns an absolute path below the current directory, not normalized, as kmod prints it.
pub(super) fn absolute(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_owned();
    }
    let mut out = std::env::current_dir().unwrap_or_default().into_os_string();
    out.push("/");
    out.push(path);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[cfg(feature = "host")]
    #[test]
    fn a_directory_that_depmod_has_not_indexed_has_a_hint() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for (modules, options) in [
            ("lib/modules", "-b ROOT"),
            ("usr/lib/modules", "-b ROOT -m /usr/lib/modules"),
            ("own/lib/modules", "-b ROOT/own"),
        ] {
            let dir = root.join(modules).join("7.0");
            assert_eq!(depmod_hint(&dir), None, "{modules}");
            std::fs::create_dir_all(&dir).unwrap();
            let hint = depmod_hint(&dir).unwrap().replace(root.to_str().unwrap(), "ROOT");
            assert_eq!(hint, format!("run 'coldplug depmod {options} 7.0', which writes it"));
        }
    }

    #[test]
    fn the_module_directory_is_a_concatenation() {
        let dir = |base: &str| {
            let dir = module_dir(Some(&base.into()), Some(&"6.1".into()));
            dir.into_os_string().into_string().unwrap()
        };
        let bytes = |text: &[u8]| OsString::from_vec(text.to_vec());
        let dir_of_bytes = module_dir(Some(&bytes(b"/\xf6")), Some(&bytes(b"6.1\xff")));
        assert_eq!(dir_of_bytes.into_os_string(), bytes(b"/\xf6/lib/modules/6.1\xff"));
        assert_eq!(dir("/"), "//lib/modules/6.1");
        assert_eq!(dir(""), "/lib/modules/6.1");
        assert_eq!(dir("/x"), "/x/lib/modules/6.1");
        assert!(dir("x").ends_with("/x/lib/modules/6.1"));
    }
}
