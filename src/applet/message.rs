//! Messages of commands on standard error, and the error that a command returns.
//!
//! ```text
//! coldplug COMMAND: OBJECT: what happened: cause
//! hint: what the user can do about it
//! ```
//!
//! The tools of kmod print theirs through [`Tool`](super::tool::Tool), in the form of kmod.

use std::ffi::OsStr;
use std::fmt;
use std::process::ExitCode;

use super::out;
use super::usage::Usage;
use crate::escape;
use crate::sys;

/// Reason why a command ends before its work is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// No failure: `--version` has been answered.
    Answered,
    /// No failure: the help of this command is asked for.
    Help(&'static Usage),
    /// The command line is wrong. The hint names the help of the command.
    Usage(String),
    /// What happened.
    Failed(String),
    /// What happened, and a hint.
    Hinted(String, String),
    /// Every message has been printed.
    Reported,
    /// No message, and an exit code for the process that has started this one.
    Code(u8),
}

impl Error {
    /// Returns the error for an operand that the command does not take.
    pub(super) fn unexpected(word: &OsStr) -> Self {
        Self::Usage(format!("unexpected argument '{}'", escape::line(&escape::path(word))))
    }

    /// Returns an error unless `success`; the messages have been printed.
    pub(super) fn unless(success: bool) -> Result<(), Self> {
        if success { Ok(()) } else { Err(Self::Reported) }
    }

    /// Returns the exit code. Every failure has the same: kmod knows no other.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Answered | Self::Help(_) => ExitCode::SUCCESS,
            Self::Usage(_) | Self::Failed(_) | Self::Hinted(..) | Self::Reported => {
                ExitCode::FAILURE
            }
            Self::Code(code) => ExitCode::from(*code),
        }
    }

    /// Prints the error as one of `command`, or the help that was asked for.
    pub(super) fn print(&self, command: &str) {
        match self {
            Self::Answered | Self::Reported | Self::Code(_) => {}
            Self::Help(usage) => out::text(&usage.help()),
            Self::Failed(text) => warn(command, text),
            Self::Hinted(text, what) => {
                warn(command, text);
                hint(what);
            }
            Self::Usage(text) => {
                warn(command, text);
                hint(&help_of(command));
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) | Self::Hinted(text, _) => f.write_str(text),
            Self::Answered | Self::Help(_) | Self::Reported | Self::Code(_) => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<sys::Error> for Error {
    fn from(error: sys::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(feature = "host")]
impl From<crate::image::Error> for Error {
    fn from(error: crate::image::Error) -> Self {
        match error.hint() {
            Some(hint) => Self::Hinted(error.to_string(), hint),
            None => Self::Failed(error.to_string()),
        }
    }
}

/// Prints a message of `command` about something that does not end it.
pub(super) fn warn(command: &str, text: &str) {
    out::error(&format!("coldplug {command}: {text}"));
}

/// Prints what the user can do about the message before.
pub(super) fn hint(text: &str) {
    out::error(&format!("hint: {text}"));
}

/// Returns the hint for a wrong command line.
pub(super) fn help_of(command: &str) -> String {
    format!("see 'coldplug help {command}'")
}
