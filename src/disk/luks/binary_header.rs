//! The two copies of a LUKS2 header, big-endian.
//!
//! ```text
//!   0 LUKS ba be, or SKUL ba be in the second copy, 6      104 salt, 64
//!   6 version, u16: 2                                      168 uuid, 40, text
//!   8 length with the metadata, u64: 16 KiB to 4 MiB       208 subsystem, 48, text
//!  16 sequence number, u64                                 256 own offset, u64
//!  24 label, 48, text                                      448 checksum, 64
//!  72 hash of the checksum, 32, text                      4096 metadata in JSON, then NUL bytes
//! ```
//!
//! The second copy follows the first one. The checksum is that of the whole copy, with zeros in its
//! own place. A copy whose checksum or metadata are invalid is not used; of two valid ones, the one
//! with the higher sequence number is used.

use std::io;

use super::super::bytes::{be16, be64};
use super::super::device::Source;
use super::super::text;
use super::hash::Hash;
use super::header::Error;
use super::metadata::{self, Metadata};

/// Length of the binary part.
const BINARY: usize = 4096;
/// The possible lengths of a copy, which are the possible offsets of the second one.
const SIZES: [usize; 9] =
    [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];
const CHECKSUM: std::ops::Range<usize> = 448..512;

/// The copy that is used.
#[derive(Debug, PartialEq)]
pub(super) struct BinaryHeader {
    /// The binary part.
    pub(super) fields: Vec<u8>,
    /// Length of a copy.
    size: u64,
    /// The metadata. If they are valid but not supported, the other copy is no way out: it may be
    /// older, from before a reencryption that has begun.
    pub(super) metadata: Result<Metadata, Error>,
    /// Why the first copy is not used.
    pub(super) damage: Option<Error>,
}

/// Returns the copy to use.
///
/// # Errors
/// There is none, or both are damaged: the error is that of the first one.
pub(super) fn read(source: &dyn Source) -> Result<BinaryHeader, Error> {
    match copy(source, 0, b"LUKS\xba\xbe") {
        Ok(first) => {
            let second = usize::try_from(first.size).map(|at| copy(source, at, b"SKUL\xba\xbe"));
            match second {
                Ok(Ok(second)) if sequence(&second) > sequence(&first) => Ok(BinaryHeader {
                    damage: Some(error(0, "older than the second one")),
                    ..second
                }),
                _ => Ok(first),
            }
        }
        Err(damage) => SIZES
            .iter()
            .find_map(|at| copy(source, *at, b"SKUL\xba\xbe").ok())
            .map(|second| BinaryHeader { damage: Some(damage.clone()), ..second })
            .ok_or(damage),
    }
}

fn sequence(copy: &BinaryHeader) -> Option<u64> {
    be64(&copy.fields, 16)
}

fn error(at: usize, cause: &str) -> Error {
    Error::new(&format!("LUKS2 header at {at}"), cause)
}

/// Reads the copy at offset `at`.
fn copy(source: &dyn Source, at: usize, magic: &[u8]) -> Result<BinaryHeader, Error> {
    let unreadable = |e: io::Error| error(at, &e.to_string());
    let mut bytes = vec![0; BINARY];
    read_exact(source, at as u64, &mut bytes).map_err(unreadable)?;
    if !bytes.starts_with(magic) {
        return Err(error(at, "no LUKS header"));
    }
    match be16(&bytes, 6) {
        Some(2) => {}
        version => return Err(error(at, &format!("version {}", version.unwrap_or(0)))),
    }
    let size = be64(&bytes, 8).and_then(|size| usize::try_from(size).ok());
    let Some(size) = size.filter(|size| SIZES.contains(size)) else {
        return Err(error(at, "length is invalid"));
    };
    if be64(&bytes, 256) != Some(at as u64) || (at != 0 && at != size) {
        return Err(error(at, "belongs to another offset"));
    }
    bytes.resize(size, 0);
    read_exact(source, (at + BINARY) as u64, &mut bytes[BINARY..]).map_err(unreadable)?;
    check(&mut bytes).map_err(|cause| error(at, &cause))?;
    let json = bytes.split_off(BINARY);
    let json = json.split(|byte| *byte == 0).next().unwrap_or_default();
    let metadata = match metadata::parse(json, size as u64) {
        Err(error) if !error.is_unsupported => return Err(error),
        metadata => metadata,
    };
    Ok(BinaryHeader { fields: bytes, size: size as u64, metadata, damage: None })
}

/// Checks the checksum of a copy.
fn check(copy: &mut [u8]) -> Result<(), String> {
    let name = text::label(copy.get(72..104)).unwrap_or_default();
    let hash = Hash::from_name(&name).ok_or_else(|| format!("hash '{name}' is not supported"))?;
    let mut stored = [0; 64];
    stored.copy_from_slice(&copy[CHECKSUM]);
    copy[CHECKSUM].fill(0);
    let mut computed = [0; 64];
    hash.digest(&[copy], &mut computed);
    match computed[..hash.size()] == stored[..hash.size()] {
        true => Ok(()),
        false => Err("checksum does not match".into()),
    }
}

/// Fills `buf` with the bytes at `offset`.
///
/// # Errors
/// They cannot be read, or the device ends before.
pub(super) fn read_exact(source: &dyn Source, offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
    let mut offset = offset;
    while !buf.is_empty() {
        match source.read(offset, buf)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buf = buf.get_mut(count..).unwrap_or_default();
                offset = offset.saturating_add(count as u64);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::super::sample::{change, device};

    const SECRET: &[u8] = b"secret";
    /// What makes metadata unsupported.
    const REQUIREMENT: (&str, &str) =
        ("\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"new\"]},");
    const UNSUPPORTED: &str =
        "LUKS2 metadata: config/requirements/mandatory: 'new' is not supported";

    /// Returns why the first copy is not used if the device is unlocked by the other one.
    fn outcome(device: &[u8]) -> Result<String, String> {
        let header = Header::read(&device).map_err(|error| error.to_string())?;
        assert!(header.volume_key(&device, SECRET, None).is_some());
        Ok(header.damage().map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn a_copy_with_invalid_metadata_is_not_used() {
        assert_eq!(outcome(&device(SECRET)), Ok(String::new()));
        for (from, to, damage) in [
            ("{", "<", "LUKS2 metadata: expected value at line 1 column 1"),
            ("\"kdf\"", "\"kdx\"", "LUKS2 metadata: keyslots/0/kdf: missing"),
            ("\"digests\"", "\"digest\"", "LUKS2 metadata: digests: missing"),
            ("\"32768\"", "\"4096\"", "LUKS2 metadata: keyslots/0/area: out of bounds"),
        ] {
            // However new it is.
            for sequence in 0..3 {
                let mut device = device(SECRET);
                change(&mut device, false, sequence, (from, to));
                assert_eq!(outcome(&device), Ok(damage.to_owned()), "{from}");
                change(&mut device, true, 1, ("{", "<"));
                assert_eq!(outcome(&device), Err(damage.to_owned()), "{from}");
            }
            let mut device = device(SECRET);
            change(&mut device, true, 2, (from, to));
            assert_eq!(outcome(&device), Ok(String::new()), "{from}");
        }
    }

    /// The other copy may be older than what needs support.
    #[test]
    fn a_copy_that_is_not_supported_is_valid() {
        let unsupported = Err(UNSUPPORTED);
        for (second, sequence, want) in [
            (false, 1, unsupported),
            (false, 2, unsupported),
            (false, 0, Ok("LUKS2 header at 0: older than the second one")),
            (true, 2, unsupported),
            (true, 1, Ok("")),
            (true, 0, Ok("")),
        ] {
            let mut device = device(SECRET);
            change(&mut device, second, sequence, REQUIREMENT);
            let want = want.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(outcome(&device), want, "{second} {sequence}");
        }
        let mut device = device(SECRET);
        change(&mut device, false, 9, ("{", "<"));
        change(&mut device, true, 1, REQUIREMENT);
        assert_eq!(outcome(&device), Err(UNSUPPORTED.to_owned()));
    }
}
