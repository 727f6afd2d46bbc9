//! The words of `options` as module parameters.

use crate::kmod::modules_conf::statement::is_parameter;

/// Splits words into the `KEY=VALUE` words, in the form of modprobe.d, and the rest: `-o` with its
/// name, and everything from the first word that is not a parameter.
pub(super) fn split(words: &[String]) -> (String, Option<String>) {
    let mut parameters = Vec::new();
    let mut rest = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-o" => rest.extend(std::iter::once(word).chain(words.next()).cloned()),
            word if is_parameter(word) => parameters.push(quoted(word)),
            _ => {
                rest.push(word.clone());
                rest.extend(words.by_ref().cloned());
            }
        }
    }
    let rest = (!rest.is_empty()).then(|| rest.join(" "));
    (parameters.join(" "), rest)
}

/// Quotes the value of a parameter if it has spaces: `k=a b` → `k="a b"`.
fn quoted(word: &str) -> String {
    match word.split_once('=') {
        Some((key, value))
            if value.contains(|c: char| c.is_ascii_whitespace()) && !value.contains('"') =>
        {
            [key, "=\"", value, "\""].concat()
        }
        _ => word.to_owned(),
    }
}
