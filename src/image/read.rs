//! Reading images: archives in a row, each plain or compressed, with zeros between them
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use super::newc;
use crate::kmod::compress::Compression;

/// Largest size in bytes of one archive after decompression.
const LIMIT: u64 = 4 << 30;

/// An archive of an image that cannot be read.
#[derive(Debug)]
pub(crate) struct ArchiveError {
    /// Offset of the archive in the image, in bytes.
    pub(crate) offset: usize,
    /// The reason.
    pub(crate) cause: ArchiveCause,
}

/// Why an archive cannot be read.
#[derive(Debug)]
pub(crate) enum ArchiveCause {
    /// It is compressed with this codec, which the kernel knows and this program does not.
    Unsupported(&'static str),
    /// Its first bytes are neither those of an archive nor those of a known codec.
    Unknown,
    /// The compressed data is damaged, or exceeds the limit after decompression.
    Decode(io::Error),
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "archive at offset {}: ", self.offset)?;
        match &self.cause {
            ArchiveCause::Unsupported(codec) => write!(f, "{codec} is not supported"),
            ArchiveCause::Unknown => f.write_str("neither cpio nor a known compression"),
            ArchiveCause::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ArchiveCause::Decode(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns the archives of an image, decompressed. Each may consist of several archives for
/// [`newc::read`].
///
/// # Errors
///
/// Damaged data, or an unsupported codec (bzip2, lzma, lzo, lz4).
pub(crate) fn archives(image: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, ArchiveError> {
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

/// Returns the first archive in `bytes`, which start at `offset` of the image, and the bytes after
/// it.
fn archive(bytes: &[u8], offset: usize) -> Result<(Cow<'_, [u8]>, &[u8]), ArchiveError> {
    if bytes.starts_with(b"0707") {
        let (archive, after) = bytes.split_at(plain_len(bytes));
        return Ok((Cow::Borrowed(archive), after));
    }
    let decoded = match Compression::detect(bytes) {
        Compression::Gzip => gunzip(bytes),
        Compression::Zstd => unzstd(bytes),
        Compression::Xz => unxz(bytes),
        Compression::Plain => return Err(ArchiveError { offset, cause: unreadable(bytes) }),
    };
    decoded
        .map(|(archive, after)| (Cow::Owned(archive), after))
        .map_err(|error| ArchiveError { offset, cause: ArchiveCause::Decode(error) })
}

/// The decompressed first member, frame or stream, and the bytes after it.
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

/// Returns the length of the plain archives at the start of `bytes`.
fn plain_len(bytes: &[u8]) -> usize {
    let mut reader = newc::read(bytes);
    // A damaged archive extends to the end, and its reader reports the error.
    if reader.by_ref().any(|member| member.is_err()) { bytes.len() } else { reader.offset() }
}

fn read_all(decoder: impl Read) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    let len = decoder.take(LIMIT).read_to_end(&mut archive)?;
    if len as u64 == LIMIT {
        return Err(io::Error::other("decompresses to 4 GiB or more"));
    }
    Ok(archive)
}

/// Returns why an archive that starts with `bytes` cannot be read.
fn unreadable(bytes: &[u8]) -> ArchiveCause {
    ArchiveCause::Unsupported(match bytes {
        [b'B', b'Z', b'h', ..] => "bzip2",
        [0x5d, 0, ..] => "lzma",
        [0x89, b'L', b'Z', b'O', ..] => "lzo",
        // The legacy format that the kernel uses, and the default format of lz4.
        [2, 0x21, ..] | [4, 0x22, 0x4d, 0x18, ..] => "lz4",
        _ => return ArchiveCause::Unknown,
    })
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
    fn unsupported_codecs_are_named() {
        let cut = gzip(&archive_of(b"gzip"));
        let cases: [(&[u8], &str); 5] = [
            (b"\x04\x22\x4d\x18", "archive at offset 0: lz4 is not supported"),
            (b"\0\0\x02\x21rest", "archive at offset 2: lz4 is not supported"),
            (b"BZh9", "archive at offset 0: bzip2 is not supported"),
            (b"hello", "archive at offset 0: neither cpio nor a known compression"),
            (&cut[..20], "archive at offset 0: "),
        ];
        for (image, message) in cases {
            let error = archives(image).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
