//! The lists of the root that name modules to load at boot: modules-load.d(5), and modules(5) of
//! Debian. The image has the same files, and the modules.

use std::collections::BTreeSet;
use std::path::Path;

use super::Error;
use super::manifest::{Content, Manifest, Node};
use super::select::{Group, find_known};
use super::tree::Tree;
use crate::escape;
use crate::kmod::modules_load;
use crate::kmod::name::ModuleName;
use crate::sys::inside::inside;
use crate::sys::modules_load::{DIRECTORY, ETC_MODULES};
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::sysfs;

/// Parents of the directories, highest precedence first. /run is of the running system alone.
const PARENTS: [&str; 4] = ["etc", "usr/local/lib", "usr/lib", "lib"];

/// The lists, each with its path and text.
#[derive(Debug, Default)]
pub(super) struct ModuleLists(Vec<(String, Vec<u8>)>);

impl ModuleLists {
    /// Reads the lists of the directory `root`, except for those that one of the same name hides.
    ///
    /// # Errors
    /// A list exists and cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let (mut lists, mut seen) = (Self::default(), BTreeSet::new());
        for parent in PARENTS {
            let directory = format!("{parent}/{DIRECTORY}");
            let mut names = sysfs::entry_names(&inside(root, Path::new(&directory)));
            names.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
            names.sort_unstable();
            for name in names {
                let path = format!("{directory}/{name}");
                if seen.insert(name) {
                    lists.add(root, path)?;
                }
            }
        }
        // On Debian it is a list of modules-load.d too, by a link.
        let path = |list: &str| inside(root, Path::new(list));
        let etc_modules = path(ETC_MODULES);
        if lists.0.iter().all(|(list, _)| path(list) != etc_modules) {
            lists.add(root, ETC_MODULES.to_owned())?;
        }
        Ok(lists)
    }

    /// Adds a list, if it exists. One that is a link to /dev/null hides others, and is empty.
    fn add(&mut self, root: &Path, path: String) -> Result<(), Error> {
        let file = inside(root, Path::new(&path));
        if file.exists() {
            let text = regular_file::read_or_null(&file, CONFIG_LIMIT).map_err(Error::System)?;
            self.0.push((path, text));
        }
        Ok(())
    }

    /// Adds the files to an image, except for those that it has.
    ///
    /// # Errors
    /// A parent of a file is not a directory.
    pub(super) fn add_to(&self, manifest: &mut Manifest) -> Result<(), Error> {
        for (path, text) in &self.0 {
            if manifest.find(path).is_none() {
                let node = Node::of_root(0o644, Content::Bytes(text.clone()));
                manifest.add(path, node.because("list of modules to load"))?;
            }
        }
        Ok(())
    }

    /// Returns the modules of each list. A name that no module of the kernel has is noted in
    /// `notices`; a module that is blacklisted is not loaded by a list.
    pub(super) fn groups(&self, tree: &Tree, notices: &mut Vec<String>) -> Vec<Group> {
        let mut groups = Vec::new();
        for (path, text) in &self.0 {
            let mut group = Group { word: path.clone(), modules: Vec::new(), is_specific: true };
            for (name, _) in modules_load::parse(text) {
                if tree.config.is_blacklisted(&ModuleName::new(name)) {
                    continue;
                }
                match find_known(tree, name) {
                    Some(found) => group.modules.extend(found),
                    None => {
                        let name = escape::bytes(name);
                        notices.push(format!("{path}: no module or alias '{name}'"));
                    }
                }
            }
            groups.push(group);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lists_are_read_by_precedence() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for (path, text) in [
            ("etc/modules-load.d/b.conf", "b\n"),
            ("etc/modules", "m x=1\n"),
            ("usr/lib/modules-load.d/a.conf", "a\n"),
            ("usr/lib/modules-load.d/b.conf", "hidden\n"),
            ("usr/lib/modules-load.d/c.txt", "no\n"),
            ("usr/lib/modules-load.d/masked.conf", "hidden\n"),
            ("run/modules-load.d/r.conf", "no\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
        let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).unwrap();
        let modules_conf = "etc/modules-load.d/modules.conf";
        fs::create_dir(root.join("dev")).unwrap();
        link("/dev/null", "etc/modules-load.d/masked.conf");
        link("../modules", modules_conf);
        for (is_linked, last) in [(true, None), (false, Some(("etc/modules", &b"m x=1\n"[..])))] {
            if !is_linked {
                fs::remove_file(root.join(modules_conf)).unwrap();
            }
            let lists = ModuleLists::read(root).unwrap();
            let lists: Vec<_> = lists.0.iter().map(|(path, text)| (&**path, &**text)).collect();
            let mut want = vec![("etc/modules-load.d/b.conf", &b"b\n"[..])];
            want.extend(is_linked.then_some((modules_conf, &b"m x=1\n"[..])));
            want.push(("usr/lib/modules-load.d/a.conf", b"a\n"));
            want.extend(last);
            assert_eq!(lists, want, "{is_linked}");
        }
    }
}
