//! `coldplug image build`: its options, and the summary.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::{Command, settings, usage};
use crate::applet::args::Args;
use crate::applet::message::{self, Error};
use crate::applet::progress::Progress;
use crate::applet::usage::{Opt, Usage};
use crate::applet::{args, capture_file};
use crate::escape;
use crate::image::update::image_path;
use crate::image::{
    self, CacheChoice, Compress, Extra, Fsck, Include, Init, Keymap, MicrocodeChoice, ModuleFormat,
    Modules, Options, Shell, installed,
};
use crate::sys::{Root, atomic_file, procfs};

pub(super) static USAGE: Usage = Usage::new("image build", "write an initramfs image")
    .text(
        "-o OUT [option…]\n\n\
         The date of all entries is SOURCE_DATE_EPOCH if it is set, else 0.",
    )
    .options(&[
        Opt('\0', ": Kernel and image"),
        Opt('k', "kernel=RELEASE,…: kernel release of the modules, as printed by uname -r (default: the running kernel, \
             or the only one below DIR). May occur several times: the image then boots each of \
             these kernels"),
        Opt('o', "output=OUT: path of the image; '-' is standard output"),
        Opt('r', "root=DIR: use /lib/modules, /lib/firmware and modprobe.d below DIR (default: /)"),
        Opt('\0', "configured: begin with the options of image.conf below the root; those of the command line \
             replace them, but --modules, --board, --with and --include add to them"),
        Opt('\0', "compress=CODEC: compress the whole archive: none (default), zstd (levels 1 to 22, as in zstd:19), xz \
             (0 to 9), gzip (1 to 9) or lz4 (1 to 12)"),
        Opt('\0', "as-list: write to OUT a list for the kernel's gen_init_cpio instead of an archive, and what \
             only the image has to the directory OUT.files"),
        Opt('\0', "manifest=FILE: write to FILE, as JSON, what the image holds and why"),
        Opt('q', "quiet: print no summary"),
        Opt('\0', ": Modules"),
        Opt('\0', "all: include all modules (default, unless other options choose some)"),
        Opt('m', "modules=MODULE,…: include these modules and their dependencies: names, aliases, globs or @sets (@crypt \
             @filesystems @gpu @lvm @network @raid @rescue @soc @storage @usb-input @virtio \
             @wireless)"),
        Opt('\0', "board=FILE: include the modules that a boot would load on the machine in FILE, as coldplug scan \
             --save has written it or a serial line has logged it, and those that its root needs; \
             any number of times"),
        Opt('\0', "host: include the modules of this machine, by /sys, /proc and /dev below DIR, with all that \
             its root, /usr and swap are on"),
        Opt('\0', "with=EXTRA,…: include also rescue (keyboards, removable disks and the usual filesystems), gpu or \
             wireless (drivers and firmware of all GPUs or wireless adapters, whose firmware is \
             else left out unless --board, --host or the name of a module asks for it)"),
        Opt('\0', "modules-as=zstd|plain|stored: zstd: compress plain modules (default); plain: decompress all modules; stored: keep \
             the files unchanged. With --compress, plain makes the smaller image"),
        Opt('\0', "cache=DIR: keep packed modules in DIR, which makes the next build fast (default: \
             /var/cache/coldplug if it exists and can be written)"),
        Opt('\0', "no-cache: pack all modules anew"),
        Opt('\0', "trim-indexes: leave out of the index files what is about modules that are not in the image, which \
             the boot then cannot name as missing"),
        Opt('\0', "no-firmware: leave out firmware"),
        Opt('\0', "microcode[=VENDOR|DIR]: put microcode in front of the image: for the processor of this machine (auto, \
             default), amd, intel, all, or all of DIR, which has amd-ucode and intel-ucode"),
        Opt('\0', ": Programs and files"),
        Opt('\0', "init=FILE: program for /init (default: coldplug-init, or coldplug-init-stacks if the image can \
             have a root on LUKS, LVM or md, in the directory of this program or in \
             ../lib/coldplug; else this program. For a kernel of another machine: in the directory \
             ARCH of these, such as aarch64)"),
        Opt('\0', "boot-only: take coldplug-init-boot for /init, which is half as large: it only boots from a \
             filesystem on a disk; it has no rescue prompt, no keymap and no tools. Modules that \
             xz or gzip has compressed are compressed with zstd instead"),
        Opt('\0', "list=FILE: read the files, links and device nodes from FILE, a list for gen_init_cpio, instead \
             of the built-in list; '-' is standard input"),
        Opt('\0', "include=SRC[:/DST]: include the file or the tree SRC of this machine, as DST; programs bring their \
             libraries. May occur several times"),
        Opt('\0', "fsck[=TYPE,…]: include the programs that check filesystems: of these types, or of all that the image \
             can mount"),
        Opt('\0', "keymap[=NAME|FILE]: include the keymap of the console: that of the root's configuration, a name below \
             usr/share/keymaps, or a file"),
        Opt('\0', "shell[=FILE]: include a shell for a boot that fails: busybox or bash of the root, or the program \
             FILE, with the libraries it needs"),
        Opt('\0', "shell-password-hash=HASH|FILE: ask for a password before a shell; its hash as made by 'openssl passwd -6', or a file \
             that holds it"),
        Opt('\0', "generic: leave out the root's crypttab with its key files, mdadm.conf, settings of LVM and \
             host name"),
    ]);

/// What to build.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) options: Options,
    pub(super) quiet: bool,
    /// Whether image.conf is read.
    is_configured: bool,
    /// Whether all modules are asked for by name, not by default.
    is_all: bool,
}

/// Builds an image. Returns the summary to print.
pub(super) fn build(options: &Options, quiet: bool) -> Result<String, Error> {
    let to_stdout = atomic_file::is_standard_output(&options.out);
    if to_stdout && io::stdout().is_terminal() {
        return Err(usage("standard output is a terminal; redirect it"));
    }
    let mut bar = Progress::new(!quiet && io::stderr().is_terminal());
    let mut progress = |label, done, total| bar.update(label, done, total);
    let summary = image::build_with_progress(options, &mut progress)?;
    for notice in &summary.notices {
        message::warn("image", &notice.to_string());
    }
    // An output that is not a regular file may be standard output.
    let manifest = options.manifest.as_deref().is_some_and(atomic_file::is_standard_output);
    let silent = quiet
        || to_stdout
        || manifest
        || fs::metadata(&options.out).is_ok_and(|out| !out.is_file());
    Ok(if silent { String::new() } else { summary.to_string() })
}

/// Parses the options of the command, which `args` returns anew each time.
pub(super) fn parse(args: impl Fn() -> Args) -> Result<Command, Error> {
    let mut build = Build::default();
    build.add(args())?;
    let mut manifest = None;
    if build.is_configured {
        build = configured(&build.options.root)?;
        manifest = build.options.manifest.take();
        build.add(args())?;
    }
    if build.options.out.file_name().is_none() {
        return Err(usage("-o OUT is missing or not the name of a file"));
    }
    build.complete()?;
    build.check()?;
    if build.options.release.is_empty() {
        build.options.release = default_release(&build.options.root)?;
    }
    let options = &mut build.options;
    if let (Some(pattern), None) = (manifest, &options.manifest) {
        let root = Root::at(&options.root);
        options.manifest = Some(image_path(&root, &pattern, &options.release));
    }
    Ok(Command::Build(Box::new(build)))
}

/// Returns the release of the kernel that is meant without `--kernel`: the running one, or below a
/// root that is named the only one that has modules there.
///
/// # Errors
/// The release is not known, or there are none or several.
fn default_release(root: &Path) -> Result<String, Error> {
    if root == Path::new("/") {
        return Ok(procfs::sysctl(&Root::default(), "kernel/osrelease")?);
    }
    let releases = installed::releases_with_modules(&Root::at(root));
    args::only_release(releases, root)?.ok_or_else(|| {
        Error::Hinted(
            format!("{}: no modules of any kernel", escape::path(&root)),
            "install a kernel there, or name another root with --root".into(),
        )
    })
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
    /// Adds the options of a command line.
    ///
    /// # Errors
    /// An option is unknown or has a wrong value; or help is asked for.
    pub(super) fn add(&mut self, mut args: Args) -> Result<(), Error> {
        while let Some((name, value)) = args.next_named()? {
            self.set(name, value)?;
        }
        Ok(())
    }

    /// Sets the option `name`.
    ///
    /// # Errors
    /// The value is wrong, or there is no name and this is an operand.
    fn set(&mut self, name: &str, value: OsString) -> Result<(), Error> {
        let Self { options, quiet, is_configured, is_all } = self;
        match name {
            "kernel" => add_kernels(options, &value)?,
            "output" => options.out = value.into(),
            "root" => options.root = value.into(),
            "all" => (options.modules, *is_all) = (Modules::All, true),
            "modules" => {
                add_modules(&mut options.modules, args::text(&value)?);
                *is_all = false;
            }
            "board" => options.boards.push(capture_file::read(value.as_ref())?),
            "host" => options.host = true,
            "with" => options.extras.extend(extras(args::text(&value)?)?),
            "init" => options.init = Init::Program(value.into()),
            "boot-only" => options.init = Init::BootOnly,
            "modules-as" => options.module_format = parsed(&value, module_format)?,
            "cache" => options.cache = CacheChoice::Dir(value.into()),
            "no-cache" => options.cache = CacheChoice::Off,
            "compress" => options.compress = parsed(&value, str::parse)?,
            "as-list" => options.as_list = true,
            "manifest" => options.manifest = Some(value.into()),
            "configured" => *is_configured = true,
            "list" => options.list = Some(value.into()),
            "trim-indexes" => options.trims_indexes = true,
            "no-firmware" => options.firmware = false,
            "generic" => options.generic = true,
            "microcode" => options.microcode = Some(microcode(value)),
            "include" => options.includes.push(Include::parse(Path::new(&value))),
            "fsck" => options.fsck = Some(fsck(&value)?),
            "keymap" if value.is_empty() => options.keymap = Some(Keymap::Configured),
            "keymap" => options.keymap = Some(Keymap::Named(value.into())),
            "shell" if value.is_empty() => options.shell = Some(Shell::Any),
            "shell" => options.shell = Some(Shell::Program(value.into())),
            "shell-password-hash" => options.shell_password = Some(args::text(&value)?.to_owned()),
            "quiet" => *quiet = true,
            _ => return Err(Error::unexpected(&value)),
        }
        Ok(())
    }

    /// Checks what goes together: a list instead of an archive with other options, and two files on
    /// standard output.
    ///
    /// # Errors
    /// The list has no directory beside it, or is to be compressed; the manifest is on standard
    /// output together with the image.
    fn check(&self) -> Result<(), Error> {
        let Options { as_list, out, compress, manifest, microcode, .. } = &self.options;
        let is_manifest_there = manifest.as_deref().is_some_and(atomic_file::is_standard_output);
        if is_manifest_there && atomic_file::is_standard_output(out) {
            return Err(usage("OUT and the file of --manifest cannot both be standard output"));
        }
        match *as_list {
            true if atomic_file::is_standard_output(out) => {
                Err(usage("--as-list writes files beside OUT, which cannot be standard output"))
            }
            true if microcode.is_some() => {
                Err(usage("--as-list writes no archive that --microcode could be in front of"))
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
        let is_for_machines = options.host || !options.boards.is_empty();
        if is_for_machines && !self.is_all && options.modules == Modules::All {
            options.modules = Modules::Named(Vec::new());
        }
        options.mtime = mtime(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
        Ok(())
    }
}

impl Default for Build {
    fn default() -> Self {
        Self { options: defaults(), quiet: false, is_configured: false, is_all: false }
    }
}

/// Returns the options of a build without any.
pub(in crate::applet) fn defaults() -> Options {
    Options {
        release: String::new(),
        more_releases: Vec::new(),
        root: PathBuf::from("/"),
        out: PathBuf::new(),
        modules: Modules::All,
        boards: Vec::new(),
        host: false,
        extras: Vec::new(),
        init: Init::Smallest,
        module_format: ModuleFormat::default(),
        compress: Compress::default(),
        as_list: false,
        manifest: None,
        list: None,
        trims_indexes: false,
        firmware: true,
        microcode: None,
        includes: Vec::new(),
        fsck: None,
        keymap: None,
        shell: None,
        shell_password: None,
        generic: false,
        cache: CacheChoice::Default,
        mtime: 0,
    }
}

/// Adds the releases of one `--kernel`; the option may occur several times.
///
/// # Errors
/// A word is no release.
fn add_kernels(options: &mut Options, words: &OsStr) -> Result<(), Error> {
    for word in words.as_encoded_bytes().split(|byte| *byte == b',') {
        let release = args::release(crate::sys::path(word).into())?;
        if options.release.is_empty() {
            options.release = release;
        } else if options.release != release && !options.more_releases.contains(&release) {
            options.more_releases.push(release);
        }
    }
    Ok(())
}

/// Adds the words of one `--modules`; the option may occur several times.
fn add_modules(modules: &mut Modules, words: &str) {
    let new = words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned);
    match modules {
        Modules::Named(names) => names.extend(new),
        Modules::All => *modules = Modules::Named(new.collect()),
    }
}

/// Parses the words of one `--with`.
fn extras(words: &str) -> Result<Vec<Extra>, Error> {
    let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    let parse = |word| {
        let text = || usage(&format!("--with '{word}': expected rescue, gpu or wireless"));
        Extra::parse(word).ok_or_else(text)
    };
    words.map(parse).collect()
}

/// Parses a value.
///
/// # Errors
/// It is no such value: the message quotes it.
fn parsed<T, E: std::fmt::Display>(
    value: &OsStr,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, Error> {
    let word = args::text(value)?;
    let wrong = |error| usage(&format!("invalid value '{}': {error}", escape::line(word)));
    parse(word).map_err(wrong)
}

fn module_format(word: &str) -> Result<ModuleFormat, String> {
    match word {
        "zstd" => Ok(ModuleFormat::Zstd),
        "plain" => Ok(ModuleFormat::Plain),
        "stored" => Ok(ModuleFormat::Stored),
        _ => Err("expected zstd, plain or stored".to_owned()),
    }
}

/// Parses the value of `--fsck`: types of filesystems.
///
/// # Errors
/// A type is no name.
fn fsck(value: &OsStr) -> Result<Fsck, Error> {
    let text = value.to_string_lossy();
    let types = text.split(',').map(str::trim).filter(|kind| !kind.is_empty());
    let types: Vec<String> = types.map(str::to_owned).collect();
    let is_name = |kind: &String| kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match types.iter().find(|kind| !is_name(kind)) {
        Some(kind) => {
            let kind = escape::line(kind);
            Err(usage(&format!("--fsck: '{kind}' is no type of a filesystem")))
        }
        None if types.is_empty() => Ok(Fsck::Auto),
        None => Ok(Fsck::Types(types)),
    }
}

/// Parses the value of `--microcode`: a word, or the path of a directory.
fn microcode(value: OsString) -> MicrocodeChoice {
    match value.to_str() {
        Some("" | "auto") => MicrocodeChoice::Auto,
        Some("amd") => MicrocodeChoice::Amd,
        Some("intel") => MicrocodeChoice::Intel,
        Some("all") => MicrocodeChoice::All,
        _ => MicrocodeChoice::Dir(value.into()),
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
        let args: Vec<_> = args.split_whitespace().map(OsString::from).collect();
        super::super::parse(&args).map_err(|error| error.to_string())
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

        let options = build("-k 6.1,6.12 -o out --kernel 6.1 --kernel 7.0");
        assert_eq!(
            (&*options.release, options.more_releases.join(" ")),
            ("6.1", "6.12 7.0".into())
        );
        let capture = tempfile::NamedTempFile::new().unwrap();
        fs::write(capture.path(), "coldplug-capture 1\nkernel 6.1\n").unwrap();
        for (words, want) in [
            ("", Modules::Named(Vec::new())),
            ("-m a", Modules::Named(vec!["a".to_owned()])),
            ("--all", Modules::All),
            ("--all -m a", Modules::Named(vec!["a".to_owned()])),
        ] {
            let board = capture.path().display();
            let options = build(&format!("-k 6.1 -o out {words} --board {board}"));
            assert_eq!((options.modules, options.boards.len()), (want, 1), "{words}");
        }

        let options = build("-k 6.1 -o out --host");
        assert_eq!((options.modules, options.host), (Modules::Named(Vec::new()), true));

        let options = build("-k 6.1 -o out --with rescue,gpu --with=wireless");
        assert_eq!(options.extras, [Extra::Rescue, Extra::Gpu, Extra::Wireless]);
        assert_eq!(options.modules, Modules::All);

        let shell = |args: &str| build(&format!("-k 6.1 -o out {args}")).shell;
        assert_eq!((shell(""), shell("--shell")), (None, Some(Shell::Any)));
        assert_eq!(shell("--shell=/x/sh"), Some(Shell::Program("/x/sh".into())));

        let microcode = |args: &str| build(&format!("-k 6.1 -o out {args}")).microcode;
        assert_eq!(microcode("--microcode"), Some(MicrocodeChoice::Auto));
        assert_eq!(microcode("--microcode=all"), Some(MicrocodeChoice::All));
        assert_eq!(microcode("--microcode=./x"), Some(MicrocodeChoice::Dir("./x".into())));

        let options = build("-k 6.1 -o out --fsck --include /a:/b --include=c --keymap=de");
        assert_eq!((options.fsck, options.includes.len()), (Some(Fsck::Auto), 2));
        assert_eq!(options.keymap, Some(Keymap::Named("de".into())));
        let options = build("-k 6.1 -o out --fsck=ext4,vfat --keymap");
        let types = ["ext4", "vfat"].map(str::to_owned).to_vec();
        assert_eq!(options.fsck, Some(Fsck::Types(types)));
        assert_eq!(options.keymap, Some(Keymap::Configured));

        let small = build("-k 6.1 -o out --boot-only");
        assert_eq!((small.init, small.module_format), (Init::BootOnly, ModuleFormat::AllZstd));
        let options =
            build("--kernel=6.1 -o out --modules-as=stored --compress gzip:1 --list l --init i");
        assert_eq!(
            (options.module_format, options.compress),
            (ModuleFormat::Stored, Compress::Gzip(1))
        );
        assert_eq!((options.list, options.init), (Some("l".into()), Init::Program("i".into())));
    }

    #[test]
    fn the_configured_manifest_is_that_of_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/coldplug")).unwrap();
        let conf = root.path().join("etc/coldplug/image.conf");
        fs::write(conf, "manifest = /boot/%v.json\n").unwrap();
        let args = format!("-k 6.1 -o out --configured --root {}", root.path().display());
        for (more, want) in
            [("", root.path().join("boot/6.1.json")), ("--manifest %v", "%v".into())]
        {
            assert_eq!(build(&format!("{args} {more}")).manifest, Some(want));
        }
    }

    #[test]
    fn a_root_may_have_one_kernel() {
        let root = tempfile::tempdir().unwrap();
        let add = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let args = format!("image build -o out --root {}", root.path().display());
        add("lib/modules/5.9/updates/dkms/x.ko");
        add("lib/modules/6.1/modules.dep");
        assert_eq!(build(&args["image build ".len()..]).release, "6.1");
        add("usr/lib/modules/6.2/modules.order");
        let error = parsed(&args).unwrap_err();
        assert!(error.contains("several kernels: 6.1, 6.2"), "{error}");
        assert_eq!(build(&format!("-k 6.3 {}", &args["image build ".len()..])).release, "6.3");
        let running = build("-o out").release;
        assert_eq!(running, fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        for (args, message) in [
            ("build -o out --root /none", "/none: no modules of any kernel"),
            ("build -k ../x -o out", "--kernel '../x' is not a release"),
            ("build -k 6.1, -o out", "--kernel '' is not a release"),
            ("build -k . -o out", "--kernel '.' is not a release"),
            ("build -k 6.1", "-o OUT is missing"),
            ("build -k 6.1 -o /", "-o OUT is missing"),
            ("build -k 6.1 -o ..", "-o OUT is missing"),
            ("build -k 6.1 -o out --compress bzip2", "expected none, zstd, xz, gzip or lz4"),
            ("build -k 6.1 -o out --fsck=../x", "--fsck: '../x' is no type of a filesystem"),
            ("build -k 6.1 -o out extra", "unexpected argument"),
            ("build -k 6.1 -o out --with x", "--with 'x': expected rescue, gpu or wireless"),
            ("build -k 6.1 -o out --board /none", "/none"),
            ("build -k 6.1 -o - --as-list", "cannot be standard output"),
            ("build -k 6.1 -o - --manifest=-", "cannot both be standard output"),
            ("build -k 6.1 -o out --as-list --compress zstd", "writes no archive"),
            ("build -k 6.1 -o out --as-list --microcode", "writes no archive"),
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
