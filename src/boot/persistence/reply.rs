//! The message that the child sends to PID 1.
//!
//! ```text
//! missing             the device has not appeared
//! nothing             no failed boot is stored, or a later boot has reported it
//! previous\nSUMMARY   the last boot failed
//! stored\nNUMBER      this boot is stored under this number
//! failed\nTEXT        why none of this was possible
//! ```

/// What the child has found or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The device has not appeared.
    Missing,
    /// Nothing is stored that a later boot has not reported.
    Nothing,
    /// What ended the last boot.
    Previous(String),
    /// This boot is stored under this number.
    Stored(u64),
    /// Why none of this was possible.
    Failed(String),
}

impl Reply {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Missing => "missing".to_owned(),
            Self::Nothing => "nothing".to_owned(),
            Self::Previous(summary) => format!("previous\n{summary}"),
            Self::Stored(number) => format!("stored\n{number}"),
            Self::Failed(text) => format!("failed\n{text}"),
        }
        .into_bytes()
    }

    /// Decodes a message; `None` if it is none of these.
    pub(super) fn decode(message: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(message).ok()?;
        let (kind, rest) = text.split_once('\n').unwrap_or((text, ""));
        Some(match kind {
            "missing" => Self::Missing,
            "nothing" => Self::Nothing,
            "previous" => Self::Previous(rest.to_owned()),
            "stored" => Self::Stored(rest.parse().ok()?),
            "failed" => Self::Failed(rest.to_owned()),
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
            Reply::Previous("verdict=no-root: a\n  b".to_owned()),
            Reply::Stored(7),
            Reply::Failed("open x: Input/output error".to_owned()),
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(b"stored\nx"), None);
        assert_eq!(Reply::decode(b"\xff"), None);
    }
}
