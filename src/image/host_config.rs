//! What the image takes from the configuration of its root, so that the root's devices are
//! assembled as in the real system: lines of crypttab(5) with their key files, mdadm.conf, settings
//! of LVM, and the host name, by which arrays and volume groups are told from foreign ones; and the
//! rules of assemble.d with the programs that they run.
//!
//! ```text
//! line of crypttab                                              in the image
//!   x-initrd.attach or initramfs                                yes
//!   fstab(5) mounts its mapping at / or /usr, or swaps to it    yes
//!   noauto, or no LUKS                                          no
//!   fstab names / /usr or swap in a way that shows no mapping   yes, unless it has a key file
//!   otherwise                                                   no
//! ```

use std::collections::BTreeSet;
use std::path::Path;

use super::Error;
use super::libraries;
use super::manifest::{Content, Manifest, Node};
use crate::byte_text;
use crate::cmdline::crypttab;
use crate::cmdline::luks::{FilePlace, KeySource, LuksDevice};
use crate::disk::assemble_rule::{self, DIRECTORY};
use crate::sys::inside::inside;
use crate::sys::{regular_file, sysfs};

/// Longest file in bytes.
const LIMIT: usize = 16 << 20;
const CRYPTTAB: &str = "etc/crypttab";
/// Files that are copied if they exist.
const LVM_FILES: [&str; 2] = ["etc/lvm/lvm.conf", "etc/lvm/lvmlocal.conf"];
const LVM_DEVICES: &str = "etc/lvm/devices";
const MDADM_FILES: [&str; 2] = ["etc/mdadm.conf", "etc/mdadm/mdadm.conf"];
const HOST_NAME: &str = "etc/hostname";
/// Values of PCRs from the last boot in which the TPM unsealed a key, and their path in the image.
const PCRS: [&str; 2] = ["run/coldplug/pcrs", "etc/coldplug/pcrs"];

/// The configuration of the root.
#[derive(Debug, Default)]
pub(super) struct HostConfig {
    /// Path in the image, permission bits and content of each file.
    files: Vec<(String, u32, Vec<u8>)>,
    /// Paths of the programs of assemble.d.
    programs: Vec<String>,
    /// Module sets that the configuration needs.
    pub(super) sets: Vec<String>,
    /// Whether a file is a key.
    pub(super) is_secret: bool,
    /// Warnings.
    pub(super) notices: Vec<String>,
}

impl HostConfig {
    /// Reads the configuration of the root directory `root`.
    ///
    /// # Errors
    /// A file exists and cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let mut config = Self::default();
        config.add_crypttab(root)?;
        config.add_rules(root)?;
        let pcrs = read(root, PCRS[0])?;
        config.files.extend(pcrs.map(|pcrs| (PCRS[1].to_owned(), 0o644, pcrs)));
        let mut lvm = LVM_FILES.map(str::to_owned).to_vec();
        let devices = std::fs::read_dir(inside(root, Path::new(LVM_DEVICES)));
        let names = devices.into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        lvm.extend(
            names
                .iter()
                .filter(|name| name.ends_with(".devices"))
                .map(|name| format!("{LVM_DEVICES}/{name}")),
        );
        let has_lvm = config.add_all(root, lvm, "@lvm")?;
        let has_md = config.add_all(root, MDADM_FILES.map(str::to_owned).to_vec(), "@raid")?;
        if has_lvm || has_md {
            config.add_file(root, HOST_NAME, 0o644)?;
        }
        Ok(config)
    }

    /// Returns whether there are rules for programs that assemble devices, here or among the paths
    /// of the image's file list.
    pub(super) fn has_rules<'a>(&self, mut listed: impl Iterator<Item = &'a str>) -> bool {
        let mut own = self.files.iter().map(|(path, ..)| path.as_str());
        own.any(assemble_rule::is_rule_path) || listed.any(assemble_rule::is_rule_path)
    }

    /// Adds the files to an image, except for those that its file list has.
    ///
    /// # Errors
    /// A program cannot be read, or a parent of a file is not a directory.
    pub(super) fn add_to(self, manifest: &mut Manifest, root: &Path) -> Result<(), Error> {
        let has = |manifest: &Manifest, path: &str| manifest.iter().any(|(name, _)| name == path);
        for (name, mode, content) in self.files {
            if !has(manifest, &name) {
                let node = Node::of_root(mode, Content::Bytes(content));
                manifest.add(&name, node.because("configuration of the root's devices"))?;
            }
        }
        for program in self.programs {
            if !has(manifest, &program) {
                libraries::add_program(manifest, &program, root, "program of assemble.d")?;
            }
        }
        Ok(())
    }

    /// Adds the rules of assemble.d.
    fn add_rules(&mut self, root: &Path) -> Result<(), Error> {
        let names = sysfs::entry_names(&inside(root, Path::new(DIRECTORY)));
        for name in assemble_rule::in_order(names) {
            let path = format!("{DIRECTORY}/{name}");
            let Some(content) = read(root, &path)? else { continue };
            let mut warnings = Vec::new();
            for rule in assemble_rule::parse(&path, &byte_text::from_bytes(&content), &mut warnings)
            {
                let program = rule.program.trim_start_matches('/');
                if inside(root, Path::new(program)).is_file() {
                    self.programs.push(program.to_owned());
                } else {
                    let text = format!("{}: {} not found", rule.place, rule.program);
                    self.notices.push(text + "; the image has no such program");
                }
            }
            self.notices.extend(warnings.iter().map(ToString::to_string));
            self.files.push((path, 0o644, content));
        }
        Ok(())
    }

    /// Adds files, and `set` if there is one. Returns whether there is.
    fn add_all(&mut self, root: &Path, names: Vec<String>, set: &str) -> Result<bool, Error> {
        let mut is_any = false;
        for name in names {
            is_any |= self.add_file(root, &name, 0o644)?;
        }
        self.sets.extend(is_any.then(|| set.to_owned()));
        Ok(is_any)
    }

    /// Adds a file. Returns whether it exists.
    fn add_file(&mut self, root: &Path, name: &str, mode: u32) -> Result<bool, Error> {
        let content = read(root, name)?;
        let exists = content.is_some();
        self.files.extend(content.map(|content| (name.to_owned(), mode, content)));
        Ok(exists)
    }

    fn add_crypttab(&mut self, root: &Path) -> Result<(), Error> {
        let Some(text) = read(root, CRYPTTAB)? else { return Ok(()) };
        let fstab = read(root, "etc/fstab")?.unwrap_or_default();
        let mounts = Mounts::parse(&fstab, &text);
        let mut lines = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            let (devices, _) = crypttab::parse(CRYPTTAB, line);
            let Some(device) = devices.first().filter(|device| mounts.need(device)) else {
                continue;
            };
            self.add_files_of(root, device, mounts.name_mapping_of(device))?;
            lines.extend([line, b"\n"].concat());
        }
        if !lines.is_empty() {
            self.files.push((CRYPTTAB.to_owned(), 0o600, lines));
            self.sets.push("@crypt".to_owned());
            let warnings = crypttab::parse(CRYPTTAB, &text).1;
            self.notices.extend(warnings.iter().map(ToString::to_string));
        }
        Ok(())
    }

    /// Adds the files that a line of crypttab names. The key file that systemd uses without being
    /// told is added if the mapping is certain to be needed.
    fn add_files_of(
        &mut self,
        root: &Path,
        device: &LuksDevice,
        is_certain: bool,
    ) -> Result<(), Error> {
        if let Some(FilePlace::File(header)) = &device.options.header {
            self.add_named(root, header)?;
        }
        if let Some(signature) = &device.options.tpm2_signature {
            self.add_named(root, signature)?;
        }
        match &device.key {
            KeySource::File(FilePlace::File(key)) => {
                self.is_secret |= self.add_named(root, key)?;
            }
            KeySource::Unnamed if is_certain => {
                let name = device.name.as_deref().unwrap_or_default();
                let key = format!("etc/cryptsetup-keys.d/{name}.key");
                self.is_secret |= self.add_file(root, &key, 0o600)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a file that crypttab names. Returns whether it exists.
    fn add_named(&mut self, root: &Path, path: &str) -> Result<bool, Error> {
        let exists = self.add_file(root, path.trim_start_matches('/'), 0o600)?;
        if !exists {
            self.notices.push(format!("{CRYPTTAB}: {path} not found; the image has no such file"));
        }
        Ok(exists)
    }
}

/// Reads a file of the root; `None` if it does not exist.
fn read(root: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = inside(root, &byte_text::to_path(name));
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => regular_file::read(&path, LIMIT).map(Some).map_err(Error::System),
    }
}

/// What fstab(5) mounts or swaps to before the real system starts.
struct Mounts {
    /// Names below /dev/mapper.
    mappings: BTreeSet<String>,
    /// Whether a device is named in a way that shows no mapping of crypttab.
    is_unclear: bool,
}

impl Mounts {
    fn parse(fstab: &[u8], table: &[u8]) -> Self {
        let known: Vec<Option<String>> =
            crypttab::parse("", table).0.into_iter().map(|device| device.name).collect();
        let text = byte_text::from_bytes(fstab);
        let (mut mappings, mut is_root_clear, mut is_usr_clear) = (BTreeSet::new(), false, true);
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let fields: Vec<String> =
                line.split_ascii_whitespace().take(3).map(byte_text::from_octal).collect();
            let [source, place, kind] = fields.as_slice() else { continue };
            if !matches!(place.as_str(), "/" | "/usr") && kind != "swap" {
                continue;
            }
            let mapping = source.strip_prefix("/dev/mapper/").map(str::to_owned);
            let mapping = mapping.filter(|name| known.contains(&Some(name.clone())));
            is_root_clear |= place == "/" && mapping.is_some();
            is_usr_clear &= place != "/usr" || mapping.is_some();
            mappings.extend(mapping);
        }
        Self { mappings, is_unclear: !(is_root_clear && is_usr_clear) }
    }

    /// Returns whether the real system is certain to need the mapping of a device.
    fn name_mapping_of(&self, device: &LuksDevice) -> bool {
        device.options.in_initramfs
            || device.name.as_ref().is_some_and(|name| self.mappings.contains(name))
    }

    /// Returns whether the line of a device goes into the image.
    fn need(&self, device: &LuksDevice) -> bool {
        let has_key_file = matches!(device.key, KeySource::File(FilePlace::File(_)));
        let is_usable = device.options.other_format.is_none() && !device.options.no_auto;
        is_usable && (self.name_mapping_of(device) || (self.is_unclear && !has_key_file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const TABLE: &str = "# table\n\
        root UUID=1 none luks,discard\n\
        data UUID=2 /etc/keys/data.key luks\n\
        swap /dev/vda3 /dev/urandom swap\n\
        usb UUID=4 none noauto\n\
        flagged UUID=5 /etc/keys/flagged.key x-initrd.attach\n\
        home UUID=6\n";

    /// Returns the first words of the lines of crypttab in the image.
    fn lines(fstab: &str) -> Vec<String> {
        let root = root(&[("etc/crypttab", TABLE), ("etc/fstab", fstab)]);
        let config = HostConfig::read(root.path()).unwrap();
        let (_, mode, text) = config.files.iter().find(|(name, ..)| name == CRYPTTAB).unwrap();
        assert_eq!(*mode, 0o600);
        let text = std::str::from_utf8(text).unwrap();
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_that_the_root_needs_are_in_the_image() {
        for (fstab, want) in [
            ("", &["root", "flagged", "home"][..]),
            ("/dev/mapper/root / ext4 defaults 0 1\n", &["root", "flagged"]),
            ("/dev/mapper/data / ext4\n/dev/mapper/home /home ext4\n", &["data", "flagged"]),
            ("/dev/mapper/root / ext4\n/dev/mapper/data /usr ext4\n", &["root", "data", "flagged"]),
            ("/dev/mapper/vg0-root / ext4\n", &["root", "flagged", "home"]),
            ("#/dev/mapper/root / ext4\nUUID=7 / ext4\n", &["root", "flagged", "home"]),
            (
                "/dev/mapper/root / ext4\n/dev/mapper/home none swap sw\n",
                &["root", "flagged", "home"],
            ),
        ] {
            assert_eq!(lines(fstab), want, "{fstab}");
        }
    }

    #[test]
    fn key_files_are_secret_and_missing_ones_named() {
        let root = root(&[
            ("etc/crypttab", "a UUID=1 /etc/a.key initramfs,header=/boot/a.img\nb UUID=2\n"),
            ("etc/fstab", "/dev/mapper/b / ext4\n"),
            ("etc/a.key", "secret"),
            ("etc/cryptsetup-keys.d/b.key", "secret too"),
        ]);
        let config = HostConfig::read(root.path()).unwrap();
        assert!(config.is_secret);
        let names: Vec<_> = config.files.iter().map(|(name, mode, _)| (&**name, *mode)).collect();
        let want = ["etc/a.key", "etc/cryptsetup-keys.d/b.key", "etc/crypttab"];
        assert_eq!(names, want.map(|name| (name, 0o600)));
        assert_eq!(config.sets, ["@crypt"]);
        let notice = "etc/crypttab: /boot/a.img not found; the image has no such file";
        assert_eq!(config.notices, [notice]);
    }

    #[test]
    fn rules_of_assembly_come_with_their_programs() {
        let root = root(&[
            (
                "etc/coldplug/assemble.d/10-cache",
                "on bcache run /usr/bin/register -q\non x run /y\n",
            ),
            ("etc/coldplug/assemble.d/20-pool", "on zfs_member run /sbin/zpool import\n"),
            ("etc/coldplug/assemble.d/20-pool~", "on zfs_member run /sbin/old\n"),
            ("usr/bin/register", "#!/bin/sh -e\n"),
        ]);
        let config = HostConfig::read(root.path()).unwrap();
        let rules = "etc/coldplug/assemble.d";
        assert_eq!(
            config.notices,
            [
                format!("{rules}/10-cache line 2: ignored: unknown type of superblock 'x'"),
                format!("{rules}/20-pool:1: /sbin/zpool not found; the image has no such program")
            ]
        );
        let mut manifest = Manifest::default();
        config.add_to(&mut manifest, root.path()).unwrap();
        let files = manifest.iter().filter(|(_, node)| !matches!(node.content, Content::Dir));
        let files: Vec<_> = files.map(|(name, node)| (name, node.mode & 0o777)).collect();
        let (first, second) = (format!("{rules}/10-cache"), format!("{rules}/20-pool"));
        assert_eq!(files, [(&*first, 0o644), (&second, 0o644), ("usr/bin/register", 0o755)]);
    }

    #[test]
    fn settings_of_lvm_and_md_come_with_the_host_name() {
        let with = |files: &[(&str, &str)]| {
            let root = root(files);
            let config = HostConfig::read(root.path()).unwrap();
            let names: Vec<String> = config.files.into_iter().map(|(name, ..)| name).collect();
            (names.join(" "), config.sets.join(" "), config.is_secret)
        };
        let host = ("etc/hostname", "pc\n");
        assert_eq!(with(&[host]), (String::new(), String::new(), false));
        let (names, sets, _) = with(&[
            host,
            ("etc/mdadm/mdadm.conf", "HOMEHOST <system>\n"),
            ("etc/lvm/lvmlocal.conf", ""),
            ("etc/lvm/devices/system.devices", ""),
            ("etc/lvm/devices/backup/old", ""),
        ]);
        let want = "etc/lvm/lvmlocal.conf etc/lvm/devices/system.devices etc/mdadm/mdadm.conf \
                    etc/hostname";
        assert_eq!((names.as_str(), sets.as_str()), (want, "@lvm @raid"));
    }
}
