//! The check of the new root, as PID 1 sees it: what the mount worker is asked, and what it answers
//! after [`super::new_root`].
//!
//! ```text
//! answer    ready NUL MISSING NUL INIT { NUL PATH NUL CAUSE }   inits that exist and are skipped
//!           no-init NUL MISSING NUL USR { NUL PATH NUL CAUSE }  or unreadable: a retry may help
//!           gone
//!           refused NUL TEXT
//!
//! MISSING   mount points that the root lacks, `/dev, /run`, or nothing
//! USR       kernel parameters that mount the /usr of its fstab, or nothing
//! ```
//!
//! The worker stays: the root is checked when it has been mounted, so that the next one of
//! `coldplug.root=` can be tried, and again before the switch, up to a minute later.

use std::fmt;
use std::time::Duration;

use super::error::{BootError, Interruption};
use super::root::{MountWorker, WorkerError};
use super::switch_root::{INIT, SwitchRootError};
use crate::cmdline::boot::BootParams;
use crate::escape;
use crate::sys::{BootTime, signals};

/// Longest check of a root that has no timeout.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Part of a program that is read to find damage: more than most inits have.
const READ_LIMIT: u64 = 4 << 20;

/// First words of answers.
const NO_INIT: &[u8] = b"no-init";
const UNREADABLE: &[u8] = b"unreadable";

/// What the worker checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InitRequest {
    /// `init=`
    pub(super) init: Option<Vec<u8>>,
    /// Number of bytes of a program that are read.
    pub(super) limit: u64,
    /// Node of the root device.
    pub(super) device: Option<String>,
    /// Whether a shell command is run instead of the init.
    pub(super) is_command: bool,
}

/// An init that cannot be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) path: String,
    pub(super) cause: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.cause)
    }
}

/// The answer of the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The init can be executed. Inits that the kernel would try before it cannot.
    Ready { missing: String, init: Vec<u8>, skipped: Vec<Tried> },
    /// No init can be executed.
    NoInit { missing: String, usr: String, tried: Vec<Tried>, is_unreadable: bool },
    /// The root device has disappeared.
    Gone,
    /// The root cannot be switched to.
    Refused(String),
}

impl InitRequest {
    /// Returns the request for what the command line asks to be executed. `node` is that of the
    /// root's block device, if it has one. A verified root is read without a limit.
    pub(super) fn new(params: &BootParams, node: Option<&str>, is_verified: bool) -> Self {
        Self {
            init: params.init.clone(),
            limit: if is_verified { u64::MAX } else { READ_LIMIT },
            device: node.map(str::to_owned),
            is_command: params.exec.is_some(),
        }
    }

    /// Returns what the answer of the worker means for the root, which is `root` in messages.
    ///
    /// # Errors
    /// The root cannot be switched to.
    pub(super) fn result(&self, root: &str, answer: &[u8]) -> Result<Checked, SwitchRootError> {
        let root = root.to_owned();
        Err(match Answer::decode(answer) {
            Some(Answer::Ready { missing, init, skipped }) => {
                return Ok(Checked { missing, init, skipped });
            }
            Some(Answer::NoInit { missing, usr, tried, is_unreadable }) => {
                let parameter = match self {
                    Self { is_command: true, .. } => Some("coldplug.exec="),
                    Self { init: Some(_), .. } => Some(INIT),
                    _ => None,
                };
                SwitchRootError::NoInit { root, parameter, tried, missing, usr, is_unreadable }
            }
            Some(Answer::Gone) => SwitchRootError::Gone(self.device.clone().unwrap_or_default()),
            Some(Answer::Refused(text)) => SwitchRootError::Refused(text),
            None => SwitchRootError::Worker(WorkerError::Died(operation(&root))),
        })
    }
}

/// Returns the check in words.
pub(super) fn operation(root: &str) -> String {
    format!("root {root}: check of its init")
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (mut fields, tried): (Vec<&[u8]>, &[Tried]) = match self {
            Self::Ready { missing, init, skipped } => {
                (vec![b"ready", missing.as_bytes(), init], skipped)
            }
            Self::NoInit { missing, usr, tried, is_unreadable } => {
                let word = if *is_unreadable { UNREADABLE } else { NO_INIT };
                (vec![word, missing.as_bytes(), usr.as_bytes()], tried)
            }
            Self::Gone => (vec![b"gone"], &[]),
            Self::Refused(text) => (vec![b"refused", text.as_bytes()], &[]),
        };
        fields.extend(tried.iter().flat_map(|t| [t.path.as_bytes(), t.cause.as_bytes()]));
        fields.join(&0)
    }

    fn decode(message: &[u8]) -> Option<Self> {
        let mut fields = message.split(|byte| *byte == 0);
        Some(match fields.next()? {
            b"ready" => Self::Ready {
                missing: text(fields.next()?),
                init: fields.next()?.to_owned(),
                skipped: tried(fields),
            },
            word @ (NO_INIT | UNREADABLE) => Self::NoInit {
                missing: text(fields.next()?),
                usr: text(fields.next()?),
                tried: tried(fields),
                is_unreadable: word == UNREADABLE,
            },
            b"gone" => Self::Gone,
            b"refused" => Self::Refused(text(fields.next()?)),
            _ => return None,
        })
    }
}

fn text(field: &[u8]) -> String {
    escape::bytes(field).into_owned()
}

fn tried<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Vec<Tried> {
    let next = || Some(Tried { path: text(fields.next()?), cause: text(fields.next()?) });
    std::iter::from_fn(next).collect()
}

/// A root whose init can be executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Mount points that the root lacks, separated by commas.
    pub(super) missing: String,
    /// Path of the init in the new root.
    pub(super) init: Vec<u8>,
    /// Inits that the kernel would try before, and that cannot be executed.
    pub(super) skipped: Vec<Tried>,
}

/// A check that can be repeated.
#[derive(Debug)]
pub(super) struct RootCheck {
    worker: MountWorker,
    request: InitRequest,
    /// The root in messages.
    root: String,
    timeout: Duration,
}

impl RootCheck {
    pub(super) fn new(
        worker: MountWorker,
        root: &str,
        request: InitRequest,
        timeout: Option<Duration>,
    ) -> Self {
        Self { worker, request, root: root.to_owned(), timeout: timeout.unwrap_or(TIMEOUT) }
    }

    /// Checks the root at /sysroot and waits for the result.
    ///
    /// # Errors
    /// The root cannot be switched to, the worker does not answer in time, or Ctrl-Alt-Del is
    /// pressed.
    pub(super) fn run(&mut self) -> Result<Checked, BootError> {
        let began = BootTime::now();
        self.worker
            .check_init(self.request.clone(), operation(&self.root))
            .map_err(|error| SwitchRootError::Worker(WorkerError::System(error)))?;
        loop {
            if signals::is_ctrl_alt_del_pressed() {
                return Err(BootError::Interrupted(Interruption::CtrlAltDel));
            }
            if let Some(result) = self.worker.poll() {
                let answer = result.map_err(SwitchRootError::Worker)?;
                return Ok(self.request.result(&self.root, &answer)?);
            }
            let left = self.timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                let (root, waited) = (self.root.clone(), self.timeout);
                return Err(SwitchRootError::NoAnswer { root, waited }.into());
            }
            signals::sleep_unless_readable(self.worker.wake_fd(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_their_encoding() {
        let tried = |path: &str| Tried { path: path.into(), cause: "Exec format error".into() };
        for answer in [
            Answer::Ready {
                missing: String::new(),
                init: "/bin/init".into(),
                skipped: vec![tried("/sbin/init")],
            },
            Answer::Ready {
                missing: "/dev, /run".into(),
                init: b"/sbin/\xf6".into(),
                skipped: Vec::new(),
            },
            Answer::NoInit {
                missing: "/proc".into(),
                usr: String::new(),
                tried: vec![tried("/a"), tried("/b")],
                is_unreadable: false,
            },
            Answer::NoInit {
                missing: String::new(),
                usr: "mount.usr=UUID=1".into(),
                tried: vec![tried("/a")],
                is_unreadable: true,
            },
            Answer::Gone,
            Answer::Refused("switch_root /sysroot: Invalid cross-device link".into()),
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
        assert_eq!(Answer::decode(b""), None);
    }
}
