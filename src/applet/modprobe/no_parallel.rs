//! Without the feature `host` modules are loaded one after the other, whatever `--jobs` permits.

use std::ffi::OsString;

use super::{Modprobe, each};
use crate::applet::tool::Fail;

impl Modprobe<'_> {
    /// Inserts the modules of all operands.
    pub(super) fn insert_all(&self, operands: &[OsString]) -> Result<(), Fail> {
        each(operands, |operand| self.insert(operand, None))
    }
}
