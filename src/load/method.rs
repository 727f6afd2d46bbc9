//! The ways of a module file into the kernel.

/// How a module got into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadMethod {
    /// finit_module(2) on a plain file.
    File,
    /// finit_module(2) with MODULE_INIT_COMPRESSED_FILE.
    KernelDecompress,
    /// Decoded in user space, init_module(2).
    Image,
}

impl LoadMethod {
    /// Returns the method for a word of [`Self::as_str`].
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::File, Self::KernelDecompress, Self::Image].into_iter().find(|m| m.as_str() == word)
    }

    /// Returns the method's word in the record.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::KernelDecompress => "kernel-decompress",
            Self::Image => "image",
        }
    }
}
