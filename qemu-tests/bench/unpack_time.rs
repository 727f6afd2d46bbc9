//! `make bench`: `coldplug image list` and `image extract` against lsinitramfs, unmkinitramfs and
//! 3cpio.
//!
//! lsinitramfs and unmkinitramfs are the scripts of initramfs-tools of Debian 12, 3cpio that of
//! Debian unstable, which is started by its own dynamic loader. Images are extracted to a tmpfs.
//! The names that are listed must be the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::compared::{Comparison, our_version, runs, version_of};
use harness::kernel::Kernel;
use harness::results::Results;
use harness::{debian, image, paths, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The images: name, and options of `image build`.
const IMAGES: [(&str, &[&str]); 2] = [
    ("modules one by one", &["--all"]),
    ("archive in zstd", &["--all", "--modules-as", "plain", "--compress", "zstd"]),
];

/// The programs of other projects.
struct Peers {
    sid: PathBuf,
    /// Directory with lsinitramfs and unmkinitramfs.
    scripts: tempfile::TempDir,
}

fn main() {
    let scripts = tempfile::tempdir().unwrap();
    for name in ["lsinitramfs", "unmkinitramfs"] {
        let from = debian::small_system("bookworm").join("usr/bin").join(name);
        fs::copy(from, scripts.path().join(name)).unwrap();
    }
    let peers = Peers { sid: debian::sid().root, scripts };
    let mut results = Results::new("unpack");
    results.version("coldplug", &our_version(&paths::program("coldplug")));
    results.version("3cpio", &version_of(peers.threecpio().arg("--version")));
    let tree = Kernel::Cloud61.get();
    for (name, options) in IMAGES {
        let image = image::coldplug(&tree, options);
        list(name, &image, &peers, &mut results);
        extract(name, &image, &peers, &mut results);
    }
    println!("{}", results.write().display());
}

impl Peers {
    fn threecpio(&self) -> Command {
        let lib = self.sid.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(lib.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&lib).arg(self.sid.join("usr/bin/3cpio"));
        command
    }

    fn script(&self, name: &str) -> Command {
        tool::find("cpio", "cpio");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.scripts.path().join(name));
        command.env("PATH", format!("{}:{path}", self.scripts.path().display()));
        command
    }
}

fn ours(words: &[&str]) -> Command {
    let mut command = Command::new(paths::program("coldplug"));
    command.arg("image").args(words);
    command
}

fn with(mut command: Command, paths: &[&Path]) -> Command {
    command.args(paths);
    command
}

/// Returns whether the archive is not compressed: the scripts fail at the end of such an image.
fn is_plain(name: &str) -> bool {
    name == IMAGES[0].0
}

fn list(name: &str, image: &Path, peers: &Peers, results: &mut Results) {
    let names = |command: Command| -> BTreeSet<String> {
        let mut command = with(command, &[image]);
        let text = tool::run(&mut command);
        let lines = text.lines().map(|line| line.trim_start_matches('/').to_owned());
        lines.filter(|line| line != "." && !line.is_empty()).collect()
    };
    let listed = || ours(&["list", "--names"]);
    let theirs = names(with(peers.threecpio(), &[Path::new("-t")]));
    let mut lists = vec![("coldplug", listed())];
    if !is_plain(name) {
        lists.push(("lsinitramfs", peers.script("lsinitramfs")));
    }
    for (program, list) in lists {
        let list = names(list);
        let differences: Vec<_> = list.symmetric_difference(&theirs).take(5).collect();
        assert!(differences.is_empty(), "{program}: {differences:?}");
    }
    let mut all = Comparison::new(&format!("image list, {name}"))
        .program("coldplug", || with(listed(), &[image]))
        .program("3cpio", || with(peers.threecpio(), &[Path::new("-t"), image]));
    if !is_plain(name) {
        all = all.program("lsinitramfs", || with(peers.script("lsinitramfs"), &[image]));
    }
    all.without_instructions().measure(runs(15, 3), results);
}

fn extract(name: &str, image: &Path, peers: &Peers, results: &mut Results) {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    let out = scratch.path().join("out");
    let mut all = Comparison::new(&format!("image extract, {name}"))
        .program("coldplug", || with(ours(&["extract", "-C"]), &[&out, image]))
        .program("3cpio", || {
            with(peers.threecpio(), &[Path::new("-x"), Path::new("-C"), &out, image])
        })
        .before_each(|| {
            let _ = fs::remove_dir_all(&out);
            fs::create_dir(&out).unwrap();
        });
    if !is_plain(name) {
        all = all.program("unmkinitramfs", || with(peers.script("unmkinitramfs"), &[image, &out]));
    }
    all.without_instructions().measure(runs(15, 3), results);
}
