//! Without the feature `full` a root is a filesystem on a block device, with nothing below or above
//! it. A root of another kind fails with the reason. `cmdline` ends the boot for the parameters of
//! layers and of slots, and warns about `resume=`, so that no step of them is planned.

use super::{Progress, RootStep, StepContext, StepError};
use crate::cmdline::root::{RootCandidate, RootParams};
use crate::cmdline::root_name::RootName;

/// A step that this program cannot do.
#[derive(Debug)]
pub(super) struct Absent {
    parameter: String,
    feature: &'static str,
}

impl Absent {
    /// Returns the step of a layer.
    pub(super) fn new<T>(_: T) -> Self {
        Self { parameter: "kernel command line".to_owned(), feature: "layers of storage" }
    }

    /// Returns the step of a volume of UBI.
    pub(super) fn root(_: &RootCandidate, _: &RootParams) -> Self {
        Self::new(())
    }
}

impl RootStep for Absent {
    fn advance(&mut self, _: &mut StepContext<'_>) -> Result<Progress, StepError> {
        Err(StepError::Absent { parameter: self.parameter.clone(), feature: self.feature })
    }
}

pub(super) mod host_share {
    use super::{Absent, RootCandidate, RootName, RootParams};
    use crate::cmdline::network::NfsExport;

    /// Types of filesystems without a block device.
    const SHARES: [&str; 2] = ["9p", "virtiofs"];

    /// Returns what this program lacks for a root of another kind.
    fn feature(choice: &RootCandidate, params: &RootParams) -> Option<&'static str> {
        let text = choice.text.as_str();
        let head = text.split([':', '!']).next().unwrap_or_default();
        let is_type = |fstype: &str| params.fstypes.first().is_some_and(|first| first == fstype);
        match &choice.name {
            RootName::Link(_) => Some("links of disks in /dev/disk"),
            _ if SHARES.contains(&head) || SHARES.iter().any(|fstype| is_type(fstype)) => {
                Some("9p or virtiofs")
            }
            _ if NfsExport::from_root_value(text).is_some() => Some("NFS"),
            _ if text.strip_prefix("/dev/").unwrap_or(text).starts_with("ubi") => Some("UBI"),
            _ => None,
        }
    }

    /// A root of another kind.
    #[derive(Debug)]
    pub(in crate::boot::root) enum HostShare {}

    impl HostShare {
        /// Returns the step that says what this program lacks for the root.
        pub(in crate::boot::root) fn root(
            choice: &RootCandidate,
            params: &RootParams,
        ) -> Option<Absent> {
            let parameter = format!("root={}", choice.text);
            feature(choice, params).map(|feature| Absent { parameter, feature })
        }
    }
}

pub(super) mod nfs {
    use std::path::Path;

    use rustix::io::Errno;

    pub(in crate::boot::root) use super::Absent as Client;
    use super::{Absent, RootCandidate, RootParams};
    use crate::boot::root::worker::NfsMount;
    use crate::sys;

    /// Nothing.
    #[derive(Debug)]
    pub(in crate::boot::root) enum Nfs {}

    impl Nfs {
        /// Returns nothing: [`super::host_share`] names roots on servers.
        pub(in crate::boot::root) fn root(_: &RootCandidate, _: &RootParams) -> Option<Absent> {
            None
        }
    }

    /// Mounts nothing.
    ///
    /// # Errors
    /// Always.
    pub(in crate::boot::root) fn attempt(
        mount: &NfsMount,
        _: &Path,
    ) -> Result<&'static str, sys::Error> {
        Err(sys::Error::new("mount", &mount.source, Errno::NOSYS))
    }
}

pub(super) mod ubi {
    pub(in crate::boot::root) use super::{Absent as Attach, Absent as Volume};

    /// Returns false: [`super::host_share`] names volumes.
    pub(in crate::boot::root) fn is_volume(_: &str) -> bool {
        false
    }
}

pub(super) mod verity {
    use rustix::io::Errno;

    pub(in crate::boot::root) use super::Absent as Verity;
    use crate::sys::{self, Root};

    /// Node of the verified root in the programs that have the feature.
    pub(crate) const DEVICE: &str = "/dev/mapper/root";

    /// Maps nothing.
    ///
    /// # Errors
    /// Always.
    pub(in crate::boot::root) fn activate(
        _: &Root,
        uuid: &str,
        _: u64,
        _: &str,
    ) -> sys::Result<()> {
        Err(sys::Error::new("create", uuid, Errno::NOSYS))
    }

    /// Removes nothing.
    pub(in crate::boot::root) fn remove(_: &Root) {}
}

pub(super) mod image_file {
    pub(in crate::boot::root) use super::Absent as ImageFile;
}

pub(super) mod overlay {
    pub(in crate::boot::root) use super::Absent as Overlay;
}

pub(super) mod resume {
    use super::{Absent, Progress, RootName, RootStep, StepContext, StepError};

    /// The resume, which is never planned.
    #[derive(Debug)]
    pub(in crate::boot::root) struct Resume(Absent);

    impl Resume {
        pub(in crate::boot::root) fn new(_: RootName, _: u64) -> Self {
            Self(Absent::new(()))
        }
    }

    impl RootStep for Resume {
        fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
            self.0.advance(cx)
        }
    }
}

pub(super) mod slot {
    use std::path::PathBuf;

    use rustix::io::Errno;

    use super::{Absent, Progress, RootStep, StepContext, StepError};
    use crate::cmdline::slots::EnvironmentPlace;
    use crate::sys;

    /// The choice of a slot, which is never planned.
    #[derive(Debug)]
    pub(in crate::boot::root) struct ChooseSlot(Absent);

    impl ChooseSlot {
        pub(in crate::boot::root) fn new(
            _: &[EnvironmentPlace],
            _: &[String],
            _: &[String],
        ) -> Self {
            Self(Absent::new(()))
        }
    }

    impl RootStep for ChooseSlot {
        fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
            self.0.advance(cx)
        }
    }

    /// Takes nothing.
    ///
    /// # Errors
    /// Always.
    pub(in crate::boot::root) fn take(
        _: &[(PathBuf, i64)],
        _: usize,
        slots: &str,
        _: &str,
    ) -> sys::Result<Vec<u8>> {
        Err(sys::Error::new("read", slots, Errno::NOSYS))
    }
}
