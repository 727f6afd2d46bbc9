//! Detection of the language of a file. Keywords of both languages (alias, options, install,
//! remove) decide nothing; a keyword that only modprobe.d has excludes modules.conf.

use super::lines::lines;
use super::statement::{self, SplitLine};
use super::words::split_word;
use crate::kmod::conf;

/// Returns whether `text` is a modules.conf(5) and not a modprobe.d(5): it has lines that only
/// modules.conf has, and none that only modprobe.d has. The two languages join lines differently,
/// so a line must be a sign in both.
pub fn is_modules_conf(text: &[u8]) -> bool {
    let old: Vec<String> = lines(text).into_iter().map(|line| line.text).collect();
    let new: Vec<String> = conf::logical_lines(text)
        .into_iter()
        .map(|(_, line)| String::from_utf8_lossy(&line).into_owned())
        .collect();
    let both = [old, new];
    let is_modprobe_d = |line: &String| statement::is_of_modprobe_d(SplitLine::new(line).keyword);
    both.iter().all(|lines| lines.iter().any(|line| is_sign(&SplitLine::new(line))))
        && !both.iter().flatten().any(is_modprobe_d)
}

/// Returns whether only modules.conf(5) has such a line. `include` is not a sign, because older
/// modprobe.conf files had it, too.
fn is_sign(line: &SplitLine<'_>) -> bool {
    let SplitLine { add, keyword, assigns, rest } = *line;
    if statement::no_equivalent(line).is_some() {
        return true;
    }
    match keyword {
        "if" | "else" | "elseif" | "endif" | "define" => !assigns && !add,
        "above" | "below" | "probe" | "probeall" => !assigns && !rest.is_empty(),
        "pre-install" | "post-install" | "pre-remove" | "post-remove" => !rest.is_empty(),
        "options" => add || split_word(rest).0 == "-k",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_detected() {
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
            // Lines that kmod and modutils join differently.
            ("install a b \\\nif x", false),
            ("install a b \\ \nif x; then y; fi", false),
            ("# x \\\nif x", false),
        ] {
            assert_eq!(is_modules_conf(text.as_bytes()), want, "{text:?}");
        }
    }
}
