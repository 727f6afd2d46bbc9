//! The keymap of the console, loaded from a binary keymap as `loadkeys --bkeymap` writes it.
//!
//! ```text
//! 0 "bkeymap" │ 7 256 flags: table is there │ 263 tables, each 128 × u16, little-endian
//! ```
//!
//! A table belongs to a set of modifiers (shift, AltGr), an entry of it to a key: ioctl_kd(2),
//! KDSKBENT. Function strings and accents of dead keys are not part of it. loadkeys writes the byte
//! order of its machine; the file of an image has one.

use rustix::fs::{Mode, OFlags, open};

use super::{Cause, Error, Result, Root, raw, regular_file};
use crate::escape;

/// Path in an image.
pub(crate) const KEYMAP: &str = "etc/coldplug/keymap";
/// A console of the kernel, whatever /dev/console is. All of them have one keymap.
const TERMINAL: &str = "dev/tty0";
/// What a keymap begins with.
pub(crate) const MAGIC: &[u8] = b"bkeymap";
/// Number of tables, of which few are there.
pub(crate) const TABLES: usize = 256;
/// Number of keys in a table.
const KEYS: usize = 128;
/// Length of the largest keymap in bytes.
const LIMIT: usize = MAGIC.len() + TABLES + TABLES * KEYS * 2;

/// Loads the keymap of the image, if it has one and the kernel has a console for it.
///
/// # Errors
/// The file is no keymap or cannot be read, or the kernel refuses an entry.
pub(crate) fn load(root: &Root) -> Result<()> {
    let path = root.join(KEYMAP);
    let Some(bytes) = regular_file::read_if_opened(&path, LIMIT)? else { return Ok(()) };
    let Some((flags, values)) = parts(&bytes) else {
        let why = Cause::Other("not a binary keymap".to_owned());
        return Err(Error::new("read", escape::path(&path), why));
    };
    let options = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // A machine without a screen has none.
    let Ok(terminal) = open(root.join(TERMINAL), options, Mode::empty()) else { return Ok(()) };
    let mut first = Ok(());
    each_entry(flags, values, &mut |table, key, value| {
        let [low, high] = value.to_ne_bytes();
        // A console that is not in Unicode mode refuses some: the others are of use.
        if let Err(errno) = raw::set_keyboard_entry(&terminal, &mut [table, key, low, high])
            && first.is_ok()
        {
            first = Err(Error::new("KDSKBENT", format!("table {table}, key {key}"), errno));
        }
    });
    first
}

/// Returns the flags and the values of a keymap, or `None` if it is none or its length is wrong.
fn parts(bytes: &[u8]) -> Option<(&[u8], &[[u8; 2]])> {
    let (flags, tables) = bytes.strip_prefix(MAGIC)?.split_at_checked(TABLES)?;
    let (values, rest) = tables.as_chunks();
    let present = flags.iter().filter(|flag| **flag != 0).count();
    (rest.is_empty() && values.len() == present * KEYS).then_some((flags, values))
}

/// Calls `set` with table, key and value of each entry.
fn each_entry(flags: &[u8], values: &[[u8; 2]], set: &mut dyn FnMut(u8, u8, u16)) {
    let mut tables = values.chunks(KEYS);
    for (table, flag) in (0..=u8::MAX).zip(flags) {
        if *flag != 0 {
            for (key, value) in (0..).zip(tables.next().unwrap_or_default()) {
                set(table, key, u16::from_le_bytes(*value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_belong_to_the_tables_that_are_there() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((0..=u8::MAX).map(|at| u8::from(at == 0 || at == 2)));
        bytes.extend((0..256_u16).flat_map(u16::to_le_bytes));
        let (flags, values) = parts(&bytes).unwrap();
        let mut found = Vec::new();
        each_entry(flags, values, &mut |table, key, value| found.push((table, key, value)));
        assert_eq!(found.len(), 256);
        assert_eq!((found[1], found[128], found[255]), ((0, 1, 1), (2, 0, 128), (2, 127, 255)));
        for (len, what) in [(bytes.len() - 1, "cut"), (200, "no tables"), (0, "empty")] {
            assert_eq!(parts(&bytes[..len]), None, "{what}");
        }
        bytes.push(0);
        assert_eq!(parts(&bytes), None, "too long");
        bytes[0] = b'B';
        assert_eq!(parts(&bytes), None, "no keymap");
    }
}
