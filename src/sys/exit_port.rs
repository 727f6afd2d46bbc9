//! The ways by which a guest gives its virtual machine an exit status: isa-debug-exit of QEMU,
//! which has an I/O port of x86, and semihosting.

#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
use super::BootTime;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
pub(crate) use super::raw::end_by_semihosting;
use super::{Cause, Error, Result};
use crate::cmdline::boot::ExitPort;

/// Longest wait for the end of the machine.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);
/// Longest wait for the child that makes the call of semihosting: an emulated machine may be slow.
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// Command of the child that makes the call of semihosting.
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const APPLET: &str = "semihosting-exit";

/// Allows the calling thread to write to the exit port.
///
/// # Errors
/// The kernel is locked down or has no ioperm(2), or the machine has no such thing.
pub(crate) fn prepare(port: ExitPort) -> Result<()> {
    match port {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        ExitPort::Io(number) => {
            let failed = |e: rustix::io::Errno| Error::new("ioperm", number, e);
            super::raw::allow_port(number).map_err(failed)
        }
        #[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
        ExitPort::Semihosting => Ok(()),
        _ => {
            let cause = Cause::Other("not on this architecture".to_owned());
            Err(Error::new("use", "it", cause))
        }
    }
}

/// Ends the machine with `status`, which is odd, after [`prepare`]. Returns only if nothing does.
pub(crate) fn end(port: ExitPort, status: u8) {
    match port {
        // QEMU ends with 2 × value + 1.
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        ExitPort::Io(number) => {
            super::raw::write_port(number, status >> 1);
            // QEMU ends between two instructions.
            std::thread::sleep(TIMEOUT);
        }
        #[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
        ExitPort::Semihosting => {
            // A child: without semihosting the instruction is an illegal one.
            let text = status.to_string();
            let start = |null| super::process::spawn_self(APPLET, &[text.as_ref()], null, None);
            let child =
                std::fs::File::open("/dev/null").map(|null| super::child::spawn(|| start(null)));
            let Ok(Ok(pid)) = child else {
                // The last net of PID 1 has its verdict already, and ends the machine.
                return end_by_semihosting(status.into());
            };
            let end = BootTime::now() + TIMEOUT;
            while super::child::exit_status(pid).is_none() && BootTime::now() < end {
                super::signals::sleep(end - BootTime::now());
            }
        }
        // [`prepare`] has refused it.
        _ => {
            let _ = status;
        }
    }
}
