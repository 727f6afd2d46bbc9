//! How a disk identifies itself: pages of vital product data and IDENTIFY data. The first byte is
//! the length of the first page. A name is valid in a link.
#![no_main]

use coldplug::disk::identity::{
    ata, identify_from_page_89, identify_from_text, link_part, scsi, usb,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((length, rest)) = data.split_first() else { return };
    let (first, second) = rest.split_at(rest.len().min(usize::from(*length)));
    let (vendor, model) = (first.get(..8).unwrap_or(first), first.get(8..24).unwrap_or(first));
    let text = String::from_utf8_lossy(first);
    let words: Vec<u16> = rest.chunks_exact(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect();
    let disks = [
        scsi(vendor, model, Some(first), Some(second)),
        scsi(vendor, model, Some(second), None),
        ata(&words),
        identify_from_page_89(rest).and_then(|words| ata(&words)),
        identify_from_text(&text).and_then(|words| ata(&words)),
    ];
    for disk in disks.into_iter().flatten() {
        assert!(!disk.serial.is_empty() && !disk.serial.contains(['/', '\0', ' ']), "{disk:?}");
    }
    let name = usb(&text, &text, Some(&String::from_utf8_lossy(second)), None);
    assert!(!name.contains(['/', '\0', ' ']), "{name:?}");
    assert!(!link_part(&text).contains(['\0', ' ']));
});
