//! init_module(2), finit_module(2) and delete_module(2).

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

/// Flags of finit_module(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitFlags {
    /// MODULE_INIT_IGNORE_MODVERSIONS.
    pub ignore_modversions: bool,
    /// MODULE_INIT_IGNORE_VERMAGIC.
    pub ignore_vermagic: bool,
    /// MODULE_INIT_COMPRESSED_FILE (Linux 5.17).
    pub compressed: bool,
}

impl InitFlags {
    fn bits(self) -> i32 {
        i32::from(self.ignore_modversions)
            | i32::from(self.ignore_vermagic) << 1
            | i32::from(self.compressed) << 2
    }
}

/// The three calls by which modules come and go.
pub trait ModuleOps: Send + Sync {
    /// finit_module(2): the kernel reads the module from `file`.
    ///
    /// # Errors
    /// The kernel's answer.
    fn finit_module(
        &self,
        file: BorrowedFd<'_>,
        args: &CStr,
        flags: InitFlags,
    ) -> Result<(), Errno>;

    /// init_module(2): the module is `image`.
    ///
    /// # Errors
    /// The kernel's answer.
    fn init_module(&self, image: &[u8], args: &CStr) -> Result<(), Errno>;

    /// delete_module(2), never waiting.
    ///
    /// # Errors
    /// The kernel's answer.
    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno>;
}

/// The running kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

impl ModuleOps for Kernel {
    fn finit_module(
        &self,
        file: BorrowedFd<'_>,
        args: &CStr,
        flags: InitFlags,
    ) -> Result<(), Errno> {
        rustix::system::finit_module(file, args, flags.bits())
    }

    fn init_module(&self, image: &[u8], args: &CStr) -> Result<(), Errno> {
        rustix::system::init_module(image, args)
    }

    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno> {
        const O_NONBLOCK: i32 = 0o4000;
        const O_TRUNC: i32 = 0o1000;
        rustix::system::delete_module(name, if force { O_NONBLOCK | O_TRUNC } else { O_NONBLOCK })
    }
}
