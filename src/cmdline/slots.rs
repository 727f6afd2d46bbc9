//! The slots of a machine with several roots, and the environment that counts their attempts.
//!
//! ```text
//! coldplug.slots=SLOT:NAME;SLOT:NAME…              NAME as in root=
//! coldplug.slots_env=PLACE[,PLACE]                 two places are two copies
//!
//! PLACE   DEVICE@OFFSET:SIZE                       the words of fw_env.config(5)
//! ```
//!
//! OFFSET and SIZE are decimal, or hexadecimal after `0x`. A negative OFFSET counts from the end of
//! the device.

use std::fmt;
use std::str::FromStr;

use super::root::{RootCandidate, candidate};
use super::root_name::RootName;

/// Shortest copy of an environment.
pub(crate) const MIN_SIZE: usize = 16;
/// Longest copy of an environment.
pub(crate) const MAX_SIZE: usize = 1 << 20;

/// A slot: its name in the environment, and its root.
pub(super) type Slot = (String, RootCandidate);

/// The place of one copy of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvironmentPlace {
    /// The device, as written.
    pub(crate) device: String,
    /// Offset in bytes; if it is negative, from the end of the device.
    pub(crate) offset: i64,
    /// Length of the copy in bytes, the same for all copies.
    pub(crate) size: usize,
}

impl fmt::Display for EnvironmentPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.offset < 0 { "-" } else { "" };
        let (device, offset, size) = (&self.device, self.offset.unsigned_abs(), self.size);
        write!(f, "{device}@{sign}{offset:#x}:{size:#x}")
    }
}

impl EnvironmentPlace {
    /// Returns the name of the device.
    pub(crate) fn name(&self) -> RootName {
        RootName::parse(&self.device).unwrap_or_else(|| RootName::Other(String::new()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (device, place) = text.rsplit_once('@')?;
        let (offset, size) = place.split_once(':')?;
        let (offset, size) = (number(offset)?, number(size)?);
        let size = usize::try_from(size).ok().filter(|s| (MIN_SIZE..=MAX_SIZE).contains(s))?;
        // Neither end of the place leaves the range of numbers.
        let is_possible = offset.checked_add(1 << 32).is_some() && offset != i64::MIN;
        let is_named = !device.is_empty();
        (is_named && is_possible).then(|| Self { device: device.to_owned(), offset, size })
    }
}

/// Parses the value of `coldplug.slots_env=`: one place, or two of the same size.
pub(crate) fn environment(text: &str) -> Option<Vec<EnvironmentPlace>> {
    let places: Vec<_> = text.split(',').map(EnvironmentPlace::parse).collect::<Option<_>>()?;
    match places.as_slice() {
        [_] => Some(places),
        [first, second] if first.size == second.size && first != second => Some(places),
        _ => None,
    }
}

/// Parses a number: decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<i64> {
    let (digits, is_negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => is_unsigned(hex).then(|| i64::from_str_radix(hex, 16).ok())?,
        None => is_unsigned(digits).then(|| i64::from_str(digits).ok())?,
    }?;
    Some(if is_negative { -number } else { number })
}

/// Returns whether `digits` has no sign of its own.
fn is_unsigned(digits: &str) -> bool {
    digits.starts_with(|first: char| first.is_ascii_hexdigit())
}

/// Parses the value of `coldplug.slots=`. Returns `None` if a slot has no root, or a name that
/// cannot be part of a variable's name, or that of another slot.
pub(super) fn slots(text: &str) -> Option<Vec<Slot>> {
    let mut slots: Vec<Slot> = Vec::new();
    for entry in text.split(';').filter(|entry| !entry.is_empty()) {
        let (name, root) = entry.split_once(':')?;
        if !is_slot_name(name) || slots.iter().any(|(other, _)| other == name) {
            return None;
        }
        slots.push((name.to_owned(), candidate(root)?));
    }
    Some(slots).filter(|slots| !slots.is_empty())
}

/// Returns whether `name` can be a part of the name of a variable.
pub(crate) fn is_slot_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::super::KernelCommandLine;
    use super::*;

    #[test]
    fn slots_have_names_and_roots() {
        let found = |text: &str| {
            let slots = slots(text)?;
            Some(slots.iter().map(|(n, r)| format!("{n}={}", r.text)).collect::<Vec<_>>())
        };
        for (text, want) in [
            ("A:LABEL=a;B:/dev/vdb", Some(vec!["A=LABEL=a", "B=/dev/vdb"])),
            ("system0:10.0.0.1:/srv,vers=4", Some(vec!["system0=10.0.0.1:/srv,vers=4"])),
            (";A:8:1;", Some(vec!["A=8:1"])),
            ("", None),
            ("A", None),
            ("A:", None),
            (":LABEL=a", None),
            ("A B:LABEL=a", None),
            ("A=:LABEL=a", None),
            ("\u{e4}:LABEL=a", None),
            ("A:LABEL=a;A:LABEL=b", None),
        ] {
            let want = want.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(found(text), want, "{text}");
        }
    }

    #[test]
    fn an_environment_has_one_place_or_two() {
        for (text, want) in [
            ("/dev/mmcblk0@0x3f0000:0x2000", Some("/dev/mmcblk0@0x3f0000:0x2000")),
            ("PARTLABEL=env@0:8192,PARTLABEL=env@8192:8192", Some("PARTLABEL=env@0x0:0x2000")),
            ("LABEL=a@b@-0x2000:0x1000", Some("LABEL=a@b@-0x2000:0x1000")),
            ("", None),
            ("/dev/a", None),
            ("/dev/a@0", None),
            ("@0:0x1000", None),
            ("/dev/a@0:15", None),
            ("/dev/a@0:0x100001", None),
            ("/dev/a@0:-0x1000", None),
            ("/dev/a@--1:0x1000", None),
            ("/dev/a@+1:0x1000", None),
            ("/dev/a@0x-1:0x1000", None),
            ("/dev/a@9223372036854775807:0x1000", None),
            ("/dev/a@0:0x1000,", None),
            ("/dev/a@0:0x1000,/dev/a@0x1000:0x2000", None),
            ("/dev/a@0:0x1000,/dev/a@0:0x1000", None),
            ("/dev/a@0:64,/dev/a@64:64,/dev/a@128:64", None),
        ] {
            let found = environment(text).map(|places| places[0].to_string());
            assert_eq!(found.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn slots_replace_other_roots() {
        let line = "root=/dev/x coldplug.root=LABEL=y coldplug.slots=A:LABEL=a;B:LABEL=b";
        let root = KernelCommandLine::parse(line).root;
        let texts: Vec<_> = root.candidates().into_iter().map(|root| root.text).collect();
        assert_eq!(
            (texts, root.spec()),
            (vec!["LABEL=a".into(), "LABEL=b".into()], "A:LABEL=a;B:LABEL=b")
        );
        assert_eq!(root.slots, ["A", "B"]);
        let line = format!("{line} coldplug.root=LABEL=y");
        assert_eq!(KernelCommandLine::parse(&line).root.slots, [""; 0]);
        let line = super::super::with_words(line.as_bytes(), "root=/dev/z");
        assert_eq!(KernelCommandLine::parse(line).root.spec(), "/dev/z");
    }
}
