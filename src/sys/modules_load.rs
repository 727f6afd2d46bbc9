//! The lists of modules to load at boot: modules-load.d(5), and /etc/modules of Debian.

use super::Root;
use super::moddir::{conf_files, config_dirs};
use super::regular_file::{self, CONFIG_LIMIT};
use crate::escape;
use crate::kmod::Warning;
use crate::kmod::conf::Config;
use crate::kmod::modules_load;
use crate::kmod::name::ModuleName;

/// The list of Debian, below the root.
pub(crate) const ETC_MODULES: &str = "etc/modules";
/// Name of the directories.
pub(crate) const DIRECTORY: &str = "modules-load.d";

/// Returns the modules to load besides those of devices, each with its place: those of `named`, which
/// are of the kernel command line, and those in the lists below `root`, in the order of the names of
/// the files. Their parameters are added to the options of `config`. If several directories have a
/// file of one name, the one in the directory of the highest precedence is read. A file that cannot be
/// read is reported. A module that is blacklisted is left out, as by
/// systemd-modules-load.service(8), and so is a name that stands there twice.
pub(crate) fn names(
    root: &Root,
    named: &[String],
    config: &mut Config,
    warnings: &mut Vec<Warning>,
) -> Vec<(String, Vec<u8>)> {
    let mut names = Vec::new();
    let mut add = |place: &str, name: &[u8], parameters: &[u8]| {
        let is_new = names.iter().all(|(_, other): &(String, Vec<u8>)| other != name);
        if is_new && !config.is_blacklisted(&ModuleName::new(name)) {
            config.add_options(name, parameters);
            names.push((place.to_owned(), name.to_vec()));
        }
    };
    for name in named {
        add("modules_load", name.as_bytes(), b"");
    }
    let mut paths = config_dirs(root, DIRECTORY);
    paths.push(root.join(ETC_MODULES));
    for path in conf_files(&paths, warnings) {
        let file = escape::path(&path);
        let text = regular_file::read_if_opened(&path, CONFIG_LIMIT).unwrap_or_else(|error| {
            warnings.push(Warning::new(&file, 0, format!("ignored: {}", error.cause)));
            None
        });
        for (name, parameters) in modules_load::parse(&text.unwrap_or_default()) {
            add(&file, name, parameters);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lists_are_read_in_the_order_of_their_names() {
        let scratch = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/modules-load.d/b.conf", "hidden\n"),
            ("run/modules-load.d/b.conf", "b1 x=1\n# c\nb2\n"),
            ("etc/modules-load.d/z.conf", "z\n"),
            ("etc/modules-load.d/y.txt", "no\n"),
            ("etc/modules", "m\n"),
            ("lib/modules-load.d/d.conf/x", "no\n"),
        ] {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut warnings = Vec::new();
        let root = Root::at(scratch.path());
        let listed = names(&root, &[], &mut Config::default(), &mut warnings);
        let names: Vec<_> = listed.iter().map(|(_, name)| name.as_slice()).collect();
        assert_eq!(names, [&b"b1"[..], b"b2", b"m", b"z"]);
        assert!(listed[0].0.ends_with("run/modules-load.d/b.conf"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }

    #[test]
    fn parameters_become_options_and_blacklisted_modules_are_left_out() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("etc")).unwrap();
        let list = "a-b x=1 y\nbad\nc\na-b x=1 y\n";
        fs::write(scratch.path().join(ETC_MODULES), list).unwrap();
        let mut config = Config::default();
        config.add_file("f", b"options a_b x=0\nblacklist bad\n", &mut Vec::new());
        let named = ["d", "bad"].map(str::to_owned);
        let names = names(&Root::at(scratch.path()), &named, &mut config, &mut Vec::new());
        let names: Vec<_> = names.iter().map(|(_, name)| name.as_slice()).collect();
        assert_eq!(names, [&b"d"[..], b"a-b", b"c"]);
        assert_eq!(config.options_of(&"a_b".into(), None), b"x=0 x=1 y");
        assert_eq!(config.options_of(&"c".into(), None), b"");
    }
}
