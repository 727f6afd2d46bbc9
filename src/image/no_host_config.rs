//! Without the feature `stacks`, the image takes nothing from the configuration of its root.

use std::path::Path;

use super::Error;
use super::manifest::Manifest;

/// Nothing.
#[derive(Debug, Default)]
pub(super) struct HostConfig {
    pub(super) sets: Vec<String>,
    pub(super) is_secret: bool,
    pub(super) notices: Vec<String>,
}

impl HostConfig {
    pub(super) fn read(_: &Path) -> Result<Self, Error> {
        Ok(Self::default())
    }

    pub(super) fn has_rules<'a>(&self, _: impl Iterator<Item = &'a str>) -> bool {
        false
    }

    pub(super) fn add_to(self, _: &mut Manifest, _: &Path) -> Result<(), Error> {
        Ok(())
    }
}
