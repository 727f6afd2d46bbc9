//! MTD devices and UBI volumes, from /sys/class/mtd and /sys/class/ubi.

use std::fs;

use super::Root;
use super::devices::modules_above;
use super::sysfs::entry_names;
use crate::byte_text;
use crate::kmod::name::ModuleName;

/// Reports whether the kernel has MTD; it creates the class at once.
pub(crate) fn is_supported(root: &Root) -> bool {
    root.join("sys/class/mtd").exists()
}

/// Reports whether the MTD device of a `ubi.mtd=` parameter exists. The text before the first comma
/// is its number, name or node.
pub(crate) fn has_mtd(root: &Root, parameter: &str) -> bool {
    let wanted = parameter.split(',').next().unwrap_or_default();
    let dir = root.join("sys/class/mtd");
    let number = wanted.strip_prefix("/dev/mtd").unwrap_or(wanted);
    if dir.join(format!("mtd{number}")).exists() {
        return true;
    }
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("name")).any(|path| is_text(&path, wanted))
}

/// Reports whether the UBI device `device` has the volume `number`.
pub(crate) fn has_volume(root: &Root, device: &str, number: &str) -> bool {
    root.join(format!("sys/class/ubi/ubi{device}_{number}")).exists()
}

/// Reports whether the UBI device `device` has a volume named `name`.
pub(crate) fn has_volume_named(root: &Root, device: &str, name: &str) -> bool {
    let prefix = format!("ubi{device}_");
    let entries = fs::read_dir(root.join("sys/class/ubi")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .any(|entry| is_text(&entry.path().join("name"), name))
}

/// Returns the modules whose drivers are bound to the devices above the flash that UBI is on.
pub(crate) fn modules_below_ubi(root: &Root) -> Vec<ModuleName> {
    let dir = root.join("sys/class/ubi");
    let numbers = entry_names(&dir).into_iter().filter_map(|name| {
        let number = fs::read_to_string(dir.join(name).join("mtd_num")).ok()?;
        Some(format!("sys/class/mtd/mtd{}", number.trim_end()))
    });
    numbers.flat_map(|mtd| modules_above(root, &mtd)).collect()
}

/// Reports whether a file holds `text` and a newline.
fn is_text(path: &std::path::Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|found| {
        let found = found.strip_suffix(b"\n").unwrap_or(&found);
        found == &*byte_text::to_bytes(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_is_found_by_number_and_name() {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("mtd/mtd0", &b"boot env\n"[..]),
            ("mtd/mtd0ro", b"boot env\n"),
            ("mtd/mtd1", b"env\xf6\n"),
            ("ubi/ubi0_2", b"rootfs\n"),
            ("ubi/ubi0_3", b"M\xf6b\n"),
        ] {
            let dir = scratch.path().join("sys/class").join(path);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("name"), text).unwrap();
        }
        let root = Root::at(scratch.path());
        for (name, want) in [
            ("0", true),
            ("/dev/mtd0,2048", true),
            ("boot env", true),
            ("2", false),
            ("env", false),
            ("env\u{10fff6},2048", true),
            ("env\u{fffd}", false),
        ] {
            assert_eq!(has_mtd(&root, name), want, "{name}");
        }
        let sys = scratch.path().join("sys");
        let flash = sys.join("devices/spi0/mtd/mtd7");
        fs::create_dir_all(&flash).unwrap();
        fs::create_dir_all(sys.join("bus/drivers/spi-nor")).unwrap();
        let link = |to: &str, from: &str| {
            std::os::unix::fs::symlink(sys.join(to), sys.join(from)).unwrap();
        };
        link("devices/spi0/mtd/mtd7", "class/mtd/mtd7");
        link("bus/drivers/spi-nor", "devices/spi0/driver");
        fs::create_dir_all(sys.join("class/ubi/ubi0")).unwrap();
        fs::write(sys.join("class/ubi/ubi0/mtd_num"), "7\n").unwrap();
        assert_eq!(modules_below_ubi(&root), ["spi_nor".into()]);
        assert!(has_volume(&root, "0", "2") && !has_volume(&root, "1", "2"));
        for (name, want) in [
            ("rootfs", true),
            ("roo", false),
            ("M\u{10fff6}b", true),
            ("M\u{10ffe4}b", false),
            ("M\u{fffd}b", false),
        ] {
            assert_eq!(has_volume_named(&root, "0", name), want, "{name}");
        }
    }
}
