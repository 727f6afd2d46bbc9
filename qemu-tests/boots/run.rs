//! `coldplug run`: a command of this machine in a guest, whose root is that of this machine.

use harness::kernel::Kernel;
use harness::run::{BOOT, Test};
use harness::{paths, tests, tool};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_command_has_its_streams_and_its_status,
    a_command_may_be_as_long_as_on_the_host,
    what_a_command_writes_is_lost_unless_it_may_write,
    a_root_on_virtiofs,
    output_that_nobody_reads_ends_the_guest,
    what_a_command_leaves_behind_does_not_hold_the_output,
    a_kernel_that_panics_is_told_apart,
    a_shell_has_the_terminal,
    a_guest_ends_at_its_deadline_and_with_its_parent,
];

/// Longest run, in seconds.
const LIMIT: &str = "300";

/// Returns the command `coldplug run` for a kernel.
fn run(kernel: Kernel) -> Command {
    tool::find("qemu-system-x86_64", "qemu-system-x86");
    let mut command = Command::new(paths::program("coldplug"));
    command.args(["run", "--accel", "tcg", "-t", LIMIT, "-k"]).arg(kernel.get().vmlinuz());
    command
}

/// Runs `command` to its end with `input`. Returns its exit status and its output, as text.
fn output(command: &mut Command, input: &[u8]) -> (Option<i32>, String, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

fn a_command_has_its_streams_and_its_status() {
    let line = "uname -r; pwd; echo \"$1\"; echo to stderr >/dev/stderr; wc -c; exit 7";
    let input = vec![b'x'; 300_000];
    let mut command = run(Kernel::Full61);
    let here = paths::checkout();
    command.current_dir(&here).args(["sh", "-c", line, "sh", "it's $1 \"x\""]);
    let release = Kernel::Full61.get().release;
    let here = fs::canonicalize(&here).unwrap();
    let want = format!("{release}\n{}\nit's $1 \"x\"\n300000\n", here.display());
    assert_eq!(output(&mut command, &input), (Some(7), want, "to stderr\n".to_owned()));
}

/// Each apostrophe is four bytes of the script that runs the command: more than 4 MiB together.
fn a_command_may_be_as_long_as_on_the_host() {
    let words = vec!["'".repeat(100_000); 12];
    let mut command = run(Kernel::Full61);
    command.args(["sh", "-c", "echo $# ${#12}", "sh"]).args(&words);
    assert_eq!(output(&mut command, b""), (Some(0), "12 100000\n".to_owned(), String::new()));
}

fn what_a_command_writes_is_lost_unless_it_may_write() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    for (options, is_kept) in [(&[][..], false), (&["--rw"][..], true)] {
        let mut command = run(Kernel::Full61);
        command.args(options).args(["cp", "/proc/sys/kernel/osrelease"]).arg(&file);
        assert_eq!(output(&mut command, b""), (Some(0), String::new(), String::new()));
        assert_eq!(file.exists(), is_kept, "{options:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap().trim_end(), Kernel::Full61.get().release);
}

/// The kernel for virtual machines has no 9p.
fn a_root_on_virtiofs() {
    if !Path::new("/usr/lib/qemu/virtiofsd").exists()
        && !Path::new("/usr/libexec/virtiofsd").exists()
    {
        harness::run::unavailable("virtiofsd is missing");
    }
    let (status, stdout, stderr) =
        output(run(Kernel::Cloud612).args(["findmnt", "-no", "FSTYPE", "/"]), b"");
    assert_eq!((status, &*stdout, &*stderr), (Some(0), "overlay\n", ""));
}

fn output_that_nobody_reads_ends_the_guest() {
    let mut command = run(Kernel::Full61);
    let mut child =
        command.args(["yes"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!((&start, child.wait().unwrap().code()), (b"y\ny\n", Some(141)));
}

fn what_a_command_leaves_behind_does_not_hold_the_output() {
    let line = "(trap '' TERM HUP; while :; do sleep 1000; done) & echo done";
    let (status, stdout, stderr) = output(run(Kernel::Full61).args(["sh", "-c", line]), b"");
    assert_eq!((status, &*stdout, &*stderr), (Some(0), "done\n", ""));
}

fn a_kernel_that_panics_is_told_apart() {
    let mut command = run(Kernel::Full61);
    command.args(["sh", "-c", "echo before; sleep 1; echo c >/proc/sysrq-trigger; sleep 60"]);
    let (status, stdout, stderr) = output(&mut command, b"");
    assert_eq!((status, &*stdout), (Some(125), "before\n"), "{stderr}");
    assert!(stderr.contains("coldplug run: the kernel of the guest panicked: "), "{stderr}");
}

fn a_shell_has_the_terminal() {
    let shell = format!("{:?}", run(Kernel::Full61)).replace('"', "");
    let mut command = tool::command("script", "bsdutils");
    command.args(["-qec", &shell, "/dev/null"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), Vec::new());
    let mut output = child.stdout.take().unwrap();
    let mut is_typed = false;
    let mut buffer = [0; 4096];
    // A shell drops what was typed before its prompt.
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        screen.extend_from_slice(&buffer[..count]);
        if !is_typed && screen.ends_with(b"# ") {
            keyboard.write_all(b"tty; echo $((6 * 7)); exit 3\n").unwrap();
            is_typed = true;
        }
    }
    let screen = String::from_utf8_lossy(&screen);
    assert_eq!(child.wait().unwrap().code(), Some(3), "{screen}");
    assert!(screen.contains("/dev/ttyS0\r") && screen.contains("\n42\r"), "{screen}");
}

fn a_guest_ends_at_its_deadline_and_with_its_parent() {
    let mut command = run(Kernel::Full61);
    let (status, stdout, stderr) = output(command.args(["-t", "1", "true"]), b"");
    assert_eq!((status, &*stdout), (Some(124), ""));
    assert!(stderr.ends_with("coldplug run: timeout\n"), "{stderr}");
    // The kernel kills QEMU with its parent.
    let marker = format!("marker={}", std::process::id());
    let mut child = run(Kernel::Full61).args(["-a", &marker, "sleep", "1000"]).spawn().unwrap();
    let is_running = || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        lines.any(|line| {
            line.starts_with(b"qemu-system") && String::from_utf8_lossy(&line).contains(&marker)
        })
    };
    let wait_until = |want: bool| {
        let start = std::time::Instant::now();
        while is_running() != want {
            assert!(start.elapsed().as_secs() < 60, "QEMU runs: {}", !want);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    wait_until(true);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until(false);
}
