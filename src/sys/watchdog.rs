//! Watchdogs: devices that reset the machine unless they are pinged (the kernel's watchdog-api).
//!
//! Closing the device without the magic byte `V` leaves the watchdog running, and the next program
//! that opens it goes on; a second open meanwhile is EBUSY.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{BootTime, Error, Result, raw};
use crate::escape;

/// WDIOF_MAGICCLOSE: without this option of the driver, any close stops the watchdog.
const MAGIC_CLOSE: u32 = 0x0100;
/// Number of pings within the timeout.
const PINGS: u32 = 3;

/// The watchdog that [`ping_if_due`] pings.
static ACTIVE: Mutex<Option<Watchdog>> = Mutex::new(None);

/// A watchdog that is running, because this process has opened it.
pub(crate) struct Watchdog {
    device: File,
    path: PathBuf,
    identity: String,
    options: u32,
    timeout: Duration,
    next_ping: BootTime,
}

impl fmt::Display for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", escape::path(&self.path), self.identity)
    }
}

impl Watchdog {
    /// Opens the watchdog at `path`, which starts it with the timeout of its driver.
    ///
    /// # Errors
    /// There is no such device, it is no watchdog, or another program has it open (EBUSY).
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |op| move |e: std::io::Error| Error::io(op, path, &e);
        let metadata = std::fs::metadata(path).map_err(failed("open"))?;
        if !metadata.file_type().is_char_device() {
            return Err(Error::new("open", escape::path(&path), Errno::NOTTY));
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let device = File::options().write(true).custom_flags(flags).open(path);
        let device = device.map_err(failed("open"))?;
        let failed = |op| move |e| Error::new(op, escape::path(&path), e);
        let (options, identity) =
            raw::watchdog_support(&device).map_err(failed("WDIOC_GETSUPPORT"))?;
        let seconds = raw::watchdog_timeout(&device).map_err(failed("WDIOC_GETTIMEOUT"))?;
        Ok(Self {
            device,
            path: path.to_owned(),
            identity,
            options,
            timeout: Duration::from_secs(seconds.into()),
            next_ping: BootTime::now(),
        })
    }

    /// WDIOC_SETTIMEOUT: sets the timeout. The driver may round it.
    ///
    /// # Errors
    /// The driver has no such timeout (EINVAL), or only a fixed one (EOPNOTSUPP).
    pub(crate) fn set_timeout(&mut self, seconds: u32) -> Result<()> {
        let set = raw::watchdog_set_timeout(&self.device, seconds)
            .map_err(|e| Error::new("WDIOC_SETTIMEOUT", escape::path(&self.path), e))?;
        self.timeout = Duration::from_secs(set.into());
        Ok(())
    }

    /// Returns the time without a ping after which the machine is reset.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reports whether the watchdog goes on when its device is closed.
    pub(crate) fn survives_close(&self) -> bool {
        self.options & MAGIC_CLOSE != 0
    }

    fn ping_if_due(&mut self) -> Result<BootTime> {
        let now = BootTime::now();
        if now >= self.next_ping {
            // Any byte but V is a ping.
            self.device.write_all(b"\0").map_err(|e| Error::io("write", &self.path, &e))?;
            self.next_ping = now + self.timeout / PINGS;
        }
        Ok(self.next_ping)
    }
}

fn active<T>(change: impl FnOnce(&mut Option<Watchdog>) -> T) -> T {
    change(&mut ACTIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Has [`ping_if_due`] ping this watchdog from now on.
pub(crate) fn activate(watchdog: Watchdog) {
    active(|active| *active = Some(watchdog));
}

/// Pings the active watchdog if a third of its timeout has passed since the last ping. Returns the
/// time at which the next ping is due, or `None` if none is active.
///
/// # Errors
/// The driver refuses the ping. The watchdog is not active any more then, and its device stays
/// open.
pub(crate) fn ping_if_due() -> Result<Option<BootTime>> {
    active(|active| {
        let Some(watchdog) = active else { return Ok(None) };
        watchdog.ping_if_due().map(Some).inspect_err(|_| std::mem::forget(active.take()))
    })
}

/// Pings no watchdog any more, and leaves its device open: if nothing else resets the machine, the
/// watchdog does.
pub(crate) fn abandon() {
    std::mem::forget(active(Option::take));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_watchdog_is_refused() {
        for (path, want) in [
            ("/dev/none", "open /dev/none: No such file or directory"),
            ("/dev", "open /dev: Inappropriate ioctl for device"),
            ("/dev/null", "WDIOC_GETSUPPORT /dev/null: Inappropriate ioctl for device"),
        ] {
            let error = Watchdog::open(Path::new(path)).err().unwrap().to_string();
            assert_eq!(error, want);
        }
    }

    #[test]
    fn pings_are_due_at_a_third_of_the_timeout() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut watchdog = Watchdog {
            device: file.reopen().unwrap(),
            path: file.path().to_owned(),
            identity: "test".to_owned(),
            options: MAGIC_CLOSE,
            timeout: Duration::from_secs(30),
            next_ping: BootTime::now(),
        };
        let pings = || file.path().metadata().unwrap().len();
        let next = watchdog.ping_if_due().unwrap();
        assert_eq!(pings(), 1);
        let left = next - BootTime::now();
        assert!(left > Duration::from_secs(9) && left <= Duration::from_secs(10), "{left:?}");
        assert_eq!(watchdog.ping_if_due(), Ok(next));
        assert_eq!(pings(), 1, "no ping before it is due");
        assert!(watchdog.survives_close());
    }
}
