//! The modules that a machine needs: those that a simulated boot wants, those that hold the drivers
//! of its devices, and what the way to its root takes besides.
//!
//! ```text
//! fact of the machine                                modules
//!   device                                           the modules that match it, by the simulation
//!   driver in a module                               this module
//!   root TYPE, rootfstype=, mount.usrfstype=         the filesystem and what it requests
//!   root PATH is a mapping of the device-mapper      @crypt, @lvm
//!   root PATH is an array of md                      @raid
//!   root= names a server, a share or UBI             its filesystem and transport
//!   words about LUKS, LVM, md, verity                @crypt, @lvm, @raid, the digest
//! ```
//!
//! Of the machine that builds the image more is known: `host.rs`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Error;
use super::select::{Group, find_known, find_set};
use super::tree::Tree;
use crate::cmdline::KernelCommandLine;
use crate::cmdline::network::NfsExport;
use crate::cmdline::root::AUTO;
use crate::escape;
use crate::kmod::conf::Config;
use crate::kmod::name::ModuleName;
use crate::load::{ModuleRecord, Outcome};
use crate::machine::capture::Capture;
use crate::scan::simulation::Simulation;

/// Modules that filesystems request when they are mounted, besides their softdeps: code pages of
/// file names, checksums, compressors and versions of a protocol.
const REQUESTED_AT_MOUNT: [(&str, &[&str]); 9] = [
    ("ext4", &["crc32c"]),
    ("vfat", &["nls_ascii", "nls_cp437", "nls_iso8859_1", "nls_utf8"]),
    ("msdos", &["nls_ascii", "nls_cp437", "nls_iso8859_1"]),
    ("exfat", &["nls_utf8"]),
    ("ntfs3", &["nls_utf8"]),
    ("iso9660", &["nls_ascii", "nls_iso8859_1", "nls_utf8"]),
    ("ubifs", &["lzo", "zstd", "deflate"]),
    ("nfs", &["nfsv3", "nfsv4", "af_packet"]),
    ("nfs4", &["nfsv4", "af_packet"]),
];

/// Filesystems that every kernel has.
pub(super) const ALWAYS: [&str; 3] = ["rootfs", "ramfs", "tmpfs"];

/// A machine that an image is for.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    /// The option that names it, for the reasons and messages.
    pub(super) option: &'static str,
    /// Its devices.
    pub(super) capture: Cow<'a, Capture>,
    /// What the way to its root needs besides the modules of devices.
    pub(super) needs: Needs,
}

/// Names of what is needed. The kernel need not have all of it, or may have it built in.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    /// Modules and aliases.
    pub(super) names: BTreeSet<String>,
    /// Module sets.
    pub(super) sets: BTreeSet<&'static str>,
    /// Modules that hold drivers.
    pub(super) drivers: BTreeSet<ModuleName>,
}

impl<'a> Machine<'a> {
    /// Returns the machine of `--board`.
    pub(super) fn board(capture: &'a Capture) -> Self {
        let mut needs = Needs::default();
        if let Some(root) = &capture.root {
            needs.add_filesystem(&root.fstype);
            if let Some(name) = Needs::virtual_name(&root.device) {
                needs.add_virtual(name);
                if name.starts_with("dm-") {
                    // A capture does not tell what a mapping is.
                    needs.sets.extend(["crypt", "lvm"]);
                }
            }
        }
        Self { option: "--board", capture: Cow::Borrowed(capture), needs }
    }

    /// Returns the modules that the machine needs with the kernel of `tree`. What the simulated
    /// boot warns of, and filesystems that the kernel does not have, are added to `notices`.
    ///
    /// # Errors
    /// The kernel is for another machine, or the boot cannot be simulated.
    pub(super) fn modules(&self, tree: &Tree, notices: &mut Vec<String>) -> Result<Group, Error> {
        self.check_architecture(tree)?;
        let params = KernelCommandLine::parse(&self.capture.cmdline);
        let mut needs = self.needs.clone();
        needs.add_parameters(&params);
        let mut kernel = tree.kernel_modules();
        params.modules.add_to(&mut kernel.config);
        let named = params.boot.more_modules.iter();
        kernel.listed =
            named.map(|name| ("modules_load".to_owned(), name.clone().into_bytes())).collect();
        let drivers = self.capture.devices.iter().filter_map(|device| device.module.clone());
        needs.drivers.extend(drivers);
        needs.drivers.retain(|name| !is_excluded(&kernel.config, name));
        let boot = Simulation::new(&self.capture, kernel, &params).map_err(Error::System)?.run();
        let warnings = boot.warnings.iter().map(|text| format!("{}: {text}", self.option));
        notices.extend(warnings);

        let wanted = boot.modules.iter().filter(|module| is_wanted(module));
        let named = wanted.map(|module| &module.name).chain(&needs.drivers);
        let mut modules: BTreeSet<usize> =
            named.filter_map(|name| tree.by_name.get(name).copied()).collect();
        for name in &needs.names {
            modules.extend(self.find_name(tree, name, notices));
        }
        for set in &needs.sets {
            modules.extend(find_set(tree, set)?);
        }
        let modules = modules.into_iter().collect();
        Ok(Group { word: self.option.to_owned(), modules, is_specific: true })
    }

    /// Returns the modules that a name of the needs stands for. A filesystem that the kernel does
    /// not have is added to `notices`.
    fn find_name(&self, tree: &Tree, name: &str, notices: &mut Vec<String>) -> Vec<usize> {
        let known = find_known(tree, name.as_bytes());
        let Some(fstype) = name.strip_prefix("fs-") else { return known.unwrap_or_default() };
        if ALWAYS.contains(&fstype) {
            return known.unwrap_or_default();
        }
        // Kernels before 5.2 list no aliases of what is built in.
        known.or_else(|| find_known(tree, fstype.as_bytes())).unwrap_or_else(|| {
            let (option, fstype) = (self.option, escape::line(fstype));
            notices.push(format!(
                "{option}: filesystem {fstype}: neither a module of this kernel nor built in"
            ));
            Vec::new()
        })
    }

    /// Checks that the kernel is for the machine, if both are known.
    fn check_architecture(&self, tree: &Tree) -> Result<(), Error> {
        let Some((name, kernel)) = self.capture.machine.as_ref().zip(tree.machine()) else {
            return Ok(());
        };
        match kernel.has_name(name) {
            Some(false) => {
                Err(Error::OtherMachine { option: self.option, name: name.clone(), kernel })
            }
            _ => Ok(()),
        }
    }
}

impl Needs {
    /// Adds filesystems, separated by commas as in fstab(5), and what they request when they are
    /// mounted. What follows a dot is for the program of a FUSE filesystem.
    pub(super) fn add_filesystem(&mut self, types: &str) {
        let types = types.split(',').map(|name| name.split('.').next().unwrap_or(name));
        for fstype in types.filter(|name| !matches!(*name, "" | "none" | AUTO)) {
            self.add_type(fstype);
        }
    }

    fn add_type(&mut self, fstype: &str) {
        self.names.insert(format!("fs-{fstype}"));
        let requested = REQUESTED_AT_MOUNT.iter().find(|(name, _)| *name == fstype);
        let requested = requested.into_iter().flat_map(|(_, names)| names.iter());
        self.names.extend(requested.map(|name| (*name).to_owned()));
    }

    /// Returns the name of a block device that is made of others or of nothing, from its path below
    /// /sys/devices; `None` for other devices.
    pub(super) fn virtual_name(path: &str) -> Option<&str> {
        path.strip_prefix("virtual/block/")?.split('/').next()
    }

    /// Adds the driver of such a device. What a mapping of the device-mapper needs besides is not
    /// in its name.
    pub(super) fn add_virtual(&mut self, name: &str) {
        if name.starts_with("dm-") {
            self.names.insert("dm_mod".to_owned());
        } else if name.starts_with("md") {
            self.sets.insert("raid");
        } else {
            let driver = name.trim_end_matches(|c: char| c.is_ascii_digit());
            // Memory holds no system at the start of a boot.
            if !matches!(driver, "zram" | "ram") {
                self.names.insert(driver.to_owned());
            }
        }
    }

    /// Adds what the words of a kernel command line need.
    fn add_parameters(&mut self, params: &KernelCommandLine) {
        let root = &params.root;
        for fstype in root.fstypes.iter().chain(&root.usr.fstypes) {
            self.add_filesystem(fstype);
        }
        let spec = root.spec();
        if root.network.nfs.is_some() || NfsExport::from_root_value(spec).is_some() {
            self.add_filesystem("nfs");
        }
        if root.fstypes.iter().any(|fstype| fstype == "9p") {
            let transport = root.flags.split(',').find_map(|option| option.strip_prefix("trans="));
            self.names.insert(format!("9pnet_{}", transport.unwrap_or("virtio")));
        }
        let storage = params.storage.as_ref().ok();
        if spec.starts_with("ubi") || storage.is_some_and(|storage| !storage.ubi_mtd.is_empty()) {
            self.names.extend(["mtd", "ubi"].map(str::to_owned));
            self.add_filesystem("ubifs");
        }
        if let Some(verity) = storage.and_then(|storage| storage.verity.as_ref()) {
            let digest = verity.algorithm.as_deref().unwrap_or("sha256");
            self.names.extend(["dm_verity".to_owned(), format!("crypto-{digest}")]);
        }
        if params.boot.led.is_some() {
            self.names.insert("ledtrig-pattern".to_owned());
        }
        self.sets.extend(params.stacks.kinds());
    }
}

/// Returns whether the boot wants a module, and not only another module does. One that it could not
/// load is missing or damaged, which the build reports.
fn is_wanted(module: &ModuleRecord) -> bool {
    let is_requested = module.origin.is_some();
    is_requested
        && !matches!(module.outcome, Outcome::Blacklisted | Outcome::Disabled | Outcome::Masked(_))
}

/// Returns whether the configuration keeps a module away from devices.
fn is_excluded(config: &Config, name: &ModuleName) -> bool {
    config.masks.origin(name).is_some()
        || config.is_blacklisted(name)
        || config.is_refused_by_kernel(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(root: &str, cmdline: &str) -> (String, String) {
        let text = format!("coldplug-capture 1\n{root}\n");
        let capture = Capture::parse(text.as_bytes()).unwrap();
        let mut needs = Machine::board(&capture).needs;
        needs.add_parameters(&KernelCommandLine::parse(cmdline));
        let names: Vec<_> = needs.names.into_iter().collect();
        (names.join(" "), needs.sets.into_iter().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_way_to_the_root_is_needed() {
        for (root, cmdline, names, sets) in [
            ("", "", "", ""),
            ("root xfs pci0/block/vda", "", "fs-xfs", ""),
            (
                "root vfat pci0/block/vda1",
                "",
                "fs-vfat nls_ascii nls_cp437 nls_iso8859_1 nls_utf8",
                "",
            ),
            ("root btrfs virtual/block/dm-0", "", "dm_mod fs-btrfs", "crypt lvm"),
            ("root btrfs virtual/block/md127", "", "fs-btrfs", "raid"),
            ("root xfs virtual/block/bcache0", "", "bcache fs-xfs", ""),
            ("root xfs virtual/block/nbd0/nbd0p1", "", "fs-xfs nbd", ""),
            ("root xfs virtual/block/zram0", "", "fs-xfs", ""),
            ("root fuse.x pci0/block/vda", "rootfstype=auto", "fs-fuse", ""),
            ("", "root=UUID=1 rootfstype=xfs mount.usrfstype=erofs", "fs-erofs fs-xfs", ""),
            ("", "root=10.0.0.1:/srv", "af_packet fs-nfs nfsv3 nfsv4", ""),
            ("", "root=/dev/nfs nfsroot=/srv", "af_packet fs-nfs nfsv3 nfsv4", ""),
            ("", "root=tag rootfstype=9p", "9pnet_virtio fs-9p", ""),
            ("", "root=x rootfstype=9p rootflags=trans=fd,x", "9pnet_fd fs-9p", ""),
            ("", "root=ubi0:root", "deflate fs-ubifs lzo mtd ubi zstd", ""),
            ("", "coldplug.led=status", "ledtrig-pattern", ""),
        ] {
            assert_eq!(
                needs(root, cmdline),
                (names.to_owned(), sets.to_owned()),
                "{root} {cmdline}"
            );
        }
    }

    #[test]
    #[cfg(feature = "stacks")]
    fn words_about_stacks_are_needs() {
        for (cmdline, want) in [
            ("rd.luks.uuid=1", "crypt"),
            ("cryptdevice=/dev/sda2:root", "crypt"),
            ("rd.luks.uuid=1 rd.luks=no", ""),
            ("rd.luks.options=1=discard", ""),
            ("rd.lvm.vg=vg0", "lvm"),
            ("rd.lvm.lv=vg0/root rd.luks.uuid=1", "crypt lvm"),
            ("rd.md.uuid=00000000:00000000:00000000:00000001", "raid"),
        ] {
            assert_eq!(needs("", cmdline).1, want, "{cmdline}");
        }
    }
}
