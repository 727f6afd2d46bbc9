//! Boots in QEMU, one scenario a test: the guest reports facts, the test asserts on them.
//!
//! `make test` runs them; they need the release builds for musl of `coldplug` and of the guest's
//! programs. Kernels are Debian's; everything else is made in the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

use std::process::ExitCode;

// From /init to the real init: buses, load methods, what is handed over, rescue.
mod boot;
// Names and candidates of the root, what is mounted beside it, hibernation, fsck.
mod root;
// Every filesystem that a root may have.
mod filesystems;
// Below and above the root filesystem: verity, images, overlays, several devices, flash.
mod stacks;
// Roots without a block device: 9p, virtiofs, NFS.
mod network;
// Orders of loading, what is left for later, lost events.
mod engine;
// Devices whose probe waits for another device.
mod deferred;
// The fleet machine with its sixty devices, against kmod, udev and the plan.
mod fleet;
// More uevents than the socket holds.
mod flood;
// Names of disks, against udev's.
mod udev_links;
// The kernel's requests for modules: helper, autoclean, settings, monitor.
mod demand;
// The module tools on a running kernel.
mod tools;
// A Debian with systemd, by our image and by its own.
mod debian;

fn main() -> ExitCode {
    // The longest first, so that no long test is left alone at the end.
    harness::run::main(&[
        fleet::TESTS,
        udev_links::TESTS,
        debian::TESTS,
        root::TESTS,
        engine::TESTS,
        demand::TESTS,
        tools::TESTS,
        boot::TESTS,
        stacks::TESTS,
        filesystems::TESTS,
        network::TESTS,
        deferred::TESTS,
        flood::TESTS,
    ])
}
