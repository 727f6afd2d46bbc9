//! A text in lines that survive a serial console: a log of it holds messages of the kernel before,
//! between and behind them.
//!
//! ```text
//! line    @cpKIND ID NUMBER/TOTAL CRC TEXT|
//!
//! KIND    C a capture, R a boot record
//! ID      CRC-32 of the whole text: all lines of one text have the same
//! NUMBER  of the line, from 1 to TOTAL
//! CRC     CRC-32 of `KIND ID NUMBER/TOTAL TEXT`
//! TEXT    a part of the text; newlines are \n, backslashes and bytes other than printable ASCII
//!         \xNN
//! ```
//!
//! CRCs are eight hexadecimal digits. A line has fewer than 80 columns. Whatever else a log holds,
//! carriage returns too, is ignored, and so is a line whose CRC is wrong. If the text is printed
//! again, the lines of both make up for each other.

use std::fmt::Write;

use crate::disk::crc::crc32;

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A captured machine.
    Capture,
    /// A boot record.
    Record,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Capture => 'C',
            Self::Record => 'R',
        }
    }
}

/// The first characters of a line.
const MARK: &str = "@cp";
/// Most characters of the text in a line.
const WIDTH: usize = 45;

/// Returns `text` in lines.
pub(crate) fn encode(kind: Kind, text: &[u8]) -> String {
    let parts = parts(text);
    let (id, total) = (crc32(text), parts.len());
    let mut lines = String::with_capacity(total * 80);
    for (at, part) in parts.iter().enumerate() {
        let number = at + 1;
        let crc = line_crc(kind, id, number, total, part);
        let letter = kind.letter();
        let _ = writeln!(lines, "{MARK}{letter} {id:08x} {number}/{total} {crc:08x} {part}|");
    }
    lines
}

/// Returns the escaped text in parts, none longer than a line has room for.
fn parts(text: &[u8]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::with_capacity(WIDTH);
    for byte in text {
        // The longest escape has four characters.
        if part.len() + 4 > WIDTH {
            parts.push(std::mem::take(&mut part));
        }
        match byte {
            b'\n' => part.push_str("\\n"),
            b' '..=b'~' if *byte != b'\\' => part.push(char::from(*byte)),
            _ => {
                let _ = write!(part, "\\x{byte:02x}");
            }
        }
    }
    parts.push(part);
    parts
}

fn line_crc(kind: Kind, id: u32, number: usize, total: usize, part: &str) -> u32 {
    crc32(format!("{} {id:08x} {number}/{total} {part}", kind.letter()).as_bytes())
}

/// Returning texts from logs.
#[cfg(any(feature = "host", test))]
mod decode {
    use super::{Kind, MARK, line_crc};
    use crate::disk::crc::crc32;
    use std::fmt;

    /// Most lines of a text that are accepted.
    const MAX_LINES: usize = 1 << 20;

    /// The lines of one text that were found.
    struct Found<'a> {
        id: u32,
        parts: Vec<Option<&'a str>>,
    }

    /// Why a log holds no whole text.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Incomplete {
        /// Numbers of the missing lines.
        missing: Vec<usize>,
        total: usize,
    }

    impl fmt::Display for Incomplete {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            const MAX_SHOWN: usize = 10;
            let shown = self.missing.iter().take(MAX_SHOWN).map(ToString::to_string);
            let list = shown.collect::<Vec<_>>().join(", ");
            let more = if self.missing.len() > MAX_SHOWN { " …" } else { "" };
            write!(f, "lines {list}{more} of {} are missing or damaged", self.total)
        }
    }

    /// Returns the last whole text of `kind` in `log`; `None` if there is not even a line of one.
    ///
    /// # Errors
    /// The lines that the last text lacks, if none is whole.
    pub(crate) fn decode(kind: Kind, log: &[u8]) -> Option<Result<Vec<u8>, Incomplete>> {
        let mut found: Vec<Found<'_>> = Vec::new();
        for line in log.split(|byte| *byte == b'\n') {
            let Some((id, number, parts, part)) = parse(kind, line) else { continue };
            let place = found.iter().position(|text| text.id == id && text.parts.len() == parts);
            // The text that was printed last comes last.
            let mut text = match place {
                Some(place) => found.remove(place),
                None => Found { id, parts: vec![None; parts] },
            };
            if let Some(place) = text.parts.get_mut(number - 1) {
                *place = Some(part);
            }
            found.push(text);
        }
        let whole = found.iter().rev().find_map(|text| {
            let parts: Option<Vec<&str>> = text.parts.iter().copied().collect();
            unescape(&parts?.concat()).filter(|bytes| crc32(bytes) == text.id)
        });
        let last = found.last()?;
        Some(whole.ok_or_else(|| {
            let numbered = (1..).zip(&last.parts);
            let missing = numbered.filter(|(_, part)| part.is_none()).map(|(number, _)| number);
            Incomplete { missing: missing.collect(), total: last.parts.len() }
        }))
    }

    /// Returns ID, number, total and text of the line in `line`, which may hold more before and
    /// behind it.
    fn parse(kind: Kind, line: &[u8]) -> Option<(u32, usize, usize, &str)> {
        let mark = format!("{MARK}{} ", kind.letter());
        let mut rest = line;
        loop {
            let at = rest.windows(mark.len()).position(|bytes| bytes == mark.as_bytes())?;
            rest = &rest[at + mark.len()..];
            let ascii = rest.iter().take_while(|byte| byte.is_ascii()).count();
            let text = std::str::from_utf8(&rest[..ascii]).unwrap_or_default();
            if let Some(parsed) = fields(kind, text) {
                return Some(parsed);
            }
        }
    }

    fn fields(kind: Kind, text: &str) -> Option<(u32, usize, usize, &str)> {
        let mut words = text.splitn(4, ' ');
        let id = u32::from_str_radix(words.next()?, 16).ok()?;
        let (number, total) = words.next()?.split_once('/')?;
        let (number, total) = (number.parse().ok()?, total.parse().ok()?);
        let crc = u32::from_str_radix(words.next()?, 16).ok()?;
        let rest = words.next()?;
        if number == 0 || number > total || total > MAX_LINES {
            return None;
        }
        // The text may hold this character, and a message may follow it.
        let mut ends = rest.match_indices('|').map(|(at, _)| &rest[..at]);
        let part = ends.find(|part| line_crc(kind, id, number, total, part) == crc)?;
        Some((id, number, total, part))
    }

    fn unescape(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('n') {
                bytes.push(b'\n');
                rest = after;
            } else {
                let digits = rest.strip_prefix('x')?.get(..2)?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = rest.get(3..)?;
            }
        }
        bytes.extend_from_slice(rest.as_bytes());
        Some(bytes)
    }
}

#[cfg(any(feature = "host", test))]
pub(crate) use decode::decode;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"coldplug-capture 2\n\ndevice a|b\n  modalias x \\y \xff\n \n\nend\n";

    #[test]
    fn lines_are_short_and_numbered() {
        let lines = encode(Kind::Capture, &TEXT.repeat(200));
        assert!(lines.lines().all(|line| line.len() < 80 && line.ends_with('|')), "{lines}");
        let lines = encode(Kind::Record, b"{}\n");
        assert!(lines.starts_with("@cpR ") && lines.contains(" 1/1 "), "{lines}");
        assert!(lines.ends_with(" {}\\n|\n"), "{lines}");
        assert_eq!(decode(Kind::Record, encode(Kind::Record, b"").as_bytes()), Some(Ok(vec![])));
    }

    #[test]
    fn messages_around_the_lines_are_ignored() {
        let lines = encode(Kind::Capture, TEXT);
        let mut log = b"[    1.0] usb 1-1: \xff new\r\n@cpC \r\n@cpC x 0/0 y z|\r\n".to_vec();
        for line in lines.lines() {
            log.extend(format!("[    2.0] cut off{line}[    3.0] behind|it\r\n").bytes());
            log.extend(b"coldplug: a line\r\n\x1b[1m");
        }
        assert_eq!(decode(Kind::Capture, &log), Some(Ok(TEXT.to_vec())));
        assert_eq!(decode(Kind::Record, &log), None);
    }

    #[test]
    fn a_damaged_line_is_made_up_for_by_another_copy() {
        let lines = encode(Kind::Capture, TEXT);
        let damage = |number: usize| {
            let lines: Vec<String> = lines
                .lines()
                .enumerate()
                .map(|(at, line)| match at + 1 == number {
                    true => line.replacen("| ", "", 1).replacen(' ', "  [1.0] x\n", 3),
                    false => line.to_owned(),
                })
                .collect();
            lines.join("\r\n") + "\r\n"
        };
        let total = lines.lines().count();
        assert_eq!(total, 2);
        for number in 1..=total {
            let Some(Err(error)) = decode(Kind::Capture, damage(number).as_bytes()) else {
                panic!("line {number} is not damaged");
            };
            let text = format!("lines {number} of 2 are missing or damaged");
            assert_eq!(error.to_string(), text);
        }
        let log = damage(1) + &damage(2);
        assert_eq!(decode(Kind::Capture, log.as_bytes()), Some(Ok(TEXT.to_vec())));
        // The last of two texts.
        let log = lines.clone() + &encode(Kind::Capture, b"other") + &lines;
        assert_eq!(decode(Kind::Capture, log.as_bytes()), Some(Ok(TEXT.to_vec())));
        let cut = &log[..log.len() - 30];
        assert_eq!(decode(Kind::Capture, cut.as_bytes()), Some(Ok(TEXT.to_vec())));
        let log = lines + &encode(Kind::Capture, b"other");
        assert_eq!(decode(Kind::Capture, log.as_bytes()), Some(Ok(b"other".to_vec())));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_found_again(text in proptest::collection::vec(0u8.., 0..300)) {
            let log = encode(Kind::Record, &text).replace('\n', "\r\n");
            proptest::prop_assert_eq!(decode(Kind::Record, log.as_bytes()), Some(Ok(text)));
        }

        #[test]
        fn no_log_panics(log in r"(@cpC [0-9a-f]{0,9} [0-9]{0,3}/[0-9]{0,20} [0-9a-f]{8} .{0,9}\|?\n?){0,4}") {
            let _ = decode(Kind::Capture, log.as_bytes());
        }
    }
}
