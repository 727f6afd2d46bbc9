//! `make bench`: modprobe, modinfo and lsmod against those of kmod 34, of kmod 30 and of busybox, on
//! the 6.1 kernel with all drivers.
//!
//! kmod 30 is that of this machine if it is a Debian 12. kmod 34 is started by its own dynamic
//! loader. busybox finds modules in /lib/modules alone, so all of it runs in a mount namespace,
//! which has the tree there; without root the rows of busybox and lsmod are left out.
//!
//! Our median must not exceed that of kmod 34.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "it ends with a message if it cannot go on, and prints its results"
)]

use harness::compared::{Comparison, our_version, runs, version_of};
use harness::files::put;
use harness::kernel::{Kernel, Tree};
use harness::results::{Results, Row};
use harness::{kmod34, paths, tool};
use rustix::mount::{MountFlags, mount, mount_bind, unmount};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modalias of a network card.
const CARD: &str = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";

/// Command lines of modprobe. The kernel runs its helper with `-q -- NAME`; -n omits the load.
const MODPROBE: &[&[&str]] = &[
    &["-D", "xfs"],
    &["-D", "amdgpu"],
    &["-D", CARD],
    &["-R", "fs-xfs"],
    &["-R", CARD],
    &["-q", "-n", "--", "fs-xfs"],
    &["-q", "-n", "--", "net-pf-40"],
    &["-q", "-n", "--", CARD],
    &["-q", "-n", "--", "nothing-of-this-name"],
];

/// Command lines of modinfo.
const MODINFO: &[&[&str]] = &[&["xfs"], &["amdgpu"], &["-F", "depends", "amdgpu"]];

/// Number of loaded modules in the list of lsmod.
const LOADED: usize = 160;

/// The variable that tells the program that it runs in its mount namespace.
const INSIDE: &str = "BENCH_INSIDE";

/// The programs that are compared.
struct Programs {
    links: tempfile::TempDir,
    /// Whether the tree is at /lib/modules, where busybox looks.
    has_modules: bool,
}

fn main() {
    if std::env::var_os(INSIDE).is_none() && rustix::process::geteuid().is_root() {
        let mut unshare = tool::command("unshare", "util-linux");
        unshare.arg("--mount").arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
        assert!(unshare.status().unwrap().success(), "the measurement failed");
        return;
    }
    let tree = Kernel::Full61.get();
    let scratch = tempfile::tempdir_in(paths::scratch()).unwrap();
    let is_inside = std::env::var_os(INSIDE).is_some();
    if is_inside {
        show_modules(&tree, scratch.path());
    }
    let programs = Programs { links: links(), has_modules: is_inside };
    let mut results = Results::new("tools");
    results.version("coldplug", &our_version(&paths::program("coldplug")));
    results.version("kmod 30", &version_of(programs.kmod30("modprobe").arg("-V")));
    results.version("kmod 34", &version_of(kmod34::command("modprobe").arg("-V")));
    results.version("busybox", &version_of(&mut tool::command("busybox", "busybox-static")));
    let mut rows = Vec::new();
    for words in MODPROBE {
        rows.extend(modprobe(&programs, &tree, words, &mut results));
    }
    for words in MODINFO {
        rows.extend(modinfo(&programs, &tree, words, &mut results));
    }
    rows.extend(modinfo_of_file(&programs, &mut results));
    if is_inside {
        rows.extend(lsmod(&programs, &tree, scratch.path(), &mut results));
    }
    println!("{}", results.write().display());
    println!("slower than kmod 34 by the median: {:?}", slower(&rows));
}

/// Returns the groups in which our median of the wall time exceeds that of kmod 34.
fn slower(rows: &[Row]) -> Vec<&str> {
    let wall = |name: &str, group: &str| {
        let mut all = rows.iter().filter(|row| row.what == "wall time");
        all.find(|row| row.name == name && row.group == group).map(|row| row.spread().1)
    };
    let groups = rows.iter().filter(|row| row.name == "kmod 34" && row.what == "wall time");
    let groups = groups.map(|row| row.group.as_str());
    groups.filter(|group| wall("coldplug", group) > wall("kmod 34", group)).collect()
}

/// Makes a directory for each program, with a link for each tool.
fn links() -> tempfile::TempDir {
    let links = tempfile::tempdir().unwrap();
    for (name, program) in [
        ("coldplug", paths::program("coldplug")),
        ("kmod30", fs::canonicalize(tool::find("modprobe", "kmod")).unwrap()),
        ("busybox", tool::find("busybox", "busybox-static")),
    ] {
        let dir = links.path().join(name);
        fs::create_dir(&dir).unwrap();
        for tool in ["modprobe", "modinfo", "lsmod"] {
            symlink(&program, dir.join(tool)).unwrap();
        }
    }
    links
}

impl Programs {
    fn command(&self, program: &str, tool: &str) -> Command {
        let mut command = Command::new(self.links.path().join(program).join(tool));
        command.env_clear();
        command
    }

    fn ours(&self, tool: &str) -> Command {
        self.command("coldplug", tool)
    }

    fn kmod30(&self, tool: &str) -> Command {
        self.command("kmod30", tool)
    }
}

fn kmod34(tool: &str) -> Command {
    let mut command = kmod34::command(tool);
    command.env_clear();
    command
}

fn modprobe(
    programs: &Programs,
    tree: &Tree,
    words: &'static [&'static str],
    results: &mut Results,
) -> Vec<Row> {
    let on = |mut command: Command| {
        command.arg("-d").arg(&tree.root).args(["-S", &tree.release]).args(words);
        command
    };
    // In a dry run kmod prints nothing without -v before version 35.
    let printed = |command| printed(on(command), !words.contains(&"-n"));
    let (ours, theirs) = (printed(programs.ours("modprobe")), printed(kmod34("modprobe")));
    assert_eq!(ours, theirs, "{words:?}");
    let name = format!("modprobe {}", words.join(" "));
    let mut all = Comparison::new(&name)
        .program("coldplug", || on(programs.ours("modprobe")))
        .program("kmod 34", || on(kmod34("modprobe")))
        .program("kmod 30", || on(programs.kmod30("modprobe")))
        .code(ours.0);
    // busybox has neither -R nor -n.
    if programs.has_modules && words[0] == "-D" {
        all = all.program("busybox", || {
            let mut command = programs.command("busybox", "modprobe");
            command.args(words);
            command
        });
    }
    all.measure(runs(51, 7), results)
}

/// Runs `command`. Returns its exit code, and its output if that `counts`.
fn printed(mut command: Command, counts: bool) -> (i32, String) {
    let output = command.output().unwrap();
    let text = if counts { output.stdout } else { Vec::new() };
    // kmod's modinfo has no line for the build ID.
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.starts_with("build-id:"));
    (output.status.code().unwrap(), lines.collect::<Vec<_>>().join("\n"))
}

fn modinfo(
    programs: &Programs,
    tree: &Tree,
    words: &'static [&'static str],
    results: &mut Results,
) -> Vec<Row> {
    let on = |mut command: Command| {
        command.arg("-b").arg(&tree.root).args(["-k", &tree.release]).args(words);
        command
    };
    let (ours, theirs) = (programs.ours("modinfo"), kmod34("modinfo"));
    assert_eq!(printed(on(ours), true), printed(on(theirs), true), "{words:?}");
    let mut all = Comparison::new(&format!("modinfo {}", words.join(" ")))
        .program("coldplug", || on(programs.ours("modinfo")))
        .program("kmod 34", || on(kmod34("modinfo")))
        .program("kmod 30", || on(programs.kmod30("modinfo")));
    if programs.has_modules {
        all = all.program("busybox", || {
            let mut command = programs.command("busybox", "modinfo");
            command.args(words);
            command
        });
    }
    all.measure(runs(51, 7), results)
}

/// Compares modinfo of a compressed file.
fn modinfo_of_file(programs: &Programs, results: &mut Results) -> Vec<Row> {
    let tree = Kernel::Cloud612.get();
    let file = tree.modules().join(tree.module("xfs").expect("xfs"));
    let on = |mut command: Command| {
        command.arg(&file);
        command
    };
    let (ours, theirs) = (programs.ours("modinfo"), kmod34("modinfo"));
    assert_eq!(printed(on(ours), true), printed(on(theirs), true), "xfs.ko.xz");
    Comparison::new("modinfo xfs.ko.xz")
        .program("coldplug", || on(programs.ours("modinfo")))
        .program("kmod 34", || on(kmod34("modinfo")))
        .program("kmod 30", || on(programs.kmod30("modinfo")))
        .measure(runs(51, 7), results)
}

/// Compares lsmod with a list of modules in tmpfs at /proc and /sys.
fn lsmod(programs: &Programs, tree: &Tree, scratch: &Path, results: &mut Results) -> Vec<Row> {
    let real = scratch.join("proc");
    fs::create_dir(&real).unwrap();
    mount_bind("/proc", &real).unwrap();
    for dir in ["/proc", "/sys"] {
        mount("tmpfs", dir, "tmpfs", MountFlags::empty(), None).unwrap();
    }
    list_modules(tree);
    let (ours, theirs) = (printed(programs.ours("lsmod"), true), printed(kmod34("lsmod"), true));
    assert_eq!(ours, theirs, "lsmod");
    let all = Comparison::new(&format!("lsmod of {LOADED} modules"))
        .program("coldplug", || programs.ours("lsmod"))
        .program("kmod 34", || kmod34("lsmod"))
        .program("kmod 30", || programs.kmod30("lsmod"))
        .program("busybox", || programs.command("busybox", "lsmod"));
    // valgrind reads /proc/self.
    let rows = all.without_instructions().measure(runs(51, 7), results);
    unmount("/proc", rustix::mount::UnmountFlags::empty()).unwrap();
    unmount("/sys", rustix::mount::UnmountFlags::empty()).unwrap();
    rows
}

/// Writes /proc/modules and /sys/module with the first modules of modules.dep, each with those that
/// need it.
fn list_modules(tree: &Tree) {
    let dep = fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
    let stem = harness::kernel::stem;
    let lines: Vec<(String, Vec<String>)> = dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| (stem(file), needs.split_whitespace().map(stem).collect()))
        .filter(|(_, needs): &(String, Vec<String>)| !needs.is_empty())
        .take(LOADED)
        .collect();
    let mut text = String::new();
    for (name, _) in &lines {
        let users: Vec<&str> =
            lines.iter().filter(|(_, n)| n.contains(name)).map(|(user, _)| &user[..]).collect();
        let holders: String = users.iter().map(|user| format!("{user},")).collect();
        let holders = if holders.is_empty() { "-" } else { &holders };
        writeln!(text, "{name} 16384 {} {holders} Live 0x0000000000000000", users.len()).unwrap();
        let module = PathBuf::from("/sys/module").join(name);
        for (file, content) in
            [("coresize", "16384"), ("initstate", "live"), ("refcnt", &users.len().to_string())]
        {
            put(&module, file, format!("{content}\n").as_bytes(), 0o444);
        }
        fs::create_dir_all(module.join("holders")).unwrap();
        users.iter().for_each(|user| symlink("..", module.join("holders").join(user)).unwrap());
    }
    put(Path::new("/proc"), "modules", text.as_bytes(), 0o444);
}

/// Mounts the modules of `tree` at /lib/modules/RELEASE of this machine's kernel. /usr/lib becomes
/// an overlay of itself and of a directory that has the mount point.
fn show_modules(tree: &Tree, scratch: &Path) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let extra = scratch.join("lib");
    fs::create_dir_all(extra.join("modules").join(release.trim())).unwrap();
    let lib = fs::canonicalize("/lib").unwrap();
    let options = format!("lowerdir={}:{}", extra.display(), lib.display());
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &lib, "overlay", MountFlags::RDONLY, &*options).unwrap();
    let modules = fs::canonicalize(tree.modules()).unwrap();
    mount_bind(modules, lib.join("modules").join(release.trim())).unwrap();
}
