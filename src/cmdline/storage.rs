//! Storage below and above the root filesystem: dm-verity, images in files, overlays, UBI.
//!
//! ```text
//! coldplug.verity=roothash=HEX,data=NAME,hash=NAME[,OPTION...]      NAME as for root=
//! roothash=HEX [systemd.verity_root_data=NAME] [systemd.verity_root_hash=NAME]
//!              [systemd.verity_root_options=OPTION,...]
//!
//! OPTION
//!   hashoffset= salt= algorithm= datablocksize= hashblocksize= datablocks= format= uuid=
//!   superblock=no fecdevice= fecoffset= fecroots=
//!   ignore-corruption restart-on-corruption panic-on-corruption ignore-zero-blocks
//!   check-at-most-once try-verify-in-tasklet
//! ```
//!
//! systemd writes the options with dashes, and `hash=` for `algorithm=`:
//! systemd-veritysetup-generator(8), veritytab(5), veritysetup(8).

use std::fmt;

use super::root_name::RootName;
use super::words::{Word, list, set};

/// What lies below and above the root filesystem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageParams {
    /// dm-verity, which verifies the root.
    pub(crate) verity: Option<VerityParams>,
    /// Path of the file that holds the root, on the filesystem that `root=` names.
    pub(crate) image: Option<String>,
    /// Overlay that receives the writes.
    pub(crate) overlay: Option<OverlayParams>,
    /// MTD devices that UBI attaches.
    pub(crate) ubi_mtd: Vec<String>,
}

/// Upper side of an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OverlayParams {
    /// Memory, with an optional limit in the form of tmpfs(5).
    Tmpfs(Option<String>),
    /// The filesystem on a device.
    Device(RootName),
}

/// Parameters of a hash tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VerityParams {
    /// Root hash in lower-case hexadecimal digits.
    pub(crate) root_hash: String,
    /// Data device.
    pub(crate) data: Option<RootName>,
    /// Hash device.
    pub(crate) hash: Option<RootName>,
    /// Offset of the superblock on the hash device, or of the tree if there is no superblock, in
    /// bytes.
    pub(crate) offset: u64,
    /// Whether the superblock is missing, so that the options replace it.
    pub(crate) no_superblock: bool,
    /// `salt=`.
    pub(crate) salt: Option<Vec<u8>>,
    /// `algorithm=`.
    pub(crate) algorithm: Option<String>,
    /// `datablocksize=`, in bytes.
    pub(crate) data_block: Option<u32>,
    /// `hashblocksize=`, in bytes.
    pub(crate) hash_block: Option<u32>,
    /// `datablocks=`.
    pub(crate) data_blocks: Option<u64>,
    /// `format=`.
    pub(crate) format: Option<u32>,
    /// `fecdevice=`.
    pub(crate) fec_device: Option<RootName>,
    /// `fecoffset=`, in bytes.
    pub(crate) fec_offset: u64,
    /// `fecroots=`.
    pub(crate) fec_roots: Option<u32>,
    /// Options of the kernel's target, in its spelling.
    pub(crate) options: Vec<String>,
}

/// A storage parameter that cannot be used. The boot fails with it, because without the parameter
/// it would start something else than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageError {
    /// The word on the command line.
    word: String,
    problem: StorageProblem,
}

/// Problem of a storage parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StorageProblem {
    RelativePath,
    NotASize(String),
    UnexpectedOption(String),
    NotADevice(String),
    /// This program is built without the feature.
    Absent(&'static str),
    NotHexadecimal,
    UnknownOption(String),
    NoRootHash,
    NoDataBlocks,
    ShortRootHash,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel command line: {}: {}", self.word, self.problem)
    }
}

impl std::error::Error for StorageError {}

impl fmt::Display for StorageProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, text) = match self {
            Self::RelativePath => ("", "the path must begin with /"),
            Self::NotASize(value) => (value.as_str(), "is not size=SIZE"),
            Self::UnexpectedOption(value) => (value.as_str(), "is not an option of a device"),
            Self::Absent(feature) => return write!(f, "this coldplug has no {feature}"),
            Self::NotADevice(value) => (value.as_str(), "is not the name of a device"),
            Self::NotHexadecimal => ("", "the root hash is not hexadecimal"),
            Self::UnknownOption(value) => (value.as_str(), "is not a known option"),
            Self::NoRootHash => ("", "roothash= is missing"),
            Self::NoDataBlocks => ("", "superblock=no requires datablocks="),
            Self::ShortRootHash => ("", "the root hash is too short to name partitions"),
        };
        match self {
            Self::NotASize(_)
            | Self::UnexpectedOption(_)
            | Self::NotADevice(_)
            | Self::UnknownOption(_) => write!(f, "'{value}' {text}"),
            _ => f.write_str(text),
        }
    }
}

/// Whether there are layers; without them `lacks.rs` answers for every parameter that asks for one.
const HAS_LAYERS: bool = cfg!(feature = "full");

type Parsed<T> = Result<T, StorageProblem>;

impl StorageParams {
    /// Returns the modules that these layers need, whatever the devices hold.
    pub fn modules(&self) -> impl Iterator<Item = &'static str> {
        let needs = [
            (self.verity.is_some(), "dm_verity"),
            (self.image.is_some(), "loop"),
            (self.overlay.is_some(), "overlay"),
        ];
        needs.into_iter().filter(|(needed, _)| *needed).map(|(_, module)| module)
    }

    pub(super) fn set_verity(&mut self, text: &str) -> Parsed<()> {
        self.verity = Some(own_verity(text)?);
        Ok(())
    }

    pub(super) fn set_image(&mut self, path: &str) -> Parsed<()> {
        if !path.starts_with('/') {
            return Err(StorageProblem::RelativePath);
        }
        self.image = Some(path.to_owned());
        Ok(())
    }

    pub(super) fn set_overlay(&mut self, text: &str) -> Parsed<()> {
        self.overlay = Some(overlay(text)?);
        Ok(())
    }

    pub(super) fn add_ubi_mtd(&mut self, text: &str) -> Parsed<()> {
        self.ubi_mtd.push(text.to_owned());
        Ok(())
    }
}

/// The storage parameters while the command line is read.
#[derive(Debug, Default)]
pub(super) struct StorageParser<'a> {
    params: StorageParams,
    pub(super) systemd: SystemdVerity<'a>,
    /// The first parameter that cannot be used.
    error: Option<StorageError>,
}

impl StorageParser<'_> {
    /// Passes the value of a word to `parse` and keeps its error, so that the boot can fail with
    /// it.
    pub(super) fn store(
        &mut self,
        word: &Word<'_>,
        parse: fn(&mut StorageParams, &str) -> Parsed<()>,
    ) -> bool {
        if HAS_LAYERS && self.error.is_none() {
            let parsed = parse(&mut self.params, word.value_or_empty());
            self.error =
                parsed.err().map(|problem| StorageError { word: word.text.to_owned(), problem });
        }
        true
    }

    /// Notes that this program lacks the `feature` that a word asks for.
    pub(super) fn refuse(&mut self, word: &Word<'_>, feature: &'static str) {
        let problem = StorageProblem::Absent(feature);
        self.error.get_or_insert_with(|| StorageError { word: word.text.to_owned(), problem });
    }

    /// Returns the parameters, or the first one that cannot be used.
    pub(super) fn finish(mut self) -> Result<StorageParams, StorageError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if HAS_LAYERS && self.params.verity.is_none() {
            self.params.verity = self.systemd.verity().map_err(|problem| {
                let word = format!("roothash={}", self.systemd.root_hash.unwrap_or_default());
                StorageError { word, problem }
            })?;
        }
        Ok(self.params)
    }
}

fn overlay(text: &str) -> Parsed<OverlayParams> {
    let (first, rest) = text.split_once(',').map_or((text, None), |(f, r)| (f, Some(r)));
    match (first, rest) {
        ("tmpfs", None) => Ok(OverlayParams::Tmpfs(None)),
        ("tmpfs", Some(rest)) => match rest.strip_prefix("size=") {
            Some(size) if !size.is_empty() && !size.contains(',') => {
                Ok(OverlayParams::Tmpfs(Some(size.to_owned())))
            }
            _ => Err(StorageProblem::NotASize(rest.to_owned())),
        },
        (_, None) => Ok(OverlayParams::Device(device(text)?)),
        (_, Some(rest)) => Err(StorageProblem::UnexpectedOption(rest.to_owned())),
    }
}

fn device(text: &str) -> Parsed<RootName> {
    let name = RootName::parse(text).filter(RootName::may_be_block_device);
    name.ok_or_else(|| StorageProblem::NotADevice(text.to_owned()))
}

/// The parameters of systemd-veritysetup-generator(8).
#[derive(Debug, Default)]
pub(super) struct SystemdVerity<'a> {
    pub(super) off: bool,
    pub(super) root_hash: Option<&'a str>,
    pub(super) data: Option<&'a str>,
    pub(super) hash: Option<&'a str>,
    pub(super) options: Option<&'a str>,
}

impl SystemdVerity<'_> {
    fn verity(&self) -> Parsed<Option<VerityParams>> {
        let Some(root_hash) = self.root_hash.filter(|_| !self.off) else { return Ok(None) };
        let mut verity = VerityParams {
            data: self.data.map(device).transpose()?,
            hash: self.hash.map(device).transpose()?,
            ..VerityParams::default()
        };
        verity.set_root_hash(root_hash)?;
        for option in list(self.options.unwrap_or_default()) {
            verity.set_option(option)?;
        }
        verity.finish().map(Some)
    }
}

fn own_verity(text: &str) -> Parsed<VerityParams> {
    let mut verity = VerityParams::default();
    for word in list(text) {
        match word.split_once('=') {
            Some(("roothash", value)) => verity.set_root_hash(value)?,
            Some(("data", value)) => verity.data = Some(device(value)?),
            Some(("hash", value)) => verity.hash = Some(device(value)?),
            _ => verity.set_option(word)?,
        }
    }
    verity.finish()
}

/// Returns whether a boolean of systemd is false.
pub(super) fn is_no(value: &str) -> bool {
    matches!(value, "0" | "no" | "n" | "false" | "f" | "off")
}

impl VerityParams {
    fn set_root_hash(&mut self, text: &str) -> Parsed<()> {
        let digest = bytes(text).filter(|b| !b.is_empty()).ok_or(StorageProblem::NotHexadecimal)?;
        self.root_hash = digest.iter().map(|b| format!("{b:02x}")).collect();
        Ok(())
    }

    /// Sets one option. Dashes in its name are systemd's spelling and may be omitted.
    fn set_option(&mut self, word: &str) -> Parsed<()> {
        let (key, value) = word.split_once('=').map_or((word, None), |(k, v)| (k, Some(v)));
        let known = match (key.replace('-', "").as_str(), value) {
            ("hashoffset", Some(v)) => set(&mut self.offset, v.parse().ok()),
            ("salt", Some("-")) => set(&mut self.salt, Some(Some(Vec::new()))),
            ("salt", Some(v)) => set(&mut self.salt, bytes(v).map(Some)),
            ("algorithm" | "hash", Some(v)) => set(&mut self.algorithm, Some(Some(v.to_owned()))),
            ("datablocksize", Some(v)) => set(&mut self.data_block, v.parse().ok().map(Some)),
            ("hashblocksize", Some(v)) => set(&mut self.hash_block, v.parse().ok().map(Some)),
            ("datablocks", Some(v)) => set(&mut self.data_blocks, v.parse().ok().map(Some)),
            ("format", Some(v)) => set(&mut self.format, v.parse().ok().map(Some)),
            ("superblock", Some(v)) => set(&mut self.no_superblock, Some(is_no(v))),
            ("fecdevice", Some(v)) => set(&mut self.fec_device, Some(Some(device(v)?))),
            ("fecoffset", Some(v)) => set(&mut self.fec_offset, v.parse().ok()),
            ("fecroots", Some(v)) => set(&mut self.fec_roots, v.parse().ok().map(Some)),
            // The UUID of the superblock is used instead.
            ("uuid", Some(_)) => true,
            (
                "ignorecorruption"
                | "restartoncorruption"
                | "paniconcorruption"
                | "ignorezeroblocks"
                | "checkatmostonce"
                | "tryverifyintasklet",
                None,
            ) => {
                self.options.push(key.replace('-', "_"));
                true
            }
            _ => false,
        };
        if known { Ok(()) } else { Err(StorageProblem::UnknownOption(word.to_owned())) }
    }

    /// Checks that the parameters are complete, and derives devices that were not named from the
    /// root hash.
    fn finish(mut self) -> Parsed<Self> {
        if self.root_hash.is_empty() {
            return Err(StorageProblem::NoRootHash);
        }
        if self.no_superblock && self.data_blocks.is_none() {
            return Err(StorageProblem::NoDataBlocks);
        }
        let digits = self.root_hash.len();
        if digits < 32 && (self.data.is_none() || self.hash.is_none()) {
            return Err(StorageProblem::ShortRootHash);
        }
        let partition = |from: usize| {
            self.root_hash.get(from..from + 32).map(|d| RootName::PartUuid(uuid_of(d), 0))
        };
        let (first, last) = (partition(0), partition(digits.saturating_sub(32)));
        self.data = self.data.or(first);
        self.hash = self.hash.or(last);
        Ok(self)
    }
}

/// Returns 32 digits in the form of a UUID.
fn uuid_of(digits: &str) -> String {
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Parses hexadecimal digits, two for each byte.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digits: Vec<u8> = text.chars().map(digit).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::super::KernelCommandLine;
    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    fn parse(line: &str) -> Result<StorageParams, StorageError> {
        KernelCommandLine::parse(line).storage
    }

    fn verity(line: &str) -> VerityParams {
        parse(line).unwrap().verity.unwrap()
    }

    #[test]
    fn a_root_hash_names_its_partitions() {
        let found = verity(&format!("quiet roothash={}", HASH.to_uppercase()));
        let part = |uuid: &str| Some(RootName::PartUuid(uuid.into(), 0));
        assert_eq!(found.root_hash, HASH);
        assert_eq!(found.data, part("00112233-4455-6677-8899-aabbccddeeff"));
        assert_eq!(found.hash, part("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"));
        for off in ["systemd.verity=no", "rd.systemd.verity=0"] {
            assert_eq!(parse(&format!("roothash={HASH} {off}")).unwrap().verity, None);
        }
    }

    #[test]
    fn both_dialects_mean_the_same() {
        let own = verity(&format!(
            "coldplug.verity=roothash={HASH},data=LABEL=a,hash=/dev/vdb,hashoffset=4096,salt=ab,\
             fecdevice=UUID=1,fecroots=4,ignore-zero-blocks,algorithm=sha512,datablocks=5,\
             superblock=no"
        ));
        let theirs = verity(&format!(
            "roothash={HASH} systemd.verity_root_data=LABEL=a systemd.verity_root_hash=/dev/vdb \
             systemd.verity_root_options=hash-offset=4096,salt=ab,fec-device=UUID=1,fec-roots=4,\
             ignore-zero-blocks,hash=sha512,data-blocks=5,superblock=false"
        ));
        assert_eq!(own, theirs);
        assert_eq!(own.options, ["ignore_zero_blocks"]);
        assert_eq!(
            (own.offset, own.salt.clone(), own.fec_roots),
            (4096, Some(vec![0xab]), Some(4))
        );
        assert_eq!(own.data, Some(RootName::Label("a".into())));
        assert!(own.no_superblock);
    }

    #[test]
    fn overlays_and_images() {
        for (line, want) in [
            ("coldplug.overlay=tmpfs", OverlayParams::Tmpfs(None)),
            ("coldplug.overlay=tmpfs,size=50%", OverlayParams::Tmpfs(Some("50%".into()))),
            ("coldplug.overlay=LABEL=rw", OverlayParams::Device(RootName::Label("rw".into()))),
        ] {
            assert_eq!(parse(line).unwrap().overlay, Some(want), "{line}");
        }
        let line =
            "coldplug.image=/a.squashfs ubi.mtd=0 ubi.mtd=rootfs,2048 -- coldplug.overlay=tmpfs";
        let found = parse(line).unwrap();
        assert_eq!(found.image.as_deref(), Some("/a.squashfs"));
        assert_eq!(found.modules().collect::<Vec<_>>(), ["loop"]);
        assert_eq!((found.ubi_mtd.len(), found.overlay), (2, None));
    }

    #[test]
    fn errors_name_the_word() {
        for (line, part) in [
            ("coldplug.image=a", "coldplug.image=a: the path must begin with /"),
            ("coldplug.verity", "coldplug.verity: roothash= is missing"),
            ("coldplug.overlay=", "'' is not the name of a device"),
            ("coldplug.overlay=ram", "'ram' is not the name of a device"),
            ("coldplug.overlay=LABEL=", "'LABEL=' is not the name of a device"),
            ("coldplug.overlay=UUID=@UUID@", "'UUID=@UUID@' is not the name of a device"),
            ("coldplug.overlay=tmpfs,mode=7", "'mode=7' is not size=SIZE"),
            ("coldplug.overlay=/dev/vdb,size=3", "'size=3' is not an option of a device"),
            ("coldplug.verity=data=/dev/a,hash=/dev/b", "roothash= is missing"),
            ("coldplug.verity=roothash=xy", "the root hash is not hexadecimal"),
            ("coldplug.verity=roothash=abc", "the root hash is not hexadecimal"),
            ("roothash=abcd", "roothash=abcd: the root hash is too short"),
            (
                "coldplug.verity=roothash=abcd,data=/dev/a,hash=/dev/b,superblock=0",
                "requires datablocks=",
            ),
            ("coldplug.verity=roothash=abcd,data=q", "'q' is not the name"),
            ("coldplug.verity=roothash=abcd,hashoffset=x", "'hashoffset=x'"),
            ("coldplug.verity=roothash=abcd,root-hash-signature=/x", "'root-hash-signature=/x'"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
