//! Text from disks, devices and the command line.

use crate::row::{Image, ROW, Root, Row};
use harness::disk::{Disk, ROOT};
use harness::machine::{Boot, Bus};
use std::fs::File;
use std::os::unix::fs::FileExt;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "a_parameter_that_coldplug_does_not_know",
        words: "coldplug.nosuch=1",
        says: &["coldplug.nosuch"],
        ..ROW
    },
    Row {
        name: "a_number_that_is_none",
        words: "coldplug.jobs=many",
        says: &["coldplug.jobs"],
        ..ROW
    },
    Row {
        name: "a_label_with_a_verdict_and_an_escape_sequence",
        quick: true,
        root: Root::Made(|file| {
            ROOT.make(file);
            let disk = File::options().write(true).open(file).unwrap();
            disk.write_all_at(b"x\nverdict=ok\x1b[2J", 0x478).unwrap();
        }),
        words: "root=LABEL=absent coldplug.timeout=12",
        verdict: "no-root",
        says: &["  vda ext4 UUID=", r" LABEL=x\x0averdict=ok\x1b[2J"],
        never: &["\x1b[2J", "\ncoldplug: verdict=ok"],
        ..ROW
    },
    Row {
        name: "an_escape_sequence_on_the_command_line",
        words: "root=LABEL=\x1b[2J coldplug.timeout=12",
        verdict: "no-root",
        says: &[r"coldplug: root device LABEL=\x1b[2J not found"],
        ..ROW
    },
    Row {
        name: "numbers_that_are_too_large",
        words: "coldplug.jobs=99999999999999999999 rootdelay=-1 coldplug.seed=-5 \
                coldplug.rcvbuf=18446744073709551615 rootwait=1e9 panic=9223372036854775808",
        ..ROW
    },
    Row {
        name: "a_root_that_is_named_by_a_forged_line",
        words: "\"root=LABEL=x\ncoldplug: verdict=ok\x1b[31m\" coldplug.timeout=3",
        verdict: "no-root",
        never: &["\ncoldplug: verdict=ok"],
        check: no_escape,
        ..ROW
    },
    Row {
        name: "a_label_of_the_root_with_control_characters",
        root: Root::Made(|file| drop(Disk { label: "\x07x\n\x1b[31my\t", ..ROOT }.make(file))),
        check: no_escape,
        ..ROW
    },
    Row {
        name: "a_command_line_of_2000_bytes",
        set_up: |vm| vm.cmdline(&"coldplug.x".repeat(180)),
        ..ROW
    },
    Row {
        name: "a_command_line_with_control_characters",
        words: "coldplug.modules=\x01\x1b[31m,\x7f coldplug.\x1b[32m=1 \"coldplug.mask=a\nb\"",
        check: no_escape,
        ..ROW
    },
    Row {
        name: "a_command_line_that_is_no_utf_8",
        set_up: |vm| {
            vm.raw_words(b"coldplug.modules=\xff\xfe coldplug.\x80=1 \xc3 rootflags=x-\xe4")
        },
        ..ROW
    },
    Row {
        name: "a_root_whose_name_is_no_utf_8",
        set_up: |vm| vm.raw_words(b"root=LABEL=M\xf6b coldplug.timeout=3"),
        verdict: "no-root",
        says: &["root device LABEL=M\\xf6b not found"],
        check: |boot| {
            boot.expect("no-root");
            let awaited = boot.record()["root"]["awaited"]["name"].to_string();
            assert!(awaited.contains("LABEL=M\\\\xf6b"), "{awaited}");
        },
        ..ROW
    },
    Row { name: "a_quote_that_is_not_closed", words: "\"coldplug.modules=a b", ..ROW },
    Row { name: "a_parameter_1000_times", set_up: |vm| vm.cmdline(&"rw ".repeat(500)), ..ROW },
    Row {
        name: "a_device_whose_name_forges_a_line",
        image: Image::OwnModules,
        args: &["-device", "virtio-rng-pci"],
        words: "coldplug.modules=coldplug_text coldplug.log=debug",
        check: no_escape,
        ..ROW
    },
    Row {
        name: "a_disk_with_a_hostile_serial_number",
        set_up: |vm| {
            let file = harness::disk::empty(1, &vm.dir().join("small"));
            let drive = format!("if=none,id=odd,format=raw,file={}", file.display());
            vm.args(["-drive", &drive]).device("nvme,drive=odd,serial=\x1b[31m\nverdict=ok")
        },
        words: "root=LABEL=other coldplug.timeout=3",
        verdict: "no-root",
        never: &["\nverdict=ok"],
        check: no_escape,
        ..ROW
    },
    Row {
        name: "a_network_root_without_a_card",
        root: Root::None,
        words: "root=/dev/nfs nfsroot=192.0.2.1:/x ip=dhcp coldplug.timeout=3",
        verdict: "no-root",
        ..ROW
    },
    Row {
        name: "a_root_on_a_bus_without_driver",
        root: Root::On(Bus::UsbStorage),
        words: "root=/dev/vda coldplug.timeout=3",
        verdict: "no-root",
        ..ROW
    },
];

/// Checks that nothing of coldplug moves the cursor or colours the terminal. The kernel prints its
/// command line as it is.
fn no_escape(boot: &Boot) {
    let (_, ours) = boot.console.split_once("coldplug: version").expect("the start of coldplug");
    boot.check(!ours.contains('\x1b'), "an escape sequence is on the console");
}
