//! Arrays of md, through /sys.
//!
//! ```text
//! /sys/module/md_mod/parameters/new_array             name of an array to create: md127, md_NAME
//!                              start_dirty_degraded   1: parity is trusted after a crash
//! /sys/block/NAME/md/metadata_version                 0.90, 1.0, 1.1, 1.2
//!                    new_dev                          MAJOR:MINOR of a member to add
//!                    array_state                      clear, inactive, read-auto, clean, …
//! ```
//!
//! The kernel reads the superblocks of the members itself. The kernel's admin-guide/md.

use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;

use super::{Error, Result, Root, block, sysfs};

const PARAMETERS: &str = "sys/module/md_mod/parameters";

/// An array that is being assembled.
#[derive(Debug)]
pub(crate) struct Array {
    name: String,
    dir: PathBuf,
}

impl Array {
    /// Creates the array `name` without members. One that exists is used if it has no members.
    ///
    /// # Errors
    /// The module md_mod is not loaded, or the name belongs to another array.
    pub(crate) fn create(root: &Root, name: &str) -> Result<Self> {
        let array =
            Self { name: name.to_owned(), dir: root.join("sys/block").join(name).join("md") };
        match state(root, name).as_deref() {
            None => write(root.join(PARAMETERS).join("new_array"), name)?,
            Some("clear") => {}
            Some(_) => return Err(Error::new("create the array", name, Errno::EXIST)),
        }
        Ok(array)
    }

    /// Sets the version of the superblocks.
    ///
    /// # Errors
    /// The kernel does not know it.
    pub(crate) fn set_version(&self, version: &str) -> Result<()> {
        self.write("metadata_version", version)
    }

    /// Adds the member with this number (major, minor).
    ///
    /// # Errors
    /// EBUSY if the device is in use, EINVAL if its superblock does not fit.
    pub(crate) fn add(&self, number: (u32, u32)) -> Result<()> {
        self.write("new_dev", &format!("{}:{}", number.0, number.1))
    }

    /// Starts the array. Its members are written to only after a write to the array.
    ///
    /// # Errors
    /// The kernel does not start it; its log has the reason.
    pub(crate) fn start(&self) -> Result<()> {
        self.write("array_state", "read-auto")
    }

    /// Releases the members.
    ///
    /// # Errors
    /// EBUSY if the array is in use.
    pub(crate) fn clear(&self) -> Result<()> {
        self.write("array_state", "clear")
    }

    fn write(&self, attribute: &str, value: &str) -> Result<()> {
        // The message names the array rather than its attribute.
        write(self.dir.join(attribute), value).map_err(|error| {
            let op = match attribute {
                "array_state" if value == "clear" => "stop the array",
                "array_state" => "start the array",
                "new_dev" => "add to the array",
                _ => "set the version of the array",
            };
            let object = match attribute {
                "new_dev" => format!("{} the device {value}", self.name),
                _ => self.name.clone(),
            };
            Error::from_parts(op, object, error.into_cause())
        })
    }
}

/// Returns the state of the array `name`, as the kernel names it; `None` if there is no such array.
pub(crate) fn state(root: &Root, name: &str) -> Option<String> {
    let path = root.join("sys/block").join(name).join("md/array_state");
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// Returns whether an array in this state has members but does not run.
pub(crate) fn is_stopped(state: &str) -> bool {
    matches!(state, "clear" | "inactive")
}

/// Returns the array that has the device with this number as a member.
pub(crate) fn holder(root: &Root, number: (u32, u32)) -> Option<String> {
    let dir = root.join(format!("sys/dev/block/{}:{}/holders", number.0, number.1));
    sysfs::entry_names(&dir).into_iter().find(|name| state(root, name).is_some())
}

/// Stops the array `name`, which does not run, so that its members are free.
///
/// # Errors
/// EBUSY if the array is in use.
pub(crate) fn stop(root: &Root, name: &str) -> Result<()> {
    let dir = root.join("sys/block").join(name).join("md");
    Array { name: name.to_owned(), dir }.clear()
}

/// Returns the number of the array's device.
pub(crate) fn number(root: &Root, name: &str) -> Option<(u32, u32)> {
    block::device(root, name).map(|device| device.number)
}

/// Calls `start` while the kernel starts arrays whose parity may be wrong.
///
/// # Errors
/// The parameter cannot be set, or that of `start`.
pub(crate) fn trusting_parity(root: &Root, start: impl FnOnce() -> Result<()>) -> Result<()> {
    let path = root.join(PARAMETERS).join("start_dirty_degraded");
    write(path.clone(), "1")?;
    let result = start();
    write(path, "0").and(result)
}

fn write(path: PathBuf, value: &str) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("write", &path, &e);
    let mut file = fs::OpenOptions::new().write(true).open(&path).map_err(failed)?;
    std::io::Write::write_all(&mut file, value.as_bytes()).map_err(failed)
}
