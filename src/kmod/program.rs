//! The start of a program, as execve(2) reads it (binfmt_elf and binfmt_script of the kernel).
//!
//! ```text
//! offset  0     4     5            16     18           28 (32)     42 (54)         44 (56)
//! ELF     7fELF class data byte-…  e_type e_machine …  e_phoff …   e_phentsize     e_phnum
//!
//! program header:   p_type   p_offset   p_filesz   size       in brackets: 64 bit
//!                   0        4 (8)      16 (32)    32 (56)
//!
//! script            #! SPACE… INTERPRETER [SPACE ARGUMENTS] LF   within the first 256 bytes
//! ```
//!
//! Files of any other format are refused. The kernel knows more of them only after a program has
//! registered them (binfmt_misc), and the first program of a system has nobody before it.

use std::fmt;
use std::ops::Range;

use super::elf_machine::{I386, Machine, number};

/// BINPRM_BUF_SIZE: the part of a file that decides on its format.
pub const HEAD_LEN: usize = 256;
/// Scripts that may name scripts as their interpreter, one after the other, before the kernel
/// returns ELOOP.
pub(crate) const MAX_SCRIPTS: usize = 5;

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_INTERP: u64 = 3;
/// Longest table of program headers, in bytes.
const MAX_TABLE_LEN: u64 = 65_536;
/// PATH_MAX: longest path of an interpreter, with its NUL.
const MAX_PATH_LEN: u64 = 4096;
/// Smallest page: the part of a page past the end of a file is readable.
const PAGE_LEN: u64 = 4096;

/// The 64-bit and the 32-bit `e_machine` of kernels that execute both.
const PAIRS: [(u16, u16); 8] =
    [(62, 3), (183, 40), (243, 243), (21, 20), (22, 22), (8, 8), (43, 18), (15, 15)];

/// The reason why the kernel does not execute a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramError {
    /// The file is empty.
    Empty,
    /// The file is neither an ELF file nor a script.
    Unknown,
    /// The `#!` line names no interpreter, or is longer than the kernel reads.
    NoInterpreter,
    /// An ELF file that is no program, such as a module.
    NotProgram,
    /// A part of the ELF file is invalid.
    Broken(&'static str),
    /// The file ends before its segments do.
    Truncated,
    /// The program is for another machine.
    Foreign(Machine),
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty file"),
            Self::Unknown => f.write_str("neither an ELF program nor a script with #!"),
            Self::NoInterpreter => f.write_str("no interpreter in the first 256 bytes after #!"),
            Self::NotProgram => f.write_str("an ELF file, but not a program"),
            Self::Broken(part) => write!(f, "broken ELF file: {part}"),
            Self::Truncated => f.write_str("truncated: file ends before its segments"),
            Self::Foreign(machine) => write!(f, "{machine} program, not for this kernel"),
        }
    }
}

/// What decides on the programs that a kernel executes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel {
    /// Machine of a program that it executes: this one.
    pub(crate) own: Machine,
    /// Whether the kernel is a 64-bit one, by the machine of uname(2).
    pub(crate) is_64_bit: bool,
    /// Whether an x86-64 kernel executes 32-bit programs.
    pub(crate) has_ia32: bool,
}

impl Kernel {
    /// Returns a kernel whose modules are for `machine`, and whose configuration is not known: it
    /// counts as one that executes 32-bit programs.
    #[cfg(feature = "host")]
    pub(crate) fn of_modules(machine: Machine) -> Self {
        Self { own: machine, is_64_bit: machine.is_64_bit, has_ia32: true }
    }

    /// Returns whether the kernel executes programs for `machine`. Whether an x86-64 kernel
    /// executes x32 programs cannot be known; it counts as not.
    pub(crate) fn executes(&self, machine: Machine) -> bool {
        let own = self.own;
        if machine == own {
            return true;
        }
        let of = |m: Machine| {
            let number = |pair: &(u16, u16)| if m.is_64_bit { pair.0 } else { pair.1 };
            PAIRS.iter().position(|pair| number(pair) == m.number)
        };
        let related = of(machine).is_some() && of(machine) == of(own);
        let wide = machine.is_64_bit || own.is_64_bit;
        let has_mode = machine.number != I386 || self.has_ia32;
        related
            && machine.is_64_bit != own.is_64_bit
            && machine.is_big_endian == own.is_big_endian
            && (!wide || self.is_64_bit)
            && has_mode
    }
}

/// A file that the kernel may execute.
#[derive(Debug, PartialEq, Eq)]
pub enum Program<'a> {
    /// An ELF program or interpreter.
    Elf(ElfHead),
    /// A script, with the path of its interpreter.
    Script(&'a [u8]),
    /// A flat binary (bFLT), whose header is left to the kernel.
    Flat,
}

/// The ELF header of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElfHead {
    /// The machine that the program is for.
    pub machine: Machine,
    /// Offset and length of the table of program headers.
    table: (u64, u64),
}

/// What the program headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// Place of the path of the interpreter in the file, with its NUL.
    pub interpreter: Option<Range<u64>>,
    /// End of the last segment in the file.
    end: u64,
}

impl<'a> Program<'a> {
    /// Parses the first [`HEAD_LEN`] bytes of a file, or all of a shorter one.
    ///
    /// # Errors
    /// The kernel refuses this file: ENOEXEC.
    pub fn parse(head: &'a [u8]) -> Result<Self, ProgramError> {
        match head {
            [] => Err(ProgramError::Empty),
            [0x7f, b'E', b'L', b'F', ..] => ElfHead::parse(head).map(Self::Elf),
            [b'#', b'!', line @ ..] => interpreter(line).map(Self::Script),
            [b'b', b'F', b'L', b'T', ..] => Ok(Self::Flat),
            _ => Err(ProgramError::Unknown),
        }
    }
}

impl ElfHead {
    fn parse(head: &[u8]) -> Result<Self, ProgramError> {
        const SHORT: ProgramError = ProgramError::Broken("file ends within its header");
        let machine = Machine::parse(head).map_err(ProgramError::Broken)?;
        let number = |at, len| number(head, at, len, machine.is_big_endian).ok_or(SHORT);
        let kind = number(16, 2)?;
        if !matches!(kind, ET_EXEC | ET_DYN) {
            return Err(ProgramError::NotProgram);
        }
        let (offset, size, count) = match machine.is_64_bit {
            true => (number(32, 8)?, number(54, 2)?, number(56, 2)?),
            false => (number(28, 4)?, number(42, 2)?, number(44, 2)?),
        };
        let len = size * count;
        if size != entry_len(machine) || !(1..=MAX_TABLE_LEN).contains(&len) {
            return Err(ProgramError::Broken("table of program headers"));
        }
        Ok(Self { machine, table: (offset, len) })
    }

    /// Returns the offset and length of the table of program headers.
    pub fn table(&self) -> (u64, u64) {
        self.table
    }

    /// Parses the table of program headers of a file of `len` bytes.
    ///
    /// # Errors
    /// The kernel refuses this table, or the file ends before the last segment. Then the kernel
    /// would start the program, and SIGBUS would end it.
    pub fn segments(&self, table: &[u8], len: u64) -> Result<Segments, ProgramError> {
        let mut segments = Segments { interpreter: None, end: 0 };
        if table.len() as u64 != self.table.1 {
            return Err(ProgramError::Broken("file ends within its program headers"));
        }
        let entry_len = usize::try_from(entry_len(self.machine)).unwrap_or(1);
        for entry in table.chunks_exact(entry_len) {
            segments.add(entry, self.machine)?;
        }
        match segments.end {
            0 => Err(ProgramError::Broken("no segment to load")),
            end if end > len.next_multiple_of(PAGE_LEN) => Err(ProgramError::Truncated),
            _ => Ok(segments),
        }
    }
}

impl Segments {
    fn add(&mut self, entry: &[u8], machine: Machine) -> Result<(), ProgramError> {
        const BROKEN: ProgramError = ProgramError::Broken("program header");
        let number = |at, len| number(entry, at, len, machine.is_big_endian).ok_or(BROKEN);
        let (offset, len) = match machine.is_64_bit {
            true => (number(8, 8)?, number(32, 8)?),
            false => (number(4, 4)?, number(16, 4)?),
        };
        let range = offset..offset.checked_add(len).ok_or(BROKEN)?;
        match number(0, 4)? {
            PT_LOAD => self.end = self.end.max(range.end),
            PT_INTERP if !(2..=MAX_PATH_LEN).contains(&len) => {
                return Err(ProgramError::Broken("path of the interpreter"));
            }
            // As in the kernel, the first one is used.
            PT_INTERP if self.interpreter.is_none() => self.interpreter = Some(range),
            _ => {}
        }
        Ok(())
    }
}

/// Returns the size of a program header.
fn entry_len(machine: Machine) -> u64 {
    if machine.is_64_bit { 56 } else { 32 }
}

/// Returns the path in the bytes of PT_INTERP.
///
/// # Errors
/// The path does not end with NUL.
pub fn interpreter_path(bytes: &[u8]) -> Result<&[u8], ProgramError> {
    match bytes.split_last() {
        Some((0, _)) => Ok(super::elf::until_nul(bytes)),
        _ => Err(ProgramError::Broken("path of the interpreter")),
    }
}

/// Returns the interpreter on a `#!` line, given what follows `#!`.
fn interpreter(line: &[u8]) -> Result<&[u8], ProgramError> {
    const MAX_LEN: usize = HEAD_LEN - 2;
    let line = line.get(..MAX_LEN).unwrap_or(line);
    let (line, is_whole) = match line.iter().position(|byte| *byte == b'\n') {
        Some(end) => (line.get(..end).unwrap_or_default(), true),
        None => (line, line.len() < MAX_LEN),
    };
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_space(byte)).unwrap_or(line.len());
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t' | 0));
    // A name that reaches the end of what the kernel reads may be longer.
    match end.or_else(|| is_whole.then_some(line.len())) {
        None | Some(0) => Err(ProgramError::NoInterpreter),
        Some(end) => Ok(line.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const X86_64: Machine =
        Machine { is_64_bit: true, is_big_endian: false, number: 62 };
    pub(crate) const X32: Machine = Machine { is_64_bit: false, ..X86_64 };
    pub(crate) const I386_ELF: Machine = Machine { number: 3, ..X32 };
    pub(crate) const ARM: Machine = Machine { number: 40, ..X32 };
    pub(crate) const AARCH64: Machine = Machine { number: 183, ..X86_64 };
    const POWERPC: Machine = Machine { is_64_bit: false, is_big_endian: true, number: 20 };
    const POWERPC64: Machine = Machine { is_64_bit: true, number: 21, ..POWERPC };
    const POWERPC64LE: Machine = Machine { is_big_endian: false, ..POWERPC64 };

    /// Returns an ELF file of this `e_type` that the kernel would start: one segment holds all of
    /// it, and the path of `interpreter` with a NUL if there is one.
    pub(crate) fn elf(machine: Machine, kind: u64, interpreter: Option<&str>) -> Vec<u8> {
        let Machine { is_64_bit, is_big_endian, number } = machine;
        let mut out = vec![0x7f, b'E', b'L', b'F', 1 + u8::from(is_64_bit)];
        out.extend([1 + u8::from(is_big_endian), 1]);
        out.resize(16, 0);
        let word = if is_64_bit { 8 } else { 4 };
        let put = |out: &mut Vec<u8>, value: u64, len: usize| {
            let bytes = value.to_le_bytes();
            let bytes = &bytes[..len];
            if is_big_endian { out.extend(bytes.iter().rev()) } else { out.extend(bytes) }
        };
        let path = interpreter.map_or(0, |path| path.len() as u64 + 1);
        let header = if is_64_bit { 64 } else { 52 };
        let count = 1 + u64::from(path > 0);
        let start = header + count * entry_len(machine);
        const BASE: u64 = 0x40_0000;
        for (value, len) in [(kind, 2), (number.into(), 2), (1, 4), (BASE + start, word)] {
            put(&mut out, value, len);
        }
        for (value, len) in [(header, word), (0, word), (0, 4), (header, 2)] {
            put(&mut out, value, len);
        }
        for value in [entry_len(machine), count, 0, 0, 0] {
            put(&mut out, value, 2);
        }
        let mut segment = |kind: u64, offset: u64, len: u64, align: u64| {
            put(&mut out, kind, 4);
            if is_64_bit {
                put(&mut out, 5, 4);
            }
            for value in [offset, BASE + offset, BASE + offset, len, len] {
                put(&mut out, value, word);
            }
            if !is_64_bit {
                put(&mut out, 5, 4);
            }
            put(&mut out, align, word);
        };
        if path > 0 {
            segment(PT_INTERP, start, path, 1);
        }
        segment(PT_LOAD, 0, start + path, 0x1000);
        if let Some(path) = interpreter {
            out.extend(path.bytes().chain([0]));
        }
        out
    }

    fn parse(file: &[u8]) -> Result<Program<'_>, ProgramError> {
        Program::parse(&file[..file.len().min(HEAD_LEN)])
    }

    #[test]
    fn the_interpreter_of_a_script() {
        let long = |len: usize| ["#!", &"x".repeat(len)].concat().into_bytes();
        let none = Err(ProgramError::NoInterpreter);
        for (file, want) in [
            (b"#!/bin/sh\necho".to_vec(), Ok("/bin/sh")),
            (b"#! \t/bin/sh -e x\n".to_vec(), Ok("/bin/sh")),
            (b"#!/bin/sh".to_vec(), Ok("/bin/sh")),
            (b"#!/bin/sh\t-e".to_vec(), Ok("/bin/sh")),
            (b"#!/bin/sh\0x\n".to_vec(), Ok("/bin/sh")),
            (b"#!/bin/sh\r\n".to_vec(), Ok("/bin/sh\r")),
            (b"#!\n".to_vec(), none),
            (b"#! \t \n/bin/sh\n".to_vec(), none),
            (b"#!".to_vec(), none),
            (long(253), Ok(&*"x".repeat(253))),
            (long(254), none),
            (long(300), none),
        ] {
            let parsed = parse(&file).map(|program| match program {
                Program::Script(path) => String::from_utf8(path.to_vec()).unwrap(),
                other => format!("{other:?}"),
            });
            assert_eq!(parsed, want.map(str::to_owned), "{}", file.escape_ascii());
        }
    }

    #[test]
    fn the_head_of_a_program() {
        let good = elf(X86_64, ET_DYN, None);
        let with = |at: usize, byte: u8| {
            let mut file = good.clone();
            file[at] = byte;
            file
        };
        let broken = |part| Err(ProgramError::Broken(part));
        for (file, want) in [
            (Vec::new(), Err(ProgramError::Empty)),
            (b"echo hello\n".to_vec(), Err(ProgramError::Unknown)),
            (b"\x7fEL".to_vec(), Err(ProgramError::Unknown)),
            (good[..4].to_vec(), broken("file ends within its header")),
            (good[..57].to_vec(), broken("file ends within its header")),
            (good[..60].to_vec(), broken("file ends within its program headers")),
            (good[..80].to_vec(), broken("file ends within its program headers")),
            (with(4, 3), broken("class")),
            (with(5, 0), broken("byte order")),
            (with(16, 1), Err(ProgramError::NotProgram)),
            (with(16, 4), Err(ProgramError::NotProgram)),
            (with(54, 32), broken("table of program headers")),
            (with(56, 0), broken("table of program headers")),
            (with(64, 6), broken("no segment to load")),
            // The segment ends in the page after the last one.
            (with(97, 0x10), Err(ProgramError::Truncated)),
            (elf(I386_ELF, ET_EXEC, None), Ok((I386_ELF, None))),
            (elf(POWERPC64, ET_DYN, Some("/lib/ld")), Ok((POWERPC64, Some("/lib/ld")))),
            (elf(ARM, ET_EXEC, Some("/lib/ld")), Ok((ARM, Some("/lib/ld")))),
            (elf(ARM, ET_EXEC, Some("")), broken("path of the interpreter")),
            (good.clone(), Ok((X86_64, None))),
        ] {
            assert_eq!(describe(&file), want.map(|(m, i)| (m, i.map(str::to_owned))));
        }
    }

    /// Returns the machine and the interpreter of an ELF program.
    fn describe(file: &[u8]) -> Result<(Machine, Option<String>), ProgramError> {
        let Program::Elf(head) = parse(file)? else { panic!("no ELF file") };
        let at = |range: Range<u64>| {
            let index = |at: u64| file.len().min(usize::try_from(at).unwrap());
            &file[index(range.start)..index(range.end)]
        };
        let (start, len) = head.table();
        let segments = head.segments(at(start..start + len), file.len() as u64)?;
        let path = segments.interpreter.map(|range| interpreter_path(at(range))).transpose()?;
        Ok((head.machine, path.map(|path| String::from_utf8(path.to_vec()).unwrap())))
    }

    #[test]
    fn the_programs_that_a_kernel_executes() {
        for (own, is_64_bit, has_ia32, machines) in [
            (X86_64, true, true, &[X86_64, I386_ELF][..]),
            (X86_64, true, false, &[X86_64]),
            (I386_ELF, true, true, &[X86_64, I386_ELF]),
            (I386_ELF, false, false, &[I386_ELF]),
            (AARCH64, true, false, &[ARM, AARCH64]),
            (ARM, true, false, &[ARM, AARCH64]),
            (ARM, false, false, &[ARM]),
            (POWERPC64, true, false, &[POWERPC, POWERPC64]),
            (POWERPC64LE, true, false, &[POWERPC64LE]),
        ] {
            let kernel = Kernel { own, is_64_bit, has_ia32 };
            let all =
                [X86_64, X32, I386_ELF, ARM, AARCH64, POWERPC, POWERPC64, POWERPC64LE].into_iter();
            let executed: Vec<Machine> = all.filter(|m| kernel.executes(*m)).collect();
            assert_eq!(executed, machines, "{own}");
        }
    }

    #[cfg(feature = "host")]
    #[test]
    fn the_programs_that_the_kernel_of_modules_executes() {
        let wide = Machine { is_64_bit: true, is_big_endian: true, number: 15 };
        let parisc = Machine { is_64_bit: false, ..wide };
        for (modules, programs) in [
            (X86_64, &[X86_64, I386_ELF][..]),
            (I386_ELF, &[I386_ELF]),
            (AARCH64, &[ARM, AARCH64]),
            (ARM, &[ARM]),
            (POWERPC64LE, &[POWERPC64LE]),
            // User space is of 32 bits.
            (wide, &[parisc]),
        ] {
            let kernel = Kernel::of_modules(modules);
            let all = [X86_64, X32, I386_ELF, ARM, AARCH64, POWERPC, POWERPC64LE, parisc];
            let executed: Vec<Machine> = all.into_iter().filter(|m| kernel.executes(*m)).collect();
            assert_eq!(executed, programs, "{modules}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_program_or_an_error(
            start in proptest::sample::select(vec![&b"\x7fELF\x02\x01"[..], b"\x7fELF\x01\x02", b"#!"]),
            rest in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ) {
            let file = [start, &rest].concat();
            if let Ok(Program::Elf(head)) = parse(&file) {
                let _ = head.segments(&rest, rest.len() as u64);
            }
        }
    }
}
