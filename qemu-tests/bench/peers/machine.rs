//! The machines on which all programs boot.

use harness::kernel::{Kernel, Tree};
use harness::machine::Machine;
use harness::measured;
use std::path::Path;

/// A machine with its kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Name in the table.
    pub(crate) name: &'static str,
    /// Kernel that boots, and whose modules are in the images.
    pub(crate) kernel: Kernel,
    /// Makes the machine for an image.
    pub(crate) make: fn(&Tree, &Path) -> Machine,
    /// Modules of the root disk and its filesystem.
    pub(crate) roots: &'static [&'static str],
}

/// A disk, a network card and a random number generator.
pub(crate) const VIRTIO: Measured = Measured {
    name: "virtio",
    kernel: Kernel::Cloud61,
    make: measured::virtio,
    roots: &["virtio_pci", "virtio_blk", "ext4"],
};

/// More than sixty devices.
pub(crate) const FLEET: Measured =
    Measured { name: "fleet", kernel: Kernel::Full61, make: measured::fleet, roots: VIRTIO.roots };
