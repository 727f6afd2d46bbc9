//! The filesystem by which a guest sees a directory of the host as its root.
//!
//! | filesystem | served by | modules |
//! | --- | --- | --- |
//! | 9p | QEMU | 9p, 9pnet_virtio |
//! | virtiofs | virtiofsd, a process of its own | virtiofs |

use std::path::PathBuf;

use crate::sys::process;

/// Tag of the root in the guest.
pub(super) const TAG: &str = "root";
/// The server of virtiofs.
pub(crate) const SERVER: &str = "virtiofsd";
/// Places of it that are not in PATH.
const SERVER_PATHS: [&str; 3] =
    ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"];

/// A filesystem of a shared directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SharedFilesystem {
    NineP,
    Virtiofs,
}

impl SharedFilesystem {
    /// Parses `9p` or `virtiofs`.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "9p" => Some(Self::NineP),
            "virtiofs" => Some(Self::Virtiofs),
            _ => None,
        }
    }

    /// Returns whether the program that serves it is installed.
    pub(crate) fn has_server(self) -> bool {
        self == Self::NineP || server().is_some()
    }

    /// Returns the modules that mount it.
    pub(crate) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::NineP => &["9p", "9pnet_virtio"],
            Self::Virtiofs => &["virtiofs"],
        }
    }

    /// Returns the words of the kernel command line that mount it as the root. Nothing else writes
    /// to a directory that is shared for reading, as far as the guest is concerned, so that it may
    /// keep what it has read.
    pub(super) fn words(self, is_writable: bool) -> String {
        let access = if is_writable { "rw" } else { "ro" };
        match self {
            Self::NineP => {
                let cache = if is_writable { "mmap" } else { "loose" };
                format!(
                    "root=9p:{TAG} \
                     rootflags=trans=virtio,version=9p2000.L,msize=512000,cache={cache} {access}"
                )
            }
            Self::Virtiofs => format!("root=virtiofs:{TAG} {access}"),
        }
    }
}

/// Returns the path of virtiofsd, if it is installed.
pub(super) fn server() -> Option<PathBuf> {
    process::find_program(SERVER)
        .or_else(|| SERVER_PATHS.map(PathBuf::from).into_iter().find(|path| path.exists()))
}
