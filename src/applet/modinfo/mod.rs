//! `modinfo MODULE|FILE...`: what modules say of themselves.

mod json;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use serde_json::Value;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::tool::{Fail, Level, Tool, absolute, module_dir, no_config, read_image};
use crate::kmod::alias;
use crate::kmod::catalog::{Catalog, IndexFiles, Match};
use crate::kmod::elf::Sections;
use crate::kmod::modinfo::{self, Parameter};
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::sys::errno;
use crate::sys::moddir::ModuleDir;

const JSON: char = '\u{1}';
const KEY_VALUE: char = '\u{2}';
const IGNORE_CASE: char = '\u{3}';

const OPTIONS: &[Opt] = &[
    Opt('a', "author", false),
    Opt('d', "description", false),
    Opt('l', "license", false),
    Opt('p', "parameters", false),
    Opt('n', "filename", false),
    Opt('0', "null", false),
    Opt('m', "modname", false),
    Opt('F', "field", true),
    Opt(IGNORE_CASE, "ignore-case", false),
    Opt(JSON, "json", false),
    Opt(KEY_VALUE, "key-value", false),
    Opt('k', "set-version", true),
    Opt('b', "basedir", true),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options] <modulename|filename> [args]
Options:
\t-a, --author              print only 'author'
\t-d, --description         print only 'description'
\t-l, --license             print only 'license'
\t-p, --parameters          print only 'parm'
\t-n, --filename            print only 'filename'
\t-0, --null                use \\0 instead of \\n
\t-m, --modname             argument is a module name, not a file or alias
\t-F, --field=FIELD         print only FIELD
\t    --ignore-case         FIELD may be written in capitals or not
\t    --json                print a JSON array
\t    --key-value           every line is KEY=VALUE, with -0 as well
\t-k, --set-version=VERSION use VERSION instead of that of the running kernel
\t-b, --basedir=DIR         look below DIR/lib/modules
\t-V, --version             show version
\t-h, --help                show this help
";

/// What is shown, and how.
struct Show {
    field: Option<String>,
    end: u8,
    form: Form,
    ignore_case: bool,
}

impl Show {
    /// Whether the field `key` is the one that is asked for, where one is.
    fn names(&self, key: &[u8]) -> bool {
        self.field.as_deref().is_some_and(|field| match self.ignore_case {
            true => field.as_bytes().eq_ignore_ascii_case(key),
            false => field.as_bytes() == key,
        })
    }

    /// Whether the field `key` is shown.
    fn shows(&self, key: &[u8]) -> bool {
        self.field.is_none() || self.names(key)
    }
}

/// How fields are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As kmod does: a column of keys, or with -0 `KEY=VALUE` except for the file and the parameters.
    Columns,
    /// `KEY=VALUE` throughout, the strings as they stand in the file.
    KeyValue,
    /// One JSON array.
    Json,
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut show = Show { field: None, end: b'\n', form: Form::Columns, ignore_case: false };
    let (mut base, mut release, mut by_name, mut operands) = (None, None, false, Vec::new());
    loop {
        match args.next() {
            Ok(None) => break,
            Ok(Some(Arg::Operand(word))) => operands.push(word),
            Ok(Some(Arg::Opt(letter, value))) => match letter {
                'a' => show.field = Some("author".into()),
                'd' => show.field = Some("description".into()),
                'l' => show.field = Some("license".into()),
                'p' => show.field = Some("parm".into()),
                'n' => show.field = Some("filename".into()),
                'F' => show.field = Some(value.to_string_lossy().into_owned()),
                '0' => show.end = 0,
                'm' => by_name = true,
                JSON => show.form = Form::Json,
                KEY_VALUE => show.form = Form::KeyValue,
                IGNORE_CASE => show.ignore_case = true,
                'k' => release = Some(value),
                'b' => base = Some(value),
                'V' => return tool.version(),
                _ => return tool.help(HELP),
            },
            Err(text) => return tool.bad_option(&text),
        }
    }
    if operands.is_empty() {
        tool.error("missing module or filename.");
        return Exit::Failure;
    }
    let dir = ModuleDir::at(module_dir(base.as_ref(), release.as_ref()));
    let catalog = Catalog::new(Arc::new(dir.clone()));
    let reader = Reader { catalog, dir, tool: &tool, show, objects: RefCell::default() };
    // All are tried, whatever becomes of the first.
    let failed = operands.iter().filter(|o| reader.operand(o, by_name).is_err()).count();
    if reader.show.form == Form::Json {
        tool.print(format!("{}\n", Value::Array(reader.objects.take())));
    }
    if failed == 0 { Exit::Success } else { Exit::Failure }
}

struct Reader<'a> {
    tool: &'a Tool,
    dir: ModuleDir,
    catalog: Catalog,
    show: Show,
    /// What `--json` prints.
    objects: RefCell<Vec<Value>>,
}

/// A module's strings and what else its file holds.
#[derive(Default)]
struct Info {
    strings: Vec<Vec<u8>>,
    /// Further fields, made from other parts of the file.
    extra: Vec<(&'static str, Vec<u8>)>,
}

impl Info {
    /// Puts what modinfo(8) breaks into lines of twenty bytes on one.
    fn join_lines(&mut self) {
        for (_, value) in &mut self.extra {
            if let Ok(text) = std::str::from_utf8(value) {
                *value = text.replace("\n\t\t", "").into_bytes();
            }
        }
    }

    fn strings(&self) -> Vec<&[u8]> {
        self.strings.iter().map(Vec::as_slice).collect()
    }

    /// Every field with its value.
    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let extra = self.extra.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()));
        self.strings.iter().map(|string| modinfo::split_key_value(string)).chain(extra)
    }
}

impl Reader<'_> {
    fn operand(&self, operand: &OsStr, by_name: bool) -> Result<(), Fail> {
        let word = operand.to_string_lossy();
        if by_name {
            let module = ModuleName::new(&word);
            let found = self.catalog.lookup_name(&module);
            return match found.is_empty() {
                true => Err(self.tool.error(&format!("Module name {word} not found."))),
                false => found.iter().try_for_each(|f| self.found(f)),
            };
        }
        let path = Path::new(operand);
        if ModuleName::from_path(&word).is_some() && path.is_file() {
            return self.file(&ModuleName::new(&word), &absolute(path));
        }
        let found = self.catalog.lookup_all(no_config(), &word);
        match alias::normalize(word.as_bytes()) {
            Err(_) => Err(self.tool.error(&format!("Module alias {word} not found."))),
            Ok(_) if found.is_empty() => Err(self.tool.error(&format!("Module {word} not found."))),
            Ok(_) => found.iter().try_for_each(|f| self.found(f)),
        }
    }

    fn found(&self, found: &Match) -> Result<(), Fail> {
        let line = self.catalog.dep(&found.module).filter(|_| !found.is_builtin());
        match line {
            Some(line) => self.file(&found.module, &self.dir.path().join(line.path)),
            None => self.builtin(&found.module),
        }
    }

    fn file(&self, module: &ModuleName, path: &Path) -> Result<(), Fail> {
        let filename = path.to_string_lossy();
        let columns = self.show.form == Form::Columns;
        if columns && self.show.names(b"filename") {
            self.value(filename.as_bytes());
            return Ok(());
        }
        if columns && self.show.field.is_none() {
            self.pair("filename", filename.as_bytes());
        }
        let mut info = read(path).map_err(|errno| {
            let reason = errno::text(errno);
            self.tool.error(&format!("could not get modinfo from '{module}': {reason}"))
        })?;
        match self.show.form {
            Form::Columns => self.print(&info),
            form => {
                info.join_lines();
                self.print_clean(form, module, Some(&filename), &info);
            }
        }
        Ok(())
    }

    fn builtin(&self, module: &ModuleName) -> Result<(), Fail> {
        let show = &self.show;
        let (is_columns, all) = (show.form == Form::Columns, show.field.is_none());
        match is_columns {
            true if all => {
                self.pair("name", module.as_str().as_bytes());
                self.pair("filename", b"(builtin)");
            }
            true if show.names(b"filename") => self.value(b"(builtin)"),
            true if show.names(b"name") => self.value(module.as_str().as_bytes()),
            _ => {}
        }
        let file = self.dir.open("modules.builtin.modinfo");
        let strings =
            file.iter().flat_map(|f| modinfo::builtin_strings((**f).as_ref(), module.as_str()));
        let mut info = Info { strings: strings.map(<[u8]>::to_vec).collect(), extra: Vec::new() };
        match show.form {
            Form::Columns => self.print(&info),
            form => {
                info.extra.push(("name", module.as_str().into()));
                self.print_clean(form, module, None, &info);
            }
        }
        Ok(())
    }

    /// The forms that kmod does not have.
    fn print_clean(&self, form: Form, module: &ModuleName, filename: Option<&str>, info: &Info) {
        if form == Form::Json {
            self.complain(&modinfo::parameters(&info.strings()).1);
            let shows = |key: &[u8]| self.show.shows(key);
            let object = json::module(module.as_str(), filename, info, &shows);
            self.objects.borrow_mut().push(object);
            return;
        }
        let filename = filename.unwrap_or("(builtin)").as_bytes();
        for (key, value) in [(&b"filename"[..], filename)].into_iter().chain(info.pairs()) {
            if self.show.shows(key) {
                self.line(&[key, b"=", value]);
            }
        }
    }

    fn print(&self, info: &Info) {
        if self.show.names(b"parm") {
            let (parameters, bad) = modinfo::parameters(&info.strings());
            parameters.iter().for_each(|p| self.value(&described(p)));
            return self.complain(&bad);
        }
        if self.show.field.is_none() {
            return self.print_all(info.pairs(), &info.strings());
        }
        for (_, value) in info.pairs().filter(|(key, _)| self.show.names(key)) {
            self.value(value);
        }
    }

    fn print_all<'s>(
        &self,
        pairs: impl Iterator<Item = (&'s [u8], &'s [u8])>,
        strings: &[&'s [u8]],
    ) {
        for (key, value) in pairs.filter(|(key, _)| *key != b"parm" && *key != b"parmtype") {
            match self.show.end {
                0 => self.line(&[key, b"=", value]),
                _ => self.line(&[&padded(key), value]),
            }
        }
        let (parameters, bad) = modinfo::parameters(strings);
        self.complain(&bad);
        for parameter in parameters {
            let value = match (&parameter.description, &parameter.kind) {
                (None, Some(kind)) => [parameter.name, b":", kind].concat(),
                _ => described(&parameter),
            };
            self.line(&[&padded(b"parm"), &value]);
        }
    }

    fn complain(&self, bad: &[&[u8]]) {
        for string in bad {
            let string = String::from_utf8_lossy(string);
            self.tool.error(&format!("Found invalid \"{string}\": missing ':'"));
        }
    }

    fn pair(&self, key: &str, value: &[u8]) {
        self.line(&[&padded(key.as_bytes()), value]);
    }

    fn value(&self, value: &[u8]) {
        self.line(&[value]);
    }

    fn line(&self, parts: &[&[u8]]) {
        let mut line = parts.concat();
        line.push(self.show.end);
        self.tool.print(line);
    }
}

/// `NAME:TEXT (TYPE)`, as far as they are known.
fn described(parameter: &Parameter<'_>) -> Vec<u8> {
    let mut out = [parameter.name, b":", parameter.description.unwrap_or_default()].concat();
    if let Some(kind) = parameter.kind {
        out.extend([b" (", kind, b")"].concat());
    }
    out
}

/// A key and its colon, padded to sixteen columns.
fn padded(key: &[u8]) -> Vec<u8> {
    let mut out = [key, b":"].concat();
    out.resize(out.len().max(16), b' ');
    out
}

/// Everything that the file at `path` says.
fn read(path: &Path) -> Result<Info, Errno> {
    let image = read_image(path)?;
    let sections = Sections::parse(&image).map_err(errno::of_elf)?;
    sections.get(".modinfo").ok_or(Errno::NODATA)?;
    let strings = sections.modinfo().map(<[u8]>::to_vec).collect();
    Ok(Info { strings, extra: extra(&image, &sections) })
}

/// Build id and signature.
fn extra(image: &[u8], sections: &Sections<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let mut extra = Vec::new();
    // EI_DATA: 1 is the lower byte first.
    let little_endian = image.get(5) == Some(&1);
    let note = sections.get(".note.gnu.build-id");
    if let Some(id) = note.and_then(|note| modinfo::build_id(note, little_endian)) {
        extra.push(("build-id", modinfo::format_hex(id).into_bytes()));
    }
    if let Some(signature) = signature::parse(image) {
        extra.push(("sig_id", signature.id_type.into()));
        extra.push(("signer", signature.signer.to_vec()));
        extra.push(("sig_key", modinfo::format_hex(signature.key_id).into_bytes()));
        extra.push(("sig_hashalgo", signature.hash.into()));
        extra.push(("signature", modinfo::format_hex(signature.bytes).into_bytes()));
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::kmod::elf::tests::LAYOUTS;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::fs;

    /// What is shown of the module m and of the built-in one.
    fn shown(show: Show) -> String {
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
        let tool = Tool::on(Root::default(), Arc::new(Kernel), &sink);
        let dir = ModuleDir::at(scratch.path());
        let catalog = Catalog::new(Arc::new(dir.clone()));
        let reader = Reader { catalog, dir, tool: &tool, show, objects: RefCell::default() };
        for name in ["m", "in-side"] {
            assert_eq!(reader.operand(OsStr::new(name), false), Ok(()));
        }
        let objects = Value::Array(reader.objects.take());
        drop(tool);
        let printed = sink.take().replace('\0', "|");
        let said = if objects == serde_json::json!([]) { printed } else { objects.to_string() };
        said.replace(scratch.path().to_str().unwrap(), "")
    }

    fn show(field: &str, end: u8, form: Form, ignore_case: bool) -> Show {
        let field = Some(field.to_owned()).filter(|f| !f.is_empty());
        Show { field, end, form, ignore_case }
    }

    #[test]
    fn every_string_is_a_pair_on_request() {
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
            assert_eq!(shown(show(field, 0, Form::KeyValue, false)), want, "{field}");
        }
    }

    #[test]
    fn capitals_count_unless_they_are_not_to() {
        for (field, ignore_case, want) in [
            ("License", false, ""),
            ("License", true, "GPL|MIT|"),
            ("alias", false, "a|"),
            ("ALIAS", true, "a|b|"),
            ("FileName", true, "/m.ko|(builtin)|"),
            ("PARM", true, "p:text (int)|"),
            ("NAME", true, "in_side|"),
        ] {
            assert_eq!(shown(show(field, 0, Form::Columns, ignore_case)), want, "{field}");
        }
    }

    #[test]
    fn json_holds_what_is_asked_for() {
        let objects: Value = serde_json::from_str(&shown(show("", 0, Form::Json, false))).unwrap();
        assert_eq!(objects[0]["fields"]["build-id"][0], ["0A"; 22].join(":"));
        assert_eq!(objects[0]["parameters"][0]["type"], "int");
        assert_eq!(objects[1]["fields"]["name"][0], "in_side");
        assert_eq!(
            shown(show("license", 0, Form::Json, false)),
            "[{\"builtin\":false,\"fields\":{\"license\":[\"GPL\"]},\"module\":\"m\"},\
             {\"builtin\":true,\"fields\":{\"license\":[\"MIT\"]},\"module\":\"in_side\"}]"
        );
    }
}
