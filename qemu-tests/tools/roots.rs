//! The kmod tools in fake roots, under a fake kernel; what they print and what they ask of the kernel.
//!
//! A case is one command line and what is expected of it. Cases stand in rootfs/cases/TOPIC:
//!
//! ```text
//! === what the scenario is about      a fresh root: rootfs/tree, the tools, a shell, nothing loaded
//! sh: SHELL LINE                      done on the host in the root's top, before the next command
//! live: NAME NEED...                  a module that is loaded, and what it uses
//! answer: NAME ERRNO                  what the kernel says to a load; -NAME: to a removal
//! release: VERSION                    what `uname -r` says (1.0 unless told)
//! why: REASON                         why kmod 30 differs in what follows in this scenario; `none` ends it
//! $ COMMAND                           run by the root's shell; the tools are called /sbin/NAME
//!   out: TEXT                         a line on standard output
//!   err: TEXT                         a line on standard error
//!   log: TEXT                         a message to the system log
//!   call: NAME ARGUMENTS = ERRNO      asked of the kernel: init_module, finit_module, delete_module
//!   exit: N                           the status, where it is not 0
//! + err: TEXT                         expected of us alone
//! - err: TEXT                         expected of kmod 30 alone
//! ```
//!
//! `COLDPLUG_ORACLE=kmod` runs the same cases on Debian's kmod; `COLDPLUG_BLESS=1` writes what was seen into the
//! files. What kmod says while it reads the configuration names its own sources, which are left out.

use harness::fake_kernel::FakeKernel;
use harness::run::{Need, Test};
use harness::{fake_kernel, image, supervisor, tool};
use harness::{note, tests};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Output;

const TOOLS: [&str; 5] = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo"];

fn rootfs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("qemu-tests/data/rootfs")
}

fn oracle() -> bool {
    std::env::var_os("COLDPLUG_ORACLE").is_some_and(|o| o == "kmod")
}

fn bless() -> bool {
    std::env::var_os("COLDPLUG_BLESS").is_some()
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Both,
    Us,
    Kmod,
}

impl Of {
    fn mark(self) -> char {
        match self {
            Self::Both => ' ',
            Self::Us => '+',
            Self::Kmod => '-',
        }
    }
}

/// A line that is expected.
type Expected = (Of, String);

/// One line of a file of cases.
enum Line<'a> {
    /// A scenario, something to set up, or nothing to do.
    Other(&'a str),
    Command(&'a str),
    Expected(Of, &'a str),
}

fn line(text: &str) -> Line<'_> {
    let all = [("  ", Of::Both), ("+ ", Of::Us), ("- ", Of::Kmod)];
    if let Some(command) = text.strip_prefix("$ ") {
        return Line::Command(command);
    }
    let expected = all.into_iter().find_map(|(mark, of)| Some((of, text.strip_prefix(mark)?)));
    expected.map_or(Line::Other(text), |(of, text)| Line::Expected(of, text))
}

/// A fake root with its kernel.
struct Machine {
    dir: tempfile::TempDir,
    kernel: FakeKernel,
    release: String,
    log: UnixDatagram,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let root = dir.path();
        tool::run(
            tool::command("cp", "coreutils").arg("-a").args([&rootfs().join("tree/."), root]),
        );
        for sub in ["bin", "sbin", "dev", "tmp", "proc", "etc/modprobe.d"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::write(root.join("proc/cmdline"), "quiet\n").unwrap();
        tool::run(
            tool::command("mknod", "coreutils")
                .arg("-m666")
                .arg(root.join("dev/null"))
                .args(["c", "1", "3"]),
        );
        place(&tool::find("busybox", "busybox-static"), &root.join("bin/busybox"));
        for name in ["sh", "cat", "env", "false", "grep", "head", "true"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tool = if oracle() { place_kmod(root) } else { place_ours(root) };
        for name in TOOLS {
            symlink(&tool, root.join("sbin").join(name)).unwrap();
        }
        symlink(&tool, root.join("sbin/kmod")).unwrap();
        let log = UnixDatagram::bind(root.join("dev/log")).unwrap();
        log.set_nonblocking(true).unwrap();
        let kernel = FakeKernel::new(root);
        Self { kernel, release: "1.0".to_owned(), log, dir }
    }

    /// Carries out a line that sets something up.
    fn set_up(&mut self, text: &str) {
        let (word, rest) = text.split_once(": ").unwrap_or((text, ""));
        let mut words = rest.split(' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        match word {
            "sh" => drop(tool::run(
                tool::command("sh", "dash").args(["-ec", rest]).current_dir(self.dir.path()),
            )),
            "live" => {
                let name = next();
                self.kernel.add(&name, words.map(Into::into).collect());
            }
            "answer" => self.kernel.refuse(&next(), fake_kernel::errno(&next())),
            "release" => self.release = rest.to_owned(),
            _ => panic!("what is '{text}'?"),
        }
    }

    /// What `command` shows of itself.
    fn run(&mut self, command: &str) -> Vec<String> {
        // The shell has tools of its own under these names; functions come before them.
        let mut script: String =
            TOOLS.map(|name| format!("{name}() {{ /sbin/{name} \"$@\"; }}; ")).concat();
        script += &format!("kmod() {{ /sbin/kmod \"$@\"; }}; {command}");
        let kernel = &mut self.kernel;
        let output = supervisor::run(self.dir.path(), &script, &self.release, &mut |call| {
            kernel.answer(call)
        });
        let mut shown = shown(&output);
        let mut buffer = [0; 4096];
        while let Ok(len) = self.log.recv(&mut buffer) {
            shown.push(format!("log: {}", log_text(&String::from_utf8_lossy(&buffer[..len]))));
        }
        shown.extend(self.kernel.take_calls().into_iter().map(|call| format!("call: {call}")));
        if output.status.code() != Some(0) {
            shown.push(format!("exit: {}", output.status.code().unwrap_or(-1)));
        }
        shown
    }
}

fn shown(output: &Output) -> Vec<String> {
    let mut lines = Vec::new();
    for (word, bytes) in [("out", &output.stdout), ("err", &output.stderr)] {
        let text = String::from_utf8_lossy(bytes).replace('\0', "\\0");
        for line in text.lines() {
            lines.push(format!("{word}: {}", without_source(line)));
        }
    }
    lines
}

/// `libkmod: ERROR ../libkmod/file.c:7 function: text` → `libkmod: ERROR: text`, and
/// `modprobe: ERROR: ../libkmod/file.c:7 function() text` → `modprobe: ERROR: text`
fn without_source(line: &str) -> String {
    match line.split_once(" ../libkmod/") {
        Some((head, tail)) => {
            let text = tail.splitn(3, ' ').nth(2).unwrap_or_default();
            // Where its structure lies is nobody's matter.
            let text = match text.strip_prefix("ctx=0x").and_then(|t| t.split_once(' ')) {
                Some((_, text)) => text,
                None => text,
            };
            format!("{}: {text}", head.trim_end_matches(':'))
        }
        None => line.to_owned(),
    }
}

/// syslog(3) puts the time before the program's name.
fn log_text(message: &str) -> String {
    let message = message.trim_end();
    match message.split_once('>') {
        Some((priority, text)) if text.get(3..4) == Some(" ") && text.get(15..16) == Some(" ") => {
            format!("{priority}>{}", &text[16..])
        }
        _ => message.to_owned(),
    }
}

/// Puts a program into a root, as a second name of the same file where that can be.
fn place(from: &Path, to: &Path) {
    let from = fs::canonicalize(from).unwrap();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if fs::hard_link(&from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

fn place_ours(root: &Path) -> String {
    place(&image::program("coldplug"), &root.join("bin/coldplug"));
    "/bin/coldplug".to_owned()
}

fn place_kmod(root: &Path) -> String {
    let kmod = fs::canonicalize(tool::find("kmod", "kmod")).unwrap();
    place(&kmod, &root.join("bin/kmod"));
    for library in image::libraries(&kmod) {
        place(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
    "/bin/kmod".to_owned()
}

/// What both show stands once; a diff of two short lists.
fn merge(us: &[String], kmod: &[String]) -> Vec<Expected> {
    match (us, kmod) {
        ([], rest) => rest.iter().map(|l| (Of::Kmod, l.clone())).collect(),
        (rest, []) => rest.iter().map(|l| (Of::Us, l.clone())).collect(),
        ([a, us @ ..], [b, kmod @ ..]) if a == b => {
            let mut all = vec![(Of::Both, a.clone())];
            all.extend(merge(us, kmod));
            all
        }
        ([a, rest @ ..], _) if !kmod.contains(a) => {
            let mut all = vec![(Of::Us, a.clone())];
            all.extend(merge(rest, kmod));
            all
        }
        (_, [b, rest @ ..]) => {
            let mut all = vec![(Of::Kmod, b.clone())];
            all.extend(merge(us, rest));
            all
        }
    }
}

/// The lines that are expected of `tool`, which is not `Both`.
fn of(expected: &[Expected], tool: Of) -> Vec<String> {
    let lines = expected.iter().filter(|(of, _)| *of == Of::Both || *of == tool);
    lines.map(|(_, text)| text.clone()).collect()
}

/// A file of cases on its way through.
#[derive(Default)]
struct Run {
    machine: Option<Machine>,
    why: String,
    /// Whether something differs for that reason.
    explains: bool,
    cases: usize,
    /// The file as it should be.
    text: String,
    wrong: String,
}

impl Run {
    fn other(&mut self, text: &str) {
        self.text += &format!("{text}\n");
        if text.is_empty() || text.starts_with("# ") {
            return;
        }
        if text.starts_with("=== ") {
            self.give_reason("");
            self.machine = Some(Machine::new());
        } else if let Some(why) = text.strip_prefix("why: ") {
            self.give_reason(if why == "none" { "" } else { why });
        } else {
            self.machine.as_mut().expect("a scenario comes first").set_up(text);
        }
    }

    /// The reason from here on. The one before must have been needed.
    fn give_reason(&mut self, why: &str) {
        if !self.why.is_empty() && !self.explains {
            self.wrong += &format!("nothing differs here: why: {}\n", self.why);
        }
        (self.why, self.explains) = (why.to_owned(), false);
    }

    fn case(&mut self, command: &str, expected: &[Expected]) {
        let got = self.machine.as_mut().expect("a scenario comes first").run(command);
        self.cases += 1;
        let (us, kmod) = match oracle() {
            true => (of(expected, Of::Us), got.clone()),
            false => (got.clone(), of(expected, Of::Kmod)),
        };
        let want = of(expected, if oracle() { Of::Kmod } else { Of::Us });
        let merged = merge(&us, &kmod);
        self.text += &format!("$ {command}\n");
        for (of, text) in &merged {
            self.text += &format!("{} {text}\n", of.mark());
        }
        if got != want && !bless() {
            self.wrong +=
                &format!("$ {command}\nis\n{}\nnot\n{}\n", got.join("\n"), want.join("\n"));
        }
        let differs = merged.iter().any(|(of, _)| *of != Of::Both);
        self.explains |= differs;
        if differs && self.why.is_empty() {
            self.wrong += &format!("$ {command}\nsay why it differs from kmod's\n");
        }
    }
}

/// Runs the cases of a topic.
#[track_caller]
fn check(topic: &str) {
    let path = rootfs().join("cases").join(topic);
    let file = fs::read_to_string(&path).unwrap();
    let mut run = Run::default();
    let mut lines = file.lines().map(line).peekable();
    while let Some(line) = lines.next() {
        match line {
            Line::Other(text) => run.other(text),
            Line::Expected(_, text) => panic!("{text}: of which command?"),
            Line::Command(command) => {
                let mut expected = Vec::new();
                while let Some(Line::Expected(of, text)) = lines.peek() {
                    expected.push((*of, (*text).to_owned()));
                    lines.next();
                }
                run.case(command, &expected);
            }
        }
    }
    run.give_reason("");
    if bless() {
        fs::write(&path, &run.text).unwrap();
    }
    assert!(run.wrong.is_empty(), "{}:\n{}", path.display(), run.wrong);
    note!("{topic}: {} cases", run.cases);
}

macro_rules! topics {
    ($($topic:ident)*) => {
        $(fn $topic() { check(stringify!($topic)); })*
        const TOPICS: &[&str] = &[$(stringify!($topic)),*];
        /// The tests of this module, by what they need.
        pub(crate) const TESTS: &[Test] = tests![
            FAKE_ROOT => $($topic),*;
            [] => every_file_of_cases_is_run_and_they_are_many, differences_stand_beside_what_is_the_same
        ];
    };
}

topics! { options insert errors remove commands config index modinfo ours demand }

/// What a fake root needs.
const FAKE_ROOT: [Need; 3] = [
    Need::Root("chroot(2) and the device /dev/null of a fake root"),
    Need::Command("busybox", "busybox-static"),
    Need::Program("coldplug"),
];

fn every_file_of_cases_is_run_and_they_are_many() {
    let mut files: Vec<String> = fs::read_dir(rootfs().join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut topics = TOPICS.to_vec();
    topics.sort_unstable();
    assert_eq!(files, topics);
    let cases = |file: &String| {
        let text = fs::read_to_string(rootfs().join("cases").join(file)).unwrap();
        text.lines().filter(|l| l.starts_with("$ ")).count()
    };
    let sum: usize = files.iter().map(cases).sum();
    note!("{sum} cases");
    assert!(sum >= 120, "{sum} cases");
}

fn differences_stand_beside_what_is_the_same() {
    let list = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
    for (us, kmod, want) in [
        ("abc", "abc", " a b c"),
        ("axbc", "abc", " a+x b c"),
        ("abc", "axbyc", " a-x b-y c"),
        ("ab", "ba", "-b a+b"),
        ("", "a", "-a"),
    ] {
        let merged = merge(&list(us), &list(kmod));
        let text: String =
            merged.iter().flat_map(|(of, l)| [of.mark().to_string(), l.clone()]).collect();
        assert_eq!(text, want);
        assert_eq!(of(&merged, Of::Us), list(us));
        assert_eq!(of(&merged, Of::Kmod), list(kmod));
    }
}
