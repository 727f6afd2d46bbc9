//! Outcomes of requested modules.

use super::error::LoadError;

/// Outcome of one requested module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Live, loaded by coldplug.
    Loaded,
    /// Live, loaded before by another program.
    Already,
    /// Its install command ran.
    Commanded,
    /// The index lists it, but its file is missing.
    Missing,
    /// Its init returned ENODEV: there is no hardware for it.
    NoDevice,
    /// Forbidden by the configuration or the kernel command line.
    Blacklisted,
    /// Its install command does nothing (`/bin/true`).
    Disabled,
    /// Masked; the text is the origin of the mask.
    Masked(String),
    /// Not loaded.
    Failed(LoadError),
    /// Its load had not returned when the record was made.
    Loading,
    /// Its load had not started when the record was made.
    Waiting,
}

impl Outcome {
    /// Returns the outcome's word in the record.
    pub(crate) fn as_str(&self) -> &'static str {
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

    /// Returns the outcome without details for a word of [`Self::as_str`]; `None` for `failed` and
    /// `masked`, which have details, and for an unknown word.
    pub(super) fn parse(word: &str) -> Option<Self> {
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
        PLAIN.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// Returns why the module is not live, if that takes more than the word.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(error) => Some(error.to_string()),
            Self::Masked(origin) => Some(format!("masked by {origin}")),
            _ => None,
        }
    }

    /// Returns whether the module is live, so that modules that need it can be loaded.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Loaded | Self::Already | Self::Commanded)
    }
}
