//! What the kernel command line says about the root: where it is, how it is mounted, what goes on top of it.
//!
//! ```text
//! root=NAME  rootfstype=A,B  rootflags=…  ro  rw  rootwait[=S]  rootdelay=S       admin-guide/kernel-parameters
//! coldplug.root=NAME[,wait=S];NAME;…      tried in this order; before root=
//! coldplug.timeout=S                      longest wait for the root
//! mount.usr=NAME  mount.usrfstype=  mount.usrflags=                               systemd-fstab-generator(8)
//! resume=NAME  resume_offset=N  noresume                                          admin-guide/kernel-parameters
//! ip=…  nfsroot=…  BOOTIF=…               the network: see super::network
//! coldplug.fsck=auto|no|force             check filesystems with what the image carries for it
//! ```
//!
//! Where a word stands twice the later one wins, as with the kernel.

use std::time::Duration;

use super::network::NetworkParams;
use super::root_name::RootName;
use super::words::{list, pick, set};

/// Longest wait for the root where nothing else is said.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for one of several roots, where nothing else is said and others follow.
const NEXT: Duration = Duration::from_secs(10);

/// One of the devices that the root may be on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCandidate {
    /// The device.
    pub name: RootName,
    /// How it stands on the command line.
    pub text: String,
    /// How long it may take; `None` is what `coldplug.timeout=` says.
    pub wait: Option<Duration>,
}

/// A filesystem below the root that is mounted before the switch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usr {
    /// Its device.
    pub name: Option<RootName>,
    /// Its types, tried in order; empty: what it is found to be.
    pub fstypes: Vec<String>,
    /// Its mount options.
    pub flags: String,
}

/// Whether filesystems are checked before they are mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FsckMode {
    /// Where the image carries what checks them.
    #[default]
    Auto,
    /// Not at all.
    No,
    /// Even where they say that they are clean.
    Force,
}

/// The command line's words about the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootParams {
    /// `root=`.
    kernel: Option<RootCandidate>,
    /// `coldplug.root=`, and how it is written.
    own: Vec<RootCandidate>,
    own_text: String,
    /// `rootfstype=`, a list tried in order.
    pub fstypes: Vec<String>,
    /// `rootflags=`.
    pub flags: String,
    /// `rw` was the last of `ro` and `rw`.
    pub writable: bool,
    /// `rootdelay=`: a pause before the root is looked for.
    pub delay: Duration,
    /// Longest wait for the root; `None` is for ever (`rootwait`).
    pub timeout: Option<Duration>,
    /// `mount.usr=` and its kin.
    pub usr: Usr,
    /// `resume=`: where a hibernated system may lie; `noresume` takes it away.
    pub resume: Option<RootName>,
    /// `resume_offset=`, in pages.
    pub resume_offset: u64,
    /// `coldplug.fsck=`.
    pub fsck: FsckMode,
    /// `ip=`, `nfsroot=`, `BOOTIF=`.
    pub network: NetworkParams,
}

impl Default for RootParams {
    fn default() -> Self {
        Self {
            kernel: None,
            own: Vec::new(),
            own_text: String::new(),
            fstypes: Vec::new(),
            flags: String::new(),
            writable: false,
            delay: Duration::ZERO,
            timeout: Some(DEFAULT_TIMEOUT),
            usr: Usr::default(),
            resume: None,
            resume_offset: 0,
            fsck: FsckMode::Auto,
            network: NetworkParams::default(),
        }
    }
}

impl RootParams {
    /// The roots to try, in order. Where none is named: the partition whose type says that it is one.
    pub fn candidates(&self) -> Vec<RootCandidate> {
        if !self.own.is_empty() {
            return self.own.clone();
        }
        let implied =
            || RootCandidate { name: RootName::GptAuto, text: "gpt-auto".into(), wait: None };
        vec![self.kernel.clone().unwrap_or_else(implied)]
    }

    /// Whether the command line names a root.
    pub fn is_named(&self) -> bool {
        self.kernel.is_some() || !self.own.is_empty()
    }

    /// How the root is written on the command line; empty where it is not.
    pub fn spec(&self) -> &str {
        match &self.kernel {
            _ if !self.own.is_empty() => &self.own_text,
            Some(candidate) => &candidate.text,
            None => "",
        }
    }

    /// Takes the device called `text` for the root, whatever the command line says.
    pub fn replace(&mut self, text: &str) {
        self.kernel = candidate(text);
        self.own.clear();
    }

    /// Takes a word that the kernel or systemd knows too; `Some(false)` where its value makes no sense, `None` where
    /// the word is not about the root.
    pub(super) fn word(&mut self, key: &str, value: Option<&str>) -> Option<bool> {
        let text = value.unwrap_or("");
        Some(match (key, value) {
            ("root", Some(_)) => set(&mut self.kernel, Some(candidate(text))),
            ("rootfstype", Some(_)) => set(&mut self.fstypes, Some(list(text))),
            ("rootflags", Some(_)) => set(&mut self.flags, Some(text.to_owned())),
            ("ro", None) => set(&mut self.writable, Some(false)),
            ("rw", None) => set(&mut self.writable, Some(true)),
            ("rootwait", None) => set(&mut self.timeout, Some(None)),
            ("rootwait", Some(_)) => set(&mut self.timeout, seconds(text).map(Some)),
            ("rootdelay", Some(_)) => set(&mut self.delay, seconds(text)),
            ("mount.usr", Some(_)) => set(&mut self.usr.name, Some(RootName::parse(text))),
            ("mount.usrfstype", Some(_)) => set(&mut self.usr.fstypes, Some(list(text))),
            ("mount.usrflags", Some(_)) => set(&mut self.usr.flags, Some(text.to_owned())),
            ("resume", Some(_)) => set(&mut self.resume, Some(RootName::parse(text))),
            ("resume_offset", Some(_)) => set(&mut self.resume_offset, text.parse().ok()),
            ("noresume", None) => set(&mut self.resume, Some(None)),
            (_, Some(_)) => return self.network.word(key, text),
            _ => return None,
        })
    }

    /// Takes a word of ours, without its `coldplug.`; as [`Self::word`].
    pub(super) fn own_word(&mut self, key: &str, value: Option<&str>) -> Option<bool> {
        const FSCK: [(&str, FsckMode); 3] =
            [("auto", FsckMode::Auto), ("no", FsckMode::No), ("force", FsckMode::Force)];
        let text = value.unwrap_or("");
        Some(match key {
            "root" => {
                text.clone_into(&mut self.own_text);
                set(&mut self.own, candidates(text))
            }
            "timeout" => set(&mut self.timeout, seconds(text).map(Some)),
            "fsck" => set(&mut self.fsck, pick(text, &FSCK)),
            _ => return None,
        })
    }
}

fn candidate(text: &str) -> Option<RootCandidate> {
    Some(RootCandidate { name: RootName::parse(text)?, text: text.to_owned(), wait: None })
}

/// The list of `coldplug.root=`; `None` where it names nothing, or a time to wait is no number.
fn candidates(text: &str) -> Option<Vec<RootCandidate>> {
    let entries: Vec<&str> = text.split(';').filter(|entry| !entry.is_empty()).collect();
    let mut candidates = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let (name, wait) = match entry.rsplit_once(",wait=") {
            Some((name, wait)) => (name, Some(seconds(wait)?)),
            None => (*entry, (at + 1 < entries.len()).then_some(NEXT)),
        };
        candidates.push(RootCandidate { wait, ..candidate(name)? });
    }
    Some(candidates).filter(|candidates| !candidates.is_empty())
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::super::boot::BootParams;
    use super::*;

    fn parse(line: &str) -> RootParams {
        BootParams::parse(line).root
    }

    #[test]
    fn one_root_or_several() {
        for (line, spec, want) in [
            ("", "", vec![("gpt-auto", None)]),
            ("root=", "", vec![("gpt-auto", None)]),
            ("root=/dev/a root=UUID=1", "UUID=1", vec![("UUID=1", None)]),
            (
                "root=/dev/x coldplug.root=PARTLABEL=a;LABEL=b,wait=3;/dev/c",
                "PARTLABEL=a;LABEL=b,wait=3;/dev/c",
                vec![("PARTLABEL=a", Some(10)), ("LABEL=b", Some(3)), ("/dev/c", None)],
            ),
            (
                "coldplug.root=\"LABEL=my a;LABEL=b\"",
                "LABEL=my a;LABEL=b",
                vec![("LABEL=my a", Some(10)), ("LABEL=b", None)],
            ),
        ] {
            let params = parse(line);
            let candidates = params.candidates();
            let have: Vec<_> =
                candidates.iter().map(|c| (c.text.as_str(), c.wait.map(|w| w.as_secs()))).collect();
            assert_eq!((params.spec(), have), (spec, want), "{line}");
        }
        for bad in ["coldplug.root=", "coldplug.root=;", "coldplug.root=/dev/a,wait=soon"] {
            let params = BootParams::parse(bad);
            assert!(!params.root.is_named() && params.warnings.len() == 1, "{bad}");
        }
    }

    #[test]
    fn what_is_mounted_and_resumed() {
        let p = parse(
            "mount.usr=LABEL=usr mount.usrfstype=ext4,xfs mount.usrflags=noatime resume=UUID=5 \
             resume_offset=4096 coldplug.fsck=no rw",
        );
        let usr = Usr {
            name: RootName::parse("LABEL=usr"),
            fstypes: vec!["ext4".into(), "xfs".into()],
            flags: "noatime".into(),
        };
        assert_eq!((p.usr, p.fsck, p.writable), (usr, FsckMode::No, true));
        assert_eq!((p.resume, p.resume_offset), (RootName::parse("UUID=5"), 4096));
        assert_eq!(parse("resume=/dev/a noresume").resume, None);
    }
}
