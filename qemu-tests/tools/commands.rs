//! Command lines on a small tree, against kmod.
//!
//! ```text
//! data/tree/                a root with modules and their index files (make-tree.sh)
//! data/commands/CASE.txt    a transcript
//! data/commands/CASE/       the files that its commands name
//! ```
//!
//! In a command `TREE` is the tree, `HERE` the directory of the case, `MOD` is `-d TREE -S 1.0` and
//! `INFO` is `-b TREE -k 1.0`.

use harness::run::Test;
use harness::transcript::{self, Session};
use harness::{kmod34, paths, tests};
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    show_depends,
    resolve,
    modinfo,
    options,
    symbols,
    config,
    scan,
    plan,
    the_helper_runs_without_streams_and_environment,
];

/// The shell that runs the commands of a case.
struct Shell {
    tree: String,
    here: String,
}

impl Session for Shell {
    fn run(&mut self, command: &str) -> Vec<String> {
        let command = command
            .replace("MOD ", "-d TREE -S 1.0 ")
            .replace("INFO ", "-b TREE -k 1.0 ")
            .replace("TREE", &self.tree)
            .replace("HERE", &self.here);
        let output = shell(&command);
        let lines = transcript::streams(&output.stdout, &output.stderr);
        let lines = lines.iter().map(|l| l.replace(&self.tree, "TREE").replace(&self.here, "HERE"));
        // What kmod reports while it reads the configuration names its own sources, even with -q.
        lines
            .filter(|line| !line.starts_with("err: libkmod: ERROR"))
            .chain(transcript::exit(output.status.code()))
            .collect()
    }
}

/// Runs a line of shell in which the tools are ours, or kmod's.
fn shell(line: &str) -> Output {
    let names = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "static-nodes", "scan", "plan"];
    let own = env!("CARGO_BIN_EXE_coldplug");
    let functions = names.map(|name| {
        let command = if transcript::is_kmod() {
            format!("{:?}", kmod34::command(name))
        } else {
            format!("'{own}' {name}")
        };
        format!("{name}() {{ {command} \"$@\"; }}; ")
    });
    let script = functions.concat() + line;
    // dash has no hyphen in the names of functions, bash has.
    let mut command = Command::new("bash");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("MODPROBE_OPTIONS");
    command.arg("-c").arg(script).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn check(case: &str) {
    let path = |name: &str| paths::data(name).display().to_string();
    let mut shell = Shell { tree: path("tree"), here: path(&format!("commands/{case}")) };
    transcript::check(&paths::data(&format!("commands/{case}.txt")), &mut shell);
}

fn show_depends() {
    check("show-depends");
}

fn resolve() {
    check("resolve");
}

fn modinfo() {
    check("modinfo");
}

fn options() {
    check("options");
}

fn symbols() {
    check("symbols");
}

fn config() {
    check("config");
}

fn scan() {
    check("scan");
}

fn plan() {
    check("plan");
}

/// Runs modprobe as the kernel does: without standard streams and without an environment.
fn the_helper_runs_without_streams_and_environment() {
    let tree = paths::data("tree");
    let line = "exec env -i \"$0\" modprobe -d \"$1\" -S 1.0 -q -- nothing <&- >&- 2>&-";
    let run = |line: &str| {
        let mut command = Command::new("bash");
        command.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_coldplug")).arg(&tree).output().unwrap()
    };
    let output = run(line);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    // An existing module, in a dry run: the same path except for the last step.
    let output = run(&line.replace("-q -- nothing", "-q -n -- alpha"));
    assert_eq!(output.status.code(), Some(0));
}
