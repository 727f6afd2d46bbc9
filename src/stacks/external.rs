//! Programs of the image that assemble what coldplug does not know: /etc/coldplug/assemble.d.

use std::fmt;
use std::io::{PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::Node;
use crate::byte_text;
use crate::disk::assemble_rule::{self, AssembleRule, DIRECTORY};
use crate::escape;
use crate::kmod::Warning;
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{BootTime, Error, Root, process, sysfs};

/// Time between SIGTERM and SIGKILL.
pub(crate) const KILL_DELAY: Duration = Duration::from_secs(5);
/// Interval of the looks whether the program has ended.
const INTERVAL: Duration = Duration::from_millis(20);
/// Longest line of output, in bytes; a longer one is split.
const MAX_LINE: usize = 900;
/// Maximum number of lines of output.
const MAX_LINES: usize = 200;

/// Reads the rules of the image, by the names of their files.
pub(crate) fn rules(dir: &Root, warnings: &mut Vec<Warning>) -> Vec<AssembleRule> {
    let directory = dir.join(DIRECTORY);
    let mut rules = Vec::new();
    for name in assemble_rule::in_order(sysfs::entry_names(&directory)) {
        let path = directory.join(&name);
        let shown = escape::path(&path);
        match regular_file::read(&path, CONFIG_LIMIT) {
            Ok(bytes) => {
                rules.extend(assemble_rule::parse(
                    &shown,
                    &byte_text::from_bytes(&bytes),
                    warnings,
                ));
            }
            Err(error) => {
                warnings.push(Warning::new(&shown, 0, format!("ignored: {}", error.cause)))
            }
        }
    }
    rules
}

/// The reason why a program has not done its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be started.
    Start(Error),
    /// It ended with this status.
    Status(ExitStatus),
    /// It did not end within this time.
    Timeout(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Status(status) => status.fmt(f),
            Self::Timeout(timeout) => write!(f, "did not end within {} s", timeout.as_secs()),
        }
    }
}

/// Runs the program of a rule for `node` and passes each line of its output to `print`. It has the
/// node and its type in DEVNAME and ID_FS_TYPE, as programs of udev's rules have.
///
/// The program and its children are a process group, which is killed at the end of `timeout`. What
/// the program leaves in the background after its end goes on.
///
/// # Errors
/// It cannot be executed, fails, or does not end in time.
pub(crate) fn run(
    dir: &Root,
    rule: &AssembleRule,
    node: &Node,
    timeout: Duration,
    print: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let path = dir.join(&*byte_text::to_path(&rule.program));
    let failed = |e: std::io::Error| Failure::Start(Error::io("exec", &path, &e));
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let mut command = Command::new(&path);
    command.args(rule.args.iter().map(|arg| byte_text::to_path(arg).into_owned()));
    command.env("DEVNAME", &node.path).env("ID_FS_TYPE", &rule.kind);
    command.stdin(Stdio::null()).process_group(0);
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = command.spawn().map_err(failed)?;
    // The command holds the writing end of the pipe.
    drop(command);
    let mut output = Output { reader, line: Vec::new(), count: 0, is_open: true };
    let status = wait(&mut child, timeout, &mut || output.read(INTERVAL, print));
    while output.is_open && output.read(Duration::ZERO, print) {}
    output.end_line(print);
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::Status(status)),
        None => Err(Failure::Timeout(timeout)),
    }
}

/// Waits until the program ends; `idle` waits a moment. Returns `None` if it had to be killed.
fn wait(
    child: &mut Child,
    timeout: Duration,
    idle: &mut dyn FnMut() -> bool,
) -> Option<ExitStatus> {
    let mut end = BootTime::now() + timeout;
    for signal in [Signal::TERM, Signal::KILL] {
        while BootTime::now() < end {
            if let Ok(Some(status)) = child.try_wait() {
                return (signal == Signal::TERM).then_some(status);
            }
            idle();
        }
        process::kill_group(child.id(), signal);
        end = BootTime::now() + KILL_DELAY;
    }
    // A process in uninterruptible sleep is left behind.
    let _ = process::wait_for(child, KILL_DELAY);
    None
}

/// The output of a program.
struct Output {
    reader: PipeReader,
    /// Start of a line.
    line: Vec<u8>,
    /// Lines so far.
    count: usize,
    is_open: bool,
}

impl Output {
    /// Waits for output for `timeout`, and passes on the lines that are complete. Returns whether
    /// there was any.
    fn read(&mut self, timeout: Duration, print: &mut dyn FnMut(&str)) -> bool {
        if !self.is_open {
            std::thread::sleep(timeout);
            return false;
        }
        let mut fds = [PollFd::from_borrowed_fd(self.reader.as_fd(), PollFlags::IN)];
        let ready = poll(&mut fds, Timespec::try_from(timeout).ok().as_ref());
        if !ready.is_ok_and(|count| count > 0) {
            return false;
        }
        let mut bytes = [0; 4096];
        let count = self.reader.read(&mut bytes).unwrap_or(0);
        self.is_open = count > 0;
        for byte in bytes.get(..count).unwrap_or_default() {
            if *byte == b'\n' || self.line.len() == MAX_LINE {
                self.end_line(print);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
        true
    }

    /// Passes on a line, if there is one.
    fn end_line(&mut self, print: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        self.count += 1;
        match self.count.cmp(&(MAX_LINES + 1)) {
            std::cmp::Ordering::Less => print(&byte_text::from_bytes(&line)),
            std::cmp::Ordering::Equal => print("further output omitted"),
            std::cmp::Ordering::Greater => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn node() -> Node {
        Node { path: "/dev/sda2".into(), number: (8, 2), size: 1 << 20 }
    }

    /// Runs a shell script, and returns its output and how it ended.
    fn script(text: &str, timeout: Duration) -> (Vec<String>, String) {
        let rule = AssembleRule {
            kind: "bcache".to_owned(),
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), text.to_owned()],
            place: String::new(),
        };
        let mut lines = Vec::new();
        let mut print = |line: &str| lines.push(line.to_owned());
        let result = run(&Root::default(), &rule, &node(), timeout, &mut print);
        (lines, result.map_or_else(|failure| failure.to_string(), |()| String::new()))
    }

    #[test]
    fn the_program_knows_its_device_and_its_output_is_passed_on() {
        let long = Duration::from_secs(20);
        let (lines, failure) = script("echo $DEVNAME; echo $ID_FS_TYPE >&2; printf end", long);
        assert_eq!(
            (&*lines, &*failure),
            (&["/dev/sda2", "bcache", "end"].map(str::to_owned)[..], "")
        );
        let (_, failure) = script("exit 3", long);
        assert_eq!(failure, "exit status: 3");
        let (lines, _) = script("seq 300", long);
        assert_eq!((lines.len(), &*lines[200]), (201, "further output omitted"));
        // A process in the background keeps the pipe open, and does not delay the boot.
        let start = std::time::Instant::now();
        let (lines, failure) = script("sleep 9 & echo x", long);
        assert_eq!((&*lines[0], &*failure), ("x", ""));
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_its_children() {
        let (lines, failure) =
            script("echo x; sleep 1000 & sleep 1000", Duration::from_millis(200));
        assert_eq!((&*lines, &*failure), (&["x".to_owned()][..], "did not end within 0 s"));
        let (_, failure) =
            script("trap '' TERM; while :; do sleep 1; done", Duration::from_millis(200));
        assert_eq!(failure, "did not end within 0 s");
    }

    #[test]
    fn rules_are_read_in_the_order_of_their_files() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        assert!(rules(&dir, &mut Vec::new()).is_empty());
        let directory = scratch.path().join(DIRECTORY);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in [
            ("20-b", "on ext4 run /b"),
            ("10-a", "on ext4 run /a\nx"),
            (".hidden", "x"),
            ("10-a~", "x"),
            ("10-a.dpkg-old", "x"),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        fs::create_dir(directory.join("30-c")).unwrap();
        let mut warnings = Vec::new();
        let programs: Vec<String> =
            rules(&dir, &mut warnings).into_iter().map(|rule| rule.program).collect();
        assert_eq!(programs, ["/a", "/b"]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let missing =
            AssembleRule { program: "/none".into(), ..rules(&dir, &mut warnings)[0].clone() };
        let failure =
            run(&dir, &missing, &node(), Duration::from_secs(1), &mut |_| {}).unwrap_err();
        let want = format!("exec {}/none: No such file or directory", scratch.path().display());
        assert_eq!(failure.to_string(), want);
    }
}
