//! LVM2: which groups and volumes devices hold, and the activation of volumes.
//!
//! [`survey()`] reads the devices and says of each volume whether it can be activated, [`plan`] builds
//! the tables, and [`make`] creates the mapped devices. A group that lvm2 would not touch (exported,
//! shared, of another system, with duplicate devices) is refused with its name and the reason.

mod selection;
mod survey;

use std::rc::Rc;

pub(crate) use survey::survey;

use super::mapped::{self, Mapped};
use crate::disk::lvm::activation::{self, Device, Pool};
use crate::disk::lvm::group::Group;
use crate::disk::mapping::Mapping;
use crate::sys::dm::Control;
use crate::sys::{Cause, Error, Result, Root};

/// What devices hold.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) groups: Vec<VolumeGroup>,
    /// Messages about devices that are in no group, or left out.
    pub(crate) notes: Vec<String>,
}

/// A volume group.
#[derive(Debug)]
pub(crate) struct VolumeGroup {
    pub(crate) name: String,
    /// UUID, as lvm2 prints it.
    pub(crate) uuid: String,
    pub(crate) missing: Vec<MissingDevice>,
    /// Why the group is not used.
    pub(crate) problem: Option<String>,
    /// Messages about the group that do not hinder its use: stale metadata, devices it removed.
    pub(crate) notes: Vec<String>,
    pub(crate) volumes: Vec<LogicalVolume>,
    group: Rc<Group>,
    /// Device of each physical volume.
    devices: Vec<Option<Device>>,
}

/// A physical volume that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingDevice {
    /// UUID, as lvm2 prints it.
    pub(crate) uuid: String,
    /// Node that it had when the metadata was written; empty if unknown.
    pub(crate) last_node: String,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogicalVolume {
    pub(crate) name: String,
    /// Name below /dev/mapper.
    pub(crate) mapped_name: String,
    /// Whether it is one that users see, rather than a part of another.
    pub(crate) is_visible: bool,
    /// Whether it is activated only if named (`lvcreate -k y`: thin snapshots).
    pub(crate) is_skipped: bool,
    /// Number of its device, if it is active.
    pub(crate) active: Option<(u32, u32)>,
    pub(crate) state: VolumeState,
}

/// Whether a volume can be activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeState {
    Ready,
    /// Devices that it needs are missing.
    Missing {
        devices: Vec<MissingDevice>,
        /// Whether the other devices hold all data, so that it can be activated as degraded.
        is_covered: bool,
    },
    /// It cannot be activated: the reason.
    Refused(String),
}

/// How volumes are activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Modules that the devices need.
    pub(crate) modules: Vec<&'static str>,
    /// The devices, in the order of their creation.
    pub(crate) mappings: Vec<Mapping>,
    pools: Vec<Pool>,
}

impl VolumeGroup {
    /// Returns the volume `name`.
    pub(crate) fn volume(&self, name: &str) -> Option<&LogicalVolume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}

/// Plans the activation of volumes of a group. Missing devices are left out of arrays if
/// `is_degraded` and the others hold all data.
///
/// # Errors
/// The group is not used, or a volume does not exist or cannot be activated: the reason.
pub(crate) fn plan(
    group: &VolumeGroup,
    names: &[&str],
    is_degraded: bool,
) -> std::result::Result<Plan, String> {
    if let Some(problem) = &group.problem {
        return Err(format!("volume group {}: {problem}", group.name));
    }
    let mut volumes = Vec::with_capacity(names.len());
    for name in names {
        let failed = |reason: &str| Err(format!("volume {}/{name}: {reason}", group.name));
        let (Some(volume), Some(index)) = (group.volume(name), group.group.find(name)) else {
            return failed("does not exist");
        };
        match &volume.state {
            VolumeState::Ready => {}
            VolumeState::Missing { is_covered: true, .. } if is_degraded => {}
            VolumeState::Missing { .. } => return failed("devices are missing"),
            VolumeState::Refused(reason) => return failed(reason),
        }
        volumes.push(index);
    }
    let made = activation::activate(&group.group, &group.devices, &volumes, is_degraded)
        .map_err(|reason| format!("volume group {}: {reason}", group.name))?;
    Ok(Plan { modules: made.modules, mappings: made.mappings, pools: made.pools })
}

/// Creates the devices of a plan, whose modules are loaded. After an error none of them exists that
/// was not there before.
///
/// # Errors
/// The kernel refuses a device, or the metadata of a thin pool needs a repair.
pub(crate) fn make(dir: &Root, plan: &Plan) -> Result<Vec<Mapped>> {
    let made = mapped::create_all(dir, &plan.mappings)?;
    check_pools(dir, &plan.pools).inspect_err(|_| mapped::remove_new(dir, &made))?;
    Ok(made)
}

/// Checks that thin pools in the kernel are in the state that the metadata expects.
fn check_pools(dir: &Root, pools: &[Pool]) -> Result<()> {
    if pools.is_empty() {
        return Ok(());
    }
    let control = Control::open(dir)?;
    for pool in pools {
        let status = control.status(&pool.name)?;
        if let Some(problem) = pool.problem(&status) {
            return Err(Error::new("activate", &pool.name, Cause::Other(problem)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
