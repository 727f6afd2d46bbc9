//! What one step finds out and another needs.

use std::net::Ipv4Addr;

use crate::kmod::name::ModuleName;

/// What the steps have found out about the root. It outlives a failed attempt.
#[derive(Debug, Default)]
pub(in crate::boot) struct RootState {
    /// The root device found last: a node, a tag, a UBI volume or an NFS export.
    pub(super) device: Option<String>,
    /// The node of that device, if it is a block device: a tag may look like a node.
    pub(super) node: Option<String>,
    /// The slot that was chosen for the next attempt, until the pipeline takes it.
    pub(super) slot: Option<String>,
    /// Modules that the root needs, as far as they are known: those that steps have requested, and
    /// the drivers of the devices below what is mounted.
    pub(super) modules: Vec<ModuleName>,
    /// Devices that were assembled: the line for the record, and the device number.
    #[cfg(feature = "stacks")]
    pub(super) layers: Vec<(String, (u32, u32))>,
    /// The network, once it is configured.
    pub(super) network: Option<NetworkState>,
}

impl RootState {
    /// Adds modules that the root needs. Steps that wait request theirs again and again.
    pub(super) fn add_modules(&mut self, modules: impl IntoIterator<Item = ModuleName>) {
        for module in modules {
            if !self.modules.contains(&module) {
                self.modules.push(module);
            }
        }
    }
}

/// The interface that leads to the root's server, and what DHCP said about that server.
#[derive(Debug)]
pub(super) struct NetworkState {
    /// Name of the interface.
    pub(super) interface: String,
    /// Address of this machine.
    pub(super) address: Option<Ipv4Addr>,
    /// The server that DHCP or the kernel names for the root.
    pub(super) server: Option<Ipv4Addr>,
    /// Root path of DHCP.
    pub(super) root_path: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_noted_once() {
        let mut state = RootState::default();
        for (request, want) in [
            ("btrfs", "btrfs"),
            ("btrfs", "btrfs"),
            ("virtio_blk btrfs virtio_blk", "btrfs virtio_blk"),
            ("", "btrfs virtio_blk"),
            ("ext4", "btrfs virtio_blk ext4"),
        ] {
            state.add_modules(request.split_whitespace().map(ModuleName::new));
            let names: Vec<_> = state.modules.iter().map(ModuleName::text).collect();
            assert_eq!(names.join(" "), want, "{request}");
        }
    }
}
