//! Arrays of md: which ones the devices form, and their start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::Node;
use crate::byte_text;
use crate::disk::md::config::Config;
use crate::disk::md::device_name::{DeviceName, Naming};
use crate::disk::md::members::{self, Candidate};
use crate::disk::md::{self as superblock, MdError, Metadata};
use crate::escape;
use crate::kmod::Warning;
use crate::sys::block::{self, Disk};
use crate::sys::regular_file::{self, CONFIG_LIMIT};
use crate::sys::{Cause, Error, Result, Root, md, sysfs};

/// The arrays of a set of devices.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Arrays, by their UUID.
    pub(crate) arrays: Vec<Array>,
    /// Devices that cannot be a member, with the reason.
    pub(crate) problems: Vec<(PathBuf, String)>,
    /// What mdadm.conf has that has no effect.
    pub(crate) warnings: Vec<Warning>,
}

/// An array, and what is there of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    /// UUID in the form of mdadm.
    pub(crate) uuid: String,
    /// Name in the superblock: `HOST:NAME`; for version 0.90 a number.
    pub(crate) name: String,
    /// The kernel's name of the level: `raid1`.
    pub(crate) level: &'static str,
    /// Version of the superblocks: `1.2`.
    pub(crate) version: &'static str,
    /// Module that implements the level.
    pub(crate) module: &'static str,
    /// Name of its device: `md127`.
    pub(crate) device: String,
    /// Name of the link in /dev/md.
    pub(crate) link: Option<String>,
    /// Number of slots.
    pub(crate) slots: u32,
    /// Devices that the array is started with.
    pub(crate) members: Vec<Node>,
    /// Devices that have its UUID but are not used, with the reason.
    pub(crate) left_out: Vec<(PathBuf, String)>,
    /// Slots without a device that is up to date.
    pub(crate) missing: Vec<u32>,
    /// Those of them whose device may still appear.
    pub(crate) awaited: Vec<u32>,
    pub(crate) state: State,
}

/// Whether an array can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It runs.
    Active,
    /// All that the newest superblock expects is there.
    Complete,
    /// Devices are missing; what is there suffices.
    Degraded,
    /// What is there suffices, but parity may be wrong where data is missing.
    DirtyDegraded,
    /// What is there does not suffice.
    Incomplete,
    /// It is not assembled, for this reason.
    Refused(String),
}

/// How far an array that is not complete may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Permission {
    /// Only if it is complete.
    Complete,
    /// With missing devices.
    Degraded,
    /// With missing devices, and with parity that may be wrong.
    DirtyDegraded,
}

/// An array that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    /// Path of the node: `/dev/md127`.
    pub(crate) node: PathBuf,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Links to it below /dev: `md/root`.
    pub(crate) links: Vec<String>,
}

/// Reads the superblocks of `nodes` and finds out which arrays they form.
pub(crate) fn survey(dir: &Root, nodes: &[Node]) -> Survey {
    let mut survey = Survey::default();
    let config = config(dir, &mut survey.warnings);
    let hostname = hostname(dir);
    let mut sets: BTreeMap<[u8; 16], Vec<(&Node, Candidate)>> = BTreeMap::new();
    for node in nodes {
        match read(dir, node) {
            Ok(candidate) if !config.allows_device(&candidate.path) => {
                let reason = "DEVICE in mdadm.conf excludes it".to_owned();
                survey.problems.push((node.path.clone(), reason));
            }
            Ok(candidate) => {
                sets.entry(candidate.metadata.uuid).or_default().push((node, candidate));
            }
            Err(reason) => survey.problems.push((node.path.clone(), reason)),
        }
    }
    for set in sets.values() {
        let taken = std::mem::take(&mut survey.arrays);
        let is_busy = |name: &str| {
            taken.iter().any(|array| array.device == name)
                || md::state(dir, name).is_some_and(|state| state != "clear")
        };
        let is_linked = |link: &str| {
            taken.iter().any(|array| array.link.as_deref() == Some(link))
                || dir.join("dev/md").join(link).is_symlink()
        };
        let naming = Naming {
            config: &config,
            hostname: hostname.as_deref(),
            is_busy: &is_busy,
            is_linked: &is_linked,
        };
        let array = array(dir, set, &naming);
        survey.arrays = taken;
        survey.arrays.extend(array);
    }
    survey
}

/// Returns the array of devices with one UUID.
fn array(dir: &Root, set: &[(&Node, Candidate)], naming: &Naming<'_>) -> Option<Array> {
    let candidates: Vec<Candidate> = set.iter().map(|(_, candidate)| candidate.clone()).collect();
    let selection = members::select(&candidates)?;
    let metadata = &candidates.get(selection.newest)?.metadata;
    let node = |at: &usize| set.get(*at).map(|(node, _)| (*node).clone());
    let paths =
        |(at, reason): &(usize, members::LeftOut)| Some((node(at)?.path, reason.to_string()));
    let mut array = Array {
        uuid: metadata.uuid_text(),
        name: metadata.name.clone(),
        level: metadata.level.as_str(),
        version: metadata.version.as_str(),
        module: metadata.level.module(),
        device: String::new(),
        link: None,
        slots: metadata.raid_disks,
        members: selection.used.iter().filter_map(node).collect(),
        left_out: selection.left_out.iter().filter_map(paths).collect(),
        missing: selection.missing,
        awaited: selection.awaited,
        state: match selection.state {
            members::State::Complete => State::Complete,
            members::State::Degraded => State::Degraded,
            members::State::DirtyDegraded => State::DirtyDegraded,
            members::State::Incomplete => State::Incomplete,
            members::State::Refused(refusal) => State::Refused(refusal.to_string()),
        },
    };
    let holders = set.iter().find_map(|(node, _)| md::holder(dir, node.number));
    let running = holders.filter(|name| md::state(dir, name).is_some_and(|s| !md::is_stopped(&s)));
    if let Some(name) = running {
        array.set_active(dir, name);
        return Some(array);
    }
    match names(metadata, &candidates, naming) {
        Ok(DeviceName { kernel, link }) => (array.device, array.link) = (kernel, link),
        Err(reason) => array.state = State::Refused(reason),
    }
    Some(array)
}

impl Array {
    /// Notes that the array runs as the device `name`.
    fn set_active(&mut self, dir: &Root, name: String) {
        let is_used = |node: &Node| md::holder(dir, node.number).as_ref() == Some(&name);
        let (used, late) = std::mem::take(&mut self.members).into_iter().partition(is_used);
        self.members = used;
        let late: Vec<Node> = late;
        let reason = "appeared after the start of the array";
        self.left_out.extend(late.into_iter().map(|node| (node.path, reason.to_owned())));
        self.link = link_to(dir, &name);
        self.device = name;
        self.state = State::Active;
    }

    /// Returns the path of its node.
    pub(crate) fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.device)
    }

    /// Returns the name for messages: that of the link, or else that of the device.
    pub(crate) fn shown_name(&self) -> String {
        match &self.link {
            Some(link) => format!("/dev/md/{}", escape::value(link)),
            None if self.device.is_empty() => self.uuid.clone(),
            None => format!("/dev/{}", escape::value(&self.device)),
        }
    }
}

/// Returns the name of the link in /dev/md that leads to an array's device.
fn link_to(dir: &Root, device: &str) -> Option<String> {
    let links = dir.join("dev/md");
    sysfs::entry_names(&links)
        .into_iter()
        .find(|link| fs::read_link(links.join(link)).is_ok_and(|target| target.ends_with(device)))
}

/// Chooses the names of an array, unless mdadm.conf excludes it.
fn names(
    metadata: &Metadata,
    candidates: &[Candidate],
    naming: &Naming<'_>,
) -> std::result::Result<DeviceName, String> {
    let paths: Vec<&str> = candidates.iter().map(|candidate| &*candidate.path).collect();
    let line = naming.config.array_line(metadata, &paths)?;
    if line.is_some_and(|line| line.is_ignored()) {
        return Err("mdadm.conf ignores it".to_owned());
    }
    if line.is_none() && !naming.config.allows_version(metadata.version, naming.is_local(metadata))
    {
        return Err("AUTO in mdadm.conf excludes it".to_owned());
    }
    naming.choose(metadata, line)
}

/// Reads the superblock of a device.
fn read(dir: &Root, node: &Node) -> std::result::Result<Candidate, String> {
    let path = byte_text::from_path(&node.path).into_owned();
    let name = path.strip_prefix("/dev/").unwrap_or(&path).replace('/', "!");
    let device = block::device(dir, &name).ok_or("the device is gone")?;
    let disk = Disk::open(dir, &device).map_err(|error| error.to_string())?;
    let metadata = superblock::read(&disk).map_err(|error: MdError| error.to_string())?;
    Ok(Candidate { path, sectors: device.size >> 9, metadata })
}

/// Reads mdadm.conf of the image: /etc/mdadm.conf, or else that of Debian in /etc/mdadm, and the
/// files in the directory beside it.
fn config(dir: &Root, warnings: &mut Vec<Warning>) -> Config {
    let mut config = Config::default();
    let places = ["etc/mdadm.conf", "etc/mdadm/mdadm.conf"];
    let place = places.into_iter().find(|place| dir.join(place).exists());
    let Some(place) = place else { return config };
    let directory = dir.join(format!("{place}.d"));
    let mut names = sysfs::entry_names(&directory);
    names.retain(|name| name.ends_with(".conf") && !name.starts_with('.'));
    names.sort_unstable();
    let paths = std::iter::once(dir.join(place)).chain(names.iter().map(|n| directory.join(n)));
    for path in paths {
        let name = escape::path(&path);
        match regular_file::read(&path, CONFIG_LIMIT) {
            Ok(bytes) => config.add_file(&name, &byte_text::from_bytes(&bytes), warnings),
            Err(error) => {
                warnings.push(Warning::new(&name, 0, format!("ignored: {}", error.cause)))
            }
        }
    }
    config
}

/// Returns the name of this host, from hostname(5) of the image.
fn hostname(dir: &Root) -> Option<String> {
    let bytes = regular_file::read(&dir.join("etc/hostname"), CONFIG_LIMIT).ok()?;
    let text = byte_text::from_bytes(&bytes);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.find(|line| !line.starts_with('#')).map(str::to_owned)
}

/// Starts an array with the members that the survey found. It is read-only until the first write,
/// as after `mdadm --assemble`.
///
/// # Errors
/// The array may not be started so, or the kernel refuses.
pub(crate) fn start(dir: &Root, array: &Array, permission: Permission) -> Result<Started> {
    let refused =
        |why: &str| Error::new("start the array", array.shown_name(), Cause::Other(why.to_owned()));
    match &array.state {
        State::Active => return started(dir, array),
        State::Complete => {}
        State::Degraded if permission >= Permission::Degraded => {}
        State::DirtyDegraded if permission >= Permission::DirtyDegraded => {}
        State::Degraded => return Err(refused("devices are missing")),
        State::DirtyDegraded => return Err(refused("devices are missing and parity may be wrong")),
        State::Incomplete => return Err(refused("too few devices")),
        State::Refused(reason) => return Err(refused(reason)),
    }
    // An attempt of before, or the kernel's own, may have left members in an array.
    for name in array.members.iter().filter_map(|node| md::holder(dir, node.number)) {
        if md::state(dir, &name).is_some_and(|state| md::is_stopped(&state)) {
            md::stop(dir, &name)?;
        }
    }
    let device = md::Array::create(dir, &array.device)?;
    assemble(dir, &device, array).inspect_err(|_| {
        let _ = device.clear();
    })?;
    started(dir, array)
}

/// Adds the members and starts the array.
fn assemble(dir: &Root, device: &md::Array, array: &Array) -> Result<()> {
    device.set_version(array.version)?;
    for node in &array.members {
        device.add(node.number)?;
    }
    match array.state {
        State::DirtyDegraded => md::trusting_parity(dir, || device.start()),
        _ => device.start(),
    }
}

/// Makes the node of a running array known: partitions, the link in /dev/md, and mdadm's map.
fn started(dir: &Root, array: &Array) -> Result<Started> {
    let node = array.node();
    let path = dir.join(&node);
    let gone = || Error::new("find", escape::path(&node), rustix::io::Errno::NODEV);
    let number = md::number(dir, &array.device).ok_or_else(gone)?;
    // The kernel reads the partition table when the device is opened for the first time.
    File::open(&path).map_err(|e| Error::io("open", &path, &e))?;
    if let Some(link) = &array.link {
        create_link(dir, link, &array.device)?;
    }
    add_to_map(dir, array)?;
    let links = array.link.iter().map(|link| format!("md/{link}")).collect();
    Ok(Started { node, number, links })
}

/// symlink(2): links /dev/md/`link` to the device, as udev does.
fn create_link(dir: &Root, link: &str, device: &str) -> Result<()> {
    let directory = dir.join("dev/md");
    fs::create_dir_all(&directory).map_err(|e| Error::io("mkdir", &directory, &e))?;
    let path = directory.join(&*byte_text::to_path(link));
    let _ = fs::remove_file(&path);
    symlink(format!("../{device}"), &path).map_err(|e| Error::io("symlink", &path, &e))
}

/// Adds the array to mdadm's map, from which `mdadm --detail` and udev's rules have its name.
///
/// ```text
/// /run/mdadm/map     md127 1.2 UUID /dev/md/root
/// ```
fn add_to_map(dir: &Root, array: &Array) -> Result<()> {
    let path = dir.join("run/mdadm/map");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let start = format!("{} ", array.device);
    let mut lines: String =
        text.lines().filter(|l| !l.starts_with(&start)).flat_map(|l| [l, "\n"]).collect();
    let name = match &array.link {
        Some(link) => format!("/dev/md/{link}"),
        None => format!("/dev/{}", array.device),
    };
    lines.push_str(&format!("{start}{} {} {name}\n", array.version, array.uuid));
    let directory = dir.join("run/mdadm");
    fs::create_dir_all(&directory).map_err(|e| Error::io("mkdir", &directory, &e))?;
    fs::write(&path, &*byte_text::to_bytes(&lines)).map_err(|e| Error::io("write", &path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::md::samples;

    /// Makes a tree with devices that hold superblocks, an mdadm.conf, and a free array md127.
    fn tree(devices: &[(&str, Vec<u8>)], config: &str) -> (tempfile::TempDir, Vec<Node>) {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = scratch.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put("etc/mdadm/mdadm.conf", config.as_bytes());
        put("etc/hostname", b"# name\npc\n");
        put("sys/module/md_mod/parameters/new_array", b"");
        put("sys/module/md_mod/parameters/start_dirty_degraded", b"");
        put("sys/class/block/md127/dev", b"9:127\n");
        put("sys/block/md127/md/array_state", b"clear\n");
        put("sys/block/md127/md/metadata_version", b"");
        put("sys/block/md127/md/new_dev", b"");
        put("dev/md127", b"");
        let mut nodes = Vec::new();
        for (name, image) in devices {
            put(&format!("dev/{name}"), image);
            // A regular file has the device number 0:0.
            put(&format!("sys/class/block/{name}/dev"), b"0:0\n");
            put(
                &format!("sys/class/block/{name}/size"),
                (image.len() / 512).to_string().as_bytes(),
            );
            let path = Path::new("/dev").join(name);
            nodes.push(Node { path, number: (0, 0), size: image.len() as u64 });
        }
        (scratch, nodes)
    }

    fn text(scratch: &tempfile::TempDir, path: &str) -> String {
        fs::read_to_string(scratch.path().join(path)).unwrap()
    }

    #[test]
    fn an_array_is_found_and_started() {
        let devices = [0, 1].map(|number| samples::version_1("pc:root", number, 10));
        let [one, other] = devices;
        let (scratch, nodes) = tree(&[("sda", one), ("sdb", other), ("sdc", vec![0; 65536])], "");
        let dir = Root::at(scratch.path());
        let found = survey(&dir, &nodes);
        assert_eq!(found.problems, [(PathBuf::from("/dev/sdc"), "no md superblock".to_owned())]);
        let [array] = &found.arrays[..] else { panic!("{found:?}") };
        assert_eq!((array.device.as_str(), array.link.as_deref()), ("md127", Some("root")));
        assert_eq!((array.level, array.module, array.version), ("raid1", "raid1", "1.2"));
        assert_eq!((&array.state, array.members.len()), (&State::Complete, 2));
        let started = start(&dir, array, Permission::Complete).unwrap();
        assert_eq!((started.number, &*started.links), ((9, 127), &["md/root".to_owned()][..]));
        assert_eq!(text(&scratch, "sys/block/md127/md/metadata_version"), "1.2");
        assert_eq!(text(&scratch, "sys/block/md127/md/array_state"), "read-auto");
        let link = fs::read_link(scratch.path().join("dev/md/root")).unwrap();
        assert_eq!(link, Path::new("../md127"));
        let map = format!("md127 1.2 {} /dev/md/root\n", array.uuid);
        assert_eq!(text(&scratch, "run/mdadm/map"), map);
        // A second start, of an array that runs now.
        let holders = scratch.path().join("sys/dev/block/0:0/holders/md127");
        fs::create_dir_all(holders).unwrap();
        let again = survey(&dir, &nodes);
        assert_eq!(
            (&again.arrays[0].state, again.arrays[0].link.as_deref()),
            (&State::Active, Some("root"))
        );
        assert_eq!(start(&dir, &again.arrays[0], Permission::Complete).unwrap(), started);
        assert_eq!(text(&scratch, "run/mdadm/map"), map);
    }

    #[test]
    fn an_array_that_is_not_complete_needs_permission() {
        let (scratch, nodes) = tree(&[("sda", samples::version_1("pc:0", 0, 10))], "");
        let dir = Root::at(scratch.path());
        let found = survey(&dir, &nodes);
        let array = &found.arrays[0];
        assert_eq!((&*array.device, array.link.as_deref()), ("md0", Some("0")));
        assert_eq!((&array.state, &*array.awaited), (&State::Degraded, &[1][..]));
        let error = start(&dir, array, Permission::Complete).unwrap_err();
        assert_eq!(error.to_string(), "start the array /dev/md/0: devices are missing");
    }

    #[test]
    fn mdadm_conf_excludes_arrays_and_devices() {
        for (config, want) in [
            ("AUTO -all", "AUTO in mdadm.conf excludes it"),
            ("ARRAY <ignore> name=pc:0", "ignores it"),
            ("ARRAY <ignore> name=pc:0\nARRAY name=pc:0", "several ARRAY lines"),
            ("ARRAY /dev/sys name=pc:0", "no name of an md device"),
        ] {
            let (scratch, nodes) = tree(&[("sda", samples::version_1("pc:0", 0, 10))], config);
            let found = survey(&Root::at(scratch.path()), &nodes);
            let State::Refused(reason) = &found.arrays[0].state else { panic!("{found:?}") };
            assert!(reason.contains(want), "{reason}");
        }
        let (scratch, nodes) =
            tree(&[("sda", samples::version_1("pc:0", 0, 10))], "DEVICE /dev/vd*");
        let found = survey(&Root::at(scratch.path()), &nodes);
        assert!(found.arrays.is_empty(), "{found:?}");
        assert_eq!(found.problems[0].1, "DEVICE in mdadm.conf excludes it");
    }
}
