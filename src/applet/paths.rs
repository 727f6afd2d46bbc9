//! Paths of operands and options, put together as kmod does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
