//! Whether the person at a console may have a shell: `coldplug.shell=`, the kernel's lockdown, and
//! the password in the image.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::mount::MountFlags;

use crate::sys::crypt::PasswordHash;
use crate::sys::{self, Root, mount, regular_file, sysfs};

/// Path of the password hash in the image.
const PASSWORD: &str = "etc/coldplug/shell-password";
/// Longest file of a password hash, in bytes.
const MAX_LENGTH: usize = 512;
/// The lockdown mode in which root may not read what the kernel keeps secret; a shell could read
/// all disks.
const CONFIDENTIALITY: &str = "confidentiality";

/// What a shell needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShellAccess {
    /// Nothing.
    Open,
    /// The password of this hash, in the form of crypt(5).
    Password(String),
    /// There is no shell, for this reason.
    Refused(String),
}

/// What the command line and the image say. The image is gone after the switch, and a shell may be
/// offered even then.
static ACCESS: Mutex<Option<ShellAccess>> = Mutex::new(None);

impl ShellAccess {
    /// Reads the password of the image. `allowed` is the value of `coldplug.shell=`.
    fn read(dir: &Root, allowed: bool) -> Self {
        if !allowed {
            return Self::Refused("coldplug.shell=0".to_owned());
        }
        match read_password(&dir.join(PASSWORD)) {
            Ok(None) => Self::Open,
            Ok(Some(text)) => match PasswordHash::parse(&text) {
                Ok(_) => Self::Password(text),
                Err(error) => Self::Refused(format!("/{PASSWORD}: {error}")),
            },
            Err(error) => Self::Refused(error.to_string()),
        }
    }
}

/// Notes what the command line and the image say about shells.
pub(super) fn set(dir: &Root, allowed: bool) {
    *ACCESS.lock().unwrap_or_else(PoisonError::into_inner) = Some(ShellAccess::read(dir, allowed));
}

/// Returns what a shell needs now.
pub(super) fn current(dir: &Root) -> ShellAccess {
    let noted = ACCESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match noted.unwrap_or_else(|| ShellAccess::read(dir, true)) {
        refused @ ShellAccess::Refused(_) => refused,
        _ if lockdown(dir).as_deref() == Some(CONFIDENTIALITY) => {
            ShellAccess::Refused(format!("lockdown={CONFIDENTIALITY}"))
        }
        access => access,
    }
}

/// Returns the lockdown mode of the kernel. Mounts securityfs for that if it is not mounted.
fn lockdown(dir: &Root) -> Option<String> {
    sysfs::lockdown(dir).or_else(|| {
        let place = dir.join("sys/kernel/security");
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        // A kernel without securityfs has no lockdown.
        mount::mount("securityfs", &place, "securityfs", flags, "").ok()?;
        let mode = sysfs::lockdown(dir);
        let _ = mount::detach(&place);
        mode
    })
}

/// Reads the file of the password; `None` if there is none.
fn read_password(path: &Path) -> sys::Result<Option<String>> {
    match regular_file::read_text(path, MAX_LENGTH) {
        Ok(text) => Ok(Some(text)),
        // A link that leads nowhere is no missing file.
        Err(error) if error.cause == Errno::NOENT && fs::symlink_metadata(path).is_err() => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5\n";

    #[test]
    fn a_password_that_cannot_be_used_refuses_the_shell() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        let path = scratch.path().join(PASSWORD);
        assert_eq!(ShellAccess::read(&dir, true), ShellAccess::Open);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(ShellAccess::read(&dir, true), ShellAccess::Open);
        for (text, usable) in [
            (HASH.as_bytes(), true),
            (HASH.trim_end().as_bytes(), true),
            (b"", false),
            (b"\n", false),
            (b"secret", false),
            (b"\xff", false),
            (&HASH.as_bytes()[1..], false),
            (HASH.repeat(2).as_bytes(), false),
            (HASH.repeat(20).as_bytes(), false),
        ] {
            fs::write(&path, text).unwrap();
            let access = ShellAccess::read(&dir, true);
            let refused = matches!(&access, ShellAccess::Refused(why) if why.contains(PASSWORD));
            assert_eq!(refused, !usable, "{access:?}");
            assert_eq!(
                ShellAccess::read(&dir, false),
                ShellAccess::Refused("coldplug.shell=0".into())
            );
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(matches!(ShellAccess::read(&dir, true), ShellAccess::Refused(_)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(ShellAccess::read(&dir, true), ShellAccess::Refused(_)));
    }
}
