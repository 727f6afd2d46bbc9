//! dm-verity: the superblock of a hash tree, and the table line for the kernel.
//!
//! ```text
//! superblock, little-endian, 512 bytes at the hash offset
//!   0 verity\0\0        16 uuid, 16          64 data block size, u32      80 salt size, u16
//!   8 version, u32: 1   32 algorithm, 32     68 hash block size, u32      88 salt, 256
//!  12 hash type, u32       (text)            72 data blocks, u64
//!
//! the tree begins at the next whole hash block; without a superblock, at the hash offset itself
//!
//! table line
//!   TYPE DATA HASH DATA_BLOCK HASH_BLOCK DATA_BLOCKS HASH_START ALGORITHM ROOT_HASH SALT
//!   [COUNT OPTION…]
//!   a device is MAJOR:MINOR, HASH_START counts hash blocks, an empty salt is `-`
//! ```
//!
//! References: cryptsetup's wiki page on the on-disk format of DM-verity, veritysetup(8), and the
//! kernel's admin-guide/device-mapper/verity.

use std::fmt;

use super::Source;
use super::bytes::{array, has, le16, le32, le64};
use super::device::fill;
use super::text;

/// Size of the superblock, in bytes.
pub(crate) const SUPERBLOCK_SIZE: usize = 512;
/// Size of the sectors in a device-mapper table, in bytes.
const SECTOR_SIZE: u64 = 512;
/// Default number of parity bytes (roots) for error correction, as in veritysetup(8).
pub const FEC_ROOTS: u32 = 2;

/// The parameters of a hash tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// 1: the current format, 0: the original format of Chrome OS.
    pub(crate) hash_type: u32,
    /// Digest algorithm, by its name in the kernel's crypto API.
    pub(crate) algorithm: String,
    /// Size of a data block, in bytes.
    pub(crate) data_block_size: u32,
    /// Size of a hash block, in bytes.
    pub(crate) hash_block_size: u32,
    /// Number of data blocks that the tree covers.
    pub(crate) data_blocks: u64,
    /// First hash block of the tree, counted from the start of its device.
    pub(crate) hash_start: u64,
    /// Salt that is hashed with each block.
    pub salt: Vec<u8>,
    /// UUID in the superblock.
    pub(crate) uuid: Option<String>,
}

/// The reason why a hash tree cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerityError {
    /// There is no superblock at this offset.
    NoSuperblock(u64),
    /// The superblock at this offset has an unknown version.
    UnknownVersion(u64),
    /// The superblock at this offset is damaged.
    Damaged(u64),
    /// A parameter has a value that the kernel rejects: name and value.
    Invalid(&'static str, String),
}

impl fmt::Display for VerityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuperblock(offset) => write!(f, "no verity superblock at offset {offset}"),
            Self::UnknownVersion(offset) => {
                write!(f, "unknown version of the verity superblock at offset {offset}")
            }
            Self::Damaged(offset) => write!(f, "damaged verity superblock at offset {offset}"),
            Self::Invalid(parameter, value) => write!(f, "invalid {parameter} {value}"),
        }
    }
}

impl std::error::Error for VerityError {}

impl HashTree {
    /// Reads the superblock at `offset`.
    ///
    /// # Errors
    /// There is no superblock, or it is damaged or describes an invalid tree.
    pub fn read(source: &impl Source, offset: u64) -> Result<Self, VerityError> {
        let mut sb = [0; SUPERBLOCK_SIZE];
        if fill(source, offset, &mut sb).0 < sb.len() || !has(&sb, 0, b"verity\0\0") {
            return Err(VerityError::NoSuperblock(offset));
        }
        if le32(&sb, 8) != Some(1) {
            return Err(VerityError::UnknownVersion(offset));
        }
        let tree = Self::parse(&sb, offset).ok_or(VerityError::Damaged(offset))?;
        tree.check().map(|()| tree)
    }

    /// Parses a superblock. Returns `None` if it is damaged.
    fn parse(sb: &[u8], offset: u64) -> Option<Self> {
        let algorithm = sb.get(32..64)?.split(|b| *b == 0).next()?;
        let hash_block_size = le32(sb, 68)?;
        let tree_offset = offset.checked_add(SUPERBLOCK_SIZE as u64)?;
        let salt = sb.get(88..88 + usize::from(le16(sb, 80)?).min(256))?;
        Some(Self {
            hash_type: le32(sb, 12)?,
            algorithm: String::from_utf8(algorithm.to_vec()).ok()?,
            data_block_size: le32(sb, 64)?,
            hash_block_size,
            data_blocks: le64(sb, 72)?,
            hash_start: tree_offset.div_ceil(u64::from(hash_block_size.max(1))),
            salt: salt.to_vec(),
            uuid: text::uuid(array(sb, 16)),
        })
    }

    /// Checks that the kernel accepts the parameters of this tree.
    ///
    /// # Errors
    /// The first invalid parameter.
    pub fn check(&self) -> Result<(), VerityError> {
        let invalid = |parameter, value: &dyn fmt::Display| {
            Err(VerityError::Invalid(parameter, value.to_string()))
        };
        let is_block_size =
            |size: u32| size.is_power_of_two() && (512..=512 * 1024).contains(&size);
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b"-_()".contains(&b);
        if self.hash_type > 1 {
            return invalid("hash type", &self.hash_type);
        }
        if !is_block_size(self.data_block_size) {
            return invalid("data block size", &self.data_block_size);
        }
        if !is_block_size(self.hash_block_size) {
            return invalid("hash block size", &self.hash_block_size);
        }
        if self.algorithm.is_empty() || !self.algorithm.bytes().all(is_name_byte) {
            return invalid("hash algorithm", &format_args!("'{}'", self.algorithm));
        }
        if self.data_blocks == 0 || self.sectors().is_none() {
            return invalid("number of data blocks", &self.data_blocks);
        }
        Ok(())
    }

    /// Returns the size of the mapped device in sectors of 512 bytes, or `None` on overflow.
    pub fn sectors(&self) -> Option<u64> {
        Some(self.data_blocks.checked_mul(u64::from(self.data_block_size))? / SECTOR_SIZE)
    }

    /// Returns the table line for `devices` and `root_hash`, with `options` and error correction.
    pub fn table_line(&self, devices: &Devices, root_hash: &str, options: &[String]) -> String {
        let Devices { data, hash, fec, .. } = devices;
        let salt = if self.salt.is_empty() { "-".to_owned() } else { hex(&self.salt) };
        let mut extra = options.join(" ");
        if let Some(fec) = fec {
            extra.push_str(&format!(
                " use_fec_from_device {}:{} fec_roots {} fec_blocks {} fec_start {}",
                fec.device.0,
                fec.device.1,
                fec.roots,
                self.fec_blocks(*hash, devices.hash_device_size, fec),
                fec.offset / u64::from(self.data_block_size)
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
            self.data_block_size,
            self.hash_block_size,
            self.data_blocks,
            self.hash_start,
            self.algorithm
        )
    }

    /// Returns the number of blocks that error correction covers: the data, and the hash device
    /// from the tree on, up to the parity data if they are on the same device.
    fn fec_blocks(&self, hash: (u32, u32), hash_device_size: u64, fec: &Fec) -> u64 {
        let end = if fec.device == hash { fec.offset } else { hash_device_size };
        let tree = (end / u64::from(self.data_block_size)).saturating_sub(self.hash_start);
        self.data_blocks.saturating_add(tree)
    }
}

/// The devices of a mapping, by device number (major, minor).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices {
    /// Data device.
    pub data: (u32, u32),
    /// Hash device.
    pub hash: (u32, u32),
    /// Size of the hash device, in bytes.
    pub hash_device_size: u64,
    /// Forward error correction, if it is used.
    pub fec: Option<Fec>,
}

/// Parameters of forward error correction (FEC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fec {
    /// Device with the parity data.
    pub device: (u32, u32),
    /// Offset of the parity data, in bytes.
    pub offset: u64,
    /// Number of parity bytes in a codeword of 255.
    pub roots: u32,
}

/// Formats bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a device with a superblock as veritysetup writes it, at `offset`.
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
    fn a_superblock_becomes_a_table_line() {
        let bytes = device(8192);
        let tree = HashTree::read(&bytes.as_slice(), 8192).unwrap();
        assert_eq!(tree.uuid.as_deref(), Some("11111111-1111-1111-1111-111111111111"));
        assert_eq!((tree.hash_start, tree.sectors()), (3, Some(16384)));
        let mut devices =
            Devices { data: (254, 0), hash: (254, 16), hash_device_size: 1 << 20, fec: None };
        assert_eq!(
            tree.table_line(&devices, "beef", &[]),
            "1 254:0 254:16 4096 4096 2048 3 sha256 beef abcd0001"
        );
        let fec = Fec { device: (7, 1), offset: 8192, roots: 2 };
        devices.fec = Some(fec.clone());
        let tree = HashTree { salt: Vec::new(), ..tree };
        assert_eq!(
            tree.table_line(&devices, "beef", &["ignore_zero_blocks".to_owned()]),
            "1 254:0 254:16 4096 4096 2048 3 sha256 beef - 9 ignore_zero_blocks \
             use_fec_from_device 7:1 fec_roots 2 fec_blocks 2301 fec_start 2"
        );
        // On the hash device itself, the covered blocks end at the parity data.
        devices.fec = Some(Fec { device: (254, 16), offset: 40960, ..fec });
        assert!(tree.table_line(&devices, "beef", &[]).contains("fec_blocks 2055 fec_start 10"));
    }

    #[test]
    fn invalid_parameters_are_reported() {
        let with = |at: usize, bytes: &[u8]| {
            let mut sb = device(0);
            sb[at..at + bytes.len()].copy_from_slice(bytes);
            HashTree::read(&sb.as_slice(), 0).unwrap_err().to_string()
        };
        for (at, bytes, part) in [
            (0, b"V".as_slice(), "no verity superblock at offset 0"),
            (8, &[2], "unknown version"),
            (12, &[2], "invalid hash type 2"),
            (64, &[1], "invalid data block size 4097"),
            (68, &[0, 0], "invalid hash block size 0"),
            (32, b"sha 256", "invalid hash algorithm 'sha 256'"),
            (32, &[0xff], "damaged"),
            (32, &[0], "invalid hash algorithm ''"),
            (72, &[0, 0], "invalid number of data blocks 0"),
            (72, &[0xff; 8], "invalid number of data blocks"),
        ] {
            assert!(with(at, bytes).contains(part), "{at}: {}", with(at, bytes));
        }
        assert!(HashTree::read(&device(0).as_slice(), 4000).is_err());
        assert!(HashTree::read(&device(0).as_slice(), u64::MAX).is_err());
    }
}
