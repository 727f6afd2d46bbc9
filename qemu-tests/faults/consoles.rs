//! Consoles that are absent or doubled.

use crate::row::{ROW, Row};

pub(crate) const ROWS: &[Row] = &[
    Row { name: "two_consoles", words: "console=tty0 console=ttyS0", ..ROW },
    Row { name: "a_console_that_is_not_there", words: "console=ttyS7 console=ttyS0", ..ROW },
];
