//! The built-in default file list and module sets.

/// The default file list, `initramfs/base.list`.
pub(crate) const BASE: &str = include_str!("../../initramfs/base.list");
/// The content of `@initrd-release` in a file list.
pub(crate) const INITRD_RELEASE: &str = include_str!("../../initramfs/initrd-release");

const SETS: [(&str, &str); 12] = [
    ("crypt", include_str!("../../initramfs/modules/crypt.list")),
    ("filesystems", include_str!("../../initramfs/modules/filesystems.list")),
    ("gpu", include_str!("../../initramfs/modules/gpu.list")),
    ("lvm", include_str!("../../initramfs/modules/lvm.list")),
    ("network", include_str!("../../initramfs/modules/network.list")),
    ("raid", include_str!("../../initramfs/modules/raid.list")),
    ("rescue", include_str!("../../initramfs/modules/rescue.list")),
    ("soc", include_str!("../../initramfs/modules/soc.list")),
    ("storage", include_str!("../../initramfs/modules/storage.list")),
    ("usb-input", include_str!("../../initramfs/modules/usb-input.list")),
    ("virtio", include_str!("../../initramfs/modules/virtio.list")),
    ("wireless", include_str!("../../initramfs/modules/wireless.list")),
];

/// Returns the text of the module set `name`.
#[must_use]
pub(crate) fn get(name: &str) -> Option<&'static str> {
    SETS.iter().find(|(set, _)| *set == name).map(|(_, text)| *text)
}

/// Returns the names of all sets, for messages.
#[must_use]
pub(crate) fn names() -> String {
    SETS.map(|(name, _)| format!("@{name}")).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::list;

    #[test]
    fn built_in_lists_are_valid() {
        let base = list::parse("base.list", BASE.as_bytes(), &|_| None).unwrap();
        let mut seen = vec![String::new()];
        for line in base {
            let parent = line.name.rsplit_once('/').map_or("", |(parent, _)| parent);
            assert!(seen.iter().any(|name| name == parent), "{} has no parent", line.name);
            seen.push(line.name);
        }
        for name in ["init", "sbin/modprobe", "dev/console", "dev/null", "etc/initrd-release"] {
            assert!(seen.iter().any(|seen| seen == name), "{name}");
        }
        for (name, text) in SETS {
            let entries: Vec<_> = list::parse_modules(text).flat_map(|line| line.names).collect();
            assert!(!entries.is_empty(), "{name}");
            let mut once = entries.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), entries.len(), "{name} has a duplicate");
        }
    }
}
