//! The message that the child sends to PID 1.
//!
//! ```text
//! KIND\nNUMBER\nTEXT
//!
//! KIND       NUMBER            TEXT
//! missing    0                 empty: the device has not appeared
//! nothing    0                 empty: no failed boot is stored, or a later boot has reported it
//! previous   its number        what ended the last boot
//! marked     0                 empty: the stored boot is marked as reported
//! stored     its number        what ended the boot stored before, if no boot has reported it
//! failed     0                 why none of this was possible
//! ```

/// What the child has found or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The device has not appeared.
    Missing,
    /// Nothing is stored that a later boot has not reported.
    Nothing,
    /// The number of the last boot, and what ended it.
    Previous(u64, String),
    /// The stored boot is marked as reported.
    Marked,
    /// This boot is stored under this number. The text says what ended the boot that was stored
    /// there; it is empty if that was reported before.
    Stored(u64, String),
    /// Why none of this was possible.
    Failed(String),
}

impl Reply {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, number, text) = match self {
            Self::Missing => ("missing", 0, ""),
            Self::Nothing => ("nothing", 0, ""),
            Self::Previous(number, summary) => ("previous", *number, summary.as_str()),
            Self::Marked => ("marked", 0, ""),
            Self::Stored(number, summary) => ("stored", *number, summary.as_str()),
            Self::Failed(text) => ("failed", 0, text.as_str()),
        };
        format!("{kind}\n{number}\n{text}").into_bytes()
    }

    /// Returns the reply in `message`, or `None` if it has another form.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let (kind, rest) = std::str::from_utf8(message).ok()?.split_once('\n')?;
        let (number, text) = rest.split_once('\n')?;
        let (number, text) = (number.parse().ok()?, text.to_owned());
        Some(match kind {
            "missing" => Self::Missing,
            "nothing" => Self::Nothing,
            "previous" => Self::Previous(number, text),
            "marked" => Self::Marked,
            "stored" => Self::Stored(number, text),
            "failed" => Self::Failed(text),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_decoded_as_they_were_encoded() {
        for reply in [
            Reply::Missing,
            Reply::Nothing,
            Reply::Previous(6, "verdict=no-root: a\n  b".to_owned()),
            Reply::Marked,
            Reply::Stored(7, String::new()),
            Reply::Stored(7, "verdict=no-root: a\n  b".to_owned()),
            Reply::Failed("open x: Input/output error".to_owned()),
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(b"stored\nx\n"), None);
        assert_eq!(Reply::decode(b"previous\n7"), None);
        assert_eq!(Reply::decode(b"\xff"), None);
    }
}
