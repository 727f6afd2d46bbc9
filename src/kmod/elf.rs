//! ELF parser for module files, 32 and 64 bit, both byte orders: sections, symbols, `.modinfo`.
//!
//! ```text
//! ELF header ─► e_shoff, e_shnum, e_shstrndx
//! section headers ─► name (offset into the section-name table), sh_offset, sh_size
//! .modinfo    KEY=VALUE NUL KEY=VALUE NUL…   leading and repeated NULs are skipped,
//!                                            the last string may lack its NUL
//! ```
//!
//! As in kmod, only the first section of each name is used, and a section that extends past the end
//! of the file is ignored.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::ops::Range;

use goblin::container::Ctx;
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB};
use goblin::elf::section_header::{SHT_NOBITS, SectionHeader};
use goblin::elf::sym::{STB_WEAK, Sym, Symtab};
use goblin::elf::{Elf, Header};

/// Size of the 64-bit file header, the larger of the two.
const HEADER_SIZE: usize = 64;

/// The reason why a file cannot be parsed as a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfError {
    /// The file is not an ELF file; ENOEXEC in kmod.
    NotElf,
    /// This part of an ELF file is invalid; EINVAL in kmod.
    Broken(&'static str),
}

impl fmt::Display for ElfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::Broken(what) => write!(f, "broken ELF file: {what}"),
        }
    }
}

impl std::error::Error for ElfError {}

/// The section headers of a module.
#[derive(Debug)]
pub(crate) struct SectionTable<'a> {
    headers: Vec<SectionHeader>,
    /// The section name string table.
    names: Cow<'a, [u8]>,
    /// ELF class and byte order.
    ctx: Ctx,
    /// Offset of the section headers in the file.
    offset: usize,
    /// Size of the file.
    len: usize,
}

/// Maximum length of `.modinfo` in bytes: a thousand times that of the largest known module. A
/// damaged file may say that it holds gigabytes.
pub(crate) const MODINFO_LIMIT: usize = 16 << 20;

/// Bytes of a module: the whole file, or the parts that were read, each with its file offset.
#[derive(Debug, Clone, Copy)]
enum Image<'a> {
    Whole(&'a [u8]),
    #[cfg(feature = "host")]
    Parts(&'a [(usize, &'a [u8])]),
}

/// The sections of a module.
#[derive(Debug)]
pub struct Sections<'a> {
    table: SectionTable<'a>,
    image: Image<'a>,
}

/// An entry of the symbol table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// The string table from the name on.
    names: &'a [u8],
    /// Index of its section: 0 if undefined, 0xfff1 if the value is absolute.
    pub section: usize,
    /// Value; for a symbol in a section the offset in that section.
    pub(crate) value: u64,
    /// Whether the symbol may remain undefined.
    pub(crate) is_weak: bool,
}

impl<'a> Symbol<'a> {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        until_nul(self.names)
    }

    /// Returns the rest of the name after `prefix`, or `None` if the name has another prefix. The
    /// length of other names is never determined, because few symbols of a module are of interest.
    #[must_use]
    pub(crate) fn name_after(&self, prefix: &[u8]) -> Option<&'a [u8]> {
        self.names.strip_prefix(prefix).map(until_nul)
    }
}

impl<'a> SectionTable<'a> {
    /// Reads the headers of a file of `len` bytes through `read`, which returns the bytes of a
    /// range within the file.
    ///
    /// # Errors
    /// The file is not an ELF file, its headers point past its end, or `read` fails.
    pub(crate) fn read(
        len: usize,
        mut read: impl FnMut(Range<usize>) -> Option<Cow<'a, [u8]>>,
    ) -> Result<Self, ElfError> {
        const UNREADABLE: ElfError = ElfError::Broken("headers cannot be read");
        let header = parse_header(&read(0..len.min(HEADER_SIZE)).ok_or(UNREADABLE)?)?;
        let (ctx, range) = headers_range(&header, len)?;
        let bytes = read(range.clone()).ok_or(UNREADABLE)?;
        let headers = SectionHeader::parse_from(&bytes, 0, usize::from(header.e_shnum), ctx)
            .map_err(|_| ElfError::Broken("section headers"))?;
        let mut table = Self { headers, names: Cow::Borrowed(&[]), ctx, offset: range.start, len };
        let names = table
            .headers
            .get(usize::from(header.e_shstrndx))
            .ok_or(ElfError::Broken("no section names"))?;
        let range = table.content(names).ok_or(ElfError::Broken("section names"))?;
        table.names = read(range).ok_or(UNREADABLE)?;
        if table.names.last() != Some(&0) {
            return Err(ElfError::Broken("section names without a terminating NUL"));
        }
        Ok(table)
    }

    /// Returns the file range of the first section called `name` that lies within the file.
    #[must_use]
    pub(crate) fn range(&self, name: &str) -> Option<Range<usize>> {
        self.find(name).and_then(|(_, header)| self.content(header))
    }

    fn find(&self, name: &str) -> Option<(usize, &SectionHeader)> {
        let mut headers = self.headers.iter().enumerate().skip(1);
        headers.find(|(_, header)| {
            name_is(&self.names, header.sh_name, name.as_bytes()) && self.content(header).is_some()
        })
    }

    /// Returns the file range of a section, or `None` if it extends past the end of the file.
    fn content(&self, header: &SectionHeader) -> Option<Range<usize>> {
        if header.sh_type == SHT_NOBITS {
            return None;
        }
        let start = usize::try_from(header.sh_offset).ok()?;
        let end = start.checked_add(usize::try_from(header.sh_size).ok()?)?;
        (end <= self.len).then_some(start..end)
    }
}

impl<'a> Image<'a> {
    fn get(self, range: Range<usize>) -> Option<&'a [u8]> {
        match self {
            Self::Whole(bytes) => bytes.get(range),
            #[cfg(feature = "host")]
            Self::Parts(parts) => slice_of(parts, &range),
        }
    }
}

impl<'a> Sections<'a> {
    /// Parses the headers of a decoded module.
    ///
    /// # Errors
    ///
    /// The bytes are not an ELF file, or the headers point past the end.
    pub fn parse(image: &'a [u8]) -> Result<Self, ElfError> {
        let table = SectionTable::read(image.len(), |range| image.get(range).map(Cow::Borrowed))?;
        Ok(Self { table, image: Image::Whole(image) })
    }

    /// Creates the sections of a file of which only `parts` were read, each with its file offset. A
    /// section that does not lie within one part counts as missing.
    #[cfg(feature = "host")]
    #[must_use]
    pub(crate) fn from_parts(table: SectionTable<'a>, parts: &'a [(usize, &'a [u8])]) -> Self {
        Self { table, image: Image::Parts(parts) }
    }

    /// Returns the content of the first section called `name` that lies within the file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.image.get(self.table.range(name)?)
    }

    /// Returns whether the file has the 64-bit class.
    #[must_use]
    pub(crate) fn is_64_bit(&self) -> bool {
        self.table.ctx.container.is_big()
    }

    /// Returns whether the file is little-endian.
    #[must_use]
    pub fn is_little_endian(&self) -> bool {
        self.table.ctx.le.is_little()
    }

    /// Returns the content of the section with this index.
    #[must_use]
    pub fn by_index(&self, index: usize) -> Option<&'a [u8]> {
        self.image.get(self.table.content(self.table.headers.get(index)?)?)
    }

    /// Returns the file range of the section that [`Self::get`] returns.
    #[must_use]
    pub(crate) fn range(&self, name: &str) -> Option<Range<usize>> {
        self.table.range(name)
    }

    /// Returns the file offset of the least significant byte of the flags of the section called
    /// `name`.
    #[must_use]
    pub(crate) fn flags_offset(&self, name: &str) -> Option<usize> {
        let (index, _) = self.table.find(name)?;
        let width = if self.is_64_bit() { 8 } else { 4 };
        let offset = if self.is_little_endian() { 8 } else { 8 + width - 1 };
        Some(self.table.offset + index * SectionHeader::size(self.table.ctx) + offset)
    }

    /// Returns the named entries of the symbol table, in order; none if there is no table.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let (table, names) = (self.get(".symtab"), self.get(".strtab"));
        let (table, names) = (table.unwrap_or_default(), names.unwrap_or_default());
        let ctx = self.table.ctx;
        let count = table.len() / Sym::size(ctx.container);
        let entries = Symtab::parse(table, 0, count, ctx).ok().map(|table| table.iter());
        entries.into_iter().flatten().skip(1).filter_map(move |sym| {
            let names = names.get(sym.st_name..).filter(|n| n.first().is_some_and(|b| *b != 0))?;
            let (section, value) = (sym.st_shndx, sym.st_value);
            Some(Symbol { names, section, value, is_weak: sym.st_bind() == STB_WEAK })
        })
    }

    /// Returns whether `.modinfo` is longer than [`MODINFO_LIMIT`], so that it is not read.
    #[cfg(feature = "host")]
    pub(crate) fn has_long_modinfo(&self) -> bool {
        self.get(".modinfo").is_some_and(|section| section.len() > MODINFO_LIMIT)
    }

    /// Returns the strings of `.modinfo`, in order; none if there is no such section, or one that
    /// is longer than that of any module.
    pub fn modinfo(&self) -> impl Iterator<Item = &'a [u8]> {
        let section = self.get(".modinfo").filter(|section| section.len() <= MODINFO_LIMIT);
        let section = section.unwrap_or_default();
        section.split(|byte| *byte == 0).filter(|string| !string.is_empty())
    }
}

/// Returns the bytes before the first NUL, or all of them if there is none.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}

/// Returns the bytes of a file range if one of `parts`, each with its file offset, covers it.
#[must_use]
#[cfg(feature = "host")]
pub(crate) fn slice_of<'a>(parts: &[(usize, &'a [u8])], range: &Range<usize>) -> Option<&'a [u8]> {
    parts.iter().find_map(|(start, bytes)| {
        bytes.get(range.start.checked_sub(*start)?..range.end.checked_sub(*start)?)
    })
}

/// Returns whether the string at `offset` of a string table is `name`.
fn name_is(table: &[u8], offset: usize, name: &[u8]) -> bool {
    let rest = table.get(offset..).unwrap_or_default();
    rest.strip_prefix(name).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == 0))
}

fn parse_header(image: &[u8]) -> Result<Header, ElfError> {
    if !image.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf);
    }
    let ident = |at: usize| image.get(at).copied().unwrap_or(0);
    if ![ELFCLASS32, ELFCLASS64].contains(&ident(EI_CLASS))
        || ![ELFDATA2LSB, ELFDATA2MSB].contains(&ident(EI_DATA))
    {
        return Err(ElfError::NotElf);
    }
    Elf::parse_header(image).map_err(|_| ElfError::Broken("header"))
}

/// Returns the class and byte order, and the range of the section headers in a file of `len` bytes.
fn headers_range(header: &Header, len: usize) -> Result<(Ctx, Range<usize>), ElfError> {
    const BROKEN: ElfError = ElfError::Broken("section headers");
    let container = header.container().map_err(|_| BROKEN)?;
    let ctx = Ctx::new(container, header.endianness().map_err(|_| BROKEN)?);
    let start = usize::try_from(header.e_shoff).map_err(|_| BROKEN)?;
    let count = usize::from(header.e_shnum);
    let end = start.checked_add(count * SectionHeader::size(ctx)).ok_or(BROKEN)?;
    if usize::from(header.e_shentsize) != SectionHeader::size(ctx) || count == 0 || end > len {
        return Err(BROKEN);
    }
    Ok((ctx, start..end))
}

/// Returns the `KEY=VALUE` pairs of a decoded module's `.modinfo`, in order. Bytes that are not
/// UTF-8 are replaced; a string without `=` has an empty value.
///
/// # Errors
///
/// As [`Sections::parse`].
pub fn modinfo(image: &[u8]) -> Result<Vec<(String, String)>, ElfError> {
    let sections = Sections::parse(image)?;
    let pairs = sections.modinfo().map(|string| {
        let string = String::from_utf8_lossy(string);
        let (key, value) = string.split_once('=').unwrap_or((&string, ""));
        (key.to_owned(), value.to_owned())
    });
    Ok(pairs.collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// ELF class and byte order of a test file.
    #[derive(Clone, Copy)]
    pub(crate) struct Layout {
        pub(crate) wide: bool,
        pub(crate) big: bool,
    }

    impl Layout {
        /// Appends a field; `width` is its size in 64-bit files.
        pub(crate) fn put(self, out: &mut Vec<u8>, value: u64, width: usize) {
            let width = if width == 8 && !self.wide { 4 } else { width };
            let bytes = value.to_le_bytes();
            let bytes = &bytes[..width];
            if self.big { out.extend(bytes.iter().rev()) } else { out.extend(bytes) }
        }

        /// Appends a symbol table entry.
        pub(crate) fn symbol(
            self,
            out: &mut Vec<u8>,
            name: u64,
            info: u64,
            section: u64,
            value: u64,
        ) {
            self.put(out, name, 4);
            if self.wide {
                for (value, width) in [(info, 1), (0, 1), (section, 2), (value, 8), (0, 8)] {
                    self.put(out, value, width);
                }
            } else {
                for (value, width) in [(value, 4), (0, 4), (info, 1), (0, 1), (section, 2)] {
                    self.put(out, value, width);
                }
            }
        }

        /// Creates a relocatable file with these sections, followed by the section name string
        /// table.
        pub(crate) fn elf(self, sections: &[(&str, &[u8])]) -> Vec<u8> {
            let (header, entry) = if self.wide { (64, 64) } else { (52, 40) };
            let mut names = vec![0];
            let mut data = Vec::new();
            let mut headers = vec![[0u64; 4]];
            for (name, content) in sections {
                let at = header + data.len();
                headers.push([names.len() as u64, 1, at as u64, content.len() as u64]);
                names.extend(name.bytes().chain([0]));
                data.extend(*content);
            }
            let at = (header + data.len()) as u64;
            headers.push([0, 3, at, names.len() as u64]);
            data.extend(&names);
            let count = headers.len() as u64;
            let table = (header + data.len()) as u64;

            let mut out =
                vec![0x7f, b'E', b'L', b'F', 1 + u8::from(self.wide), 1 + u8::from(self.big), 1];
            out.resize(16, 0);
            for (value, width) in [(1, 2), (62, 2), (1, 4), (0, 8), (0, 8), (table, 8), (0, 4)] {
                self.put(&mut out, value, width);
            }
            for value in [header as u64, 0, 0, entry, count, count - 1] {
                self.put(&mut out, value, 2);
            }
            out.extend(&data);
            for [name, kind, at, len] in headers {
                let fields = [
                    (name, 4),
                    (kind, 4),
                    (2, 8),
                    (0, 8),
                    (at, 8),
                    (len, 8),
                    (0, 4),
                    (0, 4),
                    (1, 8),
                    (0, 8),
                ];
                for (value, width) in fields {
                    self.put(&mut out, value, width);
                }
            }
            out
        }
    }

    pub(crate) const LAYOUTS: [Layout; 4] = [
        Layout { wide: true, big: false },
        Layout { wide: true, big: true },
        Layout { wide: false, big: false },
        Layout { wide: false, big: true },
    ];

    #[test]
    fn modinfo_is_read_in_every_layout() {
        let info: &[u8] = b"\0\0license=GPL\0\0\0parm=a=b:c\0bare\0firmware=x/y.bin";
        for layout in LAYOUTS {
            let image =
                layout.elf(&[(".text", b"code"), (".modinfo", info), (".modinfo", b"second=1\0")]);
            let expected =
                [("license", "GPL"), ("parm", "a=b:c"), ("bare", ""), ("firmware", "x/y.bin")];
            let expected = expected.map(|(k, v)| (k.to_owned(), v.to_owned()));
            assert_eq!(modinfo(&image).unwrap(), expected);
            let sections = Sections::parse(&image).unwrap();
            assert_eq!(sections.get(".text"), Some(&b"code"[..]));
            assert_eq!(sections.get(".data"), None);
            assert_eq!(&image[sections.range(".text").unwrap()], b"code");
            assert_eq!(image[sections.flags_offset(".text").unwrap()], 2);
            assert_eq!(
                (sections.is_64_bit(), sections.is_little_endian()),
                (layout.wide, !layout.big)
            );
            assert_eq!(modinfo(&layout.elf(&[])).unwrap(), []);
        }
    }

    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

    #[test]
    fn a_file_that_is_no_module_is_an_error() {
        let good = LAYOUTS[0].elf(&[(".modinfo", b"a=b\0")]);
        let cases: [(Damage<'_>, ElfError); 6] = [
            (&|i| i[0] = 0, ElfError::NotElf),
            (&|i| i[4] = 9, ElfError::NotElf),
            (&|i| i.truncate(30), ElfError::Broken("header")),
            (&|i| i.truncate(i.len() - 1), ElfError::Broken("section headers")),
            (&|i| i[58] = 63, ElfError::Broken("section headers")),
            (&|i| i[62] = 200, ElfError::Broken("no section names")),
        ];
        for (break_it, expected) in cases {
            let mut image = good.clone();
            break_it(&mut image);
            assert_eq!(modinfo(&image), Err(expected));
        }
        assert_eq!(modinfo(b""), Err(ElfError::NotElf));
    }

    proptest::proptest! {
        #[test]
        fn damaged_headers_do_not_panic(
            layout in 0usize..4, at in 4usize..400, value: u8, cut in 0usize..500,
        ) {
            let mut image = LAYOUTS[layout].elf(&[(".text", b"code"), (".modinfo", b"a=b\0c=d\0")]);
            let at = at % image.len();
            image[at] = value;
            image.truncate(cut.max(4));
            if let Ok(info) = modinfo(&image) {
                proptest::prop_assert!(info.len() < 500);
            }
        }
    }
}
