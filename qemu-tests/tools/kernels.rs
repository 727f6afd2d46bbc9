//! Output of the tools for whole kernels of Debian, against that of kmod 34.
//!
//! Every module and every alias of a kernel is looked up, thousands per process. The lines
//! that are filtered here differ for a documented reason.

use harness::kernel::{self, Kernel, Tree};
use harness::run::{RELEASE, Test};
use harness::{kmod34, note, paths, tests};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    patterns_are_filled_in,
    the_modules_for_encrypted_disks_are_complete;
    RELEASE =>
    all_of_6_1_cloud,
    all_of_6_1_with_every_driver,
    all_of_6_12_cloud,
    a_sample_for_arm64,
    a_sample_for_32_bit_arm,
    a_sample_for_big_endian_machines,
    a_sample_for_riscv,
];

/// Operands per process, far below the kernel's limit for a command line.
const BATCH: usize = 4000;

/// Runs a tool of kmod's or ours.
fn ask(name: &str, kmod: bool, words: &[String], operands: &[String]) -> Output {
    let mut command = match kmod {
        true => kmod34::command(name),
        false => Command::new(paths::program("coldplug")),
    };
    if !kmod {
        command.arg(name);
    }
    command.env_remove("MODPROBE_OPTIONS").args(words).args(operands).stdin(Stdio::null());
    command.output().unwrap()
}

/// Returns the exit code and the lines of both streams. kmod prints build ids after 34, and its
/// messages about the configuration name its own sources.
fn lines(output: Output) -> Vec<String> {
    let mut lines = vec![format!("{}", output.status)];
    for bytes in [output.stderr, output.stdout] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        lines.extend(text.lines().filter(|l| !is_filtered(l)).map(without_space));
    }
    lines
}

fn is_filtered(line: &str) -> bool {
    ["build-id:", "libkmod: ERROR"].iter().any(|start| line.starts_with(start))
}

/// Removes the space between the two lists of a softdep, which kmod does not print.
fn without_space(line: &str) -> String {
    match line.starts_with("softdep ") {
        true => line.replace(" post:", "post:"),
        false => line.to_owned(),
    }
}

/// Runs both tools on all operands, and returns the number of equal lines.
#[track_caller]
pub(crate) fn same(name: &str, words: &[String], operands: &[String]) -> usize {
    let none = [String::new()];
    let batches: Vec<&[String]> = match operands {
        [] => vec![&none[..0]],
        all => all.chunks(BATCH).collect(),
    };
    let mut count = 0;
    for batch in batches {
        let [kmod, ours] = [true, false].map(|kmod| lines(ask(name, kmod, words, batch)));
        for (ours, kmod) in ours.iter().zip(&kmod) {
            assert_eq!(ours, kmod, "{name} {words:?}");
        }
        assert_eq!(ours.len(), kmod.len(), "{name} {words:?}");
        count += kmod.len();
    }
    count
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').filter(|word| !word.is_empty()).map(Into::into).collect()
}

/// Returns the options that name the kernel, modprobe's `-d` or modinfo's `-b`, followed by `rest`.
fn on(tree: &Tree, options: [&str; 2], rest: &str) -> Vec<String> {
    let place = [options[0], tree.root.to_str().unwrap(), options[1], &tree.release];
    place.into_iter().map(Into::into).chain(words(rest)).collect()
}

pub(crate) fn modprobe(tree: &Tree, rest: &str) -> Vec<String> {
    on(tree, ["-d", "-S"], rest)
}

fn modinfo(tree: &Tree, rest: &str) -> Vec<String> {
    on(tree, ["-b", "-k"], rest)
}

fn read(tree: &Tree, name: &str) -> String {
    fs::read_to_string(tree.modules().join(name)).unwrap()
}

/// Returns the names of all modules.
fn modules(tree: &Tree) -> Vec<String> {
    let name = |line: &str| {
        let file = line.split(':').next()?.rsplit('/').next()?;
        Some(file.split('.').next()?.to_owned())
    };
    read(tree, "modules.dep").lines().filter_map(name).collect()
}

/// Returns a modalias for each alias pattern; wildcards are filled in differently from line to
/// line.
fn devices(tree: &Tree, file: &str) -> Vec<String> {
    let text = read(tree, file);
    let patterns = text.lines().filter_map(|line| line.strip_prefix("alias ")?.rsplit_once(' '));
    let names: BTreeSet<String> =
        patterns.enumerate().map(|(index, (pattern, _))| instance(pattern, index)).collect();
    names.into_iter().collect()
}

/// Fills in wildcards: `pci:v00008086d*sv*` → `pci:v00008086d0sv0`, `a[2-4]?` → `a20`.
fn instance(pattern: &str, index: usize) -> String {
    let fill = ["0", "", "00000001", "x"][index % 4];
    let (mut out, mut letters) = (String::new(), pattern.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '*' => out.push_str(fill),
            '?' => out.push('0'),
            '[' => {
                out.extend(letters.next());
                letters.by_ref().take_while(|l| *l != ']').for_each(drop);
            }
            _ => out.push(letter),
        }
    }
    out
}

/// Returns the families of names: the part before the first `:` or `-`.
fn families(names: &[String]) -> BTreeSet<&str> {
    names.iter().filter_map(|name| name.split([':', '-']).next()).collect()
}

fn config_trees(tree: &Tree, names: &[String]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    for (index, files) in CONFIGS.iter().enumerate() {
        let home = dir.path().join(index.to_string());
        for (name, text) in *files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let dirs: Vec<String> = ["a", "b"].map(|d| home.join(d).display().to_string()).to_vec();
        let place = format!("-C {} -C {}", dirs[0], dirs[1]);
        count += same("modprobe", &modprobe(tree, &format!("{place} -c")), &[]);
        count += same("modprobe", &modprobe(tree, &format!("{place} -a -D")), names);
        count += same("modprobe", &modprobe(tree, &format!("{place} -a -b -D")), names);
    }
    count
}

/// Configuration files in the directories a and b, of which a has priority.
const CONFIGS: &[&[(&str, &str)]] = &[
    &[],
    &[
        ("a/one.conf", "options loop max_loop=8\noptions  loop\t max_part=3\nblacklist loop\n"),
        ("b/one.conf", "options loop never=read\n"),
        ("b/two.conf", "# behind one\noptions loop last=1\nalias block-major-7-* loop\n"),
    ],
    &[
        ("a/x.conf", "install ext4 /bin/echo \\\n  joined $CMDLINE_OPTS\nremove ext4 /bin/true\n"),
        ("a/y.conf", "softdep xfs pre: loop post: ext4\nsoftdep virtio_* pre: loop\n"),
        (
            "b/z.conf",
            "softdep xfs pre: never\nalias my-* xfs\nalias my-x ext4\nalias gone nothing\n",
        ),
    ],
    &[
        ("a/masked.conf", ""),
        ("b/masked.conf", "install xfs /bin/false\n"),
        ("b/nosuffix", "install xfs /bin/false\n"),
        ("b/.hidden.conf", "install xfs /bin/false\n"),
        (
            "b/spaces.conf",
            "\n\n\t options\tvirtio-net  a=\"b c\"   d=e \nblacklist e1000-x\nblacklist ext4",
        ),
    ],
    &[
        ("a/order.conf", "options virtio a=1\n"),
        ("b/a.conf", "options virtio b=2\n"),
        ("b/zz.conf", "options virtio c=\\\\3\noptions virtio-pci x\n"),
        ("a/modules.conf", "softdep btrfs pre: loop\nsoftdep ext4 post: loop\n"),
    ],
];

/// Options of modinfo that are tried besides none.
const FIELDS: [&str; 6] =
    ["-F parm", "-F alias", "-0 -F filename", "-F signer", "-F sig_key", "-F depends -m"];

/// Compares all output for one kernel, which has at least `least` modules.
fn compare(kernel: Kernel, least: usize) {
    let tree = kernel.get();
    let names = modules(&tree);
    assert!(names.len() >= least, "{} modules", names.len());
    let none = "-C /none";
    let depends = same("modprobe", &modprobe(&tree, &format!("{none} -a -D")), &names);
    let devices = devices(&tree, "modules.alias");
    let aliases = same("modprobe", &modprobe(&tree, &format!("{none} -a -R")), &devices);
    let symbols = self::devices(&tree, "modules.symbols");
    let symbol_lines = same("modprobe", &modprobe(&tree, &format!("{none} -a -R")), &symbols);
    let info = same("modinfo", &modinfo(&tree, ""), &names);
    for fields in FIELDS {
        same("modinfo", &modinfo(&tree, fields), &names);
    }
    let builtin: Vec<String> = builtin(&tree);
    let inside = same("modinfo", &modinfo(&tree, ""), &builtin);
    let sample: Vec<String> = names
        .iter()
        .step_by(names.len().div_ceil(400))
        .cloned()
        .chain(words(
            "loop ext4 xfs btrfs virtio virtio_net virtio-pci my-x my-y gone block-major-7-3",
        ))
        .collect();
    let configs = config_trees(&tree, &sample);
    note!(
        "{}: {} modules, {} families of {} aliases; equal lines: -D {depends}, -R {aliases} and \
         {symbol_lines}, \
         modinfo {info} and {inside}, configurations {configs}",
        tree.release,
        names.len(),
        families(&devices).len(),
        devices.len(),
    );
    assert!(depends > least && aliases > devices.len() && info > 10 * least && configs > 5 * least);
}

fn builtin(tree: &Tree) -> Vec<String> {
    let name = |line: &str| Some(Path::new(line).file_stem()?.to_str()?.to_owned());
    read(tree, "modules.builtin").lines().filter_map(name).collect()
}

fn all_of_6_1_cloud() {
    compare(Kernel::Cloud61, 1000);
}

fn all_of_6_1_with_every_driver() {
    compare(Kernel::Full61, 3500);
}

/// The modules of this kernel are compressed with xz.
fn all_of_6_12_cloud() {
    compare(Kernel::Cloud612, 900);
}

/// Compares modinfo and dependencies for every `step`-th module of a kernel for another machine.
fn compare_sample(kernel: Kernel, step: usize) {
    let tree = kernel.get();
    let names: Vec<String> = modules(&tree).into_iter().step_by(step).collect();
    let info = same("modinfo", &modinfo(&tree, ""), &names);
    for fields in FIELDS {
        same("modinfo", &modinfo(&tree, fields), &names);
    }
    same("modprobe", &modprobe(&tree, "-C /none -a -D"), &names);
    // Versions are 8 bytes in 64-bit files and 4 in others, in the byte order of the machine.
    let (mut versions, mut exports) = (0, 0);
    for name in names.iter().step_by(names.len().div_ceil(12)) {
        let file = tree.modules().join(tree.module(&name.replace('-', "_")).unwrap());
        let file = [file.to_str().unwrap().to_owned()];
        versions += same("modprobe", &words("--show-modversions"), &file);
        exports += same("modprobe", &words("--show-exports"), &file);
    }
    note!("{} modules, {info} lines, {versions} versions, {exports} exports", names.len());
    assert!(names.len() > 100 && info > 10 * names.len() && versions > 100 && exports > 20);
}

fn a_sample_for_arm64() {
    compare_sample(Kernel::FullArm64, 20);
}

fn a_sample_for_32_bit_arm() {
    compare_sample(Kernel::ArmMp61, 20);
}

fn a_sample_for_big_endian_machines() {
    compare_sample(Kernel::S390x61, 16);
}

fn a_sample_for_riscv() {
    compare_sample(Kernel::Riscv612, 30);
}

fn patterns_are_filled_in() {
    for (pattern, index, want) in [
        ("pci:v00008086d*sv*", 0, "pci:v00008086d0sv0"),
        ("pci:v00008086d*sv*", 1, "pci:v00008086dsv"),
        ("usb:v1d[0-9]*[A-F]?", 3, "usb:v1d0xA0"),
    ] {
        assert_eq!(instance(pattern, index), want);
    }
}

/// Every implementation of an algorithm that is in the set is in the set: the fast ones too.
fn the_modules_for_encrypted_disks_are_complete() {
    let list = include_str!("../../initramfs/modules/crypt.list");
    let set: BTreeSet<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    for kernel in [Kernel::Full61, Kernel::CloudArm64, Kernel::Cloud612] {
        let tree = kernel.get();
        let dep = fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
        let files = dep.lines().filter_map(|line| Some(line.split_once(':')?.0));
        let is_generic = |file: &str| file.starts_with("kernel/crypto/");
        let is_fast = |file: &str| file.starts_with("kernel/arch/") && file.contains("/crypto/");
        let files: BTreeMap<String, bool> = files
            .filter(|file| is_generic(file) || is_fast(file))
            .map(|file| (kernel::stem(file), is_generic(file)))
            .collect();
        let aliases = fs::read_to_string(tree.modules().join("modules.alias")).unwrap();
        let algorithms = || {
            let lines = aliases.lines().filter_map(|line| line.strip_prefix("alias crypto-"));
            lines.filter_map(|line| line.split_once(' '))
        };
        let wanted: BTreeSet<&str> = algorithms()
            .filter(|(_, module)| set.contains(module) && files.get(*module) == Some(&true))
            .map(|(algorithm, _)| algorithm)
            .collect();
        assert!(!wanted.is_empty(), "{kernel:?}");
        let missing: BTreeSet<&str> = algorithms()
            .filter(|(algorithm, module)| wanted.contains(algorithm) && files.contains_key(*module))
            .filter_map(|(_, module)| (!set.contains(module)).then_some(module))
            .collect();
        assert!(missing.is_empty(), "{kernel:?}: {missing:?}");
    }
}
