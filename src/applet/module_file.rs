//! One module file: its bytes, its parameters, loading it, and the errno of a failure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::tool::Tool;
use crate::load::{InsertError, Inserter};
use crate::sys::modfile::{ImageError, ModuleFile};
use crate::sys::module::InitFlags;
use crate::sys::regular_file::FileBytes;
use crate::sys::{Cause, sysfs};

impl Tool {
    /// Loads the module file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or the kernel refuses it.
    pub(super) fn load(
        &self,
        path: &Path,
        args: &[u8],
        flags: InitFlags,
    ) -> Result<(), InsertError> {
        // kmod reads six bytes to detect the compression, and fails if there are fewer.
        if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() < 6) {
            return Err(InsertError::Kernel(Errno::INVAL));
        }
        let inserter = Inserter {
            ops: Arc::clone(&self.ops),
            dir: PathBuf::new(),
            kernel: sysfs::kernel_compression(&self.root),
        };
        inserter.insert(path, args, flags).result
    }
}

/// Joins parameters with spaces. `k=v` becomes `k="v"` if v has a space and no leading quote.
pub(super) fn parameters(words: &[OsString]) -> Vec<u8> {
    let mut all = Vec::new();
    for word in words {
        let word = word.as_bytes();
        if !all.is_empty() {
            all.push(b' ');
        }
        let at = word.iter().position(|byte| *byte == b'=').map_or(word.len(), |at| at + 1);
        let (key, value) = word.split_at(at);
        let is_quoted = matches!(value.first(), Some(b'"' | b'\''));
        match value.contains(&b' ') && !is_quoted {
            true => all.extend([key, b"\"", value, b"\""].concat()),
            false => all.extend_from_slice(word),
        }
    }
    all
}

/// Returns the errno that kmod reports for `error`.
pub(super) fn errno_of(error: &InsertError) -> Errno {
    match error {
        InsertError::Missing => Errno::NOENT,
        // kmod reports nothing but an errno.
        InsertError::Image(ImageError::Read(error)) => match error.cause {
            Cause::Errno(errno) => errno,
            _ => Errno::INVAL,
        },
        InsertError::Image(ImageError::Decode(_)) => Errno::INVAL,
        InsertError::Kernel(errno) => *errno,
    }
}

/// Reads and decompresses the module file at `path`.
///
/// # Errors
/// The errno that kmod reports.
pub(super) fn read_image(path: &Path) -> Result<FileBytes, Errno> {
    let image = ModuleFile::open(path)
        .map_err(ImageError::Read)
        .and_then(ModuleFile::contents)
        .map_err(|error| errno_of(&InsertError::Image(error)))?;
    // kmod cannot detect the compression of a shorter file.
    if image.len() < 6 { Err(Errno::INVAL) } else { Ok(image) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_with_spaces_are_quoted() {
        for (words, want) in [
            (vec!["a=1", "b"], "a=1 b"),
            (vec!["a=b c", "d=\"e f\"", "g='h i'", "j k"], "a=\"b c\" d=\"e f\" g='h i' j k"),
            (vec!["", "a"], "a"),
            (vec![], ""),
        ] {
            let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
            assert_eq!(parameters(&words), want.as_bytes());
        }
    }
}
