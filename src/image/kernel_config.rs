//! The options that a kernel was built with (.config), if its packages have installed them.

use std::path::{Path, PathBuf};

use crate::sys::inside::inside;
use crate::sys::regular_file;

/// Largest file that is read, in bytes.
const LIMIT: usize = 4 << 20;

/// The lines of the file; empty if there is none.
#[derive(Debug, Default)]
pub(super) struct KernelConfig(String);

impl KernelConfig {
    /// Reads the options of the kernel `release` below `root`; its modules are in `dir`.
    pub(super) fn read(root: &Path, dir: &Path, release: &str) -> Self {
        let places = [dir.join("config"), PathBuf::from(format!("boot/config-{release}"))];
        let texts = places.map(|path| regular_file::read(&inside(root, &path), LIMIT).ok());
        let text = texts.into_iter().flatten().next().unwrap_or_default();
        Self(String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns whether the kernel reads firmware with this suffix: `.xz`, `.zst` or none. Without
    /// the file this is assumed.
    pub(super) fn reads_firmware(&self, suffix: &str) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let any = self.is_set("CONFIG_FW_LOADER_COMPRESS");
        // Before Linux 5.19 there was one option, for xz.
        let has_options = self.0.contains("CONFIG_FW_LOADER_COMPRESS_XZ");
        match suffix {
            ".zst" => self.is_set("CONFIG_FW_LOADER_COMPRESS_ZSTD"),
            ".xz" => any && (!has_options || self.is_set("CONFIG_FW_LOADER_COMPRESS_XZ")),
            _ => true,
        }
    }

    fn is_set(&self, option: &str) -> bool {
        self.0.lines().any(|line| line.strip_prefix(option) == Some("=y"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn options_tell_which_firmware_is_read() {
        const ALL: &str = "CONFIG_FW_LOADER_COMPRESS=y\nCONFIG_FW_LOADER_COMPRESS_XZ=y\n\
                           CONFIG_FW_LOADER_COMPRESS_ZSTD=y\n";
        const ZSTD: &str = "CONFIG_FW_LOADER_COMPRESS=y\n# CONFIG_FW_LOADER_COMPRESS_XZ is not set\n\
                            CONFIG_FW_LOADER_COMPRESS_ZSTD=y\n";
        for (file, text, xz, zst) in [
            ("none", "", true, true),
            ("boot/config-6.1", ALL, true, true),
            ("lib/modules/6.1/config", ALL, true, true),
            ("boot/config-6.1", ZSTD, false, true),
            ("boot/config-5.10", ZSTD, true, true),
            ("boot/config-6.1", "CONFIG_FW_LOADER_COMPRESS=y\n", true, false),
            ("boot/config-6.1", "# CONFIG_FW_LOADER_COMPRESS is not set\n", false, false),
        ] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            let dir = Path::new("lib/modules/6.1");
            let config = KernelConfig::read(root.path(), dir, "6.1");
            let found = [".xz", ".zst", ""].map(|suffix| config.reads_firmware(suffix));
            assert_eq!(found, [xz, zst, true], "{file}: {text}");
        }
    }
}
