//! What takes the space of an image: its parts, its modules, and the reasons for which `image build`
//! included the modules.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use super::newc::Member;
use super::reasons::{self, Reasons};
use super::visitor::{Part, Visitor};
use crate::kmod::name::ModuleName;

/// Most parts that are counted one by one; the last row holds the others.
const MAX_PARTS: usize = 64;
/// Most modules that are counted one by one.
const MAX_MODULES: usize = 1 << 16;

/// Sizes of an image.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Each part.
    parts: Vec<PartTotals>,
    /// What the part that is being read holds so far.
    open: Count,
    /// Each kind of content.
    kinds: BTreeMap<Content, Count>,
    /// Each module, by name.
    modules: BTreeMap<ModuleName, Count>,
    /// The text of the file with the reasons.
    reasons: Option<Vec<u8>>,
    /// Whether the data that is being read is that file.
    is_reasons: bool,
}

/// A part of an image, and what is in it.
#[derive(Debug, Clone, Copy)]
struct PartTotals {
    part: Part,
    count: Count,
}

/// Numbers of entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    /// Number of entries.
    entries: u64,
    /// How many of them are regular files.
    files: u64,
    /// Size of the files in bytes.
    bytes: u64,
}

/// Kind of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Modules,
    Indexes,
    Firmware,
    Microcode,
    Programs,
    Others,
}

impl Content {
    /// Returns the kind of the file at `path` with the permissions `mode`.
    fn of(path: &[u8], mode: u32) -> Self {
        let has = |text: &str| path.windows(text.len()).any(|part| part == text.as_bytes());
        match () {
            () if ModuleName::from_path(path).is_some() => Self::Modules,
            () if has("lib/modules/") && has("/modules.") => Self::Indexes,
            () if has("lib/firmware/") => Self::Firmware,
            () if path.starts_with(b"kernel/x86/microcode/") => Self::Microcode,
            () if mode & 0o111 != 0 || has(".so.") || path.ends_with(b".so") => Self::Programs,
            () => Self::Others,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Modules => "modules",
            Self::Indexes => "indexes of modules",
            Self::Firmware => "firmware",
            Self::Microcode => "microcode",
            Self::Programs => "programs and libraries",
            Self::Others => "other files",
        }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.files += other.files;
        self.bytes += other.bytes;
    }

    fn of(member: &Member) -> Self {
        let files = u64::from(member.is_file());
        Self { entries: 1, files, bytes: files * u64::from(member.size) }
    }
}

impl Visitor for Totals {
    fn start(&mut self, member: &Member) -> ControlFlow<()> {
        let name = member.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.is_reasons = name == reasons::FILE.as_bytes()
            && member.size as usize <= reasons::LIMIT
            && member.is_file();
        if self.is_reasons {
            self.reasons = Some(Vec::new());
        }
        ControlFlow::Continue(())
    }

    fn data(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        if let (true, Some(text)) = (self.is_reasons, &mut self.reasons) {
            text.extend(bytes);
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self, member: &Member) -> ControlFlow<()> {
        let count = Count::of(member);
        self.open.add(count);
        if !member.is_file() {
            return ControlFlow::Continue(());
        }
        let content = Content::of(&member.name, member.mode);
        self.kinds.entry(content).or_default().add(count);
        if content == Content::Modules {
            let name = ModuleName::new(&member.name);
            if self.modules.len() < MAX_MODULES || self.modules.contains_key(&name) {
                self.modules.entry(name).or_default().add(count);
            }
        }
        ControlFlow::Continue(())
    }

    fn part(&mut self, part: &Part) -> ControlFlow<()> {
        let count = std::mem::take(&mut self.open);
        let is_full = self.parts.len() == MAX_PARTS;
        match self.parts.last_mut().filter(|_| is_full) {
            Some(last) => {
                last.count.add(count);
                last.part.packed += part.packed;
                last.part.unpacked += part.unpacked;
            }
            None => self.parts.push(PartTotals { part: *part, count }),
        }
        ControlFlow::Continue(())
    }
}

impl Totals {
    /// Returns the number and the size of the modules for each reason.
    fn by_reason(&self, reasons: &Reasons) -> BTreeMap<String, Count> {
        let mut sums: BTreeMap<String, Count> = BTreeMap::new();
        for (name, count) in &self.modules {
            let reason = reasons.of(name).unwrap_or("not known");
            sums.entry(reason.to_owned()).or_default().add(*count);
        }
        sums
    }

    fn write_parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>,
                   first: &str,
                   codec: &str,
                   count: &Count,
                   sizes: (u64, u64)| {
            let Count { entries, files, .. } = count;
            let (packed, unpacked) = sizes;
            writeln!(
                f,
                "{first:>12} {codec:<6} {entries:>8} {files:>8} {packed:>12} {unpacked:>12}"
            )
        };
        let (mut sum, mut sizes) = (Count::default(), (0, 0));
        writeln!(
            f,
            "{:>12} {:<6} {:>8} {:>8} {:>12} {:>12}",
            "OFFSET", "CODEC", "ENTRIES", "FILES", "PACKED", "UNPACKED"
        )?;
        for PartTotals { part, count } in &self.parts {
            sum.add(*count);
            sizes = (sizes.0 + part.packed, sizes.1 + part.unpacked);
            let codec = part.codec.map_or("plain", |codec| codec.as_str());
            row(f, &part.offset.to_string(), codec, count, (part.packed, part.unpacked))?;
        }
        row(f, "total", "", &sum, sizes)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_parts(f)?;
        writeln!(f, "\n{:>12} {:>8} CONTENT", "SIZE", "FILES")?;
        for (content, count) in &self.kinds {
            writeln!(f, "{:>12} {:>8} {}", count.bytes, count.files, content.as_str())?;
        }
        if self.modules.is_empty() {
            return Ok(());
        }
        let reasons = self.reasons.as_deref().map(Reasons::parse).unwrap_or_default();
        if !reasons.is_empty() {
            writeln!(f, "\n{:>12} {:>8} REASON", "SIZE", "MODULES")?;
            let mut rows: Vec<_> = self.by_reason(&reasons).into_iter().collect();
            rows.sort_by_key(|(_, count)| Reverse(count.bytes));
            for (reason, count) in rows {
                writeln!(f, "{:>12} {:>8} {reason}", count.bytes, count.files)?;
            }
        }
        writeln!(f, "\n{:>12} MODULE", "SIZE")?;
        let mut rows: Vec<_> = self.modules.iter().collect();
        rows.sort_by_key(|(_, count)| Reverse(count.bytes));
        for (name, count) in rows {
            let reason = reasons.text_of(name).map(|text| format!(" ({text})")).unwrap_or_default();
            writeln!(f, "{:>12} {name}{reason}", count.bytes)?;
        }
        Ok(())
    }
}
