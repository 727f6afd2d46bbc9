//! The kmod tools on trees of files, judged by kmod itself.
//!
//! ```text
//! rootfs/tree/            a root with modules and indexes (make-tree.sh)
//! rootfs/CASE/commands    command lines; # is a comment
//! rootfs/CASE/correct.txt what they print: standard output, standard error, and [exit N] where N is not 0
//! rootfs/CASE/ours.txt    the same for the lines of ours-commands, where kmod 30 is no oracle; the only ones
//!                         where the command is not one of kmod's
//! ```
//!
//! In a command line `TREE` is the tree, `HERE` the case's folder, `MOD` is `-d TREE -S 1.0` and `INFO`
//! `-b TREE -k 1.0`. With `COLDPLUG_ORACLE=kmod` kmod runs the commands instead, and with
//! `COLDPLUG_BLESS=1` what is printed becomes what is correct.

use harness::run::Test;
use harness::tests;
use std::fs;
use std::path::{Path, PathBuf};
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
    the_kernels_helper_is_silent_and_alone,
];

fn rootfs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/data/rootfs")
}

fn oracle() -> bool {
    std::env::var_os("COLDPLUG_ORACLE").is_some_and(|o| o == "kmod")
}

/// A shell command in which the tools are ours, or kmod's.
fn shell(line: &str, kmod: bool) -> Output {
    let names = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "static-nodes", "scan", "plan"];
    let own = env!("CARGO_BIN_EXE_coldplug");
    let functions = names.map(|name| format!("{name}() {{ '{own}' {name} \"$@\"; }}; "));
    let script = if kmod { line.to_owned() } else { functions.concat() + line };
    // bash: dash takes no dash in a function's name.
    let mut command = Command::new("bash");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env_remove("MODPROBE_OPTIONS");
    command.arg("-c").arg(script).stdin(Stdio::null()).output().unwrap()
}

/// What the command lines in `file` print, as a transcript.
fn transcript(case: &Path, file: &str, kmod: bool) -> String {
    let tree = rootfs().join("tree");
    let (tree, here) = (tree.to_str().unwrap(), case.to_str().unwrap());
    let mut text = String::new();
    for line in fs::read_to_string(case.join(file)).unwrap().lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let command = line
            .replace("MOD ", "-d TREE -S 1.0 ")
            .replace("INFO ", "-b TREE -k 1.0 ")
            .replace("TREE", tree)
            .replace("HERE", here);
        let output = shell(&command, kmod);
        text += &format!("$ {line}\n");
        for bytes in [output.stdout, output.stderr] {
            let said = String::from_utf8(bytes).unwrap();
            // NUL is no text.
            let said = said.replace(tree, "TREE").replace(here, "HERE").replace('\0', "\\0\n");
            // What kmod says while it reads the configuration names its own sources, and -q does not hide it.
            let said =
                said.split_inclusive('\n').filter(|line| !line.starts_with("libkmod: ERROR"));
            text.extend(said);
        }
        match output.status.code() {
            Some(0) => {}
            code => text += &format!("[exit {}]\n", code.unwrap()),
        }
    }
    text
}

#[track_caller]
fn check(case: &str) {
    let case = rootfs().join(case);
    let ours = ("ours-commands", "ours.txt", false);
    let all = [("commands", "correct.txt", oracle()), ours];
    let files = all
        .into_iter()
        .filter(|(commands, _, kmod)| case.join(commands).exists() && (*kmod || !oracle()));
    for (commands, correct, kmod) in files {
        let got = transcript(&case, commands, kmod);
        let correct = case.join(correct);
        if std::env::var_os("COLDPLUG_BLESS").is_some() {
            fs::write(&correct, &got).unwrap();
        }
        let want = fs::read_to_string(&correct).unwrap();
        for (got, want) in got.lines().zip(want.lines()) {
            assert_eq!(got, want, "in {}:\n{got}\n", correct.display());
        }
        assert_eq!(got, want, "{}", correct.display());
    }
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

/// As the kernel calls it: without standard streams and without an environment.
fn the_kernels_helper_is_silent_and_alone() {
    let tree = rootfs().join("tree");
    let line = "exec env -i \"$0\" modprobe -d \"$1\" -S 1.0 -q -- nothing <&- >&- 2>&-";
    let run = |line: &str| {
        let mut command = Command::new("bash");
        command.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_coldplug")).arg(&tree).output().unwrap()
    };
    let output = run(line);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    // A module that is there, in a dry run: the same road but for the last step.
    let output = run(&line.replace("-q -- nothing", "-q -n -- alpha"));
    assert_eq!(output.status.code(), Some(0));
}
