//! The words of the kernel command line, and helpers to read their values.
//!
//! ```text
//! word        bytes without spaces; spaces inside "…" are kept
//! ```
//!
//! Parameters are text that keeps bytes ([`crate::byte_text`]). What is passed on, to a module or to
//! the real init, are the bytes of the word as they are.

/// A word of the kernel command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// The bytes of the word.
    pub(super) raw: RawWord<'a>,
    /// The whole word, with its quotes.
    pub text: &'a str,
    /// The part before the first `=`, without quotes.
    pub key: &'a str,
    /// The part after the first `=`, without quotes.
    pub value: Option<&'a str>,
}

impl<'a> Word<'a> {
    /// Returns the word with these bytes, which are UTF-8 and parted at ASCII characters.
    fn new(raw: RawWord<'a>) -> Self {
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        Self { raw, text: text(raw.text), key: text(raw.key), value: raw.value.map(text) }
    }

    /// Returns the bytes of the value as owned ones.
    pub(super) fn owned_bytes(&self) -> Option<Vec<u8>> {
        self.raw.value.map(<[u8]>::to_vec)
    }

    /// Returns the value, or an empty text if the word has none.
    pub(super) fn value_or_empty(&self) -> &'a str {
        self.value.unwrap_or_default()
    }

    /// Returns the bytes of the value, or none if the word has none.
    pub(super) fn bytes_or_empty(&self) -> &'a [u8] {
        self.raw.value.unwrap_or_default()
    }

    /// Returns the value as an owned text.
    pub(super) fn owned_value(&self) -> Option<String> {
        self.value.map(str::to_owned)
    }

    /// Returns the value unless it is empty.
    pub(super) fn non_empty(&self) -> Option<&'a str> {
        self.value.filter(|value| !value.is_empty())
    }

    /// Passes the value to `store` and returns its result. A parameter of the kernel without its
    /// value is valid and has no effect.
    pub(super) fn with_value(&self, store: impl FnOnce(&'a str) -> bool) -> bool {
        self.value.is_none_or(store)
    }

    /// Stores `value` if the word has none of its own. A flag of the kernel with a value is valid
    /// and has no effect.
    pub(super) fn flag<T>(&self, target: &mut T, value: T) -> bool {
        if self.value.is_none() {
            *target = value;
        }
        true
    }
}

/// The bytes of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawWord<'a> {
    /// The whole word, with its quotes.
    pub(crate) text: &'a [u8],
    /// The part before the first `=`, without quotes.
    pub(crate) key: &'a [u8],
    /// The part after the first `=`, without quotes.
    pub(crate) value: Option<&'a [u8]>,
}

impl<'a> RawWord<'a> {
    /// Splits a word at its first `=`. Like the kernel, removes quotes around the word or its
    /// value.
    fn new(text: &'a [u8]) -> Self {
        let unquote = |text: &'a [u8]| {
            text.strip_prefix(b"\"")
                .map_or(text, |inner| inner.strip_suffix(b"\"").unwrap_or(inner))
        };
        match split_once(unquote(text), b'=') {
            Some((key, value)) => Self { text, key, value: Some(unquote(value)) },
            None => Self { text, key: unquote(text), value: None },
        }
    }
}

/// Splits bytes at the first `at`.
pub(super) fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((bytes.get(..position)?, bytes.get(position + 1..)?))
}

/// Returns the words of a text as [`raw_words`] does.
pub fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    raw_words(line.as_bytes()).map(Word::new)
}

/// Splits a command line as the kernel does: a quote starts or ends a quoted part and stays in the
/// word. A quote that is never closed extends the word to the end of the line.
pub fn raw_words(line: &[u8]) -> impl Iterator<Item = RawWord<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len());
        let (_, from) = rest.split_at(start);
        let mut quoted = false;
        let end = from.iter().position(|byte| {
            quoted ^= *byte == b'"';
            !quoted && is_space(*byte)
        });
        let (word, after) = from.split_at(end.unwrap_or(from.len()));
        rest = after;
        (!word.is_empty()).then(|| RawWord::new(word))
    })
}

/// The bytes that separate words: those of the kernel's `isspace()` in ASCII.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | 0x0b | 0x0c | b'\r')
}

/// Stores a value if there is one. Returns whether there was.
pub(super) fn set<T>(target: &mut T, value: Option<T>) -> bool {
    let valid = value.is_some();
    if let Some(value) = value {
        *target = value;
    }
    valid
}

/// Returns the value that a keyword stands for in `table`.
pub(super) fn keyword<T: Copy>(text: &str, table: &[(&str, T)]) -> Option<T> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

/// Returns the entries of a comma-separated list, without empty ones.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|entry| !entry.is_empty())
}

/// Returns the entries of a comma-separated list as owned texts.
pub(super) fn owned_list(text: &str) -> Vec<String> {
    list(text).map(str::to_owned).collect()
}

/// Appends the elements of a word's value to `place`. Returns true: no list is malformed.
pub(super) fn extend(place: &mut Vec<String>, word: &Word<'_>) -> bool {
    place.extend(owned_list(word.value_or_empty()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_quoted_spaces() {
        let split = |line| words(line).map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(split("a  b=\"c d\" e\n"), ["a", "b=\"c d\"", "e"]);
        assert_eq!(split("a \"b c"), ["a", "\"b c"]);
        assert!(split(" \n").is_empty());
        for (word, key, value) in [
            ("\"a=b c\"", "a", Some("b c")),
            ("a=\"b c\"", "a", Some("b c")),
            ("root=UUID=1-2", "root", Some("UUID=1-2")),
            ("ro", "ro", None),
        ] {
            let raw = RawWord::new(word.as_bytes());
            assert_eq!(Word::new(raw), Word { raw, text: word, key, value });
        }
    }
}
