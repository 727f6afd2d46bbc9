//! `disk-prober`: reads the partition tables and superblocks that the requests at the socket on
//! descriptor 0 ask for, and the attributes in sysfs from which links are made. `init` starts it,
//! because a read may take for ever.

use std::ffi::OsString;
use std::io;

use rustix::io::Errno;

use super::message::Error;
use crate::disk::{Examination, PartitionTable, ReadError, Usage};
use crate::sys::block::{BlockDevice, Disk};
use crate::sys::probe_message::{Answer, Entry, MAX_LINKS, Probe, Request};
use crate::sys::{DeviceError, Root, child, disk_links, process};

pub(super) fn run(_args: &[OsString]) -> Result<(), Error> {
    process::set_name(c"coldplug-probe");
    let root = Root::default();
    let socket = io::stdin();
    while let Some(message) = child::receive_from_parent(&socket) {
        let answers = match Request::decode(&message) {
            Some(request) => {
                answer(&root, request, |a| child::send_to_parent(&socket, &a.encode()))
            }
            None => false,
        };
        if !answers {
            return Err(Error::Failed("bad request: only init starts this command".into()));
        }
    }
    Ok(())
}

/// Answers a request. Returns whether all answers were sent.
fn answer(root: &Root, request: Request, send: impl Fn(&Answer) -> bool) -> bool {
    let source = Disk::open(root, &request.disk);
    let whole = source.as_ref().map(|source| Examination::new(source));
    let sector_size = request.disk.sector_size(root);
    let table = whole.as_ref().ok().and_then(|whole| whole.partition_table(sector_size));
    request.devices.into_iter().all(|device| {
        let mut probe = match (device.partition, &whole) {
            (None, Ok(examination)) => probe(&device, examination, table.as_ref()),
            (None, Err(error)) => unopened(&device, error),
            (Some(_), _) => match Disk::open(root, &device) {
                Ok(source) => probe(&device, &Examination::new(&source), table.as_ref()),
                Err(error) => unopened(&device, &error),
            },
        };
        probe.links = request.links.then(|| links(root, &device));
        send(&Answer { name: device.name, probe })
    })
}

fn links(root: &Root, device: &BlockDevice) -> Vec<String> {
    let mut links = disk_links::links(root, device);
    links.truncate(MAX_LINKS);
    links
}

/// Returns what a device holds whose node cannot be opened.
fn unopened(device: &BlockDevice, error: &crate::sys::Error) -> Probe {
    Probe { error: Some(DeviceError::of_open(&device.name, error)), ..Probe::default() }
}

/// Returns what a device holds.
fn probe(device: &BlockDevice, examination: &Examination, table: Option<&PartitionTable>) -> Probe {
    let content = examination.content();
    let single = content.single();
    let entry = table.and_then(|table| {
        table.partitions.iter().find(|entry| Some(entry.number) == device.partition)
    });
    Probe {
        table: table.map(|table| table.kind),
        entry: entry.map(|entry| Entry {
            kind: entry.kind.clone(),
            attributes: entry.attributes,
            uuid: entry.uuid.clone(),
            label: entry.label.clone(),
        }),
        kinds: content.superblocks.iter().map(|superblock| superblock.kind).collect(),
        is_filesystem: single.as_ref().is_some_and(|s| s.usage == Usage::Filesystem),
        uuid: single.as_ref().and_then(|s| s.uuid.clone()),
        member: single.as_ref().and_then(|s| s.member),
        label: single.and_then(|s| s.label),
        links: None,
        error: examination.error().map(|error| read_error(device, error)),
    }
}

fn read_error(device: &BlockDevice, error: ReadError) -> DeviceError {
    let errno = if error.errno == 0 { Errno::IO } else { Errno::from_raw_os_error(error.errno) };
    DeviceError::new(&device.name, Some(error.offset), errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::fs;

    fn answers(root: &Root, request: Request) -> Vec<Answer> {
        let answers = RefCell::new(Vec::new());
        assert!(answer(root, request, |answer| {
            answers.borrow_mut().push(answer.clone());
            true
        }));
        answers.into_inner()
    }

    #[test]
    fn devices_are_answered_in_order() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        fs::create_dir(root.join("dev")).unwrap();
        let mut image = vec![0; 1 << 20];
        image[0x438..0x43a].copy_from_slice(b"\x53\xef");
        image[0x478..0x47c].copy_from_slice(b"root");
        fs::write(root.join("dev/vda1"), &image).unwrap();
        let device = |name: &str, partition| BlockDevice {
            name: name.into(),
            number: (0, 0),
            partition,
            disk: None,
            size: 1 << 20,
        };
        let (disk, part) = (device("vda", None), device("vda1", Some(1)));
        let devices = vec![part, disk.clone()];
        let found = answers(&root, Request { links: false, disk, devices });
        let [Answer { name, probe }, Answer { name: second, probe: gone }] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((name.as_str(), second.as_str()), ("vda1", "vda"));
        assert_eq!((probe.label.as_deref(), &*probe.kinds), (Some("root"), &["ext2"][..]));
        assert!(probe.is_filesystem && probe.error.is_none());
        assert_eq!(gone.error, Some(DeviceError::new("vda", None, Errno::NOENT)));
    }

    #[test]
    fn links_are_read_only_if_they_are_wanted() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        let dir = root.join("sys/devices/virtual/block/vda");
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(root.join("sys/class/block")).unwrap();
        std::os::unix::fs::symlink(&dir, root.join("sys/class/block/vda")).unwrap();
        for (file, text) in [("uevent", ""), ("serial", "my disk\n"), ("diskseq", "7\n")] {
            fs::write(dir.join(file), text).unwrap();
        }
        let disk = BlockDevice { size: 1, ..BlockDevice::vanished("vda") };
        for (links, want) in
            [(false, None), (true, Some(&["disk/by-diskseq/7", "disk/by-id/virtio-my_disk"]))]
        {
            let request = Request { links, disk: disk.clone(), devices: vec![disk.clone()] };
            let found = answers(&root, request).pop().unwrap().probe;
            assert!(found.error.is_some(), "the device has no node");
            assert_eq!(found.links, want.map(|links| links.map(str::to_owned).to_vec()));
        }
    }
}
