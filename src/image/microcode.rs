//! Microcode of processors, in an archive of its own in front of the image: the kernel reads it
//! before it can decompress anything (Documentation/arch/x86/microcode.rst).
//!
//! ```text
//! kernel/x86/microcode/AuthenticAMD.bin      amd-ucode/*.bin of the firmware directory, in order
//! kernel/x86/microcode/.align                zeros
//! kernel/x86/microcode/GenuineIntel.bin      intel-ucode/FF-MM-SS[.initramfs], in order
//! ```
//!
//! A processor of Intel reads an update at a multiple of 16 bytes, and the first one takes it from
//! where the boot loader has put the image. newc aligns to 4 bytes, so that a file fills the rest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::newc::{Entry, Kind, Writer, data_offset};
use super::{Error, source};
use crate::escape;
use crate::kmod::compress::{self, Compression};
use crate::sys::inside::inside;
use crate::sys::sysfs;

const DIRECTORY: &str = "kernel/x86/microcode";
/// Alignment of Intel's updates in bytes.
const ALIGNMENT: usize = 16;
/// Largest decompressed file in bytes.
const LIMIT: usize = 64 << 20;
/// First number of a container of AMD.
const AMD_MAGIC: [u8; 4] = *b"DMA\0";
/// Size of the header of an update of Intel, and of an update whose header has no size, in bytes.
const INTEL_HEADER: usize = 48;
const INTEL_DEFAULT: usize = 2048;

/// The microcode that an image is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// For the processor of the build machine.
    Auto,
    /// For processors of AMD.
    Amd,
    /// For processors of Intel.
    Intel,
    /// All that the root has.
    All,
    /// All in this directory, which has amd-ucode and intel-ucode.
    Dir(PathBuf),
}

/// A maker of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Amd,
    Intel,
}

impl Vendor {
    const ALL: [Self; 2] = [Self::Amd, Self::Intel];

    /// Returns the name in messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Amd => "AMD",
            Self::Intel => "Intel",
        }
    }

    /// Returns the vendor's name in /proc/cpuinfo, which is also that of its file.
    fn id(self) -> &'static str {
        match self {
            Self::Amd => "AuthenticAMD",
            Self::Intel => "GenuineIntel",
        }
    }

    /// Returns the vendor's directory of firmware.
    fn directory(self) -> &'static str {
        match self {
            Self::Amd => "amd-ucode",
            Self::Intel => "intel-ucode",
        }
    }

    /// Returns Debian's package with the microcode.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Amd => "amd64-microcode",
            Self::Intel => "intel-microcode",
        }
    }

    /// Returns whether a file of this name is microcode. Intel's are named by family, model and
    /// stepping. Debian gives those a suffix that must not be loaded later than from an initramfs.
    fn has_name(self, name: &str) -> bool {
        match self {
            Self::Amd => name.ends_with(".bin"),
            Self::Intel => {
                let name = name.strip_suffix(".initramfs").unwrap_or(name);
                let parts: Vec<_> = name.split('-').collect();
                let is_hex = |part: &&str| {
                    part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
                };
                parts.len() == 3 && parts.iter().all(is_hex)
            }
        }
    }

    /// Checks the content of a file.
    fn check(self, bytes: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Amd if bytes.starts_with(&AMD_MAGIC) => Ok(()),
            Self::Amd => Err("no container of AMD's microcode"),
            Self::Intel if bytes.is_empty() => Err("the file is empty"),
            Self::Intel => check_intel(bytes),
        }
    }
}

/// Checks the sizes and sums of the updates in a file. All numbers are little-endian.
///
/// ```text
/// offset 0: version u32 = 1   28: size of the data u32   32: size of the update u32, 2048 if 28 is 0
/// The sum of the numbers of 32 bits is zero.
/// ```
fn check_intel(mut rest: &[u8]) -> Result<(), &'static str> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
    };
    while !rest.is_empty() {
        if rest.len() < INTEL_HEADER || word(rest, 0) != Some(1) {
            return Err("no update of Intel's microcode");
        }
        let size = match (word(rest, 28), word(rest, 32)) {
            (Some(0), _) => INTEL_DEFAULT,
            (_, size) => size.and_then(|size| usize::try_from(size).ok()).unwrap_or(0),
        };
        if size < INTEL_HEADER || size % 4 != 0 || size > rest.len() {
            return Err("an update of another size than its header says");
        }
        let (update, others) = rest.split_at(size);
        let words = update.chunks_exact(4).filter_map(|bytes| word(bytes, 0));
        if words.fold(0, u32::wrapping_add) != 0 {
            return Err("an update whose checksum does not match");
        }
        rest = others;
    }
    Ok(())
}

/// The microcode of one vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Blob {
    vendor: Vendor,
    /// The files, in the order of their content.
    sources: Vec<PathBuf>,
    content: Vec<u8>,
}

/// The microcode of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Microcode {
    blobs: Vec<Blob>,
    /// Warnings.
    pub(super) notices: Vec<String>,
}

impl Microcode {
    /// Returns no microcode, with a warning.
    pub(super) fn none(notice: String) -> Self {
        Self { blobs: Vec::new(), notices: vec![notice] }
    }

    /// Reads the microcode below `root`, whose firmware is in `firmware`.
    ///
    /// # Errors
    /// [`Error::NoMicrocode`] if there is none, except for [`Choice::Auto`], where that is a warning;
    /// a file that cannot be read, or is no microcode.
    pub(super) fn read(choice: &Choice, root: &Path, firmware: &Path) -> Result<Self, Error> {
        let (vendors, dir) = match choice {
            Choice::Auto => (own_vendors(), None),
            Choice::Amd => (vec![Vendor::Amd], None),
            Choice::Intel => (vec![Vendor::Intel], None),
            Choice::All => (Vendor::ALL.to_vec(), None),
            Choice::Dir(dir) => (Vendor::ALL.to_vec(), Some(dir.as_path())),
        };
        let place = match dir {
            Some(dir) => Place { root: dir, below: Path::new("") },
            None => Place { root, below: firmware },
        };
        let mut microcode = Self::default();
        for vendor in &vendors {
            microcode.blobs.extend(place.read(*vendor)?);
        }
        if microcode.blobs.is_empty() {
            let error = Error::NoMicrocode(place.root.join(place.below), vendors);
            match choice {
                Choice::Auto => microcode.notices.push(error.to_string()),
                _ => return Err(error),
            }
        }
        Ok(microcode)
    }

    /// Returns the archive, in which every entry has the date `mtime`; empty without microcode.
    ///
    /// # Errors
    /// A file has 4 GiB or more.
    pub(super) fn archive(&self, mtime: u32) -> io::Result<Vec<u8>> {
        if self.blobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = Writer::new(Vec::new(), mtime);
        let mut add = |name: &str, kind: Kind<'_>| {
            let mode = if kind == Kind::Dir { 0o755 } else { 0o644 };
            let entry = Entry { name: name.as_bytes(), mode, uid: 0, gid: 0, kind };
            writer.append(&entry).map(|()| writer.offset())
        };
        let mut offset = 0;
        for (at, _) in DIRECTORY.match_indices('/').chain([(DIRECTORY.len(), "")]) {
            offset = add(&DIRECTORY[..at], Kind::Dir)?;
        }
        for blob in &self.blobs {
            let name = format!("{DIRECTORY}/{}.bin", blob.vendor.id());
            if blob.vendor == Vendor::Intel {
                let align = format!("{DIRECTORY}/.align");
                let at = data_offset(offset, &align);
                let at = data_offset(at, &name);
                let fill = usize::try_from(at.next_multiple_of(ALIGNMENT as u64) - at).unwrap_or(0);
                add(&align, Kind::File(&[0; ALIGNMENT][..fill]))?;
            }
            offset = add(&name, Kind::File(&blob.content))?;
        }
        writer.finish().map(|(archive, _)| archive)
    }

    /// Returns what there is, for the summary: `microcode of AMD (5 files)`.
    pub(super) fn text(&self) -> Option<String> {
        let shown =
            |blob: &Blob| format!("{} ({} files)", blob.vendor.as_str(), blob.sources.len());
        let shown: Vec<_> = self.blobs.iter().map(shown).collect();
        (!shown.is_empty()).then(|| format!("microcode of {}", shown.join(", ")))
    }

    /// Returns the files of the archive for a manifest.
    pub(super) fn to_json(&self) -> Value {
        let files = self.blobs.iter().map(|blob| {
            let sources: Vec<_> = blob.sources.iter().map(|path| escape::path(path)).collect();
            let path = format!("/{DIRECTORY}/{}.bin", blob.vendor.id());
            json!({ "path": path, "size": blob.content.len(), "sources": sources })
        });
        files.collect()
    }
}

/// Returns the vendor of the processor of the build machine; all if it is none of them.
fn own_vendors() -> Vec<Vendor> {
    let cpuinfo = fs::read("/proc/cpuinfo").unwrap_or_default();
    vendor_of(&cpuinfo).map_or_else(|| Vendor::ALL.to_vec(), |vendor| vec![vendor])
}

/// Returns the vendor of the processor that /proc/cpuinfo describes, if it gets microcode this way.
fn vendor_of(cpuinfo: &[u8]) -> Option<Vendor> {
    let text = String::from_utf8_lossy(cpuinfo);
    let id = text.lines().find_map(|line| line.strip_prefix("vendor_id"))?;
    let id = id.trim_start_matches(['\t', ' ', ':']).trim_end();
    Vendor::ALL.into_iter().find(|vendor| vendor.id() == id)
}

/// Where the directories of the vendors are: `below` a root.
struct Place<'a> {
    root: &'a Path,
    below: &'a Path,
}

impl Place<'_> {
    /// Reads the microcode of a vendor; `None` if there is none.
    fn read(&self, vendor: Vendor) -> Result<Option<Blob>, Error> {
        let dir = self.below.join(vendor.directory());
        // If a file is there twice, the plain one is used, which has the shorter name.
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut found = sysfs::entry_names(&inside(self.root, &dir));
        found.sort_by_key(String::len);
        for name in found {
            let stem = [".zst", ".xz"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let stem = stem.unwrap_or(&name).to_owned();
            if vendor.has_name(&stem) {
                names.entry(stem).or_insert(name);
            }
        }
        let mut blob = Blob { vendor, sources: Vec::new(), content: Vec::new() };
        for name in names.into_values() {
            let path = inside(self.root, &dir.join(name));
            let stored = source::read(&path)?;
            let failed = |why| Error::Microcode(path.clone(), why);
            match Compression::detect(&stored) {
                Compression::Plain => vendor.check(&stored).map(|()| blob.content.extend(&*stored)),
                _ => {
                    let decoded = compress::decode(&stored, LIMIT)
                        .map_err(|error| Error::Decode(path.clone(), error))?;
                    vendor.check(&decoded).map(|()| blob.content.extend(decoded))
                }
            }
            .map_err(failed)?;
            blob.sources.push(path);
        }
        Ok((!blob.sources.is_empty()).then_some(blob))
    }
}

#[cfg(test)]
mod tests {
    use super::super::newc;
    use super::*;

    /// Returns an update of Intel with a sum of zero.
    fn update(data: usize, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(&1_u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&7_u32.to_le_bytes());
        bytes[28..32].copy_from_slice(&u32::try_from(data).unwrap().to_le_bytes());
        if data > 0 {
            bytes[32..36].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        }
        let words = bytes.chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().unwrap()));
        let sum = words.fold(0, u32::wrapping_add);
        bytes[16..20].copy_from_slice(&0_u32.wrapping_sub(sum).to_le_bytes());
        bytes
    }

    fn root(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join("lib/firmware").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn read(root: &Path, choice: &Choice) -> Result<Microcode, String> {
        let microcode = Microcode::read(choice, root, Path::new("lib/firmware"));
        microcode.map_err(|error| error.to_string())
    }

    fn amd(text: &str) -> Vec<u8> {
        [&AMD_MAGIC[..], text.as_bytes()].concat()
    }

    #[test]
    fn files_are_joined_in_the_order_of_their_names() {
        let packed = zstd::bulk::compress(&update(0, INTEL_DEFAULT), 3).unwrap();
        let dir = root(&[
            ("amd-ucode/b.bin", amd("b")),
            ("amd-ucode/a.bin", amd("a")),
            ("amd-ucode/a.bin.xz", b"not read".to_vec()),
            ("amd-ucode/a.bin.asc", b"signature".to_vec()),
            ("intel-ucode/06-0f-02.zst", packed),
            ("intel-ucode/06-0E-08", [update(16, 64), update(4, 52)].concat()),
            ("intel-ucode/06-4f-01.initramfs", update(8, 56)),
            ("intel-ucode/README", b"text".to_vec()),
        ]);
        let all = read(dir.path(), &Choice::All).unwrap();
        let contents: Vec<_> = all.blobs.iter().map(|blob| blob.content.clone()).collect();
        let intel =
            [update(16, 64), update(4, 52), update(0, INTEL_DEFAULT), update(8, 56)].concat();
        assert_eq!(contents, [[amd("a"), amd("b")].concat(), intel]);
        assert_eq!(all.text().unwrap(), "microcode of AMD (2 files), Intel (3 files)");
        assert_eq!(read(dir.path(), &Choice::Amd).unwrap().blobs, all.blobs[..1]);
        assert_eq!(read(dir.path(), &Choice::Intel).unwrap().blobs, all.blobs[1..]);
        let named = Choice::Dir(dir.path().join("lib/firmware"));
        assert_eq!(read(Path::new("/nonexistent"), &named).unwrap().blobs.len(), 2);
    }

    #[test]
    fn the_archive_is_what_the_kernel_reads() {
        for name in ["a.bin", "ab.bin", "abc.bin", "abcd.bin"] {
            let intel = ("intel-ucode/06-0f-02", update(0, INTEL_DEFAULT));
            let dir = root(&[(&format!("amd-ucode/{name}"), amd(name)), intel]);
            for choice in [Choice::All, Choice::Intel] {
                let archive = read(dir.path(), &choice).unwrap().archive(7).unwrap();
                let names: Vec<_> = newc::read(&archive[..]).map(|m| m.unwrap().name).collect();
                assert_eq!(names[..3], [&b"kernel"[..], b"kernel/x86", DIRECTORY.as_bytes()]);
                assert!(names.ends_with(&[b"kernel/x86/microcode/GenuineIntel.bin".to_vec()]));
                let update = update(0, INTEL_DEFAULT);
                let at = archive.windows(update.len()).position(|bytes| bytes == update).unwrap();
                assert_eq!((at % ALIGNMENT, archive.len() % 512), (0, 0), "{name}");
            }
        }
        assert_eq!(Microcode::default().archive(0).unwrap(), b"");
    }

    #[test]
    fn what_is_no_microcode_is_named() {
        let whole = update(16, 64);
        let mut changed = whole.clone();
        changed[50] = 1;
        for (name, content, why) in [
            ("amd-ucode/a.bin", b"text".to_vec(), "no container of AMD's microcode"),
            ("intel-ucode/06-0f-02", b"text".to_vec(), "no update of Intel's microcode"),
            ("intel-ucode/06-0f-02", Vec::new(), "the file is empty"),
            ("intel-ucode/06-0f-02", changed, "an update whose checksum does not match"),
            (
                "intel-ucode/06-0f-02",
                whole[..60].to_vec(),
                "an update of another size than its header says",
            ),
        ] {
            let dir = root(&[(name, content)]);
            let error = read(dir.path(), &Choice::All).unwrap_err();
            assert!(error.ends_with(&format!("{name}: {why}")), "{error}");
        }
        let empty = root(&[("x", Vec::new())]);
        let error = read(empty.path(), &Choice::Amd).unwrap_err();
        assert!(error.ends_with("lib/firmware: no microcode of AMD"), "{error}");
        let notices = read(empty.path(), &Choice::Auto).unwrap().notices;
        assert!(notices[0].contains("lib/firmware: no microcode of "), "{notices:?}");
    }

    #[test]
    fn the_processor_of_the_build_machine_is_known() {
        let of = |text: &str| vendor_of(text.as_bytes());
        assert_eq!(of("processor\t: 0\nvendor_id\t: GenuineIntel\n"), Some(Vendor::Intel));
        assert_eq!(of("vendor_id\t: AuthenticAMD\n"), Some(Vendor::Amd));
        assert_eq!(of("vendor_id\t: CentaurHauls\n"), None);
        assert_eq!(of("processor\t: 0\n"), None);
    }
}
