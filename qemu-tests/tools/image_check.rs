//! `coldplug image check`: whole images pass, and images from which one thing was removed fail with
//! the words for it.

use super::image::{X86_64, program};
use harness::files::{self, put};
use harness::kernel::{Kernel, Tree};
use harness::run::{Need, Test};
use harness::{note, paths, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [Need::Command("cpio", "cpio")] =>
    an_image_without_one_thing_fails_the_check,
    the_command_line_decides_what_an_image_needs,
    firmware_of_a_wanted_module_is_needed,
    results_are_printed_for_people_and_programs;
    [Need::Command("cpio", "cpio"), Need::Program("coldplug-init")] =>
    layers_of_the_root_are_checked;
    [] => an_image_of_all_modules_passes;
];

/// `e_machine` of AArch64.
const AARCH64: u8 = 183;
/// The path of the virtio disk's devices.
const DISK: &str = "pci0000:00/0000:00:03.0";

/// Returns the capture of a virtual machine with a root of xfs on a virtio disk, and these devices.
fn capture(release: &str, more: &str) -> String {
    format!(
        "coldplug-capture 2\nkernel {release}\nmachine x86_64\ncmdline root=LABEL=x quiet\n\
         root xfs {DISK}/virtio0/block/vda\n\
         device {DISK}\n  modalias pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00\n  \
         driver virtio-pci\n  module virtio_pci\n\
         device {DISK}/virtio0\n  modalias virtio:d00000002v00001AF4\n  driver virtio_blk\n  \
         module virtio_blk\n{more}\nend\n"
    )
}

/// An image for a captured machine, unpacked, to be broken and packed again.
struct Scene {
    dir: tempfile::TempDir,
    release: String,
}

impl Scene {
    /// Builds an image of `tree` for the machine with `more` devices, and unpacks it.
    fn new(tree: &Tree, more: &str, options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "board", capture(&tree.release, more).as_bytes(), 0o644);
        put(dir.path(), "prog", &program(X86_64, None, &[]), 0o755);
        let mut build = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        build.args(["image", "build", "--modules-as", "plain", "--generic", "--no-cache", "-q"]);
        build.args(["--board", "board", "--init", "prog", "-o", "whole"]).args(options);
        build.arg("--kernel").arg(&tree.release).arg("--root").arg(&tree.root);
        tool::run(build.current_dir(dir.path()));
        let mut extract = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        extract
            .args(["image", "extract", "-C", "content", "whole", "init", "bin*", "lib*", "etc*"]);
        tool::run(extract.current_dir(dir.path()));
        Self { dir, release: tree.release.clone() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a line of the shell in the unpacked image. `M` is the directory of the modules.
    fn shell(&self, line: &str) {
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(self.path().join("content"));
        command.env("M", format!("lib/modules/{}", self.release)).env("LC_ALL", "C");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Packs a copy of the unpacked image that `line` has changed, and checks it.
    fn check_without(&self, line: &str, options: &[&str]) -> (i32, String) {
        self.shell("rm -rf ../copy; cp -a . ../copy");
        let mut change = Command::new("sh");
        change.args(["-ec", line]).current_dir(self.path().join("copy"));
        change.env("M", format!("lib/modules/{}", self.release)).env("LC_ALL", "C");
        let output = change.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        self.shell("cd ../copy; find . | cpio -o -H newc --quiet >../image");
        self.check("image", options)
    }

    /// Runs `coldplug image check`. Returns the exit status and what was printed, with `M` for the
    /// directory of the modules.
    fn check(&self, image: &str, options: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        command.args(["image", "check"]).args(options).arg(image).current_dir(self.path());
        let output = command.stdin(Stdio::null()).env("TMPDIR", self.path()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let left = fs::read_dir(self.path()).unwrap().flatten();
        let left: Vec<PathBuf> = left.map(|entry| entry.path()).collect();
        let is_left = left.iter().any(|path| path.to_string_lossy().contains("coldplug-check"));
        assert!(!is_left, "{left:?}");
        let modules = format!("lib/modules/{}/", self.release);
        (output.status.code().unwrap(), text.replace(&modules, "M/"))
    }
}

/// The options for the captured machine.
const BOARD: [&str; 2] = ["--board", "board"];

/// Lines of the shell that remove or break one thing, and the words of the check about it.
const BROKEN: [(&str, &str, &str); 22] = [
    (
        "a needed module",
        "rm $M/kernel/drivers/block/virtio_blk.ko",
        "device pci0000:00/0000:00:03.0/virtio0: module virtio_blk: \
         M/kernel/drivers/block/virtio_blk.ko is missing; the root device is behind it",
    ),
    (
        "a dependency",
        "rm $M/kernel/drivers/virtio/virtio_ring.ko",
        "M/kernel/drivers/virtio/virtio_ring.ko is missing, which they need",
    ),
    (
        "the filesystem",
        "rm $M/kernel/fs/xfs/xfs.ko",
        "root filesystem: xfs: M/kernel/fs/xfs/xfs.ko is missing",
    ),
    (
        "a dependency of the filesystem",
        "rm $M/kernel/lib/libcrc32c.ko",
        "root filesystem: xfs: M/kernel/lib/libcrc32c.ko is missing",
    ),
    (
        "the driver of the bus",
        "rm $M/kernel/drivers/virtio/virtio_pci.ko",
        "device pci0000:00/0000:00:03.0: module virtio_pci: \
         M/kernel/drivers/virtio/virtio_pci.ko is missing; the root device is behind it",
    ),
    (
        "the driver of the bus, by a blacklist",
        "mkdir -p etc/modprobe.d; echo blacklist virtio_pci >etc/modprobe.d/x.conf",
        "device pci0000:00/0000:00:03.0: driver virtio-pci: module virtio_pci is blacklisted; the \
         root device is behind it",
    ),
    (
        "a line of modules.dep, of both forms",
        "sed -i /virtio_blk.ko:/d $M/modules.dep; rm $M/modules.dep.bin",
        "module virtio_blk: M/modules.dep has no line for M/kernel/drivers/block/virtio_blk.ko",
    ),
    (
        "a line of modules.dep, of the text",
        "sed -i /virtio_blk.ko:/d $M/modules.dep",
        "M/modules.dep.bin: entries differ from modules.dep",
    ),
    (
        "a dependency of a line of modules.dep",
        "sed -i 's,^\\(.*virtio_blk.ko:\\).*,\\1,' $M/modules.dep; rm $M/modules.dep.bin",
        "module virtio_blk: its line in M/modules.dep lacks virtio",
    ),
    (
        "a line of modules.alias, of both forms",
        "sed -i '/virtio:d00000002v/d' $M/modules.alias; rm $M/modules.alias.bin",
        "module virtio_blk: M/modules.alias has no line for its alias virtio:d00000002v*",
    ),
    (
        "a line of modules.alias, of the text",
        "sed -i '/virtio:d00000002v/d' $M/modules.alias",
        "M/modules.alias.bin: entries differ from modules.alias",
    ),
    (
        "a line of modules.symbols",
        "sed -i /virtqueue_add_sgs/d $M/modules.symbols; rm $M/modules.symbols.bin",
        "module virtio_ring: M/modules.symbols has no line for its symbol virtqueue_add_sgs",
    ),
    (
        "a line of modules.softdep",
        "sed -i '/^softdep libcrc32c/d' $M/modules.softdep",
        "module libcrc32c: M/modules.softdep has no line for its softdep",
    ),
    (
        "a module that /etc/modules names",
        "mkdir -p etc; echo dm_mod >etc/modules",
        "module dm_mod: M/kernel/drivers/md/dm-mod.ko is missing; the kernel command line or a \
         list of modules requests it",
    ),
    (
        "a module that modules-load.d names",
        "mkdir -p usr/lib/modules-load.d; echo dm_mod >usr/lib/modules-load.d/x.conf",
        "module dm_mod: M/kernel/drivers/md/dm-mod.ko is missing",
    ),
    ("the index", "rm $M/modules.dep $M/modules.dep.bin", "M/modules.dep: missing"),
    ("/init", "rm init", "/init: missing: the kernel would not use the image"),
    ("the right to execute /init", "chmod 644 init", "/init: not an executable file"),
    (
        "the machine of /init",
        "cp ../foreign init",
        "/init: 64-bit little-endian AArch64 program, but the kernel is for 64-bit little-endian \
         x86-64",
    ),
    (
        "the release of a module",
        "sed -i 's/vermagic=6[.]1/vermagic=6.2/' $M/kernel/drivers/block/virtio_blk.ko",
        "M/kernel/drivers/block/virtio_blk.ko: built for kernel 6.2",
    ),
    (
        "the half of a module",
        "truncate -s 9000 $M/kernel/fs/xfs/xfs.ko",
        "M/kernel/fs/xfs/xfs.ko: not a module: ",
    ),
    (
        "the machine of a module",
        "printf '\\267' | dd of=$M/kernel/fs/xfs/xfs.ko bs=1 seek=18 conv=notrunc 2>/dev/null",
        "M/kernel/fs/xfs/xfs.ko: 64-bit little-endian AArch64 module, but the kernel is for",
    ),
];

fn an_image_without_one_thing_fails_the_check() {
    let scene = Scene::new(&Kernel::Cloud61.get(), "", &[]);
    put(scene.path(), "foreign", &program(AARCH64, None, &[]), 0o755);
    let (status, text) = scene.check("whole", &BOARD);
    assert_eq!(status, 0, "{text}");
    assert!(text.starts_with("whole: no errors"), "{text}");
    let (status, text) = scene.check_without("true", &BOARD);
    assert_eq!(status, 0, "{text}");
    for (what, line, want) in BROKEN {
        let (status, text) = scene.check_without(line, &BOARD);
        assert_eq!(status, 1, "{what}: {text}");
        let found = text.lines().find(|line| line.contains(want));
        assert!(found.is_some_and(|line| line.starts_with("image: error: ")), "{what}: {text}");
        note!("{what}: {}", found.unwrap_or_default());
    }
}

/// What the kernel command line names decides what the image needs.
fn the_command_line_decides_what_an_image_needs() {
    let scene = Scene::new(&Kernel::Cloud61.get(), "", &[]);
    let board = fs::read_to_string(scene.path().join("board")).unwrap();
    let start = board.replace("quiet", "rdinit=/sbin/start");
    put(scene.path(), "start", start.as_bytes(), 0o644);
    let no_modules = "lib/modules: missing: devices of the machine have drivers in modules";
    let no_root = "lib/modules: missing: what the root needs is not known to be built in";
    let moved = "mkdir -p sbin; mv init sbin/start";
    for (line, options, want) in [
        ("rm -r lib/modules", &BOARD[..], no_modules),
        ("rm -r lib/modules", &["--cmdline", "root=/dev/vda"], no_root),
        ("rm -r lib/modules", &["--cmdline", "quiet"], ""),
        ("rm -r lib/modules", &[], ""),
        ("mkdir -p etc; echo nope >etc/modules", &BOARD, ""),
        (moved, &BOARD, "/init: missing: the kernel would not use the image"),
        (moved, &["--cmdline", "rdinit=/sbin/start"], ""),
        (moved, &["--board", "start"], ""),
        ("true", &["--board", "start"], "/sbin/start: missing: the kernel would not use"),
        ("true", &["--cmdline", "rdinit=/nope"], "/nope: missing: the kernel would not use"),
        ("touch x", &["--cmdline", "rdinit=/x"], "/x: not an executable file"),
    ] {
        let (status, text) = scene.check_without(line, options);
        assert_eq!(status, i32::from(!want.is_empty()), "{line} {options:?}: {text}");
        assert!(text.contains(&format!("error: {want}")) || want.is_empty(), "{line}: {text}");
        let unknown = "image: warning: /etc/modules: no module or alias 'nope'\n";
        assert_eq!(text.contains(unknown), line.contains("nope"), "{text}");
    }
}

/// The firmware of a module is needed if a device wants the module and all of its files are missing.
fn firmware_of_a_wanted_module_is_needed() {
    const DEVICE: &str = "device pci0000:00/0000:00:04.0\n  \
                          modalias pci:v00001616d00000409sv00001616sd00000004bc11sc80i00";
    const FIRMWARE: &str = "daqboard2000_firmware.bin";
    let scene = Scene::new(&Kernel::Cloud61.get(), DEVICE, &[]);
    let with = format!("mkdir -p lib/firmware/updates; touch lib/firmware/updates/{FIRMWARE}");
    let (status, text) = scene.check_without(&with, &BOARD);
    assert_eq!((status, text.contains("firmware")), (0, false), "{text}");
    let (status, text) = scene.check_without("true", &BOARD);
    let want = format!(
        "image: error: module daqboard2000: firmware is missing: {FIRMWARE}; a device of the \
         machine wants the module\n"
    );
    assert!(status == 1 && text.contains(&want), "{text}");
    for (options, want) in [(&["-q"][..], (0, "")), (&["--strict", "-q"], (1, "image: warning: "))]
    {
        let (status, text) = scene.check("image", options);
        assert_eq!(status, want.0, "{text}");
        assert!(text.starts_with(want.1) && text.is_empty() == want.1.is_empty(), "{text}");
    }
}

fn layers_of_the_root_are_checked() {
    let tree = Kernel::Cloud61.get();
    let scene = Scene::new(&tree, "", &["--modules", "dm_crypt,dm_mod,nfs"]);
    for (name, program) in [("init", "coldplug-init"), ("stacks", "coldplug-init-stacks")] {
        files::install(scene.path(), &paths::program(program), name);
    }
    let luks = "root=/dev/mapper/x rd.luks.uuid=12345678-1234-1234-1234-123456789abc";
    let start = &format!("{luks} rdinit=/sbin/start");
    let init = "/init: the root is on LUKS, LVM or md, and this program cannot open these";
    for (line, cmdline, want) in [
        ("cp ../stacks init", luks, ""),
        ("cp ../init init", luks, init),
        ("mkdir sbin; cp ../init sbin/start", start, "/sbin/start: the root is on LUKS, LVM or md"),
        ("cp ../stacks init; rm $M/kernel/drivers/md/dm-crypt.ko", luks, "dm-crypt.ko is missing"),
        ("true", "root=x rd.md.uuid=12345678:12345678:12345678:12345678", "module md_mod: "),
        ("true", "root=/dev/nfs nfsroot=10.0.0.1:/x", ""),
        ("rm $M/kernel/fs/nfs/nfs.ko", "root=/dev/nfs nfsroot=10.0.0.1:/x", "nfs.ko is missing"),
        ("true", "root=x rootfstype=zfs,xfs", ""),
        ("true", "root=x rootfstype=ext4", ""),
        ("true", "root=x rootfstype=zfs", "root filesystem: zfs: neither a module of this kernel"),
        ("true", "root=x coldplug.overlay=tmpfs", "module overlay: "),
    ] {
        let (status, text) =
            scene.check_without(line, &["--board", "board", "--cmdline", cmdline, "-q"]);
        assert_eq!(status, i32::from(!want.is_empty()), "{cmdline}: {text}");
        assert!(text.contains(want), "{cmdline}: {text}");
    }
}

fn results_are_printed_for_people_and_programs() {
    let tree = Kernel::Cloud61.get();
    let scene = Scene::new(&tree, "", &[]);
    let release = &scene.release;
    let kernel = format!("whole: no errors (9 modules of kernel {release})\n");
    assert_eq!(scene.check("whole", &BOARD), (0, kernel));
    assert_eq!(scene.check("whole", &["-q"]), (0, String::new()));
    assert_eq!(scene.check("whole", &["--kernel", release, "-q"]), (0, String::new()));
    let (status, text) = scene.check("whole", &["--kernel", "6.6"]);
    let want =
        format!("whole: error: lib/modules/6.6: missing: the image has modules of {release}\n");
    assert!(status == 1 && text.starts_with(&want), "{text}");
    let (status, text) = scene.check("whole", &["--cmdline", "quiet", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &value["errors"], &value["warnings"]), (0, &0.into(), &1.into()));
    assert_eq!(value["kernels"][0]["modules"], 9);
    let found = &value["findings"][0];
    assert_eq!(
        [&found["severity"], &found["kind"], &found["object"]],
        ["warning", "root", "kernel command line"]
    );
    let board = fs::read_to_string(scene.path().join("board")).unwrap();
    put(scene.path(), "arm", board.replace("x86_64", "aarch64").as_bytes(), 0o644);
    let (status, text) = scene.check("whole", &["--board", "arm"]);
    let want = "the modules are for 64-bit little-endian x86-64, but the machine is aarch64";
    assert!(status == 1 && text.contains(want), "{text}");
    for (options, image, want) in [
        (&["--frob"][..], "whole", "unrecognized option '--frob'"),
        (&["--board", "none"], "whole", "open none: No such file or directory"),
        (&["--board", "whole"], "whole", "whole line 1: not a capture"),
        (&[], "none", "none: open none: No such file or directory"),
        (&["--max-size", "1M"], "whole", ""),
    ] {
        let (status, text) = scene.check(image, options);
        assert_eq!(status, if want.is_empty() { 1 } else { 2 }, "{options:?}: {text}");
        assert!(text.contains(want), "{options:?}: {text}");
    }
}

fn an_image_of_all_modules_passes() {
    for kernel in [Kernel::Cloud61, Kernel::Cloud612] {
        let tree = kernel.get();
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "prog", &program(X86_64, None, &[]), 0o755);
        let mut build = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        build.args(["image", "build", "--modules-as", "stored", "--generic", "-q"]);
        build.args(["--init", "prog", "-o", "image", "--kernel"]).arg(&tree.release);
        tool::run(build.arg("--root").arg(&tree.root).current_dir(dir.path()));
        let mut check = Command::new(env!("CARGO_BIN_EXE_coldplug"));
        let check = check.args(["image", "check", "image"]).current_dir(dir.path());
        let text = tool::run(check);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("image: no errors"), "{text}");
        note!("{last}");
    }
}
