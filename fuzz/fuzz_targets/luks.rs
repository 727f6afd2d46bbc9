//! LUKS headers: the bytes of a device, whose checksums are corrected so that metadata are reached.
//! A header that is accepted has key slots that can be opened, if that is cheap.
#![no_main]

use coldplug::disk::luks::header::Header;
use libfuzzer_sys::fuzz_target;

/// Length of a copy of the header.
const COPY: usize = 16 << 10;

fuzz_target!(|data: &[u8]| {
    let Some((form, rest)) = data.split_first() else { return };
    let bytes = match form % 4 {
        0 => rest.to_vec(),
        form => device(rest, form == 2),
    };
    let Ok(header) = Header::read(&&bytes[..]) else { return };
    assert!(header.uuid().len() <= 40 && header.slot_order().len() <= 32);
    if let Ok(table) = header.table(1 << 40, 64) {
        let words: Vec<_> = table.split(' ').collect();
        let optional = words.get(8).map_or(0, |count| 1 + count.parse::<usize>().unwrap());
        assert_eq!(words.len(), 8 + optional, "{table}");
    }
    if header.is_cheap() {
        let _ = header.volume_key(&&bytes[..], b"secret", None);
    }
});

/// Returns a device whose metadata are `json`, in the first copy of the header or the second one.
fn device(json: &[u8], second: bool) -> Vec<u8> {
    let mut bytes = vec![0; 5 * COPY];
    let start = if second { COPY } else { 0 };
    let copy = &mut bytes[start..start + COPY];
    copy[..6].copy_from_slice(if second { b"SKUL\xba\xbe" } else { b"LUKS\xba\xbe" });
    copy[7] = 2;
    copy[8..16].copy_from_slice(&(COPY as u64).to_be_bytes());
    copy[72..78].copy_from_slice(b"sha256");
    copy[168..204].copy_from_slice(b"3f2b1c1e-6a6e-4a3c-9f8e-0123456789ab");
    copy[256..264].copy_from_slice(&(start as u64).to_be_bytes());
    let length = json.len().min(COPY - 4096 - 1);
    copy[4096..4096 + length].copy_from_slice(&json[..length]);
    let checksum = coldplug::disk::luks::header::checksum(copy);
    copy[448..480].copy_from_slice(&checksum);
    bytes
}
