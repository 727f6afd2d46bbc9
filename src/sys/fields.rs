//! The fields of messages between PID 1 and its children.
//!
//! ```text
//! message   FIELD...
//! field     0 length of the rest, u32, little-endian
//!           4 bytes
//! ```

use std::str::FromStr;

use super::child::MAX_MESSAGE;

/// Puts fields behind each other; `None` if they exceed [`MAX_MESSAGE`].
///
/// A field may be a secret. The message never grows, which would leave a copy of its start in
/// memory that nobody zeroes.
pub(crate) fn join<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    join_all(&fields.collect::<Vec<_>>())
}

fn join_all(fields: &[&[u8]]) -> Option<Vec<u8>> {
    let size = fields.iter().map(|field| size_of::<u32>() + field.len()).sum();
    if size > MAX_MESSAGE {
        return None;
    }
    let mut message = Vec::with_capacity(size);
    for field in fields {
        message.extend_from_slice(&u32::try_from(field.len()).ok()?.to_le_bytes());
        message.extend_from_slice(field);
    }
    Some(message)
}

/// The fields of a message that have not been parsed yet. Each method takes one or more of them;
/// `None` means that they do not fit.
#[derive(Debug)]
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Returns the fields of a message.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Returns whether no field is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the next field.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// Returns the next field as a text without NULs.
    pub(crate) fn text(&mut self) -> Option<String> {
        let text = std::str::from_utf8(self.bytes()?).ok()?;
        // Every text becomes an argument of a system call.
        (!text.contains('\0')).then(|| text.to_owned())
    }

    /// Returns the value of a field, or `Some(None)` if it is empty.
    pub(crate) fn option<T: FromStr>(&mut self) -> Option<Option<T>> {
        let text = self.text()?;
        if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
    }

    /// Returns all texts that are left.
    pub(crate) fn rest(&mut self) -> Option<Vec<String>> {
        let mut all = Vec::new();
        while !self.0.is_empty() {
            all.push(self.text()?);
        }
        Some(all)
    }

    /// Returns the value of a field.
    pub(crate) fn parse<T: FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }

    /// Returns a device number from two fields.
    pub(crate) fn number(&mut self) -> Option<(u32, u32)> {
        Some((self.parse()?, self.parse()?))
    }

    /// Returns true for the word `yes` and false for `no`.
    pub(crate) fn choice(&mut self, yes: &str, no: &str) -> Option<bool> {
        let word = self.text()?;
        (word == yes || word == no).then_some(word == yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_grow_and_has_a_limit() {
        for length in [0, 235, 236, 512, 5000, MAX_MESSAGE - 4] {
            let secret = vec![b'x'; length];
            let message = join([&*secret].into_iter()).unwrap();
            assert_eq!((message.len(), message.capacity()), (length + 4, length + 4));
            let mut fields = Fields::new(&message);
            assert_eq!((fields.bytes(), fields.is_at_end()), (Some(&*secret), true));
        }
        assert_eq!(join([&*vec![0; MAX_MESSAGE - 3]].into_iter()), None);
        assert_eq!(join([&b"ab"[..], b""].into_iter()).unwrap(), b"\x02\0\0\0ab\0\0\0\0");
    }
}
