//! The syntax of lvm2's metadata and configuration. Reference: lvm2's libdm/libdm-config.c.
//!
//! ```text
//! section = NAME "{" (section | NAME "=" value)* "}"
//! value   = "[" (scalar ",")* "]" | scalar
//! scalar  = number | "text with \" and \\" | 'text' | word
//! comment = "#" to the end of the line
//! ```
//!
//! A number that starts with 0 is octal. A NUL ends the text.

use std::fmt;

use crate::byte_text;

/// Maximum depth of sections; metadata has 5.
const MAX_DEPTH: usize = 16;
/// Maximum number of entries and values; a logical volume has about 20.
const MAX_ITEMS: usize = 1_000_000;

/// An error in a text, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextError(Box<str>);

impl TextError {
    /// Returns the error at a line, counted from 1.
    #[cold]
    fn at(line: u32, what: &str) -> Self {
        Self(format!("line {line}: {what}").into())
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value, or an element of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Number(i64),
    Text(String),
    /// A number with a fraction, which metadata does not use.
    Fraction,
}

/// What follows a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Section(Section),
    /// An array; a single value is an array of one.
    Values(Vec<Scalar>),
}

/// A name with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) item: Item,
}

/// A section, or the whole text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Section {
    /// Line of its name.
    pub(super) line: u32,
    pub(super) entries: Vec<Entry>,
}

impl Section {
    /// Parses a whole text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TextError> {
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        let mut parser = Parser { rest: text, line: 1, items: 0 };
        parser.section(1, 0)
    }

    /// Returns an error at the line of this section.
    pub(super) fn error(&self, what: &str) -> TextError {
        TextError::at(self.line, what)
    }

    fn item(&self, name: &str) -> Option<&Item> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.item)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.item(name).is_some()
    }

    /// Returns the section `name`, or `None` if there is none.
    pub(super) fn section(&self, name: &str) -> Option<&Self> {
        match self.item(name)? {
            Item::Section(section) => Some(section),
            Item::Values(_) => None,
        }
    }

    /// Returns the sections in this section, with their names.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.entries.iter().filter_map(|entry| match &entry.item {
            Item::Section(section) => Some((&*entry.name, section)),
            Item::Values(_) => None,
        })
    }

    /// Returns the array `name`, or `None` if there is none.
    pub(super) fn values(&self, name: &str) -> Option<&[Scalar]> {
        match self.item(name)? {
            Item::Values(values) => Some(values),
            Item::Section(_) => None,
        }
    }

    /// Returns the text `name`, or `None` if there is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.values(name)? {
            [Scalar::Text(text), ..] => Some(text),
            _ => None,
        }
    }

    /// Returns the number `name`, or `None` if there is none or if it is negative.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.values(name)? {
            [Scalar::Number(number), ..] => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Returns the array `name`.
    pub(super) fn need_values(&self, name: &str) -> Result<&[Scalar], TextError> {
        self.values(name).ok_or_else(|| self.no(name))
    }

    /// Returns the text `name`.
    pub(super) fn need_text(&self, name: &str) -> Result<&str, TextError> {
        self.text(name).ok_or_else(|| self.no(name))
    }

    /// Returns the number `name`.
    pub(super) fn need_number(&self, name: &str) -> Result<u64, TextError> {
        self.number(name).ok_or_else(|| self.no(name))
    }

    /// Returns the 32-bit number `name`.
    pub(super) fn need_u32(&self, name: &str) -> Result<u64, TextError> {
        let number = self.number(name).filter(|number| *number <= u64::from(u32::MAX));
        number.ok_or_else(|| self.no(name))
    }

    fn no(&self, name: &str) -> TextError {
        self.error(&format!("{name} is missing or invalid"))
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    line: u32,
    items: usize,
}

impl<'a> Parser<'a> {
    /// Parses the entries of a section up to its end; the outermost one ends with the text.
    fn section(&mut self, line: u32, depth: usize) -> Result<Section, TextError> {
        if depth > MAX_DEPTH {
            return self.fail("too many nested sections");
        }
        let mut entries = Vec::new();
        loop {
            match self.peek() {
                None if depth == 0 => break,
                Some(b'}') if depth > 0 => {
                    self.skip(1);
                    break;
                }
                None => return self.fail("the text ends within a section"),
                Some(_) => entries.push(self.entry(depth)?),
            }
        }
        Ok(Section { line, entries })
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, TextError> {
        self.count()?;
        let line = self.line;
        let name = self.name()?;
        let item = match self.peek() {
            Some(b'{') => {
                self.skip(1);
                Item::Section(self.section(line, depth + 1)?)
            }
            Some(b'=') => {
                self.skip(1);
                Item::Values(self.value()?)
            }
            _ => return self.fail("'=' or '{' is missing"),
        };
        Ok(Entry { name, item })
    }

    fn name(&mut self) -> Result<String, TextError> {
        let name = match self.peek() {
            Some(b'"') => self.quoted()?,
            Some(b'\'') => self.literal()?,
            Some(b'[' | b']' | b',') => String::new(),
            _ => self.word(),
        };
        if name.is_empty() { self.fail("a name is missing") } else { Ok(name) }
    }

    fn value(&mut self) -> Result<Vec<Scalar>, TextError> {
        if self.peek() != Some(b'[') {
            return Ok(vec![self.scalar()?]);
        }
        self.skip(1);
        let mut values = Vec::new();
        while self.peek() != Some(b']') {
            values.push(self.scalar()?);
            if self.peek() == Some(b',') {
                self.skip(1);
            }
        }
        self.skip(1);
        Ok(values)
    }

    fn scalar(&mut self) -> Result<Scalar, TextError> {
        self.count()?;
        match self.peek() {
            Some(b'"') => self.quoted().map(Scalar::Text),
            Some(b'\'') => self.literal().map(Scalar::Text),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => self.number(),
            None | Some(b'=' | b'{' | b'}' | b'[' | b']' | b',') => self.fail("a value is missing"),
            Some(_) => Ok(Scalar::Text(self.word())),
        }
    }

    fn number(&mut self) -> Result<Scalar, TextError> {
        let is_part = |b: u8| b.is_ascii_digit() || b == b'.';
        let len = 1 + self.rest[1..].iter().take_while(|b| is_part(**b)).count();
        let token = String::from_utf8_lossy(self.skip(len));
        if token.contains('.') {
            return Ok(Scalar::Fraction);
        }
        let digits = token.trim_start_matches(['+', '-']);
        let radix = if digits.starts_with('0') { 8 } else { 10 };
        let Ok(number) = i64::from_str_radix(&token, radix) else {
            return self.fail("a number is invalid");
        };
        Ok(Scalar::Number(number))
    }

    /// Parses a text in double quotes, in which a backslash stands before quotes and backslashes.
    fn quoted(&mut self) -> Result<String, TextError> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().copied().enumerate().skip(1).peekable();
        while let Some((at, byte)) = bytes.next() {
            match (byte, bytes.peek()) {
                (b'"', _) => {
                    self.skip(at + 1);
                    return Ok(byte_text::from_bytes(&text).into_owned());
                }
                (b'\\', Some((_, next @ (b'"' | b'\\')))) => {
                    text.push(*next);
                    bytes.next();
                }
                _ => text.push(byte),
            }
        }
        self.fail("a text has no end")
    }

    /// Parses a text in single quotes.
    fn literal(&mut self) -> Result<String, TextError> {
        let Some(len) = self.rest[1..].iter().position(|b| *b == b'\'') else {
            return self.fail("a text has no end");
        };
        let token = self.skip(len + 2);
        Ok(byte_text::from_bytes(&token[1..=len]).into_owned())
    }

    /// Parses a word without quotes.
    fn word(&mut self) -> String {
        let is_end = |b: &u8| b.is_ascii_whitespace() || b"#={}".contains(b);
        let len = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        byte_text::from_bytes(self.skip(len)).into_owned()
    }

    /// Returns the next byte after spaces and comments.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.rest.first()? {
                b'#' => {
                    let end = self.rest.iter().position(|b| *b == b'\n');
                    self.skip(end.unwrap_or(self.rest.len()));
                }
                byte if byte.is_ascii_whitespace() || byte == 0x0b => {
                    self.skip(1);
                }
                byte => return Some(byte),
            }
        }
    }

    /// Returns the next `len` bytes and moves past them.
    fn skip(&mut self, len: usize) -> &'a [u8] {
        let (token, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        let lines = token.iter().filter(|b| **b == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        token
    }

    fn count(&mut self) -> Result<(), TextError> {
        self.items += 1;
        if self.items > MAX_ITEMS { self.fail("too many entries") } else { Ok(()) }
    }

    fn fail<T>(&self, what: &str) -> Result<T, TextError> {
        Err(TextError::at(self.line, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(n: i64) -> Scalar {
        Scalar::Number(n)
    }

    fn text(t: &str) -> Scalar {
        Scalar::Text(t.into())
    }

    #[test]
    fn values_have_types() {
        for (value, want) in [
            ("12", vec![number(12)]),
            ("-1", vec![number(-1)]),
            ("010", vec![number(8)]),
            ("0", vec![number(0)]),
            ("0.5", vec![Scalar::Fraction]),
            (r#""a \"b\" \\ \n""#, vec![text("a \"b\" \\ \\n")]),
            ("'a\\'", vec![text("a\\")]),
            ("word", vec![text("word")]),
            ("[]", vec![]),
            ("[ 1,\n\"x\" , # note\n]", vec![number(1), text("x")]),
            ("\"M\u{f6}b # {\"", vec![text("M\u{f6}b # {")]),
        ] {
            let section = Section::parse(format!("k = {value} # end\n").as_bytes()).unwrap();
            assert_eq!(section.values("k"), Some(&*want), "{value}");
        }
    }

    #[test]
    fn sections_nest_and_know_their_lines() {
        let all =
            Section::parse(b"# head\nvg {\n\ta = 1\n\tpv0 {\n\tb=2}\n}\nlast=3\0junk{").unwrap();
        let vg = all.section("vg").unwrap();
        assert_eq!((vg.line, vg.number("a")), (2, Some(1)));
        let inner: Vec<_> = vg.sections().map(|(name, s)| (name, s.line, s.number("b"))).collect();
        assert_eq!(inner, [("pv0", 4, Some(2))]);
        assert_eq!(all.number("last"), Some(3));
        assert_eq!(vg.need_number("c").unwrap_err().to_string(), "line 2: c is missing or invalid");
    }

    #[test]
    fn errors_name_the_line() {
        for (bad, want) in [
            ("a", "line 1: '=' or '{' is missing"),
            ("a =", "line 1: a value is missing"),
            ("\na = \"x", "line 2: a text has no end"),
            ("a {\n b = 1\n", "line 3: the text ends within a section"),
            ("a = [1", "line 1: a value is missing"),
            ("a = 09", "line 1: a number is invalid"),
            ("a = 99999999999999999999", "line 1: a number is invalid"),
            ("= 1", "line 1: a name is missing"),
            ("}", "line 1: a name is missing"),
            ("\"\" = 1", "line 1: a name is missing"),
            (&"a{".repeat(20), "line 1: too many nested sections"),
            (&"a=1 ".repeat(600_000), "line 1: too many entries"),
        ] {
            assert_eq!(Section::parse(bad.as_bytes()).unwrap_err().to_string(), want);
        }
    }

    fn print(section: &Section, out: &mut String) {
        let quote = |t: &str| format!("\"{}\"", t.replace('\\', "\\\\").replace('"', "\\\""));
        for Entry { name, item } in &section.entries {
            out.push_str(&quote(name));
            match item {
                Item::Section(inner) => {
                    out.push_str(" {\n");
                    print(inner, out);
                    out.push_str("}\n");
                }
                Item::Values(values) => {
                    let values: Vec<_> = values
                        .iter()
                        .map(|value| match value {
                            Scalar::Number(n) => n.to_string(),
                            Scalar::Text(t) => quote(t),
                            Scalar::Fraction => "1.5".into(),
                        })
                        .collect();
                    out.push_str(&format!(" = [{}]\n", values.join(", ")));
                }
            }
        }
    }

    fn without_lines(mut section: Section) -> Section {
        section.line = 0;
        for entry in &mut section.entries {
            if let Item::Section(inner) = &mut entry.item {
                *inner = without_lines(std::mem::take(inner));
            }
        }
        section
    }

    fn any_section() -> impl Strategy<Value = Section> {
        let scalar = prop_oneof![
            any::<i64>().prop_map(Scalar::Number),
            "[^\\x00\u{10ff00}-\u{10ffff}]{0,8}".prop_map(Scalar::Text),
            Just(Scalar::Fraction),
        ];
        let values = prop::collection::vec(scalar, 0..4).prop_map(Item::Values);
        let name = "[^\\x00\u{10ff00}-\u{10ffff}]{1,8}";
        let entry = (name, values).prop_map(|(name, item)| Entry { name, item });
        let leaf =
            prop::collection::vec(entry, 0..4).prop_map(|entries| Section { line: 0, entries });
        leaf.prop_recursive(4, 32, 4, move |inner| {
            let entry =
                (name, inner.prop_map(Item::Section)).prop_map(|(name, item)| Entry { name, item });
            prop::collection::vec(entry, 0..4).prop_map(|entries| Section { line: 0, entries })
        })
    }

    proptest! {
        #[test]
        fn a_printed_text_is_parsed_as_it_was(section in any_section()) {
            let mut out = String::new();
            print(&section, &mut out);
            prop_assert_eq!(without_lines(Section::parse(out.as_bytes()).unwrap()), section);
        }

        #[test]
        fn any_bytes_are_a_text_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Section::parse(&bytes);
        }

        #[test]
        fn any_tokens_are_a_text_or_an_error(
            tokens in prop::collection::vec("[ab{}\\[\\]=,\"'\\\\#0-9\n -]{1,3}", 0..40)
        ) {
            let _ = Section::parse(tokens.concat().as_bytes());
        }
    }
}
