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

#[cfg(feature = "host")]
impl StackParams {
    /// Returns the kinds of the named devices, by the names of their module sets: `crypt`, `lvm`
    /// and `raid`.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let Self { luks, assembly } = self;
        let kinds = [
            ("crypt", luks.names_any()),
            ("lvm", assembly.names_volumes()),
            ("raid", assembly.names_arrays()),
        ];
        kinds.into_iter().filter(|(_, is_named)| *is_named).map(|(kind, _)| kind).collect()
    }
}
