//! `coldplug.exitport=`: the exit status of a virtual machine.
//!
//! What can fail is tried before the verdict, so that a failure has its line there. The machine ends
//! where it would be powered off or restarted, after the disks have been written.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::Boot;
use crate::cmdline::boot::ExitPort;
use crate::report::{Verdict, command_value, qemu_status};
use crate::sys::exit_port;

/// The port, and the status for it; 0 if none is prepared. Statics, because not only a [`Boot`] leaves
/// the machine.
static PORT: AtomicU32 = AtomicU32::new(0);
static STATUS: AtomicU8 = AtomicU8::new(0);
/// The number for semihosting, which no I/O port has.
const SEMIHOSTING: u32 = u32::MAX;

impl Boot {
    /// Prepares the end of the machine after `verdict`. A real init ends it by itself.
    pub(super) fn prepare_exit(&mut self, verdict: Verdict) {
        let Some(port) = self.params.boot.exit_port else { return };
        let value = match (verdict, self.reporter.exit()) {
            (Verdict::Ok, None) => return,
            (Verdict::Ok, Some(status)) => command_value(status),
            _ => verdict.exit_value(),
        };
        if let Err(error) = exit_port::prepare(port) {
            return self.reporter.warn(format!("coldplug.exitport: {error}"));
        }
        let number = match port {
            ExitPort::Io(number) => number.into(),
            ExitPort::Semihosting => SEMIHOSTING,
        };
        PORT.store(number, Ordering::Relaxed);
        STATUS.store(qemu_status(value), Ordering::Relaxed);
    }
}

/// Ends the machine with its status, if one is prepared. Returns if the machine goes on.
pub(super) fn end() {
    let port = u16::try_from(PORT.load(Ordering::Relaxed));
    let port = port.map_or(ExitPort::Semihosting, ExitPort::Io);
    match STATUS.load(Ordering::Relaxed) {
        0 => {}
        status => exit_port::end(port, status),
    }
}
