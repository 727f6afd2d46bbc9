//! The root filesystem as the kernel command line describes it: its device, how to mount it, and
//! what else to mount.

use std::time::Duration;

use super::mount_options;
use super::network::NetworkParams;
use super::root_name::RootName;
use super::slots::{EnvironmentPlace, slots};
use super::words::owned_list;

/// Longest wait for the root device if no parameter sets another.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the superblock of one device if no parameter sets another: a disk needs some
/// seconds to spin up.
const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an entry of `coldplug.root=` that has no `wait=` and is not the last.
const CANDIDATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that the check of a filesystem may take if no parameter sets another. A check that
/// is killed halfway fails the boot, and a full check of a large disk takes hours.
const FSCK_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// A device that may hold the root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootCandidate {
    /// The name of the device.
    pub(crate) name: RootName,
    /// The name as written on the command line.
    pub(crate) text: String,
    /// Longest wait for the device; `None` means that of [`RootParams::timeout`].
    pub(crate) wait: Option<Duration>,
}

/// A filesystem for /usr, mounted before switch_root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usr {
    /// Its device.
    pub(crate) name: Option<RootName>,
    /// Filesystem types to try in order; empty means the type that is detected.
    pub(crate) fstypes: Vec<String>,
    /// Mount options.
    pub(crate) flags: String,
}

/// Whether filesystems are checked before they are mounted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FsckMode {
    /// Check if the image holds a program for the filesystem type.
    #[default]
    Auto,
    /// Never check.
    No,
    /// Check even a filesystem that is marked clean.
    Force,
}

/// Values of `coldplug.fsck=`.
pub(super) const FSCK_MODES: [(&str, FsckMode); 3] =
    [("auto", FsckMode::Auto), ("no", FsckMode::No), ("force", FsckMode::Force)];

/// Values of systemd's `fsck.mode=`.
pub(super) const SYSTEMD_FSCK_MODES: [(&str, FsckMode); 3] =
    [("auto", FsckMode::Auto), ("skip", FsckMode::No), ("force", FsckMode::Force)];

/// Values of `fsck.repair=`: the option of fsck(8) for each.
pub(super) const FSCK_REPAIRS: [(&str, &str); 3] = [("preen", "-a"), ("yes", "-y"), ("no", "-n")];

/// The parameters of the root filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootParams {
    /// `root=`.
    pub(super) kernel: Option<RootCandidate>,
    /// `coldplug.root=`.
    own: Vec<RootCandidate>,
    /// `coldplug.root=` as written on the command line.
    own_text: String,
    /// `coldplug.slots=`: the name of each root in `own`; none if these are no slots.
    pub(crate) slots: Vec<String>,
    /// `coldplug.slots_env=`: the copies of the environment that counts the attempts of slots.
    pub(crate) slots_env: Vec<EnvironmentPlace>,
    /// `rootfstype=`: filesystem types to try in order.
    pub(crate) fstypes: Vec<String>,
    /// `rootflags=`: mount options.
    pub(crate) flags: String,
    /// Whether the last of the words `ro` and `rw` is `rw`; `None` if there is neither.
    pub(crate) writable: Option<bool>,
    /// `rootdelay=`: pause before the root device is looked for.
    pub(crate) delay: Duration,
    /// Longest wait for the root device; `None` means without limit (`rootwait`).
    pub(crate) timeout: Option<Duration>,
    /// `coldplug.probe_timeout=`: longest wait for the superblock of one device.
    pub(crate) probe_timeout: Duration,
    /// `mount.usr=`, `mount.usrfstype=` and `mount.usrflags=`.
    pub(crate) usr: Usr,
    /// `resume=`: the device that may hold a hibernated system; `None` after `noresume`.
    pub(crate) resume: Option<RootName>,
    /// `resume_offset=`, in pages.
    pub(crate) resume_offset: u64,
    /// `coldplug.fsck=`, `fsck.mode=`, `fastboot`, `forcefsck` and `rd.skipfsck`.
    pub(crate) fsck: FsckMode,
    /// `fsck.repair=`, as an option of fsck(8).
    pub(crate) fsck_repair: &'static str,
    /// `coldplug.fsck_timeout=`: longest time that a check may take.
    pub(crate) fsck_timeout: Duration,
    /// The network that a root on a server needs.
    pub(crate) network: NetworkParams,
}

impl Default for RootParams {
    fn default() -> Self {
        Self {
            kernel: None,
            own: Vec::new(),
            own_text: String::new(),
            slots: Vec::new(),
            slots_env: Vec::new(),
            fstypes: Vec::new(),
            flags: String::new(),
            writable: None,
            delay: Duration::ZERO,
            timeout: Some(DEFAULT_TIMEOUT),
            probe_timeout: DEFAULT_PROBE_TIMEOUT,
            usr: Usr::default(),
            resume: None,
            resume_offset: 0,
            fsck: FsckMode::Auto,
            fsck_repair: "-a",
            fsck_timeout: FSCK_TIMEOUT,
            network: NetworkParams::default(),
        }
    }
}

impl RootParams {
    /// Returns the roots to try, in order. Without `root=` that is the partition whose type marks
    /// it as a root.
    pub fn candidates(&self) -> Vec<RootCandidate> {
        if !self.own.is_empty() {
            return self.own.clone();
        }
        let implied =
            || RootCandidate { name: RootName::GptAuto, text: "gpt-auto".into(), wait: None };
        vec![self.kernel.clone().unwrap_or_else(implied)]
    }

    /// Returns whether the command line names a root.
    pub(crate) fn is_named(&self) -> bool {
        self.kernel.is_some() || !self.own.is_empty()
    }

    /// Returns the root as written on the command line; an empty text if none is named.
    pub fn spec(&self) -> &str {
        match &self.kernel {
            _ if !self.own.is_empty() => &self.own_text,
            Some(candidate) => &candidate.text,
            None => "",
        }
    }

    /// Returns whether a root with these mount options is mounted for writing. As in systemd, the
    /// words `ro` and `rw` have priority over the same options.
    pub(crate) fn is_writable(&self, options: &str) -> bool {
        self.writable.or_else(|| mount_options::is_writable(options)).unwrap_or(false)
    }

    /// Returns whether /usr is mounted for writing: as its own options say, else like the root.
    pub(crate) fn is_usr_writable(&self) -> bool {
        let own = mount_options::is_writable(&self.usr.flags);
        own.unwrap_or_else(|| self.is_writable(&self.flags))
    }

    /// Makes the device named `text` the only root, whatever the command line names.
    pub(crate) fn replace(&mut self, text: &str) {
        self.kernel = candidate(text);
        self.own.clear();
        self.slots.clear();
    }

    /// Sets the list of `coldplug.root=`. Returns false if it names no device or a `wait=` is not a
    /// number.
    pub(super) fn set_candidates(&mut self, text: &str) -> bool {
        self.slots.clear();
        text.clone_into(&mut self.own_text);
        candidates(text).map(|list| self.own = list).is_some()
    }

    /// Sets the slots of `coldplug.slots=`. Returns false if they are malformed.
    pub(super) fn set_slots(&mut self, text: &str) -> bool {
        let Some(slots) = slots(text) else { return false };
        text.clone_into(&mut self.own_text);
        (self.slots, self.own) = slots.into_iter().unzip();
        true
    }
}

/// Parses the value of `root=`; `None` if it is empty.
pub(super) fn candidate(text: &str) -> Option<RootCandidate> {
    Some(RootCandidate { name: RootName::parse(text)?, text: text.to_owned(), wait: None })
}

/// Parses the list of `coldplug.root=`; `None` if it names no device or a `wait=` is not a number.
fn candidates(text: &str) -> Option<Vec<RootCandidate>> {
    let entries: Vec<&str> = text.split(';').filter(|entry| !entry.is_empty()).collect();
    let mut candidates = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let (name, wait) = match entry.rsplit_once(",wait=") {
            Some((name, wait)) => (name, Some(seconds(wait)?)),
            None => (*entry, (at + 1 < entries.len()).then_some(CANDIDATE_TIMEOUT)),
        };
        candidates.push(RootCandidate { wait, ..candidate(name)? });
    }
    Some(candidates).filter(|candidates| !candidates.is_empty())
}

/// Parses a number of seconds.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

/// The filesystem type that stands for the one that is detected, as for mount(8).
pub(crate) const AUTO: &str = "auto";

/// Returns the types of a list. One that is [`AUTO`] alone is the default: no list.
pub(super) fn fstypes(text: &str) -> Vec<String> {
    let types = owned_list(text);
    if types.iter().all(|fstype| fstype == AUTO) { Vec::new() } else { types }
}

#[cfg(test)]
mod tests {
    use super::super::KernelCommandLine;
    use super::*;

    fn parse(line: &str) -> RootParams {
        KernelCommandLine::parse(line).root
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
            let params = KernelCommandLine::parse(bad);
            assert!(!params.root.is_named() && params.warnings.len() == 1, "{bad}");
        }
    }

    #[test]
    fn auto_alone_is_the_default_type() {
        for (line, root, usr) in [
            ("", &[][..], &[][..]),
            ("rootfstype=auto mount.usrfstype=auto", &[], &[]),
            ("rootfstype=ext4 rootfstype=auto", &[], &[]),
            ("rootfstype=auto,auto mount.usrfstype=,auto,", &[], &[]),
            ("rootfstype=xfs,auto mount.usrfstype=auto,ext4", &["xfs", "auto"], &["auto", "ext4"]),
        ] {
            let params = parse(line);
            assert_eq!(params.fstypes, root, "{line}");
            assert_eq!(params.usr.fstypes, usr, "{line}");
        }
    }

    #[test]
    fn words_and_options_say_what_may_be_written() {
        for (line, root, usr) in [
            ("", false, false),
            ("rw", true, true),
            ("rw ro", false, false),
            ("rootflags=rw", true, true),
            ("rootflags=noatime,ro,rw", true, true),
            ("rootflags=rw,ro", false, false),
            ("rw rootflags=ro", true, true),
            ("rootflags=rw ro", false, false),
            ("rootflags=rw mount.usrflags=ro", true, false),
            ("ro mount.usrflags=rw,nodev", false, true),
            ("rw mount.usrflags=ro", true, false),
            ("rootflags=context=\"a,rw\"", false, false),
        ] {
            let params = parse(line);
            let have = (params.is_writable(&params.flags), params.is_usr_writable());
            assert_eq!(have, (root, usr), "{line}");
        }
    }

    #[test]
    fn usr_resume_and_checks_are_parsed() {
        let p = parse(
            "mount.usr=LABEL=usr mount.usrfstype=ext4,xfs mount.usrflags=noatime resume=UUID=5 \
             resume_offset=4096 coldplug.fsck=no coldplug.fsck_timeout=90 rw",
        );
        assert_eq!(p.fsck_timeout, Duration::from_secs(90));
        assert_eq!(parse("coldplug.fsck_timeout=soon").fsck_timeout, FSCK_TIMEOUT);
        let usr = Usr {
            name: RootName::parse("LABEL=usr"),
            fstypes: vec!["ext4".into(), "xfs".into()],
            flags: "noatime".into(),
        };
        assert_eq!((p.usr, p.fsck, p.writable), (usr, FsckMode::No, Some(true)));
        assert_eq!((p.resume, p.resume_offset), (RootName::parse("UUID=5"), 4096));
        assert_eq!(parse("resume=/dev/a noresume").resume, None);
    }

    #[test]
    fn checks_obey_the_words_of_systemd_and_dracut() {
        for (line, mode, option) in [
            ("", FsckMode::Auto, "-a"),
            ("fsck.mode=skip", FsckMode::No, "-a"),
            ("fsck.mode=force fsck.repair=yes", FsckMode::Force, "-y"),
            ("fsck.mode=skip fsck.mode=auto fsck.repair=no", FsckMode::Auto, "-n"),
            ("fsck.repair=yes fsck.repair=preen", FsckMode::Auto, "-a"),
            ("fastboot", FsckMode::No, "-a"),
            ("forcefsck", FsckMode::Force, "-a"),
            ("fastboot=1 forcefsck=1", FsckMode::Auto, "-a"),
            ("rd.skipfsck", FsckMode::No, "-a"),
            ("rd.skipfsck=0", FsckMode::Auto, "-a"),
            ("fsck.mode=force coldplug.fsck=no", FsckMode::No, "-a"),
            ("-- fastboot", FsckMode::Auto, "-a"),
        ] {
            let params = KernelCommandLine::parse(line);
            assert_eq!((params.root.fsck, params.root.fsck_repair), (mode, option), "{line}");
            assert_eq!(params.warnings, [], "{line}");
        }
        for bad in ["fsck.mode=never", "fsck.repair=maybe", "fsck.mode"] {
            let params = KernelCommandLine::parse(bad);
            assert_eq!((params.root.fsck, params.warnings.len()), (FsckMode::Auto, 1), "{bad}");
        }
    }
}
