//! Mounted filesystems and devices that are swapped to, and what fstab(5) says about them.
//!
//! ```text
//! /proc/self/mountinfo   see procfs.rs
//! /proc/swaps            FILENAME TYPE SIZE USED PRIORITY, after a line with these titles
//! /etc/fstab             SOURCE POINT TYPE OPTIONS …
//! ```

use std::path::Path;

use super::regular_file::{self, CONFIG_LIMIT};
use super::{Result, Root, procfs};
use crate::byte_text;

/// A line of such a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MountLine {
    /// Device number, major and minor, of a mounted filesystem.
    pub(crate) number: Option<(u32, u32)>,
    /// The device as the table names it.
    pub(crate) source: String,
    /// The mount point; `none` or `swap` for swap in fstab.
    pub(crate) place: String,
    /// The filesystem, or `swap`.
    pub(crate) fstype: String,
    /// The options of the filesystem.
    pub(crate) options: String,
}

/// Returns the filesystems that are mounted at `places` of `root`, with these names of their
/// places. If several are stacked at one place, the last one counts.
///
/// The table below `root` may be that of a process for which `root` is `/`, or of this process, if
/// proc is mounted there: then `root` is a mount point in it, and `/` is another system.
///
/// # Errors
/// The table cannot be read or is too long.
pub(crate) fn mounted(root: &Root, places: &[&str]) -> Result<Vec<MountLine>> {
    let text = read(&root.join("proc/self/mountinfo"))?;
    let lines: Vec<MountLine> = text.lines().filter_map(mount_line).collect();
    let find =
        |path: &Path| lines.iter().rev().find(|line| *byte_text::to_path(&line.place) == *path);
    let is_below = find(&root.join("/")).is_some();
    let place =
        |place: &&str| if is_below { root.join(place) } else { Path::new(place).to_owned() };
    let named =
        |name: &&str| Some(MountLine { place: (*name).to_owned(), ..find(&place(name))?.clone() });
    Ok(places.iter().filter_map(named).collect())
}

fn mount_line(line: &str) -> Option<MountLine> {
    let (number, place, rest) = procfs::mount_fields(line)?;
    let (major, minor) = number.split_once(':')?;
    let [fstype, source, options] = fields(rest);
    Some(MountLine {
        number: Some((major.parse().ok()?, minor.parse().ok()?)),
        source,
        place: byte_text::from_octal(place),
        fstype,
        options,
    })
}

/// Returns the devices and files that are swapped to.
///
/// # Errors
/// The table cannot be read or is too long.
pub(crate) fn swaps(root: &Root) -> Result<Vec<String>> {
    let text = read(&root.join("proc/swaps"))?;
    Ok(text.lines().skip(1).map(|line| fields::<1>(line).concat()).collect())
}

/// Returns the lines of fstab.
///
/// # Errors
/// The file cannot be read or is too long.
pub(crate) fn listed(root: &Root) -> Result<Vec<MountLine>> {
    let text = read(&root.inside("etc/fstab"))?;
    let lines = text.lines().map(str::trim_start).filter(|line| !line.starts_with('#'));
    let lines = lines.map(|line| {
        let [source, place, fstype, options] = fields(line);
        MountLine { number: None, source, place, fstype, options }
    });
    Ok(lines.filter(|line| !line.fstype.is_empty()).collect())
}

/// Returns the first fields of a line; those that it lacks are empty.
fn fields<const N: usize>(line: &str) -> [String; N] {
    let mut fields = line.split_ascii_whitespace().map(byte_text::from_octal);
    [(); N].map(|()| fields.next().unwrap_or_default())
}

/// Reads a table; one that cannot be opened is empty.
fn read(path: &Path) -> Result<String> {
    let bytes = regular_file::read_if_opened(path, CONFIG_LIMIT)?.unwrap_or_default();
    Ok(byte_text::from_bytes(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let scratch = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let root = Root::at(scratch.path());
        let mounted = |places: &[&str]| mounted(&root, places).unwrap();
        let listed = || listed(&root).unwrap();
        let swaps = || swaps(&root).unwrap();
        assert_eq!((mounted(&["/"]), listed(), swaps()), (vec![], vec![], vec![]));
        put(
            "proc/self/mountinfo",
            "1 0 0:1 / / rw - ramfs none rw\n2 1 254:0 / /a\\040b ro x:1 - vfat /dev/vda ro,x=1\n\
             3 1 nonsense\n",
        );
        put("proc/swaps", "Filename\tType\n/dev/dm-1  partition 1 0 -2\n/swap\\040file file 1\n");
        put(
            "etc/fstab",
            "# /dev/a / ext4\n\nUUID=1 / ext4 errors=remount-ro 0 1\n \tLABEL=s none swap\nx y\n",
        );
        let line = |source: &str, place: &str, fstype: &str, options: &str| MountLine {
            number: None,
            source: source.to_owned(),
            place: place.to_owned(),
            fstype: fstype.to_owned(),
            options: options.to_owned(),
        };
        let second =
            MountLine { number: Some((254, 0)), ..line("/dev/vda", "/a b", "vfat", "ro,x=1") };
        assert_eq!(mounted(&["/a b", "/c"]), [second]);
        assert_eq!(swaps(), ["/dev/dm-1", "/swap file"]);
        let first = line("UUID=1", "/", "ext4", "errors=remount-ro");
        assert_eq!(listed(), [first, line("LABEL=s", "none", "swap", "")]);
    }

    #[test]
    fn the_root_itself_is_looked_for_first() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a b");
        std::fs::create_dir_all(dir.join("proc/self")).unwrap();
        let shown = dir.to_str().unwrap().replace(' ', "\\040");
        for (below, want) in [
            (
                format!("4 1 8:1 / {shown} rw - xfs c rw\n5 4 8:2 / {shown}/usr rw - xfs d rw\n"),
                "c d",
            ),
            (format!("4 1 8:1 / {shown} rw - xfs c rw\n"), "c"),
            (format!("4 1 8:1 / {shown}x rw - xfs c rw\n"), "a b"),
        ] {
            let live = "1 0 7:1 / / rw - ext4 a rw\n2 1 7:2 / /usr rw - ext4 b rw\n";
            let table = dir.join("proc/self/mountinfo");
            std::fs::write(&table, format!("{live}{below}")).unwrap();
            let found = mounted(&Root::at(&dir), &["/", "/usr"]).unwrap();
            let sources: Vec<_> = found.iter().map(|line| line.source.as_str()).collect();
            assert_eq!(sources.join(" "), want, "{below}");
        }
    }

    #[test]
    fn a_table_that_is_too_long_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Root::at(scratch.path());
        for path in ["proc/self/mountinfo", "proc/swaps", "etc/fstab"] {
            let path = scratch.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![b' '; CONFIG_LIMIT + 1]).unwrap();
        }
        let errors = [
            mounted(&root, &["/"]).unwrap_err(),
            swaps(&root).unwrap_err(),
            listed(&root).unwrap_err(),
        ];
        for (error, name) in errors.iter().zip(["mountinfo", "swaps", "fstab"]) {
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn an_absolute_link_of_fstab_stays_below_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = scratch.path().join("etc");
        std::fs::create_dir_all(etc.join("static")).unwrap();
        std::fs::write(etc.join("static/fstab"), "UUID=1 / ext4\n").unwrap();
        std::os::unix::fs::symlink("/etc/static/fstab", etc.join("fstab")).unwrap();
        assert_eq!(listed(&Root::at(scratch.path())).unwrap()[0].source, "UUID=1");
    }
}
