//! Words of a line of configuration.

/// Splits a line into words, and returns whether each quote is closed. Quotes, single or double,
/// keep spaces; one that is open ends with the line. `#` begins a comment at the start of a word.
pub(super) fn split(line: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (words, quote.is_none())
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_keep_spaces_and_comments_end_a_line() {
        for (line, want, closed) in [
            ("a  b\tc", &["a", "b", "c"][..], true),
            ("  'a b'c \"d'e\" # f", &["a bc", "d'e"], true),
            ("a#b '#' ''", &["a#b", "#", ""], true),
            ("a 'b c", &["a", "b c"], false),
            ("# a", &[], true),
            ("", &[], true),
        ] {
            let (words, is_closed) = super::split(line);
            assert_eq!(
                (&*words, is_closed),
                (&want.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..], closed),
                "{line}"
            );
        }
    }
}
