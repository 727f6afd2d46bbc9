//! The device mapper, through its control node.
//!
//! ```text
//! struct dm_ioctl, in native byte order                 struct dm_target_spec, after it
//!   0 version, 3 × u32: 4.0.0    32 event_nr, u32         0 first sector, u64     20 next, u32
//!  12 size of all, u32           40 device number, u64    8 sectors, u64          24 type, 16
//!  16 start of data, u32         48 name, 128            16 status, i32      40 parameters, NUL
//!  20 targets, u32               176 uuid, 129
//!  28 flags, u32                 305 to 312 padding
//! ```
//!
//! linux/dm-ioctl.h; the kernel's admin-guide/device-mapper.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use rustix::io::Errno;

use super::raw::{self, DM_HEADER};
use super::{Cause, Error, Result, Root};

const CREATE: u8 = 3;
const REMOVE: u8 = 4;
const SUSPEND: u8 = 6;
#[cfg(feature = "stacks")]
const STATUS: u8 = 7;
const TABLE_LOAD: u8 = 9;
const TABLE_STATUS: u8 = 12;
const GET_TARGET_VERSION: u8 = 17;

const READ_ONLY: u32 = 1;

/// Offset of the data: after the header.
const DATA: u32 = 312;
const NAME: usize = 48;
const UUID: usize = 176;
const PADDING: usize = 305;
const TARGET: usize = 40;
/// Room for an answer; the status of a verity target is one letter.
const ANSWER: usize = 4096;

/// One line of a device's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// First sector, in units of 512 bytes.
    pub(crate) start: u64,
    /// Length in sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// Target type: `verity`, `linear`.
    pub(crate) kind: &'a str,
    /// Parameters of the target type.
    pub(crate) parameters: &'a str,
}

/// The open control node.
#[derive(Debug)]
pub(crate) struct Control(File);

impl Control {
    /// Opens /dev/mapper/control, which the module `dm_mod` creates.
    ///
    /// # Errors
    /// The node does not exist.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        let path = root.join("dev/mapper/control");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        file.map(Self).map_err(|e| Error::io("open", &path, &e))
    }

    /// DM_DEV_CREATE: creates the device `name` without a table. Returns its number (major, minor).
    ///
    /// # Errors
    /// EBUSY if a device has that name or UUID.
    pub(crate) fn create(&self, name: &str, uuid: &str) -> Result<(u32, u32)> {
        let mut message = message(name, DM_HEADER).map_err(|e| failed("create", name, e))?;
        put_str(&mut message[UUID..PADDING], uuid).map_err(|e| failed("create", name, e))?;
        raw::dm(&self.0, CREATE, &mut message).map_err(|e| failed("create", name, e))?;
        Ok(decode_dev(u64_at(&message, 40)))
    }

    /// DM_TABLE_LOAD: loads a table, for reading only or for writing too. [`Self::resume`]
    /// activates it.
    ///
    /// # Errors
    /// The kernel lacks a target type, or refuses its parameters; its log has the reason.
    pub(crate) fn load_table(
        &self,
        name: &str,
        targets: &[Target<'_>],
        read_only: bool,
    ) -> Result<()> {
        let failed = |e| failed("load the table of", name, e);
        let mut message = message(name, DM_HEADER).map_err(failed)?;
        let count = u32::try_from(targets.len()).map_err(|_| failed(Errno::TOOBIG))?;
        message[20..24].copy_from_slice(&count.to_ne_bytes());
        message[28..32].copy_from_slice(&if read_only { READ_ONLY } else { 0 }.to_ne_bytes());
        for target in targets {
            message.extend(spec(target).map_err(failed)?);
        }
        raw::dm(&self.0, TABLE_LOAD, &mut message).map_err(|errno| {
            let missing = targets.iter().find(|target| self.lacks(target.kind));
            match missing.filter(|_| errno == Errno::INVAL) {
                Some(target) => {
                    let text = format!("the kernel does not have the target {}", target.kind);
                    Error::from_parts("load the table of", object(name), Cause::Other(text))
                }
                None => failed(errno),
            }
        })
    }

    /// DM_GET_TARGET_VERSION: returns whether the kernel, from 5.5 on, does not know a target type.
    fn lacks(&self, kind: &str) -> bool {
        self.request(GET_TARGET_VERSION, kind) == Err(Errno::INVAL)
    }

    /// DM_DEV_SUSPEND without DM_SUSPEND_FLAG: activates the loaded table.
    ///
    /// # Errors
    /// The errno of the ioctl.
    pub(crate) fn resume(&self, name: &str) -> Result<()> {
        self.request(SUSPEND, name).map_err(|e| failed("resume", name, e))
    }

    /// DM_DEV_REMOVE: removes the device.
    ///
    /// # Errors
    /// EBUSY if it is in use.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.request(REMOVE, name).map_err(|e| failed("remove", name, e))
    }

    /// DM_TABLE_STATUS: returns the status text of the one target. For verity it is `V`, or `C`
    /// after a corrupted block.
    ///
    /// # Errors
    /// ENXIO if the device does not exist.
    pub(crate) fn status(&self, name: &str) -> Result<String> {
        let failed = |e| failed("ask the status of", name, e);
        let mut message = message(name, DM_HEADER + ANSWER).map_err(failed)?;
        raw::dm(&self.0, TABLE_STATUS, &mut message).map_err(failed)?;
        let start = usize::try_from(u32_at(&message, 16)).unwrap_or(usize::MAX);
        let text = message.get(start.saturating_add(TARGET)..).unwrap_or_default();
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// DM_DEV_STATUS: returns the number (major, minor) and the UUID of the device `name`.
    ///
    /// # Errors
    /// ENXIO if the device does not exist.
    #[cfg(feature = "stacks")]
    pub(crate) fn find(&self, name: &str) -> Result<((u32, u32), String)> {
        let failed = |e| failed("find", name, e);
        let mut message = message(name, DM_HEADER).map_err(failed)?;
        raw::dm(&self.0, STATUS, &mut message).map_err(failed)?;
        let uuid = message[UUID..PADDING].split(|b| *b == 0).next().unwrap_or_default();
        let uuid = String::from_utf8_lossy(uuid).into_owned();
        Ok((decode_dev(u64_at(&message, 40)), uuid))
    }

    /// Sends a request without data.
    fn request(&self, request: u8, name: &str) -> std::result::Result<(), Errno> {
        raw::dm(&self.0, request, &mut message(name, DM_HEADER)?)
    }
}

/// symlink(2): links /dev/mapper/`name` to the node of the device, as udev does; devtmpfs creates
/// only the node.
///
/// # Errors
/// The link cannot be created.
pub(crate) fn create_symlink(root: &Root, name: &str, minor: u32) -> Result<()> {
    let path = root.join(Path::new("dev/mapper").join(name));
    let _ = fs::remove_file(&path);
    std::os::unix::fs::symlink(format!("../dm-{minor}"), &path)
        .map_err(|e| Error::io("symlink", &path, &e))
}

fn failed(op: &'static str, name: &str, errno: Errno) -> Error {
    Error::new(op, object(name), errno)
}

fn object(name: &str) -> String {
    format!("the mapped device {name}")
}

/// Returns a request for the device `name`, `length` bytes long.
fn message(name: &str, length: usize) -> std::result::Result<Vec<u8>, Errno> {
    let mut message = vec![0; length];
    message[0..4].copy_from_slice(&4_u32.to_ne_bytes());
    message[16..20].copy_from_slice(&DATA.to_ne_bytes());
    put_str(&mut message[NAME..UUID], name)?;
    Ok(message)
}

/// Returns the `struct dm_target_spec` of a line of a table, with its parameters.
fn spec(target: &Target<'_>) -> std::result::Result<Vec<u8>, Errno> {
    let length = (TARGET + target.parameters.len() + 1).next_multiple_of(8);
    let mut spec = vec![0; length];
    spec[0..8].copy_from_slice(&target.start.to_ne_bytes());
    spec[8..16].copy_from_slice(&target.sectors.to_ne_bytes());
    let next = u32::try_from(length).map_err(|_| Errno::TOOBIG)?;
    spec[20..24].copy_from_slice(&next.to_ne_bytes());
    put_str(&mut spec[24..TARGET], target.kind)?;
    put_str(&mut spec[TARGET..], target.parameters)?;
    Ok(spec)
}

/// Writes `text` and a NUL at the start of `place`.
///
/// # Errors
/// ENAMETOOLONG, or EINVAL for a text that contains a NUL.
fn put_str(place: &mut [u8], text: &str) -> std::result::Result<(), Errno> {
    let room = place.get_mut(..text.len() + 1).ok_or(Errno::NAMETOOLONG)?;
    room[..text.len()].copy_from_slice(text.as_bytes());
    if text.contains('\0') { Err(Errno::INVAL) } else { Ok(()) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

/// Decodes a device number: the inverse of `huge_encode_dev` of linux/kdev_t.h.
fn decode_dev(code: u64) -> (u32, u32) {
    let part = |bits: u64| u32::try_from(bits).unwrap_or(u32::MAX);
    (part((code & 0xfff00) >> 8), part((code & 0xff) | ((code >> 12) & 0xfff00)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_decoded() {
        for (code, want) in [(0xfe00, (254, 0)), (0xfd10, (253, 16)), (0x10_fe00, (254, 256))] {
            assert_eq!(decode_dev(code), want, "{code:x}");
        }
    }

    #[test]
    fn a_table_has_one_spec_after_another() {
        let target = Target { start: 8, sectors: 16, kind: "linear", parameters: "254:0 2048" };
        let bytes = spec(&target).unwrap();
        assert_eq!(bytes.len(), 56);
        assert_eq!((u64_at(&bytes, 0), u64_at(&bytes, 8), u32_at(&bytes, 20)), (8, 16, 56));
        assert_eq!((&bytes[24..31], &bytes[40..51]), (&b"linear\0"[..], &b"254:0 2048\0"[..]));
        assert!(spec(&Target { kind: "a-type-of-17-bytes", ..target }).is_err());
    }

    #[test]
    fn a_text_that_does_not_fit_is_an_error() {
        let message = message("root", DM_HEADER + 8).unwrap();
        assert_eq!(message[..20], [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x38, 1, 0, 0]);
        assert_eq!(message[48..53], *b"root\0");
        for name in ["x".repeat(128), "a\0b".into()] {
            assert!(super::message(&name, DM_HEADER).is_err(), "{name:?}");
        }
    }
}
