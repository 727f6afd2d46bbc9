//! This machine, or the one whose /sys, /proc and /dev are below the root of the build: what its
//! root, /usr and swap are on.
//!
//! ```text
//! /sys/devices                                   devices, bound drivers, suppliers
//! /proc/self/mountinfo, /etc/fstab: /, /usr      filesystems, code pages, block devices
//! /proc/swaps, /etc/fstab: swap; resume=         block devices
//! /etc/fstab: /                                  block device, if mountinfo names none
//! block device: partition, slaves, btrfs         the block devices below, their drivers
//!   dm/uuid CRYPT-, LVM-, mpath-                 @crypt, @lvm, the selectors of paths
//!   md                                           @raid
//!   another virtual device (bcache, nbd, loop)   the module of its name
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Error;
use super::machine_needs::{Machine, Needs};
use crate::byte_text;
use crate::cmdline::root_name::RootName;
use crate::cmdline::{KernelCommandLine, link_name};
use crate::sys::mount_table::{self, MountLine};
use crate::sys::{self, Root, block, devices, machine, sysfs};

/// Name of the option, for messages.
const OPTION: &str = "--host";

/// Modules of a device with several paths.
const MULTIPATH: [&str; 4] =
    ["dm_multipath", "dm_service_time", "dm_queue_length", "dm_round_robin"];

/// Filesystems without a block device.
const DISKLESS: [&str; 6] = ["nfs", "nfs4", "cifs", "9p", "virtiofs", "ubifs"];

/// Reads the machine below `root`. If something that it needs is not known, that is added to
/// `notices`.
///
/// # Errors
/// There is no /sys.
pub(super) fn read(root: &Path, notices: &mut Vec<String>) -> Result<Machine<'static>, Error> {
    let root = Root::at(fs::canonicalize(root).unwrap_or_else(|_| root.to_owned()));
    let mut capture = machine::capture(&root).map_err(Error::NoHost)?;
    if root != Root::default() {
        // It may be the root of the system that runs the build.
        capture.root = None;
    }
    let mut host = Host { root, needs: Needs::default(), devices: BTreeSet::new() };
    let is_root_known = host.add_mounts(notices);
    let mut named: Vec<String> = known(mount_table::swaps(&host.root), notices);
    named.retain(|name| name.starts_with("/dev/"));
    let resume = KernelCommandLine::parse(&capture.cmdline).root.resume;
    named.extend(resume.filter(RootName::may_be_block_device).map(|name| name.to_string()));
    let mut listed = host.listed(notices);
    // The root of fstab may be stale.
    listed.retain(|line| line.place != "/" || !is_root_known);
    if !is_root_known && listed.iter().all(|line| line.place != "/") {
        notices.push(format!(
            "{OPTION}: the device of / is not known: neither mountinfo nor fstab names one; the \
             image may lack what it is on"
        ));
    }
    named.extend(listed.into_iter().map(|line| line.source));
    for name in named {
        match host.number_of(&name) {
            Some(number) => host.add_device(number),
            None => notices.push(format!(
                "{OPTION}: {name} not found; the image may lack what this device is on"
            )),
        }
    }
    Ok(Machine { option: OPTION, capture: Cow::Owned(capture), needs: host.needs })
}

/// Returns the content of a table. If it cannot be read, the reason is added to `notices`.
fn known<T>(table: sys::Result<Vec<T>>, notices: &mut Vec<String>) -> Vec<T> {
    table.unwrap_or_else(|error| {
        notices.push(format!("{OPTION}: {error}"));
        Vec::new()
    })
}

/// The machine while it is read.
struct Host {
    root: Root,
    needs: Needs,
    /// Numbers of the block devices that have been added.
    devices: BTreeSet<(u32, u32)>,
}

impl Host {
    /// Adds the filesystems that are mounted at / and /usr, and the devices that they are on.
    /// Returns whether the device of / is known, or none is needed.
    fn add_mounts(&mut self, notices: &mut Vec<String>) -> bool {
        let mut is_root_known = false;
        for mount in known(mount_table::mounted(&self.root, &["/", "/usr"]), notices) {
            self.add_filesystem(&mount);
            // The number of a btrfs is that of no block device.
            let numbers = [mount.number, self.number_of(&mount.source)];
            let is_device =
                |number: &(u32, u32)| devices::block_device_path(&self.root, *number).is_some();
            let number = numbers.into_iter().flatten().find(is_device);
            let is_known = number.is_some() || DISKLESS.contains(&mount.fstype.as_str());
            is_root_known |= mount.place == "/" && is_known;
            if let Some(number) = number {
                self.add_device(number);
            }
        }
        is_root_known
    }

    /// Adds the filesystems of / and /usr in fstab. Returns the lines there of block devices for /,
    /// /usr and swap.
    fn listed(&mut self, notices: &mut Vec<String>) -> Vec<MountLine> {
        let mut found = Vec::new();
        for line in known(mount_table::listed(&self.root), notices) {
            let is_swap = line.fstype == "swap";
            if !is_swap && !matches!(line.place.as_str(), "/" | "/usr") {
                continue;
            }
            if !is_swap {
                self.add_filesystem(&line);
            }
            let is_device =
                RootName::parse(&line.source).is_some_and(|name| name.may_be_block_device());
            if is_device && !line.options.split(',').any(|o| o == "noauto") {
                found.push(line);
            }
        }
        found
    }

    /// Adds a filesystem, and the code pages that its options name.
    fn add_filesystem(&mut self, mount: &MountLine) {
        self.needs.add_filesystem(&mount.fstype);
        for option in mount.options.split(',') {
            self.needs.names.extend(match option.split_once('=') {
                Some(("codepage", page)) => {
                    Some(format!("nls_cp{}", page.trim_start_matches("cp")))
                }
                Some(("iocharset" | "nls", name)) => Some(format!("nls_{name}")),
                Some(("trans", transport)) => Some(format!("9pnet_{transport}")),
                _ => None,
            });
        }
    }

    /// Adds what a block device is on.
    fn add_device(&mut self, number: (u32, u32)) {
        let mut pending = vec![number];
        while let Some(number) = pending.pop() {
            if !self.devices.insert(number) {
                continue;
            }
            self.needs.drivers.extend(devices::modules_below(&self.root, number));
            for path in devices::stack_below(&self.root, number) {
                if let Some(name) = Needs::virtual_name(&path) {
                    self.add_virtual(name);
                }
            }
            pending.extend(self.siblings(number));
        }
    }

    /// Adds the driver of a block device that is made of others.
    fn add_virtual(&mut self, name: &str) {
        self.needs.add_virtual(name);
        if name.starts_with("dm-") {
            let file = self.root.join("sys/block").join(name).join("dm/uuid");
            let uuid = fs::read_to_string(file).unwrap_or_default();
            self.add_mapping(&uuid);
        }
    }

    /// Adds what a mapping of the device-mapper with this UUID needs.
    fn add_mapping(&mut self, uuid: &str) {
        if uuid.starts_with("CRYPT-VERITY-") {
            self.needs.names.extend(["dm_verity", "crypto-sha256"].map(str::to_owned));
        } else if uuid.starts_with("CRYPT-") {
            self.needs.sets.insert("crypt");
        } else if uuid.starts_with("LVM-") {
            self.needs.sets.insert("lvm");
        } else if uuid.contains("mpath-") {
            self.needs.names.extend(MULTIPATH.map(str::to_owned));
        }
    }

    /// Returns the other devices of the btrfs on a device.
    fn siblings(&self, number: (u32, u32)) -> Vec<(u32, u32)> {
        let Some(path) = devices::block_device_path(&self.root, number) else { return Vec::new() };
        let name = path.rsplit('/').next().unwrap_or(&path);
        let all = self.root.join("sys/fs/btrfs");
        let groups = sysfs::entry_names(&all).into_iter();
        let groups = groups.map(|uuid| sysfs::entry_names(&all.join(uuid).join("devices")));
        let own = groups.filter(|devices| devices.iter().any(|device| device == name));
        own.flatten().filter_map(|name| self.number_of_disk(&name)).collect()
    }

    /// Returns the number of the block device that a table or a parameter names; `None` if it is
    /// not there.
    fn number_of(&self, name: &str) -> Option<(u32, u32)> {
        let path = match RootName::parse(name)? {
            RootName::Device(path) => PathBuf::from(&*byte_text::to_path(&path)),
            RootName::Number(major, minor) => return Some((major, minor)),
            RootName::Uuid(uuid) => Path::new("/dev/disk/by-uuid").join(uuid),
            RootName::Label(label) => {
                Path::new("/dev/disk/by-label").join(link_name::encode(&label))
            }
            RootName::PartUuid(uuid, 0) => Path::new("/dev/disk/by-partuuid").join(uuid),
            RootName::PartLabel(label) => {
                Path::new("/dev/disk/by-partlabel").join(link_name::encode(&label))
            }
            RootName::Link(link) => Path::new("/dev/disk").join(link),
            _ => return None,
        };
        if let Some(number) = block::number_at(&self.root.join(&path)) {
            return Some(number);
        }
        let name = path.strip_prefix("/dev").ok()?.to_str()?;
        match name.strip_prefix("mapper/") {
            Some(mapping) => self.number_of_mapping(mapping),
            None => self.number_of_disk(&name.replace('/', "!")),
        }
    }

    /// Returns the number of a mapping of the device-mapper.
    fn number_of_mapping(&self, mapping: &str) -> Option<(u32, u32)> {
        let all = self.root.join("sys/block");
        let is_it = |name: &String| {
            let text = fs::read_to_string(all.join(name).join("dm/name"));
            text.is_ok_and(|text| text.trim_end() == mapping)
        };
        self.number_of_disk(&sysfs::entry_names(&all).into_iter().find(is_it)?)
    }

    /// Returns the number of the block device that the kernel calls `name`.
    fn number_of_disk(&self, name: &str) -> Option<(u32, u32)> {
        let text = fs::read_to_string(self.root.join("sys/class/block").join(name).join("dev"));
        let text = text.ok()?;
        let (major, minor) = text.trim_end().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A machine below a directory.
    struct Fake(tempfile::TempDir);

    impl Fake {
        fn new() -> Self {
            let fake = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(fake.0.path().join("sys/devices")).unwrap();
            fake
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn link(&self, from: &str, to: &str) {
            let (from, to) = (self.0.path().join(from), self.0.path().join(to));
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(to, from).unwrap();
        }

        /// Adds a block device at a path below /sys/devices, made of others.
        fn disk(&self, path: &str, number: &str, slaves: &[&str]) {
            let dir = format!("sys/devices/{path}");
            self.put(&format!("{dir}/dev"), &format!("{number}\n"));
            let name = path.rsplit('/').next().unwrap();
            for place in ["class/block", "block"].map(|place| format!("sys/{place}/{name}")) {
                self.link(&place, &dir);
            }
            self.link(&format!("sys/dev/block/{number}"), &dir);
            for slave in slaves {
                let name = slave.rsplit('/').next().unwrap();
                self.link(&format!("{dir}/slaves/{name}"), &format!("sys/devices/{slave}"));
            }
        }

        fn driver(&self, device: &str, module: &str) {
            fs::create_dir_all(self.0.path().join("sys/drivers").join(module)).unwrap();
            self.link(&format!("sys/drivers/{module}/module"), &format!("sys/module/{module}"));
            self.link(&format!("sys/devices/{device}/driver"), &format!("sys/drivers/{module}"));
        }

        /// Returns names, sets and drivers that are needed, and the notices.
        fn needs(&self) -> [String; 4] {
            let mut notices = Vec::new();
            let needs = read(self.0.path(), &mut notices).unwrap().needs;
            let join = |words: Vec<String>| words.join(" ");
            [
                join(needs.names.into_iter().collect()),
                join(needs.sets.into_iter().map(str::to_owned).collect()),
                join(needs.drivers.iter().map(|name| name.to_string()).collect()),
                notices.join("\n"),
            ]
        }
    }

    #[test]
    fn a_root_on_a_stack_needs_all_below_it() {
        let fake = Fake::new();
        for (at, module) in [("a", "ahci"), ("b", "virtio_pci"), ("c", "nvme")] {
            fake.driver(&format!("pci0/{at}"), module);
        }
        fake.disk("pci0/a/block/sda", "8:0", &[]);
        fake.disk("pci0/a/block/sda/sda2", "8:2", &[]);
        fake.disk("pci0/b/block/vda", "254:0", &[]);
        let members = ["pci0/a/block/sda/sda2", "pci0/b/block/vda"];
        fake.disk("virtual/block/md0", "9:0", &members);
        fake.disk("virtual/block/dm-0", "253:0", &["virtual/block/md0"]);
        fake.disk("virtual/block/dm-1", "253:1", &["virtual/block/dm-0"]);
        fake.disk("pci0/c/block/nvme0n1", "259:0", &[]);
        fake.disk("virtual/block/zram0", "251:0", &[]);
        fake.put("sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-1-root\n");
        fake.put("sys/block/dm-1/dm/uuid", "LVM-xyz\n");
        fake.put("sys/block/dm-1/dm/name", "vg0-root\n");
        fake.put(
            "proc/self/mountinfo",
            "1 0 0:1 / / rw - ramfs none rw\n2 1 253:1 / / rw - ext4 /dev/mapper/vg0-root rw\n",
        );
        fake.put(
            "proc/swaps",
            "Filename Type\n/dev/nvme0n1 partition\n/dev/zram0 partition\n/swap file\n",
        );
        assert_eq!(
            fake.needs(),
            ["crc32c dm_mod fs-ext4", "crypt lvm raid", "ahci nvme virtio_pci", ""]
        );
    }

    #[test]
    fn usr_and_swap_of_fstab_are_needed() {
        let fake = Fake::new();
        for (at, name, number) in [("a", "sda", "8:0"), ("b", "sdb", "8:16"), ("c", "sdc", "8:32")]
        {
            fake.driver(&format!("pci0/{at}"), &format!("m_{at}"));
            fake.disk(&format!("pci0/{at}/block/{name}"), number, &[]);
        }
        for name in ["sda", "sdb"] {
            fake.put(&format!("sys/fs/btrfs/1-2/devices/{name}"), "");
        }
        fake.put("proc/self/mountinfo", "2 1 0:30 /@ / rw - btrfs /dev/sda rw,subvol=/@\n");
        fake.put("proc/cmdline", "root=UUID=1 resume=/dev/mapper/gone\n");
        fake.put(
            "etc/fstab",
            "UUID=1 / btrfs\n/dev/sdc /usr vfat iocharset=utf8,codepage=850 0 0\n\
             LABEL=old none swap sw\n/dev/sdx none swap noauto\n/swapfile none swap\n",
        );
        let [names, sets, drivers, notices] = fake.needs();
        let want = "fs-btrfs fs-vfat nls_ascii nls_cp437 nls_cp850 nls_iso8859_1 nls_utf8";
        assert_eq!((&*names, &*sets, &*drivers), (want, "", "m_a m_b m_c"));
        assert_eq!(
            notices,
            "--host: /dev/mapper/gone not found; the image may lack what this device is on\n\
             --host: LABEL=old not found; the image may lack what this device is on"
        );
    }

    /// Returns a machine with the disks sda at a and sdb at b.
    fn two_disks() -> Fake {
        let fake = Fake::new();
        for (at, name, number) in [("a", "sda", "8:0"), ("b", "sdb", "8:16")] {
            fake.driver(&format!("pci0/{at}"), &format!("m_{at}"));
            fake.disk(&format!("pci0/{at}/block/{name}"), number, &[]);
        }
        fake
    }

    #[test]
    fn the_device_of_the_root_is_that_of_fstab_if_none_is_mounted() {
        const UNKNOWN: &str = "--host: the device of / is not known: neither mountinfo nor fstab \
                               names one; the image may lack what it is on";
        const GONE: &str = "--host: /dev/sdx not found; the image may lack what this device is on";
        let overlay = "1 0 0:9 / / rw - overlay none rw\n";
        for (mountinfo, fstab, names, drivers, notices) in [
            ("", "/dev/sdb / xfs\n", "fs-xfs", "m_b", ""),
            ("", "/dev/sdx / xfs,ext4\n", "crc32c fs-ext4 fs-xfs", "", GONE),
            ("", "/dev/sdb /srv xfs\n", "", "", UNKNOWN),
            (overlay, "", "fs-overlay", "", UNKNOWN),
            (overlay, "/dev/sdb / auto\n", "fs-overlay", "m_b", ""),
            ("1 0 8:0 / / rw - xfs /dev/sda rw\n", "/dev/sdb / xfs\n", "fs-xfs", "m_a", ""),
            ("1 0 0:9 / / rw - nfs4 10.0.0.1:/srv rw\n", "", "af_packet fs-nfs4 nfsv4", "", ""),
        ] {
            let fake = two_disks();
            fake.put("proc/self/mountinfo", mountinfo);
            fake.put("etc/fstab", fstab);
            assert_eq!(fake.needs(), [names, "", drivers, notices], "{mountinfo}{fstab}");
        }
    }

    #[test]
    fn a_root_that_is_mounted_for_an_installer_is_not_its_own() {
        let fake = two_disks();
        let at = fs::canonicalize(fake.0.path()).unwrap();
        fake.put(
            "proc/self/mountinfo",
            &format!(
                "1 0 8:0 / / rw - ext4 /dev/sda rw\n2 1 8:0 / /usr rw - ext4 /dev/sda rw\n\
                 3 1 8:16 / {} rw - xfs /dev/sdb rw\n",
                at.display()
            ),
        );
        assert_eq!(fake.needs(), ["fs-xfs", "", "m_b", ""]);
    }

    #[test]
    fn a_table_that_cannot_be_read_is_named() {
        let fake = two_disks();
        fs::create_dir_all(fake.0.path().join("proc/self/mountinfo")).unwrap();
        fake.put("etc/fstab", "/dev/sdb / xfs\n");
        let [_, _, drivers, notices] = fake.needs();
        assert_eq!(drivers, "m_b");
        assert!(notices.starts_with("--host: ") && notices.contains("mountinfo"), "{notices}");
    }

    #[test]
    fn other_devices_need_their_driver() {
        for (name, uuid, names, sets) in [
            ("bcache0", "", "bcache fs-xfs", ""),
            ("nbd3", "", "fs-xfs nbd", ""),
            ("dm-0", "CRYPT-VERITY-1", "crypto-sha256 dm_mod dm_verity fs-xfs", ""),
            (
                "dm-0",
                "part1-mpath-1",
                "dm_mod dm_multipath dm_queue_length dm_round_robin dm_service_time fs-xfs",
                "",
            ),
            ("md_d0", "", "fs-xfs", "raid"),
        ] {
            let fake = Fake::new();
            fake.disk(&format!("virtual/block/{name}"), "7:0", &[]);
            fake.put(&format!("sys/block/{name}/dm/uuid"), uuid);
            fake.put("proc/self/mountinfo", "2 1 7:0 / / rw - xfs /dev/x rw\n");
            assert_eq!(fake.needs(), [names, sets, "", ""], "{name}");
        }
    }

    #[test]
    fn a_root_without_sys_is_no_machine() {
        let empty = tempfile::tempdir().unwrap();
        let error = read(empty.path(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("sys/devices"), "{error}");
        assert!(error.hint().unwrap().contains("--board"));
    }
}
