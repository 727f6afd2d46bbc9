//! Fields of JSON objects as values, absent if they have another type.

use serde_json::Value;

/// Latest time that is believed, in µs: a year. A damaged record may hold any number.
const MAX_TIME_US: u64 = 366 * 86_400 * 1_000_000;

/// Longest text that is kept, in bytes: PATH_MAX. Views repeat a text for each module that it
/// concerns, so a record with texts of megabytes would take hours.
pub(super) const MAX_TEXT: usize = 4096;

/// Returns a text, cut to [`MAX_TEXT`].
fn limited(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Returns `time_us` unless it is too late to be one of a boot.
pub(super) fn believed(time_us: u64) -> Option<u64> {
    (time_us <= MAX_TIME_US).then_some(time_us)
}

/// Returns the member `key` if it is a text, cut to [`MAX_TEXT`].
pub(super) fn text(object: &Value, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(limited)
}

/// Returns the member `key` if it is the path of a device: a longer one than PATH_MAX is none.
pub(super) fn device(object: &Value, key: &str) -> Option<String> {
    let device = object.get(key).and_then(Value::as_str)?;
    (device.len() < MAX_TEXT).then(|| device.to_owned())
}

/// Returns the member `key` if it is a whole number that is not negative.
pub(super) fn number(object: &Value, key: &str) -> Option<u64> {
    object.get(key).and_then(Value::as_u64)
}

/// Returns the member `key` if it is a time in µs.
pub(super) fn time(object: &Value, key: &str) -> Option<u64> {
    number(object, key).and_then(believed)
}

/// Returns the elements of the member `key`; none if it is no array.
pub(super) fn list<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// Returns the first `MAX_ENTRIES` texts in the array `key`, each cut to [`MAX_TEXT`].
pub(super) fn texts(object: &Value, key: &str) -> Vec<String> {
    let texts = list(object, key).filter_map(Value::as_str).take(super::MAX_ENTRIES);
    texts.map(limited).collect()
}

/// Returns the pairs of a name and a time in the array `key`.
pub(super) fn pairs(object: &Value, key: &str) -> Vec<(String, u64)> {
    let pair = |value: &Value| {
        let name = limited(value.get(0)?.as_str()?);
        Some((name, believed(value.get(1)?.as_u64()?)?))
    };
    list(object, key).filter_map(pair).take(super::MAX_ENTRIES).collect()
}
