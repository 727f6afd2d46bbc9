//! The machine that an ELF file is for: the start of its header.
//!
//! ```text
//! offset  4            5                             18
//!         class        byte order                    e_machine u16
//!         1 = 32 bit   1 = little-, 2 = big-endian
//!         2 = 64 bit
//! ```

use std::fmt;

/// `e_machine` of 32-bit x86.
pub(super) const I386: u16 = 3;
/// In [`NAMES`]: there is no such machine.
const NONE: &str = "-";
/// `e_machine` with its name, and the names of uname(2) for its 64-bit and its 32-bit machines:
/// patterns, in which `*` stands for anything.
const NAMES: [(u16, &str, &str, &str); 12] = [
    (I386, "i386", NONE, "i?86"),
    (62, "x86-64", "x86_64", NONE),
    (40, "ARM", NONE, "arm*"),
    (183, "AArch64", "aarch64*", NONE),
    (243, "RISC-V", "riscv64", "riscv32"),
    (20, "PowerPC", NONE, "ppc*"),
    (21, "PowerPC", "ppc64*", NONE),
    (22, "S/390", "s390x", "s390"),
    (8, "MIPS", "mips64*", "mips*"),
    (258, "LoongArch", "loongarch64", "loongarch32"),
    (43, "SPARC", "sparc64", NONE),
    (15, "PA-RISC", "parisc64", "parisc"),
];
/// Names of uname(2) that tell the byte order, and whether it is big-endian; the first that matches
/// counts. Kernels for MIPS of both orders have the names `mips` and `mips64`, which tell none.
#[cfg(feature = "host")]
const BYTE_ORDERS: [(&str, bool); 14] = [
    ("i?86", false),
    ("x86_64", false),
    ("aarch64_be", true),
    ("aarch64", false),
    ("armv*b", true),
    ("armv*l", false),
    ("ppc*le", false),
    ("ppc*", true),
    ("s390*", true),
    ("mips*el", false),
    ("riscv*", false),
    ("loongarch*", false),
    ("sparc*", true),
    ("parisc*", true),
];

/// Class, byte order and `e_machine` of the machines for which coldplug can be built, with the name
/// that uname(2) usually has for them, and the target of Rust.
#[cfg(feature = "host")]
const TARGETS: [(Machine, &str, &str); 8] = [
    (Machine::new(true, false, 62), "x86_64", "x86_64-unknown-linux-musl"),
    (Machine::new(false, false, I386), "i686", "i686-unknown-linux-musl"),
    (Machine::new(true, false, 183), "aarch64", "aarch64-unknown-linux-musl"),
    (Machine::new(false, false, 40), "armv7l", "armv7-unknown-linux-musleabihf"),
    (Machine::new(true, false, 243), "riscv64", "riscv64gc-unknown-linux-musl"),
    (Machine::new(true, false, 21), "ppc64le", "powerpc64le-unknown-linux-musl"),
    (Machine::new(true, true, 22), "s390x", "s390x-unknown-linux-musl"),
    (Machine::new(true, false, 258), "loongarch64", "loongarch64-unknown-linux-musl"),
];

/// The machine that an ELF file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    pub(super) is_64_bit: bool,
    pub(super) is_big_endian: bool,
    /// `e_machine`
    pub(super) number: u16,
}

impl Machine {
    /// Number of bytes of the header that [`Self::parse`] needs.
    #[cfg(feature = "host")]
    pub(crate) const HEADER: usize = 20;

    #[cfg(feature = "host")]
    const fn new(is_64_bit: bool, is_big_endian: bool, number: u16) -> Self {
        Self { is_64_bit, is_big_endian, number }
    }

    /// Returns the name that uname(2) usually has for the machine, and the target of Rust for it;
    /// `None` if coldplug is not built for it.
    #[cfg(feature = "host")]
    pub(crate) fn target(self) -> Option<(&'static str, &'static str)> {
        let found = TARGETS.iter().find(|(machine, ..)| *machine == self);
        found.map(|(_, arch, target)| (*arch, *target))
    }

    /// Parses the header of an ELF file.
    ///
    /// # Errors
    /// The part of the header that is broken.
    pub(crate) fn parse(header: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "file ends within its header";
        let is_second = |at: usize, what| match header.get(at).ok_or(SHORT)? {
            1 => Ok(false),
            2 => Ok(true),
            _ => Err(what),
        };
        let (is_64_bit, is_big_endian) = (is_second(4, "class")?, is_second(5, "byte order")?);
        let machine = number(header, 18, 2, is_big_endian).and_then(|n| u16::try_from(n).ok());
        Ok(Self { is_64_bit, is_big_endian, number: machine.ok_or(SHORT)? })
    }

    /// Returns whether uname(2) has this name for the machine; `None` if the name is unknown.
    #[cfg(feature = "host")]
    pub(crate) fn has_name(self, name: &str) -> Option<bool> {
        let is = |pattern: &str| super::alias::fnmatch(pattern.as_bytes(), name.as_bytes());
        let machine = |(number, _, wide, narrow): &(u16, &str, &str, &str)| {
            let is_64_bit = is(wide);
            (is_64_bit || is(narrow)).then_some((*number, is_64_bit))
        };
        let named = NAMES.iter().filter_map(machine).max_by_key(|(_, is_64_bit)| *is_64_bit)?;
        let order = BYTE_ORDERS.iter().find(|(pattern, _)| is(pattern));
        let has_order = order.is_none_or(|(_, is_big_endian)| *is_big_endian == self.is_big_endian);
        Some(named == (self.number, self.is_64_bit) && has_order)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.is_64_bit { 64 } else { 32 };
        let order = if self.is_big_endian { "big" } else { "little" };
        match NAMES.iter().find(|(number, ..)| *number == self.number) {
            Some((_, name, ..)) => write!(f, "{bits}-bit {order}-endian {name}"),
            None => write!(f, "{bits}-bit {order}-endian machine-{}", self.number),
        }
    }
}

/// Returns the unsigned number of `len` bytes at `at`.
pub(super) fn number(bytes: &[u8], at: usize, len: usize, is_big_endian: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(match is_big_endian {
        true => bytes.iter().fold(0, add),
        false => bytes.iter().rev().fold(0, add),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_the_name_of_their_machine() {
        for (machine, arch, target) in TARGETS {
            assert_eq!(machine.has_name(arch), Some(true), "{arch}");
            assert_eq!(machine.target(), Some((arch, target)));
            let others = TARGETS.iter().filter(|(other, ..)| other.has_name(arch) == Some(true));
            assert_eq!(others.count(), 1, "{arch}");
        }
        assert_eq!(Machine::new(true, true, 183).target(), None);
    }

    #[test]
    fn the_names_of_uname() {
        let machine = |is_64_bit, number| Machine { is_64_bit, is_big_endian: false, number };
        let big = |is_64_bit, number| Machine { is_64_bit, is_big_endian: true, number };
        let amd64 = machine(true, 62);
        let cases = [
            (amd64, "x86_64", Some(true)),
            (amd64, "i686", Some(false)),
            (amd64, "aarch64", Some(false)),
            (amd64, "vax", None),
            (amd64, "", None),
            (machine(false, I386), "i586", Some(true)),
            (machine(false, 40), "armv7l", Some(true)),
            (machine(false, 40), "armv7b", Some(false)),
            (machine(false, 40), "armv8l", Some(true)),
            (big(false, 40), "armv7b", Some(true)),
            (big(false, 40), "armv7l", Some(false)),
            (big(false, 40), "arm", Some(true)),
            (machine(true, 183), "aarch64", Some(true)),
            (machine(true, 183), "aarch64_be", Some(false)),
            (big(true, 183), "aarch64_be", Some(true)),
            (big(true, 183), "aarch64", Some(false)),
            (big(true, 62), "x86_64", Some(false)),
            (machine(true, 183), "arm", Some(false)),
            (machine(true, 21), "ppc64le", Some(true)),
            (big(true, 21), "ppc64le", Some(false)),
            (machine(true, 21), "ppc64", Some(false)),
            (big(true, 21), "ppc64", Some(true)),
            (machine(false, 20), "ppc64", Some(false)),
            (big(false, 20), "ppc", Some(true)),
            (machine(false, 20), "ppcle", Some(true)),
            (big(true, 22), "s390x", Some(true)),
            (machine(true, 22), "s390x", Some(false)),
            (machine(true, 8), "mips64", Some(true)),
            (machine(false, 8), "mips64", Some(false)),
            (machine(false, 8), "mips", Some(true)),
            (big(false, 8), "mips", Some(true)),
            (big(false, 8), "mipsel", Some(false)),
            (machine(true, 8), "mips64el", Some(true)),
            (machine(false, 243), "riscv64", Some(false)),
        ];
        for (machine, name, want) in cases {
            assert_eq!(machine.has_name(name), want, "{machine} {name}");
        }
    }
}
