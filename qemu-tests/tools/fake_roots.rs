//! Command lines in fake roots, and their requests to a fake kernel, against kmod.
//!
//! `data/fake-roots/TOPIC.txt` is a transcript. A scenario starts with a fresh root: a copy of
//! data/tree, the tools as /sbin/NAME, a shell, and no module loaded. It knows these lines:
//!
//! ```text
//! sh: SHELL LINE              run on the host in the root's top directory
//! live: NAME NEED...          a module that is loaded, and the modules that it uses
//! answer: NAME ERRNO          the kernel's answer to a load; -NAME: to a removal
//! release: VERSION            the kernel's release (default 1.0)
//! log: TEXT                   expected: a message to the system log
//! call: NAME ARGUMENTS = ERRNO   expected: init_module, finit_module or delete_module
//! ```
//!
//! What kmod reports while it reads the configuration names its own sources, which are left out.

use harness::fake_kernel::{self, FakeKernel};
use harness::run::{Need, Test};
use harness::transcript::{self, Session};
use harness::{kmod34, note, paths, supervisor, tests, tool};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const TOOLS: [&str; 5] = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo"];

/// A fake root and its fake kernel.
struct FakeRoot {
    dir: tempfile::TempDir,
    kernel: FakeKernel,
    release: String,
    log: UnixDatagram,
}

impl FakeRoot {
    fn new() -> Self {
        let dir = tempfile::tempdir_in(paths::scratch()).unwrap();
        let root = dir.path();
        tool::run(tool::command("cp", "coreutils").arg("-a").args([&paths::data("tree/."), root]));
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
        let tool = if transcript::is_kmod() { place_kmod(root) } else { place_ours(root) };
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
    fn set_up(&mut self, word: &str, rest: &str) {
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
            _ => panic!("unknown line '{word}: {rest}'"),
        }
    }

    /// Runs `command` and returns its output, log messages, calls and exit code.
    fn run(&mut self, command: &str) -> Vec<String> {
        // busybox has applets with these names; functions take precedence.
        let mut script: String =
            TOOLS.map(|name| format!("{name}() {{ /sbin/{name} \"$@\"; }}; ")).concat();
        script += &format!("kmod() {{ /sbin/kmod \"$@\"; }}; {command}");
        let kernel = &mut self.kernel;
        let output = supervisor::run(self.dir.path(), &script, &self.release, &mut |call| {
            kernel.answer(call)
        });
        let shown = transcript::streams(&output.stdout, &output.stderr);
        let mut shown: Vec<_> = shown.iter().map(|line| transcript::without_source(line)).collect();
        let mut buffer = [0; 4096];
        while let Ok(len) = self.log.recv(&mut buffer) {
            shown.push(format!("log: {}", log_text(&String::from_utf8_lossy(&buffer[..len]))));
        }
        shown.extend(self.kernel.take_calls().into_iter().map(|call| format!("call: {call}")));
        shown.extend(transcript::exit(output.status.code()));
        shown
    }
}

/// Returns a message without the time, which syslog(3) puts before the name of the program.
fn log_text(message: &str) -> String {
    let message = message.trim_end();
    match message.split_once('>') {
        Some((priority, text)) if text.get(3..4) == Some(" ") && text.get(15..16) == Some(" ") => {
            format!("{priority}>{}", &text[16..])
        }
        _ => message.to_owned(),
    }
}

/// Puts a program into a root, as a hard link if possible.
fn place(from: &Path, to: &Path) {
    let from = fs::canonicalize(from).unwrap();
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if fs::hard_link(&from, to).is_err() {
        fs::copy(from, to).unwrap();
    }
}

fn place_ours(root: &Path) -> String {
    place(&paths::program("coldplug"), &root.join("bin/coldplug"));
    "/bin/coldplug".to_owned()
}

fn place_kmod(root: &Path) -> String {
    place(&kmod34::program(), &root.join("bin/kmod"));
    for (library, at) in kmod34::libraries() {
        place(&library, &root.join(at));
    }
    "/bin/kmod".to_owned()
}

/// The fake roots of a topic; each scenario replaces the previous one.
#[derive(Default)]
struct FakeRoots {
    machine: Option<FakeRoot>,
}

impl FakeRoots {
    fn machine(&mut self) -> &mut FakeRoot {
        self.machine.as_mut().expect("a scenario comes first")
    }
}

impl Session for FakeRoots {
    fn scenario(&mut self) {
        self.machine = Some(FakeRoot::new());
    }

    fn set_up(&mut self, key: &str, value: &str) {
        self.machine().set_up(key, value);
    }

    fn run(&mut self, command: &str) -> Vec<String> {
        self.machine().run(command)
    }
}

#[track_caller]
fn check(topic: &str) {
    let file = paths::data("fake-roots").join(topic).with_extension("txt");
    transcript::check(&file, &mut FakeRoots::default());
}

macro_rules! topics {
    ($($topic:ident)*) => {
        $(fn $topic() { check(stringify!($topic)); })*
        const TOPICS: &[&str] = &[$(stringify!($topic)),*];
        /// The tests of this module, by what they need.
        pub(crate) const TESTS: &[Test] = tests![
            FAKE_ROOT => $($topic),*;
            [] => every_topic_is_run
        ];
    };
}

topics! { options insert errors remove commands config index modinfo ours demand bytes }

/// What a fake root needs.
const FAKE_ROOT: [Need; 3] = [
    Need::Root("chroot(2) and the device /dev/null of a fake root"),
    Need::Command("busybox", "busybox-static"),
    Need::Program("coldplug"),
];

fn every_topic_is_run() {
    let mut files: Vec<String> = fs::read_dir(paths::data("fake-roots"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut topics = TOPICS.to_vec();
    topics.sort_unstable();
    assert_eq!(files, topics);
    let cases = |topic: &String| {
        transcript::commands(&paths::data("fake-roots").join(topic).with_extension("txt")).len()
    };
    let sum: usize = files.iter().map(cases).sum();
    note!("{sum} cases");
    assert!(sum >= 120, "{sum} cases");
}
