//! Filesystems and partition tables, made by the usual tools: what coldplug finds, against blkid,
//! partx and sfdisk.
//!
//! No block device and no root is needed. If a tool is missing, a test is ignored with the name of
//! the Debian package.
#![allow(clippy::cast_possible_truncation, reason = "sizes and offsets in small images")]

use harness::run::{Test, unavailable};
use harness::tests;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    each_tool_with_a_plain_label,
    labels_of_every_kind,
    the_longest_label,
    a_volume_entry_anywhere_in_the_root_directory,
    a_full_fat16_root_directory,
    dates_of_a_disc,
    a_label_that_blkid_does_not_see,
    images_of_a_directory,
    flash_images,
    encrypted_devices,
    bcache_of_both_sorts,
    hibernated_swap,
    md_members,
    members_of_firmware_raids,
    physical_volumes,
    pool_members,
    members_hide_what_they_hold,
    two_file_systems_are_none,
    a_young_mbr_makes_an_lvm_label_stale,
    a_bootable_disc_is_both,
    the_superblock_of_the_last_partition_is_not_the_disks,
    tables_by_sfdisk,
    disks_of_the_boots,
    each_format_in_a_partition,
    many_logical_partitions,
    a_disk_without_signature,
    damaged_tables,
    boot_sectors_are_not_partition_tables,
    an_mbr_in_large_sectors,
    a_gpt_in_large_sectors,
    a_loop_of_logical_partitions_ends,
    the_root_type_is_sfdisks,
    damaged_images_cause_no_panic_and_few_reads,
    damaged_images_are_recognised_as_by_blkid,
    valid_images_need_few_reads,
];

use coldplug::cmdline::link_name;
use coldplug::disk::{self, PartitionTable, Source, Superblock, name};

/// Debian packages of the tools.
const PACKAGES: [(&str, &str); 22] = [
    ("blkid", "util-linux"),
    ("partx", "util-linux"),
    ("mkswap", "util-linux"),
    ("fdisk", "fdisk"),
    ("sfdisk", "fdisk"),
    ("mke2fs", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.f2fs", "f2fs-tools"),
    ("mkfs.fat", "dosfstools"),
    ("mkfs.exfat", "exfatprogs"),
    ("mkntfs", "ntfs-3g"),
    ("mkfs.erofs", "erofs-utils"),
    ("mksquashfs", "squashfs-tools"),
    ("genisoimage", "genisoimage"),
    ("xorriso", "xorriso"),
    ("mkudffs", "udftools"),
    ("cryptsetup", "cryptsetup-bin"),
    ("veritysetup", "cryptsetup-bin"),
    ("mkfs.ubifs", "mtd-utils"),
    ("ubinize", "mtd-utils"),
    ("make-bcache", "bcache-tools"),
];

/// A directory with one image, and a description of its content.
struct Image {
    dir: tempfile::TempDir,
    what: String,
}

impl Image {
    fn new(what: &str, size: u64) -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap(), what: what.to_owned() };
        File::create(image.path()).unwrap().set_len(size).unwrap();
        image
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn file(&self) -> File {
        File::options().read(true).write(true).open(self.path()).unwrap()
    }

    fn source(&self) -> Mutant {
        Mutant::new(self.file())
    }

    fn patch(&self, parts: &[(u64, &[u8])]) {
        for (at, bytes) in parts {
            self.file().write_all_at(bytes, *at).unwrap();
        }
    }

    /// Runs a tool in the directory of the image.
    fn run(&self, words: &[&str], input: &str) -> Output {
        let output = run(self.dir.path(), words, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {words:?}: {error}", self.what);
        output
    }

    fn blkid(&self, words: &[&str]) -> BTreeMap<String, String> {
        let words = [&["blkid", "-p", "-o", "udev", "image"], words].concat();
        let output = run(self.dir.path(), &words, "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Checks that TYPE, USAGE, UUID and LABEL are those of blkid, and returns them.
    fn compare(&self) -> Option<Superblock> {
        self.compare_with(disk::probe(&self.source()), &self.blkid(&[]))
    }

    /// Does the same for a part of the image, as for a partition.
    fn compare_part(&self, start: u64, size: u64) -> Option<Superblock> {
        let part = Part { disk: &self.source(), start, size };
        let words = ["-O", &start.to_string(), "-S", &size.to_string()];
        self.compare_with(disk::probe(&part), &self.blkid(&words))
    }

    fn compare_with(
        &self,
        found: Option<Superblock>,
        want: &BTreeMap<String, String>,
    ) -> Option<Superblock> {
        let text = |key: &str| want.get(key).map(String::as_str);
        let what = &self.what;
        let kind = text("ID_FS_TYPE");
        assert_eq!(found.as_ref().map(|f| f.kind), kind, "{what}: TYPE; blkid: {want:?}");
        let found = found?;
        // util-linux reports a pool member as raid only from 2.39 on; coldplug always does.
        if found.kind != "zfs_member" {
            assert_eq!(Some(found.usage.as_str()), text("ID_FS_USAGE"), "{what}: USAGE");
        }
        assert_eq!(found.label, text("ID_FS_LABEL_ENC").map(link_name::decode), "{what}: LABEL");
        assert_eq!(found.uuid, text("ID_FS_UUID_ENC").map(link_name::decode), "{what}: UUID");
        Some(found)
    }
}

fn run(dir: &Path, words: &[&str], input: &str) -> Output {
    let child = Command::new(words[0])
        .args(&words[1..])
        .current_dir(dir)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("SOURCE_DATE_EPOCH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let package = PACKAGES.iter().find(|(tool, _)| *tool == words[0]).unwrap().1;
            unavailable(format!("{} is missing: install the Debian package {package}", words[0]))
        }
        child => child.unwrap(),
    };
    // A tool that does not read its input may have exited already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A file with some bytes replaced and its end cut off, which counts the reads.
struct Mutant {
    file: File,
    size: u64,
    bytes: Vec<(u64, u8)>,
    read: Cell<u64>,
    reads: Cell<u64>,
}

impl Mutant {
    fn new(file: File) -> Self {
        let size = file.metadata().unwrap().len();
        Self { file, size, bytes: Vec::new(), read: Cell::new(0), reads: Cell::new(0) }
    }
}

impl Source for Mutant {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read.set(self.read.get() + buf.len() as u64);
        self.reads.set(self.reads.get() + 1);
        let count = self.file.read_at(buf, offset)?;
        for (at, byte) in &self.bytes {
            if let Some(place) = at.checked_sub(offset).and_then(|at| buf.get_mut(at as usize)) {
                *place = *byte;
            }
        }
        Ok(count)
    }
}

/// A part of a disk, as a source of its own.
struct Part<'a> {
    disk: &'a Mutant,
    start: u64,
    size: u64,
}

impl Source for Part<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.size.saturating_sub(offset).min(buf.len() as u64);
        self.disk.read(self.start + offset, &mut buf[..rest as usize])
    }
}

const MIB: u64 = 1 << 20;
const KEY: [&str; 5] =
    ["--key-file=-", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", "-q", "image"];

/// Type, size in MiB and command of the smallest image of every tool; `{}` stands for the label.
const TOOLS: [(&str, u64, &[&str]); 24] = [
    ("ext2", 4, &["mke2fs", "-q", "-t", "ext2", "-L", "{}", "image"]),
    ("ext3", 8, &["mke2fs", "-q", "-t", "ext3", "-L", "{}", "image"]),
    ("ext4", 8, &["mke2fs", "-q", "-t", "ext4", "-L", "{}", "image"]),
    ("ext4", 8, &["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "{}", "image"]),
    ("ext4", 8, &["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "{}", "image"]),
    ("jbd", 8, &["mke2fs", "-q", "-O", "journal_dev", "-L", "{}", "image"]),
    ("xfs", 300, &["mkfs.xfs", "-q", "-L", "{}", "image"]),
    ("xfs", 300, &["mkfs.xfs", "-q", "-s", "size=4096", "-L", "{}", "image"]),
    ("btrfs", 128, &["mkfs.btrfs", "-q", "-L", "{}", "image"]),
    ("f2fs", 64, &["mkfs.f2fs", "-q", "-l", "{}", "image"]),
    ("vfat", 1, &["mkfs.fat", "-F", "12", "-n", "{}", "image"]),
    ("vfat", 16, &["mkfs.fat", "-F", "16", "-n", "{}", "image"]),
    ("vfat", 64, &["mkfs.fat", "-F", "32", "-n", "{}", "image"]),
    ("vfat", 64, &["mkfs.fat", "-F", "32", "-S", "4096", "-n", "{}", "image"]),
    ("exfat", 8, &["mkfs.exfat", "-L", "{}", "image"]),
    ("ntfs", 8, &["mkntfs", "-q", "-F", "-Q", "-L", "{}", "image"]),
    ("ntfs", 8, &["mkntfs", "-q", "-F", "-Q", "-c", "65536", "-L", "{}", "image"]),
    ("udf", 8, &["mkudffs", "-l", "{}", "image"]),
    ("udf", 8, &["mkudffs", "-b", "512", "-l", "{}", "image"]),
    ("udf", 16, &["mkudffs", "-b", "4096", "-l", "{}", "image"]),
    ("swap", 1, &["mkswap", "-q", "-L", "{}", "image"]),
    ("swap", 1, &["mkswap", "-q", "-p", "65536", "-L", "{}", "image"]),
    ("iso9660", 0, &["genisoimage", "-quiet", "-J", "-V", "{}", "-o", "image", "tree"]),
    ("iso9660", 0, &["xorriso", "-as", "mkisofs", "-quiet", "-V", "{}", "-o", "image", "tree"]),
];

/// Makes the image of one row of [`TOOLS`].
fn made(row: usize, label: &str) -> Image {
    let (kind, size, words) = TOOLS[row];
    let image = Image::new(&format!("{kind} by {words:?} with label {label:?}"), size * MIB);
    tree(&image);
    let words: Vec<&str> =
        words.iter().map(|word| if *word == "{}" { label } else { word }).collect();
    image.run(&words, "");
    image
}

/// Makes a directory for the tools that make an image of one.
fn tree(image: &Image) {
    fs::create_dir(image.dir.path().join("tree")).unwrap();
    fs::write(image.dir.path().join("tree/file"), "content").unwrap();
}

fn each_tool_with_a_plain_label() {
    for (row, (kind, ..)) in TOOLS.iter().enumerate() {
        let found = made(row, "ROOT").compare().expect(kind);
        assert_eq!((found.kind, found.label.as_deref()), (*kind, Some("ROOT")), "{row}");
        assert!(found.uuid.is_some(), "{row}");
    }
}

/// Labels that the tool accepts, by row of [`TOOLS`].
const LABELS: [(usize, &[&str]); 11] = [
    (2, &["", "with space", "  two ", "0123456789abcdef", "Größe 🙂", "a/b\\c\"$'", "tab\there"]),
    (6, &["", "with space", "0123456789ab", "Größe"]),
    (8, &["", "with space", "Größe 🙂", "#+-.:=@_ ;%&", LONG]),
    (9, &["", "with space", "Größe 🙂 \u{fdd0}", LONG]),
    (11, &["", "WITH SPACE", "ELEVENCHARS", "NO NAME"]),
    (12, &["", "WITH SPACE", "ELEVENCHARS", "NO NAME"]),
    (14, &["", "with space", "Größe", "elevenchars"]),
    (15, &["", "with space", "Größe 🙂", "name of thirty two characters ok"]),
    (17, &["with space", "Größe", "€uro"]),
    (20, &["", "with space", "fifteen chars..", "Größe"]),
    (22, &["", "WITH SPACE", "sixteen chars ok", "longer than sixteen charac", "Größe", "  B"]),
];
const LONG: &str = "a label of 120 characters a label of 120 characters a label of 120 characters \
    a label of 120 characters a label of 120 ch";

fn labels_of_every_kind() {
    for (row, labels) in LABELS {
        for label in labels {
            made(row, label).compare().expect(label);
        }
    }
}

/// The label is longer than the buffer for blkid's escaped form.
fn the_longest_label() {
    let label = "0123456789 ABCDE".repeat(16)[..255].to_owned();
    for row in [8, 9] {
        let image = made(row, &label);
        let output = image.run(&["blkid", "-p", "-o", "value", "-s", "LABEL", "image"], "");
        let want = String::from_utf8(output.stdout).unwrap();
        let found = disk::probe(&image.source()).unwrap().label.unwrap();
        assert_eq!(found, want.trim_end_matches('\n'), "{row}");
        assert!(label.starts_with(&found) && found.len() >= 254, "mkfs.btrfs keeps 254");
    }
}

/// Returns a volume entry of a FAT directory.
fn volume(name: &[u8; 11]) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = 0x08;
    entry
}

fn a_volume_entry_anywhere_in_the_root_directory() {
    let image = made(12, "FIRST");
    let mut boot = [0; 512];
    image.file().read_exact_at(&mut boot, 0).unwrap();
    let fat = u64::from(u16::from_le_bytes([boot[14], boot[15]])) * 512;
    let fat_size = u64::from(u32::from_le_bytes(boot[36..40].try_into().unwrap())) * 512;
    let (root, cluster) = (fat + 2 * fat_size, u64::from(boot[13]) * 512);
    let free = vec![0xe5; cluster as usize];
    let fifth = root + 3 * cluster;
    image.patch(&[(root, &free), (fat + 8, &[5, 0, 0, 0]), (fat + 20, &[0xff, 0xff, 0xff, 0x0f])]);
    assert_eq!(image.compare().unwrap().label, None);
    let mut long = volume(b"L\0o\0n\0g\0 \0n");
    long[11] = 0x0f;
    let mut file = volume(b"NOTALABEL  ");
    file[26] = 9;
    let mut dir = volume(b"DIRECTORY  ");
    dir[11] = 0x18;
    image.patch(&[(fifth, &long), (fifth + 32, &file), (fifth + 64, &dir)]);
    assert_eq!(image.compare().unwrap().label, None);
    image.patch(&[(fifth + 96, &volume(b"SECOND LABE"))]);
    assert_eq!(image.compare().unwrap().label.as_deref(), Some("SECOND LABE"));
    image.patch(&[(fifth + 96, b"\x05")]);
    assert_eq!(image.compare().unwrap().label.as_deref(), Some("\u{10ffe5}ECOND LABE"));
    image.patch(&[(fat + 20, &[2, 0, 0, 0]), (fifth, &free)]);
    assert_eq!(image.compare().unwrap().label, None, "a directory that bites its tail");
}

fn a_full_fat16_root_directory() {
    let image = made(11, "FIRST");
    let mut boot = [0; 512];
    image.file().read_exact_at(&mut boot, 0).unwrap();
    let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let (root, entries) = ((word(14) + 2 * word(22)) * 512, word(17));
    image.patch(&[
        (root, &vec![0xe5; entries as usize * 32]),
        (root + entries * 32, &volume(b"OUTSIDE    ")),
    ]);
    assert_eq!(image.compare().unwrap().label, None);
    image.patch(&[(root + (entries - 1) * 32, &volume(b"LAST ENTRY "))]);
    assert_eq!(image.compare().unwrap().label.as_deref(), Some("LAST ENTRY"));
    image.patch(&[(0x26, &[0x28])]);
    assert!(image.compare().unwrap().uuid.is_some(), "the short boot record");
    image.patch(&[(0x26, &[0])]);
    assert!(image.compare().unwrap().uuid.is_none(), "no boot record");
}

fn dates_of_a_disc() {
    let (created, modified) = (0x8000 + 813, 0x8000 + 830);
    for (first, second, want) in [
        (b"2001020304050607\0", b"2011121314151617\0", Some("2011-12-13-14-15-16-17")),
        (b"2001020304050607\0", b"0000000000000000\0", Some("2001-02-03-04-05-06-07")),
        (b"2001020304050607\0", b"0000000000000000\x04", Some("0000-00-00-00-00-00-00")),
        (b"2001020304050607\0", &[0; 17], None),
        (b"0000000000000000\0", b"0000000000000000\0", None),
    ] {
        let image = made(22, "DATED");
        image.patch(&[(created, first), (modified, second)]);
        assert_eq!(image.compare().unwrap().uuid.as_deref(), want);
    }
    let image = Image::new("High Sierra", 8 * MIB);
    image.patch(&[(0x8000 + 8, b"\x01CDROM\x01"), (0x8000 + 48, b"OLD DISC  ")]);
    assert_eq!(image.compare().unwrap().label.as_deref(), Some("OLD DISC"));
}

/// blkid ends a label at a first character whose low byte is zero.
fn a_label_that_blkid_does_not_see() {
    let found = disk::probe(&made(9, "Ā first").source()).unwrap();
    assert_eq!(found.label.as_deref(), Some("Ā first"));
}

fn images_of_a_directory() {
    let erofs = Image::new("erofs", 0);
    tree(&erofs);
    erofs.run(&["mkfs.erofs", "--quiet", "image", "tree"], "");
    assert_eq!(erofs.compare().unwrap().kind, "erofs");
    erofs.patch(&[(1024 + 64, b"sixteen bytes ok")]);
    assert_eq!(erofs.compare().unwrap().label.as_deref(), Some("sixteen bytes ok"));

    let squashfs = Image::new("squashfs", 0);
    tree(&squashfs);
    squashfs.run(&["mksquashfs", "tree", "image", "-quiet", "-noappend"], "");
    assert_eq!(squashfs.compare().unwrap().kind, "squashfs");
}

fn flash_images() {
    let image = Image::new("ubifs in ubi", 0);
    tree(&image);
    image
        .run(&["mkfs.ubifs", "-r", "tree", "-m", "2048", "-e", "126976", "-c", "100", "image"], "");
    assert_eq!(image.compare().unwrap().kind, "ubifs");
    fs::rename(image.path(), image.dir.path().join("volume")).unwrap();
    let ini = "[root]\nmode=ubi\nimage=volume\nvol_id=0\nvol_size=4MiB\nvol_type=dynamic\n\
               vol_name=root\n";
    fs::write(image.dir.path().join("ini"), ini).unwrap();
    let words = ["ubinize", "-o", "image", "-m", "2048", "-p", "128KiB", "-Q", "3000000000", "ini"];
    image.run(&words, "");
    assert_eq!(image.compare().unwrap().uuid.as_deref(), Some("3000000000"));
}

fn encrypted_devices() {
    for (format, label) in [("luks1", None), ("luks2", None), ("luks2", Some("with space ü"))] {
        let image = Image::new(format, 32 * MIB);
        let kind = format!("--type={format}");
        let mut words = vec!["cryptsetup", "luksFormat", &kind];
        words.extend(label.iter().flat_map(|label| ["--label", label]));
        words.extend(KEY);
        image.run(&words, "secret");
        let found = image.compare().unwrap();
        assert_eq!((found.kind, found.label.as_deref()), ("crypto_LUKS", label));
        image.patch(&[(0, &[0; 6])]);
        let second = image.compare();
        assert_eq!(second.is_some(), format == "luks2", "the second header of {format}");
    }
    let image = Image::new("verity", 8 * MIB);
    fs::write(image.dir.path().join("data"), [0; 8192]).unwrap();
    image.run(&["veritysetup", "format", "data", "image"], "");
    assert_eq!(image.compare().unwrap().kind, "DM_verity_hash");
}

fn bcache_of_both_sorts() {
    for sort in ["-B", "-C"] {
        let image = Image::new("bcache", 128 * MIB);
        image.run(&["make-bcache", sort, "image"], "");
        assert_eq!(image.compare().unwrap().kind, "bcache");
    }
}

fn hibernated_swap() {
    for magic in
        ["S1SUSPEND\0", "S2SUSPEND\0", "ULSUSPEND\0", "LINHIB0001", "SWAP-SPACE", "SWAPSPACE3"]
    {
        for (row, page) in [(20, 4096), (21, 65536)] {
            let image = made(row, "sleepy");
            image.patch(&[(page - 10, magic.as_bytes())]);
            image.compare();
        }
    }
    let image = made(20, "sleepy");
    image.patch(&[(1024, &[0, 0, 0, 1])]);
    assert!(image.compare().is_some(), "the other byte order");
    image.patch(&[(1024, &[2])]);
    assert!(image.compare().is_none(), "another version");
    image.patch(&[(1024, &[1, 0, 0, 0]), (1200, &[1])]);
    assert!(image.compare().unwrap().uuid.is_none(), "names that are none");
    image.patch(&[(0, b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c")]);
    assert_eq!(image.compare().unwrap().kind, "swsuspend");
}

/// Returns a superblock of md 0.90. mdadm and pvcreate need block devices, so superblocks are
/// written here after their documentation.
fn md0(word: fn(u32) -> [u8; 4], minor: u32, kib: u32) -> Vec<u8> {
    let mut words = [0u32; 16];
    words[0] = 0xa92b_4efc;
    (words[2], words[5], words[8]) = (minor, 0x0011_2233, kib);
    (words[13], words[14], words[15]) = (0x4455_6677, 0x8899_aabb, 0xccdd_eeff);
    words.iter().flat_map(|w| word(*w)).collect()
}

fn md1(at: u64) -> Vec<u8> {
    let mut sb = vec![0; 256];
    sb[..8].copy_from_slice(b"\xfc\x4e\x2b\xa9\x01\0\0\0");
    sb[16..32].copy_from_slice(b"0123456789abcdef");
    sb[32..44].copy_from_slice(b"host:array 1");
    sb[144..152].copy_from_slice(&(at / 512).to_le_bytes());
    sb
}

fn md_members() {
    let size = 10 * MIB + 5000;
    let last = (size & !0xffff) - 0x10000;
    for (word, minor) in [
        (u32::to_le_bytes as fn(u32) -> [u8; 4], 90),
        (u32::to_be_bytes, 90),
        (u32::to_le_bytes, 30),
    ] {
        let image = Image::new("md 0.90", size);
        image.patch(&[(last, &md0(word, minor, 9000))]);
        assert_eq!(image.compare().unwrap().kind, "linux_raid_member");
        image.patch(&[(last, &md0(word, minor, 10240))]);
        assert!(image.compare().is_none(), "a member larger than its device");
    }
    for at in [(size & !0xfff) - 0x2000, 0, 0x1000] {
        let image = Image::new("md 1.x", size);
        image.patch(&[(at, &md1(at))]);
        assert_eq!(image.compare().unwrap().label.as_deref(), Some("host:array 1"));
        image.patch(&[(at, &md1(at + 512))]);
        assert!(image.compare().is_none(), "a superblock at another place than it says");
    }
}

fn members_of_firmware_raids() {
    let size = 10 * MIB;
    let image = Image::new("IMSM", size);
    image.patch(&[(size - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00\0\0")]);
    assert_eq!(image.compare().unwrap().kind, "isw_raid_member");
    image.patch(&[(size - 1024, b"i")]);
    assert!(image.compare().is_none());
    for magic in [0xde11_de11_u32.to_be_bytes(), 0xde11_de11_u32.to_le_bytes()] {
        let image = Image::new("DDF", size);
        image.patch(&[
            (size - 512, &magic),
            (size - 504, b"Linux-MD\xde\xad 12345"),
            (size - 400, b"02.00.00"),
        ]);
        assert_eq!(image.compare().unwrap().kind, "ddf_raid_member");
        let sector = if magic[0] == 0xde { 10_u64.to_be_bytes() } else { 10_u64.to_le_bytes() };
        image.patch(&[(size - 512 + 96, &sector)]);
        assert!(image.compare().is_none(), "without the primary header");
        image.patch(&[(10 * 512, &magic)]);
        assert_eq!(image.compare().unwrap().kind, "ddf_raid_member");
    }
}

/// Returns a valid LVM label for a sector.
fn lvm(sector: u8) -> Vec<u8> {
    let mut label = vec![0; 512];
    label[..8].copy_from_slice(b"LABELONE");
    label[8] = sector;
    label[20] = 32;
    label[24..32].copy_from_slice(b"LVM2 001");
    label[32..64].copy_from_slice(b"0123456789abcdefghijklmnopqrstuv");
    let crc = label[20..].iter().fold(0xf597_a6cf_u32, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg()))
    });
    label[16..20].copy_from_slice(&crc.to_le_bytes());
    label
}

fn physical_volumes() {
    for sector in 0..4 {
        let image = Image::new("LVM2", 8 * MIB);
        image.patch(&[(u64::from(sector) * 512, &lvm(sector))]);
        let found = image.compare().unwrap();
        assert_eq!(found.uuid.as_deref(), Some("012345-6789-abcd-efgh-ijkl-mnop-qrstuv"));
        image.patch(&[(u64::from(sector) * 512 + 100, &[1])]);
        assert!(image.compare().is_none(), "a wrong checksum");
    }
}

/// Writes the first label of a ZFS member, with this number of uberblocks.
fn zfs(image: &Image, magic: [u8; 8], uberblocks: u64) {
    let pair = |name: &str, kind: u32, value: &[u8]| {
        let mut pair = [[0; 4], [0; 4], u32::to_be_bytes(name.len() as u32)].concat();
        pair.extend(name.bytes().chain([0; 3]).take(name.len().next_multiple_of(4)));
        pair.extend([kind.to_be_bytes(), 1u32.to_be_bytes()].concat());
        pair.extend(value);
        let size = (pair.len() as u32).to_be_bytes();
        pair[..4].copy_from_slice(&size);
        pair
    };
    let mut list = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    list.extend(pair("version", 8, &5000u64.to_be_bytes()));
    list.extend(pair("name", 9, b"\0\0\0\x05rpool\0\0\0"));
    list.extend(pair("pool_guid", 8, &0xfedc_ba98_7654_3210_u64.to_be_bytes()));
    list.extend(pair("guid", 8, &7u64.to_be_bytes()));
    image.patch(&[(16 * 1024, &list)]);
    for number in 0..uberblocks {
        image.patch(&[(128 * 1024 + (4 + 4 * number) * 1024, &magic)]);
    }
}

fn pool_members() {
    for magic in [u64::to_le_bytes(0x00ba_b10c), u64::to_be_bytes(0x00ba_b10c)] {
        let image = Image::new("zfs", 65 * MIB);
        zfs(&image, magic, 3);
        assert!(image.compare().is_none(), "too few uberblocks");
        zfs(&image, magic, 4);
        let found = image.compare().unwrap();
        assert_eq!((found.kind, found.label.as_deref()), ("zfs_member", Some("rpool")));
        assert_eq!(found.uuid.as_deref(), Some("18364758544493064720"));
    }
}

fn members_hide_what_they_hold() {
    let image = made(2, "inside");
    let last = 8 * MIB - 0x10000;
    image.patch(&[(last, &md0(u32::to_le_bytes, 90, 7000))]);
    assert_eq!(image.compare().unwrap().kind, "linux_raid_member");

    let image = made(2, "old");
    image.patch(&[(512, &lvm(1))]);
    assert_eq!(image.compare().unwrap().kind, "LVM2_member");

    let image = made(2, "old");
    image.patch(&[(0, b"UBI#")]);
    assert_eq!(image.compare().unwrap().kind, "ubi");
}

fn two_file_systems_are_none() {
    let image = made(2, "two");
    let fat = made(11, "FAT");
    let mut sector = [0; 512];
    fat.file().read_exact_at(&mut sector, 0).unwrap();
    image.patch(&[(0, &sector)]);
    assert!(image.compare().is_none());
    let kinds: Vec<_> = disk::examine(&image.source()).superblocks.iter().map(|p| p.kind).collect();
    assert_eq!(kinds, ["vfat", "ext4"]);
}

fn a_young_mbr_makes_an_lvm_label_stale() {
    let image = Image::new("LVM2 under an MBR", 8 * MIB);
    image.run(&["sfdisk", "-q", "image"], "label: dos\n2048,4096,83\n");
    image.patch(&[(512, &lvm(1))]);
    assert!(image.compare().is_none());
    compare_tables(&image, 512);
}

fn a_bootable_disc_is_both() {
    let image = Image::new("iso9660 with an MBR", 0);
    tree(&image);
    let words = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "LIVE", "-o", "image"];
    image.run(&[&words[..], &["-append_partition", "2", "0x83", "tree/file", "tree"]].concat(), "");
    assert_eq!(image.compare().unwrap().kind, "iso9660");
    assert_eq!(compare_tables(&image, 512).unwrap().partitions.len(), 2);

    let image = Image::new("udf bridge", 0);
    tree(&image);
    image.run(&["genisoimage", "-quiet", "-udf", "-V", "BRIDGE", "-o", "image", "tree"], "");
    assert_eq!(image.compare().unwrap().kind, "udf");
}

fn the_superblock_of_the_last_partition_is_not_the_disks() {
    let image = Image::new("md 0.90 in the last partition", 16 * MIB);
    image.run(&["sfdisk", "-q", "image"], "label: dos\n2048,,fd\n");
    let last = 16 * MIB - 0x10000;
    image.patch(&[(last, &md0(u32::to_le_bytes, 90, 14 * 1024))]);
    assert!(image.compare().is_none());
    image.patch(&[(0, &[0; 512])]);
    assert!(image.compare().is_some());
}

/// Compares a partition table with blkid (table), partx (each partition, through libblkid) and
/// sfdisk (through libfdisk).
fn compare_tables(image: &Image, sector_size: u32) -> Option<PartitionTable> {
    let what = &image.what;
    let size = sector_size.to_string();
    let found = disk::partition_table(&image.source(), sector_size);
    let columns = "NR,START,SECTORS,UUID,TYPE,NAME";
    let words = ["partx", "-g", "-P", "-o", columns, "-S", &size, "image"];
    let output = run(image.dir.path(), &words, "");
    let lines = String::from_utf8(output.stdout).unwrap();
    let ours: Vec<_> = found.iter().flat_map(|t| &t.partitions).map(row).collect();
    assert_eq!(ours, lines.lines().map(pairs).collect::<Vec<_>>(), "{what}");
    if sector_size == 512 {
        let want = image.blkid(&[]);
        let kind = want.get("ID_PART_TABLE_TYPE").map(String::as_str).filter(|k| *k != "PMBR");
        assert_eq!(found.as_ref().map(|t| t.kind), kind, "{what}");
        let uuid = found.as_ref().and_then(|t| t.uuid.as_ref());
        assert_eq!(uuid, want.get("ID_PART_TABLE_UUID").filter(|_| kind.is_some()), "{what}");
    }
    found
}

/// Returns one partition in the columns of partx, which has no UUID for those of a disk without a
/// signature.
fn row(partition: &disk::Partition) -> Vec<String> {
    let sectors = |bytes: u64| (bytes / 512).to_string();
    let uuid = partition.uuid.clone().filter(|uuid| !uuid.starts_with("00000000-"));
    vec![
        partition.number.to_string(),
        sectors(partition.start),
        sectors(partition.size),
        uuid.unwrap_or_default(),
        partition.kind.clone(),
        partition.label.clone().unwrap_or_default(),
    ]
}

/// Returns the values of `KEY="value" …`.
fn pairs(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(link_name::decode).collect()
}

fn compare_with_sfdisk(image: &Image) {
    let output = image.run(&["sfdisk", "--json", "image"], "");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let table = &json["partitiontable"];
    let ours = disk::partition_table(&image.source(), 512).unwrap();
    let uuid = table["id"].as_str().unwrap().trim_start_matches("0x").to_lowercase();
    assert_eq!(ours.uuid.as_deref(), Some(uuid.as_str()), "{}", image.what);
    let none = Vec::new();
    let theirs = table["partitions"].as_array().unwrap_or(&none);
    assert_eq!(ours.partitions.len(), theirs.len(), "{}", image.what);
    for (our, their) in ours.partitions.iter().zip(theirs) {
        let node = name::partition_name("image", our.number);
        assert_eq!(their["node"].as_str(), Some(node.as_str()));
        assert_eq!(their["start"].as_u64(), Some(our.start / 512));
        assert_eq!(their["size"].as_u64(), Some(our.size / 512));
        assert_eq!(their["name"].as_str(), our.label.as_deref());
        let kind = their["type"].as_str().unwrap().to_lowercase();
        assert_eq!(our.kind.trim_start_matches("0x"), kind, "{}", image.what);
        let boot = u64::from(their["bootable"].as_bool() == Some(true)) << 7;
        let bits = their["attrs"].as_str().map_or(boot, attributes);
        assert_eq!(our.attributes, bits, "{}", image.what);
        if let Some(uuid) = their["uuid"].as_str() {
            assert_eq!(our.uuid, Some(uuid.to_lowercase()));
        }
    }
}

/// Returns the attribute bits of a GPT entry from sfdisk's names for them.
fn attributes(words: &str) -> u64 {
    const NAMES: [&str; 3] = ["RequiredPartition", "NoBlockIOProtocol", "LegacyBIOSBootable"];
    let bit = |word: &str| {
        let named = NAMES.iter().position(|name| *name == word);
        named.unwrap_or_else(|| word.trim_start_matches("GUID:").parse().unwrap())
    };
    words.split([' ', ',']).map(|word| 1 << bit(word)).sum()
}

const GPT: &str = "label: gpt\nlabel-id: 11223344-5566-7788-99AA-BBCCDDEEFF00\n\
    size=1M, type=U, uuid=01234567-89AB-CDEF-0123-456789ABCDEF, name=\"EFI System\"\n\
    size=2M, type=L, name=\"Größe/root 🙂\", attrs=\"GUID:60\"\n\
    size=1M, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709\n\
    size=1M, type=L, name=\"thirty-six characters for the name!!\"\n";
const LOGICAL: &str = "label: dos\nlabel-id: 0xdeadbeef\nsize=1M, type=83, bootable\n\
    size=1M, type=c\n\
    type=f\nsize=1M, type=83\nsize=2M, type=82\nsize=1M, type=8e\n";

fn tables_by_sfdisk() {
    for script in [
        GPT,
        LOGICAL,
        "label: gpt\nunit: sectors\n9: start=4096, size=2048, type=L\n\
         3: start=8192, size=2048, type=L\n",
        "label: gpt\ntable-length: 4\nsize=1M\n",
        "label: gpt\n",
        "label: gpt\nsize=1M, attrs=\"RequiredPartition LegacyBIOSBootable GUID:48,59,63\"\n",
        "label: dos\n",
        "label: dos\n4: size=1M, type=5\n2: size=1M, type=83\n",
        "label: dos\nlabel-id: 0x00000001\nsize=1M, type=ef\n",
    ] {
        let image = Image::new(script, 16 * MIB);
        image.run(&["sfdisk", "-q", "image"], script);
        compare_tables(&image, 512).unwrap();
        compare_with_sfdisk(&image);
    }
}

/// Partition tables of the boots in boots/root.rs.
const BOOTED: [&str; 4] = [
    "label: gpt\n\
     start=2048, size=32768, uuid=c01d9106-0000-4000-8000-0000000000aa, name=\"first part\"\n\
     start=34816, size=32768, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, name=cold-part\n",
    "label: gpt\nstart=2048, size=32768\n\
     start=34816, size=32768, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709, \
     attrs=\"GUID:60\"\n",
    "label: dos\nlabel-id: 0x89abcdef\nstart=2048, size=2048, type=83\n\
     start=4096, size=100000, type=5\nstart=6144, size=32768, type=83\n",
    "label: gpt\nstart=2048, size=32768, name=my\\x20root\n\
     start=34816, size=32768, name=\"my root/1\"\n",
];

fn disks_of_the_boots() {
    let mut root = Image::new("ext4", 16 * MIB);
    root.run(&["mke2fs", "-q", "-t", "ext4", "-L", "my root/1", "image"], "");
    assert_eq!(root.compare().unwrap().label.as_deref(), Some("my root/1"));
    let content = fs::read(root.path()).unwrap();
    for script in BOOTED {
        root = Image::new(script, 64 * MIB);
        root.run(&["sfdisk", "-q", "image"], script);
        let parts = compare_tables(&root, 512).unwrap().partitions;
        compare_with_sfdisk(&root);
        let last = parts.last().unwrap();
        root.patch(&[(last.start, &content)]);
        let labels = parts.iter().map(|part| root.compare_part(part.start, part.size)?.label);
        let labels: Vec<_> = labels.collect();
        assert_eq!(labels.last().unwrap().as_deref(), Some("my root/1"), "{script}");
        assert!(root.compare().is_none(), "{script}");
    }
}

/// Superblocks at the end of a device are searched at the end of the partition, not of the disk.
fn each_format_in_a_partition() {
    let mut images: Vec<Image> = (0..TOOLS.len()).map(|row| made(row, "PART")).collect();
    images.extend(members());
    for image in images {
        let content = fs::read(image.path()).unwrap();
        let (size, want) = (content.len() as u64, image.compare().unwrap());
        let disk = Image::new(&format!("a partition with {}", image.what), size + 3 * MIB);
        disk.run(&["sfdisk", "-q", "image"], "label: gpt\nstart=2048\n");
        disk.patch(&[(MIB, &content)]);
        assert_eq!(disk.compare_part(MIB, size), Some(want));
    }
}

fn many_logical_partitions() {
    let script = format!("label: dos\ntype=5\n{}", "size=1M, type=83\n".repeat(40));
    let image = Image::new("40 logical partitions", 128 * MIB);
    image.run(&["sfdisk", "-q", "image"], &script);
    let table = compare_tables(&image, 512).unwrap();
    let last = table.partitions.last().unwrap();
    assert_eq!(last.number, 44);
    assert!(last.uuid.as_ref().unwrap().ends_with("-2c"), "the number is hexadecimal");
}

fn a_disk_without_signature() {
    let image = Image::new("no signature", 16 * MIB);
    image.run(&["sfdisk", "-q", "image"], LOGICAL);
    image.patch(&[(440, &[0; 4])]);
    let table = compare_tables(&image, 512).unwrap();
    assert_eq!(table.uuid, None);
    assert_eq!(table.partitions[1].uuid.as_deref(), Some("00000000-02"));
}

fn damaged_tables() {
    let header = 512;
    let backup = 16 * MIB - 512;
    for (what, places, whole) in [
        ("signature", &[header][..], true),
        ("header", &[header + 60], true),
        ("entries", &[1024 + 16], true),
        ("backup", &[backup], true),
        ("both headers", &[header, backup], false),
        ("entries and backup", &[1024 + 16, backup + 60], false),
        ("protective MBR", &[446 + 4], false),
        ("55 aa", &[510], false),
    ] {
        let image = Image::new(what, 16 * MIB);
        image.run(&["sfdisk", "-q", "image"], GPT);
        for place in places {
            image.patch(&[(*place, b"\x42")]);
        }
        let table = compare_tables(&image, 512);
        assert_eq!(table.is_some_and(|t| t.partitions.len() == 4), whole, "{what}");
    }
}

fn boot_sectors_are_not_partition_tables() {
    for row in [10, 11, 12, 15] {
        let image = made(row, "NOTABLE");
        assert!(compare_tables(&image, 512).is_none(), "{}", image.what);
    }
    // util-linux knows this about exfat only from 2.39 on.
    assert_eq!(disk::partition_table(&made(14, "NOTABLE").source(), 512), None);
}

/// The table for sectors of 4 KiB is written by hand, because sfdisk only takes the sector size
/// from a device.
fn an_mbr_in_large_sectors() {
    let image = Image::new("MBR in sectors of 4 KiB", 64 * MIB);
    let entry = |kind: u8, start: u32, size: u32| {
        let mut entry = [0; 16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&size.to_le_bytes());
        entry
    };
    image.patch(&[
        (440, b"\x78\x56\x34\x12"),
        (446, &entry(0x83, 256, 1024)),
        (462, &entry(0x05, 2048, 4096)),
        (510, b"\x55\xaa"),
        (2048 * 4096 + 446, &entry(0x83, 16, 512)),
        (2048 * 4096 + 510, b"\x55\xaa"),
    ]);
    let table = compare_tables(&image, 4096).unwrap();
    assert_eq!(table.partitions[2].start, (2048 + 16) * 4096);
    assert_eq!(table.partitions[2].uuid.as_deref(), Some("12345678-05"));
}

/// Only fdisk accepts the sector size of an image as an option.
fn a_gpt_in_large_sectors() {
    let image = Image::new("GPT in sectors of 4 KiB", 64 * MIB);
    let script = "g\nn\n1\n\n+8M\nn\n7\n\n\nx\nn\n1\nroot A\nr\nw\n";
    image.run(&["fdisk", "-b", "4096", "image"], script);
    let table = compare_tables(&image, 4096).unwrap();
    assert_eq!((table.kind, table.partitions.len()), ("gpt", 2));
    assert_eq!(table.partitions[0].label.as_deref(), Some("root A"));
    assert_eq!(compare_tables(&image, 512), None, "sectors of another size");
    image.patch(&[(4096, &[0])]);
    assert_eq!(compare_tables(&image, 4096), Some(table), "from the backup");
}

fn a_loop_of_logical_partitions_ends() {
    let image = Image::new("loop", 16 * MIB);
    image.run(&["sfdisk", "-q", "image"], LOGICAL);
    let table = disk::partition_table(&image.source(), 512).unwrap();
    let extended = table.partitions.iter().find(|p| p.kind == "0xf").unwrap().start;
    image.patch(&[(extended + 462 + 8, &[0; 4])]);
    let source = image.source();
    assert!(disk::partition_table(&source, 512).unwrap().partitions.len() <= 260);
    assert!(source.reads.get() < 600);
}

fn the_root_type_is_sfdisks() {
    let output = run(Path::new("/"), &["sfdisk", "--list-types", "-X", "gpt"], "");
    let types = String::from_utf8(output.stdout).unwrap().to_lowercase();
    let ours = disk::root_type_guid().unwrap();
    let line = types.lines().find(|line| line.starts_with(ours)).unwrap();
    let arch = std::env::consts::ARCH
        .replace('_', "-")
        .replace("aarch", "arm-")
        .replace("riscv", "risc-v-");
    assert!(line.ends_with(&format!("linux root ({arch})")), "{line}");
}

/// A small random number generator, so that a failure repeats (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Offsets and lengths of the areas in which a changed byte may matter.
const PLACES: [(u64, u64); 7] = [
    (0, 512),
    (512, 1024),
    (1024, 600),
    (4096, 256),
    (0x4000, 512),
    (0x8000, 6144),
    (0x10000, 0x22b),
];

fn damaged_images_cause_no_panic_and_few_reads() {
    let mut dice = Dice(1);
    let mut images: Vec<Image> = (0..TOOLS.len()).map(|row| made(row, "LABEL")).collect();
    for script in [GPT, LOGICAL] {
        images.push(Image::new(script, 16 * MIB));
        images.last().unwrap().run(&["sfdisk", "-q", "image"], script);
    }
    images.push(Image::new("zfs", 65 * MIB));
    zfs(images.last().unwrap(), u64::to_le_bytes(0x00ba_b10c), 4);
    for image in &images {
        let mut mutant = image.source();
        let whole = mutant.size;
        for _ in 0..400 {
            mutant.size = if dice.below(4) == 0 { dice.below(whole + 1) } else { whole };
            mutant.bytes = (0..=dice.below(4)).map(|_| flip(&mut dice)).collect();
            mutant.read.set(0);
            let _ = disk::probe(&mutant);
            assert!(mutant.read.get() < 3 * MIB / 2, "{} {:?}", image.what, mutant.bytes);
            mutant.read.set(0);
            let _ = disk::partition_table(&mutant, if dice.below(4) == 0 { 4096 } else { 512 });
            assert!(mutant.read.get() < 3 * MIB / 2, "{} {:?}", image.what, mutant.bytes);
        }
    }
}

/// Rows of [`TOOLS`] with different probers.
const DAMAGED: [usize; 14] = [2, 5, 6, 8, 9, 10, 11, 12, 14, 15, 17, 20, 22, 23];

/// Makes images of the formats that have no row in [`TOOLS`].
fn members() -> Vec<Image> {
    let luks = Image::new("LUKS2", 32 * MIB);
    luks.run(&[&["cryptsetup", "luksFormat", "--label=LABEL"], &KEY[..]].concat(), "secret");
    let verity = Image::new("verity", 8 * MIB);
    fs::write(verity.dir.path().join("data"), [0; 8192]).unwrap();
    verity.run(&["veritysetup", "format", "data", "image"], "");
    let bcache = Image::new("bcache", 16 * MIB);
    bcache.run(&["make-bcache", "-B", "image"], "");
    let md = Image::new("md 1.2", 16 * MIB);
    md.patch(&[(0x1000, &md1(0x1000))]);
    let old = Image::new("md 0.90", 16 * MIB);
    old.patch(&[(16 * MIB - 0x10000, &md0(u32::to_le_bytes, 90, 9000))]);
    let lvm2 = Image::new("LVM2", 16 * MIB);
    lvm2.patch(&[(512, &lvm(1))]);
    let pool = Image::new("zfs", 65 * MIB);
    zfs(&pool, u64::to_le_bytes(0x00ba_b10c), 4);
    vec![luks, verity, bcache, md, old, lvm2, pool]
}

/// A damaged image must be recognised as blkid recognises it.
fn damaged_images_are_recognised_as_by_blkid() {
    let mut dice = Dice(2);
    let mut images: Vec<Image> = DAMAGED.iter().map(|row| made(*row, "LABEL")).collect();
    images.extend(members());
    for image in &mut images {
        let made_by = image.what.clone();
        for _ in 0..40 {
            let (at, byte) = flip(&mut dice);
            let mut old = [0];
            if image.file().read_at(&mut old, at).unwrap() == 0 {
                continue;
            }
            image.patch(&[(at, &[byte])]);
            image.what = format!("{made_by}; byte {at:#x} {old:02x?} -> {byte:#x}");
            image.compare();
            image.patch(&[(at, &old)]);
        }
    }
}

fn flip(dice: &mut Dice) -> (u64, u8) {
    let (start, length) = PLACES[dice.below(PLACES.len() as u64) as usize];
    let byte = [0, 0xff, 1, 0x80, dice.below(256) as u8][dice.below(5) as usize];
    (start + dice.below(length), byte)
}

fn valid_images_need_few_reads() {
    for (row, (kind, ..)) in TOOLS.iter().enumerate() {
        let source = made(row, "LABEL").source();
        disk::probe(&source).unwrap();
        let (reads, bytes) = (source.reads.get(), source.read.get() / 1024);
        assert!(reads <= 12 && bytes <= 160, "{kind}: {reads} reads, {bytes} KiB");
    }
}
