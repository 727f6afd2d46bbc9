//! Keys of the type logon in the keyring of this thread: only the kernel can read them, keyrings(7).

use std::ffi::{CString, c_int, c_long};

use rustix::io::Errno;

use super::raw::secrets;
use super::{Error, Result};

/// KEY_SPEC_THREAD_KEYRING.
const THREAD_KEYRING: c_int = -1;

/// A key, which is removed from the keyring when it is dropped. What the kernel has copied stays.
#[derive(Debug)]
pub(crate) struct LogonKey(c_long);

impl LogonKey {
    /// add_key(2): adds a key under a description of the form `service:name`.
    ///
    /// # Errors
    /// ENOSYS: the kernel was built without CONFIG_KEYS.
    pub(crate) fn add(description: &str, key: &[u8]) -> Result<Self> {
        let failed = |errno| Error::new("add_key", description, errno);
        let text = CString::new(description).map_err(|_| failed(Errno::INVAL))?;
        secrets::add_key(c"logon", &text, key, THREAD_KEYRING).map(Self).map_err(failed)
    }
}

impl Drop for LogonKey {
    /// keyctl(2) with KEYCTL_UNLINK.
    fn drop(&mut self) {
        let _ = secrets::unlink_key(self.0, THREAD_KEYRING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A container may forbid the call.
    #[test]
    fn a_key_is_there_until_it_is_dropped() {
        let description = format!("coldplug-test:{}", std::process::id());
        let key = match LogonKey::add(&description, b"secret") {
            Ok(key) => key,
            Err(error) => return println!("{error}"),
        };
        let is_there =
            || fs::read_to_string("/proc/keys").unwrap_or_default().contains(&description);
        assert!(is_there() || !fs::exists("/proc/keys").unwrap());
        drop(key);
        // The kernel frees keys that no keyring holds from a work queue.
        let is_gone = |_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            !is_there()
        };
        assert!((0..100).any(is_gone));
        assert!(LogonKey::add("no-colon", b"secret").is_err());
    }
}
