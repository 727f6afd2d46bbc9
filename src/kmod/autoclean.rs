//! The marker file of a module that was loaded on demand and that `autoclean` may remove. Each such
//! module has one.
//!
//! ```text
//! INODE SINCE REQUEST      4711 - fs-vfat      4711 5140 fs-vfat
//! ^ inode number of /sys/module/NAME, which changes when the module is loaded again
//!       ^ time at which the module was first seen unused, in seconds since boot, or -
//!             ^ requested name or alias
//! ```

use std::fmt;

/// The marker of one load of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutocleanMarker {
    /// Inode number of /sys/module/NAME, which identifies the load.
    pub(crate) sysfs_inode: u64,
    /// Time at which the module was first seen unused after its last use, in seconds since boot.
    pub(crate) unused_since_secs: Option<u64>,
    /// Requested name or alias.
    pub(crate) request: String,
}

impl AutocleanMarker {
    /// Parses the text of a marker file. Returns `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end_matches('\n').splitn(3, ' ');
        let sysfs_inode = words.next()?.parse().ok()?;
        let unused_since_secs = match words.next()? {
            "-" => None,
            seconds => Some(seconds.parse().ok()?),
        };
        Some(Self { sysfs_inode, unused_since_secs, request: words.next()?.to_owned() })
    }
}

impl fmt::Display for AutocleanMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since =
            self.unused_since_secs.map_or_else(|| "-".to_owned(), |seconds| seconds.to_string());
        writeln!(f, "{} {since} {}", self.sysfs_inode, self.request.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_parsed_as_they_are_written() {
        for (text, marker) in [
            ("7 - fs-vfat\n", Some((7, None, "fs-vfat"))),
            ("7 5140 platform:a b\n", Some((7, Some(5140), "platform:a b"))),
            ("7 - \n", Some((7, None, ""))),
            ("", None),
            ("x - y\n", None),
            ("7 x y\n", None),
            ("7 -\n", None),
        ] {
            let read = AutocleanMarker::parse(text);
            let want = marker.map(|(sysfs_inode, unused_since_secs, request)| AutocleanMarker {
                sysfs_inode,
                unused_since_secs,
                request: request.to_owned(),
            });
            assert_eq!(read, want, "{text}");
            assert_eq!(read.map_or_else(|| text.to_owned(), |m| m.to_string()), text);
        }
    }
}
