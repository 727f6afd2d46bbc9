//! What a step waits for, in words.

use std::fmt;

use crate::cmdline::root_name::RootName;
use crate::escape;

/// The kind of what a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The device of the root filesystem.
    RootDevice,
    /// Another device.
    Device,
    /// Further devices of a filesystem that spans several.
    Members,
    /// A reply, or something else that no uevent announces.
    Reply,
}

/// What a step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::boot) struct Awaited {
    kind: Kind,
    /// The name as the record has it: `LABEL=x`, `mount.usr=UUID=y`, `a DHCP reply on eth0 (…)`.
    text: String,
    /// The device that is looked for, if near misses of its name are worth a hint.
    name: Option<RootName>,
}

impl Awaited {
    /// The root device, as the command line names it.
    pub(in crate::boot) fn root(text: &str, name: &RootName) -> Self {
        Self { kind: Kind::RootDevice, text: text.to_owned(), name: Some(name.clone()) }
    }

    /// Another device. `text` says which parameter names it.
    pub(super) fn device(text: String, name: Option<&RootName>) -> Self {
        Self { kind: Kind::Device, text, name: name.cloned() }
    }

    /// The missing devices of a filesystem that spans several.
    pub(super) fn members(text: String) -> Self {
        Self { kind: Kind::Members, text, name: None }
    }

    /// A reply, or something else that no uevent announces.
    pub(super) fn reply(text: String) -> Self {
        Self { kind: Kind::Reply, text, name: None }
    }

    /// Returns whether the step goes on after some time even if nothing appears.
    pub(super) fn is_timed(&self) -> bool {
        self.kind == Kind::Members
    }

    /// Returns the text for the record.
    pub(in crate::boot) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the name of the device that is looked for.
    pub(in crate::boot) fn name(&self) -> Option<&RootName> {
        self.name.as_ref()
    }

    /// Returns the message after a wait in vain; `waited` is a time with its unit.
    pub(in crate::boot) fn failure(&self, waited: &str) -> String {
        match self.kind {
            Kind::RootDevice | Kind::Device => format!("{self} not found after {waited}"),
            Kind::Members => format!("{self} incomplete after {waited}"),
            Kind::Reply => format!("timed out after {waited} waiting for {self}"),
        }
    }
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::RootDevice {
            f.write_str("root device ")?;
        }
        f.write_str(&escape::line(&self.text))
    }
}
