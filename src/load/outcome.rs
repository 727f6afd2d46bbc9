//! What became of a module, and how it got into the kernel.

/// What became of one requested module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Live, loaded by coldplug.
    Loaded,
    /// Loaded before by somebody else.
    Already,
    /// Its install command ran.
    Commanded,
    /// The index knows it, but its file is missing.
    Missing,
    /// Its init returned ENODEV: there is no hardware for it.
    NoDevice,
    /// Forbidden by configuration or by the kernel command line.
    Blacklisted,
    /// Its install command does nothing (`/bin/true`).
    Disabled,
    /// Masked, with the place of the mask.
    Masked(String),
    /// Not loaded, with the reason.
    Failed(String),
    /// Its load had not returned when the record was made.
    Loading,
    /// Its load had not started when the record was made.
    Waiting,
}

impl Outcome {
    /// Returns the outcome's word in the record.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Already => "already",
            Self::Commanded => "commanded",
            Self::Missing => "missing",
            Self::NoDevice => "no-device",
            Self::Blacklisted => "blacklisted",
            Self::Disabled => "disabled",
            Self::Masked(_) => "masked",
            Self::Failed(_) => "failed",
            Self::Loading => "loading",
            Self::Waiting => "waiting",
        }
    }

    /// Returns the outcome for a word of [`Self::as_str`] and the reason of a failure; `None` for an unknown word,
    /// and for `masked`, which needs a place.
    pub(super) fn parse(word: &str, reason: &str) -> Option<Self> {
        const PLAIN: [Outcome; 9] = [
            Outcome::Loaded,
            Outcome::Already,
            Outcome::Commanded,
            Outcome::Missing,
            Outcome::NoDevice,
            Outcome::Blacklisted,
            Outcome::Disabled,
            Outcome::Loading,
            Outcome::Waiting,
        ];
        match word {
            "failed" => Some(Self::Failed(reason.to_owned())),
            _ => PLAIN.into_iter().find(|outcome| outcome.as_str() == word),
        }
    }

    /// Returns why the module is not live, if that takes more than the word.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(reason) => Some(reason.clone()),
            Self::Masked(place) => Some(format!("masked by {place}")),
            _ => None,
        }
    }

    /// Returns whether the module is live, so that modules that need it can be loaded.
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Loaded | Self::Already | Self::Commanded)
    }
}

/// How a module got into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMethod {
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
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::KernelDecompress => "kernel-decompress",
            Self::Image => "image",
        }
    }
}
