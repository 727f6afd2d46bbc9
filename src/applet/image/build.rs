//! `coldplug image build`: its options, and the summary.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::{Command, settings, usage};
use crate::applet::args;
use crate::applet::message::{self, Error};
use crate::image::{self, CacheChoice, Compress, Init, ModuleFormat, Modules, Options, Shell};
use crate::sys::{Root, atomic_file};

/// What to build.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) options: Options,
    pub(super) quiet: bool,
    /// Whether image.conf is read.
    is_configured: bool,
}

/// Builds an image. Returns the summary to print.
pub(super) fn build(options: &Options, quiet: bool) -> Result<String, Error> {
    let to_stdout = atomic_file::is_standard_output(&options.out);
    if to_stdout && io::stdout().is_terminal() {
        return Err(usage("standard output is a terminal; redirect it"));
    }
    let summary = image::build(options).map_err(|error| match error.hint() {
        Some(hint) => Error::Hinted(error.to_string(), hint),
        None => Error::Failed(error.to_string()),
    })?;
    for notice in &summary.notices {
        message::warn("image", &notice.to_string());
    }
    // An output that is not a regular file may be standard output.
    let silent = quiet || to_stdout || fs::metadata(&options.out).is_ok_and(|out| !out.is_file());
    Ok(if silent { String::new() } else { summary.to_string() })
}

/// Parses the options of the command.
pub(super) fn parse(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let words: Vec<OsString> = parser.raw_args()?.collect();
    // lexopt takes the first word for the name of the program.
    let again = || lexopt::Parser::from_iter([OsString::new()].iter().chain(&words));
    let mut build = Build::default();
    if !build.add(&mut again())? {
        return Ok(Command::Help);
    }
    if build.is_configured {
        build = configured(&build.options.root)?;
        build.add(&mut again())?;
    }
    if build.options.release.is_empty() {
        return Err(usage("--kernel RELEASE is missing"));
    }
    if build.options.out.file_name().is_none() {
        return Err(usage("-o OUT is missing or not the name of a file"));
    }
    build.complete()?;
    build.check_list()?;
    Ok(Command::Build(Box::new(build)))
}

/// Returns the build that image.conf below `root` asks for, without a path of the image. Files that
/// are skipped are reported.
///
/// # Errors
/// A file cannot be read, or a line is wrong.
fn configured(root: &Path) -> Result<Build, Error> {
    let mut build = settings::read(&Root::at(root))?;
    build.options.out = PathBuf::new();
    Ok(build)
}

impl Build {
    /// Adds the options of a command line. Returns `false` if it asks for help.
    ///
    /// # Errors
    /// An option is unknown or has a wrong value.
    pub(super) fn add(&mut self, parser: &mut lexopt::Parser) -> Result<bool, Error> {
        use lexopt::Arg::{Long, Short};
        use lexopt::ValueExt;
        let Self { options, quiet, is_configured } = self;
        while let Some(arg) = parser.next()? {
            match arg {
                Long("help") | Short('h') => return Ok(false),
                Long("kernel") | Short('k') => options.release = args::release(parser.value()?)?,
                Long("output") | Short('o') => options.out = parser.value()?.into(),
                Long("root") | Short('r') => options.root = parser.value()?.into(),
                Long("all") => options.modules = Modules::All,
                Long("modules") | Short('m') => {
                    let words = parser.value()?.string()?;
                    add_modules(&mut options.modules, &words);
                }
                Long("init") => options.init = Init::Program(parser.value()?.into()),
                Long("boot-only") => options.init = Init::BootOnly,
                Long("modules-as") => {
                    options.module_format = parser.value()?.parse_with(module_format)?;
                }
                Long("cache") => options.cache = CacheChoice::Dir(parser.value()?.into()),
                Long("no-cache") => options.cache = CacheChoice::Off,
                Long("compress") => options.compress = parser.value()?.parse_with(compress)?,
                Long("as-list") => options.as_list = true,
                Long("configured") => *is_configured = true,
                Long("list") => options.list = Some(parser.value()?.into()),
                Long("no-firmware") => options.firmware = false,
                Long("generic") => options.generic = true,
                Long("shell") => {
                    let path = parser.optional_value().filter(|path| !path.is_empty());
                    let shell = path.map_or(Shell::Any, |path| Shell::Program(path.into()));
                    options.shell = Some(shell);
                }
                Long("shell-password-hash") => {
                    options.shell_password = Some(parser.value()?.string()?);
                }
                Long("quiet") | Short('q') => *quiet = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(true)
    }

    /// Checks what goes with a list instead of an archive.
    ///
    /// # Errors
    /// The list has no directory beside it, or is to be compressed.
    fn check_list(&self) -> Result<(), Error> {
        let Options { as_list, out, compress, .. } = &self.options;
        match *as_list {
            true if atomic_file::is_standard_output(out) => {
                Err(usage("--as-list writes files beside OUT, which cannot be standard output"))
            }
            true if *compress != Compress::None => {
                Err(usage("--as-list writes no archive that --compress could compress"))
            }
            _ => Ok(()),
        }
    }

    /// Sets what follows from all options together, and from the environment.
    ///
    /// # Errors
    /// SOURCE_DATE_EPOCH is no date.
    pub(super) fn complete(&mut self) -> Result<(), Error> {
        let options = &mut self.options;
        if options.init == Init::BootOnly && options.module_format == ModuleFormat::Zstd {
            options.module_format = ModuleFormat::AllZstd;
        }
        options.mtime = mtime(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
        Ok(())
    }
}

impl Default for Build {
    fn default() -> Self {
        Self { options: defaults(), quiet: false, is_configured: false }
    }
}

fn defaults() -> Options {
    Options {
        release: String::new(),
        root: PathBuf::from("/"),
        out: PathBuf::new(),
        modules: Modules::All,
        init: Init::Smallest,
        module_format: ModuleFormat::default(),
        compress: Compress::default(),
        as_list: false,
        list: None,
        firmware: true,
        shell: None,
        shell_password: None,
        generic: false,
        cache: CacheChoice::Default,
        mtime: 0,
    }
}

/// Adds the words of one `--modules`; the option may occur several times.
fn add_modules(modules: &mut Modules, words: &str) {
    let new = words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned);
    match modules {
        Modules::Named(names) => names.extend(new),
        Modules::All => *modules = Modules::Named(new.collect()),
    }
}

fn module_format(word: &str) -> Result<ModuleFormat, String> {
    match word {
        "zstd" => Ok(ModuleFormat::Zstd),
        "plain" => Ok(ModuleFormat::Plain),
        "stored" => Ok(ModuleFormat::Stored),
        _ => Err("expected zstd, plain or stored".to_owned()),
    }
}

fn compress(word: &str) -> Result<Compress, String> {
    match word {
        "none" => Ok(Compress::None),
        "zstd" => Ok(Compress::Zstd),
        "gzip" => Ok(Compress::Gzip),
        _ => Err("expected none, zstd or gzip".to_owned()),
    }
}

/// Parses the date of the entries, in seconds since 1970; newc has 32 bits for it.
fn mtime(source_date_epoch: Option<&str>) -> Result<u32, Error> {
    match source_date_epoch {
        None | Some("") => Ok(0),
        Some(text) => text
            .parse()
            .map_err(|_| usage(&format!("SOURCE_DATE_EPOCH '{text}' is not a number of 32 bits"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::path::Path;

    fn parsed(args: &str) -> Result<Command, String> {
        super::super::parse(args.split_whitespace().map(OsString::from))
            .map_err(|error| error.to_string())
    }

    // lexopt expects the name of the program as the first argument.
    fn build(args: &str) -> Options {
        match parsed(&format!("image build {args}")) {
            Ok(Command::Build(build)) => build.options,
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn options_are_parsed() {
        let options = build("--kernel 6.1 -o out");
        assert_eq!((options.modules, options.module_format), (Modules::All, ModuleFormat::Zstd));
        assert_eq!((options.compress, options.firmware), (Compress::None, true));
        assert_eq!(options.init, Init::Smallest);

        let options = build("-k6.1 -o out -m a,@virtio, --modules=b-c --no-firmware --root /r");
        let names = ["a", "@virtio", "b-c"].map(str::to_owned).to_vec();
        assert_eq!(options.modules, Modules::Named(names));
        assert_eq!((options.root.as_path(), options.firmware), (Path::new("/r"), false));

        let shell = |args: &str| build(&format!("-k 6.1 -o out {args}")).shell;
        assert_eq!((shell(""), shell("--shell")), (None, Some(Shell::Any)));
        assert_eq!(shell("--shell=/x/sh"), Some(Shell::Program("/x/sh".into())));

        let small = build("-k 6.1 -o out --boot-only");
        assert_eq!((small.init, small.module_format), (Init::BootOnly, ModuleFormat::AllZstd));
        let options =
            build("--kernel=6.1 -o out --modules-as=stored --compress gzip --list l --init i");
        assert_eq!(
            (options.module_format, options.compress),
            (ModuleFormat::Stored, Compress::Gzip)
        );
        assert_eq!((options.list, options.init), (Some("l".into()), Init::Program("i".into())));
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        for (args, message) in [
            ("build -o out", "--kernel RELEASE is missing"),
            ("build -k ../x -o out", "--kernel '../x' is not a release"),
            ("build -k . -o out", "--kernel '.' is not a release"),
            ("build -k 6.1", "-o OUT is missing"),
            ("build -k 6.1 -o /", "-o OUT is missing"),
            ("build -k 6.1 -o ..", "-o OUT is missing"),
            ("build -k 6.1 -o out --compress xz", "expected none, zstd or gzip"),
            ("build -k 6.1 -o out extra", "unexpected argument"),
            ("build -k 6.1 -o - --as-list", "cannot be standard output"),
            ("build -k 6.1 -o out --as-list --compress zstd", "writes no archive"),
        ] {
            let error = parsed(&format!("image {args}")).unwrap_err();
            assert!(error.contains(message), "{args}: {error}");
        }
    }

    #[test]
    fn dates_fit_the_archive() {
        assert_eq!(mtime(None).unwrap(), 0);
        assert_eq!(mtime(Some("4294967295")).unwrap(), u32::MAX);
        for text in ["4294967296", "-1", "x"] {
            assert!(mtime(Some(text)).is_err(), "{text}");
        }
    }
}
