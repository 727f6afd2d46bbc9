//! Input devices: /sys/class/input.

use super::Root;

/// The keys ESC, the digits and Q to D of a bitmap of keys, which every keyboard has and no power
/// button or remote control: the rule of udev's input_id.
const KEYS: u64 = 0xffff_fffe;

/// Returns whether a keyboard is connected.
pub(crate) fn has_keyboard(root: &Root) -> bool {
    let entries = std::fs::read_dir(root.join("sys/class/input")).into_iter().flatten().flatten();
    let texts = entries.map(|entry| std::fs::read_to_string(entry.path().join("capabilities/key")));
    texts.flatten().any(|text| is_keyboard(&text))
}

/// Reports whether a bitmap of keys is that of a keyboard. The last word holds the lowest keys.
fn is_keyboard(keys: &str) -> bool {
    let lowest = keys.split_whitespace().last().and_then(|word| u64::from_str_radix(word, 16).ok());
    lowest.is_some_and(|keys| keys & KEYS == KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyboards_are_known_by_their_keys() {
        for (keys, want) in [
            ("402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe\n", true),
            ("1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe\n", true),
            ("ffefffff fffffffe", true),
            ("10000000000000 0\n", false),
            ("1f0000 0 0 0 0\n", false),
            ("0", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_keyboard(keys), want, "{keys}");
        }
    }
}
