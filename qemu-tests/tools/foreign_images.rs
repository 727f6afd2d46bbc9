//! `coldplug image list`, `extract`, `cat` and `diff` on images that other programs made, against GNU
//! cpio and unmkinitramfs.

use harness::files::put;
use harness::run::{Need, Test, unavailable};
use harness::{debian, kernel, tests, tool};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [DEVICES, CPIO] =>
    images_are_read_as_by_cpio,
    any_tree_is_read_as_by_cpio,
    parts_are_extracted_as_by_unmkinitramfs,
    an_image_of_mkinitramfs_is_extracted_as_by_unmkinitramfs;
    [DEVICES, CPIO, Need::Command("dracut", "dracut-core")] =>
    an_image_of_dracut_is_extracted_as_by_unmkinitramfs;
    [CPIO] =>
    an_image_of_mkinitcpio_is_extracted,
    patterns_choose_files,
    a_content_is_that_of_the_running_system,
    differences_are_named;
];

const DEVICES: Need = Need::Root("device nodes and owners are extracted");
const CPIO: Need = Need::Command("cpio", "cpio");

/// Every codec, with the command that compresses as for the kernel, and its package.
const CODECS: [(&str, &str, &str); 8] = [
    ("plain", "cat", "coreutils"),
    ("gzip", "gzip -n -c", "gzip"),
    ("bzip2", "bzip2 -9 -c", "bzip2"),
    ("lzma", "lzma -9 -c", "xz-utils"),
    ("xz", "xz --check=crc32 -c", "xz-utils"),
    ("lzo", "lzop -c", "lzop"),
    ("lz4", "lz4 -l -9 -q -c", "lz4"),
    ("zstd", "zstd -q -9 -c", "zstd"),
];

/// Runs a line of the shell in `dir` and returns its standard output.
fn shell(dir: &Path, line: &str) -> Vec<u8> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(dir).stdin(Stdio::null()).env("LC_ALL", "C");
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {error}");
    output.stdout
}

/// Returns `bytes` compressed by the command of a codec.
fn compressed(codec: &str, bytes: &[u8]) -> Vec<u8> {
    let (_, command, package) = CODECS.iter().find(|(name, ..)| *name == codec).unwrap();
    tool::find(command.split(' ').next().unwrap(), package);
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "in", bytes, 0o644);
    shell(dir.path(), &format!("{command} <in"))
}

/// Runs `coldplug image` with `args` in `dir`.
fn image(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    command.arg("image").args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

/// Runs it, and returns its standard output and standard error.
///
/// # Panics
///
/// If it fails.
fn succeeds(dir: &Path, args: &[&str]) -> (Vec<u8>, String) {
    let output = image(dir, args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {error}");
    (output.stdout, error)
}

/// Everything that an archive holds about a file: type and permissions, owner, device number, date
/// (not of directories, whose date cpio changes, and of links, whose date it loses), and content or
/// target.
type File = (u32, (u32, u32), u64, i64, Vec<u8>);

/// Returns the files below `dir` by path; the content of a file with several names begins with the
/// first of them.
fn files(dir: &Path) -> BTreeMap<PathBuf, File> {
    let mut found = BTreeMap::new();
    let mut first = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(at) = pending.pop() {
        let mut entries: Vec<_> =
            fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let data = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            let mut content = Vec::new();
            let mut date = data.mtime();
            if data.is_dir() {
                pending.push(path);
                date = 0;
            } else if data.is_symlink() {
                content = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                date = 0;
            } else if data.is_file() {
                content = fs::read(&path).unwrap();
                if data.nlink() > 1 {
                    let other = first.entry(data.ino()).or_insert_with(|| name.clone());
                    content.splice(0..0, other.as_os_str().as_encoded_bytes().iter().copied());
                }
            }
            let owner = (data.uid(), data.gid());
            found.insert(name, (data.mode(), owner, data.rdev(), date, content));
        }
    }
    found
}

/// Compares two directories.
fn assert_same(what: &str, ours: &Path, theirs: &Path) {
    let (ours, theirs) = (files(ours), files(theirs));
    let names = |files: &BTreeMap<PathBuf, File>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs), "{what}");
    for (name, file) in &ours {
        let head = |file: &File| (file.0, file.1, file.2, file.3, file.4.len());
        assert_eq!(head(file), head(&theirs[name]), "{what}: {}", name.display());
        assert!(*file == theirs[name], "{what}: content of {}", name.display());
    }
}

/// Makes a tree with files of every type, as far as the user of this process can.
fn tree(dir: &Path) {
    let noise: Vec<u8> =
        (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    put(dir, "init", b"#!/bin/sh\n", 0o755);
    put(dir, "etc/empty", b"", 0o600);
    put(dir, "etc/a name with spaces and \u{fc}", b"x", 0o644);
    put(dir, "usr/bin/su", b"setuid", 0o4755);
    put(dir, "usr/lib/noise", &noise, 0o444);
    // More than one block of every codec.
    put(dir, "usr/lib/large", &noise.repeat(90), 0o640);
    put(dir, "usr/lib/nobody", b"secret", 0);
    fs::hard_link(dir.join("usr/lib/noise"), dir.join("usr/lib/same")).unwrap();
    fs::hard_link(dir.join("usr/lib/noise"), dir.join("etc/same")).unwrap();
    for (link, target) in
        [("lib", "usr/lib"), ("bin", "/usr/bin"), ("dangling", "../none"), ("usr/up", "../..")]
    {
        symlink(target, dir.join(link)).unwrap();
    }
    fs::create_dir(dir.join("tmp")).unwrap();
    fs::set_permissions(dir.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::create_dir(dir.join("dev")).unwrap();
    shell(dir, "mkfifo run");
    if rustix::process::geteuid().is_root() {
        shell(dir, "mknod -m 600 dev/console c 5 1; mknod -m 660 dev/vda b 254 0");
        shell(dir, "chown 7:8 usr/bin/su; chmod 4755 usr/bin/su; chown -h 9:10 lib");
    }
    shell(dir, "find . -exec touch -h -d @1000000007 {} +");
}

/// Returns an archive of the tree by a command that reads names.
fn archive(dir: &Path, command: &str) -> Vec<u8> {
    shell(dir, &format!("find . | LC_ALL=C sort | {command} 2>/dev/null"))
}

/// Returns an archive as the kernel looks for microcode in, with directories.
fn microcode() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "kernel/x86/microcode/AuthenticAMD.bin", b"microcode", 0o644);
    archive(dir.path(), "cpio -o -H newc")
}

/// Compares names and files of an image with what cpio finds in its archives.
fn assert_read_as_by_cpio(what: &str, bytes: &[u8], archives: &[&[u8]]) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    put(dir, "image", bytes, 0o644);
    fs::create_dir(dir.join("theirs")).unwrap();
    let mut names = Vec::new();
    for archive in archives {
        put(dir, "archive", archive, 0o644);
        names.extend(shell(dir, "cpio -it --quiet <archive"));
        shell(dir, "cd theirs; cpio -idmu --quiet --no-absolute-filenames <../archive");
    }
    let (listed, _) = succeeds(dir, &["list", "--names", "image"]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&listed), text(&names), "{what}");
    let (_, warnings) = succeeds(dir, &["extract", "-C", "ours", "image"]);
    assert_eq!(warnings, "", "{what}");
    assert_same(what, &dir.join("ours"), &dir.join("theirs"));
}

/// One entry of a tree: its parent and an earlier file as numbers, which count modulo what there is,
/// its name, its permissions, and its type.
#[derive(Debug, Clone)]
struct Planned {
    parent: usize,
    other: usize,
    name: String,
    mode: u32,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Dir,
    File(Vec<u8>),
    Link(String),
    Name,
    Fifo,
}

fn planned() -> impl Strategy<Value = Planned> {
    let content = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..9),
        1 => prop::collection::vec(any::<u8>(), 0..9000),
    ];
    let kind = prop_oneof![
        2 => Just(Kind::Dir),
        4 => content.prop_map(Kind::File),
        // cpio writes a target of dots and slashes alone as an empty one.
        1 => "[a-z][a-z./ ]{0,11}".prop_map(Kind::Link),
        2 => Just(Kind::Name),
        1 => Just(Kind::Fifo),
    ];
    (any::<usize>(), any::<usize>(), "[a-c*\\\\ ~#ü-]{1,9}|[a-z]{200}", 0..=0o777_u32, kind)
        .prop_map(|(parent, other, name, mode, kind)| Planned { parent, other, name, mode, kind })
}

/// Makes the entries of a tree. One whose name exists already is left out.
fn make(dir: &Path, entries: &[Planned]) {
    let (mut dirs, mut regular) = (vec![dir.to_owned()], Vec::new());
    let mut modes = Vec::new();
    for Planned { parent, other, name, mode, kind } in entries {
        let path = dirs[parent % dirs.len()].join(name);
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match kind {
            Kind::Dir => {
                fs::create_dir(&path).unwrap();
                dirs.push(path.clone());
            }
            Kind::File(content) => {
                fs::write(&path, content).unwrap();
                regular.push(path.clone());
            }
            Kind::Link(target) => {
                symlink(target, &path).unwrap();
                continue;
            }
            Kind::Name if regular.is_empty() => continue,
            Kind::Name => fs::hard_link(&regular[other % regular.len()], &path).unwrap(),
            Kind::Fifo => tool::run(Command::new("mkfifo").arg(&path)).truncate(0),
        }
        modes.push((path, *mode));
    }
    for (path, mode) in modes {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn any_tree_is_read_as_by_cpio() {
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(60) });
    let trees = prop::collection::vec(planned(), 0..16);
    let result = runner.run(&trees, |entries| {
        let scratch = tempfile::tempdir().unwrap();
        make(scratch.path(), &entries);
        let bytes = archive(scratch.path(), "cpio -o -H newc");
        assert_read_as_by_cpio("a tree", &bytes, &[&bytes]);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn images_are_read_as_by_cpio() {
    let scratch = tempfile::tempdir().unwrap();
    tree(scratch.path());
    let newc = archive(scratch.path(), "cpio -o -H newc --reproducible");
    let crc = archive(scratch.path(), "cpio -o -H crc");
    let busybox = archive(scratch.path(), "busybox cpio -o -H newc");
    let small = microcode();
    fs::remove_file(scratch.path().join("usr/lib/large")).unwrap();
    let later = archive(scratch.path(), "cpio -o -H newc");
    put(scratch.path(), "etc/empty", b"no longer", 0o640);
    let last = archive(scratch.path(), "cpio -o -H newc");
    assert_read_as_by_cpio("cpio newc", &newc, &[&newc]);
    assert_read_as_by_cpio("cpio crc", &crc, &[&crc]);
    tool::find("busybox", "busybox-static");
    assert_read_as_by_cpio("busybox", &busybox, &[&busybox]);
    let zeros = [0; 512];
    for (codec, ..) in CODECS {
        assert_read_as_by_cpio(codec, &compressed(codec, &newc), &[&newc]);
        // Without the large file, which takes time.
        let packed = compressed(codec, &later);
        let padded = [&small, &zeros[..], &packed, &zeros].concat();
        assert_read_as_by_cpio(&format!("microcode, {codec}"), &padded, &[&small, &later]);
        // What follows replaces what was there, also the content of files with several names.
        let twice = [&packed, &zeros[..], &compressed("gzip", &last)].concat();
        assert_read_as_by_cpio(&format!("{codec}, gzip"), &twice, &[&later, &last]);
    }
    let all: Vec<u8> = CODECS
        .iter()
        .flat_map(|(codec, ..)| [compressed(codec, &small), zeros.to_vec()].concat())
        .collect();
    assert_read_as_by_cpio("every codec in a row", &all, &[&small[..]; CODECS.len()]);
    let crc_xz = compressed("xz", &crc);
    assert_read_as_by_cpio("crc in xz", &crc_xz, &[&crc]);
    let together = compressed("zstd", &[&small[..], &busybox].concat());
    assert_read_as_by_cpio("two archives in zstd", &together, &[&small, &busybox]);
    let text = b"kernel.quiet\n\0\0\0";
    let sum: u32 = text.iter().map(|byte| u32::from(*byte)).sum();
    let end = [&text[..], &16_u32.to_le_bytes(), &sum.to_le_bytes(), b"#BOOTCONFIG\n"].concat();
    for codec in ["lz4", "lzo", "lzma", "bzip2"] {
        let image = [&compressed(codec, &small)[..], &end].concat();
        assert_read_as_by_cpio(&format!("{codec}, bootconfig"), &image, &[&small]);
    }
}

/// Compares an image with what unmkinitramfs makes of it, each part in its directory.
fn assert_extracted_as_by_unmkinitramfs(what: &str, image: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let script = debian::system().root.join("usr/bin/unmkinitramfs");
    let line = format!("sh {} {} theirs", script.display(), image.display());
    shell(dir, &line);
    let name = image.to_str().unwrap();
    succeeds(dir, &["extract", "--parts", "-C", "ours", name]);
    assert_same(what, &dir.join("ours"), &dir.join("theirs"));
}

fn parts_are_extracted_as_by_unmkinitramfs() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, files) = (scratch.path(), scratch.path().join("files"));
    fs::create_dir(&files).unwrap();
    tree(&files);
    fs::remove_file(files.join("usr/lib/large")).unwrap();
    let newc = archive(&files, "cpio -o -H newc");
    let small = microcode();
    for (codec, ..) in CODECS.iter().filter(|(codec, ..)| *codec != "plain") {
        let packed = compressed(codec, &newc);
        for (what, bytes) in [
            (*codec, packed.clone()),
            ("microcode", [&small[..], &packed].concat()),
            ("microcode twice", [&small[..], &small, &packed].concat()),
        ] {
            put(dir, "image", &bytes, 0o644);
            assert_extracted_as_by_unmkinitramfs(&format!("{codec}: {what}"), &dir.join("image"));
        }
    }
}

/// The image that mkinitramfs has made while the system was installed, plain and as every codec.
fn an_image_of_mkinitramfs_is_extracted_as_by_unmkinitramfs() {
    let system = debian::system();
    let made = system.root.join(format!("boot/initrd.img-{}", system.release));
    assert_extracted_as_by_unmkinitramfs("mkinitramfs", &made);
    let scratch = tempfile::tempdir().unwrap();
    let line = format!("gzip -dc {}", made.display());
    let archive = shell(scratch.path(), &line);
    assert_read_as_by_cpio("mkinitramfs", &fs::read(&made).unwrap(), &[&archive]);
    for codec in ["lz4", "zstd", "lzo"] {
        let packed = match codec {
            "zstd" => {
                put(scratch.path(), "in", &archive, 0o644);
                shell(scratch.path(), "zstd -q -1 -c <in")
            }
            _ => compressed(codec, &archive),
        };
        assert_read_as_by_cpio(&format!("mkinitramfs, {codec}"), &packed, &[&archive]);
    }
}

fn an_image_of_dracut_is_extracted_as_by_unmkinitramfs() {
    let system = kernel::Kernel::Cloud61.get();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    put(dir, "fw/amd-ucode/microcode_amd.bin", b"microcode", 0o644);
    let line = format!(
        "dracut -q -f --no-hostonly --kver {} --kmoddir {} -m base --fwdir $PWD/fw --tmpdir $PWD \
         --early-microcode --gzip image 2>&1",
        system.release,
        system.modules().display()
    );
    shell(dir, &line);
    assert_extracted_as_by_unmkinitramfs("dracut", &dir.join("image"));
    let (sizes, _) = succeeds(dir, &["list", "--sizes", "image"]);
    let sizes = String::from_utf8(sizes).unwrap();
    let codecs: Vec<_> =
        sizes.lines().skip(1).take(2).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(codecs, ["plain", "gzip"], "{sizes}");
    assert!(sizes.contains("           9        1 microcode\n"), "{sizes}");
}

/// Debian has no mkinitcpio.
fn an_image_of_mkinitcpio_is_extracted() {
    tool::find("mkinitcpio", "mkinitcpio of Arch Linux, which Debian does not have");
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    shell(dir, "mkinitcpio -S autodetect -g $PWD/image >/dev/null 2>&1");
    if !dir.join("image").exists() {
        unavailable("mkinitcpio made no image");
    }
    let archive = shell(dir, "lsinitcpio --cpio image");
    succeeds(dir, &["extract", "-C", "ours", "image"]);
    put(dir, "archive", &archive, 0o644);
    shell(dir, "mkdir theirs; cd theirs; cpio -idmu --quiet <../archive");
    assert_same("mkinitcpio", &dir.join("ours"), &dir.join("theirs"));
}

fn patterns_choose_files() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    fs::create_dir(dir.join("files")).unwrap();
    tree(&dir.join("files"));
    put(dir, "image", &archive(&dir.join("files"), "cpio -o -H newc"), 0o644);
    let (listed, _) = succeeds(dir, &["list", "-n", "image", "usr/lib", "/etc/*same"]);
    // cpio writes the names of one file at the end.
    let listed = String::from_utf8(listed).unwrap();
    let listed: std::collections::BTreeSet<_> = listed.lines().collect();
    let lib = ["usr/lib", "usr/lib/large", "usr/lib/nobody", "usr/lib/noise", "usr/lib/same"];
    assert!(listed.iter().eq(["etc/same"].iter().chain(&lib)), "{listed:?}");
    let (printed, _) = succeeds(dir, &["extract", "-v", "-C", "out", "image", "etc/same", "*/su"]);
    assert_eq!(printed, b"etc\netc/same\nusr\nusr/bin\nusr/bin/su\n");
    let found = files(&dir.join("out"));
    let names: Vec<_> = found.keys().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(names, ["etc", "etc/same", "usr", "usr/bin", "usr/bin/su"]);
    let same = fs::read(dir.join("files/etc/same")).unwrap();
    assert!(fs::read(dir.join("out/etc/same")).unwrap() == same);
    let output = image(dir, &["extract", "-C", "none", "image", "etc", "no*"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(error, "coldplug image: image: no file matches 'no*'\n");
    assert!(!output.status.success() && !dir.join("none").exists());
}

fn a_content_is_that_of_the_running_system() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    put(dir, "a/usr/lib/file", b"first\n", 0o644);
    put(dir, "a/usr/lib/empty", b"", 0o644);
    put(dir, "a/etc/kept", b"kept\n", 0o644);
    for (link, target) in [("a/lib", "usr/lib"), ("a/etc/link", "/lib/./file"), ("a/loop", "loop")]
    {
        symlink(target, dir.join(link)).unwrap();
    }
    put(dir, "b/usr/lib/file", b"second\n", 0o644);
    let parts = ["a", "b"].map(|name| archive(&dir.join(name), "cpio -o -H newc"));
    let bytes = [compressed("gzip", &parts[0]), compressed("zstd", &parts[1])].concat();
    put(dir, "image", &bytes, 0o644);
    for (paths, want, why) in [
        (&["/etc/link"][..], "second\n", ""),
        (&["lib/file", "etc/kept", "usr/lib/empty"], "second\nkept\n", ""),
        (&["etc/../lib/file"], "second\n", ""),
        (&["none", "etc/kept"], "kept\n", "image: none: not found in the image"),
        (&["loop"], "", "image: loop: not found in the image"),
        (&["etc"], "", "image: etc: not a regular file but a directory"),
    ] {
        let args = [&["cat", "image"], paths].concat();
        let output = image(dir, &args);
        assert_eq!(String::from_utf8_lossy(&output.stdout), want, "{paths:?}");
        let message =
            if why.is_empty() { String::new() } else { format!("coldplug image: {why}\n") };
        assert_eq!(String::from_utf8_lossy(&output.stderr), message, "{paths:?}");
        assert_eq!(output.status.success(), why.is_empty(), "{paths:?}");
    }
}

fn differences_are_named() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let module: Vec<u8> = (0..3000_u32).flat_map(|n| (n % 200).to_le_bytes()).collect();
    for name in ["a", "b"] {
        put(dir, &format!("{name}/init"), b"init", 0o755);
        put(dir, &format!("{name}/lib/m.ko.xz"), &compressed("xz", &module), 0o644);
        put(dir, &format!("{name}/lib/other.ko.gz"), &compressed("gzip", &module[4..]), 0o644);
        symlink("init", dir.join(name).join("link")).unwrap();
    }
    let pack = |name: &str, codec: &str| {
        let bytes = compressed(codec, &archive(&dir.join(name), "cpio -o -H newc"));
        put(dir, &format!("{name}.img"), &bytes, 0o644);
    };
    pack("a", "gzip");
    pack("b", "xz");
    let diff = || {
        let output = image(dir, &["diff", "a.img", "b.img"]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(diff(), (Some(0), String::new(), String::new()));
    let [xz, zstd] = ["xz", "zstd"].map(|codec| compressed(codec, &module));
    fs::remove_file(dir.join("b/lib/m.ko.xz")).unwrap();
    put(dir, "b/lib/m.ko.zst", &zstd, 0o644);
    let other = compressed("gzip", &module[8..]);
    let before = fs::metadata(dir.join("a/lib/other.ko.gz")).unwrap().len();
    put(dir, "b/lib/other.ko.gz", &other, 0o644);
    put(dir, "b/init", b"INIT!", 0o700);
    fs::remove_file(dir.join("b/link")).unwrap();
    symlink("/init", dir.join("b/link")).unwrap();
    put(dir, "b/new", b"123", 0o644);
    put(dir, "a/old", b"12", 0o644);
    put(dir, "a/kind", b"", 0o644);
    fs::create_dir(dir.join("b/kind")).unwrap();
    fs::set_permissions(dir.join("b/kind"), fs::Permissions::from_mode(0o644)).unwrap();
    pack("a", "gzip");
    pack("b", "xz");
    let (xz, zstd) = (xz.len(), zstd.len());
    let (before_sum, after_sum) = (before + 4, other.len() + 5);
    let want = format!(
        "changed init: mode 0755 -> 0700, content, size 4 -> 5\n\
         changed kind: type file -> directory\n\
         recompressed lib/m.ko.xz: now lib/m.ko.zst, size {xz} -> {zstd}\n\
         changed lib/other.ko.gz: content, size {before} -> {}\n\
         changed link: target init -> /init\n\
         added new\n\
         removed old\n\
         1 added (3 bytes), 1 removed (2 bytes), 4 changed ({before_sum} -> {after_sum} bytes), \
         1 recompressed ({xz} -> {zstd} bytes)\n",
        other.len()
    );
    assert_eq!(diff(), (Some(1), want, String::new()));
    put(dir, "b.img", b"junk", 0o644);
    let why = "coldplug image: b.img: archive at offset 0: neither cpio nor a known compression\n";
    assert_eq!(diff(), (Some(2), String::new(), why.to_owned()));
    fs::remove_file(dir.join("b.img")).unwrap();
    assert_eq!(diff().0, Some(2));
}
