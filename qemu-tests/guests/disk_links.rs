//! Prints every block device with the links that coldplug derives for it, one device per line; runs
//! beside udev in a guest.

use coldplug::sys::{Root, block, disk_links};
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let root = Root::default();
    let mut out = io::stdout().lock();
    for device in block::list(&root).map_err(io::Error::other)? {
        let links = disk_links::links(&root, &device);
        writeln!(out, "{} {}", device.name, links.join(" "))?;
    }
    Ok(())
}
