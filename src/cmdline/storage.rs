//! What the command line says of the storage that lies below and above the root filesystem.
//!
//! ```text
//! coldplug.verity=roothash=HEX,data=NAME,hash=NAME[,OPTION…]      NAME as root= has it
//! roothash=HEX [systemd.verity_root_data=NAME] [systemd.verity_root_hash=NAME] [systemd.verity_root_options=OPTION,…]
//!     without names the partitions whose PARTUUID are the first and the last 128 bits of the root hash
//! [rd.]systemd.verity=no        the words of systemd are left alone
//! coldplug.image=/PATH          a filesystem in a file of the root
//! coldplug.overlay=tmpfs[,size=SIZE] | NAME
//! ubi.mtd=NUMBER|NAME|/dev/mtdN[,…]     as the module ubi reads it
//!
//! OPTION
//!   hashoffset= salt= algorithm= datablocksize= hashblocksize= datablocks= format= uuid= superblock=no
//!   fecdevice= fecoffset= fecroots=
//!   ignore-corruption restart-on-corruption panic-on-corruption ignore-zero-blocks check-at-most-once
//!   try-verify-in-tasklet        of systemd also with dashes, and hash= for algorithm=
//! ```
//!
//! systemd-veritysetup-generator(8), veritytab(5), veritysetup(8).

use super::root_name::RootName;
use super::words::{key_value, words};

/// The layers that a root may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageParams {
    /// The root is checked by dm-verity.
    pub verity: Option<VerityParams>,
    /// The root is a file of that path on the filesystem that root= names.
    pub image: Option<String>,
    /// What is written goes elsewhere.
    pub overlay: Option<OverlayParams>,
    /// The MTD devices that UBI is to attach.
    pub ubi_mtd: Vec<String>,
}

/// Where the writes of an overlay go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayParams {
    /// To memory, at most so much, as tmpfs(5) writes sizes.
    Tmpfs(Option<String>),
    /// To the filesystem on a device.
    Device(RootName),
}

/// What is known of a hash tree before its superblock is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerityParams {
    /// The root hash, in lower-case digits.
    pub root_hash: String,
    /// The device of the data.
    pub data: Option<RootName>,
    /// The device of the tree.
    pub hash: Option<RootName>,
    /// Where the superblock, or without one the tree, begins.
    pub offset: u64,
    /// There is no superblock, and what follows stands for it.
    pub no_superblock: bool,
    /// `salt=`.
    pub salt: Option<Vec<u8>>,
    /// `algorithm=`.
    pub algorithm: Option<String>,
    /// `datablocksize=`.
    pub data_block: Option<u32>,
    /// `hashblocksize=`.
    pub hash_block: Option<u32>,
    /// `datablocks=`.
    pub data_blocks: Option<u64>,
    /// `format=`.
    pub format: Option<u32>,
    /// `fecdevice=`.
    pub fec_device: Option<RootName>,
    /// `fecoffset=`.
    pub fec_offset: u64,
    /// `fecroots=`.
    pub fec_roots: Option<u32>,
    /// Options of the kernel's target, in its words.
    pub options: Vec<String>,
}

impl StorageParams {
    /// Reads /proc/cmdline. Words behind a bare `--` belong to the real init.
    ///
    /// # Errors
    /// A word that makes no sense, in words. To go on without it would be to boot something else than was asked for.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (mut storage, mut systemd) = (Self::default(), Systemd::default());
        for word in words(line).into_iter().take_while(|w| *w != "--") {
            let (key, value) = key_value(word);
            let text = value.unwrap_or_default();
            let read = match key {
                "coldplug.verity" => own_verity(text).map(|v| storage.verity = Some(v)),
                "coldplug.image" => image(text).map(|path| storage.image = Some(path)),
                "coldplug.overlay" => overlay(text).map(|o| storage.overlay = Some(o)),
                "ubi.mtd" => {
                    storage.ubi_mtd.push(text.to_owned());
                    Ok(())
                }
                _ => {
                    systemd.word(key, text);
                    Ok(())
                }
            };
            read.map_err(|why| format!("kernel command line: {word}: {why}"))?;
        }
        if storage.verity.is_none() {
            storage.verity = systemd.verity().map_err(|why| {
                let root_hash = systemd.root_hash.unwrap_or_default();
                format!("kernel command line: roothash={root_hash}: {why}")
            })?;
        }
        Ok(storage)
    }

    /// The modules that it needs whatever the devices hold.
    pub fn modules(&self) -> impl Iterator<Item = &'static str> {
        let needs = [
            (self.verity.is_some(), "dm_verity"),
            (self.image.is_some(), "loop"),
            (self.overlay.is_some(), "overlay"),
        ];
        needs.into_iter().filter(|(needed, _)| *needed).map(|(_, module)| module)
    }
}

fn image(path: &str) -> Result<String, String> {
    if path.starts_with('/') { Ok(path.to_owned()) } else { Err("a path begins with /".to_owned()) }
}

fn overlay(text: &str) -> Result<OverlayParams, String> {
    let (first, rest) = text.split_once(',').map_or((text, None), |(f, r)| (f, Some(r)));
    match (first, rest) {
        ("tmpfs", None) => Ok(OverlayParams::Tmpfs(None)),
        ("tmpfs", Some(rest)) => match rest.strip_prefix("size=") {
            Some(size) if !size.is_empty() && !size.contains(',') => {
                Ok(OverlayParams::Tmpfs(Some(size.to_owned())))
            }
            _ => Err(format!("'{rest}' is no size=")),
        },
        (_, None) => Ok(OverlayParams::Device(device(text)?)),
        (_, Some(rest)) => Err(format!("'{rest}' is nothing that a device takes")),
    }
}

fn device(text: &str) -> Result<RootName, String> {
    match RootName::parse(text) {
        None | Some(RootName::Other(_)) => Err(format!("'{text}' is no name of a device")),
        Some(name) => Ok(name),
    }
}

/// The words of systemd.
#[derive(Debug, Default)]
struct Systemd<'a> {
    off: bool,
    root_hash: Option<&'a str>,
    data: Option<&'a str>,
    hash: Option<&'a str>,
    options: Option<&'a str>,
}

impl<'a> Systemd<'a> {
    fn word(&mut self, key: &str, value: &'a str) {
        let place = match key {
            "systemd.verity" | "rd.systemd.verity" => {
                self.off = is_no(value);
                return;
            }
            "roothash" => &mut self.root_hash,
            "systemd.verity_root_data" => &mut self.data,
            "systemd.verity_root_hash" => &mut self.hash,
            "systemd.verity_root_options" => &mut self.options,
            _ => return,
        };
        *place = Some(value).filter(|v| !v.is_empty());
    }

    fn verity(&self) -> Result<Option<VerityParams>, String> {
        let Some(root_hash) = self.root_hash.filter(|_| !self.off) else { return Ok(None) };
        let mut verity = VerityParams {
            data: self.data.map(device).transpose()?,
            hash: self.hash.map(device).transpose()?,
            ..VerityParams::default()
        };
        verity.set_root_hash(root_hash)?;
        for word in self.options.unwrap_or_default().split(',').filter(|w| !w.is_empty()) {
            verity.option(word)?;
        }
        verity.finish().map(Some)
    }
}

fn own_verity(text: &str) -> Result<VerityParams, String> {
    let mut verity = VerityParams::default();
    for word in text.split(',').filter(|w| !w.is_empty()) {
        match word.split_once('=') {
            Some(("roothash", value)) => verity.set_root_hash(value)?,
            Some(("data", value)) => verity.data = Some(device(value)?),
            Some(("hash", value)) => verity.hash = Some(device(value)?),
            _ => verity.option(word)?,
        }
    }
    verity.finish()
}

fn is_no(value: &str) -> bool {
    matches!(value, "0" | "no" | "n" | "false" | "f" | "off")
}

impl VerityParams {
    fn set_root_hash(&mut self, text: &str) -> Result<(), String> {
        let digest = bytes(text).filter(|b| !b.is_empty()).ok_or("no hexadecimal digits")?;
        self.root_hash = digest.iter().map(|b| format!("{b:02x}")).collect();
        Ok(())
    }

    /// One option. Dashes in its name are those of systemd and may be left out.
    fn option(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').map_or((word, None), |(k, v)| (k, Some(v)));
        let known = match (key.replace('-', "").as_str(), value) {
            ("hashoffset", Some(v)) => keep(&mut self.offset, v.parse().ok()),
            ("salt", Some("-")) => keep(&mut self.salt, Some(Some(Vec::new()))),
            ("salt", Some(v)) => keep(&mut self.salt, bytes(v).map(Some)),
            ("algorithm" | "hash", Some(v)) => keep(&mut self.algorithm, Some(Some(v.to_owned()))),
            ("datablocksize", Some(v)) => keep(&mut self.data_block, v.parse().ok().map(Some)),
            ("hashblocksize", Some(v)) => keep(&mut self.hash_block, v.parse().ok().map(Some)),
            ("datablocks", Some(v)) => keep(&mut self.data_blocks, v.parse().ok().map(Some)),
            ("format", Some(v)) => keep(&mut self.format, v.parse().ok().map(Some)),
            ("superblock", Some(v)) => keep(&mut self.no_superblock, Some(is_no(v))),
            ("fecdevice", Some(v)) => {
                self.fec_device = Some(device(v)?);
                true
            }
            ("fecoffset", Some(v)) => keep(&mut self.fec_offset, v.parse().ok()),
            ("fecroots", Some(v)) => keep(&mut self.fec_roots, v.parse().ok().map(Some)),
            // The superblock's own is taken.
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
        if known { Ok(()) } else { Err(format!("'{word}' is no option that is known here")) }
    }

    /// Names the devices that were not named, by the root hash.
    fn finish(mut self) -> Result<Self, String> {
        if self.root_hash.is_empty() {
            return Err("no roothash=".to_owned());
        }
        if self.no_superblock && self.data_blocks.is_none() {
            return Err("without a superblock datablocks= must be given".to_owned());
        }
        let digits = self.root_hash.len();
        if digits < 32 && (self.data.is_none() || self.hash.is_none()) {
            return Err("too short to name partitions by it".to_owned());
        }
        let part = |from: usize| {
            self.root_hash.get(from..from + 32).map(|d| RootName::PartUuid(dashed(d), 0))
        };
        let (first, last) = (part(0), part(digits.saturating_sub(32)));
        self.data = self.data.or(first);
        self.hash = self.hash.or(last);
        Ok(self)
    }
}

fn keep<T>(place: &mut T, value: Option<T>) -> bool {
    let known = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    known
}

/// 32 digits as a UUID.
fn dashed(digits: &str) -> String {
    let mut text = String::with_capacity(36);
    for (at, digit) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Hexadecimal digits, two for each byte.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digits: Vec<u8> = text.chars().map(digit).collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0";

    fn verity(line: &str) -> VerityParams {
        StorageParams::parse(line).unwrap().verity.unwrap()
    }

    #[test]
    fn a_root_hash_names_its_partitions() {
        let found = verity(&format!("quiet roothash={}", HASH.to_uppercase()));
        let part = |uuid: &str| Some(RootName::PartUuid(uuid.into(), 0));
        assert_eq!(found.root_hash, HASH);
        assert_eq!(found.data, part("00112233-4455-6677-8899-aabbccddeeff"));
        assert_eq!(found.hash, part("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"));
        for off in ["systemd.verity=no", "rd.systemd.verity=0"] {
            assert_eq!(
                StorageParams::parse(&format!("roothash={HASH} {off}")).unwrap().verity,
                None
            );
        }
    }

    #[test]
    fn both_dialects_say_the_same() {
        let own = verity(&format!(
            "coldplug.verity=roothash={HASH},data=LABEL=a,hash=/dev/vdb,hashoffset=4096,salt=ab,\
             fecdevice=UUID=1,fecroots=4,ignore-zero-blocks,algorithm=sha512,datablocks=5,superblock=no"
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
            assert_eq!(StorageParams::parse(line).unwrap().overlay, Some(want), "{line}");
        }
        let line =
            "coldplug.image=/a.squashfs ubi.mtd=0 ubi.mtd=rootfs,2048 -- coldplug.overlay=tmpfs";
        let found = StorageParams::parse(line).unwrap();
        assert_eq!(found.image.as_deref(), Some("/a.squashfs"));
        assert_eq!(found.modules().collect::<Vec<_>>(), ["loop"]);
        assert_eq!((found.ubi_mtd.len(), found.overlay), (2, None));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, part) in [
            ("coldplug.image=a", "coldplug.image=a: a path begins with /"),
            ("coldplug.verity", "coldplug.verity: no roothash="),
            ("coldplug.overlay=", "'' is no name of a device"),
            ("coldplug.overlay=ram", "'ram' is no name of a device"),
            ("coldplug.overlay=tmpfs,mode=7", "'mode=7' is no size="),
            ("coldplug.overlay=/dev/vdb,size=3", "'size=3' is nothing"),
            ("coldplug.verity=data=/dev/a,hash=/dev/b", "no roothash="),
            ("coldplug.verity=roothash=xy", "no hexadecimal digits"),
            ("coldplug.verity=roothash=abc", "no hexadecimal digits"),
            ("roothash=abcd", "roothash=abcd: too short"),
            ("coldplug.verity=roothash=abcd,data=/dev/a,hash=/dev/b,superblock=0", "datablocks="),
            ("coldplug.verity=roothash=abcd,data=q", "'q' is no name"),
            ("coldplug.verity=roothash=abcd,hashoffset=x", "'hashoffset=x'"),
            ("coldplug.verity=roothash=abcd,root-hash-signature=/x", "'root-hash-signature=/x'"),
        ] {
            let error = StorageParams::parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
