//! Text from disks, devices and the command line.

use crate::row::{ROW, Root, Row};
use harness::disk::ROOT;
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
];
