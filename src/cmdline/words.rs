//! The words of the kernel command line, and the values in them.
//!
//! ```text
//! word        bytes without spaces; inside "…" spaces are kept
//! ```

/// The command line's words, as the kernel parts them: a quote toggles, quotes stay in the word.
pub fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        let blank = matches!(byte, b' ' | b'\n' | b'\t' | 0x0b | 0x0c | b'\r');
        if byte == b'"' {
            quoted = !quoted;
        }
        match start {
            None if !blank => start = Some(at),
            Some(from) if blank && !quoted => {
                words.push(&line[from..at]);
                start = None;
            }
            _ => {}
        }
    }
    // A quote that is never closed swallows the rest; the kernel takes it as one word.
    words.extend(start.map(|from| &line[from..]));
    words
}

/// A word as `key` and `value`, quotes around either taken off as the kernel does.
pub fn key_value(word: &str) -> (&str, Option<&str>) {
    let whole = word.strip_prefix('"').map(|w| w.strip_suffix('"').unwrap_or(w));
    match whole.unwrap_or(word).split_once('=') {
        Some((key, value)) => {
            let inner = value.strip_prefix('"').map(|v| v.strip_suffix('"').unwrap_or(v));
            (key, Some(inner.unwrap_or(value)))
        }
        None => (whole.unwrap_or(word), None),
    }
}

/// The value that a word stands for in `table`.
pub(super) fn pick<T: Copy>(text: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

/// Puts a value in its place; gives whether there is one.
pub(super) fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let known = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    known
}

/// The words of a comma list.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_quoted_blanks() {
        assert_eq!(words("a  b=\"c d\" e\n"), ["a", "b=\"c d\"", "e"]);
        assert_eq!(words("a \"b c"), ["a", "\"b c"]);
        assert_eq!(key_value("\"a=b c\""), ("a", Some("b c")));
        assert_eq!(key_value("a=\"b c\""), ("a", Some("b c")));
        assert_eq!(key_value("root=UUID=1-2"), ("root", Some("UUID=1-2")));
        assert_eq!(key_value("ro"), ("ro", None));
    }
}
