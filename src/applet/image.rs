//! `coldplug image`: builds initramfs images and looks into them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Exit, out, scan};
use crate::image::{self, Compress, Modules, ModulesAs, Options, newc};
use crate::report::printable;

/// What `coldplug image --help` shows.
const HELP: &str = "\
usage: coldplug image build --kernel RELEASE -o OUT [option…]
       coldplug image list FILE

build  writes an initramfs image
  -k, --kernel RELEASE    the kernel it is for, as uname -r tells it
  -o, --output OUT        the image
  -r, --root DIR          where /lib/modules, /lib/firmware and modprobe.d hang (default /)
      --all               carry all modules (default)
  -m, --modules A,B       carry these and what they need: names, globs or @sets
                          (@filesystems @network @storage @usb-input @virtio)
      --init BINARY       the program that becomes /init (default: coldplug-init beside
                          this program or in ../lib/coldplug, else this one)
      --modules-as HOW    zstd: compress plain modules (default); plain: decompress all;
                          stored: as they are. With --compress, plain gives the smaller image
      --compress HOW      the whole archive: none (default), zstd or gzip
      --list FILE         the files, links and nodes in place of the built-in list
      --no-firmware       leave firmware out
  -q, --quiet             no summary
The date of all entries is SOURCE_DATE_EPOCH, or 0.

list   shows mode, size and name of what an image holds
";

/// The build of this program without its workbench (image, plan).
const FOR_IMAGES: &str = "coldplug-init";

/// What a command line asks for.
#[derive(Debug)]
enum Command {
    Help,
    Build { options: Box<Options>, quiet: bool },
    List(PathBuf),
}

pub(super) fn run(args: &[OsString]) -> Exit {
    let done = match parse(args.iter().cloned()) {
        Ok(Command::Help) => Ok(HELP.trim_end().to_owned()),
        Ok(Command::Build { options, quiet }) => build(&options, quiet),
        Ok(Command::List(path)) => list(&path),
        Err(error) => Err(format!("{error}; coldplug image --help shows the usage")),
    };
    match done {
        Ok(text) if text.is_empty() => Exit::Success,
        Ok(text) => {
            out::line(&text);
            Exit::Success
        }
        Err(why) => {
            out::error(&format!("coldplug image: {why}"));
            Exit::Failure
        }
    }
}

fn build(options: &Options, quiet: bool) -> Result<String, String> {
    let summary = image::build(options).map_err(|error| error.to_string())?;
    for notice in &summary.notices {
        out::error(&format!("coldplug image: {notice}"));
    }
    // What is no file may be standard output.
    let silent = quiet || fs::metadata(&options.out).is_ok_and(|out| !out.is_file());
    Ok(if silent { String::new() } else { summary.to_string() })
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(args);
    match parser.next()? {
        None | Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => Ok(Command::Help),
        Some(lexopt::Arg::Value(word)) if word == "build" => parse_build(&mut parser),
        Some(lexopt::Arg::Value(word)) if word == "list" => parse_list(&mut parser),
        Some(other) => Err(other.unexpected()),
    }
}

fn parse_list(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut file = None;
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => return Ok(Command::Help),
            lexopt::Arg::Value(path) if file.is_none() => file = Some(PathBuf::from(path)),
            other => return Err(other.unexpected()),
        }
    }
    file.map(Command::List).ok_or_else(|| "which image?".into())
}

fn parse_build(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    use lexopt::Arg::{Long, Short};
    use lexopt::ValueExt;
    let mut options = defaults();
    let mut quiet = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("kernel") | Short('k') => options.release = scan::release(parser.value()?)?,
            Long("output") | Short('o') => options.out = parser.value()?.into(),
            Long("root") | Short('r') => options.root = parser.value()?.into(),
            Long("all") => options.modules = Modules::All,
            Long("modules") | Short('m') => {
                let words = parser.value()?.string()?;
                add_modules(&mut options.modules, &words);
            }
            Long("init") => options.init = parser.value()?.into(),
            Long("modules-as") => options.modules_as = parser.value()?.parse_with(modules_as)?,
            Long("compress") => options.compress = parser.value()?.parse_with(compress)?,
            Long("list") => options.list = Some(parser.value()?.into()),
            Long("no-firmware") => options.firmware = false,
            Long("quiet") | Short('q') => quiet = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.release.is_empty() {
        return Err("--kernel RELEASE is missing".into());
    }
    if options.out.file_name().is_none() {
        return Err("-o OUT is missing or not a file's name".into());
    }
    options.mtime = mtime(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
    Ok(Command::Build { options: Box::new(options), quiet })
}

fn defaults() -> Options {
    Options {
        release: String::new(),
        root: PathBuf::from("/"),
        out: PathBuf::new(),
        modules: Modules::All,
        init: default_init(),
        modules_as: ModulesAs::default(),
        compress: Compress::default(),
        list: None,
        firmware: true,
        mtime: 0,
    }
}

/// The program that is made for images, where it lies beside this one or in ../lib/coldplug; else this one, which
/// carries its workbench along.
fn default_init() -> PathBuf {
    let this = PathBuf::from("/proc/self/exe");
    let Ok(own) = fs::read_link(&this) else { return this };
    let dir = own.parent().unwrap_or(&own);
    let places = [dir.join(FOR_IMAGES), dir.join("../lib/coldplug").join(FOR_IMAGES)];
    places.into_iter().find(|place| place.is_file()).unwrap_or(this)
}

/// Several `--modules` add up.
fn add_modules(modules: &mut Modules, words: &str) {
    let new = words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned);
    match modules {
        Modules::Named(names) => names.extend(new),
        Modules::All => *modules = Modules::Named(new.collect()),
    }
}

fn modules_as(word: &str) -> Result<ModulesAs, String> {
    match word {
        "zstd" => Ok(ModulesAs::Zstd),
        "plain" => Ok(ModulesAs::Plain),
        "stored" => Ok(ModulesAs::Stored),
        _ => Err("not zstd, plain or stored".to_owned()),
    }
}

fn compress(word: &str) -> Result<Compress, String> {
    match word {
        "none" => Ok(Compress::None),
        "zstd" => Ok(Compress::Zstd),
        "gzip" => Ok(Compress::Gzip),
        _ => Err("not none, zstd or gzip".to_owned()),
    }
}

/// The date of entries; newc has 32 bits for it.
fn mtime(source_date_epoch: Option<&str>) -> Result<u32, lexopt::Error> {
    match source_date_epoch {
        None | Some("") => Ok(0),
        Some(text) => {
            text.parse().map_err(|_| format!("SOURCE_DATE_EPOCH '{text}' is no date").into())
        }
    }
}

/// The lines for all entries; a damaged image has none.
fn list(path: &Path) -> Result<String, String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let bytes = fs::read(path).map_err(|error| failed(&error))?;
    let archives = image::read::archives(&bytes).map_err(|error| failed(&error))?;
    if archives.is_empty() {
        return Err(failed(&"no archive in it"));
    }
    let members = archives.iter().flat_map(|archive| newc::read(archive));
    let lines = members.map(|member| member.map(|member| line(&member)));
    let lines: Vec<_> = lines.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    Ok(lines.join("\n"))
}

/// One line as of `ls -l`: mode, owner, size or device, name, a link's target.
fn line(member: &newc::Member<'_>) -> String {
    let name = printable(&String::from_utf8_lossy(member.name));
    let size = match member.device {
        (major, minor) if member.is_device() => format!("{major}, {minor}"),
        _ => member.data.len().to_string(),
    };
    let target = match member.is_link() {
        true => format!(" -> {}", printable(&String::from_utf8_lossy(member.data))),
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

    // The first argument that lexopt sees is the program's name.
    fn build(args: &str) -> Options {
        match parsed(&format!("image build {args}")) {
            Ok(Command::Build { options, .. }) => *options,
            other => panic!("{args}: {other:?}"),
        }
    }

    #[test]
    fn options_are_understood() {
        let options = build("--kernel 6.1 -o out");
        assert_eq!((options.modules, options.modules_as), (Modules::All, ModulesAs::Zstd));
        assert_eq!((options.compress, options.firmware), (Compress::None, true));
        assert_eq!(options.init, Path::new("/proc/self/exe"));

        let options = build("-k6.1 -o out -m a,@virtio, --modules=b-c --no-firmware --root /r");
        let names = ["a", "@virtio", "b-c"].map(str::to_owned).to_vec();
        assert_eq!(options.modules, Modules::Named(names));
        assert_eq!((options.root.as_path(), options.firmware), (Path::new("/r"), false));

        let options =
            build("--kernel=6.1 -o out --modules-as=stored --compress gzip --list l --init i");
        assert_eq!((options.modules_as, options.compress), (ModulesAs::Stored, Compress::Gzip));
        assert_eq!((options.list, options.init), (Some("l".into()), "i".into()));
    }

    #[test]
    fn nonsense_is_refused() {
        for (args, why) in [
            ("build -o out", "--kernel RELEASE is missing"),
            ("build -k ../x -o out", "--kernel '../x' is not a release"),
            ("build -k . -o out", "--kernel '.' is not a release"),
            ("build -k 6.1", "-o OUT is missing"),
            ("build -k 6.1 -o /", "-o OUT is missing"),
            ("build -k 6.1 -o out --compress xz", "not none, zstd or gzip"),
            ("build -k 6.1 -o out extra", "unexpected argument"),
            ("list", "which image?"),
            ("list a b", "unexpected argument"),
            ("frob", "unexpected argument"),
        ] {
            let error = parsed(&format!("image {args}")).unwrap_err();
            assert!(error.contains(why), "{args}: {error}");
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
