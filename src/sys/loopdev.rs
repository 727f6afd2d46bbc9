//! Loop devices: a file as a read-only block device.
//!
//! ```text
//! struct loop_config          struct loop_info64, at 8 of it
//!   0 descriptor, u32          52 flags, u32       56 file name, 64
//!   8 struct loop_info64
//! 240 to 304 reserved
//! ```
//!
//! loop(4), linux/loop.h.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::io::Errno;

use super::device_nodes::DeviceNodes;
use super::raw;
use super::{Error, Result, Root};
use crate::byte_text;
use crate::escape;

const READ_ONLY: u32 = 1;
/// The kernel detaches the file when the last user closes the device.
const AUTOCLEAR: u32 = 4;
const INFO: usize = 232;
const NAME: std::ops::Range<usize> = 56..119;
/// Attempts to get a free device before another process does.
const MAX_ATTEMPTS: usize = 16;

/// A loop device with a backing file. Dropping it frees the device, unless it is open elsewhere,
/// such as by a mount.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Path of the node.
    pub(crate) node: PathBuf,
    _device: File,
}

/// Attaches `file` to a free loop device; `name` is shown by losetup(8). The module `loop` provides
/// the devices. Between LOOP_CTL_GET_FREE and LOOP_CONFIGURE another process may take the device
/// (EBUSY); then the next free one is tried, as loop(4) prescribes.
///
/// # Errors
/// There is no loop device, or the file cannot back one.
pub(crate) fn attach(root: &Root, file: &File, name: &str) -> Result<Loop> {
    let control = root.join("dev/loop-control");
    let control_file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&control)
        .map_err(|e| Error::io("open", &control, &e))?;
    let mut last = Errno::BUSY;
    for _ in 0..MAX_ATTEMPTS {
        let number = raw::loop_free(&control_file)
            .map_err(|e| Error::new("LOOP_CTL_GET_FREE", escape::path(&control), e))?;
        let node = root.join(format!("dev/loop{number}"));
        // PID 1 makes the node of a new device too, but later.
        if let Some(mut nodes) = DeviceNodes::of_kernel_without_devtmpfs(root) {
            nodes.update(root)?;
        }
        let device = File::open(&node).map_err(|e| Error::io("open", &node, &e))?;
        match set_backing_file(&device, file, name) {
            Ok(()) => return Ok(Loop { node, _device: device }),
            Err(Errno::BUSY) => {}
            Err(errno) => {
                last = errno;
                break;
            }
        }
    }
    Err(Error::new("attach to a loop device", name, last))
}

/// Sets the backing file with LOOP_CONFIGURE or, before Linux 5.8, in two steps.
fn set_backing_file(device: &File, file: &File, name: &str) -> std::result::Result<(), Errno> {
    match configure(device, file, name) {
        Err(Errno::NOTTY | Errno::INVAL) => {}
        done => return done,
    }
    raw::loop_set_file(device, file)?;
    raw::loop_set_status(device, &mut info(name)).inspect_err(|_| {
        let _ = raw::loop_clear(device);
    })
}

fn configure(device: &File, file: &File, name: &str) -> std::result::Result<(), Errno> {
    let mut config = [0; 304];
    let number = u32::try_from(file.as_raw_fd()).map_err(|_| Errno::BADF)?;
    config[..4].copy_from_slice(&number.to_ne_bytes());
    config[8..8 + INFO].copy_from_slice(&info(name));
    raw::loop_configure(device, &mut config)
}

/// Returns a `struct loop_info64`. A name that does not fit is truncated.
fn info(name: &str) -> [u8; INFO] {
    let mut info = [0; INFO];
    info[52..56].copy_from_slice(&(READ_ONLY | AUTOCLEAR).to_ne_bytes());
    for (place, byte) in info[NAME].iter_mut().zip(&*byte_text::to_bytes(name)) {
        *place = *byte;
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_truncated() {
        let info = info(&"x".repeat(80));
        assert_eq!((info[52], info[118], info[119]), (5, b'x', 0));
        assert_eq!(super::info("/\u{10fff6}.img")[NAME][..7], *b"/\xf6.img\0");
    }
}
