//! The command line of depmod: the options of kmod 34.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::applet::args::{Arg, Args};
use crate::applet::message::Error;
use crate::applet::paths::absolute;
use crate::applet::tool::{Level, Tool};
use crate::applet::usage::{Opt, Usage, VERSION};
use crate::escape;

pub(in crate::applet) static USAGE: Usage =
    Usage::tool("depmod", "index the modules of a kernel: dependencies, aliases, symbols")
        .text(
            "[option…] [RELEASE [FILE…]]\n\n\
     Writes the index files for the modules of a kernel (default: the running kernel). With FILEs, \
     only these modules are indexed.",
        )
        .options(&[
            Opt('a', "all: index all modules even if FILEs are given"),
            Opt('A', "quick: do nothing unless a module is newer than modules.dep"),
            Opt('b', "basedir=DIR: use the modules below DIR"),
            Opt('m', "moduledir=DIR: use DIR instead of /lib/modules"),
            Opt('o', "outdir=DIR: write the files below DIR"),
            Opt('C', "config=PATH: read PATH instead of the depmod.d directories"),
            Opt('E', "symvers=FILE: read the kernel's symbols and versions from Module.symvers"),
            Opt('F', "filesyms=FILE: read the kernel's symbols from System.map"),
            Opt('e', "errsyms: report unknown symbols (default: System.map of RELEASE)"),
            Opt('n', "show: print the files on standard output and write none"),
            Opt('n', "dry-run"),
            Opt('P', "symbol-prefix=CHARACTER: strip this prefix from symbols"),
            Opt('v', "verbose: print the symbol that causes each dependency"),
            Opt('w', "warn: warn about duplicate entries"),
            VERSION,
        ]);

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
    /// The command line is wrong, `--version` has been answered, or help is asked for.
    pub(super) fn read(tool: &Tool, args: &[OsString]) -> Result<Self, Error> {
        let mut args = Args::new(args, Vec::new(), &USAGE);
        let (mut options, mut operands) = (Self::default(), Vec::new());
        while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
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
            _ => return Err(tool.version()),
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
