//! The newc archive ("new ASCII" cpio), as the kernel's initramfs unpacker reads it
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! header   110 bytes: "070701" (or "070702": with checksums), then 13 numbers of 8 hex digits:
//!          ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize
//!          check
//! name     namesize bytes, its NUL included; padded so that header + name is a multiple of 4
//! data     filesize bytes (a file's content, a link's target), padded to a multiple of 4
//! …
//! trailer  an entry named TRAILER!!!
//! zeros    up to a multiple of 512
//! ```
//!
//! Several archives may follow each other, with zeros between them.

mod read;
mod write;

pub(super) use read::Counted;
pub use read::{Member, ReadError, Reader, read};
pub(super) use write::data_offset;
pub use write::{Entry, Kind, Writer};

/// Size of the header in bytes.
const HEADER: usize = 110;
/// Longest name in bytes that the kernel accepts (PATH_MAX, without the NUL).
pub(super) const MAX_NAME: usize = 4095;
/// Name of the entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// The file type bits of the mode, as in stat(2).
pub(super) const S_IFMT: u32 = 0o170_000;
pub(super) const S_IFREG: u32 = 0o100_000;
pub(super) const S_IFDIR: u32 = 0o040_000;
pub(super) const S_IFLNK: u32 = 0o120_000;
pub(super) const S_IFCHR: u32 = 0o020_000;
pub(super) const S_IFBLK: u32 = 0o060_000;
pub(super) const S_IFIFO: u32 = 0o010_000;
pub(super) const S_IFSOCK: u32 = 0o140_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 7);
        let root = |name, mode, kind| Entry { name, mode, uid: 0, gid: 0, kind };
        for entry in [
            root(b"dev", 0o755, Kind::Dir),
            root(b"dev/console", 0o600, Kind::Char(5, 1)),
            root(b"dev/loop0", 0o660, Kind::Block(7, 0)),
            root(b"init", 0o755, Kind::File(b"hello")),
            root(b"sbin", 0o777, Kind::Link(b"usr/sbin")),
        ] {
            writer.append(&entry).unwrap();
        }
        let (out, len) = writer.finish().unwrap();
        assert_eq!(out.len() as u64, len);
        out
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        read(bytes).map(|m| String::from_utf8(m.unwrap().name).unwrap()).collect()
    }

    #[test]
    fn a_written_archive_reads_back() {
        let archive = sample();
        assert_eq!(archive.len() % 512, 0);
        let members: Vec<_> = read(&archive[..]).map(Result::unwrap).collect();
        let device = |m: &Member| format!("{}:{}", m.device.0, m.device.1);
        let seen: Vec<_> = members
            .iter()
            .map(|m| {
                let data = usize::try_from(m.data_at).unwrap();
                let data = &archive[data..data + m.size as usize];
                let (name, data) =
                    (String::from_utf8_lossy(&m.name), String::from_utf8_lossy(data));
                let (mode, device) = (m.mode_text(), device(m));
                format!("{} {mode} {} {} {device} {name} {data}", m.ino, m.nlink, m.mtime)
            })
            .collect();
        let expected = [
            "1 drwxr-xr-x 2 7 0:0 dev ",
            "2 crw------- 1 7 5:1 dev/console ",
            "3 brw-rw---- 1 7 7:0 dev/loop0 ",
            "4 -rwxr-xr-x 1 7 0:0 init hello",
            "5 lrwxrwxrwx 1 7 0:0 sbin usr/sbin",
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn modes_have_the_form_of_ls() {
        for (mode, want) in [
            (0o4755, "-rwsr-xr-x"),
            (0o6644, "-rwSr-Sr--"),
            (0o1777, "-rwxrwxrwt"),
            (0o1660, "-rw-rw---T"),
        ] {
            let mut writer = Writer::new(Vec::new(), 0);
            let kind = Kind::File(b"");
            writer.append(&Entry { name: b"x", mode, uid: 0, gid: 0, kind }).unwrap();
            let (archive, _) = writer.finish().unwrap();
            assert_eq!(read(&archive[..]).next().unwrap().unwrap().mode_text(), want, "{mode:o}");
        }
    }

    #[test]
    fn first_entry_byte_for_byte() {
        let expected = concat!(
            "070701",
            "00000001",
            "000041ED",
            "00000000",
            "00000000",
            "00000002",
            "00000007",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000000",
            "00000004",
            "00000000",
            "dev\0\0\0"
        );
        assert_eq!(String::from_utf8_lossy(&sample()[..116]), expected);
    }

    #[test]
    fn archives_in_a_row_are_one_sequence() {
        let mut twice = sample();
        twice.extend([0; 12]);
        twice.extend(sample());
        assert_eq!(names(&twice).len(), 10);
        assert!(read(&b""[..]).next().is_none());
        assert!(read(&b"\0\0\0\0"[..]).next().is_none());
        twice.extend(b"\x1f\x8b rest");
        let mut reader = read(&twice[..]);
        assert_eq!(reader.by_ref().count(), 10);
        assert!(!reader.is_at_end().unwrap());
        let rest = usize::try_from(reader.offset()).unwrap();
        assert!(twice[rest..].starts_with(b"\x1f\x8b"));
    }

    /// gen_init_cpio counts the NUL at the end of a target as data.
    #[test]
    fn a_target_ends_at_its_nul() {
        for target in [&b"usr/lib"[..], b"usr/lib\0", b"usr/lib\0rest"] {
            let mut writer = Writer::new(Vec::new(), 0);
            let kind = Kind::Link(target);
            writer.append(&Entry { name: b"lib", mode: 0o777, uid: 0, gid: 0, kind }).unwrap();
            let (archive, _) = writer.finish().unwrap();
            assert_eq!(read(&archive[..]).next().unwrap().unwrap().target, b"usr/lib");
        }
    }

    #[test]
    fn names_without_room_in_the_format_are_rejected() {
        let long = [b'a'; 4096];
        for name in [&b""[..], b"a\0b", &long] {
            let entry = Entry { name, mode: 0, uid: 0, gid: 0, kind: Kind::Dir };
            let error = Writer::new(Vec::new(), 0).append(&entry).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

    #[test]
    fn an_error_names_the_offset_of_the_damaged_entry() {
        let good = sample();
        let cases: [(Damage<'_>, usize, &str); 9] = [
            (&|a| a.truncate(50), 0, "the header is truncated"),
            (&|a| a.truncate(112), 0, "the name is truncated"),
            (&|a| a[120] = b'x', 116, "not a newc header"),
            (&|a| a[14] = b'g', 0, "a header field is not hexadecimal"),
            (&|a| a[113] = b'x', 0, "the name has no NUL"),
            // Sizes of 4 GiB, which must not be allocated.
            (&|a| a[94..102].fill(b'f'), 0, "the name is longer than 4095 bytes"),
            (&|a| a[94..102].copy_from_slice(b"00001001"), 0, "the name is longer than 4095 bytes"),
            (&|a| a[54..62].fill(b'f'), 0, "the data is truncated"),
            (
                &|a| {
                    a[14..22].copy_from_slice(b"0000A1FF");
                    a[54..62].copy_from_slice(b"00001001");
                },
                0,
                "the target of the link is longer than 4096 bytes",
            ),
        ];
        for (damage, offset, why) in cases {
            let mut bytes = good.clone();
            damage(&mut bytes);
            let errors: Vec<_> =
                read(&bytes[..]).filter_map(|m| Some(m.err()?.to_string())).collect();
            assert_eq!(errors, [format!("cpio entry at offset {offset}: {why}")]);
        }
    }

    #[test]
    fn checksums_are_verified() {
        let mut writer = Writer::new(Vec::new(), 0);
        let kind = Kind::File(b"abc");
        writer.append(&Entry { name: b"f", mode: 0o644, uid: 0, gid: 0, kind }).unwrap();
        let (mut bytes, _) = writer.finish().unwrap();
        bytes[5] = b'2';
        let error = read(&bytes[..]).next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "cpio entry at offset 0: the checksum does not match");
        let sum = format!("{:08x}", 97 + 98 + 99);
        bytes[102..110].copy_from_slice(sum.as_bytes());
        assert_eq!(read(&bytes[..]).next().unwrap().unwrap().size, 3);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            mut noise: Vec<u8>, at in 0usize..1000, cut in 0usize..1024,
        ) {
            let mut bytes = sample();
            bytes.truncate(cut.max(1));
            let at = at % bytes.len();
            noise.truncate(bytes.len() - at);
            bytes[at..at + noise.len()].copy_from_slice(&noise);
            proptest::prop_assert!(read(&bytes[..]).count() < 64);
        }
    }
}
