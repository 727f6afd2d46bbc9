//! `modinfo MODULE|FILE...`: shows information about modules.

mod info;
mod json;
mod options;
mod print;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::message::Error;
use super::paths::{absolute, module_dir};
use super::tool::{Fail, Level, Tool};
use crate::escape;
use crate::kmod::alias;
use crate::kmod::catalog::{Catalog, IndexFiles, Match};
use crate::kmod::conf::Config;
use crate::kmod::modinfo;
use crate::kmod::name::ModuleName;
use crate::sys::moddir::ModuleDir;
use crate::sys::{self, errno};
use info::Info;
pub(super) use options::USAGE;
use options::{Form, Options, Show};
use print::Printer;

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let tool = Tool::kmod(args, Level::Error);
    let options = Options::parse(&tool, args)?;
    if options.operands.is_empty() {
        return Err(tool.error("missing module or filename.").into());
    }
    let dir = ModuleDir::at(module_dir(options.base.as_ref(), options.release.as_ref()));
    let reader = Reader::new(&tool, dir, options.show);
    // A failure does not stop the loop: all operands are tried.
    let failed = options.operands.iter().filter(|o| reader.operand(o, options.by_name).is_err());
    let failed = failed.count();
    if reader.printer.show.form == Form::Json {
        tool.print(format!("{}\n", Value::Array(reader.printer.objects.take())));
    }
    Error::unless(failed == 0)
}

/// Finds the modules of each operand and prints them.
struct Reader<'a> {
    tool: &'a Tool,
    dir: ModuleDir,
    catalog: Catalog,
    /// Empty: modinfo reads no configuration.
    config: Config,
    printer: Printer<'a>,
}

impl<'a> Reader<'a> {
    fn new(tool: &'a Tool, dir: ModuleDir, show: Show) -> Self {
        let catalog = Catalog::new(Arc::new(dir.clone()));
        let printer = Printer { tool, show, objects: RefCell::default() };
        Self { tool, dir, catalog, config: Config::default(), printer }
    }
}

impl Reader<'_> {
    /// Prints every module that an operand stands for.
    fn operand(&self, operand: &OsStr, by_name: bool) -> Result<(), Fail> {
        let (bytes, word) = (operand.as_bytes(), escape::path(operand));
        if by_name {
            let module = ModuleName::new(bytes);
            let found = self.catalog.lookup_name(&module);
            return match found.is_empty() {
                true => Err(self.not_found(&format!("Module name {word} not found."))),
                false => found.iter().try_for_each(|f| self.found(f)),
            };
        }
        let path = Path::new(operand);
        if ModuleName::from_path(bytes).is_some() && path.is_file() {
            return self.file(&ModuleName::new(bytes), &absolute(path));
        }
        let found = self.catalog.lookup_all(&self.config, bytes);
        match alias::normalize(bytes) {
            Err(_) => Err(self.tool.error(&format!("Module alias {word} not found."))),
            Ok(_) if found.is_empty() => Err(self.not_found(&format!("Module {word} not found."))),
            Ok(_) => found.iter().try_for_each(|f| self.found(f)),
        }
    }

    /// Prints that a module was not found, and whether there is nothing to find it in.
    fn not_found(&self, text: &str) -> Fail {
        let fail = self.tool.error(text);
        self.tool.hint_at_depmod(&self.dir);
        fail
    }

    fn found(&self, found: &Match) -> Result<(), Fail> {
        let line = self.catalog.dep(&found.module).filter(|_| !found.is_builtin());
        match line {
            Some(line) => self.file(&found.module, &self.dir.path().join(sys::path(&line.path))),
            None => self.builtin(&found.module),
        }
    }

    fn file(&self, module: &ModuleName, path: &Path) -> Result<(), Fail> {
        let filename = path.as_os_str().as_bytes();
        let printer = &self.printer;
        if printer.show.form == Form::Columns {
            if printer.show.names(b"filename") {
                printer.value(filename);
                return Ok(());
            }
            if printer.show.field.is_none() {
                printer.pair("filename", filename);
            }
        }
        let info = info::read(path).map_err(|errno| {
            let reason = errno::text(errno);
            self.tool.error(&format!("could not get modinfo from '{module}': {reason}"))
        })?;
        printer.module(module, Some(filename), info);
        Ok(())
    }

    fn builtin(&self, module: &ModuleName) -> Result<(), Fail> {
        let show = &self.printer.show;
        match show.form {
            Form::Columns if show.field.is_none() => {
                self.printer.pair("name", module.as_bytes());
                self.printer.pair("filename", b"(builtin)");
            }
            Form::Columns if show.names(b"filename") => self.printer.value(b"(builtin)"),
            Form::Columns if show.names(b"name") => self.printer.value(module.as_bytes()),
            _ => {}
        }
        let file = self.dir.open("modules.builtin.modinfo").ok().flatten();
        let strings =
            file.iter().flat_map(|f| modinfo::builtin_strings((**f).as_ref(), module.as_bytes()));
        let strings = strings.map(<[u8]>::to_vec).collect();
        self.printer.module(module, None, Info { strings, extra: Vec::new() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::kmod::elf::tests::LAYOUTS;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::fs;

    /// Returns what is printed for the module m and the built-in one.
    fn printed(show: Show) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let info = b"license=GPL\0parm=p:text\0parmtype=p:int\0alias=a\0Alias=b\0";
        let note = [&[4, 0, 0, 0, 22, 0, 0, 0, 3, 0, 0, 0][..], b"GNU\0", &[10; 24]].concat();
        let image = LAYOUTS[0].elf(&[(".modinfo", info), (".note.gnu.build-id", &note)]);
        let put = |name: &str, bytes: &[u8]| fs::write(scratch.path().join(name), bytes).unwrap();
        put("m.ko", &image);
        put("modules.dep", b"m.ko:\n");
        put("modules.builtin", b"kernel/in-side.ko\n");
        put("modules.builtin.modinfo", b"in_side.license=MIT\0");
        let sink = Sink::default();
        let tool = Tool::for_test(Root::default(), Arc::new(Kernel), &sink);
        let dir = ModuleDir::at(scratch.path());
        let reader = Reader::new(&tool, dir, show);
        for name in ["m", "in-side"] {
            assert_eq!(reader.operand(OsStr::new(name), false), Ok(()));
        }
        let objects = Value::Array(reader.printer.objects.take());
        drop(tool);
        let text = sink.take().replace('\0', "|");
        let text = if objects == serde_json::json!([]) { text } else { objects.to_string() };
        text.replace(scratch.path().to_str().unwrap(), "")
    }

    fn show(field: &str, end: u8, form: Form, ignore_case: bool) -> Show {
        let field = Some(field.into()).filter(|f: &OsString| !f.is_empty());
        Show { field, end, form, ignore_case }
    }

    #[test]
    fn key_value_prints_every_string() {
        let id = ["0A"; 22].join(":");
        let all = format!(
            "filename=/m.ko|license=GPL|parm=p:text|parmtype=p:int|alias=a|Alias=b|build-id={id}|\
             filename=(builtin)|license=MIT|name=in_side|"
        );
        for (field, want) in [
            ("", all.as_str()),
            ("license", "license=GPL|license=MIT|"),
            ("filename", "filename=/m.ko|filename=(builtin)|"),
            ("parm", "parm=p:text|"),
        ] {
            assert_eq!(printed(show(field, 0, Form::KeyValue, false)), want, "{field}");
        }
    }

    #[test]
    fn case_is_ignored_on_request() {
        for (field, ignore_case, want) in [
            ("License", false, ""),
            ("License", true, "GPL|MIT|"),
            ("alias", false, "a|"),
            ("ALIAS", true, "a|b|"),
            ("FileName", true, "/m.ko|(builtin)|"),
            ("PARM", true, "p:text (int)|"),
            ("NAME", true, "in_side|"),
        ] {
            assert_eq!(printed(show(field, 0, Form::Columns, ignore_case)), want, "{field}");
        }
    }

    #[test]
    fn json_holds_the_selected_fields() {
        let objects: Value =
            serde_json::from_str(&printed(show("", 0, Form::Json, false))).unwrap();
        assert_eq!(objects[0]["fields"]["build-id"][0], ["0A"; 22].join(":"));
        assert_eq!(objects[0]["parameters"][0]["type"], "int");
        assert_eq!(objects[1]["fields"]["name"][0], "in_side");
        assert_eq!(
            printed(show("license", 0, Form::Json, false)),
            "[{\"builtin\":false,\"fields\":{\"license\":[\"GPL\"]},\"module\":\"m\"},\
             {\"builtin\":true,\"fields\":{\"license\":[\"MIT\"]},\"module\":\"in_side\"}]"
        );
    }
}
