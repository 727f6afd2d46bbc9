//! Reading images: archives one after another, each plain or compressed, with zeros between them
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::borrow::Cow;
use std::io::{self, Read};

use super::{Error, newc};
use crate::kmod::compress::Compression;

/// The most that one compressed archive may decode to.
const LIMIT: u64 = 4 << 30;

/// The archives of an image, decoded; each may hold several for [`newc::read`].
///
/// # Errors
///
/// Damaged data, or a codec that isn't read here (bzip2, lzma, lzo, lz4).
pub fn archives(image: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Error> {
    let mut found = Vec::new();
    let mut rest = image;
    loop {
        let zeros = rest.iter().take_while(|byte| **byte == 0).count();
        rest = &rest[zeros..];
        if rest.is_empty() {
            return Ok(found);
        }
        let (archive, after) = archive(rest, image.len() - rest.len())?;
        found.push(archive);
        rest = after;
    }
}

/// The first archive in `bytes`, which start at `offset` of the image, and what follows it.
fn archive(bytes: &[u8], offset: usize) -> Result<(Cow<'_, [u8]>, &[u8]), Error> {
    if bytes.starts_with(b"0707") {
        let (archive, after) = bytes.split_at(plain_len(bytes));
        return Ok((Cow::Borrowed(archive), after));
    }
    let decoded = match Compression::detect(bytes) {
        Compression::Gzip => gunzip(bytes),
        Compression::Zstd => unzstd(bytes),
        Compression::Xz => unxz(bytes),
        Compression::Plain => return Err(unknown(bytes, offset)),
    };
    decoded
        .map(|(archive, after)| (Cow::Owned(archive), after))
        .map_err(|error| Error::Archive(format!("archive at offset {offset}: {error}")))
}

/// What the first member, frame or stream holds, and what follows it.
type Decoded<'a> = io::Result<(Vec<u8>, &'a [u8])>;

fn gunzip(mut bytes: &[u8]) -> Decoded<'_> {
    let archive = read_all(flate2::bufread::GzDecoder::new(&mut bytes))?;
    Ok((archive, bytes))
}

fn unzstd(bytes: &[u8]) -> Decoded<'_> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?.single_frame();
    let archive = read_all(&mut decoder)?;
    Ok((archive, decoder.finish()))
}

fn unxz(bytes: &[u8]) -> Decoded<'_> {
    let mut decoder = liblzma::bufread::XzDecoder::new(bytes);
    let archive = read_all(&mut decoder)?;
    Ok((archive, decoder.into_inner()))
}

/// How far the plain archives at the start of `bytes` go.
fn plain_len(bytes: &[u8]) -> usize {
    let mut reader = newc::read(bytes);
    // A damaged one is the whole rest: whoever reads it gets the error.
    if reader.by_ref().any(|member| member.is_err()) { bytes.len() } else { reader.offset() }
}

fn read_all(decoder: impl Read) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    let len = decoder.take(LIMIT).read_to_end(&mut archive)?;
    if len as u64 == LIMIT {
        return Err(io::Error::other("decodes to 4 GiB or more"));
    }
    Ok(archive)
}

fn unknown(bytes: &[u8], offset: usize) -> Error {
    let codec = match bytes {
        [b'B', b'Z', b'h', ..] => "bzip2 is not read here",
        [0x5d, 0, ..] => "lzma is not read here",
        [0x89, b'L', b'Z', b'O', ..] => "lzo is not read here",
        // The kernel's own form, and the one that lz4 writes by itself.
        [2, 0x21, ..] | [4, 0x22, 0x4d, 0x18, ..] => "lz4 is not read here",
        _ => "no archive and no known compression",
    };
    Error::Archive(format!("archive at offset {offset}: {codec}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn archive_of(name: &[u8]) -> Vec<u8> {
        let mut writer = newc::Writer::new(Vec::new(), 0);
        let kind = newc::Kind::File(b"data");
        writer.append(&newc::Entry { name, mode: 0o644, uid: 0, gid: 0, kind }).unwrap();
        writer.finish().unwrap().0
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_archive_of_an_image_is_read() {
        let mut image = archive_of(b"plain");
        image.extend(archive_of(b"second"));
        image.extend(gzip(&archive_of(b"gzip")));
        image.extend([0; 5]);
        image.extend(zstd::stream::encode_all(&archive_of(b"zstd")[..], 3).unwrap());
        image.extend(zstd::stream::encode_all(&archive_of(b"frame")[..], 3).unwrap());
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&archive_of(b"xz")).unwrap();
        image.extend(xz.finish().unwrap());
        image.extend([0; 5]);
        image.extend(gzip(&archive_of(b"last")));
        image.extend([0; 512]);
        let archives = archives(&image).unwrap();
        let names: Vec<_> = archives
            .iter()
            .flat_map(|archive| newc::read(archive))
            .map(|member| String::from_utf8_lossy(member.unwrap().name).into_owned())
            .collect();
        assert_eq!(names, ["plain", "second", "gzip", "zstd", "frame", "xz", "last"]);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let cut = gzip(&archive_of(b"gzip"));
        let cases: [(&[u8], &str); 5] = [
            (b"\x04\x22\x4d\x18", "archive at offset 0: lz4 is not read here"),
            (b"\0\0\x02\x21rest", "archive at offset 2: lz4 is not read here"),
            (b"BZh9", "archive at offset 0: bzip2 is not read here"),
            (b"hello", "archive at offset 0: no archive and no known compression"),
            (&cut[..20], "archive at offset 0: "),
        ];
        for (image, message) in cases {
            let error = archives(image).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
