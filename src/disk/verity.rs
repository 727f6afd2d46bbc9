//! dm-verity: the superblock of a hash tree, and the table line that the kernel takes.
//!
//! ```text
//! superblock, little-endian, 512 bytes at the hash offset
//!   0 verity\0\0        16 uuid, 16          64 data block size, u32      80 salt size, u16
//!   8 version, u32: 1   32 algorithm, 32     68 hash block size, u32      88 salt, 256
//!  12 hash type, u32       (text)            72 data blocks, u64
//!
//! the tree begins at the next whole hash block; without a superblock at the hash offset itself
//!
//! table line
//!   TYPE DATA HASH DATA_BLOCK HASH_BLOCK DATA_BLOCKS HASH_START ALGORITHM ROOT_HASH SALT [COUNT OPTION…]
//!   a device is MAJOR:MINOR, HASH_START counts hash blocks, no salt is `-`
//! ```
//!
//! cryptsetup's wiki page on the on-disk format of DM-verity, veritysetup(8), and the kernel's
//! admin-guide/device-mapper/verity.

use super::Source;
use super::bytes::{array, has, le16, le32, le64};
use super::device::fill;
use super::text;

/// The superblock's length.
const LENGTH: usize = 512;
/// A table counts in sectors of this size.
const SECTOR: u64 = 512;
/// Roots of the code for error correction where nothing else is said, as in veritysetup(8).
pub const FEC_ROOTS: u32 = 2;

/// A hash tree: where it begins, and how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// 1 is the format of today, 0 the original of Chrome OS.
    pub hash_type: u32,
    /// The digest, as the kernel's crypto API calls it.
    pub algorithm: String,
    /// Bytes of a block of data.
    pub data_block: u32,
    /// Bytes of a block of the tree.
    pub hash_block: u32,
    /// Blocks of data that the tree covers.
    pub data_blocks: u64,
    /// The block, in hash blocks from the start of its device, that the tree begins with.
    pub start: u64,
    /// What is hashed along with each block.
    pub salt: Vec<u8>,
    /// The superblock's UUID.
    pub uuid: Option<String>,
}

impl Tree {
    /// Reads the superblock at `offset`.
    ///
    /// # Errors
    /// A text: there is none, or it says what cannot be.
    pub fn read(source: &impl Source, offset: u64) -> Result<Self, String> {
        let mut sb = [0; LENGTH];
        if fill(source, offset, &mut sb) < sb.len() || !has(&sb, 0, b"verity\0\0") {
            return Err(format!("no verity superblock at offset {offset}"));
        }
        if le32(&sb, 8) != Some(1) {
            return Err("the verity superblock is of an unknown version".to_owned());
        }
        let tree = Self::parse(&sb, offset).ok_or("the verity superblock is damaged")?;
        tree.check().map(|()| tree)
    }

    fn parse(sb: &[u8], offset: u64) -> Option<Self> {
        let algorithm = sb.get(32..64)?.split(|b| *b == 0).next()?;
        let hash_block = le32(sb, 68)?;
        let salt = sb.get(88..88 + usize::from(le16(sb, 80)?).min(256))?;
        Some(Self {
            hash_type: le32(sb, 12)?,
            algorithm: String::from_utf8(algorithm.to_vec()).ok()?,
            data_block: le32(sb, 64)?,
            hash_block,
            data_blocks: le64(sb, 72)?,
            start: offset.checked_add(LENGTH as u64)?.div_ceil(u64::from(hash_block.max(1))),
            salt: salt.to_vec(),
            uuid: text::uuid(array(sb, 16)),
        })
    }

    /// Whether the kernel can make sense of this tree.
    ///
    /// # Errors
    /// A text that names what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let block = |size: u32| size.is_power_of_two() && (512..=512 * 1024).contains(&size);
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-_()".contains(&b);
        let sound = self.hash_type <= 1
            && block(self.data_block)
            && block(self.hash_block)
            && !self.algorithm.is_empty()
            && self.algorithm.bytes().all(word)
            && self.data_blocks > 0
            && self.sectors().is_some();
        let told = || {
            format!(
                "no hash tree has type {}, blocks of {} and {} bytes, {} blocks of data and the algorithm '{}'",
                self.hash_type, self.data_block, self.hash_block, self.data_blocks, self.algorithm
            )
        };
        if sound { Ok(()) } else { Err(told()) }
    }

    /// The length of the mapped device, in sectors of 512 bytes.
    pub fn sectors(&self) -> Option<u64> {
        Some(self.data_blocks.checked_mul(u64::from(self.data_block))? / SECTOR)
    }

    /// The table line for `devices` and `root_hash`, with `options` and error correction.
    pub fn table(&self, devices: &Devices, root_hash: &str, options: &[String]) -> String {
        let Devices { data, hash, fec, .. } = devices;
        let salt = if self.salt.is_empty() { "-".to_owned() } else { hex(&self.salt) };
        let mut extra = options.join(" ");
        if let Some(fec) = fec {
            extra.push_str(&format!(
                " use_fec_from_device {}:{} fec_roots {} fec_blocks {} fec_start {}",
                fec.device.0,
                fec.device.1,
                fec.roots,
                self.corrected(*hash, devices.hash_size, fec),
                fec.offset / u64::from(self.data_block)
            ));
        }
        let count = match extra.split_ascii_whitespace().count() {
            0 => String::new(),
            count => format!(" {count} {}", extra.trim_start()),
        };
        format!(
            "{} {}:{} {}:{} {} {} {} {} {} {root_hash} {salt}{count}",
            self.hash_type,
            data.0,
            data.1,
            hash.0,
            hash.1,
            self.data_block,
            self.hash_block,
            self.data_blocks,
            self.start,
            self.algorithm
        )
    }

    /// How many blocks the code covers: the data, and the hash device from the tree on, up to the code if it is there.
    fn corrected(&self, hash: (u32, u32), hash_size: u64, fec: &Fec) -> u64 {
        let end = if fec.device == hash { fec.offset } else { hash_size };
        let tree = (end / u64::from(self.data_block)).saturating_sub(self.start);
        self.data_blocks.saturating_add(tree)
    }
}

/// The devices of a tree, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Holds the data.
    pub data: (u32, u32),
    /// Holds the tree.
    pub hash: (u32, u32),
    /// How long that is, in bytes.
    pub hash_size: u64,
    /// Holds the code that corrects errors, if there is one.
    pub fec: Option<Fec>,
}

/// A code that corrects errors (FEC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fec {
    /// Where it lies.
    pub device: (u32, u32),
    /// From which byte on.
    pub offset: u64,
    /// Its bytes of parity in 255.
    pub roots: u32,
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A superblock as veritysetup writes it, at `offset` of a device.
    fn device(offset: usize) -> Vec<u8> {
        let mut sb = vec![0; offset + 4096];
        let mut put = |at: usize, bytes: &[u8]| {
            sb[offset + at..offset + at + bytes.len()].copy_from_slice(bytes)
        };
        put(0, b"verity\0\0");
        put(8, &1_u32.to_le_bytes());
        put(12, &1_u32.to_le_bytes());
        put(16, &[0x11; 16]);
        put(32, b"sha256");
        put(64, &4096_u32.to_le_bytes());
        put(68, &4096_u32.to_le_bytes());
        put(72, &2048_u64.to_le_bytes());
        put(80, &4_u16.to_le_bytes());
        put(88, &[0xab, 0xcd, 0, 1]);
        sb
    }

    #[test]
    fn a_superblock_becomes_a_table() {
        let bytes = device(8192);
        let tree = Tree::read(&bytes.as_slice(), 8192).unwrap();
        assert_eq!(tree.uuid.as_deref(), Some("11111111-1111-1111-1111-111111111111"));
        assert_eq!((tree.start, tree.sectors()), (3, Some(16384)));
        let mut devices =
            Devices { data: (254, 0), hash: (254, 16), hash_size: 1 << 20, fec: None };
        assert_eq!(
            tree.table(&devices, "beef", &[]),
            "1 254:0 254:16 4096 4096 2048 3 sha256 beef abcd0001"
        );
        let fec = Fec { device: (7, 1), offset: 8192, roots: 2 };
        devices.fec = Some(fec.clone());
        let tree = Tree { salt: Vec::new(), ..tree };
        assert_eq!(
            tree.table(&devices, "beef", &["ignore_zero_blocks".to_owned()]),
            "1 254:0 254:16 4096 4096 2048 3 sha256 beef - 9 ignore_zero_blocks use_fec_from_device 7:1 \
             fec_roots 2 fec_blocks 2301 fec_start 2"
        );
        // On the hash device itself the code ends what it covers.
        devices.fec = Some(Fec { device: (254, 16), offset: 40960, ..fec });
        assert!(tree.table(&devices, "beef", &[]).contains("fec_blocks 2055 fec_start 10"));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let with = |at: usize, bytes: &[u8]| {
            let mut sb = device(0);
            sb[at..at + bytes.len()].copy_from_slice(bytes);
            Tree::read(&sb.as_slice(), 0).unwrap_err()
        };
        for (at, bytes, part) in [
            (0, b"V".as_slice(), "no verity superblock at offset 0"),
            (8, &[2], "unknown version"),
            (12, &[2], "has type 2,"),
            (64, &[1], "blocks of 4097 and 4096 bytes"),
            (68, &[0, 0], "blocks of 4096 and 0 bytes"),
            (32, b"sha 256", "algorithm 'sha 256'"),
            (32, &[0xff], "damaged"),
            (32, &[0], "algorithm ''"),
            (72, &[0, 0], " 0 blocks of data"),
            (72, &[0xff; 8], "blocks of data"),
        ] {
            assert!(with(at, bytes).contains(part), "{at}: {}", with(at, bytes));
        }
        assert!(Tree::read(&device(0).as_slice(), 4000).is_err());
        assert!(Tree::read(&device(0).as_slice(), u64::MAX).is_err());
    }
}
