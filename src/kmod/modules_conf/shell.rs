//! Shell commands for the `install` and `remove` lines of modprobe.d.

use super::table::Table;

/// The command that loads a module.
pub(super) const MODPROBE: &str = "/sbin/modprobe";

/// Quotes a word for a shell if necessary.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '=' | '+')
    };
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Rewrites a command for the tools of today: they have no `-k`, which marked modules as autoclean,
/// and an insmod of a module name becomes modprobe.
pub(super) fn modernize(command: &str) -> String {
    let mut words: Vec<&str> = command.split(' ').collect();
    let mut at = 0;
    while let Some(word) = words.get(at).copied() {
        let is_insmod = matches!(word, "insmod" | "/sbin/insmod");
        at += 1;
        if (is_insmod || matches!(word, "modprobe" | MODPROBE)) && words.get(at) == Some(&"-k") {
            words.remove(at);
        }
        if is_insmod && words.get(at).copied().is_some_and(is_name) {
            words[at - 1] = MODPROBE;
        }
    }
    words.join(" ")
}

/// Returns whether a word is a module name and not a file.
fn is_name(word: &str) -> bool {
    let name = word.trim_end_matches(';');
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_valid)
}

/// Returns the `export` commands for the variables that `command` uses, to be put before it.
pub(super) fn exports(command: &str, variables: &Table<Option<String>>) -> String {
    let is_used = |name: &str| {
        let (plain, braced) = (format!("${name}"), format!("${{{name}"));
        let ends = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
        [plain, braced].iter().any(|usage| command.split(usage.as_str()).skip(1).any(ends))
    };
    let mut text = String::new();
    for (name, value) in variables.iter() {
        // A variable with an unknown value is not exported.
        if let Some(value) = value.as_ref().filter(|_| is_used(name)) {
            text += &["export ", name, "=", &quoted(value), "; "].concat();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        for (word, want) in [("a=b", "a=b"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(quoted(word), want);
        }
    }

    #[test]
    fn commands_are_rewritten_for_the_tools_of_today() {
        for (command, want) in [
            ("modprobe -k a", "modprobe a"),
            ("x; /sbin/modprobe -k a && modprobe -q b", "x; /sbin/modprobe a && modprobe -q b"),
            ("insmod tuner; insmod -k b", "/sbin/modprobe tuner; /sbin/modprobe b"),
            ("insmod /lib/a.o", "insmod /lib/a.o"),
            ("/sbin/insmod a.o x=1", "/sbin/insmod a.o x=1"),
            ("insmod -f a", "insmod -f a"),
            ("echo  insmod", "echo  insmod"),
            ("modprobe -k", "modprobe"),
        ] {
            assert_eq!(modernize(command), want);
        }
    }

    #[test]
    fn used_variables_are_exported() {
        let mut variables = Table::default();
        *variables.get_or_insert("A") = Some("1".to_owned());
        *variables.get_or_insert("AB") = Some("x y".to_owned());
        *variables.get_or_insert("ABC") = None;
        for (command, want) in [
            ("echo $A", "export A=1; "),
            ("echo ${AB}$A-", "export A=1; export AB='x y'; "),
            ("echo ${A:-2}", "export A=1; "),
            ("echo $ABC A", ""),
        ] {
            assert_eq!(exports(command, &variables), want, "{command}");
        }
    }
}
