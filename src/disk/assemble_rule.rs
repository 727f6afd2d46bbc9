//! Rules of /etc/coldplug/assemble.d: a program of the image assembles what coldplug does not know.
//!
//! ```text
//! on TYPE run PROGRAM [ARG…]
//! ```
//!
//! TYPE is the type of a superblock as blkid(8) names it, PROGRAM an absolute path. Quotes keep
//! spaces in a word; `#` begins a comment.

use super::config_words;
use crate::kmod::Warning;

/// Directory of the rules, in the image and in the real system.
pub const DIRECTORY: &str = "etc/coldplug/assemble.d";

/// Returns the names of those files of the directory that hold rules, in the order in which they
/// apply: backups of editors and of dpkg hold none.
#[must_use]
pub fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| is_rule_file(name));
    names.sort_unstable();
    names
}

/// Returns whether a path of an image, without leading slash, is a file of rules.
#[must_use]
pub fn is_rule_path(path: &str) -> bool {
    let name = path.strip_prefix(DIRECTORY).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| !name.contains('/') && is_rule_file(name))
}

fn is_rule_file(name: &str) -> bool {
    !name.starts_with('.') && !name.ends_with('~') && !name.contains(".dpkg-")
}

/// A program that runs when a device with a superblock of this type has appeared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssembleRule {
    /// Type of the superblock: `bcache`.
    pub kind: String,
    /// Path of the program.
    pub program: String,
    /// Arguments.
    pub args: Vec<String>,
    /// File and line of the rule, for messages.
    pub place: String,
}

/// Parses the rules of a file; a line that is not one is reported and ignored.
pub fn parse(file: &str, text: &str, warnings: &mut Vec<Warning>) -> Vec<AssembleRule> {
    let mut rules = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match rule(line) {
            Ok(None) => {}
            Ok(Some(rule)) => {
                rules.push(AssembleRule { place: format!("{file}:{}", number + 1), ..rule });
            }
            Err(reason) => {
                warnings.push(Warning::new(file, number + 1, format!("ignored: {reason}")))
            }
        }
    }
    rules
}

/// Parses a line; `None` if it is empty.
fn rule(line: &str) -> Result<Option<AssembleRule>, String> {
    let (words, is_closed) = config_words::split(line);
    if !is_closed {
        return Err("a quote is not closed".to_owned());
    }
    let (kind, program, args) = match &words[..] {
        [] => return Ok(None),
        [on, kind, run, program, args @ ..] if on == "on" && run == "run" => (kind, program, args),
        _ => return Err("not of the form 'on TYPE run PROGRAM [ARG…]'".to_owned()),
    };
    if super::superblock_kind(kind).is_none() {
        return Err(format!("unknown type of superblock '{kind}'"));
    }
    if !program.starts_with('/') {
        return Err(format!("'{program}' is not an absolute path"));
    }
    let (kind, program, args) = (kind.clone(), program.clone(), args.to_vec());
    Ok(Some(AssembleRule { kind, program, args, place: String::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_hold_no_rules() {
        let names = ["b", ".swp", "a.conf~", "a.conf", "a.dpkg-old", "a.dpkg-new"];
        assert_eq!(in_order(names.map(str::to_owned).to_vec()), ["a.conf", "b"]);
        for (path, expected) in [
            ("etc/coldplug/assemble.d/a", true),
            ("etc/coldplug/assemble.d/a~", false),
            ("etc/coldplug/assemble.d", false),
            ("etc/coldplug/assemble.d/sub/a", false),
            ("etc/coldplug/assemble.data", false),
        ] {
            assert_eq!(is_rule_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_line_is_a_rule_or_an_error_with_its_place() {
        let mut warnings = Vec::new();
        let text = "# pools\n\non zfs_member run /sbin/zpool import -N 'my pool' # all\n\
                    on bcache run /bin/register\non zfs run /x\non bcache run register\n\
                    on bcache\nrun /x on bcache\non bcache run '/x\n";
        let rules = parse("assemble.d/10", text, &mut warnings);
        let rule = |kind: &str, program: &str, args: &[&str], place: &str| AssembleRule {
            kind: kind.to_owned(),
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            place: place.to_owned(),
        };
        assert_eq!(
            rules,
            [
                rule("zfs_member", "/sbin/zpool", &["import", "-N", "my pool"], "assemble.d/10:3"),
                rule("bcache", "/bin/register", &[], "assemble.d/10:4")
            ]
        );
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "assemble.d/10 line 5: ignored: unknown type of superblock 'zfs'",
                "assemble.d/10 line 6: ignored: 'register' is not an absolute path",
                "assemble.d/10 line 7: ignored: not of the form 'on TYPE run PROGRAM [ARG…]'",
                "assemble.d/10 line 8: ignored: not of the form 'on TYPE run PROGRAM [ARG…]'",
                "assemble.d/10 line 9: ignored: a quote is not closed"
            ]
        );
    }
}
