//! The metadata of LUKS2, in JSON.
//!
//! ```text
//! keyslots  N  type, key_size, priority?, af {stripes, hash}, area {offset, size, encryption,
//!              key_size}, kdf {type, salt, hash and iterations, or time, memory and cpus}
//! segments  N  type, offset, size: bytes or "dynamic", iv_tweak, encryption, sector_size
//! digests   N  type, keyslots, segments, hash, iterations, salt, digest
//! tokens    N  type, keyslots, …
//! config       json_size, keyslots_size, flags?, requirements {mandatory}?
//! ```

use serde_json::Value;

use super::anti_forensic::split_length;
use super::header::{Area, Argon2, Digest, Error, Kdf, KeySlot, MAX_KEY, Priority, Segment, Token};
use super::json_field::Field;

/// Most key slots, tokens, segments and digests that cryptsetup writes.
const MAX_OBJECTS: usize = 32;
/// Most parts of a split volume key.
const MAX_STRIPES: usize = 4000;
/// Most lanes of Argon2; cryptsetup uses 4.
const MAX_LANES: u32 = 64;

type Result<T> = std::result::Result<T, Error>;

/// What the metadata hold.
#[derive(Debug, PartialEq)]
pub(super) struct Metadata {
    pub(super) key_slots: Vec<KeySlot>,
    pub(super) digests: Vec<Digest>,
    pub(super) segment: Segment,
    pub(super) tokens: Vec<Token>,
    pub(super) flags: Vec<String>,
}

/// Parses the metadata of a header whose copies are `header_size` bytes long each.
pub(super) fn parse(json: &[u8], header_size: u64) -> Result<Metadata> {
    let value: Value =
        serde_json::from_slice(json).map_err(|e| Error::new("LUKS2 metadata", &e.to_string()))?;
    let root = Field { value: &value, parent: None, name: "" };
    let config = root.get("config")?;
    check_requirements(&config)?;
    let slots_size = config.get("keyslots_size")?.long()?;
    let areas = 2 * header_size..(2 * header_size).saturating_add(slots_size);
    let segment = only_segment(&root.get("segments")?)?;
    let mut key_slots = Vec::new();
    for (number, slot) in root.get("keyslots")?.numbered(MAX_OBJECTS)? {
        // Those of reencryption hold no volume key.
        if slot.get("type")?.text()? == "luks2" {
            key_slots.push(key_slot(number, &slot, &areas)?);
        }
    }
    let mut digests = Vec::new();
    for (number, field) in root.get("digests")?.numbered(MAX_OBJECTS)? {
        if field.get("segments")?.numbers()?.contains(&segment.number) {
            digests.push(digest(number, &field)?);
        }
    }
    let mut tokens = Vec::new();
    for (number, token) in root.get("tokens")?.numbered(MAX_OBJECTS)? {
        tokens.push(Token {
            number,
            kind: token.get("type")?.text()?.to_owned(),
            key_slots: token.get("keyslots")?.numbers()?,
            json: token.value.clone(),
        });
    }
    let flags = config.optional("flags").map_or_else(|| Ok(Vec::new()), |flags| flags.texts())?;
    Ok(Metadata { key_slots, digests, segment, tokens, flags })
}

/// Refuses what a program must know before it may use the device.
fn check_requirements(config: &Field<'_>) -> Result<()> {
    let Some(requirements) = config.optional("requirements") else { return Ok(()) };
    let Some(mandatory) = requirements.optional("mandatory") else { return Ok(()) };
    match mandatory.texts()?.first() {
        Some(name) => Err(mandatory.unsupported(&format!("'{name}' is not supported"))),
        None => Ok(()),
    }
}

/// Returns the one segment of the data.
fn only_segment(segments: &Field<'_>) -> Result<Segment> {
    let all = segments.numbered(MAX_OBJECTS)?;
    let [(number, field)] = all.as_slice() else {
        return Err(segments.unsupported(&format!("{} segments are not supported", all.len())));
    };
    let kind = field.get("type")?;
    if kind.text()? != "crypt" {
        return Err(kind.unsupported(&format!("'{}' is not supported", kind.text()?)));
    }
    if let Some(integrity) = field.optional("integrity") {
        return Err(integrity.unsupported("authenticated encryption is not supported"));
    }
    let size = field.get("size")?;
    let size = if size.text()? == "dynamic" { None } else { Some(size.long()?) };
    let sector_size = field.get("sector_size")?.int(4096)?;
    let offset = field.get("offset")?.long()?;
    let is_whole = |bytes: u64| bytes.is_multiple_of(u64::from(sector_size.max(1)));
    if !sector_size.is_power_of_two()
        || sector_size < 512
        || !offset.is_multiple_of(512)
        || !size.is_none_or(|size| size > 0 && is_whole(size))
    {
        return Err(field.error("sector size, offset or size is invalid"));
    }
    Ok(Segment {
        number: *number,
        offset,
        size,
        iv_tweak: field.get("iv_tweak")?.long()?,
        cipher: field.get("encryption")?.word()?,
        sector_size,
    })
}

fn key_slot(number: u32, slot: &Field<'_>, areas: &std::ops::Range<u64>) -> Result<KeySlot> {
    let key_size = slot.get("key_size")?.size(MAX_KEY)?;
    let af = slot.get("af")?;
    let stripes = af.get("stripes")?.size(MAX_STRIPES)?;
    let field = slot.get("area")?;
    let area = Area {
        offset: field.get("offset")?.long()?,
        length: split_length(key_size, stripes),
        cipher: field.get("encryption")?.word()?,
        key_size: field.get("key_size")?.size(MAX_KEY)?,
    };
    let size = field.get("size")?.long()?;
    let end = area.offset.checked_add(size);
    if area.offset < areas.start
        || end.is_none_or(|end| end > areas.end)
        || size < area.length as u64
    {
        return Err(field.error("out of bounds"));
    }
    Ok(KeySlot {
        number,
        priority: priority(slot)?,
        key_size,
        stripes,
        split_hash: af.get("hash")?.word()?,
        area,
        kdf: kdf(&slot.get("kdf")?)?,
    })
}

fn priority(slot: &Field<'_>) -> Result<Priority> {
    let Some(field) = slot.optional("priority") else { return Ok(Priority::Normal) };
    Ok(match field.int(u32::MAX)? {
        0 => Priority::Ignored,
        1 => Priority::Normal,
        2 => Priority::Preferred,
        _ => return Err(field.error("unknown")),
    })
}

fn kdf(field: &Field<'_>) -> Result<Kdf> {
    let salt = field.get("salt")?.bytes()?;
    let kind = field.get("type")?;
    let is_id = match kind.text()? {
        "pbkdf2" => {
            let hash = field.get("hash")?.word()?;
            return Ok(Kdf::Pbkdf2 { hash, iterations: iterations(field)?, salt });
        }
        "argon2id" => true,
        "argon2i" => false,
        other => return Err(kind.unsupported(&format!("'{other}' is not supported"))),
    };
    let at_least = |name: &str, min: u32, max: u32| {
        let field = field.get(name)?;
        let number = field.int(max)?;
        if number < min { Err(field.error("too small")) } else { Ok(number) }
    };
    if salt.len() < 8 {
        return Err(field.error("salt is too short"));
    }
    let lanes = at_least("cpus", 1, MAX_LANES)?;
    Ok(Kdf::Argon2(Argon2 {
        is_id,
        passes: at_least("time", 1, u32::MAX)?,
        memory_kib: at_least("memory", 8 * lanes, u32::MAX)?,
        lanes,
        salt,
    }))
}

fn iterations(field: &Field<'_>) -> Result<u32> {
    let field = field.get("iterations")?;
    match field.int(u32::MAX)? {
        0 => Err(field.error("zero")),
        number => Ok(number),
    }
}

fn digest(number: u32, field: &Field<'_>) -> Result<Digest> {
    let kind = field.get("type")?;
    if kind.text()? != "pbkdf2" {
        return Err(kind.unsupported(&format!("'{}' is not supported", kind.text()?)));
    }
    let value = field.get("digest")?.bytes()?;
    if value.len() < 16 || value.len() > 64 {
        return Err(field.error("digest has a wrong length"));
    }
    Ok(Digest {
        number,
        key_slots: field.get("keyslots")?.numbers()?,
        hash: field.get("hash")?.word()?,
        iterations: iterations(field)?,
        salt: field.get("salt")?.bytes()?,
        value,
    })
}
