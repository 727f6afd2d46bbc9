//! Paths of sysfs without the numbers that the kernel assigns in the order in which devices appear:
//! of USB buses, SCSI hosts, inputs, sound cards, HID devices. Numbers that say where a device is
//! plugged in stay.
//!
//! ```text
//! pci0000:00/0000:00:03.0/usb2/2-4/2-4:1.0/host12/target12:0:0/12:0:0:0
//! pci0000:00/0000:00:03.0/usb*/*-4/*-4:1.0/host*/target*:0:0/*:0:0:0
//! ```

/// Names that are followed by an assigned number.
const NUMBERED: [&str; 7] = ["usb", "host", "target", "input", "virtio", "ata", "hdaudioC"];

/// Returns `path` with a star for each assigned number.
pub fn without_numbers(path: &str) -> String {
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn name(name: &str) -> String {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // 0000:00:03.0 is a PCI address; 0003:0627:0001.0004 is a HID device with a number.
    if name.len() == 19 && name.as_bytes()[14] == b'.' {
        return format!("{}*", &name[..15]);
    }
    let leading = digits(name);
    if leading > 0 && leading != 4 && name[leading..].starts_with(['-', ':']) {
        return format!("*{}", &name[leading..]);
    }
    match NUMBERED.iter().find_map(|head| Some((head, name.strip_prefix(head)?))) {
        Some((head, rest)) if digits(rest) > 0 => format!("{head}*{}", &rest[digits(rest)..]),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn assigned_numbers_are_removed() {
        for (path, want) in [
            (
                "scsi/sd pci0000:00/0000:00:03.0/usb2/2-4/2-4:1.0/host12/target12:0:0/12:0:0:0",
                "scsi/sd pci0000:00/0000:00:03.0/usb*/*-4/*-4:1.0/host*/target*:0:0/*:0:0:0",
            ),
            ("hid/x a/0003:0627:0001.0004", "hid/x a/0003:0627:0001.*"),
            ("pci0000:00/0000:00:12.0/virtio9", "pci0000:00/0000:00:12.0/virtio*"),
            ("virtual/input/input12", "virtual/input/input*"),
            ("a/hdaudioC2D0", "a/hdaudioC*D0"),
            ("usbhid/usb", "usbhid/usb"),
        ] {
            assert_eq!(super::without_numbers(path), want);
        }
    }
}
