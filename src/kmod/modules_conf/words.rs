//! The words of a line, and what stands for others in them.
//!
//! ```text
//! `uname -r`  `kernelversion`      2.4.18-3  2.4
//! $NAME  ${NAME}                   what a `define` has said
//! 'a b'  "a b"  \c                 one word; the quotes and the backslash go
//! ```

use super::Trouble;
use super::table::Table;

/// What the words of a file may stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    /// The kernel's release.
    pub(super) release: String,
    /// What was defined; `None` where it hangs on what is not known.
    pub(super) defined: Table<Option<String>>,
}

impl Variables {
    /// The words that `text` comes to.
    pub(super) fn expand(&self, text: &str) -> Result<Vec<String>, Trouble> {
        Ok(split(&self.substitute(text)?))
    }

    /// The first of them; empty where there are none.
    pub(super) fn expand_first(&self, text: &str) -> Result<String, Trouble> {
        Ok(self.expand(text)?.into_iter().next().unwrap_or_default())
    }

    fn substitute(&self, text: &str) -> Result<String, Trouble> {
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

    /// Puts in what the command at the start of `text` prints, if that is known; gives what follows it.
    fn command<'a>(&self, text: &'a str, out: &mut String) -> Result<&'a str, Trouble> {
        let Some((command, rest)) = text.split_once('`') else {
            return Trouble::wrong("a back-quote is not closed");
        };
        match command.trim_ascii() {
            "uname -r" => out.push_str(&self.release),
            "kernelversion" => out.push_str(two_parts(&self.release)),
            other => return Trouble::unsure(format!("the command `{other}` is not run")),
        }
        Ok(rest)
    }

    /// As `command`, for a variable.
    fn variable<'a>(&self, text: &'a str, out: &mut String) -> Result<&'a str, Trouble> {
        let (name, rest) = match text.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some((name, rest)) if name.chars().all(is_name) => (name, rest),
                _ => return Trouble::unsure(format!("${text} is left to a shell")),
            },
            None => text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len())),
        };
        match self.defined.get(name) {
            Some(Some(value)) => out.push_str(value),
            Some(None) => return Trouble::unsure(format!("what ${name} is is not known")),
            None if name.is_empty() && !text.starts_with(['(', '{']) => out.push('$'),
            None if name.is_empty() => {
                return Trouble::unsure(format!("${text} is left to a shell"));
            }
            None => return Trouble::unsure(format!("${name} is not defined here")),
        }
        Ok(rest)
    }
}

/// Whether a variable's name may hold it.
fn is_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// `2.4.18-3` → `2.4`
fn two_parts(release: &str) -> &str {
    let end = release.match_indices('.').nth(1).map_or(release.len(), |(at, _)| at);
    &release[..end]
}

/// The words of `text`, without their quotes. Between quotes a backslash stays, and keeps a quote from ending the word.
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

/// The first word of `text` as it stands, quotes included, and what follows it and the blanks behind it.
pub(super) fn first(text: &str) -> (&str, &str) {
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
        *variables.defined.of("A") = Some("one two".into());
        *variables.defined.of("N") = None;
        variables
    }

    #[test]
    fn words_are_split_and_what_they_stand_for_put_in() {
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
    fn what_is_not_known_is_named() {
        for (text, want) in [
            ("`uname -m`", "the command `uname -m` is not run"),
            ("$(uname)", "$(uname) is left to a shell"),
            ("x${A:-b}", "${A:-b} is left to a shell"),
            ("$HOSTTYPE/x", "$HOSTTYPE is not defined here"),
            ("$N", "what $N is is not known"),
        ] {
            assert_eq!(variables().expand(text), Trouble::unsure(want));
        }
        assert_eq!(variables().expand("`x"), Trouble::wrong("a back-quote is not closed"));
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
            assert_eq!(first(text), want);
        }
    }
}
