//! LUKS devices as the kernel command line and crypttab(5) describe them.
//!
//! ```text
//! rd.luks=BOOL  rd.luks.crypttab=BOOL                     systemd, dracut; without rd. the same
//! rd.luks.uuid=[luks-]UUID                                UUID may be abbreviated
//! rd.luks.name=UUID=NAME  rd.luks.data=UUID=DEVICE  rd.luks.options=[UUID=]OPTION,…
//! rd.luks.key=[UUID=]PATH[:DEVICE[:UUID]]                 the last UUID as in dracut
//! rd.luks.allow-discards[=UUID]  rd.luks.timeout=SECONDS  dracut
//! cryptdevice=DEVICE:NAME[:OPTION,…]                      mkinitcpio
//! cryptkey=DEVICE:FSTYPE:PATH | DEVICE:OFFSET:SIZE | rootfs:PATH
//! ```

use super::luks_options::{LuksOptions, duration};
use super::root_name::RootName;
use super::words::set;

/// A LUKS device to unlock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LuksDevice {
    /// Name below /dev/mapper; `None` means `luks-UUID`.
    pub(crate) name: Option<String>,
    /// The device.
    pub(crate) source: LuksSource,
    /// Where its key is.
    pub(crate) key: KeySource,
    /// How it is unlocked and set up.
    pub(crate) options: LuksOptions,
}

impl LuksDevice {
    /// Returns the name below /dev/mapper of the device with this UUID.
    pub(crate) fn mapped_name(&self, uuid: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("luks-{uuid}"))
    }

    /// Returns the paths of key files that systemd and mkinitcpio use without being told.
    pub(crate) fn usual_key_files(name: &str) -> [String; 3] {
        [
            format!("/etc/cryptsetup-keys.d/{name}.key"),
            format!("/run/cryptsetup-keys.d/{name}.key"),
            "/crypto_keyfile.bin".to_owned(),
        ]
    }
}

/// Name of a LUKS device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LuksSource {
    /// UUID of the header, or its first characters, in lower case.
    Uuid(String),
    /// A name as in `root=`. `UUID=` is the UUID of the header.
    Device(RootName),
}

impl LuksSource {
    /// Parses the device of crypttab(5) and `cryptdevice=`; `None` if no block device has this name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match RootName::parse(text)? {
            RootName::Uuid(uuid) => Self::Uuid(lower_case(&uuid)?),
            name if name.may_be_block_device() => Self::Device(name),
            _ => return None,
        })
    }

    /// Returns whether a header with this UUID is meant, if the device is named by its UUID.
    pub(crate) fn has_uuid(&self, uuid: &str) -> bool {
        match self {
            Self::Uuid(start) => uuid.to_ascii_lowercase().starts_with(start.as_str()),
            Self::Device(_) => false,
        }
    }
}

/// A file: in the image, or on another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FilePlace {
    /// A file of the image.
    File(String),
    /// A file on the filesystem of a device, with the type of that if it is known.
    OnDevice {
        /// Path on the filesystem.
        path: String,
        /// Device of the filesystem.
        device: RootName,
        /// Type of the filesystem.
        fstype: Option<String>,
    },
    /// The device itself.
    Device(RootName),
}

/// Beginnings of names of devices, which end a path before a colon.
const DEVICE_STARTS: [&str; 6] = ["/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID="];

impl FilePlace {
    /// Parses `PATH[:DEVICE]`.
    pub(super) fn parse(text: &str) -> Self {
        let (path, device) = split_at_device(text);
        match device.and_then(RootName::parse) {
            Some(device) => Self::OnDevice { path: path.to_owned(), device, fstype: None },
            None => Self::of_path(path),
        }
    }

    /// Returns the place of a path of the image, which may be that of a device.
    fn of_path(path: &str) -> Self {
        match RootName::parse(path) {
            Some(name) if is_device(path) => Self::Device(name),
            _ => Self::File(path.to_owned()),
        }
    }

    /// Returns the device that is needed for the file.
    pub(crate) fn device(&self) -> Option<&RootName> {
        match self {
            Self::File(_) => None,
            Self::OnDevice { device, .. } | Self::Device(device) => Some(device),
        }
    }
}

fn is_device(text: &str) -> bool {
    DEVICE_STARTS.iter().any(|start| text.starts_with(start))
}

/// Splits a text at the first colon that a device follows.
fn split_at_device(text: &str) -> (&str, Option<&str>) {
    let colons = text.match_indices(':').filter_map(|(at, _)| text.split_at_checked(at));
    let mut parts = colons.filter_map(|(path, rest)| Some((path, rest.strip_prefix(':')?)));
    match parts.find(|(_, rest)| is_device(rest)) {
        Some((path, device)) => (path, Some(device)),
        None => (text, None),
    }
}

/// Where the key of a LUKS device is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// No key file is named: [`LuksDevice::usual_key_files`], tokens and a person are asked.
    #[default]
    Unnamed,
    /// A key file.
    File(FilePlace),
}

impl KeySource {
    /// Parses the third field of crypttab(5).
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "" | "-" | "none" => Self::Unnamed,
            text => Self::File(FilePlace::parse(text)),
        }
    }

    /// Returns the key file `path` on a device.
    pub(super) fn on_device(path: &str, device: &str, fstype: Option<&str>) -> Self {
        RootName::parse(device).map_or(Self::Unnamed, |device| {
            let (path, fstype) = (path.to_owned(), fstype.map(str::to_owned));
            Self::File(FilePlace::OnDevice { path, device, fstype })
        })
    }
}

/// What the kernel command line says of one UUID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    uuid: String,
    /// Whether the device is unlocked because of the command line, or only described by it.
    wanted: bool,
    name: Option<String>,
    data: Option<RootName>,
    key: Option<KeySource>,
    options: Option<String>,
    /// `rd.luks.allow-discards=`.
    discard: bool,
}

/// What the kernel command line says of LUKS devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LuksParams {
    /// `rd.luks=no`: no LUKS device is unlocked.
    pub(crate) off: bool,
    /// `rd.luks.crypttab=no`: /etc/crypttab is ignored.
    pub(crate) no_crypttab: bool,
    entries: Vec<Entry>,
    /// Options of `rd.luks.options=` without UUID, and those of dracut's words.
    options: Option<String>,
    discard: bool,
    timeout: Option<String>,
    /// `rd.luks.key=` without UUID.
    key: KeySource,
    cryptdevice: Option<LuksDevice>,
    /// A text for each option of `cryptdevice=` that is not understood. As in mkinitcpio, the device is
    /// unlocked without it.
    cryptdevice_problems: Vec<String>,
    /// `cryptkey=`, with offset and size.
    cryptkey: Option<(KeySource, u64, Option<u64>)>,
}

impl LuksParams {
    /// Returns whether the command line names a device that is unlocked.
    #[cfg(feature = "host")]
    pub(crate) fn names_any(&self) -> bool {
        !self.off && (self.cryptdevice.is_some() || self.entries.iter().any(|entry| entry.wanted))
    }

    /// Returns the devices to unlock, and a text for each option that is not understood.
    ///
    /// If the command line names UUIDs, only these devices of `crypttab` are unlocked, as in
    /// systemd; their names, keys and options are those of `crypttab` unless the command line has
    /// others. If nothing is named, the list is empty, and any device may be unlocked.
    pub(crate) fn devices(&self, crypttab: Vec<LuksDevice>) -> (Vec<LuksDevice>, Vec<String>) {
        let mut problems = self.cryptdevice_problems.clone();
        if self.off {
            return (Vec::new(), problems);
        }
        // The first of several entries for one device is used.
        let mut devices: Vec<LuksDevice> = self.mkinitcpio_device().into_iter().collect();
        let wanted: Vec<&Entry> = self.entries.iter().filter(|entry| entry.wanted).collect();
        let mut described = vec![false; wanted.len()];
        for mut device in crypttab.into_iter().filter(|_| !self.no_crypttab) {
            let at = wanted.iter().position(|entry| device.source.has_uuid_like(&entry.uuid));
            if let Some(described) = at.and_then(|at| described.get_mut(at)) {
                *described = true;
            }
            let is_used = if wanted.is_empty() { !device.options.no_auto } else { at.is_some() };
            if is_used {
                problems.extend(self.override_with(&mut device));
                devices.push(device);
            }
        }
        for (entry, _) in wanted.iter().zip(described).filter(|(_, described)| !described) {
            devices.push(self.device(entry, &mut problems));
        }
        (devices, problems)
    }

    /// Returns how a device is unlocked that nothing names, but that may hold the root.
    pub(crate) fn unnamed_device(&self, uuid: &str) -> LuksDevice {
        let entry = self.entries.iter().find(|entry| is_same(&entry.uuid, uuid));
        let unnamed = Entry { uuid: uuid.to_ascii_lowercase(), ..Entry::default() };
        let mut device = self.device(entry.unwrap_or(&unnamed), &mut Vec::new());
        if device.key == KeySource::Unnamed
            && let Some(key) = &self.cryptkey
        {
            device.set_key(key.clone());
        }
        device
    }

    /// Replaces what crypttab says of a device by what the command line says. Returns a text for each
    /// option that is not understood.
    fn override_with(&self, device: &mut LuksDevice) -> Vec<String> {
        let entry = self.entries.iter().find(|entry| device.source.has_uuid_like(&entry.uuid));
        let mut problems = Vec::new();
        if let Some(entry) = entry {
            device.name = entry.name.clone().or_else(|| device.name.take());
            if let Some(key) = &entry.key {
                device.key = key.clone();
            }
            if let Some(options) = &entry.options {
                device.options = LuksOptions::default();
                problems = device.options.add(options);
            }
            device.options.discard |= entry.discard;
        }
        device.options.discard |= self.discard;
        problems
    }

    fn device(&self, entry: &Entry, problems: &mut Vec<String>) -> LuksDevice {
        let mut options = LuksOptions::default();
        let timeout = self.timeout.as_deref().and_then(duration).flatten();
        (options.discard, options.timeout) = (self.discard || entry.discard, timeout);
        let text = entry.options.as_ref().or(self.options.as_ref());
        problems.extend(text.map(|text| options.add(text)).unwrap_or_default());
        LuksDevice {
            name: entry.name.clone(),
            source: match &entry.data {
                Some(device) => LuksSource::Device(device.clone()),
                None => LuksSource::Uuid(entry.uuid.clone()),
            },
            key: entry.key.clone().unwrap_or_else(|| self.key.clone()),
            options,
        }
    }

    fn mkinitcpio_device(&self) -> Option<LuksDevice> {
        let mut device = self.cryptdevice.clone()?;
        device.set_key(self.cryptkey.clone().unwrap_or_default());
        Some(device)
    }

    /// `rd.luks.uuid=`.
    pub(super) fn add_uuid(&mut self, text: &str) -> bool {
        self.entry(text).map(|entry| entry.wanted = true).is_some()
    }

    /// `rd.luks.name=`.
    pub(super) fn set_name(&mut self, text: &str) -> bool {
        let Some((uuid, name)) = text.split_once('=') else { return false };
        if name.is_empty() || name.contains('/') || name.len() > 127 {
            return false;
        }
        let Some(entry) = self.entry(uuid) else { return false };
        (entry.wanted, entry.name) = (true, Some(name.to_owned()));
        true
    }

    /// `rd.luks.data=`.
    pub(super) fn set_data(&mut self, text: &str) -> bool {
        let Some((uuid, device)) = text.split_once('=') else { return false };
        let name = RootName::parse(device).filter(RootName::may_be_block_device);
        self.entry(uuid).is_some_and(|entry| set(&mut entry.data, name.map(Some)))
    }

    /// `rd.luks.options=`.
    pub(super) fn set_options(&mut self, text: &str) -> bool {
        let (uuid, options) = split_uuid(text);
        let place = match uuid {
            Some(uuid) => self.entry(uuid).map(|entry| &mut entry.options),
            None => Some(&mut self.options),
        };
        place.map(|place| *place = Some(options.to_owned())).is_some()
    }

    /// `rd.luks.key=`.
    pub(super) fn set_key(&mut self, text: &str) -> bool {
        let (uuid, place) = split_uuid(text);
        let (path, devices) = split_at_device(place);
        // dracut writes the LUKS device last.
        let (key_device, luks) = devices.map_or(("", None), split_at_device);
        let luks = luks.and_then(LuksSource::parse);
        let end =
            if key_device.is_empty() { path.len() } else { path.len() + 1 + key_device.len() };
        let key = KeySource::parse(place.get(..end).unwrap_or(place));
        let uuid = match &luks {
            Some(LuksSource::Uuid(uuid)) => Some(uuid.as_str()),
            Some(LuksSource::Device(_)) => return false,
            None => uuid,
        };
        if !path.starts_with('/') {
            return false;
        }
        match uuid {
            None => self.key = key,
            Some(uuid) => {
                let Some(entry) = self.entry(uuid) else { return false };
                entry.key = Some(key);
            }
        }
        true
    }

    /// `rd.luks.allow-discards`.
    pub(super) fn allow_discards(&mut self, uuid: Option<&str>) -> bool {
        match uuid {
            None => self.discard = true,
            Some(uuid) => {
                let Some(entry) = self.entry(uuid) else { return false };
                entry.discard = true;
            }
        }
        true
    }

    /// `rd.luks.timeout=`.
    pub(super) fn set_timeout(&mut self, text: &str) -> bool {
        set(&mut self.timeout, duration(text).map(|_| Some(text.to_owned())))
    }

    /// `cryptdevice=`.
    pub(super) fn set_cryptdevice(&mut self, text: &str) -> bool {
        let mut parts = text.splitn(3, ':');
        let source = parts.next().and_then(LuksSource::parse);
        let (name, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut options = LuksOptions::default();
        self.cryptdevice_problems = options.add(text);
        let device = source.filter(|_| !name.is_empty()).map(|source| LuksDevice {
            name: Some(name.to_owned()),
            source,
            key: KeySource::Unnamed,
            options,
        });
        set(&mut self.cryptdevice, device.map(Some))
    }

    /// `cryptkey=`.
    pub(super) fn set_cryptkey(&mut self, text: &str) -> bool {
        let parts: Vec<&str> = text.splitn(3, ':').collect();
        let key = match *parts.as_slice() {
            ["rootfs", path] => Some((KeySource::File(FilePlace::File(path.into())), 0, None)),
            [device, second, third] => match (second.parse(), third.parse()) {
                (Ok(offset), Ok(size)) => RootName::parse(device)
                    .map(|device| (KeySource::File(FilePlace::Device(device)), offset, Some(size))),
                _ => {
                    let fstype = Some(second).filter(|t| !matches!(*t, "" | "auto"));
                    Some((KeySource::on_device(third, device, fstype), 0, None))
                }
            },
            _ => None,
        };
        set(&mut self.cryptkey, key.map(Some))
    }

    /// Returns the entry of a UUID, which may be abbreviated; `None` if it is malformed.
    fn entry(&mut self, uuid: &str) -> Option<&mut Entry> {
        let uuid = lower_case(uuid.strip_prefix("luks-").unwrap_or(uuid))?;
        let at = self.entries.iter().position(|entry| is_same(&entry.uuid, &uuid));
        let at = at.unwrap_or_else(|| {
            self.entries.push(Entry { uuid, ..Entry::default() });
            self.entries.len() - 1
        });
        self.entries.get_mut(at)
    }
}

impl LuksDevice {
    fn set_key(&mut self, (key, offset, size): (KeySource, u64, Option<u64>)) {
        (self.key, self.options.keyfile_offset, self.options.keyfile_size) = (key, offset, size);
    }
}

impl LuksSource {
    /// Returns whether the device is named by this UUID or an abbreviation.
    fn has_uuid_like(&self, uuid: &str) -> bool {
        matches!(self, Self::Uuid(own) if is_same(own, uuid))
    }
}

/// Returns whether two UUIDs are equal, or one is the beginning of the other.
fn is_same(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Returns a UUID in lower case; `None` if it is empty or holds something else than digits.
fn lower_case(uuid: &str) -> Option<String> {
    let valid = !uuid.is_empty() && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    valid.then(|| uuid.to_ascii_lowercase())
}

/// Splits `UUID=REST`.
fn split_uuid(text: &str) -> (Option<&str>, &str) {
    let parts = text
        .split_once('=')
        .filter(|(uuid, _)| lower_case(uuid.strip_prefix("luks-").unwrap_or(uuid)).is_some());
    parts.map_or((None, text), |(uuid, rest)| (Some(uuid), rest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{KernelCommandLine, crypttab};
    use super::*;

    const UUID: &str = "0ab1c2d3-0000-4000-8000-000000000001";
    const OTHER: &str = "1ab1c2d3-0000-4000-8000-000000000002";

    fn luks(line: &str) -> LuksParams {
        let line = KernelCommandLine::parse(line);
        assert_eq!(line.warnings, []);
        line.stacks.luks
    }

    fn devices(line: &str, table: &str) -> Vec<LuksDevice> {
        let (devices, problems) = luks(line).devices(crypttab::parse("t", table.as_bytes()).0);
        assert_eq!(problems, [""; 0], "{line}");
        devices
    }

    fn device(line: &str) -> LuksDevice {
        let mut devices = devices(line, "");
        assert_eq!(devices.len(), 1, "{line}");
        devices.remove(0)
    }

    fn file(path: &str) -> KeySource {
        KeySource::File(FilePlace::File(path.to_owned()))
    }

    fn is_named(luks: &LuksParams) -> bool {
        luks.cryptdevice.is_some() || luks.entries.iter().any(|entry| entry.wanted)
    }

    #[test]
    fn devices_are_named_by_uuid() {
        for line in ["rd.luks.uuid=luks-0AB1", "luks.uuid=0ab1", "rd.luks.uuid=0ab1c2d3-0000"] {
            let found = device(line);
            assert!(found.source.has_uuid(UUID) && !found.source.has_uuid(OTHER), "{line}");
            assert_eq!(found.mapped_name(UUID), format!("luks-{UUID}"));
        }
        let found = device(&format!("rd.luks.name={UUID}=root rd.luks.options=discard,tries=5"));
        assert_eq!(found.mapped_name(UUID), "root");
        assert!(found.options.discard && found.options.tries == 5);
        let line = format!(
            "rd.luks.uuid={UUID} rd.luks.uuid={OTHER} rd.luks.uuid={UUID} \
             rd.luks.options={OTHER}=readonly rd.luks.options=discard rd.luks.timeout=9"
        );
        let found = devices(&line, "");
        let flags = |at: usize| (found[at].options.discard, found[at].options.read_only);
        assert_eq!((found.len(), flags(0), flags(1)), (2, (true, false), (false, true)));
        assert_eq!(found[0].options.timeout, Some(Duration::from_secs(9)));
        let line = format!("rd.luks.data={UUID}=/dev/vdb rd.luks.uuid={UUID}");
        assert_eq!(device(&line).source, LuksSource::Device(RootName::Device("/dev/vdb".into())));
        let line = format!("rd.luks.uuid={UUID} rd.luks.allow-discards={UUID}");
        assert!(device(&line).options.discard);
        assert!(device(&format!("rd.luks.uuid={UUID} rd.luks.allow-discards")).options.discard);
    }

    #[test]
    fn keys_of_all_families_are_parsed() {
        let on = |path, device| KeySource::on_device(path, device, None);
        for (key, want) in [
            ("/key", file("/key")),
            ("/a:b", file("/a:b")),
            ("0ab1=/key", file("/key")),
            ("luks-0ab1=/key:LABEL=usb", on("/key", "LABEL=usb")),
            ("/key:/dev/disk/by-path/pci-0:1", on("/key", "/dev/disk/by-path/pci-0:1")),
            ("/key:UUID=12:UUID=0ab1", on("/key", "UUID=12")),
            ("/key:/dev/sdb1", on("/key", "/dev/sdb1")),
            ("1ab1=/other", KeySource::Unnamed),
            ("/key:UUID=12:UUID=1ab1", KeySource::Unnamed),
        ] {
            let line = format!("rd.luks.uuid={UUID} rd.luks.key={key}");
            assert_eq!(device(&line).key, want, "{key}");
        }
        let (devices, problems) = luks("cryptdevice=/dev/sda:root:colour").devices(Vec::new());
        assert_eq!((devices.len(), problems.len()), (1, 1));
        let cryptdevice = "cryptdevice=UUID=0AB1:cryptroot:allow-discards,no-read-workqueue";
        let found = device(cryptdevice);
        assert_eq!(found.name.as_deref(), Some("cryptroot"));
        assert!(found.source.has_uuid(UUID) && found.options.discard);
        for (key, want, offset, size) in [
            ("rootfs:/k", file("/k"), 0, None),
            ("UUID=12:ext4:/k", KeySource::on_device("/k", "UUID=12", Some("ext4")), 0, None),
            ("/dev/sdb1:auto:/k", on("/k", "/dev/sdb1"), 0, None),
            (
                "/dev/sdb:512:64",
                KeySource::File(FilePlace::Device(RootName::Device("/dev/sdb".into()))),
                512,
                Some(64),
            ),
        ] {
            let found = device(&format!("{cryptdevice} cryptkey={key}"));
            let range = (found.options.keyfile_offset, found.options.keyfile_size);
            assert_eq!((found.key, range), (want, (offset, size)), "{key}");
        }
    }

    #[test]
    fn crypttab_and_command_line_are_joined() {
        let table = format!("a UUID={UUID} /k discard\nb UUID={OTHER} none noauto\n");
        let names = |line: &str| -> Vec<String> {
            devices(line, &table).iter().map(|device| device.mapped_name("x")).collect()
        };
        for (line, want) in [
            ("quiet", &["a"][..]),
            ("rd.luks.uuid=1ab1", &["b"]),
            ("rd.luks.uuid=2222 rd.luks.uuid=0ab1", &["a", "luks-x"]),
            ("rd.luks.options=1ab1=discard", &["a"]),
            ("rd.luks.name=0ab1=other", &["other"]),
            ("cryptdevice=/dev/sda:c", &["c", "a"]),
            ("rd.luks.crypttab=no", &[]),
            ("rd.luks.crypttab=no luks.uuid=1ab1", &["luks-x"]),
            ("rd.luks=no rd.luks.uuid=0ab1", &[]),
            ("luks=0", &[]),
        ] {
            assert_eq!(names(line), want, "{line}");
        }
        let options = |line| devices(line, &table)[0].options.clone();
        assert!(options("rd.luks.options=readonly").discard);
        assert!(options("rd.luks.options=0ab1=readonly").read_only);
        assert!(!options("rd.luks.options=0ab1=readonly").discard);
        let both = options("rd.luks.options=0ab1=readonly rd.luks.allow-discards=0ab1");
        assert!(both.discard && both.read_only);
        let key = |line| devices(line, &table)[0].key.clone();
        assert_eq!(key("rd.luks.allow-discards=0ab1"), file("/k"));
        assert_eq!(key("rd.luks.key=0ab1=/other"), file("/other"));
    }

    #[test]
    fn a_device_that_nothing_names_has_a_key_too() {
        let line = format!("rd.luks.key=/k rd.luks.options={UUID}=discard");
        assert!(!is_named(&luks(&line)));
        let found = luks(&line).unnamed_device(UUID);
        assert_eq!((found.key, found.options.discard), (file("/k"), true));
        assert!(!luks(&line).unnamed_device(OTHER).options.discard);
        assert_eq!(luks("cryptkey=rootfs:/k").unnamed_device(UUID).key, file("/k"));
        assert!(is_named(&luks("cryptdevice=/dev/sda:a")));
    }

    #[test]
    fn malformed_words_are_named() {
        for word in [
            "rd.luks.uuid=",
            "rd.luks.uuid=luks-",
            "rd.luks.uuid=UUID",
            "rd.luks.name=0ab1",
            "rd.luks.name=0ab1=a/b",
            "rd.luks.name=0ab1=",
            "rd.luks.data=0ab1=x",
            "rd.luks.key=key",
            "rd.luks.key",
            "rd.luks.timeout=soon",
            "cryptdevice=/dev/sda",
            "cryptdevice=sda:root",
            "cryptkey=rootfs",
            "luks.uuid=x",
        ] {
            let line = KernelCommandLine::parse(word);
            assert_eq!(line.warnings.len(), 1, "{word}");
            assert!(!is_named(&line.stacks.luks), "{word}");
        }
    }
}
