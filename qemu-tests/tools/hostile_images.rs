//! Images that must not be unpacked, or that try to write elsewhere: each is refused with one message
//! and nothing written, or stays below the directory, in little memory and time.

use harness::files::put;
use harness::run::{Need, Test};
use harness::{tests, tool};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [] =>
    entries_that_must_not_be_unpacked_are_refused,
    headers_that_lie_are_refused,
    bombs_are_refused,
    modules_that_lie_are_found,
    nothing_is_written_elsewhere,
    what_is_there_is_not_written_through;
    [Need::Root("a user without rights extracts"), Need::Command("setpriv", "util-linux")] =>
    users_get_no_devices_and_lend_no_rights;
];

/// Address space of the command in KiB. The program without optimization takes a part of it.
const MEMORY: u32 = 400 << 10;
/// Seconds after which the command is killed. None of the images takes a tenth of it.
const DEADLINE: u32 = 120;

const FILE: u32 = 0o100_644;
const DIR: u32 = 0o040_755;
const LINK: u32 = 0o120_777;

/// A newc entry, with numbers that need not be true.
struct Entry<'a> {
    magic: &'a str,
    ino: u32,
    mode: u32,
    nlink: u32,
    /// Claimed sizes; none if they are true.
    size: Option<u32>,
    name_size: Option<u32>,
    check: u32,
    device: (u32, u32),
    name: &'a [u8],
    data: &'a [u8],
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self {
            magic: "070701",
            ino: 1,
            mode: FILE,
            nlink: 1,
            size: None,
            name_size: None,
            check: 0,
            device: (0, 0),
            name: b"x",
            data: b"",
        }
    }
}

impl Entry<'_> {
    fn bytes(&self) -> Vec<u8> {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let size = self.size.unwrap_or_else(|| len(self.data));
        let name_size = self.name_size.unwrap_or_else(|| len(self.name) + 1);
        let (major, minor) = self.device;
        let fields = [
            self.ino, self.mode, 0, 0, self.nlink, 0, size, 0, 0, major, minor, name_size,
            self.check,
        ];
        let mut bytes = self.magic.as_bytes().to_vec();
        for field in fields {
            bytes.extend(format!("{field:08X}").bytes());
        }
        bytes.extend(self.name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(self.data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

fn file<'a>(name: &'a str, data: &'a str) -> Entry<'a> {
    Entry { name: name.as_bytes(), data: data.as_bytes(), ..Entry::default() }
}

fn dir(name: &str) -> Entry<'_> {
    Entry { name: name.as_bytes(), mode: DIR, ..Entry::default() }
}

fn link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    Entry { mode: LINK, ..file(name, target) }
}

fn trailer() -> Vec<u8> {
    Entry { name: b"TRAILER!!!", mode: 0, ..Entry::default() }.bytes()
}

/// Returns an archive of entries.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
    bytes.extend(trailer());
    bytes
}

/// Runs a line of the shell in `dir`.
fn shell(dir: &Path, line: &str) {
    let status = Command::new("sh").args(["-c", line]).current_dir(dir).status();
    assert!(status.unwrap().success(), "{line}");
}

/// A directory with an image, a directory to extract it into, and files elsewhere.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        put(scene.path(), "outside/victim", b"safe", 0o644);
        put(scene.path(), "victim", b"safe", 0o644);
        fs::create_dir(scene.path().join("target")).unwrap();
        scene
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `coldplug image` with bounded memory and time. Returns the exit code and the messages.
    fn run(&self, args: &str) -> (Option<i32>, String) {
        let script = format!("ulimit -v {MEMORY}; exec timeout {DEADLINE} \"$0\" image {args}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_coldplug")]);
        command.current_dir(self.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Returns every file but the image, with content or target.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut pending = vec![self.path().to_owned()];
        while let Some(at) = pending.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                let kind = path.symlink_metadata().unwrap().file_type();
                let content = match () {
                    () if kind.is_dir() => {
                        pending.push(path.clone());
                        Vec::new()
                    }
                    () if kind.is_symlink() => {
                        fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
                    }
                    () => fs::read(&path).unwrap(),
                };
                found.insert(path.strip_prefix(self.path()).unwrap().to_owned(), content);
            }
        }
        found.retain(|path, _| !path.starts_with("image") && !path.starts_with("made"));
        found
    }

    /// Asserts that every command that unpacks refuses the image with one message, and that no file
    /// is written.
    fn assert_refused(&self, what: &str, why: &str) {
        let before = self.files();
        let hint = if why.contains("more than the limit of") {
            "hint: --max-size permits larger images\n"
        } else {
            ""
        };
        let message = format!("coldplug image: image: {why}\n");
        let extracted = self.run("extract --max-size 16M -C target image");
        assert_eq!(extracted, (Some(1), format!("{message}{hint}")), "{what}");
        let shown = self.run("cat --max-size 16M image x");
        assert_eq!(shown, (Some(1), message.clone()), "{what}");
        assert_eq!(self.run("diff --max-size 16M image image"), (Some(2), message), "{what}");
        let (code, checked) = self.run("check --max-size 16M image");
        assert_eq!(code, Some(1), "{what}: {checked}");
        assert_eq!(self.files(), before, "{what}");
    }
}

/// Asserts that an image is refused.
fn assert_refused(what: &str, bytes: &[u8], why: &str) {
    let scene = Scene::new();
    put(scene.path(), "image", bytes, 0o644);
    scene.assert_refused(what, why);
}

fn entries_that_must_not_be_unpacked_are_refused() {
    let long = "n".repeat(256);
    let deep = vec!["d"; 200].join("/");
    for (entries, why) in [
        (vec![file("../victim", "bad")], "entry '../victim': the name has '..'"),
        (vec![dir("a"), file("a/../../victim", "")], "entry 'a/../../victim': the name has '..'"),
        (vec![dir("..")], "entry '..': the name has '..'"),
        (vec![dir("a"), link("a/..", "x")], "entry 'a/..': the name has '..'"),
        (
            vec![link("a", "b"), link("b", "a"), file("a/x", "")],
            "entry 'a/x': more than 40 symbolic links on the way",
        ),
        (
            vec![link("a", "a"), file("a/x", "")],
            "entry 'a/x': more than 40 symbolic links on the way",
        ),
        (
            vec![file("f", "1"), file("f/x", "2")],
            "entry 'f/x': a part of the name is not a directory",
        ),
        (
            vec![dir("d"), file("d/x", "1"), file("d", "2")],
            "entry 'd': it would replace a directory that is not empty",
        ),
        (
            vec![dir("d"), file("d/x", "1"), link("d", "../outside")],
            "entry 'd': it would replace a directory that is not empty",
        ),
        (vec![file(".", "")], "entry '.': the root is not a directory"),
        (vec![link("/", "outside")], "entry '/': the root is not a directory"),
        (vec![file(&long, "")], "a part of the name is longer than 255 bytes"),
        (vec![dir(&deep)], "more than 128 directories in each other"),
        (
            vec![Entry { mode: DIR, ..file("x", "data") }],
            "entry 'x': it has data but is neither a file nor a link",
        ),
        (
            vec![Entry { mode: 0o020_600, ..file("x", "data") }],
            "entry 'x': it has data but is neither a file nor a link",
        ),
        (vec![Entry { mode: 0o644, ..file("x", "") }], "entry 'x': the mode has no file type"),
        (vec![Entry { mode: 0o170_644, ..file("x", "") }], "entry 'x': the mode has no file type"),
        // A name with an escape sequence is shown, and not obeyed by the terminal.
        (vec![file("\x1b[2J/../x", "")], "entry '\\x1b[2J/../x': the name has '..'"),
    ] {
        let first = String::from_utf8_lossy(entries.last().unwrap().name).into_owned();
        let why = match why.starts_with("entry") {
            true => why.to_owned(),
            false => format!("entry '{first}': {why}"),
        };
        // In front of it an entry that would be written.
        let bytes = [archive(&[file("good", "good")]), archive(&entries)].concat();
        assert_refused(&why, &bytes, &why);
    }
}

fn headers_that_lie_are_refused() {
    let at = |offset: usize, why: &str| {
        format!("archive at offset 0: cpio entry at offset {offset}: {why}")
    };
    let entry = |entry: Entry<'_>| [entry.bytes(), trailer()].concat();
    let true_size = file("x", "data").bytes();
    let sized = |size| entry(Entry { size: Some(size), ..file("x", "data") });
    let name_of = |size| entry(Entry { name_size: Some(size), ..file("x", "data") });
    let target_of = |size| entry(Entry { size: Some(size), ..link("x", "data") });
    let summed = |check| entry(Entry { magic: "070702", check, ..file("x", "data") });
    let magic = |magic| entry(Entry { magic, ..file("x", "data") });
    let bad_hex = [&true_size[..20], b"g", &true_size[21..]].concat();
    let no_nul = [&true_size[..111], b"y", &true_size[112..]].concat();
    let long_target = "the target of the link is longer than 4096 bytes";
    for (what, bytes, why) in [
        ("file of 4 GiB", sized(u32::MAX), at(0, "the data is truncated")),
        ("file beyond the end", sized(4096), at(0, "the data is truncated")),
        ("name of 4 GiB", name_of(u32::MAX), at(0, "the name is longer than 4095 bytes")),
        ("name of 5000 bytes", name_of(5000), at(0, "the name is longer than 4095 bytes")),
        ("name of no byte", name_of(0), at(0, "the name has no NUL")),
        ("name without NUL", no_nul, at(0, "the name has no NUL")),
        ("target of 4 GiB", target_of(u32::MAX), at(0, long_target)),
        ("target of 5000 bytes", target_of(5000), at(0, long_target)),
        ("bad checksum", summed(1), at(0, "the checksum does not match")),
        ("bad digit", bad_hex, at(0, "a header field is not hexadecimal")),
        ("unknown magic", magic("070703"), at(0, "not a newc header")),
        (
            "old cpio",
            magic("070707"),
            at(0, "an archive of cpio's old format; the kernel reads newc"),
        ),
        ("no trailer", true_size.clone(), at(116, "the header is truncated")),
        ("half a header", true_size[..50].to_vec(), at(0, "the header is truncated")),
        ("zeros", vec![0; 1024], "the image is empty".to_owned()),
        (
            "junk",
            [archive(&[]), b"junk".to_vec()].concat(),
            "archive at offset 124: neither cpio nor a known compression".to_owned(),
        ),
        (
            "lz4 frame",
            b"\x04\x22\x4d\x18\x64\x40\xa7".to_vec(),
            "archive at offset 0: lz4 frame format, which the kernel does not read \
             (lz4 -l writes its own)"
                .to_owned(),
        ),
    ] {
        assert_refused(what, &bytes, &why);
    }
    // A checksum that is right is no reason.
    let scene = Scene::new();
    let sum = b"data".iter().map(|byte| u32::from(*byte)).sum();
    put(scene.path(), "image", &summed(sum), 0o644);
    assert_eq!(scene.run("extract -C target image"), (Some(0), String::new()));
}

fn bombs_are_refused() {
    let scene = Scene::new();
    let dir = scene.path();
    let head = Entry { size: Some(200 << 20), ..file("x", "") }.bytes();
    let limit = "the image unpacks to more than the limit of 16777216 bytes";
    let limit = format!("archive at offset 0: {limit}");
    let large = |head: &[u8]| {
        put(dir, "made", head, 0o644);
        let file = fs::OpenOptions::new().append(true).open(dir.join("made")).unwrap();
        file.set_len(head.len() as u64 + (200 << 20)).unwrap();
    };
    let pack = |command: &str, package: &str| {
        tool::find(command.split(' ').next().unwrap(), package);
        shell(dir, &format!("{command} <made >image"));
    };
    large(&head);
    for (command, package) in [
        ("gzip -1", "gzip"),
        ("bzip2 -1", "bzip2"),
        ("lzma -0", "xz-utils"),
        ("xz -0", "xz-utils"),
        ("lzop -1", "lzop"),
        ("lz4 -l -q", "lz4"),
        ("zstd -q -1", "zstd"),
    ] {
        pack(command, package);
        scene.assert_refused(command, &limit);
    }
    pack("cat", "coreutils");
    scene.assert_refused("plain", &limit);
    // Modules that are small and decompress to much, or take much memory, are compared as they are.
    large(b"");
    for command in ["xz -0 --lzma2=dict=1GiB", "zstd -q -1"] {
        pack(command, command.split(' ').next().unwrap());
        let data = fs::read(dir.join("image")).unwrap();
        let module = Entry { data: &data, ..file("a.ko.xz", "") };
        put(dir, "image", &archive(&[module]), 0o644);
        let compared = scene.run("diff --max-size 16M image image");
        assert_eq!(compared, (Some(0), String::new()), "{command}");
    }
    // Nothing but padding after an archive.
    large(&archive(&[file("x", "")]));
    pack("gzip -1", "gzip");
    scene.assert_refused("padding", &limit);
    // Entries without end, each of them small.
    let many: Vec<u8> =
        (0..270_000).flat_map(|n| dir_entry(&format!("{n:06}"))).chain(trailer()).collect();
    put(dir, "made", &many, 0o644);
    pack("gzip -1", "gzip");
    let why = "coldplug image: image: entry '262143': the image has more than 262144 entries\n";
    let run = |args: &str| scene.run(&format!("{args} -C target image"));
    assert_eq!(run("extract --max-size 1G"), (Some(1), why.to_owned()));
    // Paths that are long together: a link makes their names short.
    let deep = vec!["n".repeat(200); 19].join("/");
    let mut entries = vec![dir_entry(&deep), link("l", &deep).bytes()];
    entries.extend((0..10_000).map(|n| file(&format!("l/{n}"), "").bytes()));
    put(dir, "made", &[entries.concat(), trailer()].concat(), 0o644);
    pack("gzip -1", "gzip");
    let (code, error) = run("extract --max-size 1G");
    let why = "the paths of the image are together longer than 33554432 bytes\n";
    assert!(code == Some(1) && error.ends_with(why), "{error}");
    // Links that take long to follow.
    let around = "d/../".repeat(800);
    let start = [dir_entry("d"), link("l", &around).bytes()].concat();
    let through = vec!["l"; 39].join("/");
    let files: Vec<u8> =
        (0..1000).flat_map(|n| file(&format!("{through}/{n}"), "").bytes()).collect();
    put(dir, "image", &[start, files, trailer()].concat(), 0o644);
    let (code, error) = run("extract");
    assert!(code == Some(1) && error.ends_with("take too long to follow\n"), "{error}");
    // Decoders with more memory than the kernel gives them.
    put(dir, "made", &archive(&[file("x", "data")]), 0o644);
    for (command, package) in [
        ("xz --lzma2=dict=1GiB", "xz-utils"),
        ("lzma --lzma1=dict=1GiB", "xz-utils"),
        ("zstd -q --ultra -20 --long=30 --no-content-size", "zstd"),
    ] {
        shell(dir, "truncate -s 1200M made");
        tool::find(command.split(' ').next().unwrap(), package);
        shell(dir, &format!("head -c 2000 made | {command} >image"));
        let (code, error) = run("extract");
        let is_memory = error.to_lowercase().contains("memory");
        assert!(code == Some(1) && is_memory, "{command}: {error}");
    }
    assert!(fs::read_dir(dir.join("target")).unwrap().next().is_none());
}

fn dir_entry(name: &str) -> Vec<u8> {
    dir(name).bytes()
}

/// What `image check` reads besides the archive, in little memory and time: modules, indexes, links.
fn modules_that_lie_are_found() {
    const DIRS: [&str; 5] =
        ["lib", "lib/modules", "lib/modules/6.1", "lib/firmware", "lib/modules/6.1/loop"];
    let scene = Scene::new();
    shell(scene.path(), "head -c 200M /dev/zero | zstd -q -1 >made");
    let bomb = fs::read(scene.path().join("made")).unwrap();
    let bomb = Entry { data: &bomb, ..file("lib/modules/6.1/x.ko.zst", "") };
    let dep = || file("lib/modules/6.1/modules.dep", "x.ko.zst:\n");
    let loops: Vec<String> = (0..10).map(|n| format!("lib/modules/6.1/loop/{n}")).collect();
    let loops = || loops.iter().map(|name| link(name, "."));
    let many = "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
    let alias = format!("alias {many} x\n");
    let index = || file("lib/modules/6.1/modules.alias", &alias);
    let garbage = |name| Entry { data: &[0xff; 5000], ..file(name, "") };
    for (what, entries, want) in [
        ("module that is a bomb", vec![dep(), bomb], "decompress to too much"),
        ("module that is none", vec![dep(), file("lib/modules/6.1/x.ko.zst", "x")], "x.ko.zst: "),
        (
            "module that is elsewhere",
            vec![dep(), link("lib/modules/6.1/x.ko.zst", "/../../outside/victim")],
            "no errors",
        ),
        (
            "modules.dep that is a FIFO",
            vec![Entry { mode: 0o010_644, ..file("lib/modules/6.1/modules.dep", "") }],
            "lib/modules: missing",
        ),
        (
            "a cycle of links",
            [dep()].into_iter().chain(loops()).collect(),
            "more than 131072 files",
        ),
        ("slow pattern", vec![dep(), index()], "no errors"),
        ("damaged index", vec![dep(), garbage("lib/modules/6.1/modules.dep.bin")], "magic check"),
        ("needs that lead away", vec![file("lib/modules/6.1/modules.dep", "x: ../../x\n")], ""),
    ] {
        let dirs = DIRS.iter().map(|name| dir(name));
        let init = Entry { mode: FILE | 0o111, ..file("init", "#!/init\n") };
        put(
            scene.path(),
            "image",
            &archive(&dirs.chain(entries).chain([init]).collect::<Vec<_>>()),
            0o644,
        );
        let text = "coldplug-capture 1\ncmdline root=x\ndevice a\n  modalias aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n";
        put(scene.path(), "board", text.as_bytes(), 0o644);
        let before = scene.files();
        let (code, error) = scene.run("check --max-size 16M --board board image >made");
        let found = fs::read_to_string(scene.path().join("made")).unwrap();
        assert!(matches!(code, Some(0 | 1)), "{what}: {error}");
        assert!(found.contains(want) || want == "no errors", "{what}: {found}");
        assert_eq!(scene.files(), before, "{what}");
    }
}

fn nothing_is_written_elsewhere() {
    let absolute = |scene: &Scene, name: &str| format!("{}/{name}", scene.path().display());
    let scene = Scene::new();
    let outside = absolute(&scene, "outside");
    let victim = absolute(&scene, "victim");
    let nested = Entry { name: b"a\0../victim", ..file("", "bad") };
    let shared = |name, data| Entry { ino: 5, nlink: 2, ..file(name, data) };
    for (what, entries, want) in [
        ("absolute name", vec![file(&victim, "bad")], &victim[1..]),
        ("slashes", vec![file("//./x//y", "bad")], "x/y"),
        ("link upwards", vec![link("l", "../outside"), file("l/victim", "bad")], "outside/victim"),
        (
            "link far upwards",
            vec![link("l", "../../../../.."), dir("l/d"), file("l/d/victim", "bad")],
            "d/victim",
        ),
        (
            "absolute link",
            vec![link("l", &outside), file("l/victim", "bad")],
            &format!("{}/victim", &outside[1..]),
        ),
        (
            "link over a directory",
            vec![dir("d"), link("d", &outside), file("d/victim", "bad")],
            &format!("{}/victim", &outside[1..]),
        ),
        ("file over a link", vec![link("l", "../victim"), file("l", "bad")], "l"),
        (
            "hard link to a link",
            vec![link("l", "../victim"), shared("l", "bad"), shared("m", "")],
            "m",
        ),
        ("name with NUL", vec![nested], "a"),
    ] {
        let scene = Scene::new();
        let before = scene.files();
        put(scene.path(), "image", &archive(&entries), 0o644);
        let (code, error) = scene.run("extract -C target image");
        assert_eq!(code, Some(0), "{what}: {error}");
        let mut after = scene.files();
        let inside = after.remove(&Path::new("target").join(want));
        assert_eq!(inside.as_deref(), Some(&b"bad"[..]), "{what}: {after:?}");
        after.retain(|path, _| !path.starts_with("target") || path == Path::new("target"));
        assert_eq!(after, before, "{what}");
    }
}

fn what_is_there_is_not_written_through() {
    // Links that were below the directory before.
    for (what, name, why) in [
        ("directory", "d/victim", "mkdir target/d: Not a directory"),
        ("deeper directory", "d/e/victim", "mkdir target/d: Not a directory"),
    ] {
        let scene = Scene::new();
        symlink("../outside", scene.path().join("target/d")).unwrap();
        let before = scene.files();
        put(scene.path(), "image", &archive(&[dir("d"), file(name, "bad")]), 0o644);
        let (code, error) = scene.run("extract -C target image");
        assert!(code == Some(1) && error.contains(why), "{what}: {error}");
        assert_eq!(scene.files(), before, "{what}");
    }
    let scene = Scene::new();
    symlink("../outside/victim", scene.path().join("target/soft")).unwrap();
    fs::hard_link(scene.path().join("victim"), scene.path().join("target/hard")).unwrap();
    fs::create_dir(scene.path().join("target/dir")).unwrap();
    let entries = [file("soft", "bad"), file("hard", "bad"), link("link", "x")];
    put(scene.path(), "image", &archive(&entries), 0o644);
    assert_eq!(scene.run("extract -C target image"), (Some(0), String::new()));
    // A second time, over what the first time has made.
    assert_eq!(scene.run("extract -C target image"), (Some(0), String::new()));
    let files = scene.files();
    let content = |path: &str| files[Path::new(path)].clone();
    assert_eq!(
        (content("outside/victim"), content("victim")),
        (b"safe".to_vec(), b"safe".to_vec())
    );
    assert_eq!(
        (content("target/soft"), content("target/hard")),
        (b"bad".to_vec(), b"bad".to_vec())
    );
    put(scene.path(), "image", &archive(&[file("dir", "bad")]), 0o644);
    let (code, error) = scene.run("extract -C target image");
    assert!(code == Some(1) && error.contains("create target/dir: Is a directory"), "{error}");
    // An image that is no file.
    shell(scene.path(), "rm image; mkfifo image");
    let (code, error) = scene.run("extract -C target image");
    assert!(code == Some(1) && error.contains("image: not a regular file"), "{error}");
}

fn users_get_no_devices_and_lend_no_rights() {
    let scene = Scene::new();
    let dir = scene.path();
    let device = Entry { mode: 0o020_666, device: (1, 3), ..file("null", "") };
    let suid = Entry { mode: 0o106_755, ..file("su", "su") };
    put(dir, "image", &archive(&[device, suid, file("last", "last")]), 0o644);
    fs::copy(env!("CARGO_BIN_EXE_coldplug"), dir.join("made")).unwrap();
    shell(dir, "chmod 755 . made; chown 65534:65534 target");
    let mut command = tool::command("setpriv", "util-linux");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "./made", "image"]);
    command.args(["extract", "-v", "-C", "target", "image"]).current_dir(dir);
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    let want = "coldplug image: null: device node not made: only root can make it\n\
                coldplug image: su: extracted without set-user-ID and set-group-ID, because the \
                owner is lost\n";
    assert_eq!(error, want);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "last\nsu\n");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(dir.join("target/su")).unwrap());
    assert_eq!(mode, 0o100_755);
    assert!(!dir.join("target/null").exists());
}
