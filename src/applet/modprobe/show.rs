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
            let side = |word: &str, names: &[String]| match names {
                [] => String::new(),
                names => format!(" {word} {}", names.join(" ")),
            };
            let sides = side("pre:", &dep.pre) + &side("post:", &dep.post);
            // kmod ends each list with a blank.
            self.tool.print(format!("softdep {}{sides} \n", dep.name));
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
