//! Ports of `coldplug.report=`: milestones and the record (docs/harness.md), and readers that are
//! late, stop or go away.

use crate::contract::{PC, Root};
use harness::machine::{Bus, Machine};
use harness::qmp::Qmp;
use harness::run::{BOOT, Test};
use harness::tests;
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_setfl, mknodat};
use rustix::pipe::fcntl_setpipe_size;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    BOOT =>
    milestones_reach_a_port_by_its_name,
    a_port_whose_reader_is_late_gets_all_milestones,
    a_port_that_appears_during_the_wait_gets_milestones_at_once,
    a_port_that_appears_after_the_switch_gets_all_milestones,
    a_port_that_never_appears_is_a_warning,
    a_reader_that_stops_does_not_stop_the_boot,
    a_reader_that_goes_away_does_not_stop_the_boot,
    a_writer_of_milestones_that_dies_is_replaced,
    a_console_that_is_stopped_within_the_record_does_not_stop_the_boot,
];

/// Returns the machine with a virtio port called `name`, whose other end is `chardev`.
pub(crate) fn with_port(vm: Machine, name: &str, chardev: &str) -> Machine {
    vm.device("virtio-serial-pci")
        .args(["-chardev", &format!("{chardev},id=port")])
        .device(&format!("virtserialport,chardev=port,name={name}"))
}

/// Returns the objects of a report, one a line.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Returns the names of the milestones among `objects`.
fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|object| object["milestone"].as_str()).collect()
}

/// The milestones of a boot that runs a command.
const ALL: [&str; 8] =
    ["init", "scan", "root-found", "root-mounted", "loaded", "switch", "exec-start", "exec-end"];

fn milestones_reach_a_port_by_its_name() {
    let words = "root=/dev/vda \"coldplug.exec=exit 7\" coldplug.report=/dev/virtio-ports/report";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let chardev = format!("file,path={}", file.display());
    let boot = with_port(PC.machine(&[], Root::Shell, words), "report", &chardev).run();
    let text = fs::read_to_string(file).unwrap();
    let objects = objects(&text);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    let found = &objects[2];
    assert_eq!((&found["device"], &found["size"]), (&json!("/dev/vda"), &json!(16 << 20)));
    assert_eq!(objects[3]["text"], "ext4");
    assert_eq!(objects[7]["exit"], 7);
    let times: Vec<_> = objects[..8].iter().map(|object| object["at_us"].as_u64()).collect();
    assert!(times.is_sorted() && times[0].is_some(), "{times:?}");
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    // The same on the console, in words.
    for words in ["coldplug: root-found: /dev/vda, 16 MiB (", "coldplug: exec-end: status 7 ("] {
        boot.check(boot.console.contains(words), words);
    }
    assert_eq!(boot.status, Some(47));
}

/// A serial port gets them too, and one that nobody reads at first gets all at the end.
fn a_port_whose_reader_is_late_gets_all_milestones() {
    let words = "root=LABEL=none coldplug.timeout=2";
    let boot = PC.machine(&[], Root::Shell, words).run();
    assert_eq!(names(&boot.milestones()), ["init", "scan", "loaded", "rescue"]);
    assert_eq!(boot.record()["verdict"], "no-root");
    let words = "root=/dev/vda coldplug.report=/dev/virtio-ports/late quiet \
                 \"coldplug.exec=echo now; sleep 4; true\"";
    let vm = PC.machine(&[], Root::Shell, words);
    let socket = vm.dir().join("late");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let mut running = with_port(vm, "late", &chardev).start();
    running.wait_for("now");
    let mut reader = UnixStream::connect(&socket).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let boot = running.finish();
    assert_eq!(names(&objects(&text)), ALL, "{text}{}", boot.tail());
    boot.check(!boot.console.contains("coldplug: root-found"), "a milestone in spite of quiet");
}

/// A command that waits until the virtio port `go` is plugged in.
const UNTIL_GO: &str = "until grep -qs go /sys/class/virtio-ports/*/name; do sleep 0.1; done";

/// Plugs in a virtio port called `name`, whose other end is the chardev with this name.
fn plug_in(qmp: &mut Qmp, name: &str) {
    let port = json!({ "driver": "virtserialport", "chardev": name, "name": name });
    qmp.execute("device_add", port);
}

/// Adds virtio ports that [`plug_in`] plugs in: `late` with this chardev, and `go`.
fn with_late_ports(vm: Machine, late: &str) -> Machine {
    let late = format!("{late},id=late");
    vm.device("virtio-serial-pci").args(["-chardev", &late, "-chardev", "null,id=go"])
}

/// Returns the words of a boot whose report goes to the port `late`, and that runs `command`.
fn late_report(command: &str) -> String {
    format!("root=/dev/vda coldplug.report=/dev/virtio-ports/late \"coldplug.exec={command}\"")
}

/// Waits until `file` contains `text`.
fn wait_for_text(file: &Path, text: &str) {
    let start = Instant::now();
    while !fs::read_to_string(file).is_ok_and(|content| content.contains(text)) {
        assert!(start.elapsed() < Duration::from_secs(120), "no {text}: {}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn a_port_that_appears_during_the_wait_gets_milestones_at_once() {
    let words = "root=/dev/vdb rootwait coldplug.exec=true coldplug.report=/dev/virtio-ports/late";
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, words);
    let dir = tempfile::tempdir().unwrap();
    let (port, root) = (dir.path().join("port"), PC.disk(Root::Shell, &dir.path().join("root")));
    let vm = with_late_ports(vm, &format!("file,path={}", port.display()));
    let vm = vm.device("pcie-root-port,id=socket,chassis=1,slot=1").disk(Bus::Unplugged, &root);
    let mut running = vm.start();
    running.wait_for("coldplug: scan: ");
    let mut qmp = running.qmp();
    plug_in(&mut qmp, "late");
    wait_for_text(&port, "{\"milestone\":\"scan\"");
    let root = json!({ "driver": "virtio-blk-pci", "drive": "disk1", "bus": "socket" });
    qmp.execute("device_add", root);
    let boot = running.finish();
    let text = fs::read_to_string(port).unwrap();
    assert_eq!(names(&objects(&text)), ALL, "{text}{}", boot.tail());
    assert_eq!(boot.status, Some(33));
}

/// The child that has kept the milestones cannot open the port any more.
fn a_port_that_appears_after_the_switch_gets_all_milestones() {
    let command = format!("echo now; {}", UNTIL_GO.replace("go", "late"));
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let dir = tempfile::tempdir().unwrap();
    let port = dir.path().join("port");
    let mut running = with_late_ports(vm, &format!("file,path={}", port.display())).start();
    running.wait_for("now");
    plug_in(&mut running.qmp(), "late");
    let boot = running.finish();
    let text = fs::read_to_string(port).unwrap();
    let objects = objects(&text);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    boot.check(!boot.console.contains("coldplug.report: "), "a warning");
    assert_eq!(boot.status, Some(33));
}

fn a_port_that_never_appears_is_a_warning() {
    let boot = PC.machine(&[], Root::Shell, &late_report("exit 7")).run();
    boot.expect("ok");
    let text = "coldplug.report: write /dev/virtio-ports/late: No such file or directory";
    boot.check(boot.console.contains(text), text);
    assert_eq!(boot.status, Some(47));
}

/// The end of a pipe that QEMU writes to. Nobody reads it until QEMU has ended.
struct UnreadEnd(File);

impl UnreadEnd {
    /// Returns what the pipe has accepted.
    fn content(&mut self) -> String {
        let mut bytes = vec![0; PAGE];
        let count = self.0.read(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}

/// Bytes of the smallest pipe.
const PAGE: usize = 4096;

/// Makes a pipe in `dir` for a chardev of QEMU, which accepts a page. Returns its path and its end.
fn pipe_of_a_page(dir: &Path) -> (String, UnreadEnd) {
    let path = dir.join("pipe").to_str().unwrap().to_owned();
    for direction in ["in", "out"] {
        let path = format!("{path}.{direction}");
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let end = File::options().read(true).write(true).open(format!("{path}.out")).unwrap();
    assert_eq!(fcntl_setpipe_size(&end, PAGE).unwrap(), PAGE);
    // The read of an empty pipe fails the test.
    fcntl_setfl(&end, OFlags::NONBLOCK).unwrap();
    (path, UnreadEnd(end))
}

/// The port accepts a part of the record, and then nothing, while its other end stays open.
fn a_reader_that_stops_does_not_stop_the_boot() {
    let command = format!("{UNTIL_GO}; exit 7");
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let dir = tempfile::tempdir().unwrap();
    let (pipe, mut end) = pipe_of_a_page(dir.path());
    let mut running = with_late_ports(vm, &format!("pipe,path={pipe}")).start();
    let mut qmp = running.qmp();
    plug_in(&mut qmp, "late");
    running.wait_for("coldplug: exec-start: ");
    plug_in(&mut qmp, "go");
    let boot = running.finish();
    boot.expect("ok");
    // The queue of the port has room for the record, so that nothing looks wrong to the guest.
    assert_eq!(boot.status, Some(47));
    let text = end.content();
    // The last line lacks its end.
    let whole = text.rsplit_once('\n').unwrap().0;
    assert_eq!(names(&objects(whole)), ALL, "{text}");
}

/// The other end of the port is closed after the milestones.
fn a_reader_that_goes_away_does_not_stop_the_boot() {
    let command = format!("{UNTIL_GO}; exit 7");
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &late_report(&command));
    let socket = vm.dir().join("port");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_late_ports(vm, &chardev).start();
    let mut qmp = running.qmp();
    let mut reader = BufReader::new(UnixStream::connect(&socket).unwrap());
    plug_in(&mut qmp, "late");
    let mut text = String::new();
    while !text.contains("exec-start") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
    }
    drop(reader);
    plug_in(&mut qmp, "go");
    let boot = running.finish();
    boot.expect("ok");
    boot.check(boot.console.contains("coldplug.report: write /dev/vport"), "no warning");
    boot.check(boot.console.contains(": Broken pipe"), "no reason");
    assert_eq!(boot.status, Some(47));
}

/// Kills the process that writes milestones.
const KILL_WRITER: &str = "for p in /proc/[0-9]*; do \
                           grep -qs report-write[r] $p/cmdline && kill -9 ${p#/proc/}; done; exit 7";

/// Nobody knows which lines the first one has written, so the second one writes all.
fn a_writer_of_milestones_that_dies_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("port");
    let chardev = format!("file,path={}", file.display());
    let report = "coldplug.report=/dev/virtio-ports/report";
    let words = format!("root=/dev/vda {report} \"coldplug.exec={KILL_WRITER}\"");
    let boot = with_port(PC.machine(&[], Root::Shell, &words), "report", &chardev).run();
    boot.expect("ok");
    assert_eq!(boot.status, Some(47));
    let text = fs::read_to_string(file).unwrap();
    let (first, again) = text.split_at(text.rfind("{\"milestone\":\"init\"").unwrap());
    assert_eq!(names(&objects(first)), ALL[..7], "{text}");
    let objects = objects(again);
    assert_eq!(names(&objects), ALL, "{text}{}", boot.tail());
    assert_eq!((objects.len(), &objects[8]["verdict"]), (9, &json!("ok")));
    boot.check(!boot.console.contains("coldplug.report: "), "a warning");
}

/// Writes the time of the guest to the second serial port, every second to its end.
const CLOCK: &str = "while cat /proc/uptime; do sleep 1; done >/dev/ttyS1 &";

/// Before the record the console gets another end, which accepts a part of it and then nothing.
fn a_console_that_is_stopped_within_the_record_does_not_stop_the_boot() {
    let command = format!("{UNTIL_GO}; {CLOCK} exit 7");
    let words = format!("root=/dev/vda coldplug.report=/dev/ttyS0 \"coldplug.exec={command}\"");
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, &words);
    let vm = with_late_ports(vm, "null");
    let dir = tempfile::tempdir().unwrap();
    let (pipe, mut end) = pipe_of_a_page(dir.path());
    let mut running = vm.start();
    running.wait_for("coldplug: exec-start: ");
    let mut qmp = running.qmp();
    let backend = json!({ "type": "pipe", "data": { "device": pipe } });
    qmp.execute("chardev-change", json!({ "id": "console", "backend": backend }));
    plug_in(&mut qmp, "go");
    let boot = running.finish();
    assert_eq!(boot.status, Some(47), "{}", boot.tail());
    let text = end.content();
    assert!(text.contains("@cpR "), "no record: {text}");
    assert!(!text.contains("coldplug: verdict="), "the output was not stopped: {text}");
    // The report is given up after 30 s at most, and what else the console should get after 3 s.
    // The rest is for a busy host, on which the guest does little in a second.
    let uptime = |line: &str| line.split(' ').next()?.parse::<f64>().ok();
    let times: Vec<f64> = boot.facts_text.lines().filter_map(uptime).collect();
    let took = times.last().unwrap() - times.first().unwrap();
    boot.check(took < 90.0, &format!("{took} s in the guest"));
}
