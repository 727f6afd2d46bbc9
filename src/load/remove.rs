//! Removal of one module.

use std::ffi::CString;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::kmod::name::ModuleName;
use crate::sys::module::ModuleOps;

/// Removes a module with delete_module(2). While the module is in use, retries after pauses that
/// double, until `wait` has passed.
///
/// # Errors
/// The kernel's last answer.
pub(crate) fn delete(
    ops: &dyn ModuleOps,
    module: &ModuleName,
    force: bool,
    wait: Duration,
) -> Result<(), Errno> {
    let name = CString::new(module.as_bytes()).map_err(|_| Errno::INVAL)?;
    let end = Instant::now() + wait;
    let mut pause = Duration::from_millis(2);
    loop {
        let answer = ops.delete_module(&name, force);
        let left = end.saturating_duration_since(Instant::now());
        if answer != Err(Errno::AGAIN) || left.is_zero() {
            return answer;
        }
        thread::sleep(pause.min(left));
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use crate::sys::module::InitFlags;
    use std::ffi::CStr;
    use std::os::fd::BorrowedFd;
    use std::process::ExitStatus;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A module that is in use for this number of calls.
    struct Busy(AtomicUsize);

    impl ModuleOps for Busy {
        fn finit_module(&self, _: BorrowedFd<'_>, _: &CStr, _: InitFlags) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn init_module(&self, _: &[u8], _: &CStr) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn init_module_at(&self, _: *const [u8], _: &CStr) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn command(&self, _: &[u8], _: &ModuleName, _: &[u8]) -> sys::Result<ExitStatus> {
            Err(sys::Error::new("exec", "sh", Errno::NOSYS))
        }
        fn delete_module(&self, name: &CStr, _: bool) -> Result<(), Errno> {
            assert_eq!(name, c"m_x");
            match self.0.fetch_sub(1, Ordering::Relaxed) {
                0 | 1 => Ok(()),
                _ => Err(Errno::AGAIN),
            }
        }
    }

    #[test]
    fn the_wait_ends() {
        let run = |busy, wait| {
            let wait = Duration::from_millis(wait);
            delete(&Busy(AtomicUsize::new(busy)), &"m-x".into(), false, wait)
        };
        assert_eq!(run(1, 0), Ok(()));
        assert_eq!(run(4, 1000), Ok(()));
        assert_eq!(run(4, 0), Err(Errno::AGAIN));
        assert_eq!(run(1000, 20), Err(Errno::AGAIN));
    }
}
