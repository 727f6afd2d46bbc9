//! The ways of a module file into the kernel.

/// How a module got into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadMethod {
    /// finit_module(2) on a plain file.
    Finit,
    /// finit_module(2) with MODULE_INIT_COMPRESSED_FILE.
    FinitCompressed,
    /// Decoded in user space, init_module(2).
    Init,
}

impl LoadMethod {
    /// Returns the method for a word of [`Self::as_str`].
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Finit, Self::FinitCompressed, Self::Init].into_iter().find(|m| m.as_str() == word)
    }

    /// Returns the method's word in the record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Finit => "finit_module",
            Self::FinitCompressed => "finit_module-compressed",
            Self::Init => "init_module",
        }
    }
}
