//! Why a line is not converted.

use std::fmt;

/// Why a line is not converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineError {
    /// The line is not valid in modules.conf(5).
    Invalid(Invalid),
    /// The effect of the line depends on information that is not available.
    Undecided(Undecided),
}

/// A fault of a line, with the word at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Invalid {
    /// An `if` without a condition.
    MissingCondition,
    /// `-f` or `-e` without a file.
    MissingFile(String),
    /// A word between two others in a condition that is not a comparison operator.
    BadOperator(String),
    /// `else`, `elseif` or `endif` outside of an `if`.
    MissingIf(String),
    /// An `if` without `endif`.
    MissingEndif,
    /// A `define` of something that is not a variable name.
    BadVariable(String),
    /// An `include` of a file that is being read; the chain of files.
    IncludeCycle(String),
    /// An `include` beyond the limits of depth or number.
    TooManyIncludes(String),
    /// An `include` of a file that cannot be read; the error.
    Unreadable(String),
    /// A first word that is not a keyword.
    UnknownKeyword(String),
    /// A keyword that only modprobe.d(5) has.
    ModprobeKeyword(String),
    /// A keyword for a command, and a module, without a command.
    MissingCommand(String),
    /// A keyword without the name that it needs.
    MissingName(String),
    /// A word that cannot be the name of a module.
    BadName(String),
    /// A back-quote without a second one.
    OpenBackQuote,
}

/// The information on which the effect of a line depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undecided {
    /// Whether the kernel has called modprobe.
    Caller,
    /// The files that match a pattern.
    Pattern(String),
    /// The output of a command.
    Command(String),
    /// The meaning of a text to a shell, without its `$`.
    Shell(String),
    /// The value of a variable whose definition is undecided.
    Variable(String),
    /// The value of a variable without a definition.
    Undefined(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Undecided(undecided) => undecided.fmt(f),
        }
    }
}

impl std::error::Error for LineError {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match self {
            Self::MissingCondition => ["missing condition", "", ""],
            Self::MissingFile(word) => ["'", word, "' needs a file"],
            Self::BadOperator(word) => ["'", word, "' is not a comparison operator"],
            Self::MissingIf(keyword) => ["'", keyword, "' without 'if'"],
            Self::MissingEndif => ["'if' without 'endif'", "", ""],
            Self::BadVariable(name) => ["'", name, "' is not a variable name"],
            Self::IncludeCycle(chain) => ["include cycle: ", chain, ""],
            Self::TooManyIncludes(file) => ["'", file, "' exceeds the limit for included files"],
            Self::Unreadable(error) => [error, "", ""],
            Self::UnknownKeyword(word) => ["unknown keyword '", word, "'"],
            Self::ModprobeKeyword(word) => ["'", word, "' is a keyword of modprobe.d"],
            Self::MissingCommand(words) => ["'", words, "' needs a command"],
            Self::MissingName(keyword) => ["'", keyword, "' needs a module name"],
            Self::BadName(name) => ["'", name, "' is not a module name"],
            Self::OpenBackQuote => ["unterminated back-quote", "", ""],
        };
        write_all(f, parts)
    }
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = match self {
            Self::Caller => ["'-k' depends on the caller of modprobe", "", ""],
            Self::Pattern(file) => ["'", file, "' is a pattern of files"],
            Self::Command(command) => ["command `", command, "` is not run"],
            Self::Shell(text) => ["$", text, " is shell syntax"],
            Self::Variable(name) => ["the value of $", name, " is unknown"],
            Self::Undefined(name) => ["$", name, " is not defined"],
        };
        write_all(f, parts)
    }
}

fn write_all(f: &mut fmt::Formatter<'_>, parts: [&str; 3]) -> fmt::Result {
    parts.iter().try_for_each(|part| f.write_str(part))
}

/// Returns an [`Invalid`] line as an error.
pub(super) fn invalid<T>(error: Invalid) -> Result<T, LineError> {
    Err(LineError::Invalid(error))
}

/// Returns an [`Undecided`] line as an error.
pub(super) fn undecided<T>(error: Undecided) -> Result<T, LineError> {
    Err(LineError::Undecided(error))
}
