//! The error of this layer: which operation failed, on which object, and why.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;

use rustix::io::Errno;

use super::errno;
use crate::escape;

/// A failed operation on the system. It is one pointer, because `?` copies it in hundreds of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Failure>);

/// The operation that failed, its object and the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operation, under the name that its manual page uses.
    pub(crate) op: &'static str,
    /// The path or name that the operation was applied to.
    pub(crate) object: String,
    /// The reason.
    pub(crate) cause: Cause,
}

/// The result of an operation on the system.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The error number that the kernel returned, or the one that fits a check made here.
    Errno(Errno),
    /// The content of the file is not valid UTF-8.
    NotUtf8,
    /// The file ends before the bytes that were asked for.
    UnexpectedEnd,
    /// The path leads to a directory, a device, a FIFO or a socket.
    NotRegular,
    /// The path does not lead to a block device.
    NotBlockDevice,
    /// The file has more bytes than this.
    TooLarge(usize),
    /// Any other error of the standard library, in its words: it has no error number.
    Other(String),
}

impl Error {
    /// Returns the error of `op` on `object`.
    pub(crate) fn new(
        op: &'static str,
        object: impl fmt::Display,
        cause: impl Into<Cause>,
    ) -> Self {
        Self::from_parts(op, object.to_string(), cause.into())
    }

    /// Returns the error of `op` on `object`, without conversions.
    #[cold]
    pub(crate) fn from_parts(op: &'static str, object: String, cause: Cause) -> Self {
        Self(Box::new(Failure { op, object, cause }))
    }

    /// Returns the error of `op` on `path` for an error of the standard library.
    pub(crate) fn io(op: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::new(op, escape::path(path), error)
    }

    /// Returns the same error on another object.
    pub(crate) fn on(mut self, object: String) -> Self {
        self.0.object = object;
        self
    }

    /// Returns the reason alone.
    pub(crate) fn into_cause(self) -> Cause {
        self.0.cause
    }
}

impl Deref for Error {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.op, self.object, self.cause)
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        match (Errno::from_io_error(error), error.kind()) {
            (Some(errno), _) => Self::Errno(errno),
            // A failed allocation of the standard library carries no number.
            (None, io::ErrorKind::OutOfMemory) => Self::Errno(Errno::NOMEM),
            // Functions that read files use this kind for invalid UTF-8 alone.
            (None, io::ErrorKind::InvalidData) => Self::NotUtf8,
            (None, io::ErrorKind::UnexpectedEof) => Self::UnexpectedEnd,
            (None, _) => Self::Other(error.to_string()),
        }
    }
}

impl PartialEq<Errno> for Cause {
    fn eq(&self, errno: &Errno) -> bool {
        matches!(self, Self::Errno(own) if own == errno)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => f.write_str(&errno::text(*errno)),
            Self::NotUtf8 => f.write_str("not valid UTF-8"),
            Self::UnexpectedEnd => f.write_str("unexpected end of file"),
            Self::NotRegular => f.write_str("not a regular file"),
            Self::NotBlockDevice => f.write_str("not a block device"),
            Self::TooLarge(limit) => match limit >> 20 {
                0 => write!(f, "larger than the limit of {limit} bytes"),
                mebibytes => write!(f, "larger than the limit of {mebibytes} MiB"),
            },
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;

    #[test]
    fn an_error_without_errno_names_its_cause() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        let text = |error: &io::Error| Error::io("read", Path::new("f"), error).to_string();
        let not_text = fs::read_to_string(&path).unwrap_err();
        assert_eq!(text(&not_text), "read f: not valid UTF-8");
        let short = fs::File::open(&path).unwrap().read_exact(&mut [0; 3]).unwrap_err();
        assert_eq!(text(&short), "read f: unexpected end of file");
        let nul = fs::read("a\0b").unwrap_err();
        assert_eq!(text(&nul), "read f: file name contained an unexpected NUL byte");
        let memory = io::Error::from(io::ErrorKind::OutOfMemory);
        assert_eq!(text(&memory), "read f: Cannot allocate memory");
        assert_eq!(text(&io::Error::other("bad frame")), "read f: bad frame");
    }

    #[test]
    fn an_errno_keeps_its_number_and_text() {
        let error = Error::io("open", Path::new("f"), &io::Error::from(Errno::NOENT));
        assert!(error.cause == Errno::NOENT && error.cause != Errno::IO);
        assert_eq!(error.to_string(), "open f: No such file or directory");
        let error = Error::io("read", Path::new("f"), &io::Error::from(Errno::IO));
        assert_eq!(error.to_string(), "read f: Input/output error");
    }
}
