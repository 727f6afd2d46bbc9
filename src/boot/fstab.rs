//! The entry of /usr in the fstab(5) of a root that holds no init: it may be on that filesystem.
//!
//! ```text
//! SOURCE MOUNT-POINT TYPE OPTIONS …        separated by spaces and tabs; \040 is a space
//! # comment
//! ```

use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::sys::mount_options;

/// Returns the kernel parameters that mount the /usr of this fstab; `None` if it has none, or one
/// that is on no block device.
pub(super) fn usr_parameters(fstab: &[u8]) -> Option<String> {
    let text = byte_text::from_bytes(fstab);
    let mut entries = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let usr = entries.find(|fields| {
        fields.get(1).is_some_and(|place| place.trim_end_matches('/') == "/usr")
            && fields.first().is_some_and(|source| !source.starts_with('#'))
    })?;
    let source = RootName::parse(&decode(usr.first()?)).filter(RootName::may_be_block_device)?;
    let mut words = quoted(&format!("mount.usr={source}"));
    // Flags such as `nodev` say nothing about how to find /usr.
    let (_, options) = mount_options::parse(&decode(usr.get(3).copied().unwrap_or_default()));
    if !options.is_empty() {
        words.extend([" ", &quoted(&format!("mount.usrflags={options}"))]);
    }
    Some(words)
}

/// Replaces the escapes for spaces, tabs and backslashes.
fn decode(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

/// Returns a word of the kernel command line.
fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) { format!("\"{word}\"") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_usr_is_found() {
        for (fstab, want) in [
            ("", None),
            ("UUID=1 / ext4 defaults 0 1\n", None),
            ("UUID=1 / ext4\nUUID=2 /usr ext4 defaults,nodev 0 2\n", Some("mount.usr=UUID=2")),
            ("#UUID=1 /usr ext4\n # UUID=1 /usr\n\t/dev/vdb /usr/\n", Some("mount.usr=/dev/vdb")),
            ("LABEL=my\\040usr /usr auto ro", Some("\"mount.usr=LABEL=my usr\"")),
            ("LABEL=\"usr\" /usr auto", Some("mount.usr=LABEL=usr")),
            (
                "UUID=3 /usr btrfs x-initrd.mount,compress=zstd,subvol=@usr,noatime",
                Some("mount.usr=UUID=3 mount.usrflags=compress=zstd,subvol=@usr"),
            ),
            ("UUID=1 /usr/local ext4\nUUID=2 /usrs ext4\n/usr /mnt none bind", None),
            ("server:/usr /usr nfs\n", None),
            ("/data/usr /usr none bind\n", None),
            ("tank/usr /usr zfs\nUUID= /usr\n", None),
            ("/usr", None),
        ] {
            assert_eq!(usr_parameters(fstab.as_bytes()).as_deref(), want, "{fstab}");
        }
        assert_eq!(usr_parameters(b"\xff\0 /usr\n"), None);
        let words = usr_parameters(b"LABEL=M\xf6b /usr btrfs ro,subvol=\xff 0 0\n").unwrap();
        let bytes: &[u8] = b"mount.usr=LABEL=M\xf6b mount.usrflags=subvol=\xff";
        assert_eq!(&*byte_text::to_bytes(&words), bytes);
    }
}
