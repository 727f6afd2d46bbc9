//! The environment of U-Boot, as fw_printenv(1) and fw_setenv(1) read and write it too (U-Boot's
//! include/env_internal.h and env/common.c).
//!
//! ```text
//! one copy      0  CRC-32 of the data, in the byte order of the machine
//!               4  data
//! two copies    0  CRC-32 of the data
//!               4  serial number
//!               5  data
//! data             NAME=VALUE 0 NAME=VALUE 0 … 0, zeros up to the end of the copy
//! ```
//!
//! Of two copies the one with the right CRC counts. If both have it, the one with the higher serial
//! number does; 0 is higher than 255; the first one if the numbers are equal. A write replaces the
//! other one, so that a write which is cut off anywhere leaves the environment as it was. The serial
//! number is the first byte after the CRC on eMMC and SD cards. On NOR flash that byte is a flag:
//! such an environment is not written here.

use super::crc::crc32;
use crate::cmdline::slots::MIN_SIZE;

/// Length of the CRC.
const CRC: usize = 4;

/// The variables of an environment, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NAME=VALUE` and a zero for each. What has another form is kept too.
    data: Vec<u8>,
}

/// An environment, and where it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnvironment {
    /// The variables.
    pub variables: Environment,
    /// Number of the copy that is written next: 0 or 1.
    pub next: usize,
    /// Serial number of the next write; `None` if there is one copy.
    serial: Option<u8>,
}

impl Environment {
    /// Parses the data of a copy.
    pub fn parse(data: &[u8]) -> Self {
        let mut variables = Self::default();
        for entry in data.split(|byte| *byte == 0).take_while(|entry| !entry.is_empty()) {
            variables.push(entry);
        }
        variables
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.data.split(|byte| *byte == 0).filter(|entry| !entry.is_empty())
    }

    fn push(&mut self, entry: &[u8]) {
        self.data.extend_from_slice(entry);
        self.data.push(0);
    }

    /// Returns the value of a variable; `None` if it is not set. If there are several, the first one
    /// counts, as for fw_printenv(1).
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.entries().find_map(|entry| value(entry, name))
    }

    /// Returns the value of a variable as [`Self::get_bytes`] does; `None` too if it is not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// Sets a variable, which moves to the end. An empty value removes it, as in U-Boot.
    pub fn set(&mut self, name: &str, text: &str) {
        if self.get(name) == Some(text) {
            return;
        }
        let mut changed = Self::default();
        for entry in self.entries().filter(|entry| value(entry, name).is_none()) {
            changed.push(entry);
        }
        if !text.is_empty() {
            changed.push(format!("{name}={text}").as_bytes());
        }
        *self = changed;
    }
}

/// Returns the value if `entry` is that of the variable `name`.
fn value<'a>(entry: &'a [u8], name: &str) -> Option<&'a [u8]> {
    entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// A copy whose CRC is right.
struct ValidCopy<'a> {
    serial: u8,
    data: &'a [u8],
}

/// Returns the parts of a copy; `None` if its CRC is wrong.
fn valid_copy(bytes: &[u8], has_serial: bool) -> Option<ValidCopy<'_>> {
    let (crc, rest) = bytes.split_first_chunk::<CRC>()?;
    let (serial, data) = rest.split_at_checked(usize::from(has_serial))?;
    let is_valid = bytes.len() >= MIN_SIZE && u32::from_ne_bytes(*crc) == crc32(data);
    is_valid.then(|| ValidCopy { serial: serial.first().copied().unwrap_or(0), data })
}

/// Returns whether the second of two valid copies is the current one.
fn is_second_newer(first: u8, second: u8) -> bool {
    match (first, second) {
        (255, 0) => true,
        (0, 255) => false,
        (first, second) => second > first,
    }
}

impl StoredEnvironment {
    /// Returns an environment for a place that holds none, with `copies` copies.
    #[cfg(any(feature = "host", test))]
    pub fn new(copies: usize) -> Self {
        let variables = Environment::default();
        Self { variables, next: 0, serial: (copies > 1).then_some(1) }
    }

    /// Parses an environment that has as many copies as `copies`; only the first two count. Returns
    /// `None` if no copy is valid.
    pub fn parse(copies: &[Vec<u8>]) -> Option<Self> {
        let has_serial = copies.len() > 1;
        let copy = |at: usize| copies.get(at).and_then(|bytes| valid_copy(bytes, has_serial));
        let (current, at) = match (copy(0), copy(1)) {
            (Some(first), Some(second)) if is_second_newer(first.serial, second.serial) => {
                (second, 1)
            }
            (Some(first), _) => (first, 0),
            (None, second) => (second?, 1),
        };
        Some(Self {
            variables: Environment::parse(current.data),
            next: if has_serial { 1 - at } else { 0 },
            serial: has_serial.then(|| current.serial.wrapping_add(1)),
        })
    }

    /// Returns the bytes to be written as copy [`Self::next`], which has `size` bytes; `None` if the
    /// variables do not fit.
    pub fn encode(&self, size: usize) -> Option<Vec<u8>> {
        let mut data = self.variables.data.clone();
        let length = size.checked_sub(CRC + usize::from(self.serial.is_some()))?;
        // One more zero is the end of the variables.
        if data.len() >= length {
            return None;
        }
        data.resize(length, 0);
        let mut bytes = crc32(&data).to_ne_bytes().to_vec();
        bytes.extend(self.serial);
        bytes.append(&mut data);
        Some(bytes)
    }

    /// Moves on to the write after this one.
    pub fn advance(&mut self) {
        if let Some(serial) = &mut self.serial {
            *serial = serial.wrapping_add(1);
            self.next = 1 - self.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64;

    fn copy(serial: Option<u8>, variables: &[(&str, &str)]) -> Vec<u8> {
        let mut stored = StoredEnvironment::new(1);
        stored.serial = serial;
        variables.iter().for_each(|(name, value)| stored.variables.set(name, value));
        stored.encode(SIZE).unwrap()
    }

    fn get(copies: &[Vec<u8>], name: &str) -> Option<String> {
        StoredEnvironment::parse(copies)?.variables.get(name).map(str::to_owned)
    }

    #[test]
    fn a_variable_is_set_once() {
        let mut variables = Environment::parse(b"a=1\0b=2\0odd\0a=3\0c=\0\0rest");
        assert_eq!(variables.get("a"), Some("1"));
        assert_eq!((variables.get("c"), variables.get("odd")), (Some(""), None));
        assert_eq!((variables.get(""), variables.get("rest")), (None, None));
        variables.set("a", "4");
        variables.set("b", "");
        variables.set("d", "x=y z");
        variables.set("e", "");
        let entries: Vec<_> = variables.entries().map(|e| String::from_utf8_lossy(e)).collect();
        assert_eq!(entries, ["odd", "c=", "a=4", "d=x=y z"]);
    }

    #[test]
    fn the_current_copy_is_chosen_as_u_boot_does() {
        for (first, second, want) in [
            (1, 2, "b"),
            (2, 1, "a"),
            (7, 7, "a"),
            (255, 0, "b"),
            (0, 255, "a"),
            (254, 255, "b"),
            (255, 1, "a"),
        ] {
            let copies = [copy(Some(first), &[("n", "a")]), copy(Some(second), &[("n", "b")])];
            assert_eq!(get(&copies, "n").as_deref(), Some(want), "{first} {second}");
        }
        let (a, b) = (copy(Some(9), &[("n", "a")]), copy(Some(1), &[("n", "b")]));
        let bad = vec![0xff; SIZE];
        assert_eq!(get(&[bad.clone(), b.clone()], "n").as_deref(), Some("b"));
        assert_eq!(get(&[a, bad.clone()], "n").as_deref(), Some("a"));
        assert_eq!(get(&[bad.clone(), bad], "n"), None);
        // A copy of another layout is damaged.
        assert_eq!(get(&[b], "n"), None);
        assert_eq!(get(&[copy(None, &[("n", "c")])], "n").as_deref(), Some("c"));
        assert_eq!(StoredEnvironment::parse(&[]), None);
        assert_eq!(StoredEnvironment::parse(&[vec![0; 4]]), None, "the CRC of nothing is 0");
    }

    #[test]
    fn a_write_that_is_cut_off_anywhere_leaves_an_environment() {
        let mut copies = [copy(Some(254), &[("left", "3")]), vec![0xff; SIZE]];
        for round in 0..6_u8 {
            let before = get(&copies, "left").unwrap();
            let mut stored = StoredEnvironment::parse(&copies).unwrap();
            let after = format!("value-{round}");
            stored.variables.set("left", &after);
            let bytes = stored.encode(SIZE).unwrap();
            for cut in 0..=SIZE {
                let mut torn = copies.clone();
                torn[stored.next][..cut].copy_from_slice(&bytes[..cut]);
                let found = get(&torn, "left").unwrap();
                assert!(found == before || found == after, "{round} {cut}: {found}");
                // The next write after the cut must not touch what is valid.
                let next = StoredEnvironment::parse(&torn).unwrap();
                torn[next.next].fill(0xff);
                assert_eq!(get(&torn, "left"), Some(found), "{round} {cut}");
            }
            let next = stored.next;
            copies[next].copy_from_slice(&bytes);
            assert_eq!(get(&copies, "left"), Some(after.clone()));
            stored.advance();
            assert_eq!(StoredEnvironment::parse(&copies).unwrap(), stored);
        }
    }

    #[test]
    fn variables_that_do_not_fit_are_refused() {
        let mut stored = StoredEnvironment::new(2);
        stored.variables.set("a", &"x".repeat(SIZE - 5 - 2 - 2));
        assert!(stored.encode(SIZE).is_some());
        stored.variables.set("a", &"x".repeat(SIZE - 5 - 2 - 1));
        assert_eq!(stored.encode(SIZE), None);
        assert_eq!(StoredEnvironment::new(2).encode(4), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(0u8.., 0..80), size in 0usize..100) {
            if let Some(stored) = StoredEnvironment::parse(std::slice::from_ref(&bytes)) {
                let _ = stored.encode(size);
            }
            let variables = Environment::parse(&bytes);
            let mut stored = StoredEnvironment { variables, ..StoredEnvironment::new(2) };
            stored.variables.set("a", "b");
            let encoded = stored.encode(200).unwrap();
            let parsed = StoredEnvironment::parse(&[vec![], encoded]).unwrap();
            proptest::prop_assert_eq!(parsed.variables, stored.variables);
        }
    }
}
