//! Prints the fields of a module.

use std::cell::RefCell;

use serde_json::Value;

use super::info::Info;
use super::json;
use super::options::{Form, Show};
use crate::applet::tool::Tool;
use crate::escape;
use crate::kmod::modinfo::{self, Parameter};
use crate::kmod::name::ModuleName;

/// Prints fields in the form of [`Show`].
pub(super) struct Printer<'a> {
    pub(super) tool: &'a Tool,
    pub(super) show: Show,
    /// The modules of `--json`, printed at the end as one array.
    pub(super) objects: RefCell<Vec<Value>>,
}

impl Printer<'_> {
    /// Prints the information about `module`; a built-in module has no file.
    pub(super) fn module(&self, module: &ModuleName, filename: Option<&[u8]>, mut info: Info) {
        match self.show.form {
            Form::Columns => self.columns(&info),
            form => {
                match filename {
                    Some(_) => info.join_lines(),
                    None => info.extra.push(("name", module.as_bytes().into())),
                }
                self.print_own(form, module, filename, &info);
            }
        }
    }

    /// Prints in the forms that kmod does not have.
    fn print_own(&self, form: Form, module: &ModuleName, filename: Option<&[u8]>, info: &Info) {
        if form == Form::Json {
            self.report_invalid(&modinfo::parameters(&info.strings()).1);
            let shows = |key: &[u8]| self.show.shows(key);
            let object = json::module(&module.text(), filename, info, &shows);
            self.objects.borrow_mut().push(object);
            return;
        }
        let filename = filename.unwrap_or(b"(builtin)");
        for (key, value) in [(&b"filename"[..], filename)].into_iter().chain(info.pairs()) {
            if self.show.shows(key) {
                self.line(&[key, b"=", value]);
            }
        }
    }

    fn columns(&self, info: &Info) {
        if self.show.names(b"parm") {
            let (parameters, bad) = modinfo::parameters(&info.strings());
            parameters.iter().for_each(|p| self.value(&format_parameter(p)));
            return self.report_invalid(&bad);
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
        self.report_invalid(&bad);
        for parameter in parameters {
            let value = match (&parameter.description, &parameter.kind) {
                (None, Some(kind)) => [parameter.name, b":", kind].concat(),
                _ => format_parameter(&parameter),
            };
            self.line(&[&padded(b"parm"), &value]);
        }
    }

    fn report_invalid(&self, bad: &[&[u8]]) {
        for string in bad {
            let string = escape::bytes(string);
            self.tool.error(&format!("Found invalid \"{string}\": missing ':'"));
        }
    }

    pub(super) fn pair(&self, key: &str, value: &[u8]) {
        self.line(&[&padded(key.as_bytes()), value]);
    }

    pub(super) fn value(&self, value: &[u8]) {
        self.line(&[value]);
    }

    fn line(&self, parts: &[&[u8]]) {
        let mut line = parts.concat();
        line.push(self.show.end);
        self.tool.print(line);
    }
}

/// Returns `NAME:DESCRIPTION (TYPE)`, without unknown parts.
fn format_parameter(parameter: &Parameter<'_>) -> Vec<u8> {
    let mut out = [parameter.name, b":", parameter.description.unwrap_or_default()].concat();
    if let Some(kind) = parameter.kind {
        out.extend([b" (", kind, b")"].concat());
    }
    out
}

/// Returns the key and a colon, padded to 16 columns.
fn padded(key: &[u8]) -> Vec<u8> {
    let mut out = [key, b":"].concat();
    out.resize(out.len().max(16), b' ');
    out
}
