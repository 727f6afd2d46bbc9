//! The words of a line, with commands and variables expanded.
//!
//! ```text
//! `uname -r`  `kernelversion`      2.4.18-3  2.4
//! $NAME  ${NAME}                   the value of a `define`
//! 'a b'  "a b"  \c                 one word; the quotes and the backslash are removed
//! ```

use super::error::{Invalid, LineError, Undecided, invalid, undecided};
use super::table::Table;

/// The values that words are expanded with.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    /// The kernel's release.
    pub(super) release: String,
    /// The defined variables; `None` if the definition is undecided.
    pub(super) defined: Table<Option<String>>,
}

impl Variables {
    /// Expands `text` and splits it into words.
    pub(super) fn expand(&self, text: &str) -> Result<Vec<String>, LineError> {
        Ok(split(&self.substitute(text)?))
    }

    /// Expands `text` and returns its first word, or an empty text.
    pub(super) fn expand_first(&self, text: &str) -> Result<String, LineError> {
        Ok(self.expand(text)?.into_iter().next().unwrap_or_default())
    }

    fn substitute(&self, text: &str) -> Result<String, LineError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['`', '$']) {
            out.push_str(&rest[..at]);
            let (sign, after) = rest[at..].split_at(1);
            rest = match sign {
                "`" => self.command(after, &mut out)?,
                _ => self.variable(after, &mut out)?,
            };
        }
        Ok(out + rest)
    }

    /// Appends the output of the command at the start of `text`. Returns the text after the
    /// command.
    fn command<'a>(&self, text: &'a str, out: &mut String) -> Result<&'a str, LineError> {
        let Some((command, rest)) = text.split_once('`') else {
            return invalid(Invalid::OpenBackQuote);
        };
        match command.trim_ascii() {
            "uname -r" => out.push_str(&self.release),
            "kernelversion" => out.push_str(two_parts(&self.release)),
            other => return undecided(Undecided::Command(other.to_owned())),
        }
        Ok(rest)
    }

    /// Appends the value of the variable at the start of `text`. Returns the text after the
    /// variable.
    fn variable<'a>(&self, text: &'a str, out: &mut String) -> Result<&'a str, LineError> {
        let shell = || undecided(Undecided::Shell(text.to_owned()));
        let (name, rest) = match text.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some((name, rest)) if name.chars().all(is_name) => (name, rest),
                _ => return shell(),
            },
            None => text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len())),
        };
        match self.defined.get(name) {
            Some(Some(value)) => out.push_str(value),
            Some(None) => return undecided(Undecided::Variable(name.to_owned())),
            None if name.is_empty() && !text.starts_with(['(', '{']) => out.push('$'),
            None if name.is_empty() => return shell(),
            None => return undecided(Undecided::Undefined(name.to_owned())),
        }
        Ok(rest)
    }
}

/// Returns whether a variable name may have the character.
fn is_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// Returns the first two parts of a release: `2.4.18-3` → `2.4`.
fn two_parts(release: &str) -> &str {
    let end = release.match_indices('.').nth(1).map_or(release.len(), |(at, _)| at);
    &release[..end]
}

/// Splits `text` into words and removes the quotes. Between quotes a backslash is kept, and a quote
/// after it does not end the word.
fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {}
            '"' | '\'' => {
                while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                    word.push(inner);
                    if inner == '\\' && chars.peek() == Some(&c) {
                        word.extend(chars.next());
                    }
                }
            }
            c if c.is_ascii_whitespace() => words.extend(take(&mut word)),
            c => word.push(c),
        }
    }
    words.extend(take(&mut word));
    words
}

fn take(word: &mut String) -> Option<String> {
    (!word.is_empty()).then(|| std::mem::take(word))
}

/// Returns the first word of `text`, with its quotes, and the text after it without leading spaces.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii_start();
    let mut quote = None;
    let end = text.find(|c| {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c.is_ascii_whitespace()
    });
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    (word, rest.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables { release: "2.4.18-3smp".into(), ..Variables::default() };
        *variables.defined.get_or_insert("A") = Some("one two".into());
        *variables.defined.get_or_insert("N") = None;
        variables
    }

    #[test]
    fn words_are_expanded_and_split() {
        for (text, want) in [
            (" a  b\tc ", "a|b|c"),
            ("x=\"a b\" 'c d' e\\f \\\"g h\"", "x=a b|c d|ef|g h"),
            ("\"a\\\"b\" \"open x", "a\\\"b|open x"),
            ("/lib/`uname -r`/x /`kernelversion`", "/lib/2.4.18-3smp/x|/2.4"),
            ("$A-${A} '$A'", "one|two-one|two|one two"),
            ("a$ $", "a$|$"),
            ("", ""),
        ] {
            assert_eq!(variables().expand(text).unwrap().join("|"), want, "{text}");
        }
    }

    #[test]
    fn unknown_values_are_reported() {
        for (text, want) in [
            ("`uname -m`", "command `uname -m` is not run"),
            ("$(uname)", "$(uname) is shell syntax"),
            ("x${A:-b}", "${A:-b} is shell syntax"),
            ("$HOSTTYPE/x", "$HOSTTYPE is not defined"),
            ("$N", "the value of $N is unknown"),
        ] {
            match variables().expand(text) {
                Err(LineError::Undecided(reason)) => assert_eq!(reason.to_string(), want),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(variables().expand("`x"), invalid(Invalid::OpenBackQuote));
    }

    #[test]
    fn the_first_word_keeps_its_quotes() {
        for (text, want) in [
            ("  a b c", ("a", "b c")),
            ("`a b`/c  d", ("`a b`/c", "d")),
            ("a'b \"c' d", ("a'b \"c'", "d")),
            ("", ("", "")),
            ("'a b", ("'a b", "")),
        ] {
            assert_eq!(split_word(text), want);
        }
    }
}
