//! The commands on this machine, without a boot: on trees of files, in fake roots under a fake
//! kernel, and on whole kernels, against the tools of kmod, util-linux and cpio.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

use std::process::ExitCode;

// Command lines on a small tree, against kmod.
mod commands;
// Command lines in fake roots, and their requests to a fake kernel, against kmod.
mod fake_roots;
// Every module and alias of Debian's kernels, against kmod.
mod kernels;
// The modaliases of device trees.
mod device_tree;
// Modules for all boards with a device tree in Debian's kernels, against kmod.
mod boards;
// Names of digests, against modinfo of kmod 34.
mod signatures;
// The configuration of modutils, converted and read as it is.
mod modules_conf;
// Index files, against the depmod of kmod 34.
mod depmod;
// Initramfs images, against cpio.
mod image;
// Modules and firmware that an image is built with.
mod image_selection;
// Images of other programs, against cpio and unmkinitramfs.
mod foreign_images;
// Images that try to write elsewhere or to take all memory.
mod hostile_images;
// Filesystems and partition tables, against blkid.
mod blkid;
// LUKS headers, against cryptsetup.
mod luks;
// Keys that a TPM has sealed, against systemd-cryptenroll.
mod tpm;
// Environments of U-Boot, against fw_printenv and fw_setenv.
mod uboot_env;
// The hook for kernel packages of Debian 12.
mod kernel_removal;
// What a distribution installs: packages and hooks.
mod packages;
// Manual pages, and completions in the shells.
mod reference;
// What other image generators, kernel-install and recipes of distributions call.
mod generators;
// Where `report` finds a record, and what it writes.
mod report;
// Images of installed kernels.
mod image_check;
mod image_update;
// The release binaries: static and small.
mod binary;

fn main() -> ExitCode {
    harness::run::main(&[
        kernels::TESTS,
        device_tree::TESTS,
        boards::TESTS,
        signatures::TESTS,
        depmod::TESTS,
        blkid::TESTS,
        luks::TESTS,
        tpm::TESTS,
        uboot_env::TESTS,
        fake_roots::TESTS,
        image::TESTS,
        image_selection::TESTS,
        foreign_images::TESTS,
        hostile_images::TESTS,
        modules_conf::TESTS,
        commands::TESTS,
        kernel_removal::TESTS,
        packages::TESTS,
        reference::TESTS,
        generators::TESTS,
        report::TESTS,
        image_check::TESTS,
        image_update::TESTS,
        binary::TESTS,
    ])
}
