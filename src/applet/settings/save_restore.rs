//! Saves the settings of a module before it is removed, and restores them after it is loaded.

use crate::escape;
use crate::kmod::name::ModuleName;
use crate::sys::{Root, settings, sysfs};

/// Value that a string parameter reads as until it is set. Writing it back would set that very
/// string.
const UNSET: &[u8] = b"(null)";

/// Saves the settings that the configuration names for `module`, if it is loaded. Returns the
/// messages about what failed.
pub(in crate::applet) fn save(root: &Root, module: &ModuleName) -> Vec<String> {
    if !sysfs::has_module(root, module) {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let config = settings::config(root, &mut warnings);
    let mut problems: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let mut values = Vec::new();
    for path in settings::paths(root, &config, module) {
        match settings::value(root, &path) {
            Ok(value) if value == UNSET => {}
            Ok(value) => values.push((path, value)),
            Err(error) => problems.push(format!("{module}: could not save a setting: {error}")),
        }
    }
    if !values.is_empty()
        && let Err(error) = settings::save(root, module, &values)
    {
        problems.push(format!("{module}: could not save the settings: {error}"));
    }
    problems
}

/// Restores the saved settings of `module`, which has just been loaded with the parameters `given`.
/// Settings that the configuration no longer names, and parameters in `given`, stay as they are.
/// Returns the messages about what failed.
pub(in crate::applet) fn restore(root: &Root, module: &ModuleName, given: &[u8]) -> Vec<String> {
    let saved = match settings::read_saved(root, module) {
        Ok(saved) if saved.is_empty() => return Vec::new(),
        Ok(saved) => saved,
        Err(error) => return vec![format!("{module}: could not restore the settings: {error}")],
    };
    let mut warnings = Vec::new();
    let config = settings::config(root, &mut warnings);
    let mut problems: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let paths = settings::paths(root, &config, module);
    let head = format!("/sys/module/{module}/parameters/");
    let is_given = |path: &str| path.strip_prefix(&head).is_some_and(|name| sets(given, name));
    for (path, value) in saved.iter().filter(|(path, _)| paths.contains(path) && !is_given(path)) {
        if settings::value(root, path).as_ref() == Ok(value) {
            continue;
        }
        if let Err(error) = settings::set_value(root, path, value) {
            problems
                .push(format!("{module}: could not restore '{}': {error}", escape::bytes(value)));
        }
    }
    problems
}

/// Returns whether `given` sets the parameter `name`. The kernel treats `-` and `_` in it alike.
fn sets(given: &[u8], name: &str) -> bool {
    let plain = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    given.split(u8::is_ascii_whitespace).any(|word| {
        let key = word.split(|byte| *byte == b'=').next().unwrap_or(word);
        key.iter().map(plain).eq(name.as_bytes().iter().map(plain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Returns a machine on which the module `m` has the parameters a, b (read-only) and c.
    fn machine() -> (tempfile::TempDir, Root) {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        for (path, text) in [
            ("etc/coldplug/settings.d/a.conf", "settings m * /proc/sys/x\n"),
            ("sys/module/m/parameters/a", "1\n"),
            ("sys/module/m/parameters/b", "2\n"),
            ("sys/module/m/parameters/c", "(null)\n"),
            ("proc/sys/x", "3\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        fs::set_permissions(root.join("sys/module/m/parameters/b"), read_only).unwrap();
        (scratch, root)
    }

    #[test]
    fn saved_settings_are_restored() {
        let (_scratch, root) = machine();
        let m = ModuleName::new("m");
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
        assert!(restore(&root, &m, b"").is_empty(), "nothing is saved yet");
        assert!(save(&root, &m).is_empty());
        let saved = read("var/lib/coldplug/settings/m");
        assert_eq!(saved, "/sys/module/m/parameters/a 1\n/proc/sys/x 3\n");
        for (given, a) in [("", "1\n"), ("b=1 a=9", "0\n"), ("A=1 aa=1", "1\n")] {
            for path in ["sys/module/m/parameters/a", "proc/sys/x"] {
                fs::write(root.join(path), "0\n").unwrap();
            }
            assert!(restore(&root, &m, given.as_bytes()).is_empty());
            assert_eq!(
                (read("sys/module/m/parameters/a").as_str(), read("proc/sys/x").as_str()),
                (a, "3\n"),
                "{given}"
            );
        }
        // A setting that the configuration no longer names stays as it is.
        fs::write(root.join("etc/coldplug/settings.d/a.conf"), "settings m a\n").unwrap();
        fs::write(root.join("proc/sys/x"), "0\n").unwrap();
        assert!(restore(&root, &m, b"").is_empty());
        assert_eq!(read("proc/sys/x"), "0\n");
    }

    #[test]
    fn values_in_any_encoding_are_restored() {
        let (_scratch, root) = machine();
        let m = ModuleName::new("m");
        fs::write(root.join("proc/sys/x"), b"M\xf6b\n").unwrap();
        assert!(save(&root, &m).is_empty());
        fs::write(root.join("proc/sys/x"), "0\n").unwrap();
        assert!(restore(&root, &m, b"id=\xff").is_empty());
        assert_eq!(fs::read(root.join("proc/sys/x")).unwrap(), b"M\xf6b\n");
    }

    #[test]
    fn one_failure_does_not_stop_the_rest() {
        let (_scratch, root) = machine();
        let m = ModuleName::new("m");
        assert!(save(&root, &m).is_empty());
        fs::remove_file(root.join("sys/module/m/parameters/a")).unwrap();
        fs::create_dir(root.join("sys/module/m/parameters/a")).unwrap();
        fs::write(root.join("proc/sys/x"), "0\n").unwrap();
        let problems = restore(&root, &m, b"");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("m: could not restore '1': open "), "{problems:?}");
        assert_eq!(fs::read_to_string(root.join("proc/sys/x")).unwrap(), "3\n");
        fs::remove_file(root.join("proc/sys/x")).unwrap();
        let problems = save(&root, &m);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
