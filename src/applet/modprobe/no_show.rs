//! Without the feature `host` the queries about files and configuration are refused: they are those
//! of a running system, which has the whole program.

use std::ffi::OsStr;

use super::Modprobe;
use crate::applet::tool::Fail;

impl Modprobe<'_> {
    fn refuse(&self, option: &str) -> Fail {
        self.tool.error(&format!("{option}: this coldplug has no such query"))
    }

    /// Refuses `-c`.
    pub(super) fn show_config(&self) -> Result<(), Fail> {
        Err(self.refuse("--show-config"))
    }

    /// Refuses `--show-modversions`.
    pub(super) fn show_modversions(&self, _: &OsStr) -> Result<(), Fail> {
        Err(self.refuse("--show-modversions"))
    }

    /// Refuses `--show-exports`.
    pub(super) fn show_exports(&self, _: &OsStr) -> Result<(), Fail> {
        Err(self.refuse("--show-exports"))
    }
}
