//! Options of modinfo.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::applet::args::{Arg, Args, Opt};
use crate::applet::message::Error;
use crate::applet::tool::Tool;

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
\t-m, --modname             arguments are module names, not files or aliases
\t-F, --field=FIELD         print only FIELD
\t    --ignore-case         ignore the case of FIELD
\t    --json                print a JSON array
\t    --key-value           print every line as KEY=VALUE, also with -0
\t-k, --set-version=VERSION use VERSION instead of the running kernel
\t-b, --basedir=DIR         use the modules below DIR/lib/modules
\t-V, --version             print the version
\t-h, --help                print this help
";

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
    /// An option is wrong, or `--help` or `--version` has been answered.
    pub(super) fn parse(tool: &Tool, args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), OPTIONS);
        let show = Show { field: None, end: b'\n', form: Form::Columns, ignore_case: false };
        let mut options =
            Self { show, base: None, release: None, by_name: false, operands: Vec::new() };
        while let Some(arg) = args.next().map_err(|error| tool.bad_option(&error))? {
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
            'V' => return Err(tool.version()),
            _ => return Err(tool.help(HELP)),
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
