//! Images for one machine: built on it, and built for its capture. They hold little, and boot with
//! the same modules as an image that has all.

use harness::disk::ROOT;
use harness::files::put;
use harness::guest::Output;
use harness::kernel::{Kernel, Tree};
use harness::machine::Bus;
use harness::run::{BOOT, Test};
use harness::{image, measured, note, paths, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    images_for_one_machine_are_small_and_complete,
];

/// Most bytes of an image for the virtio machine, with everything in.
const LIMIT: u64 = 1_200_000;

/// What the machine does for the test.
const COMMANDS: &str = "coldplug image build --host --trim-indexes --modules-as plain -o /host\n\
    coldplug scan --save /board\n";

fn images_for_one_machine_are_small_and_complete() {
    let tree = Kernel::Cloud61.get();
    let dir = tempfile::tempdir().unwrap();
    let all = image::coldplug(&tree, &["--all"]);
    let want = modules(&tree, &all);
    let disk = root_with_modules(&tree, dir.path());
    let vm = measured::bare_virtio(&tree, &all).cmdline("root=/dev/vda rw");
    let facts = vm.disk(Bus::VirtioBlk, &disk).run().facts();
    for at in 0..COMMANDS.lines().count() {
        let output = Output::new(&facts, at);
        note!("{}", output.stdout.trim_end());
        assert_eq!((output.code, &*output.stderr), (0, ""), "{output:?}");
    }
    let [host, capture, packed, board] =
        ["host", "board", "host.zst", "board.img"].map(|name| dir.path().join(name));
    for file in [&host, &capture] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let dump = format!("dump /{name} {}", file.display());
        tool::run(tool::command("debugfs", "e2fsprogs").args(["-R", &dump]).arg(&disk));
    }
    // The guest would take a minute for what `--compress zstd:19` does.
    tool::run(tool::command("zstd", "zstd").args(["-q", "-19", "-o"]).args([&packed, &host]));
    let mut build = Command::new(paths::program("coldplug"));
    build.args(["image", "build", "--kernel", &tree.release, "--root"]).arg(&tree.root);
    build.args(["--trim-indexes", "--modules-as", "plain", "--compress", "zstd:19"]);
    tool::run(build.arg("-o").arg(&board).arg("--board").arg(&capture));
    for image in [&packed, &board] {
        let size = fs::metadata(image).unwrap().len();
        note!("{}: {size} bytes", image.file_name().unwrap().display());
        assert!(size <= LIMIT, "{size} bytes");
        assert_eq!(modules(&tree, image), want);
    }
}

/// Boots the virtio machine. Returns the modules that are live at the end.
fn modules(tree: &Tree, image: &Path) -> BTreeSet<String> {
    let vm = measured::virtio(tree, image).cmdline("root=/dev/vda");
    let (_, facts) = vm.run_clean();
    facts.modules().into_iter().map(str::to_owned).collect()
}

/// Writes a root that runs [`COMMANDS`], with the modules of the kernel.
fn root_with_modules(tree: &Tree, dir: &Path) -> PathBuf {
    let root = dir.join("root");
    for (name, from) in [
        ("sbin/init", "examples/guest_tools"),
        ("sbin/coldplug", "coldplug"),
        ("lib/coldplug/coldplug-init", "coldplug-init"),
    ] {
        put(&root, name, &fs::read(paths::program(from)).unwrap(), 0o755);
    }
    put(&root, "etc/commands", COMMANDS.as_bytes(), 0o644);
    put(&root, "etc/fstab", b"/dev/vda / ext4 defaults 0 1\n", 0o644);
    let modules = root.join("lib/modules");
    fs::create_dir_all(&modules).unwrap();
    tool::run(tool::command("cp", "coreutils").arg("-a").args([&tree.modules(), &modules]));
    ROOT.make_of(&root, "320M", &dir.join("disk"))
}
