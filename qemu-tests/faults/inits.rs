//! Inits that cannot run, and names under which coldplug is started.

use crate::row::{Content, ROW, Row};

pub(crate) const ROWS: &[Row] = &[
    Row { name: "an_init_that_is_a_directory", words: "init=/etc", verdict: "no-init", ..ROW },
    Row {
        name: "an_init_that_links_to_nothing",
        quick: true,
        on_root: &[("sbin/init", Content::Link("/no/such/file"))],
        verdict: "no-init",
        ..ROW
    },
    Row {
        name: "an_init_that_is_a_fifo",
        on_root: &[("sbin/init", Content::Fifo)],
        verdict: "no-init",
        ..ROW
    },
    Row { name: "started_by_its_other_name", words: "rdinit=/bin/coldplug", ..ROW },
];
