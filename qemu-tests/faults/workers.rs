//! Worker processes that die.

use crate::row::{Content, ROW, Row};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "an_install_line_kills_the_worker_once",
    files: &[
        ("bin/sh", Content::Busybox),
        (
            "etc/modprobe.d/kill.conf",
            Content::Text("install virtio_rng [ -e /killed ] || { : > /killed; kill -9 $PPID; }\n"),
        ),
    ],
    args: &["-device", "virtio-rng-pci"],
    ..ROW
}];
