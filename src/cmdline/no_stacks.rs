//! Without the feature `stacks`, the words about LUKS, LVM and md are those of another program.

use super::words::Word;

/// Nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackParams;

#[cfg(feature = "host")]
impl StackParams {
    /// Returns no kind of device.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Returns whether a word is another program's.
pub(super) fn store(_: &mut StackParams, word: &Word<'_>) -> bool {
    !word.key.starts_with("coldplug.")
}
