//! The messages between PID 1 and the child that assembles.
//!
//! ```text
//! request   lvm NODE...                     physical volumes: what is there?
//!           md NODE...                      members of arrays: what is there?
//!           volumes GROUP-UUID degraded|- NAME...
//!           array UUID degraded|- dirty|- DEVICE   DEVICE: its name, such as md0; empty for the usual
//!           luks NODE PLACE NAME SLOT ro|- MEASURE SIGNATURE TIMEOUT FLAG...
//!                                           what does the header say?
//!           passphrase SECRET               can a volume key be had by it?
//!           key-file PLACE OFFSET SIZE      the same by what a file holds
//!           token PIN                       the same by what the TPM has sealed
//!           run NODE TIMEOUT KIND PROGRAM ARG...
//!                                           runs a program of assemble.d
//!           make                            the modules are there: make what was asked for
//! reply     groups NOTES GROUP...           to `lvm`
//!           arrays NOTES ARRAY...           to `md`
//!           luks UUID LABEL tpm|- pin|- DAMAGE MODULE...   to `luks`
//!           unlocked                        to `passphrase`, `key-file` and `token`
//!           wrong-key TEXT                  the same: another one may be right; TEXT may be empty
//!           modules NAME...                 to `volumes` and `array`: needed before `make`
//!           made TEXT...                    to `make`: what to say about each device; to `run`
//!           failed TEXT                     to any request
//!
//! NODE      PATH MAJOR MINOR SIZE
//! PLACE     PATH DEVICE FSTYPES              PATH in the filesystem on the node DEVICE, or in the
//!                                           image without one; a device alone without PATH
//! NOTES     number of messages, each TEXT
//! GROUP     NAME UUID problem|- TEXT number of volumes, each NAME STATE TEXT
//! ARRAY     NAME UUID STATE TEXT number of members, each MAJOR MINOR
//! ```
//!
//! Fields are those of sys/fields.rs. encoding.rs writes and parses them.

mod encoding;

#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use super::Node;
use crate::disk::assemble_rule::AssembleRule;

/// What the child is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Reads the metadata of these physical volumes.
    Lvm(Vec<Node>),
    /// Reads the superblocks of these members of arrays.
    Md(Vec<Node>),
    /// Prepares the activation of logical volumes of a group.
    Volumes {
        /// UUID of the volume group.
        group: String,
        /// Whether volumes may be activated whose redundancy covers what is missing.
        degraded: bool,
        /// Names of the volumes.
        names: Vec<String>,
    },
    /// Prepares the start of an array.
    Array {
        /// UUID of the array.
        uuid: String,
        /// Whether it may start without all of its members.
        degraded: bool,
        /// Whether it may start degraded although it was not shut down cleanly.
        dirty: bool,
        /// Name that its device gets; empty for the one that the survey chose.
        device: String,
    },
    /// Reads the header of a LUKS device.
    Luks(Box<LuksRequest>),
    /// Tries a passphrase on the header.
    Passphrase(Zeroizing<Vec<u8>>),
    /// Tries what a key file holds, from `offset` on.
    KeyFile {
        /// The file.
        place: Place,
        /// Bytes that are skipped.
        offset: u64,
        /// Bytes that are used; `None` means all.
        size: Option<u64>,
    },
    /// Tries what the TPM unseals, with this PIN unless it is empty.
    Token(Zeroizing<Vec<u8>>),
    /// Runs a program of the image for a device.
    Run {
        /// The device.
        node: Node,
        /// The program.
        rule: AssembleRule,
        /// Longest time that the program may take, in seconds.
        timeout_s: u64,
    },
    /// Makes what was prepared.
    Make,
}

/// A LUKS device that is to be unlocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LuksRequest {
    /// The device.
    pub(crate) node: Node,
    /// The header, if it is not on the device.
    pub(crate) header: Option<Place>,
    /// Name below /dev/mapper; empty for `luks-UUID`.
    pub(crate) name: String,
    /// The only key slot that is tried.
    pub(crate) slot: Option<u32>,
    /// Whether the device must not be written to.
    pub(crate) read_only: bool,
    /// PCR that the volume key is measured into, with banks: `15:sha256`; empty for none.
    pub(crate) measure: String,
    /// Path of the signatures of PCR policies; empty for the usual ones.
    pub(crate) signature: String,
    /// Longest wait for the driver of a TPM, in seconds.
    pub(crate) token_timeout: u64,
    /// Flags under their names in LUKS headers, such as `allow-discards`.
    pub(crate) flags: Vec<String>,
}

/// Where a file is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Path of the file; empty if the device itself is meant.
    pub(crate) path: String,
    /// Node of the device; empty for a file of the image.
    pub(crate) device: String,
    /// Types of the filesystem on the device to try, separated by commas.
    pub(crate) fstypes: String,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The volume groups, and messages about them and about devices that are not used.
    Groups(Vec<Group>, Vec<String>),
    /// The arrays, and messages likewise.
    Arrays(Vec<Array>, Vec<String>),
    /// What the header of a LUKS device says.
    Luks(Luks),
    /// The volume key is known.
    Unlocked,
    /// The key is wrong, or of no use, and why.
    WrongKey(String),
    /// The modules that are needed next, by name or alias.
    Modules(Vec<String>),
    /// What was made, in words: `vg0/root`, `/dev/md0 (raid1)`.
    Made(Vec<String>),
    /// The request failed, and why.
    Failed(String),
}

/// A LUKS device as PID 1 needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Luks {
    pub(crate) uuid: String,
    /// Label of the header; may be empty.
    pub(crate) label: String,
    /// Whether a TPM may have a key.
    pub(crate) has_token: bool,
    /// Whether the TPM needs a PIN for it.
    pub(crate) needs_pin: bool,
    /// Why one of the two copies of the header is not used; empty if none is damaged.
    pub(crate) damage: String,
    /// Modules that are needed, by name or alias.
    pub(crate) modules: Vec<String>,
}

/// A volume group as PID 1 needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// Why nothing of the group is activated as things are: missing physical volumes, another group
    /// of that name, exported, …
    pub(crate) problem: Option<String>,
    /// The visible logical volumes.
    pub(crate) volumes: Vec<Volume>,
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) state: State,
    /// What is missing, or why it is refused; empty for a volume that is ready.
    pub(crate) text: String,
}

/// An array of md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    /// Name that it has or will have: `md0`, `md127`.
    pub(crate) name: String,
    /// UUID in the form of mdadm(8): `xxxxxxxx:xxxxxxxx:xxxxxxxx:xxxxxxxx`.
    pub(crate) uuid: String,
    pub(crate) state: State,
    /// What is missing or left out, or why it is refused.
    pub(crate) text: String,
    /// Device numbers of the members.
    pub(crate) members: Vec<(u32, u32)>,
}

/// What can be done with a volume or an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is active already.
    Active,
    /// It can be made.
    Ready,
    /// It can be made, but only if it is named.
    Skipped,
    /// It can be made without something that is missing.
    Degraded,
    /// The same, but it was not shut down cleanly: data may be lost.
    Dirty,
    /// Too much is missing.
    Incomplete,
    /// It is not made whatever appears.
    Refused,
}
