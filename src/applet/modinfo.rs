//! `modinfo MODULE|FILE...`: what modules say of themselves.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::Exit;
use super::args::{Arg, Args, Opt};
use super::tool::{Fail, Level, Tool, absolute, elf_errno, module_dir, no_config, read_image};
use crate::kmod::alias;
use crate::kmod::catalog::{Catalog, Files, Found};
use crate::kmod::elf::Sections;
use crate::kmod::modinfo::{self, Parameter};
use crate::kmod::name::ModuleName;
use crate::kmod::signature;
use crate::sys::errno;
use crate::sys::moddir::ModuleDir;

const OPTIONS: &[Opt] = &[
    Opt('a', "author", false),
    Opt('d', "description", false),
    Opt('l', "license", false),
    Opt('p', "parameters", false),
    Opt('n', "filename", false),
    Opt('0', "null", false),
    Opt('m', "modname", false),
    Opt('F', "field", true),
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
\t-k, --set-version=VERSION use VERSION instead of that of the running kernel
\t-b, --basedir=DIR         look below DIR/lib/modules
\t-V, --version             show version
\t-h, --help                show this help
";

/// What is shown, and how.
struct Show {
    field: Option<String>,
    end: u8,
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let tool = Tool::new(args, Level::Error);
    let mut args = Args::new(args, Vec::new(), OPTIONS);
    let mut show = Show { field: None, end: b'\n' };
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
    let reader = Reader { catalog: Catalog::new(Arc::new(dir.clone())), dir, tool: &tool, show };
    // All are tried, whatever becomes of the first.
    let failed = operands.iter().filter(|o| reader.operand(o, by_name).is_err()).count();
    if failed == 0 { Exit::Success } else { Exit::Failure }
}

struct Reader<'a> {
    tool: &'a Tool,
    dir: ModuleDir,
    catalog: Catalog,
    show: Show,
}

/// A module's strings and what else its file holds.
#[derive(Default)]
struct Info {
    strings: Vec<Vec<u8>>,
    /// Further fields, made from other parts of the file.
    extra: Vec<(&'static str, Vec<u8>)>,
}

impl Reader<'_> {
    fn operand(&self, operand: &OsStr, by_name: bool) -> Result<(), Fail> {
        let word = operand.to_string_lossy();
        if by_name {
            let module = ModuleName::new(&word);
            let found = self.catalog.named(&module);
            return match found.is_empty() {
                true => Err(self.tool.error(&format!("Module name {word} not found."))),
                false => found.iter().try_for_each(|f| self.found(f)),
            };
        }
        let path = Path::new(operand);
        if ModuleName::from_path(&word).is_some() && path.is_file() {
            return self.file(&ModuleName::new(&word), &absolute(path));
        }
        let found = self.catalog.matches(no_config(), &word);
        match alias::normalize(word.as_bytes()) {
            Err(_) => Err(self.tool.error(&format!("Module alias {word} not found."))),
            Ok(_) if found.is_empty() => Err(self.tool.error(&format!("Module {word} not found."))),
            Ok(_) => found.iter().try_for_each(|f| self.found(f)),
        }
    }

    fn found(&self, found: &Found) -> Result<(), Fail> {
        let line = self.catalog.dep(&found.module).filter(|_| !found.is_builtin());
        match line {
            Some(line) => self.file(&found.module, &self.dir.path().join(line.path)),
            None => self.builtin(&found.module),
        }
    }

    fn file(&self, module: &ModuleName, path: &Path) -> Result<(), Fail> {
        let filename = path.to_string_lossy();
        if self.shows_only("filename") {
            self.value(filename.as_bytes());
            return Ok(());
        }
        if self.show.field.is_none() {
            self.pair("filename", filename.as_bytes());
        }
        let info = read(path).map_err(|errno| {
            let reason = errno::text(errno);
            self.tool.error(&format!("could not get modinfo from '{module}': {reason}"))
        })?;
        self.print(&info);
        Ok(())
    }

    fn builtin(&self, module: &ModuleName) -> Result<(), Fail> {
        match self.show.field.as_deref() {
            Some("filename") => self.value(b"(builtin)"),
            Some("name") => self.value(module.as_str().as_bytes()),
            Some(_) => {}
            None => {
                self.pair("name", module.as_str().as_bytes());
                self.pair("filename", b"(builtin)");
            }
        }
        if let Some(file) = self.dir.open("modules.builtin.modinfo") {
            let strings = modinfo::builtin((*file).as_ref(), module.as_str());
            let strings = strings.into_iter().map(<[u8]>::to_vec).collect();
            self.print(&Info { strings, extra: Vec::new() });
        }
        Ok(())
    }

    fn print(&self, info: &Info) {
        let strings: Vec<&[u8]> = info.strings.iter().map(Vec::as_slice).collect();
        if self.shows_only("parm") {
            let (parameters, bad) = modinfo::parameters(&strings);
            parameters.iter().for_each(|p| self.value(&described(p)));
            return self.complain(&bad);
        }
        let extra = info.extra.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()));
        let pairs = strings.iter().map(|s| modinfo::key_value(s)).chain(extra);
        let Some(field) = &self.show.field else { return self.print_all(pairs, &strings) };
        for (_, value) in pairs.filter(|(key, _)| *key == field.as_bytes()) {
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
            let value = match (&parameter.text, &parameter.kind) {
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

    fn shows_only(&self, field: &str) -> bool {
        self.show.field.as_deref() == Some(field)
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
    let mut out = [parameter.name, b":", parameter.text.unwrap_or_default()].concat();
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
    let sections = Sections::parse(&image).map_err(elf_errno)?;
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
        extra.push(("build-id", modinfo::hex(id).into_bytes()));
    }
    if let Some(signature) = signature::parse(image) {
        extra.push(("sig_id", signature.kind.into()));
        extra.push(("signer", signature.signer.to_vec()));
        extra.push(("sig_key", modinfo::hex(signature.key).into_bytes()));
        extra.push(("sig_hashalgo", signature.hash.into()));
        extra.push(("signature", modinfo::hex(signature.octets).into_bytes()));
    }
    extra
}
