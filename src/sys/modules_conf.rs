//! The modules.conf(5) of modutils in the place of modprobe.d(5).

use std::error::Error as StdError;
use std::path::Path;

use super::regular_file::{self, CONFIG_LIMIT};
use crate::kmod::Warning;
use crate::kmod::conf::Config;
use crate::kmod::modules_conf::{self, Environment};

/// Converts a modules.conf for the kernel `release` and adds the result to `config`. Returns false
/// if the file is not a modules.conf.
pub(super) fn add(
    config: &mut Config,
    name: &str,
    bytes: &[u8],
    release: &str,
    warnings: &mut Vec<Warning>,
) -> bool {
    if !modules_conf::is_modules_conf(bytes) {
        return false;
    }
    let converted = modules_conf::convert(name, bytes, &HostEnvironment::new(release));
    config.add_file(name, converted.to_string().as_bytes(), warnings);
    warnings.extend(converted.invalid);
    warnings.extend(converted.undecided);
    true
}

/// The machine that a modules.conf(5) asks about: this one, with a kernel release.
#[derive(Debug)]
pub(crate) struct HostEnvironment(String);

impl HostEnvironment {
    /// Returns this machine with the kernel `release`.
    pub(crate) fn new(release: &str) -> Self {
        Self(release.to_owned())
    }
}

impl Environment for HostEnvironment {
    fn release(&self) -> &str {
        &self.0
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Box<dyn StdError>> {
        Ok(regular_file::read_or_null(Path::new(path), CONFIG_LIMIT)?)
    }
}
