//! init_module(2), finit_module(2) and delete_module(2).

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::process::{ExitStatus, Stdio};

use rustix::io::Errno;

use super::{process, raw};
use crate::kmod::name::ModuleName;

/// Environment variable with the parameters of a module for its install command.
pub(crate) const CMDLINE_OPTS: &str = "CMDLINE_OPTS";

/// Flags of finit_module(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct InitFlags {
    /// MODULE_INIT_IGNORE_MODVERSIONS.
    pub(crate) ignore_modversions: bool,
    /// MODULE_INIT_IGNORE_VERMAGIC.
    pub(crate) ignore_vermagic: bool,
    /// MODULE_INIT_COMPRESSED_FILE (Linux 5.17).
    pub(crate) compressed: bool,
}

impl InitFlags {
    fn bits(self) -> i32 {
        i32::from(self.ignore_modversions)
            | i32::from(self.ignore_vermagic) << 1
            | i32::from(self.compressed) << 2
    }
}

/// The calls that load and remove modules, and the commands that a configuration may substitute for
/// them. All methods are required, so that no implementation for tests reaches the real kernel.
pub(crate) trait ModuleOps: Send + Sync {
    /// finit_module(2): loads the module in `file`, with parameters `args`.
    ///
    /// # Errors
    /// The errno of the call.
    fn finit_module(
        &self,
        file: BorrowedFd<'_>,
        args: &CStr,
        flags: InitFlags,
    ) -> Result<(), Errno>;

    /// init_module(2): loads the module in `image`, with parameters `args`.
    ///
    /// # Errors
    /// The errno of the call.
    fn init_module(&self, image: &[u8], args: &CStr) -> Result<(), Errno>;

    /// init_module(2) for an image whose memory the caller may reuse once the kernel has copied it.
    ///
    /// # Errors
    /// The errno of the call.
    fn init_module_at(&self, image: *const [u8], args: &CStr) -> Result<(), Errno>;

    /// delete_module(2) with O_NONBLOCK, and with O_TRUNC if `force` is set: removes a module.
    ///
    /// # Errors
    /// The errno of the call.
    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno>;

    /// Runs an install command of modprobe.d(5) for `module` with sh(1) and waits for it.
    ///
    /// `options` are data in `$CMDLINE_OPTS`: the shell splits them into words, which it may expand
    /// as file names and never executes. kmod replaces the text, which would let the kernel command
    /// line run commands.
    ///
    /// # Errors
    /// The shell cannot be started.
    fn command(
        &self,
        command: &[u8],
        module: &ModuleName,
        options: &[u8],
    ) -> super::Result<ExitStatus>;
}

/// The running kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kernel;

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

    fn init_module_at(&self, image: *const [u8], args: &CStr) -> Result<(), Errno> {
        raw::init_module(image, args)
    }

    fn delete_module(&self, name: &CStr, force: bool) -> Result<(), Errno> {
        const O_NONBLOCK: i32 = 0o4000;
        const O_TRUNC: i32 = 0o1000;
        rustix::system::delete_module(name, if force { O_NONBLOCK | O_TRUNC } else { O_NONBLOCK })
    }

    fn command(
        &self,
        command: &[u8],
        module: &ModuleName,
        options: &[u8],
    ) -> super::Result<ExitStatus> {
        let environment = [("MODPROBE_MODULE", module.as_bytes()), (CMDLINE_OPTS, options)];
        // Descriptor 0 of a worker process is its socket.
        process::run_shell_command(command, &environment, Stdio::null())
    }
}

/// A kernel that does nothing: every load, removal and command succeeds.
#[cfg(feature = "host")]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DryRun;

#[cfg(feature = "host")]
impl ModuleOps for DryRun {
    fn finit_module(&self, _: BorrowedFd<'_>, _: &CStr, _: InitFlags) -> Result<(), Errno> {
        Ok(())
    }

    fn init_module(&self, _: &[u8], _: &CStr) -> Result<(), Errno> {
        Ok(())
    }

    fn init_module_at(&self, _: *const [u8], _: &CStr) -> Result<(), Errno> {
        Ok(())
    }

    fn delete_module(&self, _: &CStr, _: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn command(&self, _: &[u8], _: &ModuleName, _: &[u8]) -> super::Result<ExitStatus> {
        Ok(ExitStatus::default())
    }
}
