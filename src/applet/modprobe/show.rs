//! Queries: the configuration, and the symbols of a module.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Modprobe, json};
use crate::applet::module_file::read_image;
use crate::applet::tool::{Fail, Level};
use crate::escape;
use crate::kmod::conf::Config;
use crate::kmod::elf::Sections;
use crate::kmod::name::ModuleName;
use crate::kmod::symbols::{self, SymbolVersion};
use crate::sys::{self, errno};

impl Modprobe<'_> {
    /// Prints every entry of the configuration and then the aliases of the indexes (`-c`), or one
    /// JSON object.
    ///
    /// # Errors
    /// None; the smaller programs refuse it.
    pub(super) fn show_config(&self) -> Result<(), Fail> {
        let config = &self.config;
        if self.options.json {
            self.tool.print(json::config(config, &self.catalog.all_aliases()) + "\n");
            return Ok(());
        }
        for name in &config.blacklist {
            self.line(&[b"blacklist", name]);
        }
        for mask in config.masks.iter() {
            self.line(&[b"mask", &mask.pattern]);
        }
        for name in config.rules.names() {
            self.line(&[b"rule", name.as_bytes()]);
        }
        self.show_entries(config);
        self.tool.print("\n# End of configuration files. Dumping indexes now:\n\n");
        for (pattern, module) in self.catalog.all_aliases() {
            self.line(&[b"alias", &pattern, &module]);
        }
        Ok(())
    }

    /// Prints the entries that name a module.
    fn show_entries(&self, config: &Config) {
        let lists = [
            ("install", &config.install),
            ("remove", &config.remove),
            ("options", &config.options),
        ];
        for (kind, list) in lists {
            if kind == "options" {
                config.aliases.iter().for_each(|a| self.line(&[b"alias", &a.pattern, &a.module]));
            }
            for entry in list {
                self.line(&[kind.as_bytes(), &entry.name, &entry.text]);
            }
        }
        for dep in &config.softdeps {
            let mut words = Vec::new();
            for (word, names) in [(&b"pre:"[..], &dep.pre), (b"post:", &dep.post)] {
                if !names.is_empty() {
                    words.push(word);
                    words.extend(names.iter().map(Vec::as_slice));
                }
            }
            // As in kmod, the space after the name is printed in any case.
            self.line(&[b"softdep", &dep.name, &words.join(&b' ')]);
        }
        for (name, names) in &config.weakdeps {
            self.line(&[b"weakdep", name, &names.join(&b' ')]);
        }
    }

    fn line(&self, words: &[&[u8]]) {
        self.tool.print([&*words.join(&b' '), b"\n"].concat());
    }

    /// Prints the symbol versions that a module was built against (`--show-modversions`).
    pub(super) fn show_modversions(&self, operand: &OsStr) -> Result<(), Fail> {
        self.show_symbols(operand, "modversions", symbols::versions)
    }

    /// Prints the symbols that a module exports (`--show-exports`).
    pub(super) fn show_exports(&self, operand: &OsStr) -> Result<(), Fail> {
        self.show_symbols(operand, "symbols", symbols::exports)
    }

    /// Prints one line per symbol, for every module that `operand`, a file or a name, stands for.
    fn show_symbols(&self, operand: &OsStr, what: &str, list: List) -> Result<(), Fail> {
        let (path, bytes) = (Path::new(operand), operand.as_bytes());
        let is_path = bytes.contains(&b'/') || ModuleName::from_path(bytes).is_some();
        let files = match is_path && path.is_file() {
            true => vec![(escape::path(operand).into_owned(), Some(path.to_owned()))],
            false => self.files(bytes)?,
        };
        for (module, path) in files {
            let text = path.ok_or(Errno::NOENT).and_then(|path| symbol_lines(&path, list));
            match text {
                Ok(text) => self.tool.print(text),
                Err(errno) => {
                    let text = format!("could not get {what} of {module}: {}", errno::text(errno));
                    return Err(self.tool.fail(Level::Fatal, &text));
                }
            }
        }
        Ok(())
    }

    /// Returns the modules that `name` stands for, each with its file; a built-in module has none.
    fn files(&self, name: &[u8]) -> Result<Vec<(String, Option<PathBuf>)>, Fail> {
        let found = self.catalog.lookup_all(&self.config, name);
        if found.is_empty() {
            return Err(self.not_found(name));
        }
        let dir = self.dir.path();
        let path = |module: &ModuleName| Some(dir.join(sys::path(&self.catalog.dep(module)?.path)));
        let files = found.into_iter().map(|f| {
            let path = path(&f.module).filter(|_| !f.is_builtin());
            (f.module.to_string(), path)
        });
        Ok(files.collect())
    }
}

type List = for<'a> fn(&Sections<'a>) -> Option<Vec<SymbolVersion<'a>>>;

fn symbol_lines(path: &Path, list: List) -> Result<Vec<u8>, Errno> {
    let image = read_image(path)?;
    let sections = Sections::parse(&image).map_err(errno::from_elf)?;
    let mut text = Vec::new();
    for symbol in list(&sections).ok_or(Errno::NODATA)? {
        let name = symbol.name.strip_prefix(b".").unwrap_or(symbol.name);
        text.extend(format!("0x{:08x}\t", symbol.crc).bytes());
        text.extend([name, b"\n"].concat());
    }
    Ok(text)
}
