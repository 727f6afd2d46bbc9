//! The header of LUKS1, big-endian.
//!
//! ```text
//!   0 LUKS ba be, 6            112 digest of the volume key, 20   208 key slots, 8 × 48
//!   6 version, u16             132 its salt, 32                     0 state, u32: 00ac71f3 active
//!   8 cipher, 32, text         164 its iterations, u32              4 iterations, u32
//!  40 mode, 32, text           168 uuid, 40, text                   8 salt, 32
//!  72 hash, 32, text                                               40 first sector, u32
//! 104 first sector of the data, u32                                44 stripes, u32
//! 108 length of the volume key, u32
//! ```

use super::super::bytes::{be16, be32};
use super::super::device::Source;
use super::super::text;
use super::anti_forensic::split_length;
use super::header::{Area, Digest, Error, Header, Kdf, KeySlot, MAX_KEY, Priority, Segment};

const LENGTH: usize = 592;
const SECTOR: u64 = 512;
const SLOTS: usize = 208;
const SLOT: usize = 48;
const ACTIVE: u32 = 0x00ac_71f3;
const INACTIVE: u32 = 0x0000_dead;
/// Parts into which every known writer splits the volume key.
const MAX_STRIPES: u32 = 4000;

/// Reads the header; `None` if there is none of this version.
pub(super) fn read(source: &dyn Source) -> Option<Result<Header, Error>> {
    let mut bytes = [0; LENGTH];
    super::binary_header::read_exact(source, 0, &mut bytes).ok()?;
    let is_luks1 = bytes.starts_with(b"LUKS\xba\xbe") && be16(&bytes, 6) == Some(1);
    is_luks1.then(|| parse(&bytes).ok_or_else(|| error("cut"))?)
}

fn error(cause: &str) -> Error {
    Error::new("LUKS1 header", cause)
}

/// Parses a whole header. `None`: it is too short.
fn parse(bytes: &[u8]) -> Option<Result<Header, Error>> {
    let name = |from: usize, length| text::label(bytes.get(from..from + length));
    let (Some(cipher), Some(mode), Some(hash)) = (name(8, 32), name(40, 32), name(72, 32)) else {
        return Some(Err(error("cipher, mode or hash is missing")));
    };
    let key_size = usize::try_from(be32(bytes, 108)?).ok()?;
    if !(1..=MAX_KEY).contains(&key_size) {
        return Some(Err(error(&format!("key of {key_size} bytes"))));
    }
    let data = u64::from(be32(bytes, 104)?) * SECTOR;
    let cipher = format!("{cipher}-{mode}");
    let mut key_slots = Vec::new();
    for number in 0..8 {
        let slot = bytes.get(SLOTS + number * SLOT..)?;
        match be32(slot, 0)? {
            ACTIVE => {}
            INACTIVE => continue,
            _ => return Some(Err(error(&format!("state of key slot {number} is invalid")))),
        }
        let stripes = be32(slot, 44)?;
        let area = Area {
            offset: u64::from(be32(slot, 40)?) * SECTOR,
            length: split_length(key_size, usize::try_from(stripes).ok()?),
            cipher: cipher.clone(),
            key_size,
        };
        let end = area.offset + area.length as u64;
        if !(1..=MAX_STRIPES).contains(&stripes)
            || area.offset < LENGTH as u64
            || (data != 0 && end > data)
        {
            return Some(Err(error(&format!("area of key slot {number} is out of bounds"))));
        }
        key_slots.push(KeySlot {
            number: u32::try_from(number).ok()?,
            priority: Priority::Normal,
            key_size,
            stripes: usize::try_from(stripes).ok()?,
            split_hash: hash.clone(),
            area,
            kdf: Kdf::Pbkdf2 {
                hash: hash.clone(),
                iterations: be32(slot, 4)?,
                salt: slot.get(8..40)?.to_vec(),
            },
        });
    }
    let digest = Digest {
        number: 0,
        key_slots: key_slots.iter().map(|slot| slot.number).collect(),
        hash,
        iterations: be32(bytes, 164)?,
        salt: bytes.get(132..164)?.to_vec(),
        value: bytes.get(112..132)?.to_vec(),
    };
    let segment =
        Segment { number: 0, offset: data, size: None, iv_tweak: 0, cipher, sector_size: 512 };
    Some(Ok(Header {
        version: 1,
        uuid: name(168, 40).unwrap_or_default(),
        label: None,
        key_slots,
        digests: vec![digest],
        segment,
        tokens: Vec::new(),
        flags: Vec::new(),
        damage: None,
    }))
}
