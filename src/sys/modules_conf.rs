//! A modules.conf(5) of this machine, in the place of a modprobe.d(5).

use std::fs;
use std::path::Path;

use super::Cause;
use crate::kmod::Warning;
use crate::kmod::conf::Config;
use crate::kmod::modules_conf::{self, Outside};

/// Adds what a modules.conf says with the kernel `release`, as its conversion would be added; false where the file is none.
pub(super) fn add(
    config: &mut Config,
    name: &str,
    bytes: &[u8],
    release: &str,
    warnings: &mut Vec<Warning>,
) -> bool {
    if !modules_conf::is_old(bytes) {
        return false;
    }
    let converted = modules_conf::convert(name, bytes, &OldMachine::new(release));
    config.add_file(name, converted.to_string().as_bytes(), warnings);
    warnings.extend(converted.wrong);
    warnings.extend(converted.unsure);
    true
}

/// This machine with a kernel, for a modules.conf(5).
#[derive(Debug)]
pub struct OldMachine(String);

impl OldMachine {
    /// With the kernel `release`.
    pub fn new(release: &str) -> Self {
        Self(release.to_owned())
    }
}

impl Outside for OldMachine {
    fn release(&self) -> &str {
        &self.0
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        fs::read(path).map_err(|error| Cause::from(&error).to_string())
    }
}
