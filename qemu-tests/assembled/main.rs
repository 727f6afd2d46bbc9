//! Roots on LUKS, LVM and md, on disks that Debian's own tools have made in a guest (`make stacks`).

use std::process::ExitCode;

// Disks of LUKS, LVM and md by the tools of Debian.
mod made_disks;
// Superblocks of md and choices of members, against mdadm.
mod md;
// Roots on arrays of md.
mod md_roots;
// Roots on LUKS devices.
mod luks;
// Roots on LUKS devices whose keys the TPM holds.
mod tpm;
// Roots on logical volumes.
mod lvm;
// Roots that programs of the image assemble.
mod external;
// LUKS, LVM and md below each other.
mod layers;
// Debian 12 as its installer lays it out, on LUKS, LVM and md.
mod installed;
// Images for captured machines, against the plan and the check.
mod predicted;

fn main() -> ExitCode {
    harness::run::main(&[
        made_disks::TESTS,
        installed::TESTS,
        md::TESTS,
        md_roots::TESTS,
        lvm::TESTS,
        layers::TESTS,
        predicted::TESTS,
        external::TESTS,
        luks::TESTS,
        tpm::TESTS,
    ])
}
