//! coldplug takes a Linux machine from "the kernel has started" to "the real root is running".
//!
//! # Map
//!
//! One folder is one layer; a folder uses only the folders above it in this list:
//!
//! - [`kmod`]: what module files, indexes and configuration *mean*; bytes in, values out
//! - [`cmdline`]: the kernel command line: its words and what each asks for
//! - [`disk`]: partition tables and superblocks → UUID, LABEL, PARTUUID, PARTLABEL, type
//! - [`net`]: DHCP messages
//! - [`machine`]: a captured machine: its devices as a text
//! - [`sys`]: the kernel's interface: one small function per fact or action
//! - [`report`]: the boot record and the verdict
//! - [`load`]: carries out a plan, each module as soon as its own dependencies are live
//! - [`depmod`]: reads the modules of a tree and writes its index files
//! - [`image`]: initramfs images: what goes in, and the newc archive
//! - [`boot`]: PID 1: the order of things, waiting, root, switch_root, rescue
//! - [`applet`]: command lines; the only place that picks an exit code
//!
//! # Invariants
//!
//! 1. `kmod`, `cmdline`, `disk`, `net`, `machine` and `report` do no I/O: no files, no clock, no printing. Any bytes may be given to
//!    their parsers; none panics.
//! 2. Paths below /sys, /proc, /dev, /etc and /lib hang from one [`sys::Root`].
//! 3. `sys` has no policy (its documentation lists what it does on its own); its errors name operation,
//!    object and cause.
//! 4. `load` never prints and never exits; one bad module never stops the rest.
//! 5. Only `boot` waits, and `modprobe` with `-r -w`, `--jobs` or for the kernel; every wait has a deadline; PID 1 never ends.
//! 6. Only `applet` chooses an exit code.
//! 7. Unsafe code stands in `sys/raw.rs` alone.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)
)]

pub mod applet;
pub mod boot;
pub mod cmdline;
#[cfg(feature = "host")]
pub mod depmod;
pub mod disk;
#[cfg(feature = "host")]
pub mod image;
pub mod kmod;
pub mod load;
pub mod machine;
pub mod net;
pub mod report;
pub mod sys;

#[cfg(test)]
mod layers;
