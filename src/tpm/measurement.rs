//! What systemd-cryptsetup measures of an opened device (`tpm2-measure-pcr=` of crypttab(5)).
//!
//! ```text
//! text     cryptsetup:NAME:UUID; control characters, ':' and '\' of NAME are \xHH
//! digest   HMAC of the text by the volume key, so that its plain digest never crosses the bus
//! record   U+001E │ object of JSON │ line feed, in /run/log/systemd/tpm2-measure.log
//! ```

use super::hash::Hash;

/// Returns the text for a device with this name and UUID.
pub(crate) fn text(name: &str, uuid: &str) -> String {
    let mut text = "cryptsetup:".to_owned();
    for byte in name.bytes() {
        match byte {
            b' '..=b'~' if byte != b':' && byte != b'\\' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text + ":" + uuid
}

/// Returns the digests of the text by the volume key.
pub(crate) fn digests(banks: &[Hash], text: &str, volume_key: &[u8]) -> Vec<(Hash, Vec<u8>)> {
    banks.iter().map(|bank| (*bank, bank.hmac(volume_key, &[text.as_bytes()]))).collect()
}

/// Returns the record of the event log of systemd. `boot_id` has 32 hexadecimal digits, the time is
/// that of CLOCK_BOOTTIME.
pub(crate) fn record(
    pcr: u32,
    digests: &[(Hash, Vec<u8>)],
    text: &str,
    boot_id: &str,
    time_us: u64,
) -> String {
    let digest = |(hash, digest): &(Hash, Vec<u8>)| {
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{\"hashAlg\":\"{}\",\"digest\":\"{hex}\"}}", hash.name())
    };
    let digests = digests.iter().map(digest).collect::<Vec<_>>().join(",");
    let text = serde_json::Value::from(text);
    format!(
        "\u{1e}{{\"pcr\":{pcr},\"digests\":[{digests}],\"content_type\":\"systemd\",\"content\":\
         {{\"string\":{text},\"bootId\":\"{boot_id}\",\"timestamp\":{time_us},\
         \"eventType\":\"volume-key\"}}}}\n"
    )
}
