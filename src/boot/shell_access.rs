//! Whether the person at a console may have a shell: `coldplug.shell=`, the kernel's lockdown, and
//! the password in the image.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::cmdline::words::raw_words;
use crate::sys::crypt::PasswordHash;
use crate::sys::{self, Root, procfs, regular_file, sysfs};

/// Path of the password hash in the image.
const PASSWORD: &str = "etc/coldplug/shell-password";
/// Longest file of a password hash, in bytes.
const MAX_LENGTH: usize = 512;
/// The lockdown mode in which root may not read what the kernel keeps secret; a shell could read
/// all disks.
const CONFIDENTIALITY: &str = "confidentiality";

/// Why there is no shell after a crash behind the switch.
const LOST_PASSWORD: &str = "its password was in the initramfs, which is gone after the switch";

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

/// Returns whether the image or the command line restricts the shell.
pub(super) fn is_guarded() -> bool {
    let noted = ACCESS.lock().unwrap_or_else(PoisonError::into_inner);
    !matches!(*noted, Some(ShellAccess::Open))
}

/// Refuses the shell after a crash behind the switch: `/` is the real root then, and the password
/// cannot be read any more.
pub(super) fn refuse_without_password() {
    let mut noted = ACCESS.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*noted, Some(ShellAccess::Refused(_))) {
        *noted = Some(ShellAccess::Refused(LOST_PASSWORD.to_owned()));
    }
}

/// Returns what a shell needs now.
pub(super) fn current(dir: &Root) -> ShellAccess {
    let noted = ACCESS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match noted.unwrap_or_else(|| ShellAccess::read(dir, true)) {
        refused @ ShellAccess::Refused(_) => refused,
        access => {
            let line = || procfs::cmdline_in_any_case(dir).ok();
            match refused_by_lockdown(sysfs::lockdown(), line) {
                Some(reason) => ShellAccess::Refused(reason),
                None => access,
            }
        }
    }
}

/// Returns why lockdown refuses a shell. If its mode cannot be read, the kernel command line counts
/// that `line` returns; if that cannot be read either, there is no shell.
fn refused_by_lockdown(
    mode: sys::Result<Option<String>>,
    line: impl FnOnce() -> Option<Vec<u8>>,
) -> Option<String> {
    let refused = format!("lockdown={CONFIDENTIALITY}");
    match mode {
        Ok(mode) => (mode.as_deref() == Some(CONFIDENTIALITY)).then_some(refused),
        Err(error) => {
            let is_asked = |line: Vec<u8>| {
                let asks = (&b"lockdown"[..], Some(CONFIDENTIALITY.as_bytes()));
                raw_words(&line).any(|word| (word.key, word.value) == asks)
            };
            line().is_none_or(is_asked).then(|| format!("{refused} cannot be ruled out: {error}"))
        }
    }
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
    fn a_shell_is_refused_unless_lockdown_is_known_to_allow_it() {
        let mode = |mode: &str| Ok(Some(mode.to_owned()));
        let unknown = || Err(sys::Error::new("fsmount", "securityfs", Errno::PERM));
        for (mode, line, refused) in [
            (Ok(None), Some("lockdown=confidentiality"), false),
            (mode("none"), None, false),
            (mode("integrity"), Some(""), false),
            (mode("confidentiality"), Some(""), true),
            (unknown(), Some("quiet lockdown=integrity"), false),
            (unknown(), Some("lockdown=confidentiality lockdown=none"), true),
            (unknown(), None, true),
        ] {
            let text = format!("{mode:?} {line:?}");
            let reason = refused_by_lockdown(mode, || line.map(Into::into));
            assert_eq!(reason.is_some(), refused, "{text}");
        }
    }

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
