//! Aliases: PATTERN, newline, TEXT. Checks properties of every match and, without brackets,
//! compares with a simple matcher.
#![no_main]

use coldplug::kmod::alias::{fnmatch, is_wildcard, normalize, normalize_modalias};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (pattern, text) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[data.len()..]),
    };
    let matches = fnmatch(pattern, text);
    if matches {
        assert!(fnmatch(&[b"*", pattern].concat(), text));
        assert!(fnmatch(&[pattern, b"*"].concat(), text));
    }
    if !pattern.iter().any(|byte| is_wildcard(*byte) || *byte == b'\\') {
        assert_eq!(matches, pattern == text);
    }
    if !pattern.contains(&b'[') && pattern.len() * text.len() < 1 << 16 {
        assert_eq!(matches, plain(pattern, text));
    }
    if let Ok(normal) = normalize(text) {
        assert_eq!(normal.len(), text.len());
        assert_eq!(normal, normalize_modalias(text));
        assert_eq!(normalize(&normal).as_ref(), Ok(&normal));
    }
    let normal = normalize_modalias(text);
    assert_eq!(normalize_modalias(&normal), normal);
});

/// Matches like fnmatch(3) without brackets, with a table of the pattern prefixes that match the
/// text so far.
fn plain(pattern: &[u8], text: &[u8]) -> bool {
    let mut elements = Vec::new();
    let mut rest = pattern.iter();
    while let Some(byte) = rest.next() {
        elements.push(match byte {
            b'*' => None,
            b'?' => Some(None),
            b'\\' => match rest.next() {
                Some(literal) => Some(Some(*literal)),
                None => return false,
            },
            literal => Some(Some(*literal)),
        });
    }
    let stars = |row: &mut Vec<bool>| {
        for (at, element) in elements.iter().enumerate() {
            row[at + 1] |= row[at] && element.is_none();
        }
    };
    let mut row = vec![false; elements.len() + 1];
    row[0] = true;
    stars(&mut row);
    for byte in text {
        let mut next = vec![false; elements.len() + 1];
        for (at, element) in elements.iter().enumerate() {
            match element {
                None => next[at + 1] |= row[at + 1],
                Some(one) => next[at + 1] |= row[at] && one.is_none_or(|one| one == *byte),
            }
        }
        stars(&mut next);
        row = next;
    }
    row[elements.len()]
}
