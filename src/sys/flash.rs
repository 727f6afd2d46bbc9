//! Raw flash and the volumes on it, as /sys/class/mtd and /sys/class/ubi have them.

use std::fs;

use super::Root;

/// Whether the MTD device that `ubi.mtd=` means is there: its number, name or node stands before the first comma.
pub fn has_mtd(root: &Root, parameter: &str) -> bool {
    let wanted = parameter.split(',').next().unwrap_or_default();
    let folder = root.join("sys/class/mtd");
    let number = wanted.strip_prefix("/dev/mtd").unwrap_or(wanted);
    if folder.join(format!("mtd{number}")).exists() {
        return true;
    }
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("name")).any(|path| is_text(&path, wanted))
}

/// Whether the UBI device has a volume of that number.
pub fn has_volume(root: &Root, device: &str, number: &str) -> bool {
    root.join(format!("sys/class/ubi/ubi{device}_{number}")).exists()
}

/// Whether the UBI device has a volume of that name.
pub fn has_volume_called(root: &Root, device: &str, name: &str) -> bool {
    let prefix = format!("ubi{device}_");
    let entries = fs::read_dir(root.join("sys/class/ubi")).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .any(|entry| is_text(&entry.path().join("name"), name))
}

fn is_text(path: &std::path::Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|found| found.trim_end_matches('\n') == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_is_found_by_number_and_name() {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in
            [("mtd/mtd0", "boot env"), ("mtd/mtd0ro", "boot env"), ("ubi/ubi0_2", "rootfs")]
        {
            let folder = scratch.path().join("sys/class").join(path);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("name"), format!("{text}\n")).unwrap();
        }
        let root = Root::at(scratch.path());
        for (name, want) in [
            ("0", true),
            ("/dev/mtd0,2048", true),
            ("boot env", true),
            ("1", false),
            ("env", false),
        ] {
            assert_eq!(has_mtd(&root, name), want, "{name}");
        }
        assert!(has_volume(&root, "0", "2") && !has_volume(&root, "1", "2"));
        assert!(has_volume_called(&root, "0", "rootfs") && !has_volume_called(&root, "0", "roo"));
    }
}
