//! What the kernel command line says of devices that are made of others.

use super::assembly::AssemblyParams;
use super::luks::LuksParams;

/// LUKS devices, logical volumes and arrays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackParams {
    /// LUKS devices.
    pub(crate) luks: LuksParams,
    /// Logical volumes and arrays.
    pub(crate) assembly: AssemblyParams,
}
