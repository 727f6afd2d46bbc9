//! The end of loading for a machine that is about to shut down.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::dispatcher::{Dispatcher, POLL_INTERVAL};
use crate::sys::watchdog;

/// Handle that ends the loads of a [`super::Loader`], which may be gone.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownHandle(pub(super) Arc<Dispatcher>);

impl ShutdownHandle {
    /// Returns whether there is nothing to drain any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// Starts no more loads, and waits until those under way have returned and the devices that
    /// they probe are probed, or until `timeout` passes. Returns whether all have ended.
    ///
    /// It waits for no lock: the thread that holds it may have panicked.
    pub(crate) fn drain(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut draining = false;
        loop {
            let idle = self.0.try_graph().is_some_and(|mut graph| {
                if !std::mem::replace(&mut draining, true) {
                    graph.drain();
                }
                graph.is_idle()
            });
            if idle || Instant::now() >= deadline {
                return idle;
            }
            if draining {
                self.0.try_send_ready();
            }
            // A ping that fails leaves the device open: then the watchdog resets the machine.
            let _ = watchdog::ping_if_due();
            thread::sleep(POLL_INTERVAL);
        }
    }
}
