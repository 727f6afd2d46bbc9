//! Consoles that are absent or doubled.
//!
//! Where coldplug has no console, its messages are in the kernel's log: an early console of the
//! kernel stays and shows them on the first port.

use crate::row::{ROW, Root, Row};
use harness::machine::Machine;

const EARLY: &str = "earlyprintk=serial,ttyS0,115200,keep ignore_loglevel";
const NO_ROOT: &str = "coldplug.timeout=3";

pub(crate) const ROWS: &[Row] = &[
    Row { name: "two_consoles", words: "console=tty0 console=ttyS0", ..ROW },
    Row { name: "a_second_console_that_is_not_there", words: "console=ttyS7 console=ttyS0", ..ROW },
    Row {
        name: "a_console_that_discards_all",
        quick: true,
        set_up: |vm| consoles(vm, "console=null"),
        root: Root::None,
        words: NO_ROOT,
        verdict: "",
        says: &["coldplug: verdict=no-root"],
        ..ROW
    },
    Row {
        name: "a_console_that_is_not_there",
        set_up: |vm| consoles(vm, "console=ttyS7"),
        root: Root::None,
        words: NO_ROOT,
        verdict: "",
        says: &["coldplug: verdict=no-root"],
        ..ROW
    },
    Row {
        name: "no_console_on_the_command_line",
        set_up: |vm| consoles(vm, ""),
        root: Root::None,
        words: NO_ROOT,
        verdict: "",
        says: &["coldplug: verdict=no-root"],
        ..ROW
    },
    Row {
        name: "a_console_behind_a_module",
        args: &[
            "-device",
            "virtio-serial-pci",
            "-chardev",
            "null,id=hvc",
            "-device",
            "virtconsole,chardev=hvc",
        ],
        words: "console=hvc0 console=ttyS0",
        ..ROW
    },
    Row {
        name: "an_image_without_a_console_node",
        image: crate::row::Image::List("dir /dev 0755 0 0\nfile /init @init 0755 0 0\n"),
        ..ROW
    },
    Row {
        name: "quiet",
        words: "quiet coldplug.timeout=3",
        root: Root::None,
        verdict: "no-root",
        says: &["root device /dev/vda not found"],
        ..ROW
    },
];

/// Replaces the console of the harness, and lets the early console of the kernel stay.
fn consoles(vm: Machine, words: &str) -> Machine {
    vm.replace_words("console=ttyS0", words).cmdline(EARLY)
}
