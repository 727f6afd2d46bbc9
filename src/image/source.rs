//! Files of the build machine that become files of the image. /dev/null stands for an empty file,
//! as lists for gen_init_cpio name it; other devices, FIFOs and directories have no content to
//! copy.

use std::path::Path;

use super::Error;
use crate::sys;
use crate::sys::regular_file::{self, FileBytes};

/// Size limit of a file in bytes: the newc format has 32 bits for it.
const LIMIT: usize = u32::MAX as usize;

/// Checks that a file can be read later.
///
/// # Errors
///
/// It does not exist, is not a regular file, or may not be read.
pub(super) fn check(path: &Path) -> sys::Result<()> {
    regular_file::or_null(path, regular_file::open(path).map(drop))
}

/// Returns the content of a file.
///
/// # Errors
///
/// As [`check`]; the file is larger than 4 GiB.
pub(super) fn read(path: &Path) -> Result<FileBytes, Error> {
    let contents = regular_file::contents(path, LIMIT);
    regular_file::or_null(path, contents).map_err(Error::System)
}
