//! What an `if` decides.
//!
//! ```text
//! ! CONDITION
//! -f FILE             the file is there; also -e
//! -k                  the kernel has called, and wants modules that go by themselves: not known here
//! WORD == WORD        as texts; also =, !=, <, <=, >, >=
//! -n WORD == WORD     as numbers: what strtol(3) makes of the start
//! WORD                neither empty nor 0 nor false
//! ```

use super::words::{Variables, first};
use super::{Outside, Trouble};
use std::cmp::Ordering;

/// Whether the condition `text` holds.
pub(super) fn holds(
    text: &str,
    variables: &Variables,
    outside: &dyn Outside,
) -> Result<bool, Trouble> {
    let mut negated = false;
    let mut text = text;
    while let Some(rest) = text.strip_prefix('!').filter(|rest| !rest.starts_with('=')) {
        negated = !negated;
        text = rest.trim_ascii_start();
    }
    Ok(plain(text, variables, outside)? != negated)
}

fn plain(text: &str, variables: &Variables, outside: &dyn Outside) -> Result<bool, Trouble> {
    let (word, rest) = first(text);
    match word {
        "" => Trouble::wrong("a condition is missing"),
        "-k" => Trouble::unsure("'-k' hangs on who calls"),
        "-f" | "-e" => {
            let file = variables.expand_first(rest)?;
            match file.contains(['*', '?', '[']) {
                _ if file.is_empty() => Trouble::wrong(format!("'{word}' needs a file")),
                true => Trouble::unsure(format!("'{file}' is a pattern of files")),
                false => Ok(outside.exists(&file)),
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
) -> Result<bool, Trouble> {
    let (left, rest) = first(text);
    let (operator, right) = first(rest);
    let holds: fn(Ordering) -> bool = match operator {
        "==" | "=" => Ordering::is_eq,
        "!=" => Ordering::is_ne,
        "<" => Ordering::is_lt,
        "<=" => Ordering::is_le,
        ">" => Ordering::is_gt,
        ">=" => Ordering::is_ge,
        other => return Trouble::wrong(format!("'{other}' does not compare")),
    };
    let (left, right) = (variables.expand_first(left)?, variables.expand_first(right)?);
    Ok(holds(order(&left, &right)))
}

/// strtol(3) with base 0: `0x1f`, `017`, `17`; what follows is passed over, and no number is 0.
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

    fn decide(text: &str) -> String {
        let mut variables = Variables { release: "2.4.18".into(), ..Variables::default() };
        for (name, value) in [("ON", "1"), ("OFF", "false"), ("NONE", ""), ("V", "0x10")] {
            *variables.defined.of(name) = Some(value.into());
        }
        let machine = Machine([("/etc/a", "")].into());
        match holds(text, &variables, &machine) {
            Ok(holds) => holds.to_string(),
            Err(Trouble::Wrong(why)) => format!("wrong: {why}"),
            Err(Trouble::Unsure(why)) => format!("unsure: {why}"),
        }
    }

    #[test]
    fn conditions_are_decided() {
        for (text, want) in [
            ("-f /etc/a", "true"),
            ("-e /etc/b", "false"),
            ("! -f /etc/b", "true"),
            ("!-f /etc/a", "false"),
            ("! ! -f /etc/a", "true"),
            ("-f /etc/`kernelversion`", "false"),
            ("-f /etc/*", "unsure: '/etc/*' is a pattern of files"),
            ("-f", "wrong: '-f' needs a file"),
            ("! -k", "unsure: '-k' hangs on who calls"),
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
            ("`test -d /x`", "unsure: the command `test -d /x` is not run"),
            ("a ~ b", "wrong: '~' does not compare"),
            ("", "wrong: a condition is missing"),
            ("!", "wrong: a condition is missing"),
        ] {
            assert_eq!(decide(text), want, "{text}");
        }
    }
}
