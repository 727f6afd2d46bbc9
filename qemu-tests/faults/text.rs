//! Text from disks, devices and the command line.

use crate::row::{ROW, Row};

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
];
