//! Commands for the shell, of which modprobe.d has some too.

use super::table::Table;

/// The command that loads a module.
pub(super) const MODPROBE: &str = "/sbin/modprobe";

/// A word for the shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '=' | '+')
    };
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// A command of that time for the tools of today: `-k`, which marked modules that may go by themselves, is gone, and
/// an insmod that is given a name is modprobe.
pub(super) fn today(command: &str) -> String {
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

/// Whether a word names a module, and no file.
fn is_name(word: &str) -> bool {
    let name = word.trim_end_matches(';');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fits)
}

/// What was defined and is used in `command`, as the start of a line with it.
pub(super) fn exports(command: &str, defined: &Table<Option<String>>) -> String {
    let used = |name: &str| {
        let (plain, braced) = (format!("${name}"), format!("${{{name}"));
        let ends = |rest: &str| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric());
        [plain, braced].iter().any(|use_of| command.split(use_of.as_str()).skip(1).any(ends))
    };
    let mut text = String::new();
    for (name, value) in defined.iter() {
        // One that hangs on what is not known is not known here either.
        if let Some(value) = value.as_ref().filter(|_| used(name)) {
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
    fn commands_are_for_the_tools_of_today() {
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
            assert_eq!(today(command), want);
        }
    }

    #[test]
    fn what_is_used_is_exported() {
        let mut defined = Table::default();
        *defined.of("A") = Some("1".to_owned());
        *defined.of("AB") = Some("x y".to_owned());
        *defined.of("ABC") = None;
        for (command, want) in [
            ("echo $A", "export A=1; "),
            ("echo ${AB}$A-", "export A=1; export AB='x y'; "),
            ("echo ${A:-2}", "export A=1; "),
            ("echo $ABC A", ""),
        ] {
            assert_eq!(exports(command, &defined), want, "{command}");
        }
    }
}
