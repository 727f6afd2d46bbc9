//! Scripts of `coldplug.exec=@NAME` (docs/harness.md): the places that they come from, their lengths,
//! and those that never arrive.

use crate::contract::{ARM64, PC, Root, SMALL};
use crate::report_ports::with_port;
use harness::machine::{Boot, Machine};
use harness::qmp::Qmp;
use harness::run::{BOOT, Test};
use harness::tests;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    BOOT =>
    scripts_come_from_every_place,
    scripts_of_five_mebibytes_are_fast,
    a_script_that_is_larger_than_the_memory_is_refused,
    a_script_that_is_nowhere_is_reported,
    ctrl_alt_del_ends_the_wait_for_a_script,
];

/// Tests that take five minutes or more.
pub(crate) const EXTRA: &[Test] = tests![BOOT => a_script_of_five_mebibytes_in_fw_cfg];

/// A script without a first line, with an argument, and longer than a page.
fn script(word: &str) -> String {
    format!("{}[ \"$1\" = {word} ] && exit 5\nexit 6\n", ": a line of the script\n".repeat(1000))
}

/// Runs a machine whose script must get the right word.
#[track_caller]
fn run_script(vm: Machine) -> Boot {
    let boot = vm.run();
    boot.expect("ok");
    assert_eq!(boot.figure("exit"), "5", "{}", boot.tail());
    assert_eq!(boot.status, Some((16 + 5) * 2 + 1));
    boot
}

/// Returns the words that run the script `name` with an argument.
fn script_words(name: &str) -> String {
    format!("root=/dev/vda \"coldplug.exec=@{name} here\"")
}

/// Returns the machine with the script `name` in fw_cfg.
fn with_fw_cfg(vm: Machine, name: &str, text: &str) -> Machine {
    let file = vm.dir().join("script");
    fs::write(&file, text).unwrap();
    vm.args(["-fw_cfg", &format!("name=opt/{name},file={}", file.display())])
}

/// Connects to a socket that QEMU is about to make.
fn connect(socket: &Path) -> UnixStream {
    for _ in 0..6000 {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{} does not accept a connection", socket.display());
}

/// Runs a machine whose script `test` comes from a virtio port.
#[track_caller]
fn run_script_of_a_port(vm: Machine, text: String) -> Boot {
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let sender = std::thread::spawn(move || {
        let mut stream = connect(&socket);
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until QEMU ends.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let boot = run_script(with_port(vm, "test", &chardev));
    sender.join().unwrap();
    boot
}

fn scripts_come_from_every_place() {
    // The image has priority.
    let (right, wrong) = (script("here"), script("there"));
    let in_image = [("etc/coldplug/exec/a", &*right)];
    let in_image = PC.machine(&in_image, Root::Shell, &script_words("a"));
    run_script(with_fw_cfg(in_image, "a", &wrong));
    let words = script_words("org.example/test") + " coldplug.settle=root";
    let vm = PC.machine(&[], Root::Shell, &words);
    run_script(with_fw_cfg(vm, "org.example/test", &format!("#!/bin/sh -e\n{right}")));
    run_script_of_a_port(PC.machine(&[], Root::Shell, &script_words("test")), right.clone());
    let vm = ARM64.machine(&[], Root::Shell, &script_words("test"));
    run_script(with_fw_cfg(vm, "test", &right));
}

/// Returns a script of more than 5 MiB.
fn long_script() -> String {
    let text = "# a comment of the script\n".repeat((5 << 20) / 26) + &script("here");
    assert!(text.len() > 5 << 20);
    text
}

/// The kernel reads three billion bytes.
fn a_script_of_five_mebibytes_in_fw_cfg() {
    let vm = SMALL.machine(&[], Root::Shell, &script_words("test"));
    run_script(with_fw_cfg(vm.deadline(Duration::from_secs(3000)), "test", &long_script()));
}

fn scripts_of_five_mebibytes_are_fast() {
    let text = long_script();
    let machine =
        |entries: &[(&str, &str)]| SMALL.machine(entries, Root::Shell, &script_words("test"));
    let in_image = run_script(machine(&[("etc/coldplug/exec/test", &text)]));
    let of_a_port = run_script_of_a_port(machine(&[]).host_clock(), text);
    for boot in [in_image, of_a_port] {
        let record = boot.record();
        let mut waits = record["waits"].as_array().unwrap().iter();
        let wait = waits.find(|wait| wait["for"] == "script 'test'").unwrap();
        let took = wait["to_us"].as_u64().unwrap() - wait["from_us"].as_u64().unwrap();
        boot.check(took < 20_000_000, &format!("the script took {took} us"));
    }
}

fn a_script_that_is_larger_than_the_memory_is_refused() {
    let words = "root=/dev/vda coldplug.exec=@test";
    let vm = SMALL.machine(&[], Root::Shell, words).args(["-m", "256"]).host_clock();
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_port(vm, "test", &chardev).start();
    let mut stream = connect(&socket);
    stream.set_write_timeout(Some(Duration::from_secs(300))).unwrap();
    // Until the other end is closed.
    while stream.write_all(&[b'#'; 64 << 10]).is_ok() {}
    let boot = running.finish();
    boot.expect("exec-failed");
    let text = " MiB, half of the available memory";
    boot.check(boot.console.contains(text), text);
}

fn a_script_that_is_nowhere_is_reported() {
    let boot = PC.machine(&[], Root::Shell, "root=/dev/vda coldplug.exec=@none").run();
    boot.expect("exec-failed");
    let text = "coldplug: coldplug.exec: script 'none': not found in the image, in fw_cfg \
                or at a virtio port";
    boot.check(boot.console.contains(text), text);
}

/// The other end of the port sends a part of the script and leaves the rest open.
fn ctrl_alt_del_ends_the_wait_for_a_script() {
    let words = "root=/dev/vda coldplug.exec=@test";
    let vm = PC.on_the_clock_of_the_host(&[], Root::Shell, words).device("virtio-keyboard-pci");
    let socket = vm.dir().join("script");
    let chardev = format!("socket,path={},server=on,wait=off", socket.display());
    let running = with_port(vm, "test", &chardev).start();
    let mut qmp = running.qmp();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"echo the script runs\n").unwrap();
    let reads = |qmp: &mut Qmp| {
        let all = qmp.execute("query-chardev", json!({}));
        let port = all.as_array().unwrap().iter().find(|one| one["label"] == "port").cloned();
        port.unwrap()["frontend-open"] == true
    };
    let start = Instant::now();
    while !reads(&mut qmp) {
        assert!(start.elapsed() < Duration::from_secs(120), "{}", running.console());
        std::thread::sleep(Duration::from_millis(20));
    }
    let keys = ["ctrl", "alt", "delete"].map(|key| json!({ "type": "qcode", "data": key }));
    qmp.execute("send-key", json!({ "keys": keys }));
    let pressed = Instant::now();
    let boot = running.finish();
    let took = pressed.elapsed();
    boot.expect("interrupted");
    assert_eq!(boot.status, Some(17), "{}", boot.tail());
    boot.check(boot.console.contains("Ctrl-Alt-Del was pressed"), "no cause");
    for text in ["the script runs", "coldplug.exec: "] {
        boot.check(!boot.console.contains(text), text);
    }
    boot.check(took < Duration::from_secs(25), &format!("{took:?}"));
    let record = boot.record();
    let waits = record["waits"].as_array().unwrap();
    assert!(waits.iter().any(|wait| wait["for"] == "script 'test'"), "{record:#}");
}
