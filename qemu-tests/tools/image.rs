//! `coldplug image` on a small tree; GNU cpio reads the images.

use harness::kernel::Kernel;
use harness::run::Test;
use harness::{kmod34, tests, tool};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    cpio_lists_the_files_of_the_list,
    the_same_input_gives_the_same_bytes,
    neither_cache_nor_processors_change_a_byte,
    a_damaged_cache_is_repaired,
    builders_share_a_cache,
    a_cache_that_cannot_be_used_is_an_error,
    dates_are_source_date_epoch,
    dependencies_are_included,
    modules_are_stored_in_the_requested_form,
    indexes_name_the_files_of_the_image,
    modprobe_reads_the_rewritten_index,
    configuration_and_firmware_are_included,
    configuration_of_devices_is_included,
    firmware_stays_compressed_if_the_kernel_reads_it,
    a_merged_usr_is_included_once,
    links_mean_what_they_mean_in_the_root,
    a_root_without_lib_is_read_below_usr,
    a_module_that_nobody_requested_may_be_damaged,
    a_builtin_module_stands_for_its_softdeps,
    init_is_the_smallest_program_that_suffices,
    a_list_replaces_the_built_in_one,
    a_build_as_a_list_gives_the_image_again,
    a_manifest_names_every_path_and_its_reason,
    microcode_is_in_front_of_the_image,
    several_kernels_share_an_image,
    a_tree_and_a_checker_are_included,
    options_of_image_conf_come_first,
    a_list_of_every_form_gives_what_gen_init_cpio_makes,
    an_image_can_be_standard_output,
    what_is_not_a_regular_file_is_refused_by_name,
    a_damaged_image_is_listed_up_to_the_damage,
    an_image_is_listed_in_little_memory,
    modules_of_any_size_take_little_memory,
    no_command_waits_at_a_fifo,
    words_of_the_command_line_are_escaped,
    several_large_modules_take_the_memory_of_one,
    a_long_modinfo_is_reported,
    a_bootconfig_is_listed,
    sizes_are_those_of_modules_and_reasons,
    a_compressed_module_may_decode_to_hundreds_of_megabytes,
    compressed_images_hold_the_same_archive,
    build_errors_are_reported,
    an_init_that_cannot_run_is_reported,
    programs_are_checked_for_the_kernel,
    programs_of_the_root_are_checked,
    init_is_for_the_machine_of_the_kernel,
    packages_of_debians_linux_7_make_an_image,
    the_set_for_socs_is_chosen_by_aliases,
    images_for_other_machines_hold_modules_and_firmware,
    an_output_that_cannot_be_written_is_an_error,
    a_full_standard_output_is_an_error,
    every_command_has_help,
];

/// Release of the kernel of [`tree`].
pub(crate) const RELEASE: &str = "6.0.0-test";

/// Returns a module file with an ELF header, `.modinfo` and the section names, which is enough for
/// every reader.
pub(crate) fn module(info: &[&str]) -> Vec<u8> {
    let info: Vec<u8> = info.iter().flat_map(|text| text.bytes().chain([0])).collect();
    let names = b"\0.modinfo\0.shstrtab\0";
    let names_at = 64 + info.len();
    let table = (names_at + names.len()).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([1, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0; 16]);
    file.extend((table as u64).to_le_bytes());
    file.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    file.extend(&info);
    file.extend(names);
    file.resize(table, 0);
    for (name, kind, at, len) in
        [(0, 0, 0, 0), (1, 1, 64, info.len()), (10, 3, names_at, names.len())]
    {
        file.extend(u32::to_le_bytes(name));
        file.extend(u32::to_le_bytes(kind));
        for field in [0, 0, at, len, 0, 1, 0] {
            file.extend((field as u64).to_le_bytes());
        }
    }
    file
}

/// Makes a sparse module of `size` bytes: the section headers are at its end, before them is a
/// section of zeros, and `.modinfo` claims to have `info_len` bytes more than it has.
fn put_sparse(path: &Path, size: u64, info_len: u64) {
    const HEADER: usize = 64;
    let mut file =
        module(&["license=GPL", "alias=pci:v*large*", "name=large", "firmware=a/fw.bin"]);
    let table = usize::from_le_bytes(file[0x28..0x30].try_into().unwrap());
    let mut headers = file.split_off(table);
    // Type 1 (SHT_PROGBITS) without a name, at the offset `table`.
    let zeros = [1_u64 << 32, 0, 0, table as u64, size - table as u64, 0, 1, 0];
    headers.extend(zeros.iter().flat_map(|n| n.to_le_bytes()));
    let len = HEADER + 0x20;
    let old = u64::from_le_bytes(headers[len..len + 8].try_into().unwrap());
    headers[len..len + 8].copy_from_slice(&(old + info_len).to_le_bytes());
    file[0x28..0x30].copy_from_slice(&size.to_le_bytes());
    file[0x3c] = 4;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, &file).unwrap();
    let mut sparse = fs::OpenOptions::new().append(true).open(path).unwrap();
    sparse.set_len(size).unwrap();
    sparse.write_all(&headers).unwrap();
}

/// `e_machine` of x86-64 and AArch64.
pub(crate) const X86_64: u8 = 62;
const AARCH64: u8 = 183;

/// Returns a 64-bit program for `machine`, of which everything but the headers is `rest`. If it has
/// an interpreter, this is the path in PT_INTERP.
pub(crate) fn program(machine: u8, interpreter: Option<&str>, rest: &[u8]) -> Vec<u8> {
    let path: Vec<u8> =
        interpreter.map(|path| path.bytes().chain([0]).collect()).unwrap_or_default();
    let count = if path.is_empty() { 1 } else { 2 };
    let start = 64 + 56 * u64::from(count);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, machine, 0, 1, 0, 0, 0]);
    for field in [0x40_0000, 64, 0] {
        file.extend(u64::to_le_bytes(field));
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, count, 0, 0, 0, 0, 0, 0, 0]);
    let mut segment = |kind: u32, at: u64, len: u64| {
        file.extend([kind, 5].map(u32::to_le_bytes).concat());
        let fields = [at, 0x40_0000 + at, 0x40_0000 + at, len, len, 1];
        file.extend(fields.map(u64::to_le_bytes).concat());
    };
    let len = path.len() as u64;
    if !path.is_empty() {
        segment(3, start, len);
    }
    segment(1, 0, start + len);
    file.extend(path);
    file.extend(rest);
    file
}

/// Returns a program for 32-bit ARM, little-endian.
fn arm_program() -> Vec<u8> {
    let halves = |values: [u16; 6]| values.map(u16::to_le_bytes).concat();
    let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let ident = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0";
    let head = words(&[1, 0x8000, 52, 0, 0x0500_0200]);
    let segment = words(&[1, 0, 0x8000, 0x8000, 84, 84, 5, 1]);
    [&ident[..], &head, &halves([52, 32, 1, 0, 0, 0]), &segment].concat()
}

/// Returns a program for s390x, which is big-endian.
fn s390x_program() -> Vec<u8> {
    let ident = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16\0\0\0\x01";
    let long = |values: &[u64]| values.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>();
    let head = [long(&[0x8000, 64, 0]), vec![0; 4]].concat();
    let sizes = [64_u16, 56, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    let kind = [1_u32, 5].map(u32::to_be_bytes).concat();
    let segment = long(&[0, 0x8000, 0x8000, 120, 120, 1]);
    [&ident[..], &head, &sizes, &kind, &segment].concat()
}

/// Makes the modules of a tree those of AArch64.
fn make_arm64(root: &Path) {
    for name in ["a", "d", "e", "x"] {
        let path = root.join(format!("lib/modules/{RELEASE}/kernel/{name}.ko"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[18] = AARCH64;
        fs::write(path, bytes).unwrap();
    }
}

/// Writes a file below a directory.
pub(crate) fn put(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Compresses with an external command, so that our decoder is not tested with our own encoder.
fn filter(command: &str, input: &[u8]) -> Vec<u8> {
    let words: Vec<_> = command.split_whitespace().collect();
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "in", input);
    let stdin = fs::File::open(dir.path().join("in")).unwrap();
    let out = Command::new(words[0]).args(&words[1..]).arg("-c").stdin(stdin).output().unwrap();
    assert!(out.status.success(), "{command}");
    out.stdout
}

/// Makes a tree in which a needs b, b needs c, a has a softdep on an alias of d, d has a weakdep on
/// e, and x is independent.
pub(crate) fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let put_module = |name: &str, content: &[u8]| {
        put(root, &format!("lib/modules/{RELEASE}/kernel/{name}"), content);
    };
    put_module("a.ko", &module(&["license=GPL", "firmware=a/fw.bin", "firmware=a/none.bin"]));
    put_module("b-b.ko.xz", &filter("xz", &module(&["name=b_b"])));
    put_module("c.ko.gz", &filter("gzip -n", &module(&["name=c"])));
    put_module("d.ko", &module(&["name=d", "firmware=a/link.bin"]));
    put_module("e.ko", &module(&["name=e"]));
    put_module("x.ko", &module(&["name=x"]));
    let put_index = |name: &str, text: &str| {
        put(root, &format!("lib/modules/{RELEASE}/modules.{name}"), text);
    };
    put_index(
        "dep",
        "kernel/a.ko: kernel/b-b.ko.xz kernel/c.ko.gz\nkernel/b-b.ko.xz: kernel/c.ko.gz\n\
         kernel/c.ko.gz:\nkernel/d.ko:\nkernel/e.ko:\nkernel/x.ko:\n",
    );
    put_index("alias", "alias crypto-d d\nalias pci:v*d0001* x\n");
    put_index("softdep", "softdep a pre: crypto-d nowhere\n");
    put_index("builtin", "kernel/fs/in-kernel.ko\n");
    put(root, "etc/modprobe.d/local.conf", "weakdep d e\n");
    put(root, "etc/modprobe.d/README", "not configuration\n");
    put(root, "usr/lib/modprobe.d/dist.conf", "options a x=1\n");
    put(root, "lib/firmware/a/fw.bin.xz", "firmware");
    put(root, "lib/firmware/a/real.bin", "linked");
    symlink("real.bin", root.join("lib/firmware/a/link.bin")).unwrap();
    put(root, "init", program(X86_64, None, b""));
    dir
}

/// Runs `coldplug image build` on a tree with `args`; returns the output and the path of the image.
pub(crate) fn build(root: &Path, args: &str) -> (Output, PathBuf) {
    let image = root.join("out.img");
    let output = Command::new(env!("CARGO_BIN_EXE_coldplug"))
        .args(["image", "build", "--kernel", RELEASE, "--root"])
        .arg(root)
        .arg("-o")
        .arg(&image)
        .arg("--init")
        .arg(root.join("init"))
        .args(args.split_whitespace())
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    (output, image)
}

/// Builds an image as [`build`] does, which must succeed.
pub(crate) fn built(root: &Path, args: &str) -> PathBuf {
    let (output, image) = build(root, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    image
}

/// Builds an image as [`build`] does, which must fail and leave nothing; returns the error.
pub(crate) fn refused(root: &Path, args: &str) -> String {
    let (output, image) = build(root, args);
    assert!(!output.status.success(), "{args}");
    assert!(!image.exists(), "{args} left an image");
    let rest: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!rest.iter().any(|n| n.to_string_lossy().starts_with(".out")), "{rest:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs cpio on an archive's bytes.
fn cpio(archive: &[u8], args: &[&str], dir: &Path) -> Output {
    put(dir, "archive.cpio", archive);
    let output = Command::new("cpio")
        .args(args)
        .current_dir(dir)
        .stdin(fs::File::open(dir.join("archive.cpio")).unwrap())
        .stderr(Stdio::piped())
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Returns every regular file that GNU cpio unpacks from an image: path → content.
pub(crate) fn files(image: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    cpio(&fs::read(image).unwrap(), &["-id", "--quiet", "--nonmatching", "dev/*"], dir.path());
    fs::remove_file(dir.path().join("archive.cpio")).unwrap();
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Returns the modules in an image, relative to `kernel/`.
pub(crate) fn modules(image: &Path) -> Vec<String> {
    let below = format!("lib/modules/{RELEASE}/kernel/");
    files(image).keys().filter_map(|name| name.strip_prefix(&below)).map(str::to_owned).collect()
}

fn cpio_lists_the_files_of_the_list() {
    let tree = tree();
    let image = built(tree.path(), "");
    let dir = tempfile::tempdir().unwrap();
    let listing = cpio(&fs::read(&image).unwrap(), &["-itv", "--quiet"], dir.path()).stdout;
    let listing = String::from_utf8(listing).unwrap();
    let words: Vec<Vec<&str>> = listing.lines().map(|l| l.split_whitespace().collect()).collect();
    for expected in [
        &["crw-------", "1", "root", "root", "5,", "1", "Jan", "1", "1970", "dev/console"][..],
        &["crw-rw-rw-", "1", "root", "root", "1,", "3", "Jan", "1", "1970", "dev/null"],
        &["-rwxr-xr-x", "1", "root", "root", "120", "Jan", "1", "1970", "init"],
        &[
            "lrwxrwxrwx",
            "1",
            "root",
            "root",
            "5",
            "Jan",
            "1",
            "1970",
            "sbin/modprobe",
            "->",
            "/init",
        ],
        &["drwxr-xr-x", "2", "root", "root", "0", "Jan", "1", "1970", "lib/modules"],
    ] {
        assert!(words.iter().any(|line| line == expected), "{expected:?} in\n{listing}");
    }
    let names: Vec<_> = words.iter().map(|line| line[line.len() - 1]).collect();
    let mut own = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let own = own.args(["image", "list"]).arg(&image).output().unwrap().stdout;
    let own = String::from_utf8(own).unwrap();
    let own: Vec<_> = own.lines().map(|l| l.split_whitespace().next_back().unwrap()).collect();
    assert_eq!(own, names);
}

fn the_same_input_gives_the_same_bytes() {
    let tree = tree();
    for args in ["", "--compress zstd", "--compress gzip", "--modules-as plain", "-m a"] {
        let first = fs::read(built(tree.path(), args)).unwrap();
        // Dates and the order of directory entries must have no effect.
        let again = self::tree();
        let second = fs::read(built(again.path(), args)).unwrap();
        assert!(first == second, "{args}");
        assert!(!first.is_empty());
    }
}

/// Makes a tree with `count` more modules of different sizes, plain and compressed.
fn tree_of_many(count: usize) -> tempfile::TempDir {
    let dir = tree();
    let modules = dir.path().join("lib/modules").join(RELEASE);
    for n in 0..count {
        let mut content = module(&[&format!("name=m{n}"), &format!("firmware=m/{n}.bin")]);
        // Numbers of a linear congruence, so that no two modules compress alike.
        content.extend((0..n * 40).map(|i| ((i * i * 1103 + n * 12345) >> 8).to_le_bytes()[0]));
        let (suffix, content) = match n % 50 {
            7 => (".xz", filter("xz", &content)),
            8 => (".zst", filter("zstd -q", &content)),
            _ => ("", content),
        };
        put(&modules, &format!("kernel/m{n}.ko{suffix}"), content);
        put(dir.path(), &format!("lib/firmware/m/{n}.bin"), n.to_string());
    }
    for name in ["modules.dep", "modules.alias", "modules.softdep"] {
        fs::remove_file(modules.join(name)).unwrap();
    }
    // depmod warns without them.
    put(&modules, "modules.order", "");
    put(&modules, "modules.builtin.modinfo", "");
    dir
}

/// Returns the image that `coldplug image build` with `args` makes on processor 0 alone.
fn built_on_one_processor(root: &Path, args: &str) -> Vec<u8> {
    let image = root.join("one.img");
    let mut command = tool::command("taskset", "util-linux");
    command.args([
        "-c",
        "0",
        env!("CARGO_BIN_EXE_coldplug"),
        "image",
        "build",
        "-k",
        RELEASE,
        "-r",
    ]);
    command.arg(root).arg("-o").arg(&image).arg("--init").arg(root.join("init"));
    tool::run(command.args(args.split_whitespace()));
    fs::read(image).unwrap()
}

/// Returns the entries of a cache.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(cache).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries
}

fn neither_cache_nor_processors_change_a_byte() {
    let tree = tree_of_many(200);
    let root = tree.path();
    for (number, (args, is_cached)) in [
        ("", true),
        ("--modules-as stored", true),
        ("--modules-as plain", false),
        ("--compress zstd", true),
        ("-m m1*", true),
    ]
    .into_iter()
    .enumerate()
    {
        let want = fs::read(built(root, &format!("{args} --no-cache"))).unwrap();
        assert!(want == built_on_one_processor(root, &format!("{args} --no-cache")), "{args}");
        let cache = root.join(format!("cache-{number}"));
        let cached = format!("{args} --cache {}", cache.display());
        assert!(want == fs::read(built(root, &cached)).unwrap(), "{args}, new cache");
        let made = entries(&cache);
        assert_eq!(!made.is_empty(), is_cached, "{args}");
        assert!(want == fs::read(built(root, &cached)).unwrap(), "{args}, full cache");
        assert!(want == built_on_one_processor(root, &cached), "{args}, full cache");
        assert_eq!(entries(&cache), made, "{args}");
        // Entries under other names, as another version makes them, are not used.
        for entry in &made {
            let name = entry.file_name().unwrap().to_str().unwrap();
            fs::rename(entry, cache.join(name.chars().rev().collect::<String>())).unwrap();
        }
        assert!(want == fs::read(built(root, &cached)).unwrap(), "{args}, other version");
        assert_eq!(entries(&cache).len(), 2 * made.len(), "{args}");
    }
}

fn a_damaged_cache_is_repaired() {
    let tree = tree_of_many(12);
    let cache = tree.path().join("cache");
    let cached = format!("--cache {}", cache.display());
    let want = fs::read(built(tree.path(), "--no-cache")).unwrap();
    built(tree.path(), &cached);
    let made = entries(&cache);
    let other = fs::read(&made[1]).unwrap();
    for (damage, change) in [
        ("empty", &(|_: Vec<u8>| Vec::new()) as &dyn Fn(Vec<u8>) -> Vec<u8>),
        ("cut", &|bytes| bytes[..bytes.len() - 1].to_vec()),
        ("changed", &|bytes| [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat()),
        ("another", &|_| other.clone()),
    ] {
        fs::write(&made[0], change(fs::read(&made[0]).unwrap())).unwrap();
        let (output, image) = build(tree.path(), &cached);
        let warning = String::from_utf8(output.stderr).unwrap();
        let named = format!("{}: damaged; made again", made[0].display());
        assert!(output.status.success() && warning.contains(&named), "{damage}: {warning}");
        assert!(want == fs::read(image).unwrap(), "{damage}");
        let (output, image) = build(tree.path(), &cached);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{damage}");
        assert!(want == fs::read(image).unwrap(), "{damage}");
    }
}

fn builders_share_a_cache() {
    let tree = tree_of_many(60);
    let root = tree.path();
    let want = fs::read(built(root, "--no-cache")).unwrap();
    let start = |n: usize| {
        Command::new(env!("CARGO_BIN_EXE_coldplug"))
            .args(["image", "build", "-k", RELEASE, "--cache"])
            .arg(root.join("cache"))
            .arg("-r")
            .arg(root)
            .arg("--init")
            .arg(root.join("init"))
            .arg("-o")
            .arg(root.join(format!("{n}.img")))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let builders: Vec<_> = (0..4).map(start).collect();
    for (n, builder) in builders.into_iter().enumerate() {
        let output = builder.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
        assert!(want == fs::read(root.join(format!("{n}.img"))).unwrap());
    }
}

fn a_cache_that_cannot_be_used_is_an_error() {
    let tree = tree();
    let shared = tree.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    put(tree.path(), "file", "");
    for (dir, why) in [
        (shared.to_str().unwrap(), "other users may write to it\nhint: run 'chmod go-w "),
        (tree.path().join("file").to_str().unwrap(), "mkdir "),
        ("/proc/none", "mkdir /proc/none: No such file or directory"),
    ] {
        let error = refused(tree.path(), &format!("--cache {dir}"));
        assert!(error.contains(why), "{error}");
    }
}

fn dates_are_source_date_epoch() {
    let tree = tree();
    let image = tree.path().join("dated.img");
    let status = Command::new(env!("CARGO_BIN_EXE_coldplug"))
        .args(["image", "build", "-q", "--kernel", RELEASE, "--no-firmware", "--root"])
        .arg(tree.path())
        .arg("-o")
        .arg(&image)
        .arg("--init")
        .arg(tree.path().join("init"))
        .env("SOURCE_DATE_EPOCH", "86400")
        .output()
        .unwrap();
    assert!(status.status.success() && status.stdout.is_empty());
    let bytes = fs::read(image).unwrap();
    assert_eq!(&bytes[46..54], b"00015180");
}

fn dependencies_are_included() {
    let tree = tree();
    for (args, expected) in [
        ("-m c", &["c.ko.gz"][..]),
        ("-m b_b", &["b-b.ko.xz", "c.ko.gz"]),
        ("-m a", &["a.ko.zst", "b-b.ko.xz", "c.ko.gz", "d.ko.zst", "e.ko.zst"]),
        ("-m d,c", &["c.ko.gz", "d.ko.zst", "e.ko.zst"]),
        ("-m crypto-d", &["d.ko.zst", "e.ko.zst"]),
        ("-m kernel/b*", &["b-b.ko.xz", "c.ko.gz"]),
        ("-m in_kernel,@virtio", &[]),
        ("--all", &["a.ko.zst", "b-b.ko.xz", "c.ko.gz", "d.ko.zst", "e.ko.zst", "x.ko.zst"]),
    ] {
        assert_eq!(modules(&built(tree.path(), args)), expected, "{args}");
    }
}

fn configuration_of_devices_is_included() {
    let tree = tree();
    let module = format!("lib/modules/{RELEASE}/kernel/dm-crypt.ko");
    put(tree.path(), &module, self::module(&["name=dm_crypt"]));
    let dep = tree.path().join(format!("lib/modules/{RELEASE}/modules.dep"));
    let lines = fs::read_to_string(&dep).unwrap() + "kernel/dm-crypt.ko:\n";
    fs::write(&dep, lines).unwrap();
    put(tree.path(), "etc/crypttab", "root UUID=1 none luks\nkeys UUID=2 /etc/k initramfs\n");
    put(tree.path(), "etc/k", "secret");
    put(tree.path(), "etc/mdadm/mdadm.conf", "HOMEHOST <system>\n");
    put(tree.path(), "etc/hostname", "pc\n");
    let (output, image) = build(tree.path(), "-m x");
    assert!(output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("the image holds key files"), "{stderr}");
    assert_eq!(image.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(modules(&image), ["dm-crypt.ko.zst", "x.ko.zst"]);
    let found = files(&image);
    for name in ["etc/crypttab", "etc/k", "etc/mdadm/mdadm.conf", "etc/hostname"] {
        let source = fs::read(tree.path().join(name)).unwrap();
        assert_eq!(found.get(name), Some(&source), "{name}");
    }
    let generic = files(&built(tree.path(), "--generic"));
    assert!(!generic.keys().any(|name| name == "etc/crypttab" || name == "etc/k"));
}

fn modules_are_stored_in_the_requested_form() {
    let tree = tree();
    let source = |name: &str| {
        fs::read(tree.path().join(format!("lib/modules/{RELEASE}/kernel/{name}"))).unwrap()
    };
    let image = |name: &str| format!("lib/modules/{RELEASE}/kernel/{name}");

    let stored = files(&built(tree.path(), "--modules-as stored"));
    for name in ["a.ko", "b-b.ko.xz", "c.ko.gz"] {
        assert_eq!(stored[&image(name)], source(name), "{name}");
    }
    let plain = files(&built(tree.path(), "--modules-as plain"));
    assert_eq!(plain[&image("a.ko")], source("a.ko"));
    assert_eq!(plain[&image("b-b.ko")], module(&["name=b_b"]));
    assert_eq!(plain[&image("c.ko")], module(&["name=c"]));
    let zstd = files(&built(tree.path(), "--modules-as zstd"));
    assert_eq!(filter("unzstd", &zstd[&image("a.ko.zst")]), source("a.ko"));
    assert_eq!(zstd[&image("b-b.ko.xz")], source("b-b.ko.xz"));
}

fn indexes_name_the_files_of_the_image() {
    let tree = tree();
    let dep = |args: &str| {
        let files = files(&built(tree.path(), args));
        let index = files[&format!("lib/modules/{RELEASE}/modules.dep.bin")].clone();
        assert_eq!(&index[..4], b"\xb0\x07\xf4\x57");
        let text = String::from_utf8(files[&format!("lib/modules/{RELEASE}/modules.dep")].clone());
        text.unwrap().lines().next().unwrap().to_owned()
    };
    assert_eq!(dep(""), "kernel/a.ko.zst: kernel/b-b.ko.xz kernel/c.ko.gz");
    assert_eq!(dep("-m x"), "kernel/a.ko.zst: kernel/b-b.ko.xz kernel/c.ko.gz");
    assert_eq!(dep("--modules-as plain"), "kernel/a.ko: kernel/b-b.ko kernel/c.ko");
    assert_eq!(dep("--modules-as stored"), "kernel/a.ko: kernel/b-b.ko.xz kernel/c.ko.gz");
}

/// kmod finds the same in the rewritten index as in the text.
fn modprobe_reads_the_rewritten_index() {
    let tree = tree();
    let image = built(tree.path(), "-m a");
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files(&image) {
        put(dir.path(), &name, content);
    }
    let output = Command::new("modprobe")
        .args(["-S", RELEASE, "-D", "a", "-d"])
        .arg(dir.path())
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let files: Vec<_> = output
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.rsplit('/').next())
        .collect();
    assert!(files.ends_with(&["c.ko.gz", "b-b.ko.xz", "a.ko.zst"]), "{output}");
}

fn configuration_and_firmware_are_included() {
    let tree = tree();
    let (output, image) = build(tree.path(), "-m a");
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("5 of 6 modules, 2 firmware files (1 missing)\n"), "{summary}");
    let missing = "\nboots from no usual disk or server\nmissing firmware: a/none.bin (a)\n";
    assert!(summary.ends_with(missing), "{summary}");
    let found = files(&image);
    assert_eq!(found["etc/modprobe.d/local.conf"], b"weakdep d e\n");
    assert_eq!(found["usr/lib/modprobe.d/dist.conf"], b"options a x=1\n");
    assert!(!found.contains_key("etc/modprobe.d/README"));
    assert_eq!(found["lib/firmware/a/fw.bin.xz"], b"firmware");
    assert_eq!(found["lib/firmware/a/link.bin"], b"linked");
    assert!(!found.contains_key("lib/firmware/a/real.bin"));
    let without = files(&built(tree.path(), "-m a --no-firmware"));
    assert!(!without.keys().any(|name| name.starts_with("lib/firmware")));
}

fn firmware_stays_compressed_if_the_kernel_reads_it() {
    let dir = tree();
    let root = dir.path();
    let packed = filter("xz --check=crc32", b"firmware");
    put(root, "lib/firmware/a/fw.bin.xz", &packed);
    let firmware = || {
        let files = files(&built(root, "-m a"));
        let below = files.into_iter().filter_map(|(name, content)| {
            Some((name.strip_prefix("lib/firmware/a/")?.to_owned(), content))
        });
        below.collect::<BTreeMap<_, _>>()
    };
    let want = |name: &str, content: &[u8]| {
        let files = [(name, content), ("link.bin", b"linked")];
        BTreeMap::from(files.map(|(name, content)| (name.to_owned(), content.to_vec())))
    };
    assert_eq!(firmware(), want("fw.bin.xz", &packed));
    let config = format!("boot/config-{RELEASE}");
    put(root, &config, "CONFIG_FW_LOADER_COMPRESS=y\nCONFIG_FW_LOADER_COMPRESS_XZ=y\n");
    assert_eq!(firmware(), want("fw.bin.xz", &packed));
    put(root, &config, "# CONFIG_FW_LOADER_COMPRESS is not set\n");
    assert_eq!(firmware(), want("fw.bin", b"firmware"));
    put(root, "lib/firmware/a/fw.bin.xz", &packed[..20]);
    fs::remove_file(root.join("out.img")).unwrap();
    let error = refused(root, "-m a");
    assert!(error.contains("lib/firmware/a/fw.bin.xz: "), "{error}");
}

fn a_merged_usr_is_included_once() {
    let tree = tree();
    let root = tree.path();
    for name in ["modules", "firmware"] {
        fs::rename(root.join("lib").join(name), root.join("usr/lib").join(name)).unwrap();
    }
    fs::remove_dir(root.join("lib")).unwrap();
    symlink("usr/lib", root.join("lib")).unwrap();
    let found = files(&built(root, ""));
    assert!(found.contains_key("usr/lib/modprobe.d/dist.conf"));
    assert!(!found.contains_key("lib/modprobe.d/dist.conf"));
    assert!(found.contains_key(&format!("lib/modules/{RELEASE}/kernel/a.ko.zst")));
}

/// Debian's alternatives, RHEL's weak-updates and a merged /usr with links that start at `/`.
fn links_mean_what_they_mean_in_the_root() {
    let tree = tree();
    let root = tree.path();
    for name in ["modules", "firmware"] {
        fs::rename(root.join("lib").join(name), root.join("usr/lib").join(name)).unwrap();
    }
    fs::remove_dir(root.join("lib")).unwrap();
    let dir = format!("usr/lib/modules/{RELEASE}");
    put(root, "usr/lib/modules/older/extra/x.ko", module(&["name=x", "firmware=regulatory.db"]));
    fs::remove_file(root.join(&dir).join("kernel/x.ko")).unwrap();
    put(root, "etc/alternatives/modprobe", "blacklist nouveau\n");
    put(root, "usr/lib/firmware/regulatory.db-debian", "from Debian");
    for (link, target) in [
        ("lib", "/usr/lib"),
        (&*format!("{dir}/kernel/x.ko"), "/lib/modules/older/extra/x.ko"),
        ("etc/modprobe.d/nvidia.conf", "/etc/alternatives/modprobe"),
        ("etc/modprobe.d/nowhere.conf", "/etc/passwd"),
        ("etc/alternatives/regulatory.db", "/lib/firmware/regulatory.db-debian"),
        ("usr/lib/firmware/regulatory.db", "/etc/alternatives/regulatory.db"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let image = built(root, "-m x --modules-as stored");
    let found = files(&image);
    let x = &found[&format!("lib/modules/{RELEASE}/kernel/x.ko")];
    assert_eq!(*x, module(&["name=x", "firmware=regulatory.db"]));
    assert_eq!(found["etc/modprobe.d/nvidia.conf"], b"blacklist nouveau\n");
    assert_eq!(found["lib/firmware/regulatory.db"], b"from Debian");
    assert!(!found.contains_key("etc/modprobe.d/nowhere.conf"), "a file of the build machine");
}

/// A package of a kernel for a merged /usr, unpacked.
fn a_root_without_lib_is_read_below_usr() {
    let tree = tree();
    let root = tree.path();
    for name in ["modules", "firmware"] {
        fs::rename(root.join("lib").join(name), root.join("usr/lib").join(name)).unwrap();
    }
    fs::remove_dir(root.join("lib")).unwrap();
    let found = files(&built(root, "-m a"));
    assert!(found.contains_key(&format!("lib/modules/{RELEASE}/kernel/a.ko.zst")));
    assert_eq!(found["lib/firmware/a/fw.bin.xz"], b"firmware");
}

fn a_module_that_nobody_requested_may_be_damaged() {
    let tree = tree();
    let dir = tree.path().join(format!("lib/modules/{RELEASE}/kernel"));
    fs::write(dir.join("x.ko"), "").unwrap();
    let c = fs::read(dir.join("c.ko.gz")).unwrap();
    fs::write(dir.join("c.ko.gz"), &c[..c.len() / 2]).unwrap();
    fs::remove_file(dir.join("e.ko")).unwrap();
    assert!(refused(tree.path(), "-m x").contains("x.ko: not an ELF file"));
    assert!(refused(tree.path(), "-m a").contains("c.ko.gz: damaged gzip data"));
    for args in ["", "--no-firmware --modules-as stored"] {
        let (output, image) = build(tree.path(), args);
        let text = String::from_utf8_lossy(&output.stderr);
        for cause in ["x.ko: not an ELF file", "c.ko.gz: damaged gzip data", "e.ko: No such file"] {
            let line = text.lines().find(|line| line.contains(cause)).expect(cause);
            assert!(line.ends_with("; the image has no such module"), "{line}");
        }
        assert_eq!(modules(&image).len(), 3, "{:?}", modules(&image));
    }
    assert!(modules(&built(tree.path(), "-m in_kernel")).is_empty());
}

fn a_builtin_module_stands_for_its_softdeps() {
    let tree = tree();
    let dir = format!("lib/modules/{RELEASE}");
    put(
        tree.path(),
        &format!("{dir}/modules.builtin"),
        "kernel/fs/in-kernel.ko\nkernel/deep.ko\nkernel/hid.ko\n",
    );
    put(
        tree.path(),
        &format!("{dir}/modules.builtin.modinfo"),
        "in_kernel.license=GPL\0in_kernel.softdep=pre: deep post: nowhere\0deep.softdep=pre: \
         in_kernel crypto-d\0hid.weakdep=x\0broken\0",
    );
    let d = ["d.ko.zst", "e.ko.zst"];
    assert_eq!(modules(&built(tree.path(), "-m in-kernel")), d);
    assert_eq!(modules(&built(tree.path(), "-m hid")), ["x.ko.zst"]);
    put(tree.path(), &format!("{dir}/modules.softdep"), "softdep x pre: deep\n");
    assert_eq!(modules(&built(tree.path(), "-m x")), [d[0], d[1], "x.ko.zst"]);
}

/// The larger program goes into images that can have their root on LUKS, LVM or md, or that have
/// rules for programs which assemble devices.
fn init_is_the_smallest_program_that_suffices() {
    let [small, stacks] = [&b"small"[..], b"stacks"].map(|rest| program(X86_64, None, rest));
    let installed = tempfile::tempdir().unwrap();
    put(installed.path(), "lib/coldplug/coldplug-init", &small);
    put(installed.path(), "lib/coldplug/coldplug-init-stacks", &stacks);
    put(installed.path(), "bin/coldplug", fs::read(env!("CARGO_BIN_EXE_coldplug")).unwrap());
    let builder = installed.path().join("bin/coldplug");
    fs::set_permissions(&builder, fs::Permissions::from_mode(0o755)).unwrap();
    let dir = format!("lib/modules/{RELEASE}");
    let with_module = tree();
    put(with_module.path(), &format!("{dir}/kernel/dm-mod.ko"), module(&["name=dm_mod"]));
    let dep = with_module.path().join(format!("{dir}/modules.dep"));
    let lines = fs::read_to_string(&dep).unwrap() + "kernel/dm-mod.ko:\n";
    fs::write(&dep, lines).unwrap();
    let built_in = tree();
    put(built_in.path(), &format!("{dir}/modules.builtin"), "kernel/drivers/md/md-mod.ko\n");
    let with_rules = tree();
    put(with_rules.path(), "etc/coldplug/assemble.d/a", "on bcache run /init\n");
    put(
        with_rules.path(),
        "list",
        "file /init @init 0755 0 0\nfile /etc/coldplug/assemble.d/a list 0644 0 0\n",
    );
    let listed = "-m x --generic --list list";
    for (tree, args, expected) in [
        (&with_module, "-m x", &small),
        (&with_module, "-m x,dm-mod", &stacks),
        (&with_module, "--all", &stacks),
        (&built_in, "-m x", &stacks),
        (&with_rules, "-m x", &stacks),
        (&with_rules, "-m x --generic", &small),
        (&with_rules, listed, &stacks),
        (&with_module, "-m dm-mod --init init", &program(X86_64, None, b"")),
    ] {
        let image = tree.path().join("out.img");
        let output = Command::new(&builder)
            .args(["image", "build", "-q", "--kernel", RELEASE, "--root", ".", "-o", "out.img"])
            .args(args.split_whitespace())
            .current_dir(tree.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(files(&image)["init"] == *expected, "{args}");
    }
}

fn a_list_replaces_the_built_in_one() {
    let tree = tree();
    let list = tree.path().join("my.list");
    let text = "dir /dev 0755 0 0\nfile /rdinit @init 0700 1 2\nslink /lib usr/lib 0777 0 0\n";
    fs::write(&list, text).unwrap();
    let found = files(&built(tree.path(), &format!("-m c --list {}", list.display())));
    assert_eq!(found["rdinit"], program(X86_64, None, b""));
    assert!(!found.contains_key("init") && !found.contains_key("etc/initrd-release"));
    assert!(found.contains_key(&format!("usr/lib/modules/{RELEASE}/kernel/c.ko.gz")));

    fs::write(&list, "dir /dev 0755 0 0\n\nfifo /x 0600 0 0\n").unwrap();
    fs::remove_file(tree.path().join("out.img")).unwrap();
    let error = refused(tree.path(), &format!("--list {}", list.display()));
    assert!(error.contains("my.list line 3: unknown type 'fifo'"), "{error}");
}

/// The list has all that the image has: an image of it alone is the same, byte for byte. The files
/// that it names are those of the tree, and of the directory beside it.
fn a_build_as_a_list_gives_the_image_again() {
    let tree = tree();
    let root = tree.path();
    put(root, "content", "hello\n");
    let lines = "dir /etc 0700 1 2\nfile /init @init 0755 0 0\nfile /bin/a CONTENT 4755 1 2 /bin/b /c\n\
        slink /sbin bin 0777 0 0\nnod /dev/console 0600 0 0 c 5 1\nnod /dev/b 0600 0 0 b 7 0\n\
        pipe /p 0600 0 0\nsock /s 0600 0 0\n";
    let content = root.join("content").display().to_string();
    fs::write(root.join("lines"), lines.replace("CONTENT", &content)).unwrap();
    let lines = root.join("lines").display().to_string();
    let image = fs::read(built(root, &format!("--list {lines}"))).unwrap();
    fs::remove_file(root.join("out.img")).unwrap();
    let list = built(root, &format!("--list {lines} --as-list"));
    let text = fs::read_to_string(&list).unwrap();
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    let beside = root.join("out.img.files");
    has(&format!("file /init {} 0755 0 0", root.join("init").display()));
    has(&format!("file /bin/a {content} 4755 1 2 /bin/b /c"));
    let module = format!("lib/modules/{RELEASE}/kernel/a.ko.zst");
    has(&format!("file /{module} {}/{module} 0644 0 0", beside.display()));
    assert!(beside.join(format!("lib/modules/{RELEASE}/modules.dep.bin")).exists());
    fs::rename(&list, root.join("list")).unwrap();
    // Nothing comes from a tree without modules and configuration.
    let empty = tempfile::tempdir().unwrap();
    for name in ["dep", "builtin"] {
        put(empty.path(), &format!("lib/modules/{RELEASE}/modules.{name}"), "");
    }
    put(empty.path(), "init", program(X86_64, None, b""));
    let again = built(empty.path(), &format!("--list {}", root.join("list").display()));
    let without_tree = |image: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        let list = cpio(image, &["-itvn", "--quiet"], dir.path()).stdout;
        let list = String::from_utf8(list).unwrap();
        let of_tree = |line: &&str| !line.contains("/modules.");
        list.lines().filter(of_tree).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without_tree(&fs::read(&again).unwrap()), without_tree(&image));
    let kept = |image: &Path| {
        let all = files(image).into_iter();
        all.filter(|(name, _)| !name.contains("/modules.")).collect::<BTreeMap<_, _>>()
    };
    let first = root.join("first");
    fs::write(&first, &image).unwrap();
    assert_eq!(kept(&again), kept(&first));

    let error = refused(root, "--as-list --compress zstd");
    assert!(error.contains("--as-list writes no archive"), "{error}");
}

fn a_manifest_names_every_path_and_its_reason() {
    let dir = tree();
    let root = dir.path();
    let file = root.join("manifest.json");
    let options = format!("-m a --modules-as plain --manifest {}", file.display());
    let image = built(root, &options);
    let text = fs::read_to_string(&file).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["bytes"], fs::metadata(&image).unwrap().len());
    assert_eq!(json["kernels"][0]["modules"], 5);
    assert_eq!(json["missing_firmware"][0]["name"], "a/none.bin");
    assert_eq!(json["missing_firmware"][0]["modules"][0], "a");
    let listed = json["files"].as_array().unwrap();
    assert!(listed.iter().all(|entry| entry["reason"] != ""), "{text}");
    let names: Vec<_> = listed.iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    let found = String::from_utf8(image_list(&image)).unwrap();
    assert_eq!(names.join("\n").replace("\n/", "\n"), format!("/{}", found.trim_end()));
    let entry = |path: &str| listed.iter().find(|entry| entry["path"] == path).unwrap();
    for (path, content) in files(&image) {
        assert_eq!(entry(&format!("/{path}"))["size"], content.len(), "{path}");
    }
    let module = |name| format!("/lib/modules/{RELEASE}/kernel/{name}");
    for (path, reason) in [
        (module("a.ko"), "a"),
        (module("b-b.ko"), "a, needed by a"),
        (module("e.ko"), "a, needed by d"),
        ("/lib/firmware/a/fw.bin.xz".to_owned(), "firmware of a"),
        ("/etc/modprobe.d/local.conf".to_owned(), "configuration of modules"),
    ] {
        assert_eq!(entry(&path)["reason"], reason, "{path}");
    }
    let source = root.join(format!("lib/modules/{RELEASE}/kernel/b-b.ko.xz"));
    assert_eq!(entry(&module("b-b.ko"))["source"], source.to_str().unwrap());
    assert_eq!(entry("/sbin/modprobe")["target"], "/init");
    fs::remove_file(&image).unwrap();
    let error = refused(root, "--manifest /nonexistent/file");
    assert!(error.contains("create /nonexistent/file: No such file"), "{error}");
}

/// Returns the names of the entries of an image.
fn image_list(image: &Path) -> Vec<u8> {
    let mut list = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    list.args(["image", "list", "--names"]).arg(image).output().unwrap().stdout
}

fn microcode_is_in_front_of_the_image() {
    let dir = tree();
    let root = dir.path();
    let plain = fs::read(built(root, "--compress zstd")).unwrap();
    let error = build(root, "--microcode=amd").0;
    let error = String::from_utf8(error.stderr).unwrap();
    assert!(error.contains("no microcode of AMD\nhint: Debian's packages are amd64-"), "{error}");
    put(root, "lib/firmware/amd-ucode/a.bin", b"DMA\0 a container");
    let manifest = root.join("manifest.json");
    let options = format!("--compress zstd --microcode=all --manifest {}", manifest.display());
    let image = built(root, &options);
    let bytes = fs::read(&image).unwrap();
    assert!(bytes.starts_with(b"070701") && bytes.ends_with(&plain), "{}", bytes.len());
    let scratch = tempfile::tempdir().unwrap();
    cpio(&bytes[..bytes.len() - plain.len()], &["-id", "--quiet"], scratch.path());
    let early = scratch.path().join("kernel/x86/microcode/AuthenticAMD.bin");
    assert_eq!(fs::read(early).unwrap(), b"DMA\0 a container");
    let listed = String::from_utf8(image_list(&image)).unwrap();
    assert!(listed.starts_with("kernel\nkernel/x86\nkernel/x86/microcode\n"), "{listed}");
    assert!(listed.contains("\nsbin/modprobe\n"), "{listed}");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(json["microcode"][0]["path"], "/kernel/x86/microcode/AuthenticAMD.bin");
}

fn several_kernels_share_an_image() {
    let dir = tree();
    let root = dir.path();
    let other = root.join("lib/modules/6.1.0-other");
    put(&other, "kernel/a.ko", module(&["firmware=a/fw.bin"]));
    put(&other, "modules.dep", "kernel/a.ko:\n");
    let alone = files(&built(root, "-m a"));
    let (output, image) = build(root, "-m a --kernel 6.1.0-other");
    let summary = String::from_utf8(output.stdout).unwrap();
    let lines = [
        " 2 kernels, 2 firmware files (1 missing)",
        "6.0.0-test: 5 of 6 modules, boots from no usual disk or server",
        "6.1.0-other: 1 of 1 modules, boots from no usual disk or server",
        "missing firmware: a/none.bin (a)",
    ];
    let said: Vec<_> = summary.lines().collect();
    assert!(said[0].ends_with(lines[0]), "{summary}");
    assert_eq!(said[1..], lines[1..]);
    let both = files(&image);
    let new = both.keys().filter(|name| !alone.contains_key(*name));
    let below = |name: &str| format!("lib/modules/6.1.0-other/{name}");
    let want = ["kernel/a.ko.zst", "modules.dep", "modules.dep.bin", "modules.reasons"].map(below);
    assert_eq!(new.collect::<Vec<_>>(), want.iter().collect::<Vec<_>>());
    assert!(alone.iter().all(|(name, content)| both.get(name) == Some(content)));
    make_arm64(root);
    fs::remove_file(image).unwrap();
    let error = refused(root, "--kernel 6.1.0-other");
    assert!(error.contains("one of the kernels is for 64-bit little-endian x86-64"), "{error}");
}

fn a_tree_and_a_checker_are_included() {
    let dir = tree();
    let root = dir.path();
    put(root, "usr/sbin/e2fsck", program(X86_64, Some("/lib/ld"), b""));
    symlink("e2fsck", root.join("usr/sbin/fsck.ext4")).unwrap();
    put(root, "usr/lib/ld", program(X86_64, None, b""));
    put(root, "overlay/etc/motd", "hello");
    put(root, "keys.bmap", [&b"bkeymap\x01"[..], &[0; 255], &[7; 256]].concat());
    let options =
        format!("-m a --fsck=ext4 --include {0}/overlay:/ --keymap={0}/keys.bmap", root.display());
    let error = refused(root, &options);
    assert!(error.contains("shared library /lib/ld not found"), "{error}");
    symlink("/usr/lib/ld", root.join("lib/ld")).unwrap();
    let image = built(root, &options);
    let files = files(&image);
    assert_eq!(files["etc/motd"], b"hello");
    assert_eq!(files["etc/coldplug/keymap"].len(), 7 + 256 + 256);
    let names = String::from_utf8(image_list(&image)).unwrap();
    for name in ["sbin/e2fsck", "sbin/fsck.ext4", "lib/ld"] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }
    fs::remove_file(&image).unwrap();
    let private = fs::Permissions::from_mode(0o640);
    fs::set_permissions(root.join("overlay/etc/motd"), private).unwrap();
    let (output, image) = build(root, &options);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("not every user may read /etc/motd: the mode of"), "{stderr}");
    assert_eq!(image.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(&image).unwrap();
    let error = refused(root, "--fsck=vfat");
    assert!(error.contains("--fsck: no fsck.vfat below "), "{error}");
    assert!(error.contains("\nhint: e2fsprogs has fsck.ext4"), "{error}");
    let error = refused(root, &format!("--include {}/init:/a/../../b", root.display()));
    assert!(error.contains("--include /a/../../b: a path in the image has no '..'"), "{error}");
}

fn options_of_image_conf_come_first() {
    let tree = tree();
    let root = tree.path();
    put(root, "etc/coldplug/image.conf", "output = /nowhere/x\nmodules = e\nmodules-as = plain\n");
    let modules_of = |args: &str| modules(&built(root, args));
    assert!(modules_of("").len() > 1);
    assert_eq!(modules_of("--configured"), ["e.ko"]);
    assert_eq!(modules_of("--configured --modules-as zstd"), ["e.ko.zst"]);
    put(root, "etc/coldplug/image.conf", "frob = 1\n");
    fs::remove_file(root.join("out.img")).unwrap();
    let error = refused(root, "--configured");
    assert!(error.contains("image.conf:1: frob: no such key"), "{error}");
}

/// Lines for every form of the grammar, and the entries that gen_init_cpio of Linux 6.1 makes of
/// them, in our order of paths. It sets nlink of `pipe` and `sock` to 2, and counts a link's NUL.
fn a_list_of_every_form_gives_what_gen_init_cpio_makes() {
    let tree = tree();
    let root = tree.path();
    put(root, "content", "hello\n");
    let text = "# every form\n\n   \n  # with spaces\n\
        dir /bin 0755 0 0\n\
        dir\t/dev\t0755\t0\t0\r\n\
        dir /dev/ 040755 0 0\n\
        file /init ${HERE}/init 0755 0 0\n\
        file /bin/a ${HERE}/content 0104755 1 2 /bin/b /z ./c\n\
        file /etc/empty /dev/null 0600 0 0\n\
        file ${HERE} ${HERE}/${NONE}content 644 0 0\n\
        slink /sbin bin 0777 0 0\n\
        nod /dev/console 0600 0 0 c 5 1\n\
        nod /dev/loop0 0660 0 6 b 7 0\n\
        pipe /dev/initctl 0600 0 0\n\
        sock /dev/log 0666 0 0\n\
        dir /etc 0700 0 0 # comment";
    let image = root.join("out.img");
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    command.args(["image", "build", "-m", "c", "--list", "-", "--kernel", RELEASE, "--root"]);
    command.arg(root).arg("-o").arg(&image).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.env("HERE", root).env_remove("NONE").spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let dir = tempfile::tempdir().unwrap();
    let listing = cpio(&fs::read(&image).unwrap(), &["-itvn", "--quiet"], dir.path()).stdout;
    let listing = String::from_utf8(listing).unwrap();
    let lines = listing.lines().map(|line| {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        line.replace(" Jan 1 1970", "")
    });
    let of_the_list =
        |line: &String| !["lib", "usr", "modprobe.d"].iter().any(|name| line.contains(name));
    let lines: Vec<_> = lines.filter(of_the_list).collect();
    let want = [
        "-rw-r--r-- 1 0 0 6 ${HERE}",
        "drwxr-xr-x 2 0 0 0 bin",
        "-rwsr-xr-x 4 1 2 0 bin/a",
        "-rwsr-xr-x 4 1 2 0 bin/b",
        "-rwsr-xr-x 4 1 2 0 c",
        "drwxr-xr-x 2 0 0 0 dev",
        "crw------- 1 0 0 5, 1 dev/console",
        "prw------- 1 0 0 0 dev/initctl",
        "srw-rw-rw- 1 0 0 0 dev/log",
        "brw-rw---- 1 0 6 7, 0 dev/loop0",
        "drwx------ 2 0 0 0 etc",
        "-rw------- 1 0 0 0 etc/empty",
        "-rwxr-xr-x 1 0 0 120 init",
        "lrwxrwxrwx 1 0 0 3 sbin -> bin",
        "-rwsr-xr-x 4 1 2 6 z",
    ];
    assert_eq!(lines, want);
    // Names of one line are one file, with the content in each.
    cpio(&fs::read(&image).unwrap(), &["-id", "--quiet", "bin/*", "z", "c"], dir.path());
    let inode = |name: &str| {
        let path = dir.path().join(name);
        assert_eq!(fs::read(&path).unwrap(), b"hello\n", "{name}");
        std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap())
    };
    assert!(["bin/b", "c", "z"].iter().all(|name| inode(name) == inode("bin/a")));
}

fn an_image_can_be_standard_output() {
    let tree = tree();
    let root = tree.path();
    for args in ["", "--compress gzip"] {
        let file = fs::read(built(root, args)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        command.args(["image", "build", "--kernel", RELEASE, "-o", "-", "--root"]).arg(root);
        command.arg("--init").arg(root.join("init")).current_dir(root);
        let output = command.args(args.split_whitespace()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{args}");
        assert!(output.stdout == file, "{args}: {} bytes", output.stdout.len());
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = "coldplug image: write standard output: No space left on device\n";
        assert_eq!(error, why, "{args}");
        let mut list = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        list.args(["image", "list", "-"]).stdin(fs::File::open(root.join("out.img")).unwrap());
        let output = list.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("sbin/modprobe -> /init"));
    }
    put(root, "modules.conf", "alias eth0 e100\n");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let convert = convert.args(["convert", "-o", "-", "modules.conf"]).current_dir(root);
    let text = String::from_utf8(convert.output().unwrap().stdout).unwrap();
    assert!(text.contains("\nalias eth0 e100\n"), "{text}");
    let mut scan = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let scan = scan.args(["scan", "--save", "-"]).current_dir(root);
    let text = String::from_utf8(scan.output().unwrap().stdout).unwrap();
    assert!(text.ends_with("\nend\n"), "{text}");
    assert!(!root.join("-").exists());
}

/// Runs `coldplug image` with `args` in `dir`; a command that waits is an error.
fn image_command(dir: &Path, args: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_coldplug")).arg("image").current_dir(dir);
    let output = command.args(args.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn what_is_not_a_regular_file_is_refused_by_name() {
    let tree = tree();
    let root = tree.path();
    let status = Command::new("mkfifo").arg(root.join("fifo")).status().unwrap();
    assert!(status.success());
    fs::create_dir(root.join("dir")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let build = format!("build -k {RELEASE} --root . --no-firmware -o out.img");
    for (name, why) in [
        ("fifo", "not a regular file"),
        ("dir", "not a regular file"),
        ("socket", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/dev/tty", "not a regular file"),
        ("none", "No such file or directory"),
    ] {
        let lines = format!("dir /x 0755 0 0\n\nfile /x/y {name} 0644 0 0\n");
        put(root, "lines", lines);
        for (args, place) in [
            (format!("list {name}"), ""),
            (format!("{build} --list {name}"), ""),
            (format!("{build} --list lines"), "lines line 3: "),
            (format!("{build} --init {name}"), ""),
            (format!("{build} --init init --shell={name}"), ""),
        ] {
            let (code, out, error) = image_command(root, &args);
            let want = format!("coldplug image: {place}open {name}: {why}\n");
            assert_eq!((code, out, error), (Some(1), String::new(), want), "{args}");
            assert!(!root.join("out.img").exists(), "{args}");
        }
    }
    put(root, "lines", "file /x init 0755 0 0\nfile /x/y init 0755 0 0\n");
    let (code, _, error) = image_command(root, &format!("{build} --list lines"));
    assert_eq!(code, Some(1));
    assert_eq!(error, "coldplug image: lines line 2: /x/y: a parent is not a directory\n");
    // Files of the tree.
    let module = root.join(format!("lib/modules/{RELEASE}/kernel/x.ko"));
    fs::remove_file(&module).unwrap();
    Command::new("mkfifo").arg(&module).status().unwrap();
    let (code, _, error) = image_command(root, &format!("{build} --init init -m x"));
    assert!(code == Some(1) && error.ends_with("x.ko: not a regular file\n"), "{error}");
}

/// Commands whose FILE can be no pipe. None of them waits for a writer.
fn no_command_waits_at_a_fifo() {
    let tree = tree();
    let root = tree.path();
    let modules = root.join(format!("lib/modules/{RELEASE}"));
    let depmod_d = root.join("etc/depmod.d");
    fs::create_dir_all(&depmod_d).unwrap();
    let lists = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];
    let fifos = lists.map(|name| modules.join(name));
    for fifo in fifos.iter().chain([&root.join("fifo"), &depmod_d.join("a.conf")]) {
        let _ = fs::remove_file(fifo);
        assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    }
    put(root, "outer.conf", "include fifo\n");
    let run = |args: &str| {
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_coldplug")]).current_dir(root);
        let output = command.args(args.split(' ')).stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let refused = "open fifo: not a regular file";
    for (command, args) in [
        ("plan", "--from fifo"),
        ("plan", "--root . --from fifo --kernel 1.0"),
        ("report", "fifo"),
        ("report", "--persist fifo"),
        ("convert", "fifo"),
        ("convert", "-o out fifo"),
        ("image", "list fifo"),
    ] {
        let want = (Some(1), format!("coldplug {command}: {refused}\n"));
        assert_eq!(run(&format!("{command} {args}")), want, "{command} {args}");
    }
    for (args, why) in
        [("report --persist /dev/zero", "not a regular file"), ("report .", "not a regular file")]
    {
        let (code, error) = run(args);
        assert!(code == Some(1) && error.contains(why), "{args}: {error}");
    }
    let (code, error) = run("convert outer.conf");
    assert!(code.is_some_and(|code| code != 124) && error.contains("not a regular"), "{error}");
    let (code, error) = run(&format!("depmod -C etc/depmod.d -b . {RELEASE}"));
    assert_eq!(code, Some(0), "{error}");
    for name in lists.iter().chain(&["a.conf"]) {
        let refused = |line: &str| line.contains(name) && line.ends_with("not a regular file");
        assert!(error.lines().any(refused), "{name}: {error}");
    }
    let (code, error) = run("modinfo ./fifo");
    assert!(code == Some(1) && !error.is_empty(), "{error}");
    let (code, _) = run("convert /dev/null");
    assert_eq!(code, Some(0));
}

/// Words of the command line are shown without what a terminal obeys.
fn words_of_the_command_line_are_escaped() {
    let word = OsStr::from_bytes(b"a\x1b[1m\xf6");
    for (args, shown) in [
        (&["kmod"][..], "invalid command 'a\\x1b[1m\\xf6'"),
        (&[], "unknown command 'a\\x1b[1m\\xf6'"),
        (&["help"], "unknown command 'a\\x1b[1m\\xf6'"),
        (&["plan"], "unexpected argument 'a\\x1b[1m\\xf6'"),
        (&["report", "x"], "unexpected argument 'a\\x1b[1m\\xf6'"),
        (&["image"], "unexpected argument"),
        (&["modinfo"], "a\\x1b[1m"),
        (&["rmmod"], "a\\x1b[1m"),
        (&["insmod"], "a\\x1b[1m"),
        (&["convert"], "a\\x1b[1m"),
        (&["modprobe", "-n"], "a\\x1b[1m"),
        (&["depmod", "-x"], "invalid option"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        let output = command.args(args).arg(word).stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(shown) && !error.contains('\x1b'), "{args:?}: {error}");
        assert!(!output.status.success(), "{args:?}");
    }
}

/// a needs b-b and c, and by its softdep d, which by its weakdep needs e.
fn sizes_are_those_of_modules_and_reasons() {
    let tree = tree();
    let root = tree.path();
    let image = built(root, "--modules-as stored --modules a,x --compress zstd");
    let (code, sizes, error) = image_command(root, "list --sizes out.img");
    assert_eq!((code, &*error), (Some(0), ""));
    let size = |name: &str| {
        let path = root.join(format!("lib/modules/{RELEASE}/kernel/{name}"));
        fs::metadata(path).unwrap().len()
    };
    let (_, listed, _) = image_command(root, "list out.img");
    let count = |is_wanted: fn(&&str) -> bool| listed.lines().filter(is_wanted).count();
    let (entries, files) = (count(|_| true), count(|line| line.starts_with('-')));
    let packed = fs::metadata(&image).unwrap().len();
    let start = format!("           0 zstd   {entries:>8} {files:>8} {packed:>12} ");
    assert!(sizes.lines().nth(1).unwrap().starts_with(&start), "{start}\n{sizes}");
    let of_a = ["a.ko", "b-b.ko.xz", "c.ko.gz", "d.ko", "e.ko"].map(size).iter().sum::<u64>();
    for line in [
        format!("{:>12} {:>8} modules", of_a + size("x.ko"), 6),
        format!("{of_a:>12} {:>8} a", 5),
        format!("{:>12} {:>8} x", size("x.ko"), 1),
        format!("{:>12} a (a)", size("a.ko")),
        format!("{:>12} b_b (a, needed by a)", size("b-b.ko.xz")),
        format!("{:>12} c (a, needed by a)", size("c.ko.gz")),
        format!("{:>12} d (a, needed by a)", size("d.ko")),
        format!("{:>12} e (a, needed by d)", size("e.ko")),
        format!("{:>12} x (x)", size("x.ko")),
    ] {
        assert!(sizes.lines().any(|found| found == line), "{line}\n{sizes}");
    }
    built(root, "--modules-as stored");
    let (_, sizes, _) = image_command(root, "list -s out.img");
    assert!(!sizes.contains("REASON") && sizes.contains(" MODULE\n"), "{sizes}");
}

fn a_bootconfig_is_listed() {
    let tree = tree();
    let root = tree.path();
    let plain = fs::read(built(root, "--modules-as stored")).unwrap();
    fs::write(root.join("plain"), &plain).unwrap();
    let (_, whole, _) = image_command(root, "list plain");
    let text = b"feature.x = on\n";
    let size = u32::try_from(text.len()).unwrap().to_le_bytes();
    let sum = text.iter().map(|byte| u32::from(*byte)).sum::<u32>().to_le_bytes();
    let end = [&text[..], &size, &sum, b"#BOOTCONFIG\n"].concat();
    for command in ["cat", "gzip -n", "zstd -q", "xz -0"] {
        let archive = if command == "cat" { plain.clone() } else { filter(command, &plain) };
        fs::write(root.join("image"), [&archive[..], &end].concat()).unwrap();
        let line = format!("bootconfig: 15 bytes at offset {}\n", archive.len());
        let want = (Some(0), format!("{whole}{line}"), String::new());
        assert_eq!(image_command(root, "list image"), want, "{command}");
    }
    fs::write(root.join("image"), [&plain[..], &[1], &end].concat()).unwrap();
    let (code, out, error) = image_command(root, "list image");
    assert!(code == Some(1) && error.ends_with("the bootconfig is damaged\n"), "{error}");
    assert_eq!(out, whole);
}

fn a_damaged_image_is_listed_up_to_the_damage() {
    let tree = tree();
    let root = tree.path();
    let plain = fs::read(built(root, "--modules-as stored")).unwrap();
    fs::write(root.join("plain"), &plain).unwrap();
    let (_, whole, _) = image_command(root, "list plain");
    let gzip = filter("gzip -n", &plain);
    for (what, bytes, why) in [
        ("plain", plain[..plain.len() / 2].to_vec(), "is truncated"),
        ("gzip", gzip[..gzip.len() * 9 / 10].to_vec(), "cpio entry at offset "),
        ("bad second archive", [&gzip[..], b"\x1f\x8bnoise"].concat(), "archive at offset "),
        ("not cpio", [&plain[..], &filter("xz", b"text")].concat(), "is not cpio"),
        ("not an image", [&plain[..], b"text"].concat(), "neither cpio nor a known compression"),
    ] {
        fs::write(root.join("image"), bytes).unwrap();
        let (code, out, error) = image_command(root, "list image");
        assert!(code == Some(1) && error.contains(why), "{what}: {error}");
        assert!(out.lines().count() > 10 && whole.starts_with(&out), "{what}:\n{out}");
    }
    fs::write(root.join("image"), [0; 512]).unwrap();
    let (code, _, error) = image_command(root, "list image");
    assert_eq!((code, &*error), (Some(1), "coldplug image: image: the image is empty\n"));
}

/// Images of some kilobytes that decompress to 128 MB each, listed with 90 MB of address space, the
/// program itself included.
fn an_image_is_listed_in_little_memory() {
    const SIZE: u32 = 128 << 20;
    let header = |name: &str, mode: u32, size: u32, name_size: u32| {
        let mut text = String::from("070701");
        for field in [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            text += &format!("{field:08x}");
        }
        let mut bytes = text.into_bytes();
        bytes.extend(name.bytes());
        bytes.resize((bytes.len() + 1).next_multiple_of(4), 0);
        bytes
    };
    let dir = tempfile::tempdir().unwrap();
    let large = |head: &[u8], tail: &[u8]| {
        let path = dir.path().join("large");
        fs::write(&path, head).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.set_len(head.len() as u64 + u64::from(SIZE)).unwrap();
        file.write_all(tail).unwrap();
    };
    let packed = |command: &str| {
        let status = format!("{command} <large >image");
        let status = Command::new("sh").args(["-c", &status]).current_dir(dir.path()).status();
        assert!(status.unwrap().success(), "{command}");
    };
    let listed = || {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 92160; exec \"$0\" image list image"]);
        let command = command.arg(env!("CARGO_BIN_EXE_coldplug")).current_dir(dir.path());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let trailer = header("TRAILER!!!", 0, 0, 11);
    let file = header("file", 0o100_644, SIZE, 5);
    let tail = [header("dir", 0o040_755, 0, 4), trailer.clone()].concat();
    let want = format!("-rw-r--r-- 0/0  {SIZE} file\ndrwxr-xr-x 0/0          0 dir\n");
    large(&file, &tail);
    for command in ["cat", "gzip -1", "zstd -q", "xz -0"] {
        packed(command);
        assert_eq!(listed(), (Some(0), want.clone(), String::new()), "{command}");
    }
    for (mode, size, name_size, why) in [
        (0o040_755, 0, SIZE, "the name is longer than 4095 bytes"),
        (0o120_777, SIZE, 5, "the target of the link is longer than 4096 bytes"),
    ] {
        large(&header("link", mode, size, name_size), &trailer);
        packed("gzip -1");
        let why =
            format!("coldplug image: image: archive at offset 0: cpio entry at offset 0: {why}\n");
        assert_eq!(listed(), (Some(1), String::new(), why));
    }
    let many: Vec<u8> =
        (0..150_000).flat_map(|n| header(&format!("{n:06}"), 0o040_755, 0, 7)).collect();
    fs::write(dir.path().join("large"), [many, trailer].concat()).unwrap();
    packed("gzip -1");
    let (code, out, error) = listed();
    assert_eq!((code, out.lines().count(), &*error), (Some(0), 150_000, ""));
}

/// Of a plain module only what is needed is read. What its headers claim takes no memory either.
fn modules_of_any_size_take_little_memory() {
    let dir = tree();
    let root = dir.path();
    let modules = root.join("lib/modules").join(RELEASE);
    let large = modules.join("kernel/large.ko");
    let run = |line: &str| {
        let script = format!("ulimit -d 65536; exec \"$0\" {line}");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_coldplug")])
            .current_dir(root)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let kernel = format!("lib/modules/{RELEASE}/kernel");
    put_sparse(&large, 700 << 20, 0);
    for name in ["modules.dep", "modules.alias", "modules.softdep"] {
        fs::remove_file(modules.join(name)).unwrap();
    }
    let (code, _, error) = run(&format!("depmod -b . {RELEASE}"));
    assert_eq!(code, Some(0), "{error}");
    let aliases = fs::read_to_string(modules.join("modules.alias")).unwrap();
    assert!(aliases.contains("alias pci:v*large* large\n"), "{aliases}");
    // kmod finds the same. It maps the file, so it needs no limit.
    let own = ["modules.alias", "modules.dep", "modules.softdep"];
    let read = || own.map(|name| fs::read_to_string(modules.join(name)).unwrap());
    let ours = read();
    let kmod = |tool: &str, args: &[&str]| {
        let output = kmod34::command(tool).args(args).current_dir(root).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    kmod("depmod", &["-b", ".", RELEASE]);
    // Debian's kmod 34 reads no gzip.
    assert_eq!(ours.map(|text| text.replace("kernel/c.ko.gz:\n", "")), read());
    let path = format!("{kernel}/large.ko");
    for field in ["alias", "license", "firmware", "name"] {
        let (_, found, error) = run(&format!("modinfo -F {field} {path}"));
        assert_eq!(found, kmod("modinfo", &["-F", field, &path]), "{field}: {error}");
    }
    symlink(&large, root.join("large.bak")).unwrap();
    for (line, want) in [
        (format!("modinfo -F alias {kernel}/large.ko"), "pci:v*large*\n".to_owned()),
        (format!("modinfo -b . -k {RELEASE} -F license large"), "GPL\n".to_owned()),
        (
            format!("modprobe -d . -S {RELEASE} -n -v ./large.bak"),
            format!("insmod {}/./large.bak \n", root.display()),
        ),
    ] {
        assert_eq!(run(&line), (Some(0), want, String::new()), "{line}");
    }
    let line =
        format!("image build --kernel {RELEASE} --root . -o out --init init --modules large");
    let (code, _, error) = run(&line);
    assert_eq!(code, Some(0), "{line}: {error}");
    let (_, listed, error) = run("image list out");
    assert!(listed.contains("kernel/large.ko"), "{listed}{error}");
    assert!(listed.contains("lib/firmware/a/fw.bin"), "{listed}");
    // Half of the file, and sections that claim to be as large as the machine's memory and more.
    let file = fs::OpenOptions::new().write(true).open(&large).unwrap();
    file.set_len(350 << 20).unwrap();
    put_sparse(&modules.join("kernel/liar.ko"), 1 << 40, 1 << 39);
    put_sparse(&modules.join("kernel/liar2.ko"), 1 << 40, 1 << 29);
    let (code, _, error) = run(&format!("depmod -b . {RELEASE}"));
    assert_eq!(code, Some(0), "{error}");
    for (name, why) in [
        ("large", "Invalid argument (broken ELF file: section headers)"),
        ("liar", "File too large"),
        ("liar2", "File too large"),
    ] {
        assert!(error.contains(&format!("/{name}.ko: {why}")), "{error}");
    }
    let (code, out, error) = run(&format!("modinfo {kernel}/liar.ko"));
    assert!(!out.contains("GPL") && code == Some(0), "{out}{error}");
    let (code, _, error) = run(&format!("modinfo {kernel}/large.ko"));
    assert!(code == Some(1) && error.contains("could not get modinfo from 'large'"), "{error}");
}

/// Large images are decoded one at a time: memory for several would not suffice.
fn several_large_modules_take_the_memory_of_one() {
    let dir = tree();
    let root = dir.path();
    let modules = root.join("lib/modules").join(RELEASE);
    let file = root.join("large.ko");
    put_sparse(&file, 250 << 20, 0);
    let names = ["a1.ko.zst", "a2.ko.gz", "a3.ko.zst", "a4.ko.gz", "a5.ko.zst", "a6.ko.gz"];
    for (name, codec) in names.iter().zip(["zstd -q -1 -c", "gzip -1 -c"].iter().cycle()) {
        let line = format!("{codec} large.ko >lib/modules/{RELEASE}/kernel/{name}");
        let status = Command::new("sh").args(["-c", &line]).current_dir(root).status();
        assert!(status.unwrap().success(), "{line}");
    }
    for name in ["modules.dep", "modules.alias", "modules.softdep"] {
        fs::remove_file(modules.join(name)).unwrap();
    }
    let build = "--root . -o /dev/null --init init --modules a1,a2,a3,a4,a5,a6";
    // Each thread may need twice its share while a buffer grows.
    let shares = std::thread::available_parallelism().unwrap().get() * (128 << 10);
    for (line, rest) in [
        (format!("depmod -b . {RELEASE}"), 212 << 10),
        (format!("image build --kernel {RELEASE} {build} --modules-as plain"), 340 << 10),
        (format!("image build --kernel {RELEASE} {build}"), 340 << 10),
    ] {
        let limit = shares + rest;
        let script = format!("ulimit -d {limit}; exec \"$0\" {line}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_coldplug")]).current_dir(root);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !error.contains("a1"), "{line}: {error}");
    }
    let aliases = fs::read_to_string(modules.join("modules.alias")).unwrap();
    assert_eq!(aliases.matches("alias pci:v*large* a").count(), 6, "{aliases}");
}

/// depmod names the module whose aliases it ignores.
fn a_long_modinfo_is_reported() {
    let dir = tree();
    let root = dir.path();
    let path = format!("lib/modules/{RELEASE}/kernel/long.ko");
    put_sparse(&root.join(&path), 64 << 20, 17 << 20);
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let output = command.args(["depmod", "-b", ".", RELEASE]).current_dir(root).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let line = error.lines().find(|line| line.contains("long.ko")).unwrap_or_default();
    let why = "long.ko: .modinfo has more than 16777216 bytes: its aliases, softdeps and weakdeps \
               are ignored";
    assert!(line.starts_with("depmod: WARNING: ") && line.ends_with(why), "{error}");
    assert!(output.status.success());
}

/// Compressed modules are decoded in memory.
fn a_compressed_module_may_decode_to_hundreds_of_megabytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.ko");
    put_sparse(&path, 300 << 20, 0);
    let packed = dir.path().join("packed.ko");
    let line = "zstd -q -1 -c <large.ko >packed.ko";
    let status = Command::new("sh").args(["-c", line]).current_dir(dir.path()).status();
    assert!(status.unwrap().success());
    let mut modinfo = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let output = modinfo.args(["modinfo", "-F", "alias"]).arg(packed).output().unwrap();
    assert_eq!(output.stdout, b"pci:v*large*\n", "{output:?}");
}

fn compressed_images_hold_the_same_archive() {
    let tree = tree();
    let plain = fs::read(built(tree.path(), "")).unwrap();
    for (codec, command) in [
        ("zstd", "unzstd"),
        ("zstd:22", "unzstd --ultra --long=27"),
        ("xz", "unxz"),
        ("xz:0", "xz -d --memlimit=2MiB"),
        ("gzip", "gunzip"),
        ("gzip:1", "gunzip"),
        ("lz4", "lz4 -d"),
        ("lz4:1", "lz4 -d"),
    ] {
        let image = built(tree.path(), &format!("--compress {codec}"));
        assert!(filter(command, &fs::read(&image).unwrap()) == plain, "{codec}");
        let listed = Command::new(env!("CARGO_BIN_EXE_coldplug"))
            .args(["image", "list"])
            .arg(&image)
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&listed.stdout).contains("sbin/modprobe -> /init"));
    }
}

fn build_errors_are_reported() {
    let tree = tree();
    let root = tree.path();
    for (args, why) in [
        ("-m a,nosuch,other", "nosuch, other: no such module, builtin or alias"),
        ("-m @nosuch", "@nosuch: no such module set\nhint: module sets are @crypt @filesystems"),
        ("--list /nonexistent", "open /nonexistent: No such file"),
        ("--init /nonexistent", "open /nonexistent: No such file"),
        ("--kernel 7.0", "lib/modules/7.0: no modules of kernel 7.0\nhint: "),
        ("--frob", "--frob"),
    ] {
        let error = refused(root, args);
        assert!(error.contains(why), "{args}: {error}");
    }
    fs::remove_file(root.join(format!("lib/modules/{RELEASE}/kernel/d.ko"))).unwrap();
    let error = refused(root, "-m a");
    assert!(error.contains("kernel/d.ko: No such file"), "{error}");
    put(root, &format!("lib/modules/{RELEASE}/modules.dep"), "kernel/a.ko: kernel/gone.ko\n");
    let error = refused(root, "-m a --no-firmware");
    assert!(
        error.contains("kernel/a.ko needs kernel/gone.ko, which has no line\nhint: run depmod"),
        "{error}"
    );
}

fn an_init_that_cannot_run_is_reported() {
    let dir = tree();
    let root = dir.path();
    put(root, "text", "root:x:0:0\n");
    let text = root.join("text");
    let error = refused(root, &format!("--init {}", text.display()));
    assert!(error.contains(": neither an ELF program nor a script with #!\nhint: "), "{error}");
    put(root, "list", "dir /x 0755 0 0\n");
    let (output, _) = build(root, &format!("--list {}", root.join("list").display()));
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warning.contains("has no /init"), "{warning}");
}

/// An /init for another machine, or without its interpreter, ends in a panic of the kernel.
fn programs_are_checked_for_the_kernel() {
    let foreign = "64-bit little-endian x86-64 program, but the kernel is for 64-bit little-endian \
                   AArch64";
    let dir = tree();
    let root = dir.path();
    make_arm64(root);
    let error = refused(root, "--no-firmware");
    let init = root.join("init").display().to_string();
    let hint = "hint: name a program for this kernel with --init\n";
    assert_eq!(error, format!("coldplug image: /init ({init}): {foreign}\n{hint}"));

    put(root, "init", program(AARCH64, Some("/lib/ld-musl-aarch64.so.1"), b""));
    let error = refused(root, "-m d");
    let why = format!("/init ({init}): the image has no interpreter /lib/ld-musl-aarch64.so.1\n");
    assert!(error.contains(&why), "{error}");
    put(root, "init", "#! /bin/sh -e\n");
    let error = refused(root, "-m d");
    assert!(error.contains(&format!("/init ({init}): the image has no interpreter /bin/sh\n")));

    put(root, "init", program(AARCH64, None, b""));
    for (name, source, mode, error, warning) in [
        ("/sbin/fsck.x", program(X86_64, None, b""), "0755", foreign, ""),
        ("/share/x", program(X86_64, None, b""), "0644", "", foreign),
        ("/lib/firmware/dsp.elf", program(X86_64, None, b""), "0755", "", ""),
        ("/sbin/x", program(AARCH64, Some("/lib/ld"), b""), "0755", "", "no interpreter /lib/ld"),
        ("/sbin/x", b"#!/bin/sh\n".to_vec(), "0755", "", "has no interpreter /bin/sh"),
        ("/sbin/x", program(AARCH64, None, b""), "0755", "", ""),
        ("/lib/modules/x.ko", module(&["name=x"]), "0644", "", "x86-64 module, but the kernel"),
    ] {
        put(root, "source", source);
        let source = root.join("source").display().to_string();
        put(root, "list", format!("file /init @init 0755 0 0\nfile {name} {source} {mode} 0 0\n"));
        let args = format!("-m d --list {}", root.join("list").display());
        let (output, _) = build(root, &args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.success(), error.is_empty(), "{name}: {stderr}");
        match (error, warning) {
            ("", "") => assert_eq!(stderr, "", "{name}"),
            _ => {
                assert!(stderr.contains(&format!("{name} ({source}): ")), "{name}: {stderr}");
                assert!(stderr.contains(error) && stderr.contains(warning), "{name}: {stderr}");
            }
        }
    }
}

/// The programs of a shell and of the rules of assemble.d are checked too.
fn programs_of_the_root_are_checked() {
    let dir = tree();
    let root = dir.path();
    put(root, "bin/busybox", program(AARCH64, None, b""));
    let shell = format!("-m x --shell={}", root.join("bin/busybox").display());
    let error = refused(root, &shell);
    assert!(error.contains("/bin/busybox (") && error.contains("AArch64 program, but"), "{error}");
    assert!(refused(root, "-m x --shell").contains("AArch64 program, but"));
    fs::remove_file(root.join("bin/busybox")).unwrap();

    put(root, "etc/coldplug/assemble.d/a", "on bcache run /sbin/attach\n");
    put(root, "sbin/attach", "#!/bin/sh\n");
    let (output, _) = build(root, "-m x");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("/sbin/attach (") && stderr.ends_with("no interpreter /bin/sh\n"));
    put(root, "sbin/attach", program(AARCH64, None, b""));
    fs::remove_file(root.join("out.img")).unwrap();
    assert!(refused(root, "-m x").contains("/sbin/attach ("));
    assert!(build(root, "-m x --generic").0.status.success());
}

/// A builder that is installed with the programs for other machines.
fn init_is_for_the_machine_of_the_kernel() {
    let installed = tempfile::tempdir().unwrap();
    put(installed.path(), "bin/coldplug", fs::read(env!("CARGO_BIN_EXE_coldplug")).unwrap());
    let builder = installed.path().join("bin/coldplug");
    fs::set_permissions(&builder, fs::Permissions::from_mode(0o755)).unwrap();
    let dir = tree();
    let root = dir.path();
    make_arm64(root);
    let run = |args: &str| {
        let output = Command::new(&builder)
            .args(["image", "build", "-q", "--kernel", RELEASE, "--root", ".", "-o", "out.img"])
            .args(args.split_whitespace())
            .current_dir(root)
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let top = installed.path().display();
    let error = run("-m x");
    let want = format!(
        "coldplug image: no coldplug-init for 64-bit little-endian AArch64, the machine of the \
         kernel, in {top}/bin/aarch64, {top}/lib/coldplug/aarch64\nhint: build it with 'make build \
         TARGET=aarch64-unknown-linux-musl', or name a program with --init\n"
    );
    assert_eq!(error, want);
    put(root, "empty.list", "dir /dev 0755 0 0\n");
    assert!(run("-m x --list empty.list").contains("the image has no /init"));

    let place = "lib/coldplug/aarch64/coldplug-init";
    put(installed.path(), place, program(X86_64, None, b""));
    let error = run("-m x");
    assert!(error.contains(&format!("/init ({top}/{place}): 64-bit little-endian x86-64 program")));
    let init = program(AARCH64, None, b"init");
    put(installed.path(), place, &init);
    assert_eq!(run("-m x"), "");
    assert!(files(&root.join("out.img"))["init"] == init);
}

/// Debian's linux-binary, linux-base and linux-modules of Linux 7, unpacked and not installed.
fn packages_of_debians_linux_7_make_an_image() {
    let dir = tree();
    let root = dir.path();
    let modules = root.join("usr/lib/modules").join(RELEASE);
    fs::create_dir_all(&modules).unwrap();
    fs::write(modules.join("vmlinuz"), "MZ").unwrap();
    fs::rename(root.join("lib/modules").join(RELEASE), root.join("saved")).unwrap();
    fs::remove_dir(root.join("lib/modules")).unwrap();
    let error = refused(root, "");
    let want = format!(
        "usr/lib/modules/{RELEASE}: no modules of kernel {RELEASE}\nhint: install the modules of \
         this kernel (from Linux 7 on Debian's package linux-modules-{RELEASE})"
    );
    assert!(error.contains(&want), "{error}");
    fs::write(modules.join("modules.order"), "kernel/a.ko\n").unwrap();
    fs::write(modules.join("modules.builtin"), "").unwrap();
    fs::write(modules.join("modules.builtin.modinfo"), "").unwrap();
    let error = refused(root, "");
    assert!(error.contains(&want), "{error}");
    fs::rename(root.join("saved/kernel"), modules.join("kernel")).unwrap();
    let run = |args: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        let output = command.args(args.split_whitespace()).current_dir(root).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    fs::create_dir_all(root.join("sys/devices")).unwrap();
    let plan = format!("plan --root . --kernel {RELEASE} --cmdline quiet");
    let command = format!("depmod -b . -m /usr/lib/modules {RELEASE}");
    let (done, error) = run(&plan);
    let hint = format!("hint: run 'coldplug {command}', which writes it\n");
    assert!(!done && error.ends_with(&hint), "{error}");
    // The builder makes the index files itself.
    let bare = fs::read(built(root, "-m x")).unwrap();
    assert_eq!(run(&command), (true, String::new()));
    assert!(modules.join("modules.dep").exists());
    assert_eq!(run(&plan), (true, String::new()));
    assert!(fs::read(built(root, "-m x")).unwrap() == bare);
    let found = files(&root.join("out.img"));
    assert!(found.contains_key(&format!("lib/modules/{RELEASE}/kernel/x.ko.zst")));
    assert!(!found.keys().any(|name| name.ends_with("vmlinuz")));
}

/// The directory and the bus decide, and dependencies come along.
fn the_set_for_socs_is_chosen_by_aliases() {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    let dir = format!("lib/modules/{RELEASE}");
    put(root, "init", program(X86_64, None, b""));
    for (path, alias) in [
        ("drivers/clk/of.ko", "of:N*T*Cx,clock"),
        ("drivers/clk/pci.ko", "pci:v*"),
        ("drivers/clk/part.ko", "platform:x-clock"),
        ("drivers/gpu/panel.ko", "of:N*T*Cx,panel"),
        ("drivers/mmc/host/amba.ko", "amba:d00041180*"),
        ("drivers/mmc/host/reader.ko", "platform:reader"),
        ("drivers/mmc/host/sub/host-x.ko", "of:N*T*Cx,mmc"),
        ("drivers/mmcx/of-2.ko", "of:N*T*Cx,mmc"),
        ("lib/library.ko", ""),
    ] {
        let alias = format!("alias={alias}");
        let depends = if path.contains("host-x") { "depends=library" } else { "depends=" };
        put(root, &format!("{dir}/kernel/{path}"), module(&[&alias, depends]));
    }
    let paths = "clk/of clk/pci clk/part gpu/panel mmc/host/amba mmc/host/reader mmcx/of-2";
    let line = |path: &str| format!("kernel/drivers/{path}.ko:\n");
    let mut dep: String = paths.split(' ').map(line).collect();
    dep += "kernel/drivers/mmc/host/sub/host-x.ko: kernel/lib/library.ko\nkernel/lib/library.ko:\n";
    put(root, &format!("{dir}/modules.dep"), dep);
    let aliases = "of:N*T*Cx,clock of\nalias pci:v* pci\nalias platform:x-clock part\n\
                   alias of:N*T*Cx,panel panel\nalias amba:d00041180* amba\n\
                   alias platform:reader reader\nalias of:N*T*Cx,mmc host_x\n\
                   alias of:N*T*Cx,mmc of_2\n";
    put(root, &format!("{dir}/modules.alias"), format!("alias {aliases}"));
    let found = modules(&built(root, "-m @soc --modules-as stored"));
    let wanted = "drivers/clk/of.ko drivers/clk/part.ko drivers/mmc/host/amba.ko \
                  drivers/mmc/host/sub/host-x.ko lib/library.ko";
    assert_eq!(found, wanted.split_whitespace().collect::<Vec<_>>());
}

/// Dependencies and firmware are those of the modules, and the index files those of kmod's depmod,
/// for 32-bit and for big-endian machines.
fn images_for_other_machines_hold_modules_and_firmware() {
    for (kernel, init, names) in [
        (Kernel::ArmMp61, arm_program(), "sdhci_omap btrfs mlx5_core vfat bnx2"),
        (Kernel::S390x61, s390x_program(), "btrfs mlx5_core vfat qla2xxx zfcp"),
    ] {
        let (from, tree) = (kernel.get(), tempfile::tempdir().unwrap());
        let dir = format!("lib/modules/{RELEASE}");
        put(tree.path(), "init", init);
        let (mut wanted, mut firmware) = (BTreeSet::new(), BTreeSet::new());
        for name in names.split(' ') {
            let (file, needs) = from.dep(name).unwrap_or_else(|| panic!("{name}"));
            wanted.extend([file].into_iter().chain(needs));
        }
        for file in &wanted {
            put(
                tree.path(),
                &format!("{dir}/{file}"),
                fs::read(from.modules().join(file)).unwrap(),
            );
            let mut modinfo = kmod34::command("modinfo");
            modinfo.args(["-F", "firmware"]).arg(from.modules().join(file));
            firmware.extend(tool::run(&mut modinfo).lines().map(str::to_owned));
        }
        firmware.retain(|name| !name.contains('*'));
        assert!(firmware.len() > 1, "{firmware:?}");
        for name in &firmware {
            put(tree.path(), &format!("lib/firmware/{name}"), "firmware");
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            put(
                tree.path(),
                &format!("{dir}/{name}"),
                fs::read(from.modules().join(name)).unwrap(),
            );
        }
        // The tree has no modules.dep: the builder indexes it.
        let image =
            built(tree.path(), &format!("--modules-as stored -m {}", names.replace(' ', ",")));
        let found = files(&image);
        let modules: BTreeSet<_> = modules(&image).iter().map(|m| format!("kernel/{m}")).collect();
        assert_eq!(modules, wanted);
        for name in firmware {
            assert!(found.contains_key(&format!("lib/firmware/{name}")), "{name}");
        }
        let out = tempfile::tempdir().unwrap();
        let mut depmod = kmod34::command("depmod");
        depmod.args(["-C", "/none", "-b"]).arg(tree.path()).arg("-o").arg(out.path()).arg(RELEASE);
        tool::run(&mut depmod);
        for name in ["dep", "dep.bin", "alias", "alias.bin", "softdep", "symbols.bin"] {
            let name = format!("{dir}/modules.{name}");
            assert!(
                fs::read(out.path().join(&name)).unwrap() == found[&name],
                "{kernel:?}: {name}"
            );
        }
    }
}

/// A device that is named as the output is written to, and stays a device.
fn an_output_that_cannot_be_written_is_an_error() {
    let dir = tree();
    let full = "/dev/full";
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    command.args(["image", "build", "--kernel", RELEASE, "-o", full, "--root"]).arg(dir.path());
    let output = command.arg("--init").arg(dir.path().join("init")).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("No space left on device"), "{error}");
    assert!(!fs::metadata(full).unwrap().is_file());
}

fn a_full_standard_output_is_an_error() {
    let dir = tree();
    let image = built(dir.path(), "");
    let list = image.to_str().unwrap();
    for words in [&["image", "list", list][..], &["help", "modprobe"], &["modinfo", "--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        let output = command.args(words).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(error, "coldplug: standard output: No space left on device\n", "{words:?}");
        assert_eq!(output.status.code(), Some(1), "{words:?}");
    }
}

fn every_command_has_help() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (_, all) = run(&["help"]);
    let names = all.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    for name in names {
        for words in [["help", name], [name, "--help"]] {
            let (done, text) = run(&words);
            assert!(done && text.to_lowercase().contains("usage:"), "{words:?}: {text}");
        }
    }
    assert!(!run(&["help", "nonsense"]).0 && !run(&["report", "a", "b"]).0);
}
