//! Logical volumes and arrays as the kernel command line describes them.
//!
//! ```text
//! rd.lvm=BOOL  rd.lvm.vg=VG  rd.lvm.lv=VG/LV              dracut
//! rd.md=BOOL  rd.md.uuid=UUID  rd.auto[=BOOL]             dracut
//! md=[d]N,DEVICE,…                                        the kernel's admin-guide/md
//! md=[d]N,LEVEL,CHUNK,FAULT,DEVICE,…                      the same without superblocks: refused
//! raid=noautodetect|autodetect|part
//! coldplug.lvm=degraded  coldplug.md=dirty  coldplug.md_timeout=SECONDS
//! coldplug.assemble_timeout=SECONDS
//! ```

use std::time::Duration;

use super::root_name::RootName;
use super::words::list;

/// Longest wait for the missing members of an array, if no parameter sets another.
const MD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that a program of assemble.d may take, if no parameter sets another.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(60);

/// An array that `md=` describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MdArray {
    /// Number of the device: that of `md1`.
    pub(crate) number: u32,
    /// Whether the device is one of `md_d1`, which the kernel had for partitions once.
    is_partitionable: bool,
    /// Members.
    pub(crate) members: Vec<RootName>,
}

impl MdArray {
    /// Parses the value of `md=`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(',');
        let first = fields.next()?;
        let digits = first.strip_prefix('d');
        let number = digits.unwrap_or(first).parse().ok()?;
        let members: Option<Vec<RootName>> = fields.map(member).collect();
        let members = members.filter(|members| !members.is_empty())?;
        Some(Self { number, is_partitionable: digits.is_some(), members })
    }

    /// Returns the name of the device: `md0`, `md_d0`.
    pub(crate) fn device(&self) -> String {
        format!("md{}{}", if self.is_partitionable { "_d" } else { "" }, self.number)
    }
}

/// Returns the name of a member; like the kernel, accepts it without `/dev/`.
fn member(text: &str) -> Option<RootName> {
    // The level of an array without superblocks.
    if text.parse::<i32>().is_ok() {
        return None;
    }
    match RootName::parse(text)? {
        // The kernel's hexadecimal numbers do not occur here, and `sda` is none.
        RootName::Other(name) => Some(RootName::Device(format!("/dev/{name}"))),
        name => Some(name),
    }
}

/// What the kernel command line says of logical volumes and arrays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AssemblyParams {
    /// `rd.lvm=no`: no logical volume is activated.
    pub(crate) no_lvm: bool,
    /// `rd.lvm.vg=`: names or UUIDs of volume groups whose volumes are all activated.
    pub(crate) groups: Vec<String>,
    /// `rd.lvm.lv=`: group and name of volumes that are activated.
    pub(crate) volumes: Vec<(String, String)>,
    /// `coldplug.lvm=degraded`.
    pub(crate) degraded_lvm: bool,
    /// `rd.md=no`: no array is started.
    pub(crate) no_md: bool,
    /// `rd.md.uuid=`: 32 hexadecimal digits in lower case, or the first of them.
    pub(crate) md_uuids: Vec<String>,
    /// `md=`.
    pub(crate) md_arrays: Vec<MdArray>,
    /// `raid=noautodetect`: only arrays are started that other parameters name.
    pub(crate) no_autodetect: bool,
    /// `coldplug.md=dirty`: arrays that are dirty and degraded are started too.
    pub(crate) dirty_md: bool,
    /// `coldplug.md_timeout=`: longest wait for the missing members of an array.
    pub(crate) md_timeout: Duration,
    /// `coldplug.assemble_timeout=`: longest time that a program of assemble.d may take.
    pub(crate) program_timeout: Duration,
    /// `rd.auto`: whether everything that is found is assembled, not only what leads to the root.
    pub(crate) all: bool,
}

impl Default for AssemblyParams {
    fn default() -> Self {
        Self {
            no_lvm: false,
            groups: Vec::new(),
            volumes: Vec::new(),
            degraded_lvm: false,
            no_md: false,
            md_uuids: Vec::new(),
            md_arrays: Vec::new(),
            no_autodetect: false,
            dirty_md: false,
            md_timeout: MD_TIMEOUT,
            program_timeout: PROGRAM_TIMEOUT,
            all: false,
        }
    }
}

impl AssemblyParams {
    /// `rd.lvm.vg=`.
    pub(super) fn add_group(&mut self, text: &str) -> bool {
        let valid = is_lvm_name(text);
        self.groups.extend(valid.then(|| text.to_owned()));
        valid
    }

    /// `rd.lvm.lv=`.
    pub(super) fn add_volume(&mut self, text: &str) -> bool {
        let text = text.strip_prefix("/dev/").unwrap_or(text);
        let names = text.split_once('/').filter(|(g, v)| is_lvm_name(g) && is_lvm_name(v));
        self.volumes.extend(names.map(|(group, volume)| (group.to_owned(), volume.to_owned())));
        names.is_some()
    }

    /// `rd.md.uuid=`.
    pub(super) fn add_md_uuid(&mut self, text: &str) -> bool {
        let text = text.strip_prefix("md-").unwrap_or(text);
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        let valid = (1..=32).contains(&digits.len());
        let valid = valid && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.md_uuids.extend(valid.then(|| digits.to_ascii_lowercase()));
        valid
    }

    /// `md=`. The last one for a number is used, as in the kernel.
    pub(super) fn add_md_array(&mut self, text: &str) -> bool {
        let Some(array) = MdArray::parse(text) else { return false };
        let key = |array: &MdArray| (array.number, array.is_partitionable);
        self.md_arrays.retain(|other| key(other) != key(&array));
        self.md_arrays.push(array);
        true
    }

    /// `raid=`.
    pub(super) fn set_raid(&mut self, text: &str) -> bool {
        for word in list(text) {
            match word {
                "noautodetect" => self.no_autodetect = true,
                "autodetect" => self.no_autodetect = false,
                // Partitionable and not: all arrays are.
                _ => {}
            }
        }
        true
    }

    /// Returns whether `rd.lvm.vg=` or `rd.lvm.lv=` name volumes.
    pub(crate) fn names_volumes(&self) -> bool {
        !self.groups.is_empty() || !self.volumes.is_empty()
    }

    /// Returns whether `rd.md.uuid=` or `md=` name arrays.
    #[cfg(feature = "host")]
    pub(crate) fn names_arrays(&self) -> bool {
        !self.md_uuids.is_empty() || !self.md_arrays.is_empty()
    }

    /// Returns whether `rd.lvm.lv=` names this volume.
    pub(crate) fn names_volume(&self, group: &str, volume: &str) -> bool {
        self.volumes.iter().any(|(g, v)| g == group && v == volume)
    }

    /// Returns whether `rd.lvm.vg=` has this name or UUID of a group.
    pub(crate) fn names_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| group == name)
    }

    /// Returns whether anything is to be assembled whatever the boot waits for.
    pub(crate) fn names_any(&self) -> bool {
        self.all || self.names_volumes() || !self.md_uuids.is_empty()
    }

    /// Returns whether the array with this UUID may be started.
    pub(crate) fn allows_array(&self, uuid: &str) -> bool {
        let uuid = uuid.replace(':', "");
        let is_named = self.md_uuids.iter().any(|start| uuid.starts_with(start.as_str()));
        is_named || (self.md_uuids.is_empty() && !self.no_autodetect)
    }
}

/// Returns whether a volume group or volume may have this name: lvm(8), "Valid names".
fn is_lvm_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte);
    !matches!(name, "" | "." | "..") && !name.starts_with('-') && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::super::KernelCommandLine;
    use super::*;

    fn parse(line: &str) -> (AssemblyParams, usize) {
        let line = KernelCommandLine::parse(line);
        (line.stacks.assembly, line.warnings.len())
    }

    fn device(name: &str) -> RootName {
        RootName::Device(format!("/dev/{name}"))
    }

    #[test]
    fn words_of_dracut_are_parsed() {
        let (found, warnings) = parse(
            "rd.lvm.vg=vg0 rd.lvm.lv=vg0/root rd.lvm.lv=/dev/vg-1/a.b rd.lvm.vg=vg1 \
             rd.md.uuid=0A1b2c3d:00000000:11111111:22222222 rd.md.uuid=md-0a-1b rd.auto \
             coldplug.lvm=degraded coldplug.md=dirty coldplug.md_timeout=5 raid=noautodetect",
        );
        assert_eq!(warnings, 0);
        assert_eq!(found.groups, ["vg0", "vg1"]);
        let volumes = [("vg0", "root"), ("vg-1", "a.b")].map(|(g, v)| (g.into(), v.into()));
        assert_eq!(found.volumes, volumes);
        assert_eq!(found.md_uuids, ["0a1b2c3d000000001111111122222222", "0a1b"]);
        assert!(found.degraded_lvm && found.dirty_md && found.all && found.no_autodetect);
        assert_eq!(found.md_timeout, Duration::from_secs(5));
        assert!(found.allows_array("0a1bffff:00000000:11111111:22222222"));
        assert!(!found.allows_array("0b1bffff:00000000:11111111:22222222"));
        let (found, _) = parse("rd.lvm=0 rd.md=no rd.auto=0 coldplug.md_timeout=0");
        assert!(found.no_lvm && found.no_md && !found.all && found.md_timeout.is_zero());
        assert_eq!(parse("quiet").0, AssemblyParams::default());
    }

    #[test]
    fn arrays_of_the_kernel_are_parsed() {
        for (text, name, members) in [
            ("0,/dev/sda1,/dev/sdb1", "md0", vec![device("sda1"), device("sdb1")]),
            ("d127,sda", "md_d127", vec![device("sda")]),
            ("1,UUID=ab", "md1", vec![RootName::Uuid("ab".into())]),
        ] {
            let array = MdArray::parse(text).unwrap();
            assert_eq!((array.device().as_str(), array.members), (name, members), "{text}");
        }
        let (found, _) = parse("md=0,/dev/sda md=d0,/dev/sdb md=0,/dev/sdc");
        let members: Vec<_> = found.md_arrays.iter().map(|array| &array.members[0]).collect();
        assert_eq!(members, [&device("sdb"), &device("sdc")]);
    }

    #[test]
    fn malformed_words_are_named() {
        for word in [
            "rd.lvm.vg=",
            "rd.lvm.vg=a/b",
            "rd.lvm.lv=vg0",
            "rd.lvm.lv=vg0/a/b",
            "rd.lvm.lv=-x/y",
            "rd.md.uuid=xyz",
            "rd.md.uuid=",
            "md=sda,sdb",
            "md=0",
            "md=0,",
            "md=0,0,/dev/sda",
            "md=2,0,4,0,/dev/sda",
            "md=3,-1,4,0,sda,sdb",
            "coldplug.lvm=yes",
            "coldplug.md=clean",
            "coldplug.md_timeout=soon",
        ] {
            let (found, warnings) = parse(word);
            assert_eq!((found, warnings), (AssemblyParams::default(), 1), "{word}");
        }
    }
}
