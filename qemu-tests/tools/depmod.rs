//! depmod on whole kernels of Debian, and on trees with every defect, against the depmod of kmod
//! 34.

use harness::kernel::Kernel;
use harness::run::{Need, RELEASE as RELEASE_BUILD, Test};
use harness::{kmod34, note, paths, tests, tool};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![RELEASE_BUILD =>
    index_files_of_whole_kernels_equal_those_of_kmod,
    index_files_for_32_bit_arm_equal_those_of_kmod,
    index_files_for_big_endian_machines_equal_those_of_kmod,
    index_files_for_riscv_equal_those_of_kmod,
    gzip_changes_only_names_of_files,
    options_work_as_in_kmod,
    damaged_system_maps_are_reported_as_in_kmod,
    the_usual_system_map_is_checked_without_a_file,
    depmod_d_chooses_as_kmod_does,
    names_in_any_encoding_are_used_as_by_kmod,
    unreadable_modules_are_reported,
    a_link_to_a_parent_is_not_followed,
    cycles_are_reported_and_nothing_is_written,
    files_are_replaced_atomically,
    quick_mode_looks_for_newer_modules,
    an_image_needs_no_index,
    a_failed_rename_leaves_no_temporary_file;
    [Need::Root("to give up the right to read")] => modules_without_permission_are_reported,
];

/// Release of the trees that are made here.
const RELEASE: &str = "6.1.0-test";

fn ours() -> Command {
    let mut command = Command::new(paths::program("coldplug"));
    command.arg("depmod");
    command
}

/// Returns the files below `dir`, by name.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    if !dir.exists() {
        return BTreeMap::new();
    }
    let name = |file: &Path| file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
    tool::files(dir).iter().map(|file| (name(file), fs::read(file).unwrap())).collect()
}

/// Checks that two sets of files are equal; the message names those that differ.
fn assert_same(ours: &BTreeMap<String, Vec<u8>>, kmods: &BTreeMap<String, Vec<u8>>) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), kmods.keys().collect::<Vec<_>>());
    let differ: Vec<_> = ours.iter().filter(|(name, bytes)| kmods[*name] != **bytes).collect();
    assert!(differ.is_empty(), "differ: {:?}", differ.iter().map(|d| d.0).collect::<Vec<_>>());
}

/// Returns the index files of a kernel that `command` writes.
fn indexed(command: Command, kernel: Kernel) -> BTreeMap<String, Vec<u8>> {
    let tree = kernel.get();
    indexed_below(command, &tree.root, &tree.release)
}

fn indexed_below(mut command: Command, root: &Path, release: &str) -> BTreeMap<String, Vec<u8>> {
    let (out, conf) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    command.arg("-C").arg(conf.path()).arg("-b").arg(root).arg("-o").arg(out.path());
    let output = command.arg(release).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    files(&out.path().join("lib/modules").join(release))
}

fn index_files_of_whole_kernels_equal_those_of_kmod() {
    for kernel in [Kernel::Cloud61, Kernel::Cloud612, Kernel::Cloud61Zst, Kernel::CloudArm64] {
        note!("{kernel:?}");
        let kmods = indexed(kmod34::command("depmod"), kernel);
        assert_eq!(kmods.len(), 11);
        assert_same(&indexed(ours(), kernel), &kmods);
    }
}

fn index_files_for_32_bit_arm_equal_those_of_kmod() {
    let kmods = indexed(kmod34::command("depmod"), Kernel::ArmMp61);
    assert_same(&indexed(ours(), Kernel::ArmMp61), &kmods);
    assert!(kmods["modules.symbols"].len() > 100_000);
}

/// The modules of s390x are 64-bit and big-endian.
fn index_files_for_big_endian_machines_equal_those_of_kmod() {
    let kmods = indexed(kmod34::command("depmod"), Kernel::S390x61);
    assert_same(&indexed(ours(), Kernel::S390x61), &kmods);
    assert!(kmods["modules.symbols"].len() > 100_000);
}

/// Modules of riscv64 are compressed with xz, which takes long to decode, so every eighth is read.
fn index_files_for_riscv_equal_those_of_kmod() {
    let (kernel, tree) = (Kernel::Riscv612.get(), Tree::new());
    fs::remove_dir_all(tree.dir()).unwrap();
    let is_module = |file: &&PathBuf| file.to_str().unwrap().ends_with(".ko.xz");
    let all = tool::files(&kernel.modules());
    for file in all.iter().filter(is_module).step_by(8) {
        let path = file.strip_prefix(kernel.modules()).unwrap();
        tree.put(path.to_str().unwrap(), &fs::read(file).unwrap());
    }
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        tree.put(name, &fs::read(kernel.modules().join(name)).unwrap());
    }
    let root = tree.top.path().join("r");
    let kmods = indexed_below(kmod34::command("depmod"), &root, RELEASE);
    assert_same(&indexed_below(ours(), &root, RELEASE), &kmods);
    assert!(kmods["modules.dep"].len() > 10_000);
}

/// Debian's kmod is built without zlib and ignores `.ko.gz`, so the oracle is the same kernel
/// uncompressed: only names of files differ. For modules.dep.bin, which holds names of files, the
/// sorted strings are compared.
fn gzip_changes_only_names_of_files() {
    let plain = indexed(kmod34::command("depmod"), Kernel::Cloud61);
    let packed = indexed(ours(), Kernel::Cloud61Gz);
    let renamed = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(".ko", ".ko.gz");
    for (name, bytes) in &packed {
        match name.as_str() {
            "modules.dep" => assert_eq!(String::from_utf8_lossy(bytes), renamed(&plain[name])),
            "modules.dep.bin" => assert_eq!(paths(bytes), paths(renamed(&plain[name]).as_bytes())),
            _ => assert!(*bytes == plain[name], "{name}"),
        }
    }
}

/// Returns the strings of an index that are lines of modules.dep.
fn paths(index: &[u8]) -> Vec<String> {
    let strings = index.split(|byte| *byte == 0).map(|s| String::from_utf8_lossy(s).into_owned());
    let mut paths: Vec<_> =
        strings.filter_map(|s| Some(s[s.find("kernel/")?..].to_owned())).collect();
    paths.sort();
    paths
}

/// A tree with a few real modules.
struct Tree {
    top: TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self { top: TempDir::new().unwrap() };
        let from = Kernel::Cloud61.get();
        for name in ["fat", "vfat", "msdos", "loop", "crc7", "crc_itu_t", "xfs"] {
            let path = from.module(name).unwrap();
            tree.put(&path, &fs::read(from.modules().join(&path)).unwrap());
        }
        for name in ["modules.builtin", "modules.builtin.modinfo"] {
            tree.put(name, &fs::read(from.modules().join(name)).unwrap());
        }
        tree.put("modules.order", b"kernel/fs/fat/vfat.ko\nkernel/none.ko\n");
        fs::create_dir(tree.top.path().join("conf")).unwrap();
        tree
    }

    fn dir(&self) -> PathBuf {
        self.top.path().join("r/lib/modules").join(RELEASE)
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.dir().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Compiles a module from C.
    fn compile(&self, name: &str, code: &str) {
        let source = self.top.path().join(format!("{name}.c"));
        fs::write(&source, code).unwrap();
        let mut gcc = tool::command("gcc", "gcc");
        let object = self.dir().join("kernel").join(format!("{name}.ko"));
        tool::run(gcc.arg("-c").arg(&source).arg("-o").arg(object));
    }

    /// Makes a module that exports `own` and needs each of `needs`.
    fn module(&self, own: &str, needs: &str) {
        let calls: String = needs.split_whitespace().map(|n| format!("int {n}(void);")).collect();
        let sum: String = needs.split_whitespace().map(|n| format!("+{n}()")).collect();
        let list = "__attribute__((section(\"__ksymtab_strings\"),used))";
        let code = format!(
            "{calls}int {own}(void){{return 0{sum};}}static const char s[] {list}=\"{own}\";"
        );
        self.compile(&format!("m-{own}"), &code);
    }

    fn run(&self, mut command: Command, out: &str, words: &[&str]) -> Output {
        command.current_dir(self.top.path()).args(["-b", "r", "-C", "conf", "-o", out]);
        command.args(words).output().unwrap()
    }

    /// Runs both, checks that files, output and exit codes are equal, and returns our messages
    /// without the path of the tree.
    fn both(&self, words: &[&str]) -> String {
        let [ours, kmods] =
            [self.run(ours(), "ours", words), self.run(kmod34::command("depmod"), "kmods", words)];
        let out = |name: &str| files(&self.top.path().join(name));
        assert_same(&out("ours"), &out("kmods"));
        assert_eq!(ours.status.code(), kmods.status.code(), "{ours:?}\n{kmods:?}");
        assert_eq!(
            String::from_utf8_lossy(&ours.stdout),
            String::from_utf8_lossy(&kmods.stdout),
            "{words:?}"
        );
        for name in ["ours", "kmods"] {
            let _ = fs::remove_dir_all(self.top.path().join(name));
        }
        self.words(&ours)
    }

    fn words(&self, output: &Output) -> String {
        let place = format!("{}/", self.dir().display());
        String::from_utf8_lossy(&output.stderr).replace(&place, "").replace("depmod: ", "")
    }
}

fn options_work_as_in_kmod() {
    let tree = Tree::new();
    let symvers = "0x12345678\t_printk\tvmlinux\tE\n0x8a\tkmem_cache_alloc\tvmlinux\tE\n";
    fs::write(tree.top.path().join("symvers"), symvers).unwrap();
    fs::write(tree.top.path().join("map"), "ff T __ksymtab__printk\nbad line\n").unwrap();
    let fat = tree.dir().join("kernel/fs/fat/fat.ko");
    for (name, bytes) in [
        ("modules.builtin", &b"kernel/a-b.ko\n\n1.ko\nkernel/c.ko"[..]),
        ("modules.builtin.modinfo", b"a.alias=x-y\0a.alias=\0nodot\0b.alias=last"),
    ] {
        tree.put(name, bytes);
        let words = tree.both(&[RELEASE]);
        assert_eq!(words.matches("Invalid modules.builtin line: ").count(), 2, "{words}");
    }
    for (name, bytes, expected) in [
        (
            "modules.builtin",
            &b"kernel/a.ko\0\0\nkernel/c.ko\n\0\0\n"[..],
            "modules.builtin line: \n",
        ),
        ("modules.order", b"kernel/fs/fat/vfat.ko\0\nkernel/fs/fat/fat.ko\n", "misses '\\n'\n"),
        ("modules.order", b"kernel/fs/fat/vfat.ko\n\0\0\0", ""),
        ("modules.order", b"kernel/fs/fat/vfat.ko\n", ""),
    ] {
        tree.put(name, bytes);
        let words = tree.both(&[RELEASE]);
        assert!(words.contains(expected), "{words}");
    }
    tree.put("modules.builtin", b"kernel/a.ko\n");
    for (words, expected) in [
        (&[RELEASE][..], ""),
        (&[RELEASE, "-w"], ""),
        (&[RELEASE, "-n"], ""),
        (&[RELEASE, "-v"], ""),
        (&[RELEASE, "-P", "f"], ""),
        (&[RELEASE, "-P", "xx"], "FATAL: -P only takes a single char\n"),
        (
            &[RELEASE, "-e", "-E", "symvers", "kernel/x.ko"],
            "FATAL: kernel/x.ko: not absolute path.\n",
        ),
        (&[RELEASE, "-e", "-E", "none"], "FATAL: could not load none: No such file or directory\n"),
        (&["x.1"], "ERROR: Bad version passed x.1\n"),
        (&[RELEASE, fat.to_str().unwrap()], ""),
        (&[RELEASE, fat.to_str().unwrap(), fat.to_str().unwrap()], "fat.ko: File exists\n"),
        (&[RELEASE, "/etc/passwd"], "/etc/passwd: Exec format error (not an ELF file)\n"),
        (&[RELEASE, "/etc"], "failed to load symbols from /etc: Is a directory\n"),
        (&["-a", RELEASE, fat.to_str().unwrap()], ""),
        (&["--frob"], "unrecognized option '--frob'\n"),
    ] {
        assert!(tree.both(words).ends_with(expected), "{words:?}");
    }
    for words in [["-e", "-E", "symvers", RELEASE], ["-e", "-F", "map", RELEASE]] {
        let kmods = tree.words(&tree.run(kmod34::command("depmod"), "kmods", &words));
        assert_eq!(tree.words(&tree.run(ours(), "ours", &words)), kmods);
        assert!(kmods.contains("WARNING: kernel/fs/fat/fat.ko"), "{kmods}");
    }
}

fn damaged_system_maps_are_reported_as_in_kmod() {
    let tree = Tree::new();
    let good = "ff T __ksymtab__printk\n";
    for (text, reported) in [
        ("broken\n", 1),
        ("\n\nff T\n one\n", 4),
        ("ff T without the end of line", 0),
        ("ff T\tx\nff\rT\n", 2),
        ("ff T __ksymtab_kmalloc\0\0\0\0\n\0\0\0\n", 1),
        ("ff \0\0\0\0\0\0\0\0", 1),
        ("\u{1f}\u{8}\nT\n", 2),
    ] {
        fs::write(tree.top.path().join("map"), [good, text].concat()).unwrap();
        let run = |command| tree.run(command, "out", &["-eF", "map", RELEASE]);
        let [kmods, own] = [kmod34::command("depmod"), ours()].map(|c| tree.words(&run(c)));
        // kmod prints control characters as they are.
        let escapes = [('\r', "\\x0d"), ('\u{1f}', "\\x1f"), ('\u{8}', "\\x08")];
        let kmods = escapes.iter().fold(kmods, |text, (from, to)| text.replace(*from, to));
        assert_eq!(own, kmods, "{text:?}");
        assert_eq!(kmods.matches("ERROR: map:").count(), reported, "{text:?}: {kmods}");
        assert!(!own.contains('\0'), "{text:?}");
    }
}

/// `depmod -ae RELEASE`, as the documents of the module loader have it.
fn the_usual_system_map_is_checked_without_a_file() {
    let tree = Tree::new();
    let root = tree.top.path().join("r");
    let run = || tree.words(&tree.run(ours(), "ours", &["-ae", RELEASE]));
    let with_file = |file: &str| {
        let file = root.join(file);
        let words = ["-ae", "-F", file.to_str().unwrap(), RELEASE];
        tree.words(&tree.run(kmod34::command("depmod"), "kmods", &words))
    };
    let words = run();
    assert!(words.starts_with("WARNING: -e needs -E or -F\nhint: no System.map of "), "{words}");
    assert!(!words.contains("unknown symbol"), "{words}");
    // Debian's package of a kernel has this file in the place of the real one.
    let stub = "ffffffffffffffff B The real System.map is in the linux-image-dbg package\n";
    let places = [
        "usr/lib/debug/lib/modules/RELEASE/System.map",
        "usr/lib/debug/boot/System.map-RELEASE",
        "lib/modules/RELEASE/build/System.map",
        "boot/System.map-RELEASE",
        "lib/modules/RELEASE/System.map",
    ];
    // From the last place to the first, each with one symbol more.
    let mut symbols = String::new();
    for (number, place) in places.iter().enumerate() {
        let place = place.replace("RELEASE", RELEASE);
        let file = root.join(&place);
        let path = file.display().to_string();
        let name = path.replace(&format!("{}/", tree.dir().display()), "");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, stub).unwrap();
        let words = run();
        assert!(words.contains(&format!("{name} has no exported symbols\n")), "{words}");
        let symbol = ["_printk", "memcpy", "kmalloc_trace", "strlen", "iput"][number];
        symbols += &format!("ff T __ksymtab_{symbol}\n");
        fs::write(&file, &symbols).unwrap();
        let words = run();
        let used = format!("-e: symbols are checked against {name}\n");
        let (_, rest) = words.split_once(&used).unwrap_or_else(|| panic!("{used}: {words}"));
        assert_eq!(rest, with_file(&place));
        assert!(rest.contains("unknown symbol"), "{rest}");
    }
    fs::remove_file(root.join(format!("lib/modules/{RELEASE}/System.map"))).unwrap();
    fs::create_dir(root.join(format!("lib/modules/{RELEASE}/System.map"))).unwrap();
    assert!(run().contains("System.map: not a regular file\n"), "{}", run());
}

fn depmod_d_chooses_as_kmod_does() {
    let tree = Tree::new();
    for name in ["updates/fat.ko", "extra/fat.ko", "weak/fat.ko", "extra/crc7.ko"] {
        tree.put(name, &fs::read(tree.dir().join("kernel/fs/fat/fat.ko")).unwrap());
    }
    let outside = tree.top.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::copy(tree.dir().join("kernel/fs/fat/fat.ko"), outside.join("fat.ko")).unwrap();
    let external = format!(
        "external * {}/\nsearch updates built-in\nexclude updates extra weak\n",
        outside.display()
    );
    let sought = format!("{external}search external\n");
    let first = format!("external * {0}\nsearch external built-in\n", outside.display());
    let path = format!("{}/fat.ko:\n", outside.display());
    for (text, expected) in [
        (external.as_str(), "kernel/fs/fat/fat.ko:\n"),
        (sought.as_str(), "kernel/fs/fat/fat.ko:\n"),
        (first.as_str(), path.as_str()),
        ("", "updates/fat.ko:\n"),
        ("search extra built-in\n", "extra/fat.ko:\n"),
        ("search weak\nsearch updates built-in\n", "weak/fat.ko:\n"),
        ("override fat * extra\noverride fat ^6.1 weak\n", "weak/fat.ko:\n"),
        ("override fat ^5 extra\n", "updates/fat.ko:\n"),
        ("search built-in updates\nexclude extra weak\n", "kernel/fs/fat/fat.ko:\n"),
    ] {
        fs::write(tree.top.path().join("conf/a.conf"), text).unwrap();
        let words = tree.both(&[RELEASE]);
        assert!(words.is_empty(), "{words}");
        tree.run(ours(), "ours", &[RELEASE]);
        let dep = &files(&tree.top.path().join("ours/lib/modules").join(RELEASE))["modules.dep"];
        assert!(String::from_utf8_lossy(dep).contains(expected), "{text}");
    }
    fs::write(tree.top.path().join("conf/a.conf"), "frob x\noverride a *\n").unwrap();
    assert_eq!(
        tree.both(&[RELEASE]),
        "ERROR: conf/a.conf:1: ignoring bad line starting with 'frob'\n\
         ERROR: conf/a.conf:2: ignoring bad line starting with 'override'\n"
    );
}

/// The base, the output directory, the release and lines of depmod.d need not be UTF-8. Indexes
/// hold ASCII alone.
fn names_in_any_encoding_are_used_as_by_kmod() {
    let tree = Tree::new();
    let latin1 = OsStr::from_bytes;
    let fat = fs::read(tree.dir().join("kernel/fs/fat/fat.ko")).unwrap();
    for dir in [&b"updates"[..], b"extra\xf6"] {
        let dir = tree.dir().join(latin1(dir));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("fat.ko"), &fat).unwrap();
    }
    let conf = tree.top.path().join("conf/a.conf");
    for text in [
        &b"exclude extra\xf6\nsearch \xf6 built-in updates\n"[..],
        b"exclude extra\xf6\noverride fat * \xf6\n",
        b"exclude extra\xf6 \xff\nexternal * /nowhere\xe4\n",
    ] {
        fs::write(&conf, text).unwrap();
        assert!(!tree.both(&[RELEASE]).contains("FATAL"));
    }
    fs::write(&conf, b"exclude extra\xf7\nsearch extra\xf6 updates built-in\n").unwrap();
    for command in [ours(), kmod34::command("depmod")] {
        let output = tree.run(command, "refused", &[RELEASE]);
        assert!(!output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("only 7-bit ASCII is supported"), "{text}");
    }
    fs::remove_dir_all(tree.dir().join(latin1(b"extra\xf6"))).unwrap();
    let base = tree.top.path().join(latin1(b"b\xf6"));
    fs::create_dir_all(base.join("lib/modules")).unwrap();
    let release = latin1(b"6.1.0-\xff");
    fs::rename(tree.dir(), base.join("lib/modules").join(release)).unwrap();
    for (mut command, out) in [(ours(), b"ours\xfe"), (kmod34::command("depmod"), b"kmod\xfe")] {
        command.current_dir(tree.top.path()).arg("-b").arg(latin1(b"b\xf6"));
        let out = tree.top.path().join(latin1(out));
        assert!(command.arg("-o").arg(out).arg(release).status().unwrap().success());
    }
    let out = |name| files(&tree.top.path().join(latin1(name)).join("lib/modules").join(release));
    assert_same(&out(b"ours\xfe"), &out(b"kmod\xfe"));
    assert_eq!(out(b"ours\xfe").len(), 11);
}

/// Defects of a tree are reported, the rest is indexed, and the exit code is that of kmod.
fn unreadable_modules_are_reported() {
    let tree = Tree::new();
    let whole = fs::read(tree.dir().join("kernel/fs/fat/fat.ko")).unwrap();
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    bomb.extend((200u64 << 30).to_le_bytes());
    bomb.extend([1, 0, 0]);
    for (name, bytes) in [
        ("cut.ko", &whole[..whole.len() / 2]),
        ("head.ko", &whole[..40]),
        ("text.ko", b"this is a text\n"),
        ("short.ko", b"abc"),
        ("empty.ko", b""),
        ("bomb.ko.zst", &bomb),
        ("damaged.ko.xz", b"\xfd7zXZ\0 and no more of it"),
    ] {
        tree.put(&format!("kernel/bad/{name}"), bytes);
    }
    tree.put("kernel/dir.ko/none", b"");
    symlink("nowhere", tree.dir().join("kernel/bad/dangling.ko")).unwrap();
    let words = tree.both(&[RELEASE]);
    for (line, count) in [
        ("ERROR: could not stat kernel/bad/dangling.ko: No such file or directory", 1),
        ("WARNING: kernel/dir.ko: a directory with the name of a module", 1),
        ("cut.ko: Invalid argument (broken ELF file: section headers)", 1),
        ("head.ko: Invalid argument (broken ELF file: header)", 1),
        ("text.ko: Exec format error (not an ELF file)", 1),
        ("short.ko: Invalid argument (too short to be a module)", 1),
        ("empty.ko: Invalid argument (too short to be a module)", 1),
        ("bomb.ko.zst: Invalid argument (decodes to more than 2147483647 bytes)", 1),
        ("damaged.ko.xz: Invalid argument (damaged xz data: ", 1),
        ("ERROR: failed to load symbols from kernel/bad/", 7),
    ] {
        assert_eq!(words.matches(line).count(), count, "{line}\n{words}");
    }
    assert_eq!(words.lines().count(), 9, "{words}");
}

/// kmod follows the link until it has no file descriptors left.
fn a_link_to_a_parent_is_not_followed() {
    let tree = Tree::new();
    symlink("..", tree.dir().join("kernel/again")).unwrap();
    let output = tree.run(ours(), "ours", &[RELEASE]);
    assert!(output.status.success());
    assert_eq!(
        tree.words(&output),
        "ERROR: kernel/again: not following a link to a parent directory\n"
    );
    let own = files(&tree.top.path().join("ours"));
    fs::remove_file(tree.dir().join("kernel/again")).unwrap();
    tree.run(ours(), "again", &[RELEASE]);
    assert_same(&own, &files(&tree.top.path().join("again")));
}

fn cycles_are_reported_and_nothing_is_written() {
    let tree = Tree::new();
    for (own, needs) in [("a", "b"), ("b", "a"), ("c", "a")] {
        tree.module(own, needs);
    }
    assert_eq!(
        tree.both(&[RELEASE]),
        "ERROR: Cycle detected: m_a -> m_b -> m_a\n\
         ERROR: Found 2 modules in dependency cycles!\n"
    );
    // Two cycles with a path between them: kmod allocates memory until there is none.
    for (own, needs) in [("b", "a d"), ("d", "e"), ("e", "d")] {
        tree.module(own, needs);
    }
    let output = tree.run(ours(), "ours", &[RELEASE]);
    assert_eq!(output.status.code(), Some(1));
    let words = tree.words(&output);
    assert!(words.ends_with("ERROR: Found 4 modules in dependency cycles!\n"), "{words}");
    assert_eq!(words.matches("Cycle detected: ").count(), 2, "{words}");
    assert!(files(&tree.top.path().join("ours")).is_empty());
}

/// A file is complete or absent, and the previous one stays if the new one cannot be written.
fn files_are_replaced_atomically() {
    let tree = Tree::new();
    let out = tree.dir();
    tree.put("kernel/bad/\u{e4}.ko", b"not a module");
    tree.put("modules.dep", b"as it was");
    let output = tree.run(ours(), "r", &[RELEASE]);
    assert_eq!(output.status.code(), Some(1));
    let words = tree.words(&output);
    assert!(words.contains("only 7-bit ASCII is supported"), "{words}");
    assert_eq!(fs::read(out.join("modules.dep")).unwrap(), b"as it was");
    let left: Vec<_> = files(&out).into_keys().filter(|name| name.starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    fs::remove_file(out.join("kernel/bad/\u{e4}.ko")).unwrap();
    assert!(tree.run(ours(), "r", &[RELEASE]).status.success());
    assert!(fs::read(out.join("modules.dep")).unwrap().starts_with(b"kernel/fs/fat/vfat.ko: "));
}

fn quick_mode_looks_for_newer_modules() {
    let tree = Tree::new();
    assert!(tree.run(ours(), "r", &[RELEASE]).status.success());
    let dep = tree.dir().join("modules.dep");
    fs::write(&dep, "old").unwrap();
    assert!(tree.run(ours(), "r", &["-A", RELEASE]).status.success());
    assert_eq!(fs::read(&dep).unwrap(), b"old");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let fat = tree.dir().join("kernel/fs/fat/fat.ko");
    fs::write(&fat, fs::read(&fat).unwrap()).unwrap();
    assert!(tree.run(ours(), "r", &["-A", RELEASE]).status.success());
    assert_ne!(fs::read(&dep).unwrap(), b"old");
}

/// The image of a tree without index files equals that of a tree with them.
fn an_image_needs_no_index() {
    let tree = Tree::new();
    let build = |name: &str| {
        let out = tree.top.path().join(name);
        let mut command = Command::new(paths::program("coldplug"));
        command.args(["image", "build", "--all", "--no-firmware", "-k", RELEASE, "-r"]);
        let output = command.arg(tree.top.path().join("r")).arg("-o").arg(&out).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        (fs::read(out).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    tree.put("kernel/bad/text.ko", b"no module");
    let refused = "failed to load symbols from ";
    let (bare, words) = build("bare");
    assert!(words.contains(refused) && words.lines().count() == 2, "{words}");
    let left_out = "text.ko: not an ELF file; the image has no such module\n";
    assert!(words.ends_with(left_out), "{words}");
    assert!(!tree.dir().join("modules.dep").exists());
    let mut kmod = kmod34::command("depmod");
    kmod.arg("-b").arg(tree.top.path().join("r"));
    assert!(kmod.arg(RELEASE).output().unwrap().status.success());
    let (indexed, words) = build("indexed");
    assert!(words.ends_with(left_out) && words.lines().count() == 1, "{words}");
    assert!(bare == indexed);
}

/// A file without read permission is reported, and the rest is indexed.
fn modules_without_permission_are_reported() {
    let tree = Tree::new();
    let fat = tree.dir().join("kernel/fs/fat/fat.ko");
    fs::set_permissions(&fat, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(tree.top.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // The user nobody may lack access to the target directory, so the program is copied. cp(1) does
    // it: a descriptor of ours that is open for writing could be inherited by a command that another
    // test starts at the same time, and execve(2) would return ETXTBSY.
    let program = tree.top.path().join("depmod");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_coldplug")).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(program);
    // An instrumented program (`make coverage`) would report that it may not write its profile.
    command.uid(65534).gid(65534).env("LLVM_PROFILE_FILE", "/dev/null");
    let output = tree.run(command, "ours", &[RELEASE]);
    assert!(output.status.success(), "{output:?}");
    let words = tree.words(&output);
    assert_eq!(
        words,
        "ERROR: failed to load symbols from kernel/fs/fat/fat.ko: Permission denied\n"
    );
    assert_eq!(files(&tree.top.path().join("ours")).len(), 11);
}

/// No temporary file is left if a file cannot be renamed.
fn a_failed_rename_leaves_no_temporary_file() {
    let tree = Tree::new();
    fs::create_dir(tree.dir().join("modules.symbols")).unwrap();
    let output = tree.run(ours(), "r", &[RELEASE]);
    assert_eq!(output.status.code(), Some(1));
    assert!(tree.words(&output).contains("modules.symbols: Is a directory"), "{output:?}");
    let left = files(&tree.dir()).into_keys().filter(|name| name.starts_with('.')).count();
    assert_eq!(left, 0);
}
