//! `mount DEVICE [DIRECTORY] [-t TYPE] [-o OPTIONS]`: mounts a filesystem by hand, read-only unless
//! the options hold `rw`.

use std::ffi::{OsStr, OsString};
use std::fs;

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::super::args::{Arg, Args};
use super::super::message::Error;
use super::super::out;
use super::super::usage::{Opt, Usage};
use crate::boot;
use crate::byte_text;
use crate::cmdline::mount_options::is_writable;
use crate::disk::seen::SeenDevice;
use crate::escape;
use crate::sys::{self, Root, mount, mount_options, procfs};

/// The mount point of the new root.
const SYSROOT: &str = "/sysroot";

static USAGE: Usage =
    Usage::tool("mount", "mount a filesystem by hand").text("DEVICE [DIRECTORY]").options(&[
        Opt('t', "types=TYPE: type of the filesystem"),
        Opt('o', "options=OPTION,…: options of the mount; read-only without 'rw'"),
    ]);

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// The device, by path or by a name such as `LABEL=`.
    device: String,
    directory: String,
    fstype: Option<String>,
    flags: String,
}

pub(super) fn run(words: &[OsString]) -> Result<(), Error> {
    let root = Root::default();
    let options = parse(words)?;
    let devices = boot::block_devices(&root);
    let (source, detected) = find(&options.device, &devices)?;
    let types = match options.fstype.or(detected) {
        Some(fstype) => vec![fstype],
        None => procfs::filesystems(&root)?,
    };
    let directory = &*byte_text::to_path(&options.directory);
    // A mount point inside another filesystem exists already, or cannot be created.
    let _ = fs::create_dir_all(directory);
    let (flags, data) = flags(&options.flags);
    let mut last = sys::Error::new("mount", &source, Errno::INVAL);
    for fstype in &types {
        match mount::mount(&source, directory, fstype, flags, &data) {
            Ok(()) => {
                let text = format!("{source} is mounted at {} ({fstype})", options.directory);
                out::line(&escape::line(&text));
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn parse(words: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(words, Vec::new(), &USAGE);
    let (mut operands, mut fstype, mut flags) = (Vec::new(), None, Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('t', value) => fstype = Some(text(&value)),
            Arg::Opt(_, value) => flags.push(text(&value)),
            Arg::Operand(word) if operands.len() == 2 => return Err(Error::unexpected(&word)),
            Arg::Operand(word) => operands.push(text(&word)),
        }
    }
    let mut operands = operands.into_iter();
    Ok(Options {
        device: operands.next().ok_or_else(|| Error::Usage("DEVICE is missing".to_owned()))?,
        directory: operands.next().unwrap_or_else(|| SYSROOT.to_owned()),
        fstype,
        flags: flags.join(","),
    })
}

fn text(word: &OsStr) -> String {
    byte_text::from_path(word).into_owned()
}

/// Returns mount flags and the options of the filesystem. Without `rw` the mount is read-only, as
/// that of a root.
fn flags(list: &str) -> (MountFlags, String) {
    let (mut flags, data) = mount_options::parse(list);
    flags.set(MountFlags::RDONLY, is_writable(list) != Some(true));
    (flags, data)
}

/// Returns the path of the device that `name` stands for, and the type of its filesystem. A name
/// that is none of a block device is passed on as it is: `tmpfs` has no device.
fn find(name: &str, devices: &[SeenDevice]) -> Result<(String, Option<String>), Error> {
    let is_it = |device: &&SeenDevice| match name.split_once('=') {
        Some(("UUID", value)) => same(device.uuid.as_deref(), value),
        Some(("PARTUUID", value)) => same(device.part_uuid.as_deref(), value),
        Some(("LABEL", value)) => device.label.as_deref() == Some(value),
        Some(("PARTLABEL", value)) => device.part_label.as_deref() == Some(value),
        _ => name.strip_prefix("/dev/").unwrap_or(name) == device.name,
    };
    match devices.iter().find(is_it) {
        Some(device) => {
            let fstype = device.kinds.first().filter(|_| device.is_filesystem);
            Ok((format!("/dev/{}", device.name), fstype.map(|kind| (*kind).to_owned())))
        }
        None if name.contains('=') => {
            let text = format!("{} not found", escape::line(name));
            Err(Error::Hinted(text, "'devices' lists the block devices".to_owned()))
        }
        None => Ok((name.to_owned(), None)),
    }
}

fn same(have: Option<&str>, want: &str) -> bool {
    have.is_some_and(|have| have.eq_ignore_ascii_case(want))
}

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    #[test]
    fn operands_and_options_stand_in_any_order() {
        for (line, device, directory, fstype, flags) in [
            ("mount /dev/vda", "/dev/vda", "/sysroot", None, ""),
            ("mount LABEL='my root' /x -t ext4", "LABEL=my root", "/x", Some("ext4"), ""),
            ("mount -o noatime -trw /dev/a -o rw", "/dev/a", "/sysroot", Some("rw"), "noatime,rw"),
        ] {
            let options = parse(&words::split(line.as_bytes()).unwrap()).unwrap();
            let want = Options {
                device: device.into(),
                directory: directory.into(),
                fstype: fstype.map(str::to_owned),
                flags: flags.into(),
            };
            assert_eq!(options, want, "{line}");
        }
        for line in ["mount", "mount a b c", "mount a -x", "mount a -t"] {
            assert!(parse(&words::split(line.as_bytes()).unwrap()).is_err(), "{line}");
        }
    }

    #[test]
    fn mounts_are_read_only_unless_asked_otherwise() {
        let read_only = MountFlags::RDONLY;
        for (list, want, data) in [
            ("", read_only, ""),
            ("rw", MountFlags::empty(), ""),
            ("rw,ro", read_only, ""),
            ("noatime,rw,subvol=@", MountFlags::NOATIME, "subvol=@"),
            ("x-a=\"rw,b\",sync,async", read_only, ""),
            ("nodev,x=1", MountFlags::NODEV | read_only, "x=1"),
        ] {
            assert_eq!(flags(list), (want, data.to_owned()), "{list}");
        }
    }

    #[test]
    fn devices_are_found_by_every_name_that_is_shown() {
        let device = SeenDevice {
            name: "vda1".into(),
            kinds: vec!["ext4"],
            is_filesystem: true,
            uuid: Some("ab-1".into()),
            label: Some("my root".into()),
            part_uuid: Some("cd-2".into()),
            part_label: Some("p".into()),
            ..SeenDevice::default()
        };
        let other = SeenDevice { name: "vda".into(), ..SeenDevice::default() };
        let devices = [other, device];
        let found = ("/dev/vda1".to_owned(), Some("ext4".to_owned()));
        for name in
            ["/dev/vda1", "vda1", "UUID=AB-1", "LABEL=my root", "PARTUUID=cd-2", "PARTLABEL=p"]
        {
            assert_eq!(find(name, &devices), Ok(found.clone()), "{name}");
        }
        assert_eq!(find("/dev/vda", &devices), Ok(("/dev/vda".into(), None)));
        assert_eq!(find("tmpfs", &devices), Ok(("tmpfs".into(), None)));
        assert!(find("LABEL=other", &devices).is_err());
    }
}
