//! Boots in QEMU, one scenario a test: the guest reports facts, the test asserts on them.
//!
//! `make test` runs them but for the longest, which `make boots` runs too; they need the release builds for musl of `coldplug` and of the guest's
//! programs. Kernels are Debian's; everything else is made in the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, with a message"
)]

use std::process::ExitCode;

// The harness itself: the floor and the kernels.
mod floor;

// Buses of the root disk.
mod buses;
// Names and candidates of the root, what is mounted beside it, hibernation, fsck.
mod root;
// Names of disks, against those of udev.
mod disk_names;
// Every filesystem that a root may have.
mod filesystems;
// Below and above the root filesystem: verity, images, overlays, flash.
mod stacks;
// Filesystems on several devices: copies, seeds, one name for two.
mod multi_device;
// Roots without a block device: 9p, virtiofs, NFS.
mod network;

// Load methods: plain and compressed modules.
mod load_methods;
// Orders of loading, loads that are finished after the switch, lost events.
mod loading;
// Commands in a guest with the root of this machine.
mod run;
// Devices whose probe is deferred.
mod deferred;
// More uevents than the socket buffer holds.
mod uevents;
// Machines of other architectures, and newer kernels.
mod boards;
// All modules of a machine, against those that kmod loads.
mod kmod;
// The fleet machine with its sixty devices, against kmod, busybox, udev and the plan.
mod fleet;
// Images for captured machines, against the plan and the check.
mod predicted;

// The system that the real init gets.
mod handover;
// What the harness of a virtual machine may rely on.
mod contract;
// Ports that get milestones and the record.
mod report_ports;
// Scripts that run in the real root.
mod scripts;
// Views of the record of a real boot.
mod reports;
// What a screen shows.
mod screen;
// Damaged images and modules, boots that fail.
mod faults;
// The shells that a person at a console gets.
mod rescue;
// Failed boots that are stored for the next one.
mod persistence;
// Slots of an A/B system.
mod slots;
// A Debian with systemd, with our image and with its own.
mod debian;
// The packages of coldplug on Debian, and kernels that come and go.
mod packages;
// Images that dracut and kernel-install build with coldplug.
mod generators;

// Images for one machine.
mod machine_images;
// The smallest program for images.
mod boot_only;
// What else `image build` puts into images, and how it compresses them.
mod contents;

// Requests of the kernel for modules: helper, autoclean, settings, monitor.
mod demand;
// The module tools on a running kernel.
mod module_tools;

fn main() -> ExitCode {
    // The longest first, so that no long test is left alone at the end.
    let usual = [
        fleet::TESTS,
        predicted::TESTS,
        disk_names::TESTS,
        debian::TESTS,
        root::TESTS,
        loading::TESTS,
        demand::TESTS,
        module_tools::TESTS,
        kmod::TESTS,
        boards::TESTS,
        stacks::TESTS,
        multi_device::TESTS,
        handover::TESTS,
        contract::TESTS,
        report_ports::TESTS,
        scripts::TESTS,
        reports::TESTS,
        screen::TESTS,
        faults::TESTS,
        rescue::TESTS,
        run::TESTS,
        boot_only::TESTS,
        contents::TESTS,
        machine_images::TESTS,
        persistence::TESTS,
        slots::TESTS,
        filesystems::TESTS,
        network::TESTS,
        deferred::TESTS,
        uevents::TESTS,
        buses::TESTS,
        load_methods::TESTS,
        floor::TESTS,
    ];
    let extra = [
        fleet::EXTRA,
        predicted::EXTRA,
        debian::EXTRA,
        packages::EXTRA,
        generators::EXTRA,
        scripts::EXTRA,
    ];
    harness::run::main_with_extra(&usual, &extra)
}
