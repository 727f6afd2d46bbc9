//! Paths of operands and options, put together as kmod does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the module directory for the base directory `-d` and the release `-S`.
pub(super) fn module_dir(base: Option<&OsString>, release: Option<&OsString>) -> String {
    let base = base.map_or_else(String::new, |b| b.to_string_lossy().into_owned());
    let base = match base.as_str() {
        "" => base,
        absolute if absolute.starts_with('/') => base,
        relative => {
            let here = std::env::current_dir().unwrap_or_default();
            format!("{}/{relative}", here.display())
        }
    };
    let release = release.map_or_else(crate::sys::release, |r| r.to_string_lossy().into_owned());
    format!("{base}/lib/modules/{release}")
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

    #[test]
    fn the_module_directory_is_a_concatenation() {
        let dir = |base: &str| module_dir(Some(&base.into()), Some(&"6.1".into()));
        assert_eq!(dir("/"), "//lib/modules/6.1");
        assert_eq!(dir(""), "/lib/modules/6.1");
        assert_eq!(dir("/x"), "/x/lib/modules/6.1");
        assert!(dir("x").ends_with("/x/lib/modules/6.1"));
    }
}
