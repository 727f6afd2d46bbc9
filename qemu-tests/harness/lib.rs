//! What the tests and benchmarks of coldplug share.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`run`] | the main function of a test target: which tests there are and what each needs |
//! | [`paths`] | directories of the checkout and of the build |
//! | [`tool`] | external commands |
//! | [`apt`], [`kernel`], [`kmod34`] | packages of Debian: kernels to boot, kmod 34 |
//! | [`testmod`] | kernel modules written for the tests |
//! | [`image`] | initramfs images, and programs of the release build |
//! | [`disks`] | disks with a root in any filesystem |
//! | [`vm`], [`qmp`] | a machine in QEMU, and what it reported |
//! | [`machines`], [`sysfs_names`] | the machines that are measured, and the state that a boot leads to |
//! | [`guest`] | commands that the guest carries out |
//! | [`transcript`] | commands and what is expected of them, in one format |
//! | [`supervisor`], [`fake_kernel`] | commands in a fake root under a fake kernel |

pub mod apt;
pub mod disks;
pub mod fake_kernel;
pub mod guest;
pub mod image;
pub mod kernel;
pub mod kmod34;
pub mod machines;
pub mod paths;
pub mod qmp;
pub mod run;
pub mod supervisor;
pub mod sysfs_names;
pub mod testmod;
pub mod tool;
pub mod transcript;
pub mod vm;
