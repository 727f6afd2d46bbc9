//! Which of the two languages a file is in. What both know (alias, options, install, remove) says nothing; a word
//! that only modprobe.d knows settles it.

use super::lines::lines;
use super::statement::{self, Sentence};
use super::words::first;
use crate::kmod::conf;

/// Whether `text` is a modules.conf(5) and no modprobe.d(5): it has lines that only the first knows and none
/// that only the second does. The two join lines differently, so what is a line in one alone is no sign.
pub fn is_old(text: &[u8]) -> bool {
    let old: Vec<String> = lines(text).into_iter().map(|line| line.text).collect();
    let new: Vec<String> = conf::logical_lines(text)
        .into_iter()
        .map(|(_, line)| String::from_utf8_lossy(&line).into_owned())
        .collect();
    let both = [old, new];
    both.iter().all(|lines| lines.iter().any(|line| is_sign(&Sentence::new(line))))
        && !both.iter().flatten().any(|line| statement::is_of_modprobe_d(Sentence::new(line).word))
}

/// Whether only modules.conf(5) knows such a line. `include` is none: older modprobe.conf files had it too.
fn is_sign(sentence: &Sentence<'_>) -> bool {
    let Sentence { add, word, assigns, rest } = *sentence;
    if statement::nothing(sentence).is_some() {
        return true;
    }
    match word {
        "if" | "else" | "elseif" | "endif" | "define" => !assigns && !add,
        "above" | "below" | "probe" | "probeall" => !assigns && !rest.is_empty(),
        "pre-install" | "post-install" | "pre-remove" | "post-remove" => !rest.is_empty(),
        "options" => add || first(rest).0 == "-k",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_languages_are_told_apart() {
        for (text, want) in [
            ("alias eth0 off\noptions sb io=1\ninstall a b\nremove a b\n# above a b", false),
            ("", false),
            ("include /etc/x\nalias a b", false),
            ("above a b", true),
            ("alias a b\n keep", true),
            ("path[net]=/x", true),
            ("path=/x", true),
            ("path /x", false),
            ("depfile=/x", true),
            ("add options a b=1", true),
            ("options -k\ta b=1", true),
            ("post-install a b", true),
            ("if -f /x\nendif", true),
            ("probeall", false),
            ("blacklist a\nabove a b", false),
            ("softdep a pre: b\nif x", false),
            ("mask a\nkeep", false),
            // One line to kmod, and one to modutils.
            ("install a b \\\nif x", false),
            ("install a b \\ \nif x; then y; fi", false),
            ("# x \\\nif x", false),
        ] {
            assert_eq!(is_old(text.as_bytes()), want, "{text:?}");
        }
    }
}
