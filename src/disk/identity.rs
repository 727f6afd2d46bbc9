//! Identity of a disk, for udev's names in /dev/disk/by-id: the rules of `ata_id`, `scsi_id` and
//! `usb_id` (systemd 252 and 257).
//!
//! ```text
//! ATA IDENTIFY DEVICE, 256 words; in texts the first character is the high byte
//!   words 10 to 19 serial number │ 27 to 46 model │ 108 to 111 WWN
//!         87 bits 15, 14, 8: if 0, 1 and 1, there is a WWN
//! SCSI vital product data       0 device type │ 1 page │ 2 length, u16 big-endian │ 4 content
//!   page 80, unit serial number: text
//!   page 83, identification: descriptors, each
//!     0 low nibble: 1 binary, 2 text │ 1 bits 5, 4: association, low nibble: type │ 3 length
//!     4 identifier
//!   page 89, ATA information: from 60 on the IDENTIFY data, words little-endian
//! ```

use std::fmt::Write;

/// The name of a disk, and its world wide name if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// udev's ID_SERIAL: model and serial number, or an identifier that is unique by itself.
    pub serial: String,
    /// udev's ID_WWN_WITH_EXTENSION: `0x5000c500…`.
    pub(crate) wwn: Option<String>,
}

/// Types of identifiers in page 83 in order of preference, with the nibble that the identifier must
/// begin with.
const ID_TYPES: [(u8, Option<u8>); 6] =
    [(3, Some(6)), (3, Some(5)), (3, None), (2, None), (1, None), (0, None)];
/// Type of an identifier by a network address authority (NAA), which is a world wide name.
const NAA: u8 = 3;
/// Type of an identifier that is unique only with vendor and model.
const VENDOR_SPECIFIC: u8 = 0;
/// Range of the IDENTIFY data in page 89.
const PAGE_89_IDENTIFY: std::ops::Range<usize> = 60..572;

/// Returns the identity of an ATA or ATAPI device from its IDENTIFY data, or `None` if they hold no
/// name.
#[must_use]
pub fn ata(identify: &[u16]) -> Option<Identity> {
    let part = |from: usize, to: usize| {
        let bytes: Vec<u8> = identify.get(from..to)?.iter().flat_map(|w| w.to_be_bytes()).collect();
        Some(sanitize(&join_words(&text(&bytes)), ""))
    };
    let (model, serial) = (part(27, 47)?, part(10, 20)?);
    let serial = if serial.is_empty() { model } else { format!("{model}_{serial}") };
    let marked = identify.get(87).is_some_and(|flags| flags & 0xc100 == 0x4100);
    let words = identify.get(108..112).filter(|_| marked);
    let wwn = words.map(|w| w.iter().fold(0, |all, word| all << 16 | u64::from(*word)));
    let wwn = wwn.map(|wwn| format!("{wwn:#x}"));
    (!serial.is_empty()).then_some(Identity { serial, wwn })
}

/// Returns the IDENTIFY data in page 89.
#[must_use]
pub fn identify_from_page_89(page: &[u8]) -> Option<Vec<u16>> {
    content(page, 0x89)?;
    let bytes = page.get(PAGE_89_IDENTIFY)?;
    Some(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect())
}

/// Parses the IDENTIFY data in /sys/class/ata_device/devN.N/id: words in hexadecimal.
#[must_use]
pub fn identify_from_text(text: &str) -> Option<Vec<u16>> {
    text.split_ascii_whitespace().map(|word| u16::from_str_radix(word, 16).ok()).collect()
}

/// Returns the identity of a SCSI device from the vendor (8 bytes) and model (16 bytes) in its
/// INQUIRY data and the pages 80 and 83 of its vital product data, or `None` if neither page names
/// it.
#[must_use]
pub fn scsi(
    vendor: &[u8],
    model: &[u8],
    page_80: Option<&[u8]>,
    page_83: Option<&[u8]>,
) -> Option<Identity> {
    let vendor_and_model = || [vendor, model].concat();
    let (raw, wwn) = match page_83.and_then(|page| parse_page_83(page, vendor_and_model)) {
        Some(found) => found,
        None => ([b"S", &*vendor_and_model(), content(page_80?, 0x80)?].concat(), None),
    };
    let serial = sanitize(&join_words(&text(&raw)), "");
    (!serial.is_empty()).then_some(Identity { serial, wwn })
}

/// Returns the preferred identifier in page 83, and the world wide name.
fn parse_page_83(
    page: &[u8],
    vendor_and_model: impl Fn() -> Vec<u8>,
) -> Option<(Vec<u8>, Option<String>)> {
    let list = content(page, 0x83)?;
    // Before SPC-3 the page held one identifier without a header; its byte 6 is then part of a
    // vendor number, which is not 0.
    if page.get(6).is_some_and(|byte| *byte != 0) {
        return Some((format!("3{}", hex(list)).into_bytes(), None));
    }
    ID_TYPES.iter().find_map(|(kind, naa)| {
        // A binary identifier is preferred to a text.
        [1, 2].iter().find_map(|code| {
            descriptors(list)
                .find_map(|d| parse_descriptor(d, *kind, *naa, *code, &vendor_and_model))
        })
    })
}

/// Returns the descriptors of page 83.
fn descriptors(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let length = 4 + usize::from(*rest.get(3)?);
        let (first, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(first)
    })
}

/// Returns the identifier in a descriptor and its world wide name, if the descriptor has this type,
/// nibble and code and belongs to the device.
fn parse_descriptor(
    descriptor: &[u8],
    kind: u8,
    naa: Option<u8>,
    code: u8,
    vendor_and_model: &impl Fn() -> Vec<u8>,
) -> Option<(Vec<u8>, Option<String>)> {
    let [first, second, _, _, id @ ..] = descriptor else { return None };
    // Association 0 is the device itself, rather than its port.
    let matches = second & 0x30 == 0 && second & 0xf == kind && first & 0xf == code;
    if !matches || naa.is_some_and(|naa| id.first().is_none_or(|byte| byte >> 4 != naa)) {
        return None;
    }
    let value = if code == 1 { hex(id).into_bytes() } else { id.to_vec() };
    let wwn = (kind == NAA).then(|| format!("0x{}", text(value.get(..32).unwrap_or(&value))));
    let prefix = if kind == VENDOR_SPECIFIC { vendor_and_model() } else { Vec::new() };
    Some(([format!("{kind:x}").as_bytes(), &prefix, &value].concat(), wwn))
}

/// Returns the content of a page of vital product data if its page code is `code`.
fn content(page: &[u8], code: u8) -> Option<&[u8]> {
    let [_, number, high, low, rest @ ..] = page else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    rest.get(..length).filter(|_| *number == code)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the name of a USB disk: vendor, model, serial number if it is valid, and `target:lun`
/// if it is known.
#[must_use]
pub fn usb(vendor: &str, model: &str, serial: Option<&str>, instance: Option<&str>) -> String {
    let clean = |text: &str| sanitize(&join_words(text), "");
    let mut name = format!("{}_{}", clean(vendor), clean(model));
    let is_valid = |text: &&str| text.bytes().all(|b| (0x20..0x80).contains(&b) && b != b',');
    if let Some(serial) = serial.filter(is_valid).map(clean).filter(|s| !s.is_empty()) {
        name.push_str(&format!("_{serial}"));
    }
    if let Some(instance) = instance {
        name.push_str(&format!("-{instance}"));
    }
    name
}

/// Converts a value to its form in the name of a link.
#[must_use]
pub fn link_part(value: &str) -> String {
    sanitize(&join_words(value), "/")
}

/// Joins the words of a text with `_`, which removes leading and trailing white space.
fn join_words(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join("_")
}

/// Replaces each ASCII character with `_` unless it is a letter, a digit, in `#+-.:=@_` or in
/// `also`. Escapes such as `\\x20` are kept.
fn sanitize(text: &str, also: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "#+-.:=@_".contains(c);
    let mut rest = text.chars();
    let mut clean = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let escape = c == '\\' && rest.as_str().starts_with('x');
        clean.push(if fits(c) || also.contains(c) || escape { c } else { '_' });
    }
    clean
}

/// Returns the text before the first NUL; each byte that is not UTF-8 becomes `_`.
fn text(bytes: &[u8]) -> String {
    let bytes = bytes.split(|b| *b == 0).next().unwrap_or_default();
    bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '_'));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identify(model: &str, serial: &str, wwn: Option<u64>) -> Vec<u16> {
        let mut words = vec![0; 256];
        let mut put = |at: usize, length: usize, text: &str| {
            let padded = format!("{text:length$}");
            for (word, two) in words[at..].iter_mut().zip(padded.as_bytes().chunks(2)) {
                *word = u16::from_be_bytes([two[0], two[1]]);
            }
        };
        put(27, 40, model);
        put(10, 20, serial);
        if let Some(wwn) = wwn {
            words[87] = 0x4100;
            for (place, word) in words[108..112].iter_mut().enumerate() {
                *word = u16::try_from(wwn >> (48 - 16 * place) & 0xffff).unwrap();
            }
        }
        words
    }

    #[test]
    fn ata_disks_are_named_as_by_ata_id() {
        for (model, serial, wwn, name, wide) in [
            ("QEMU HARDDISK", "QM00001", None, "QEMU_HARDDISK_QM00001", None),
            (
                "ST1000  DM/3",
                "  Z1D0",
                Some(0x5000_c500_0123_4567),
                "ST1000_DM_3_Z1D0",
                Some("0x5000c50001234567"),
            ),
            ("only", "", Some(0xab), "only", Some("0xab")),
        ] {
            let words = identify(model, serial, wwn);
            let want = Identity { serial: name.into(), wwn: wide.map(str::to_owned) };
            assert_eq!(ata(&words), Some(want.clone()), "{model}");
            let text: Vec<String> = words.iter().map(|w| format!("{w:04x}")).collect();
            assert_eq!(
                identify_from_text(&text.join(" ")).as_deref().and_then(ata),
                Some(want.clone())
            );
            let mut page = vec![5, 0x89, 2, 0x38];
            page.resize(60, 0);
            page.extend(words.iter().flat_map(|w| w.to_le_bytes()));
            assert_eq!(identify_from_page_89(&page).as_deref().and_then(ata), Some(want));
        }
        assert_eq!(ata(&[0; 256]), None);
        assert_eq!(ata(&[0; 40]), None);
        assert_eq!(
            (identify_from_text("00xx"), identify_from_page_89(&[5, 0x80, 0, 0])),
            (None, None)
        );
    }

    fn page(code: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0, code, length[0], length[1]], content].concat()
    }

    #[test]
    fn scsi_disks_are_named_as_by_scsi_id() {
        let wide = [1, 3, 0, 8, 0x50, 0, 0xc5, 0, 1, 2, 3, 4];
        let long = [1, 3, 0, 16, 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let port = [1, 0x13, 0, 8, 0x51, 1, 1, 1, 1, 1, 1, 1];
        let own = [2, 0, 0, 5, b'd', b'i', b's', b'k', b'0'];
        let t10 = [2, 1, 0, 9, b'A', b'T', b'A', b' ', b' ', b' ', b' ', b' ', b'x'];
        let old = [0x60, 0x06, 0x04, 0x80];
        let all = [&own[..], &port, &wide].concat();
        for (ids, name, wwn) in [
            (&all[..], "35000c50001020304", Some("0x5000c50001020304")),
            (
                &[&wide[..], &long].concat(),
                "3600102030405060708090a0b0c0d0e0f",
                Some("0x600102030405060708090a0b0c0d0e0f"),
            ),
            (&own, "0QEMU_QEMU_HARDDISK_disk0", None),
            (&[&own[..], &t10].concat(), "1ATA_x", None),
            (&old, "360060480", None),
        ] {
            let want = Identity { serial: name.into(), wwn: wwn.map(str::to_owned) };
            let have = scsi(b"QEMU    ", b"QEMU HARDDISK   ", None, Some(&page(0x83, ids)));
            assert_eq!(have, Some(want), "{name}");
        }
        let serial = page(0x80, b"  no 7 ");
        for ids in [None, Some(&port[..]), Some(&[1, 3, 0, 200, 0x50][..])] {
            let ids = ids.map(|ids| page(0x83, ids));
            let have =
                scsi(b"QEMU    ", b"DISK            ", Some(&serial), ids.as_deref()).unwrap();
            assert_eq!(have, Identity { serial: "SQEMU_DISK_no_7".into(), wwn: None });
        }
        assert_eq!(scsi(b"A", b"B", None, None), None);
    }

    #[test]
    fn usb_disks_are_named_as_by_usb_id() {
        for (vendor, model, serial, instance, name) in [
            (
                "QEMU    ",
                "QEMU HARDDISK   ",
                Some("1-0000"),
                Some("0:0"),
                "QEMU_QEMU_HARDDISK_1-0000-0:0",
            ),
            ("a/b", "c", Some("x,y"), None, "a_b_c"),
            ("Größe", "c", Some("  "), Some("0:1"), "Größe_c-0:1"),
        ] {
            assert_eq!(usb(vendor, model, serial, instance), name);
        }
        assert_eq!(link_part(" a  b/c?d "), "a_b/c_d");
        assert_eq!(link_part("a\\x20b\\y\\"), "a\\x20b_y_");
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..600), code in 0x80..0x8a_u8,
        ) {
            let mut page = bytes.clone();
            if let Some(number) = page.get_mut(1) {
                *number = code;
            }
            let _ = scsi(&bytes, &bytes, Some(&page), Some(&page));
            let _ = identify_from_page_89(&page).as_deref().and_then(ata);
        }
    }
}
