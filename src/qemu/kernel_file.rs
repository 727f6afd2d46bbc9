//! A kernel as a boot loader gets it: the machine that it is for, and its release.
//!
//! ```text
//! offset  0      "MZ": it has an EFI stub. u32 at 0x3c: offset of "PE\0\0", and of a u16 behind it,
//!                the machine (PE/COFF specification, "COFF File Header")
//!         0      "\x7fELF": vmlinux
//!         0x24   u32 0x016f2818: zImage of 32-bit ARM
//!         0x202  "HdrS": x86. u16 at 0x20e: offset of the text `RELEASE (USER@HOST) …`, less 0x200
//! ```
//!
//! All numbers are little-endian. x86 is described in the kernel's arch/x86/boot.rst, ARM in
//! arch/arm/booting.rst.

use std::fmt;

/// Number of bytes at the start of a kernel that are read.
pub(crate) const HEAD: usize = 64 << 10;

/// What boots: the processors of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// 32 or 64 bit; one emulator runs both.
    X86,
    Aarch64,
    Arm,
    Riscv64,
}

/// Machines of PE files.
const PE_MACHINES: [(u16, Architecture); 5] = [
    (0x8664, Architecture::X86),
    (0x14c, Architecture::X86),
    (0xaa64, Architecture::Aarch64),
    (0x1c2, Architecture::Arm),
    (0x5064, Architecture::Riscv64),
];
/// `e_machine` of ELF files.
const ELF_MACHINES: [(u16, Architecture); 5] = [
    (62, Architecture::X86),
    (3, Architecture::X86),
    (183, Architecture::Aarch64),
    (40, Architecture::Arm),
    (243, Architecture::Riscv64),
];

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KernelFile {
    pub(crate) architecture: Architecture,
    /// Its release, as `uname -r` prints it, if the file says it at its start.
    pub(crate) release: Option<String>,
}

/// Why a file is not a kernel that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoKernel {
    /// It has none of the formats.
    Format,
    /// It is for a machine that is not supported, by its number in a PE or ELF header.
    Machine(u16),
}

impl fmt::Display for NoKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not a kernel image"),
            Self::Machine(number) => {
                write!(f, "a kernel for machine {number:#x}, which is not supported")
            }
        }
    }
}

impl KernelFile {
    /// Parses the first [`HEAD`] bytes of a kernel, or all if it has fewer.
    ///
    /// # Errors
    /// It is no kernel, or one for an unknown machine.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, NoKernel> {
        let is_x86 = head.get(0x202..0x206) == Some(b"HdrS");
        let architecture = if head.starts_with(b"MZ") && pe_machine(head).is_some() {
            named(&PE_MACHINES, pe_machine(head))?
        } else if head.starts_with(b"\x7fELF") {
            named(&ELF_MACHINES, u16_at(head, 18))?
        } else if is_x86 {
            Architecture::X86
        } else if u32_at(head, 0x24) == Some(0x016f_2818) {
            Architecture::Arm
        } else {
            return Err(NoKernel::Format);
        };
        let release = if is_x86 { x86_release(head) } else { None };
        Ok(Self { architecture, release })
    }
}

fn named(table: &[(u16, Architecture)], number: Option<u16>) -> Result<Architecture, NoKernel> {
    let number = number.ok_or(NoKernel::Format)?;
    let found = table.iter().find(|(known, _)| *known == number);
    found.map(|(_, architecture)| *architecture).ok_or(NoKernel::Machine(number))
}

fn pe_machine(head: &[u8]) -> Option<u16> {
    let at = usize::try_from(u32_at(head, 0x3c)?).ok()?;
    (head.get(at..at.checked_add(4)?)? == b"PE\0\0").then(|| u16_at(head, at + 4)).flatten()
}

fn x86_release(head: &[u8]) -> Option<String> {
    let at = usize::from(u16_at(head, 0x20e)?) + 0x200;
    let text = head.get(at..)?;
    let release = text.split(|byte| byte.is_ascii_whitespace() || *byte == 0).next()?;
    let release = std::str::from_utf8(release).ok()?;
    (!release.is_empty() && !release.contains('/')).then(|| release.to_owned())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a file of `len` bytes with `parts` at their offsets.
    fn file(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (at, part) in parts {
            bytes[*at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn kernels_are_recognized() {
        let x86: [(usize, &[u8]); 3] =
            [(0x202, b"HdrS"), (0x20e, b"\x00\x01"), (0x300, b"6.1.0-9 (a@b) #1\0")];
        let pe = |machine: &'static [u8]| -> Vec<u8> {
            file(0x400, &[(0, b"MZ"), (0x3c, b"\x80"), (0x80, b"PE\0\0"), (0x84, machine)])
        };
        let kernel = |architecture, release: Option<&str>| {
            Ok(KernelFile { architecture, release: release.map(str::to_owned) })
        };
        for (bytes, want) in [
            (file(0x400, &x86), kernel(Architecture::X86, Some("6.1.0-9"))),
            // The text lies behind the end.
            (file(0x300, &x86[..2]), kernel(Architecture::X86, None)),
            (pe(b"\x64\xaa"), kernel(Architecture::Aarch64, None)),
            (pe(b"\x64\x50"), kernel(Architecture::Riscv64, None)),
            (pe(b"\x64\x86"), kernel(Architecture::X86, None)),
            (pe(b"\x64\x62"), Err(NoKernel::Machine(0x6264))),
            (file(0x40, &[(0x24, b"\x18\x28\x6f\x01")]), kernel(Architecture::Arm, None)),
            (file(0x40, &[(0, b"\x7fELF"), (18, b"\xb7")]), kernel(Architecture::Aarch64, None)),
            (file(18, &[(0, b"\x7fELF")]), Err(NoKernel::Format)),
            (file(0x40, &[(0, b"MZ"), (0x3c, b"\xff\xff\xff\xff")]), Err(NoKernel::Format)),
            (Vec::new(), Err(NoKernel::Format)),
            (b"\x1f\x8b\x08".to_vec(), Err(NoKernel::Format)),
        ] {
            assert_eq!(KernelFile::parse(&bytes), want, "{:x?}", &bytes[..bytes.len().min(8)]);
        }
    }
}
