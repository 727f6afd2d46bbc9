//! A LUKS2 device for tests, with both copies of its header. Its keys cost no time.

use super::algorithms::NoKernel;
use super::base64;
use super::hash::Hash;
use super::header::{Header, checksum};

/// Length of a copy of the header.
const COPY: usize = 16 << 10;
/// Start of the metadata in a copy.
const BINARY: usize = 4096;
pub(crate) const UUID: &str = "3f2b1c1e-6a6e-4a3c-9f8e-0123456789ab";
/// Salts of key slot and digest.
const SALT: &[u8] = b"salt-of-the-test";

/// Returns a device that `secret` unlocks.
pub(crate) fn device(secret: &[u8]) -> Vec<u8> {
    let unlocked = with_digest(&[0; 32]);
    let header = Header::read(&&unlocked[..]).unwrap();
    let mut key = [0; 64];
    let mut area = vec![0; header.key_slots[0].area.length];
    header.key_slots[0].open(secret, &mut area, &mut [], &NoKernel, &mut key).unwrap();
    let mut digest = [0; 32];
    Hash::Sha256.pbkdf2(&key, SALT, 1, &mut digest);
    with_digest(&digest)
}

fn with_digest(digest: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8(base64::encode(bytes).to_vec()).unwrap();
    let (salt, digest) = (text(SALT), text(digest));
    let json = format!(
        r#"{{"keyslots":{{"0":{{"type":"luks2","key_size":64,
        "af":{{"type":"luks1","stripes":4,"hash":"sha256"}},
        "area":{{"type":"raw","offset":"32768","size":"4096","encryption":"aes-xts-plain64",
            "key_size":32}},
        "kdf":{{"type":"pbkdf2","hash":"sha256","iterations":1,"salt":"{salt}"}}}}}},
        "tokens":{{}},
        "segments":{{"0":{{"type":"crypt","offset":"65536","size":"dynamic","iv_tweak":"0",
            "encryption":"aes-xts-plain64","sector_size":512}}}},
        "digests":{{"0":{{"type":"pbkdf2","keyslots":["0"],"segments":["0"],"hash":"sha256",
            "iterations":1,"salt":"{salt}","digest":"{digest}"}}}},
        "config":{{"json_size":"12288","keyslots_size":"32768"}}}}"#
    );
    let mut bytes = vec![0; 128 << 10];
    for (start, magic) in [(0, b"LUKS\xba\xbe"), (COPY, b"SKUL\xba\xbe")] {
        let copy = &mut bytes[start..start + COPY];
        copy[..6].copy_from_slice(magic);
        copy[7] = 2;
        copy[8..16].copy_from_slice(&(COPY as u64).to_be_bytes());
        copy[23] = 1;
        copy[72..78].copy_from_slice(b"sha256");
        copy[168..168 + UUID.len()].copy_from_slice(UUID.as_bytes());
        copy[256..264].copy_from_slice(&(start as u64).to_be_bytes());
        put(copy, &json);
    }
    bytes
}

/// Replaces text in the metadata of a copy, whose checksum stays right, and sets its sequence
/// number.
pub(crate) fn change(device: &mut [u8], second: bool, sequence: u8, (from, to): (&str, &str)) {
    let start = if second { COPY } else { 0 };
    let copy = &mut device[start..start + COPY];
    copy[23] = sequence;
    let json = copy[BINARY..].split(|byte| *byte == 0).next().unwrap();
    let json = std::str::from_utf8(json).unwrap();
    assert!(json.contains(from), "{from}");
    let json = json.replacen(from, to, 1);
    put(copy, &json);
}

fn put(copy: &mut [u8], json: &str) {
    copy[BINARY..].fill(0);
    copy[BINARY..BINARY + json.len()].copy_from_slice(json.as_bytes());
    copy[448..512].fill(0);
    let sum = checksum(copy);
    copy[448..480].copy_from_slice(&sum);
}
