//! coldplug takes a Linux machine from "the kernel has started" to "the real root is running".
//!
//! # Map
//!
//! One directory is one layer. A layer uses only the layers above it in this list:
//!
//! - [`kmod`]: what module files, indexes and configuration *mean*; bytes in, values out
//! - [`cmdline`]: the kernel command line, parsed once, and the table of its parameters
//! - [`disk`]: partition tables and superblocks, verity trees, udev's links to disks
//! - `tpm`: commands and answers of a TPM 2.0
//! - [`net`]: DHCP messages
//! - [`machine`]: the text that describes a captured machine, and device trees
//! - [`sys`]: the interface to the kernel: one small function per fact or action
//! - [`load`]: executes a plan, each module as soon as its own dependencies are live
//! - `stacks`: opens LUKS devices, activates logical volumes and starts arrays, in a child of PID 1
//! - [`depmod`]: reads the modules of a tree and writes its index files
//! - [`report`]: the boot record, its text and the verdict
//! - `scan`: the order in which the devices of a machine are requested, and a simulated boot
//! - [`image`]: initramfs images: selection of files, and the newc archive
//! - `qemu`: a virtual machine that runs one command
//! - [`boot`]: PID 1: order of the boot, waiting, root, switch_root, rescue
//! - [`applet`]: command lines; the only place that chooses an exit code
//!
//! All layers use `byte_text`, which keeps bytes that are not UTF-8 in texts, and `escape`, which
//! makes text from devices safe for a terminal.
//!
//! # Invariants
//!
//! 1. `kmod`, `cmdline`, `disk`, `tpm`, `net`, `machine` and `report` do no I/O: no files, no clock, no
//!    printing. Their parsers accept any bytes and never panic.
//! 2. Paths below /sys, /proc, /dev, /etc and /lib start at one [`sys::Root`].
//! 3. `sys` has no policy (its documentation lists what it does on its own). Its errors name
//!    operation, object and cause.
//! 4. `load` never prints and never exits. One bad module never stops the others.
//! 5. Every wait has a deadline, except for the root under `rootwait`, for a running fsck and in
//!    `coldplug monitor`. PID 1 never exits.
//! 6. Only `applet` chooses an exit code.
//! 7. Unsafe code is in `sys/raw.rs` only.
// The smaller programs are made by leaving out what calls a part; the linker drops the part. The
// largest program shows what nobody calls.
#![cfg_attr(not(feature = "host"), allow(dead_code, unused_imports, unreachable_pub))]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)
)]

pub mod applet;
pub(crate) mod boot;
pub(crate) mod byte_text;
pub mod cmdline;
#[cfg(feature = "host")]
pub mod depmod;
pub mod disk;
pub(crate) mod escape;
#[cfg(feature = "host")]
pub mod image;
pub mod kmod;
pub(crate) mod load;
pub mod machine;
pub mod net;
#[cfg(feature = "host")]
pub(crate) mod qemu;
pub mod report;
pub(crate) mod scan;
#[cfg(feature = "stacks")]
pub mod stacks;
pub mod sys;
#[cfg(feature = "stacks")]
pub mod tpm;

#[cfg(test)]
mod layers;
