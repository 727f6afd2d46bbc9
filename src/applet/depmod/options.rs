//! The command line of depmod: the options of kmod 34.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::applet::args::{Arg, Args, Opt};
use crate::applet::message::Error;
use crate::applet::paths::absolute;
use crate::applet::tool::{Level, Tool};
use crate::escape;

const OPTIONS: &[Opt] = &[
    Opt('a', "all", false),
    Opt('A', "quick", false),
    Opt('b', "basedir", true),
    Opt('m', "moduledir", true),
    Opt('o', "outdir", true),
    Opt('C', "config", true),
    Opt('E', "symvers", true),
    Opt('F', "filesyms", true),
    Opt('e', "errsyms", false),
    Opt('n', "show", false),
    Opt('n', "dry-run", false),
    Opt('P', "symbol-prefix", true),
    Opt('v', "verbose", false),
    Opt('w', "warn", false),
    Opt('V', "version", false),
    Opt('h', "help", false),
];

const HELP: &str = "[options] [VERSION] [FILE...]
\tWrite the index files for the modules of kernel VERSION (default: the
\trunning kernel). With FILEs, index only these modules.
Options:
\t-a, --all               index all modules even if FILEs are given
\t-A, --quick             do nothing unless a module is newer than modules.dep
\t-b, --basedir=DIR       use the modules below DIR
\t-m, --moduledir=DIR     use DIR instead of /lib/modules
\t-o, --outdir=DIR        write the files below DIR
\t-C, --config=PATH       read PATH instead of the depmod.d directories
\t-E, --symvers=FILE      read the kernel's symbols and versions from Module.symvers
\t-F, --filesyms=FILE     read the kernel's symbols from System.map
\t-e, --errsyms           report unknown symbols (default: System.map of VERSION)
\t-n, --show, --dry-run   print the files on standard output and write none
\t-P, --symbol-prefix=C   strip the prefix C from symbols
\t-v, --verbose           print the symbol that causes each dependency
\t-w, --warn              warn about duplicate entries
\t-V, --version           show the version
\t-h, --help              show this help
";

/// The options and operands.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) all: bool,
    pub(super) quick: bool,
    pub(super) base: PathBuf,
    pub(super) out: Option<PathBuf>,
    pub(super) module_dir: Option<OsString>,
    pub(super) config: Vec<PathBuf>,
    pub(super) symvers: Option<PathBuf>,
    pub(super) system_map: Option<PathBuf>,
    pub(super) errors: bool,
    pub(super) show: bool,
    pub(super) prefix: Option<u8>,
    pub(super) verbose: bool,
    pub(super) warn_duplicates: bool,
    pub(super) release: OsString,
    pub(super) files: Vec<PathBuf>,
}

impl Options {
    /// Parses the command line.
    ///
    /// # Errors
    /// The command line is wrong, or `--help` or `--version` has been answered.
    pub(super) fn read(tool: &Tool, args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), OPTIONS);
        let (mut options, mut operands) = (Self::default(), Vec::new());
        while let Some(arg) = args.next().map_err(|error| tool.bad_option(&error))? {
            match arg {
                Arg::Operand(word) => operands.push(word),
                Arg::Opt(letter, value) => options.set(tool, letter, &value)?,
            }
        }
        options.operands(tool, operands)?;
        Ok(options)
    }

    /// Returns where the System.map of the kernel may be: the places of kernel packages, of
    /// `make modules_install` in a build tree, and of the debugging symbols of Debian and Fedora.
    pub(super) fn system_maps(&self) -> [PathBuf; 5] {
        let modules = self.dir(&self.base);
        let below = |parts: [&[u8]; 3]| {
            let parts = [without_last_slashes(&self.base), &parts.concat()];
            PathBuf::from(OsString::from_vec(parts.join(&b'/')))
        };
        let release = self.release.as_bytes();
        [
            modules.join("System.map"),
            below([b"boot/System.map-", release, b""]),
            modules.join("build/System.map"),
            below([b"usr/lib/debug/boot/System.map-", release, b""]),
            below([b"usr/lib/debug/lib/modules/", release, b"/System.map"]),
        ]
    }

    fn set(&mut self, tool: &Tool, letter: char, value: &OsString) -> Result<(), Error> {
        match letter {
            'a' => self.all = true,
            'A' => self.quick = true,
            'b' => self.base = absolute(value.as_ref()),
            'm' => self.module_dir = Some(value.clone()),
            'o' => self.out = Some(absolute(value.as_ref())),
            'C' => self.config.push(value.into()),
            'E' => self.symvers = Some(value.into()),
            'F' => self.system_map = Some(value.into()),
            'e' => self.errors = true,
            'n' => self.show = true,
            'P' => match *value.as_bytes() {
                [one] => self.prefix = Some(one),
                _ => {
                    tool.message(Level::Fatal, "-P only takes a single char");
                    return Err(Error::Reported);
                }
            },
            'v' => {
                self.verbose = true;
                tool.increase_verbosity();
            }
            'w' => self.warn_duplicates = true,
            'V' => return Err(tool.version()),
            _ => return Err(tool.help(HELP)),
        }
        Ok(())
    }

    fn operands(&mut self, tool: &Tool, operands: Vec<OsString>) -> Result<(), Error> {
        let mut operands = operands.into_iter();
        self.release = match operands.next() {
            None => crate::sys::release().into(),
            Some(word) => word,
        };
        let release = self.shown_release();
        if !is_release(&release) {
            tool.error(&format!("Bad version passed {release}"));
            return Err(Error::Reported);
        }
        self.files = operands.map(PathBuf::from).collect();
        Ok(())
    }

    /// Returns the module directory below `root`.
    pub(super) fn dir(&self, root: &Path) -> PathBuf {
        let modules = self.module_dir.as_deref().map_or(&b"lib/modules"[..], OsStr::as_bytes);
        let start = modules.iter().position(|byte| *byte != b'/').unwrap_or(modules.len());
        let parts = [without_last_slashes(root), &modules[start..], self.release.as_bytes()];
        OsString::from_vec(parts.join(&b'/')).into()
    }

    /// Returns the release as text.
    pub(super) fn shown_release(&self) -> Cow<'_, str> {
        escape::path(&self.release)
    }
}

fn without_last_slashes(path: &Path) -> &[u8] {
    let path = path.as_os_str().as_bytes();
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    &path[..end]
}

/// Returns whether `text` starts like a kernel release: with two numbers, separated by a dot.
fn is_release(text: &str) -> bool {
    let mut parts = text.splitn(2, '.');
    let number =
        |part: Option<&str>| part.is_some_and(|p| p.starts_with(|c: char| c.is_ascii_digit()));
    let whole = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    number(Some(text)) && parts.next().is_some_and(whole) && number(parts.next())
}

#[cfg(test)]
mod tests {
    use super::is_release;

    #[test]
    fn a_release_starts_with_two_numbers() {
        for (text, good) in [
            ("6.1.0-9-amd64", true),
            ("6.1", true),
            ("6.1x", true),
            ("6", false),
            ("6.x", false),
            ("x.1", false),
            ("6a.1", false),
            ("/a.ko", false),
            ("", false),
        ] {
            assert_eq!(is_release(text), good, "{text}");
        }
    }
}
