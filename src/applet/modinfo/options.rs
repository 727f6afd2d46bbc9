//! Options of modinfo.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::applet::args::{Arg, Args};
use crate::applet::message::Error;
use crate::applet::tool::Tool;
use crate::applet::usage::{Opt, Usage, VERSION};

const JSON: char = '\u{1}';
const KEY_VALUE: char = '\u{2}';
const IGNORE_CASE: char = '\u{3}';

pub(in crate::applet) static USAGE: Usage =
    Usage::tool("modinfo", "show information about modules")
        .text("[option…] MODULE|FILE…\n\nPrints what module files say about themselves.")
        .options(&[
            Opt('a', "author: print only 'author'"),
            Opt('d', "description: print only 'description'"),
            Opt('l', "license: print only 'license'"),
            Opt('p', "parameters: print only 'parm'"),
            Opt('n', "filename: print only 'filename'"),
            Opt('0', "null: use \\0 instead of \\n"),
            Opt('m', "modname: arguments are module names, not files or aliases"),
            Opt('F', "field=FIELD: print only FIELD"),
            Opt(IGNORE_CASE, "ignore-case: ignore the case of FIELD"),
            Opt(JSON, "json: print a JSON array"),
            Opt(KEY_VALUE, "key-value: print every line as KEY=VALUE, also with -0"),
            Opt('k', "set-version=RELEASE: use RELEASE instead of the running kernel"),
            Opt('b', "basedir=DIR: use the modules below DIR/lib/modules"),
            VERSION,
        ]);

/// A parsed command line.
pub(super) struct Options {
    pub(super) show: Show,
    pub(super) base: Option<OsString>,
    pub(super) release: Option<OsString>,
    /// Operands are module names only (`-m`).
    pub(super) by_name: bool,
    pub(super) operands: Vec<OsString>,
}

impl Options {
    /// Parses the command line.
    ///
    /// # Errors
    /// An option is wrong, `--version` has been answered, or help is asked for.
    pub(super) fn parse(tool: &Tool, args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), &USAGE);
        let show = Show { field: None, end: b'\n', form: Form::Columns, ignore_case: false };
        let mut options =
            Self { show, base: None, release: None, by_name: false, operands: Vec::new() };
        while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
            match arg {
                Arg::Operand(word) => options.operands.push(word),
                Arg::Opt(letter, value) => options.set(tool, letter, value)?,
            }
        }
        Ok(options)
    }

    fn set(&mut self, tool: &Tool, letter: char, value: OsString) -> Result<(), Error> {
        let show = &mut self.show;
        match letter {
            'a' => show.field = Some("author".into()),
            'd' => show.field = Some("description".into()),
            'l' => show.field = Some("license".into()),
            'p' => show.field = Some("parm".into()),
            'n' => show.field = Some("filename".into()),
            'F' => show.field = Some(value),
            '0' => show.end = 0,
            'm' => self.by_name = true,
            JSON => show.form = Form::Json,
            KEY_VALUE => show.form = Form::KeyValue,
            IGNORE_CASE => show.ignore_case = true,
            'k' => self.release = Some(value),
            'b' => self.base = Some(value),
            _ => return Err(tool.version()),
        }
        Ok(())
    }
}

/// Selection and form of the output.
pub(super) struct Show {
    pub(super) field: Option<OsString>,
    pub(super) end: u8,
    pub(super) form: Form,
    pub(super) ignore_case: bool,
}

impl Show {
    /// Returns whether `key` is the field that the user named.
    pub(super) fn names(&self, key: &[u8]) -> bool {
        self.field.as_deref().is_some_and(|field| match self.ignore_case {
            true => field.as_bytes().eq_ignore_ascii_case(key),
            false => field.as_bytes() == key,
        })
    }

    /// Returns whether the field `key` is printed.
    pub(super) fn shows(&self, key: &[u8]) -> bool {
        self.field.is_none() || self.names(key)
    }
}

/// Form of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// That of kmod: a column of keys, or with -0 `KEY=VALUE` except for the file and the
    /// parameters.
    Columns,
    /// `KEY=VALUE` throughout, with the strings as they are in the file.
    KeyValue,
    /// One JSON array.
    Json,
}
