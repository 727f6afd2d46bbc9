//! Little memory, and full filesystems.

use crate::row::{Image, ROW, Row};

pub(crate) const ROWS: &[Row] = &[
    Row { name: "memory_of_160_mb", args: &["-m", "160"], ..ROW },
    Row {
        name: "memory_of_512_mb_with_all_drivers",
        image: Image::Full,
        args: &["-m", "512"],
        ..ROW
    },
];
