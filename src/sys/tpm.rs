//! The TPM: /dev/tpmrm0 of the kernel's resource manager, or /dev/tpm0.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::{BootTime, Error, Result, Root};
use crate::tpm::answer;

/// Nodes of the first TPM. The resource manager removes what a process leaves in the TPM.
const NODES: [&str; 2] = ["/dev/tpmrm0", "/dev/tpm0"];
/// Modules of the drivers for TPMs of PCs; firmware describes the device, so that udev finds them too.
pub(crate) const MODULES: [&str; 2] = ["tpm_tis", "tpm_crb"];
/// Length of the buffer of the kernel.
const BUFFER: usize = 4096;
/// Longest time for a command: creation of an RSA key takes up to a minute.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// An open TPM.
#[derive(Debug)]
pub(crate) struct Tpm {
    file: File,
    path: &'static str,
}

/// Reports whether there is a TPM.
pub(crate) fn is_present(root: &Root) -> bool {
    NODES.iter().any(|node| root.join(node).exists())
}

/// Reports whether the tables of ACPI describe a TPM 2.0.
pub(crate) fn is_announced(root: &Root) -> bool {
    root.join("sys/firmware/acpi/tables/TPM2").exists()
}

/// Returns the major version of the specification that the TPM follows, if the kernel says so.
pub(crate) fn version(root: &Root) -> Option<String> {
    let text = fs::read_to_string(root.join("sys/class/tpm/tpm0/tpm_version_major")).ok()?;
    Some(text.trim_end().to_owned())
}

/// Fills `bytes` by getrandom(2), which waits until the kernel has enough entropy.
///
/// # Errors
/// The kernel has no getrandom(2).
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("getrandom", "kernel", errno)),
        }
    }
    Ok(())
}

impl Tpm {
    /// Opens the first TPM.
    ///
    /// # Errors
    /// There is none, or another process uses it.
    pub(crate) fn open(root: &Root) -> Result<Self> {
        let node = NODES.into_iter().find(|node| root.join(node).exists()).unwrap_or(NODES[0]);
        let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags.cast_signed());
        let file = options.open(root.join(node));
        let file = file.map_err(|e| Error::io("open", Path::new(node), &e))?;
        Ok(Self { file, path: node })
    }

    /// Connects to the socket of an emulator, for tests.
    ///
    /// # Errors
    /// No emulator listens there.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let failed = |error| Error::io("connect", socket, &error);
        let stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        Ok(Self { file: File::from(OwnedFd::from(stream)), path: "the emulator" })
    }

    /// Sends a command and returns the answer, which may hold a secret.
    ///
    /// # Errors
    /// The driver reports an error, or the TPM does not answer.
    pub(crate) fn transmit(&self, command: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let failed = |op, error| Error::io(op, Path::new(self.path), &error);
        (&self.file).write_all(command).map_err(|e| failed("write", e))?;
        let deadline = BootTime::now() + TIMEOUT;
        let mut answer = Zeroizing::new(vec![0; BUFFER]);
        let mut filled = 0;
        loop {
            self.wait(deadline)?;
            let buffer = answer.get_mut(filled..).unwrap_or_default();
            match (&self.file).read(buffer) {
                Ok(0) => return Err(failed("read", ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(failed("read", e)),
            }
            let size = answer.get(..filled).and_then(answer::size);
            if size.is_some_and(|size| size <= filled) {
                answer.truncate(filled);
                return Ok(answer);
            }
        }
    }

    /// poll(2): waits until the answer is there.
    fn wait(&self, deadline: BootTime) -> Result<()> {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        loop {
            let left = deadline - BootTime::now();
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(0) => return Err(Error::new("poll", self.path, Errno::TIMEDOUT)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new("poll", self.path, errno)),
                Ok(_) => return Ok(()),
            }
        }
    }
}
