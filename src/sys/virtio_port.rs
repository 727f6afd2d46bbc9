//! Ports of virtio-serial by the names that the host gives them. udev links them as
//! /dev/virtio-ports/NAME; here /sys/class/virtio-ports/vportNpM/name is read, because in the
//! initramfs nobody makes links.

use std::path::PathBuf;

use super::Root;
use super::sysfs::entry_names;
use crate::byte_text;

/// The directory of udev's links.
pub(crate) const LINKS: &str = "/dev/virtio-ports/";
/// The directory of all ports in sysfs.
const CLASS: &str = "sys/class/virtio-ports";

/// Returns the node of the port `name`, if that port exists.
pub(crate) fn node(root: &Root, name: &str) -> Option<PathBuf> {
    let ports = entry_names(&root.join(CLASS));
    let is_it = |port: &&String| {
        let file = root.join(CLASS).join(port).join("name");
        std::fs::read(file).is_ok_and(|text| text.trim_ascii_end() == &*byte_text::to_bytes(name))
    };
    ports.iter().find(is_it).map(|port| root.join("dev").join(port))
}

/// Returns the file at `path`, which may be a name in [`LINKS`].
pub(crate) fn resolve(root: &Root, path: &str) -> PathBuf {
    let named = path.strip_prefix(LINKS).and_then(|name| node(root, name));
    named.unwrap_or_else(|| root.join(byte_text::to_path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_port_is_found_by_its_name() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        for (port, name) in [("vport1p1", "org.qemu.guest_agent.0\n"), ("vport2p3", "log\n")] {
            let dir = scratch.path().join(CLASS).join(port);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("name"), name).unwrap();
        }
        for (path, want) in [
            ("/dev/virtio-ports/log", "dev/vport2p3"),
            ("/dev/virtio-ports/org.qemu.guest_agent.0", "dev/vport1p1"),
            ("/dev/virtio-ports/lo", "dev/virtio-ports/lo"),
            ("/dev/ttyS1", "dev/ttyS1"),
            ("/var/log", "var/log"),
        ] {
            assert_eq!(resolve(&root, path), scratch.path().join(want), "{path}");
        }
    }
}
