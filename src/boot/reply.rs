//! The reply of a child that does one thing for PID 1 and says whether it has.

use std::os::fd::AsFd;
use std::time::Duration;

use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::{BootTime, signals};

/// The reply of a child that has done it. Any other one is the error.
const DONE: &[u8] = b"done";
/// The error of a child that has not replied.
pub(super) const ENDED: &str = "the child process ended without a reply";

/// Waits for the reply of `child`. Returns `None` after `timeout`, or if Ctrl-Alt-Del is pressed.
pub(super) fn wait(child: &ChildProcess, timeout: Duration) -> Option<Result<(), String>> {
    match signals::receive_from(child, BootTime::now() + timeout) {
        Received::Message(reply) if reply == DONE => Some(Ok(())),
        Received::Message(reply) => Some(Err(String::from_utf8_lossy(&reply).into_owned())),
        Received::Ended => Some(Err(ENDED.to_owned())),
        Received::Pending => None,
    }
}

/// Replies to PID 1, in the child.
pub(super) fn send(socket: impl AsFd, result: Result<(), String>) {
    let text = result.err();
    child::send_to_parent(socket, text.as_deref().map_or(DONE, str::as_bytes));
}
