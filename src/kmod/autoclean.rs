//! The mark of a module that was loaded on demand, one small file for each.
//!
//! ```text
//! INSTANCE SINCE REQUEST      4711 - fs-vfat      4711 5140 fs-vfat
//! ^ inode number of /sys/module/NAME: another load of the module has another
//!          ^ the second since the machine's start at which it was first seen unused, or -
//!                ^ what was asked for
//! ```

use std::fmt;

/// The mark of one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutocleanMarker {
    /// Which load of the module it is.
    pub sysfs_inode: u64,
    /// When it was first seen unused, since it was last seen in use; in seconds since the machine's start.
    pub unused_since: Option<u64>,
    /// What was asked for.
    pub request: String,
}

impl AutocleanMarker {
    /// Reads the file's text; `None` where it is no mark.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.trim_end_matches('\n').splitn(3, ' ');
        let sysfs_inode = words.next()?.parse().ok()?;
        let unused_since = match words.next()? {
            "-" => None,
            second => Some(second.parse().ok()?),
        };
        Some(Self { sysfs_inode, unused_since, request: words.next()?.to_owned() })
    }
}

impl fmt::Display for AutocleanMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unused_since =
            self.unused_since.map_or_else(|| "-".to_owned(), |second| second.to_string());
        writeln!(f, "{} {unused_since} {}", self.sysfs_inode, self.request.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written() {
        for (text, mark) in [
            ("7 - fs-vfat\n", Some((7, None, "fs-vfat"))),
            ("7 5140 platform:a b\n", Some((7, Some(5140), "platform:a b"))),
            ("7 - \n", Some((7, None, ""))),
            ("", None),
            ("x - y\n", None),
            ("7 x y\n", None),
            ("7 -\n", None),
        ] {
            let read = AutocleanMarker::parse(text);
            let want = mark.map(|(sysfs_inode, unused_since, request)| AutocleanMarker {
                sysfs_inode,
                unused_since,
                request: request.to_owned(),
            });
            assert_eq!(read, want, "{text}");
            assert_eq!(read.map_or_else(|| text.to_owned(), |m| m.to_string()), text);
        }
    }
}
