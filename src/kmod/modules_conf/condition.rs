//! The conditions of `if`.
//!
//! ```text
//! ! CONDITION
//! -f FILE             the file exists; also -e
//! -k                  the kernel has called modprobe, and wants autoclean modules: undecided
//! WORD == WORD        comparison of texts; also =, !=, <, <=, >, >=
//! -n WORD == WORD     comparison of numbers, as strtol(3) parses their start
//! WORD                true unless it is empty, 0 or false
//! ```

use std::cmp::Ordering;

use super::Environment;
use super::error::{Invalid, LineError, Undecided, invalid, undecided};
use super::words::{Variables, split_word};

/// Evaluates the condition `text`.
pub(super) fn holds(
    text: &str,
    variables: &Variables,
    environment: &dyn Environment,
) -> Result<bool, LineError> {
    let mut negated = false;
    let mut text = text;
    while let Some(rest) = text.strip_prefix('!').filter(|rest| !rest.starts_with('=')) {
        negated = !negated;
        text = rest.trim_ascii_start();
    }
    Ok(holds_plain(text, variables, environment)? != negated)
}

/// Evaluates a condition without `!`.
fn holds_plain(
    text: &str,
    variables: &Variables,
    environment: &dyn Environment,
) -> Result<bool, LineError> {
    let (word, rest) = split_word(text);
    match word {
        "" => invalid(Invalid::MissingCondition),
        "-k" => undecided(Undecided::Caller),
        "-f" | "-e" => {
            let file = variables.expand_first(rest)?;
            match file.contains(['*', '?', '[']) {
                _ if file.is_empty() => invalid(Invalid::MissingFile(word.to_owned())),
                true => undecided(Undecided::Pattern(file)),
                false => Ok(environment.exists(&file)),
            }
        }
        "-n" => compare(rest, variables, |a, b| number(a).cmp(&number(b))),
        _ if rest.is_empty() => Ok(!matches!(&*variables.expand_first(word)?, "" | "0" | "false")),
        _ => compare(text, variables, |a, b| a.cmp(b)),
    }
}

fn compare(
    text: &str,
    variables: &Variables,
    order: impl Fn(&str, &str) -> Ordering,
) -> Result<bool, LineError> {
    let (left, rest) = split_word(text);
    let (operator, right) = split_word(rest);
    let holds: fn(Ordering) -> bool = match operator {
        "==" | "=" => Ordering::is_eq,
        "!=" => Ordering::is_ne,
        "<" => Ordering::is_lt,
        "<=" => Ordering::is_le,
        ">" => Ordering::is_gt,
        ">=" => Ordering::is_ge,
        other => return invalid(Invalid::BadOperator(other.to_owned())),
    };
    let (left, right) = (variables.expand_first(left)?, variables.expand_first(right)?);
    Ok(holds(order(&left, &right)))
}

/// Parses a number like strtol(3) with base 0: `0x1f`, `017`, `17`. The rest of the text is
/// ignored, and a text without digits is 0.
fn number(text: &str) -> i64 {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16, hex),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let values = digits.chars().map_while(|c| c.to_digit(base));
    sign * values.fold(0_i64, |n, d| n.saturating_mul(i64::from(base)).saturating_add(i64::from(d)))
}

#[cfg(test)]
mod tests {
    use super::super::Machine;
    use super::*;

    fn evaluate(text: &str) -> String {
        let mut variables = Variables { release: "2.4.18".into(), ..Variables::default() };
        for (name, value) in [("ON", "1"), ("OFF", "false"), ("NONE", ""), ("V", "0x10")] {
            *variables.defined.get_or_insert(name) = Some(value.into());
        }
        let machine = Machine([("/etc/a", "")].into());
        match holds(text, &variables, &machine) {
            Ok(holds) => holds.to_string(),
            Err(LineError::Invalid(error)) => format!("invalid: {error}"),
            Err(LineError::Undecided(reason)) => format!("undecided: {reason}"),
        }
    }

    #[test]
    fn conditions_are_evaluated() {
        for (text, want) in [
            ("-f /etc/a", "true"),
            ("-e /etc/b", "false"),
            ("! -f /etc/b", "true"),
            ("!-f /etc/a", "false"),
            ("! ! -f /etc/a", "true"),
            ("-f /etc/`kernelversion`", "false"),
            ("-f /etc/*", "undecided: '/etc/*' is a pattern of files"),
            ("-f", "invalid: '-f' needs a file"),
            ("! -k", "undecided: '-k' depends on the caller of modprobe"),
            ("`uname -r` == 2.4.18", "true"),
            ("`kernelversion` = \"2.4\"", "true"),
            ("`uname -r` >= 2.4.2", "false"),
            ("a < b", "true"),
            ("a > b", "false"),
            ("a <= a", "true"),
            ("a != a", "false"),
            ("-n 9 < 10", "true"),
            ("-n $V == 16", "true"),
            ("-n 010 == 8", "true"),
            ("-n -2 > x", "false"),
            ("-n 99999999999999999999 > 1", "true"),
            ("$ON", "true"),
            ("$OFF", "false"),
            ("$NONE", "false"),
            ("! $OFF", "true"),
            ("0", "false"),
            ("`test -d /x`", "undecided: command `test -d /x` is not run"),
            ("a ~ b", "invalid: '~' is not a comparison operator"),
            ("", "invalid: missing condition"),
            ("!", "invalid: missing condition"),
        ] {
            assert_eq!(evaluate(text), want, "{text}");
        }
    }
}
