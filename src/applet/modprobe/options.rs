//! Options of modprobe.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use crate::applet::args::{Arg, Args};
use crate::applet::message::Error;
use crate::applet::tool::{Level, Tool};
use crate::applet::usage::{Opt, SYSLOG, Usage, VERSION};
use crate::escape;
use crate::sys::module::InitFlags;

const REMOVE_HOLDERS: char = '\u{1}';
const REMOVE_DEPENDENCIES: char = '\u{2}';
const FIRST_TIME: char = '\u{3}';
const FORCE_MODVERSION: char = '\u{4}';
const FORCE_VERMAGIC: char = '\u{5}';
const RESOLVE_ALIAS: char = '\u{6}';
const SHOWCONFIG: char = '\u{7}';
const SHOW_MODVERSIONS: char = '\u{8}';
const DUMP_MODVERSIONS: char = '\u{e}';
const SHOW_EXPORTS: char = '\u{f}';
const SHOW: char = '\u{10}';
const ORPHANS: char = '\u{11}';
const JSON: char = '\u{12}';

pub(in crate::applet) static USAGE: Usage =
    Usage::tool("modprobe", "load or remove modules with their dependencies; also for the kernel")
        .text(
            "[option…] MODULE [PARAMETER=VALUE…]\n[option…] -a MODULE…\n[option…] -r MODULE…\n\
     [option…] -c\n\n\
     Loads modules with their dependencies, by name, alias or file, or removes them.",
        )
        .options(OPTIONS);

/// Each deprecated name follows the name that replaces it.
const OPTIONS: &[Opt] = &[
    Opt('\0', ": Management"),
    Opt('a', "all: treat every argument as a module name"),
    Opt('r', "remove: remove modules"),
    Opt(REMOVE_HOLDERS, "remove-holders: also remove the modules that use them"),
    Opt(REMOVE_DEPENDENCIES, "remove-dependencies"),
    Opt(ORPHANS, "orphans: also remove all dependencies that are then unused, at any depth"),
    Opt('w', "wait=MSEC: with -r: wait up to MSEC milliseconds for a module in use"),
    Opt(FIRST_TIME, "first-time: fail if the module is already loaded (or removed)"),
    Opt('i', "ignore-install: ignore install and remove commands and softdeps"),
    Opt('i', "ignore-remove"),
    Opt('j', "jobs=N: with -a: load up to N modules in parallel"),
    Opt('b', "use-blacklist: apply the blacklist to names too"),
    Opt('k', "autoclean: mark loaded modules for removal when unused (coldplug autoclean)"),
    Opt('f', "force: same as --force-modversion --force-vermagic"),
    Opt(FORCE_MODVERSION, "force-modversion: ignore symbol versions"),
    Opt(FORCE_VERMAGIC, "force-vermagic: ignore the version magic"),
    Opt('\0', ": Query"),
    Opt('D', "show-depends: print the modules that would be loaded"),
    Opt('c', "show-config: print the configuration"),
    Opt(SHOWCONFIG, "showconfig"),
    Opt(JSON, "json: with -c: print one JSON object"),
    Opt('R', "show-alias: print the modules that match a name or alias"),
    Opt(RESOLVE_ALIAS, "resolve-alias"),
    Opt(SHOW_MODVERSIONS, "show-modversions: print the symbol versions of a module"),
    Opt(DUMP_MODVERSIONS, "dump-modversions"),
    Opt(SHOW_EXPORTS, "show-exports: print the symbols that a module exports"),
    Opt('\0', ": General"),
    Opt('n', "dry-run: print what would be done, and do nothing"),
    Opt(SHOW, "show"),
    Opt('C', "config=PATH: use this file or directory instead of modprobe.d"),
    Opt('d', "dirname=DIR: use the modules below DIR/lib/modules"),
    Opt('S', "set-version=RELEASE: use RELEASE instead of the running kernel"),
    SYSLOG,
    Opt('q', "quiet: print no messages"),
    Opt('v', "verbose: print more messages"),
    VERSION,
];

/// A parsed command line.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) all: bool,
    pub(super) remove: bool,
    pub(super) remove_holders: bool,
    /// Remove all dependencies that are then unused, not only the first of each chain.
    pub(super) orphans: bool,
    pub(super) wait: Option<Duration>,
    pub(super) first_time: bool,
    pub(super) ignore_commands: bool,
    pub(super) use_blacklist: bool,
    /// `-k`, as in modutils.
    pub(super) autoclean: bool,
    /// Whether no person has called modprobe, but the kernel or an install command that PID 1 or
    /// the kernel has started. Install commands then get the parameters of the module as data: they
    /// may come from the kernel command line. A person's modprobe replaces text, as kmod does.
    pub(super) is_automatic: bool,
    /// The request, if modules are loaded on demand: for the kernel, or with `-k`.
    pub(super) demand: Option<String>,
    pub(super) force: bool,
    pub(super) flags: InitFlags,
    pub(super) show_depends: bool,
    pub(super) show_alias: bool,
    pub(super) show_config: bool,
    pub(super) json: bool,
    pub(super) show_modversions: bool,
    pub(super) show_exports: bool,
    /// Number of modules that `-a` loads in parallel; 0 and 1 are sequential.
    pub(super) jobs: usize,
    pub(super) dry_run: bool,
    pub(super) config: Vec<OsString>,
    pub(super) dirname: Option<OsString>,
    pub(super) release: Option<OsString>,
    pub(super) operands: Vec<OsString>,
    /// MODPROBE_OPTIONS for the processes of install commands.
    pub(super) inherited: OsString,
}

impl Options {
    /// Parses the words of MODPROBE_OPTIONS and then the command line.
    ///
    /// # Errors
    /// An option is wrong, `--version` has been answered, or help is asked for.
    pub(super) fn parse(
        tool: &Tool,
        args: &[OsString],
        environment: &OsStr,
    ) -> Result<Self, Error> {
        let mut args = Args::new(args, split(environment), &USAGE);
        let mut options = Self { inherited: environment.to_owned(), ..Self::default() };
        while let Some(arg) = args.next().map_err(|error| tool.bad_option(error))? {
            match arg {
                Arg::Operand(word) => options.operands.push(word),
                Arg::Opt(letter, value) => options.set(tool, letter, value)?,
            }
        }
        Ok(options)
    }

    fn set(&mut self, tool: &Tool, letter: char, value: OsString) -> Result<(), Error> {
        match letter {
            'a' => self.all = true,
            'r' => self.remove = true,
            REMOVE_HOLDERS => (self.remove, self.remove_holders) = (true, true),
            ORPHANS => (self.remove, self.orphans) = (true, true),
            'j' => self.jobs = jobs(tool, &value)?,
            JSON => self.json = true,
            'w' => self.wait = Some(wait(tool, &value)?),
            FIRST_TIME => self.first_time = true,
            'i' => self.ignore_commands = true,
            'b' => self.use_blacklist = true,
            'k' => self.autoclean = true,
            'f' => {
                self.force = true;
                (self.flags.ignore_modversions, self.flags.ignore_vermagic) = (true, true);
            }
            FORCE_MODVERSION => self.flags.ignore_modversions = true,
            FORCE_VERMAGIC => self.flags.ignore_vermagic = true,
            'D' => (self.show_depends, self.dry_run) = (true, true),
            'R' => self.show_alias = true,
            'c' => self.show_config = true,
            SHOW_MODVERSIONS => self.show_modversions = true,
            SHOW_EXPORTS => self.show_exports = true,
            'n' => self.dry_run = true,
            'd' => self.dirname = Some(value),
            'S' => self.release = Some(value),
            'C' => {
                self.inherit("-C".as_ref());
                self.inherit(&value);
                self.config.push(value);
            }
            's' => {
                self.inherit("-s".as_ref());
                tool.use_syslog();
            }
            'q' => {
                self.inherit("-q".as_ref());
                tool.silence();
            }
            'v' => {
                self.inherit("-v".as_ref());
                tool.increase_verbosity();
            }
            'V' => return Err(tool.version()),
            old => return self.set_deprecated(tool, old, value),
        }
        Ok(())
    }

    /// Sets the option that replaces a deprecated name, and prints a warning.
    fn set_deprecated(&mut self, tool: &Tool, old: char, value: OsString) -> Result<(), Error> {
        let (name, new, letter) = match old {
            REMOVE_DEPENDENCIES => ("remove-dependencies", "remove-holders", REMOVE_HOLDERS),
            RESOLVE_ALIAS => ("resolve-alias", "show-alias", 'R'),
            SHOWCONFIG => ("showconfig", "show-config", 'c'),
            DUMP_MODVERSIONS => ("dump-modversions", "show-modversions", SHOW_MODVERSIONS),
            SHOW => ("show", "dry-run", 'n'),
            _ => return Ok(()),
        };
        let text = format!("--{name} is deprecated and scheduled for removal; use --{new}");
        tool.message(Level::Warning, &text);
        self.set(tool, letter, value)
    }

    /// Returns the requested names, separated by spaces.
    pub(super) fn requested(&self) -> String {
        let names = if self.all {
            &self.operands[..]
        } else {
            &self.operands[..self.operands.len().min(1)]
        };
        let names: Vec<_> = names.iter().map(|name| escape::path(name)).collect();
        names.join(" ")
    }

    fn inherit(&mut self, word: &OsStr) {
        if !self.inherited.is_empty() {
            self.inherited.push(" ");
        }
        self.inherited.push(word);
    }
}

/// Parses milliseconds as strtoul(3) does with base 0.
fn wait(tool: &Tool, value: &OsString) -> Result<Duration, Error> {
    let text = escape::path(value);
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (&text[..], 10),
    };
    // The limit is 49 days: a much longer time could not be added to the clock.
    let number = u64::from_str_radix(digits, radix).map(|ms| ms.min(u64::from(u32::MAX)));
    number.map(Duration::from_millis).map_err(|_| {
        tool.error(&format!("unexpected wait value '{text}'."));
        Error::Reported
    })
}

/// Parses the number of parallel loads, 1 to 256.
fn jobs(tool: &Tool, value: &OsString) -> Result<usize, Error> {
    let text = escape::path(value);
    text.parse().ok().filter(|n| (1..=256).contains(n)).ok_or_else(|| {
        tool.error(&format!("unexpected jobs value '{text}'."));
        Error::Reported
    })
}

/// Splits MODPROBE_OPTIONS at spaces. `'` and `"` quote, and are removed.
fn split(text: &OsStr) -> Vec<OsString> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (Vec::new(), None);
    for byte in text.as_bytes() {
        match (byte, quote) {
            (b'\'' | b'"', None) => quote = Some(byte),
            (_, Some(open)) if open == byte => quote = None,
            (b' ', None) => words.push(OsString::from_vec(std::mem::take(&mut word))),
            _ => word.push(*byte),
        }
    }
    words.push(OsString::from_vec(word));
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::tool::Sink;
    use crate::sys::Root;
    use crate::sys::module::Kernel;
    use std::sync::Arc;

    fn read(words: &str, environment: &str) -> (Result<Options, Error>, String) {
        let sink = Sink::default();
        let tool = Tool::for_test(Root::default(), Arc::new(Kernel), &sink);
        let args: Vec<OsString> = format!("modprobe {words}").split(' ').map(Into::into).collect();
        let options = Options::parse(&tool, &args, environment.as_ref());
        (options, sink.take())
    }

    #[test]
    fn options_are_parsed() {
        let (options, output) = read("-qabf --first m -D -w 0x10 x=1", "-C '/a b' -v");
        let options = options.unwrap();
        assert!(options.all && options.use_blacklist && options.force && options.first_time);
        assert!(options.show_depends && options.dry_run && options.flags.ignore_vermagic);
        assert_eq!(options.wait, Some(Duration::from_millis(16)));
        assert_eq!(
            (options.operands, options.config),
            (vec!["m".into(), "x=1".into()], vec!["/a b".into()])
        );
        let more = read("--orphans -aj4 --json m", "").0.unwrap();
        assert!(more.remove && more.orphans && more.json && more.jobs == 4);
        assert_eq!(options.inherited, "-C '/a b' -v -C /a b -v -q");
        assert_eq!(output, "");
    }

    #[test]
    fn deprecated_names_warn_and_bad_values_fail() {
        let (options, output) = read("--resolve-alias x", "");
        assert!(options.unwrap().show_alias);
        assert_eq!(
            output,
            "modprobe: WARNING: --resolve-alias is deprecated and scheduled for removal; \
             use --show-alias\n"
        );
        for (words, want) in [
            ("-w 5x m", "modprobe: ERROR: unexpected wait value '5x'.\n"),
            ("-j 0 m", "modprobe: ERROR: unexpected jobs value '0'.\n"),
            ("--jobs=x m", "modprobe: ERROR: unexpected jobs value 'x'.\n"),
            ("--nope -V", "modprobe: unrecognized option '--nope'\n"),
        ] {
            let (options, output) = read(words, "");
            assert_eq!((options.err(), output.as_str()), (Some(Error::Reported), want));
        }
        assert!(read("--wait=010 m", "").0.unwrap().wait == Some(Duration::from_millis(8)));
        assert_eq!(read("-V --nope", "").0.err(), Some(Error::Answered));
    }
}
