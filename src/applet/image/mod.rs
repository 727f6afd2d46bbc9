//! `coldplug image`: builds initramfs images, keeps those of the installed kernels up to date, and
//! lists their contents.

mod settings;
mod update;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::message::Error;
use super::{args, message, out};
use crate::escape;
use crate::image::newc::Member;
use crate::image::{self, CacheChoice, Compress, Init, ModuleFormat, Modules, Options, Shell};
use crate::sys::atomic_file;
use crate::sys::regular_file;

const HELP: &str = "\
usage: coldplug image build --kernel RELEASE -o OUT [option…]
       coldplug image update [-k RELEASE|all] [option…]
       coldplug image remove -k RELEASE [option…]
       coldplug image list FILE

build  Write an initramfs image to OUT.
  -k, --kernel RELEASE    kernel release of the modules, as printed by uname -r
  -o, --output OUT        path of the image; '-' is standard output
  -r, --root DIR          use /lib/modules, /lib/firmware and modprobe.d below DIR (default: /)
      --all               include all modules (default)
  -m, --modules A,B       include these modules and their dependencies: names, globs or @sets
                          (@crypt @filesystems @lvm @network @raid @soc @storage @usb-input
                          @virtio)
      --init BINARY       program for /init (default: coldplug-init, or coldplug-init-stacks if the
                          image can have a root on LUKS, LVM or md, in the directory of this
                          program or in ../lib/coldplug; else this program. For a kernel of
                          another machine: in the directory ARCH of these, such as aarch64)
      --boot-only         take coldplug-init-boot for /init, which is half as large: it only boots
                          from a filesystem on a disk; it has no rescue prompt and no tools.
                          Modules that xz or gzip has compressed are compressed with zstd instead
      --modules-as FORMAT zstd: compress plain modules (default); plain: decompress all
                          modules; stored: keep the files unchanged.
                          With --compress, plain makes the smaller image
      --cache DIR         keep packed modules in DIR, which makes the next build fast
                          (default: /var/cache/coldplug if it exists and can be written)
      --no-cache          pack all modules anew
      --compress CODEC    compress the whole archive: none (default), zstd or gzip
      --list FILE         read the files, links and device nodes from FILE, a list for
                          gen_init_cpio, instead of the built-in list; '-' is standard input
      --no-firmware       leave out firmware
      --generic           leave out the root's crypttab with its key files, mdadm.conf, settings
                          of LVM and host name
      --shell[=PATH]      include a shell for a boot that fails: busybox or bash of the root, or
                          the program PATH, with the libraries it needs
      --shell-password-hash HASH|FILE
                          ask for a password before a shell; its hash as made by
                          'openssl passwd -6', or a file that holds it
  -q, --quiet             print no summary
The date of all entries is SOURCE_DATE_EPOCH if it is set, else 0.

update Build the images of the installed kernels as image.conf says, and check each before it
       replaces the one that is there. If that fails or there is no space, the old image stays.
       Images that were written for kernels which are not installed any more are removed.
  -k, --kernel RELEASE    only of this kernel; with 'all' of every installed one (default)
  -o, --output OUT        path of the images, with %v for the release (default: as in image.conf,
                          else /boot/initrd.img-%v); '%v' may be missing if there is one kernel
  -r, --root DIR          the system below DIR, with its image.conf (default: /)
  -q, --quiet             print no summary

remove Remove the image that was written for a kernel.
  -k, --kernel RELEASE    release of the kernel
  -o, --output OUT, -r, --root DIR, -q, --quiet   as for update

list   Print mode, owner, size and name of each entry of the image FILE; '-' is standard input.
       A last line tells of an appended bootconfig.
       If the image is damaged, print the entries before the damage and exit with status 1.
";

/// Size in bytes of what is read and printed at once.
const CHUNK: usize = 1 << 16;

/// A parsed command line.
#[derive(Debug)]
enum Command {
    Help,
    Build(Box<Build>),
    Update(update::Request),
    Remove(update::Request),
    List(PathBuf),
}

/// What to build.
#[derive(Debug)]
struct Build {
    options: Options,
    quiet: bool,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let text = match parse(args.iter().cloned())? {
        Command::Help => HELP.to_owned(),
        Command::Build(request) => build(&request.options, request.quiet)?,
        Command::Update(request) => return update::update(&request),
        Command::Remove(request) => return update::remove(&request),
        Command::List(path) => return list(&path),
    };
    out::text(&text);
    Ok(())
}

fn build(options: &Options, quiet: bool) -> Result<String, Error> {
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

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    match parser.next()? {
        None | Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => Ok(Command::Help),
        Some(lexopt::Arg::Value(word)) if word == "build" => parse_build(&mut parser),
        Some(lexopt::Arg::Value(word)) if word == "list" => parse_list(&mut parser),
        Some(lexopt::Arg::Value(word)) if word == "update" => update::parse(&mut parser),
        Some(lexopt::Arg::Value(word)) if word == "remove" => update::parse_remove(&mut parser),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn parse_list(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let mut file = None;
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Help),
            lexopt::Arg::Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected().into()),
        }
    }
    file.map(Command::List).ok_or_else(|| usage("FILE is missing"))
}

fn parse_build(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let mut build = Build::default();
    if !build.add(parser)? {
        return Ok(Command::Help);
    }
    if build.options.release.is_empty() {
        return Err(usage("--kernel RELEASE is missing"));
    }
    if build.options.out.file_name().is_none() {
        return Err(usage("-o OUT is missing or not the name of a file"));
    }
    build.complete()?;
    Ok(Command::Build(Box::new(build)))
}

impl Build {
    /// Adds the options of a command line. Returns `false` if it asks for help.
    ///
    /// # Errors
    /// An option is unknown or has a wrong value.
    fn add(&mut self, parser: &mut lexopt::Parser) -> Result<bool, Error> {
        use lexopt::Arg::{Long, Short};
        use lexopt::ValueExt;
        let Self { options, quiet } = self;
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

    /// Sets what follows from all options together, and from the environment.
    ///
    /// # Errors
    /// SOURCE_DATE_EPOCH is no date.
    fn complete(&mut self) -> Result<(), Error> {
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
        Self { options: defaults(), quiet: false }
    }
}

fn usage(text: &str) -> Error {
    Error::Usage(text.to_owned())
}

fn defaults() -> Options {
    Options {
        release: String::new(),
        root: PathBuf::from("/"),
        out: PathBuf::new(),
        modules: Modules::All,
        init: Init::Smallest,
        module_format: ModuleFormat::default(),
        cache: CacheChoice::default(),
        compress: Compress::default(),
        list: None,
        firmware: true,
        shell: None,
        shell_password: None,
        generic: false,
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

/// Prints a line for each entry of an image as it is read. A damaged image is an error after the
/// lines of the entries before the damage.
fn list(path: &Path) -> Result<(), Error> {
    if path == Path::new("-") {
        return list_entries("standard input", &mut io::stdin().lock());
    }
    let file = regular_file::open(path)?;
    list_entries(&escape::path(path), &mut BufReader::with_capacity(CHUNK, file))
}

fn list_entries(name: &str, image: &mut dyn BufRead) -> Result<(), Error> {
    let failed = |why: &dyn std::fmt::Display| Error::Failed(format!("{name}: {why}"));
    let mut lines = String::new();
    let contents = image::read::entries(image, &mut |member| {
        lines += &line(member);
        lines.push('\n');
        if lines.len() >= CHUNK {
            out::part(&lines);
            lines.clear();
        }
        // Nobody reads the rest.
        if out::has_failed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    out::part(&lines);
    let contents = contents.map_err(|error| failed(&error))?;
    if let Some((offset, size)) = contents.bootconfig {
        out::line(&format!("bootconfig: {size} bytes at offset {offset}"));
    } else if contents.archives == 0 {
        return Err(failed(&"the image is empty"));
    }
    Ok(())
}

/// Returns a line in the form of `ls -l`: mode, owner, size or device number, name, link target.
fn line(member: &Member) -> String {
    let name = String::from_utf8_lossy(&member.name);
    let name = escape::line(&name);
    let size = match member.device {
        (major, minor) if member.is_device() => format!("{major}, {minor}"),
        _ => member.size.to_string(),
    };
    let target = match member.is_link() {
        true => format!(" -> {}", escape::line(&String::from_utf8_lossy(&member.target))),
        false => String::new(),
    };
    let (uid, gid) = (member.uid, member.gid);
    format!("{} {uid}/{gid} {size:>10} {name}{target}", member.mode_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &str) -> Result<Command, String> {
        parse(args.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
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

        let cache = |args: &str| build(&format!("-k 6.1 -o out {args}")).cache;
        assert_eq!(cache(""), CacheChoice::Default);
        assert_eq!(cache("--cache /c"), CacheChoice::Dir("/c".into()));
        assert_eq!(cache("--cache=/c --no-cache"), CacheChoice::Off);

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
            ("list", "FILE is missing"),
            ("list a b", "unexpected argument"),
            ("frob", "unexpected argument"),
        ] {
            let error = parsed(&format!("image {args}")).unwrap_err();
            assert!(error.contains(message), "{args}: {error}");
        }
        assert!(matches!(parsed("image"), Ok(Command::Help)));
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
