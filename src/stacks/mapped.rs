//! Creates the devices of the device mapper that a [`Mapping`] describes.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::udev_db;
use crate::disk::mapping::{Mapping, Word};
use crate::sys::dm::{self, Control, Target};
use crate::sys::{Cause, Error, Result, Root};

/// A device that was created, or that was there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// Name below /dev/mapper.
    pub(crate) name: String,
    /// Device number: major, minor.
    pub(crate) number: (u32, u32),
    /// Whether it has been there before.
    is_old: bool,
}

/// Removes the devices that were not there before.
pub(crate) fn remove_new(dir: &Root, made: &[Mapped]) {
    let Ok(control) = Control::open(dir) else { return };
    for mapped in made.iter().rev().filter(|mapped| !mapped.is_old) {
        let _ = control.remove(&mapped.name);
    }
}

/// Creates devices in their order, with their links and an entry in udev's database. A device that
/// exists with the same name and UUID stays as it is. After an error none of the new ones exists.
///
/// # Errors
/// Another device has a name or UUID, or the kernel refuses a table.
pub(crate) fn create_all(dir: &Root, mappings: &[Mapping]) -> Result<Vec<Mapped>> {
    let control = Control::open(dir)?;
    let mut made: Vec<Mapped> = Vec::with_capacity(mappings.len());
    for mapping in mappings {
        match create(dir, &control, mapping, &made) {
            Ok(mapped) => made.push(mapped),
            Err(error) => {
                for mapped in made.iter().rev().filter(|mapped| !mapped.is_old) {
                    let _ = control.remove(&mapped.name);
                }
                return Err(error);
            }
        }
    }
    Ok(made)
}

fn create(dir: &Root, control: &Control, mapping: &Mapping, made: &[Mapped]) -> Result<Mapped> {
    let Mapping { name, uuid, .. } = mapping;
    let (number, is_old) = match control.create(name, uuid) {
        Ok(number) => (number, false),
        Err(error) => match (&error.cause, control.find(name)) {
            (Cause::Errno(Errno::BUSY), Ok((number, have))) if have == *uuid => (number, true),
            _ => return Err(error),
        },
    };
    if !is_old {
        let ready = udev_db::write(dir, number)
            .and_then(|()| load(control, mapping, made))
            .and_then(|()| control.resume(name));
        ready.inspect_err(|_| {
            let _ = control.remove(name);
        })?;
    }
    dm::create_symlink(dir, name, number.1)?;
    for link in &mapping.links {
        create_link(dir, link, number.1)?;
    }
    Ok(Mapped { name: name.clone(), number, is_old })
}

/// Loads the table of a mapping; devices in `made` stand for their names in it.
fn load(control: &Control, mapping: &Mapping, made: &[Mapped]) -> Result<()> {
    let parameters: Option<Vec<String>> =
        mapping.targets.iter().map(|target| text(&target.parameters, made)).collect();
    let parameters = parameters.ok_or_else(|| {
        Error::new("load the table of", &mapping.name, Cause::Other("a device is missing".into()))
    })?;
    let lines = mapping.targets.iter().zip(&parameters);
    let targets: Vec<_> = lines
        .map(|(target, parameters)| Target {
            start: target.start,
            sectors: target.sectors,
            kind: target.kind,
            parameters,
        })
        .collect();
    control.load_table(&mapping.name, &targets, mapping.read_only)
}

/// Returns the parameters of a target as the kernel reads them.
fn text(words: &[Word], made: &[Mapped]) -> Option<String> {
    let word = |word: &Word| match word {
        Word::Text(text) => Some(text.clone()),
        Word::Device((major, minor)) => Some(format!("{major}:{minor}")),
        Word::Mapped(name) => {
            let (major, minor) = made.iter().find(|mapped| mapped.name == *name)?.number;
            Some(format!("{major}:{minor}"))
        }
    };
    Some(words.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}

/// symlink(2): links /dev/`link` to the node of a device.
fn create_link(dir: &Root, link: &str, minor: u32) -> Result<()> {
    let path = dir.join(Path::new("dev").join(link));
    let failed = |e: std::io::Error| Error::io("symlink", &path, &e);
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(failed)?;
    let _ = fs::remove_file(&path);
    let up: PathBuf = Path::new(link).components().skip(1).map(|_| "..").collect();
    std::os::unix::fs::symlink(up.join(format!("dm-{minor}")), &path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_stands_for_its_name_in_a_table() {
        let made = [Mapped { name: "vg-a".into(), number: (254, 3), is_old: false }];
        let words = [Word::Mapped("vg-a".into()), Word::Text("2048".into()), Word::Device((8, 17))];
        assert_eq!(text(&words, &made).as_deref(), Some("254:3 2048 8:17"));
        assert_eq!(text(&words, &[]), None);
    }

    #[test]
    fn links_are_relative_to_their_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Root::at(scratch.path());
        fs::create_dir(dir.join("dev")).unwrap();
        for (link, want) in [("vg0/root", "../dm-3"), ("root", "dm-3"), ("vg0/root", "../dm-3")] {
            create_link(&dir, link, 3).unwrap();
            assert_eq!(fs::read_link(dir.join("dev").join(link)).unwrap(), Path::new(want));
        }
    }
}
