//! What the check of an image finds.

use std::collections::HashSet;
use std::fmt;

/// What a finding means for the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Severity {
    /// The image does not do what it is for.
    Error,
    /// The image may still do what it is for.
    Warning,
}

impl Severity {
    /// Returns the word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The image as a whole, or the modules of a kernel as a whole.
    Content,
    /// /init or another program.
    Program,
    /// One module, or an index.
    Module,
    /// The firmware of a module.
    Firmware,
    /// A device of the machine.
    Device,
    /// The root filesystem, or what lies below it.
    Root,
}

impl Kind {
    /// Returns the word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Program => "program",
            Self::Module => "module",
            Self::Firmware => "firmware",
            Self::Device => "device",
            Self::Root => "root",
        }
    }
}

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    /// What it means.
    pub(crate) severity: Severity,
    /// What it is about.
    pub(crate) kind: Kind,
    /// A path in the image, a module or a device.
    pub(crate) object: String,
    /// The fault, in words.
    pub(crate) text: String,
    /// What the user can do about it.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, object, text, .. } = self;
        write!(f, "{}: {object}: {text}", severity.as_str())
    }
}

/// The findings of a check.
#[derive(Debug)]
pub(super) struct Findings {
    found: Vec<Finding>,
    /// What the next ones are about.
    kind: Kind,
}

impl Default for Findings {
    fn default() -> Self {
        Self { found: Vec::new(), kind: Kind::Content }
    }
}

impl Findings {
    /// Says what the next findings are about.
    pub(super) fn about(&mut self, kind: Kind) -> &mut Self {
        self.kind = kind;
        self
    }

    /// Adds a finding that keeps the image from doing what it is for.
    pub(super) fn error(&mut self, object: impl Into<String>, text: impl Into<String>) {
        self.add(Severity::Error, object.into(), text.into(), None);
    }

    /// Adds an error with a hint.
    pub(super) fn hinted(
        &mut self,
        object: impl Into<String>,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, object.into(), text.into(), Some(hint.into()));
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, object: impl Into<String>, text: impl Into<String>) {
        self.add(Severity::Warning, object.into(), text.into(), None);
    }

    fn add(&mut self, severity: Severity, object: String, text: String, hint: Option<String>) {
        self.found.push(Finding { severity, kind: self.kind, object, text, hint });
    }

    /// Returns the findings, errors first, each once.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| finding.severity);
        let mut seen = HashSet::new();
        self.found.retain(|finding| seen.insert(finding.clone()));
        self.found
    }
}

/// Number of names in a text that lists several.
const NAMED: usize = 4;

/// Returns a text that lists the first of `names`, and how many there are more.
pub(super) fn listed<T: fmt::Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
