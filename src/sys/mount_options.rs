//! The options of mount(8) that are flags of mount(2), and those that mean nothing to a kernel.
//!
//! ```text
//! nosuid  noexec  nodev  noatime  nodiratime  nosymfollow      the kernel's MS_ flags, and the
//! relatime  strictatime  lazytime  iversion  mand              same with or without `no`
//! ro rw   sync async   silent loud   dirsync
//! defaults auto user x-systemd.… comment=… shared …            dropped
//! ```

use rustix::mount::MountFlags;

use crate::cmdline::mount_options::options;

/// MS_I_VERSION.
const I_VERSION: MountFlags = MountFlags::from_bits_retain(1 << 23);
/// The flags of which the last one counts.
const ACCESS_TIMES: MountFlags =
    MountFlags::NOATIME.union(MountFlags::RELATIME).union(MountFlags::STRICTATIME);

/// Options that have an opposite with `no`, their flags, and whether the option without `no` sets
/// the flag.
const PAIRS: [(&str, MountFlags, bool); 11] = [
    ("suid", MountFlags::NOSUID, false),
    ("exec", MountFlags::NOEXEC, false),
    ("dev", MountFlags::NODEV, false),
    ("atime", MountFlags::NOATIME, false),
    ("diratime", MountFlags::NODIRATIME, false),
    ("symfollow", MountFlags::NOSYMFOLLOW, false),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("lazytime", MountFlags::LAZYTIME, true),
    ("iversion", I_VERSION, true),
    ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
];

/// Other options, their flags, and whether the option sets the flag.
const SINGLE: [(&str, MountFlags, bool); 7] = [
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("async", MountFlags::SYNCHRONOUS, false),
    ("silent", MountFlags::SILENT, true),
    ("loud", MountFlags::SILENT, false),
    ("dirsync", MountFlags::DIRSYNC, true),
];

/// Options for whoever reads fstab(5). `user` and its kin imply `nosuid` and more in mount(8), and
/// no system boots from such a root: they say who may mount, which does not matter here.
const IGNORED: [&str; 21] = [
    "defaults",
    "auto",
    "noauto",
    "user",
    "nouser",
    "users",
    "nousers",
    "owner",
    "noowner",
    "group",
    "nogroup",
    "nofail",
    "_netdev",
    // The real init sets the propagation of its mounts. Here switch_root needs private ones.
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "unbindable",
    "runbindable",
];

/// Beginnings of more such options.
const IGNORED_PREFIXES: [&str; 6] = ["x-", "X-", "comment=", "user=", "helper=", "uhelper="];

/// Splits a list of mount(8) into mount flags and the options of the filesystem. Of options that
/// contradict each other the last one counts.
pub(crate) fn parse(list: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options(list) {
        match flag(option) {
            Some((flag, sets)) => {
                if sets && ACCESS_TIMES.contains(flag) {
                    flags.remove(ACCESS_TIMES);
                }
                flags.set(flag, sets);
            }
            None if is_ignored(option) => {}
            None => data.push(option),
        }
    }
    (flags, data.join(","))
}

/// Returns the flag of an option, and whether the option sets it.
fn flag(option: &str) -> Option<(MountFlags, bool)> {
    let find = |table: &[(&str, MountFlags, bool)], name| {
        table.iter().find(|row| row.0 == name).map(|row| (row.1, row.2))
    };
    let opposite = |name| find(&PAIRS, name).map(|(flag, sets)| (flag, !sets));
    find(&SINGLE, option)
        .or_else(|| find(&PAIRS, option))
        .or_else(|| opposite(option.strip_prefix("no")?))
}

fn is_ignored(option: &str) -> bool {
    IGNORED.contains(&option) || IGNORED_PREFIXES.iter().any(|prefix| option.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists, the flags that they set, and what is left for the filesystem. mount(8) of util-linux
    /// sets the same flags, with two exceptions: there `strictatime` and `noatime` win wherever they
    /// stand, and `user` implies others.
    const CASES: [(&str, MountFlags, &str); 40] = {
        const NONE: MountFlags = MountFlags::empty();
        [
            ("noatime,subvol=@,defaults,nodev,,x=1", NOATIME_NODEV, "subvol=@,x=1"),
            ("suid,exec,dev,atime,diratime,symfollow,async,rw,loud", NONE, ""),
            ("nosuid", MountFlags::NOSUID, ""),
            ("nosuid,suid", NONE, ""),
            ("suid,nosuid", MountFlags::NOSUID, ""),
            ("noexec,exec", NONE, ""),
            ("exec,noexec", MountFlags::NOEXEC, ""),
            ("dev,nodev,dev", NONE, ""),
            ("noatime,atime", NONE, ""),
            ("atime,noatime", MountFlags::NOATIME, ""),
            ("relatime", MountFlags::RELATIME, ""),
            ("relatime,norelatime", NONE, ""),
            ("strictatime", MountFlags::STRICTATIME, ""),
            ("strictatime,nostrictatime", NONE, ""),
            ("noatime,strictatime", MountFlags::STRICTATIME, ""),
            ("strictatime,noatime", MountFlags::NOATIME, ""),
            ("noatime,relatime", MountFlags::RELATIME, ""),
            ("nodiratime", MountFlags::NODIRATIME, ""),
            ("nodiratime,diratime", NONE, ""),
            ("lazytime", MountFlags::LAZYTIME, ""),
            ("lazytime,nolazytime", NONE, ""),
            ("iversion", I_VERSION, ""),
            ("iversion,noiversion", NONE, ""),
            ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, ""),
            ("mand,nomand", NONE, ""),
            ("sync", MountFlags::SYNCHRONOUS, ""),
            ("sync,async", NONE, ""),
            ("dirsync", MountFlags::DIRSYNC, ""),
            ("silent", MountFlags::SILENT, ""),
            ("nosymfollow", MountFlags::NOSYMFOLLOW, ""),
            ("rw,ro", MountFlags::RDONLY, ""),
            ("ro,rw", NONE, ""),
            ("auto,noauto,nofail,_netdev,x-systemd.device-timeout=0,X-mount.mkdir,x-a", NONE, ""),
            ("user,nouser,users,nousers,owner,noowner,group,nogroup,user=bob", NONE, ""),
            ("comment=systemd.automount,comment=\"a,ro\",shared,rprivate", NONE, ""),
            (
                "context=\"system_u:object_r:root_t:s0:c1,c2\",nodev",
                MountFlags::NODEV,
                "context=\"system_u:object_r:root_t:s0:c1,c2\"",
            ),
            ("x-a=\"nodev,ro\",exec", NONE, ""),
            // None of these is an option of mount(8).
            ("nosync,nodirsync,norw,noro", NONE, "nosync,nodirsync,norw,noro"),
            ("nouser_xattr,nobarrier,comment,relatime=1", NONE, REST),
            ("no,,norelatime", NONE, "no"),
        ]
    };
    const NOATIME_NODEV: MountFlags = MountFlags::NOATIME.union(MountFlags::NODEV);
    const REST: &str = "nouser_xattr,nobarrier,comment,relatime=1";

    #[test]
    fn flags_are_separated_from_options() {
        for (list, flags, data) in CASES {
            assert_eq!(parse(list), (flags, data.to_owned()), "{list}");
        }
    }
}
