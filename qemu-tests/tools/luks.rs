//! LUKS headers made by cryptsetup: volume keys and the order of the key slots, against cryptsetup.
//!
//! No device mapper and no root is needed: cryptsetup formats files and prints volume keys.

use harness::run::{Test, unavailable};
use harness::tests;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldplug::disk::luks::header::{self, Header};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] =>
    volume_keys_of_every_kind_of_header,
    a_damaged_primary_header,
    a_copy_with_invalid_metadata,
    slots_are_tried_by_priority,
    a_key_file_with_any_bytes,
    damaged_headers_cause_no_panic,
];

/// Name and options of luksFormat. The costs are the lowest that cryptsetup accepts.
const FORMATS: [(&str, &str); 21] = [
    ("1-sha1-xts-256", "--type luks1 --hash sha1 --cipher aes-xts-plain64 --key-size 256"),
    ("1-sha256-xts-512", "--type luks1 --hash sha256 --cipher aes-xts-plain64 --key-size 512"),
    ("1-sha512-essiv", "--type luks1 --hash sha512 --cipher aes-cbc-essiv:sha256 --key-size 256"),
    ("1-sha224-essiv-128", "--type luks1 --hash sha224 --cipher aes-cbc-essiv:sha256 -s 128"),
    ("1-sha384-plain", "--type luks1 --hash sha384 --cipher aes-cbc-plain --key-size 192"),
    ("1-plain64", "--type luks1 --cipher aes-cbc-plain64 --key-size 128"),
    ("1-xts-plain", "--type luks1 --cipher aes-xts-plain --key-size 512"),
    ("1-plain64be", "--type luks1 --cipher aes-cbc-plain64be --key-size 256"),
    ("2-pbkdf2-sha256", "--type luks2 --pbkdf pbkdf2 --hash sha256"),
    ("2-pbkdf2-sha512", "--type luks2 --pbkdf pbkdf2 --hash sha512"),
    ("2-pbkdf2-sha1", "--type luks2 --pbkdf pbkdf2 --hash sha1"),
    ("2-pbkdf2-sha384", "--type luks2 --pbkdf pbkdf2 --hash sha384 --key-size 256"),
    ("2-argon2i", "--type luks2 --pbkdf argon2i"),
    ("2-argon2id", "--type luks2 --pbkdf argon2id"),
    ("2-argon2id-lanes", "--type luks2 --pbkdf argon2id --pbkdf-parallel 4 --pbkdf-memory 4099"),
    ("2-argon2id-odd", "--type luks2 --pbkdf argon2id --pbkdf-parallel 3 --pbkdf-memory 101"),
    ("2-argon2i-sha512", "--type luks2 --pbkdf argon2i --hash sha512 --sector-size 4096"),
    ("2-4k-sectors", "--type luks2 --pbkdf pbkdf2 --sector-size 4096 --label data"),
    ("2-large", "--type luks2 --pbkdf pbkdf2 --luks2-metadata-size 256k"),
    (
        "2-essiv-slot",
        "--type luks2 --pbkdf argon2id --keyslot-cipher aes-cbc-essiv:sha256 --keyslot-key-size 256",
    ),
    ("2-xts-128-slot", "--type luks2 --keyslot-cipher aes-xts-plain64 --keyslot-key-size 256"),
];

const SECRET: &[u8] = b"a passphrase";
/// Length of a copy of the header of LUKS2, unless an option says another.
const COPY: usize = 16 << 10;

/// An image, and the file with its secret.
struct Image {
    dir: tempfile::TempDir,
}

impl Image {
    /// Formats a file. The test is ignored if there is no cryptsetup.
    fn format(options: &str) -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(image.key_file(), SECRET).unwrap();
        File::create(image.path()).unwrap().set_len(24 << 20).unwrap();
        let cost: &[&str] = match options {
            _ if options.contains("argon2") => &["--pbkdf-force-iterations", "4"],
            _ => &["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
        };
        let memory: &[&str] = match options {
            _ if options.contains("argon2") && !options.contains("-memory") => {
                &["--pbkdf-memory", "64"]
            }
            _ => &[],
        };
        let options: Vec<_> =
            options.split(' ').chain(cost.iter().chain(memory).copied()).collect();
        image.cryptsetup("luksFormat", &options);
        image
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("secret")
    }

    /// Runs cryptsetup on the image with its secret.
    fn cryptsetup(&self, action: &str, options: &[&str]) {
        let mut command = Command::new("cryptsetup");
        command.args(["-q", action, "--key-file"]).arg(self.key_file()).args(options);
        // The new secret of luksAddKey follows the device.
        let (options, last) = (self.path(), self.dir.path().join("second"));
        command.arg(options);
        if action == "luksAddKey" {
            command.arg(last);
        }
        match command.output() {
            Err(_) => unavailable("cryptsetup is not installed (cryptsetup-bin)"),
            Ok(output) => assert!(output.status.success(), "{command:?}: {output:?}"),
        }
    }

    /// Returns the volume key that cryptsetup finds.
    fn volume_key(&self) -> Vec<u8> {
        let path = self.dir.path().join("volume-key");
        let _ = fs::remove_file(&path);
        self.cryptsetup("luksDump", &["--dump-volume-key", "--volume-key-file", text(&path)]);
        fs::read(path).unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Replaces text in the metadata of a copy of the header, whose checksum stays right.
    fn change_metadata(&self, copy: usize, (from, to): (&str, &str)) {
        let mut bytes = self.bytes();
        let copy = &mut bytes[copy * COPY..][..COPY];
        let json = copy[4096..].split(|byte| *byte == 0).next().unwrap();
        let json = std::str::from_utf8(json).unwrap();
        assert!(json.contains(from), "{json}");
        let json = json.replacen(from, to, 1);
        copy[4096..].fill(0);
        copy[4096..][..json.len()].copy_from_slice(json.as_bytes());
        copy[448..512].fill(0);
        let checksum = header::checksum(copy);
        copy[448..480].copy_from_slice(&checksum);
        fs::write(self.path(), bytes).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn volume_keys_of_every_kind_of_header() {
    for (name, options) in FORMATS {
        let image = Image::format(options);
        let bytes = image.bytes();
        let header = Header::read(&&bytes[..]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let key = header.volume_key(&&bytes[..], SECRET, None);
        assert_eq!(key.as_ref(), Some(&image.volume_key()), "{name}");
        assert_eq!(header.volume_key(&&bytes[..], b"another", None), None, "{name}");
        assert_eq!(header.damage(), None, "{name}");
        let mut uuid = Command::new("cryptsetup");
        let uuid = uuid.arg("luksUUID").arg(image.path()).output().unwrap().stdout;
        assert_eq!(header.uuid(), String::from_utf8(uuid).unwrap().trim(), "{name}");
    }
}

fn a_damaged_primary_header() {
    for options in ["--type luks2", "--type luks2 --luks2-metadata-size 128k"] {
        let image = Image::format(options);
        let key = image.volume_key();
        let file = File::options().write(true).open(image.path()).unwrap();
        file.write_all_at(b"x", 4096 + 20).unwrap();
        let bytes = image.bytes();
        let header = Header::read(&&bytes[..]).unwrap();
        let damage = header.damage().map(ToString::to_string);
        assert_eq!(damage.as_deref(), Some("LUKS2 header at 0: checksum does not match"));
        assert_eq!(header.volume_key(&&bytes[..], SECRET, None), Some(key));
        // Without the magic number of the first copy too.
        file.write_all_at(&[0; 4096], 0).unwrap();
        let bytes = image.bytes();
        assert!(Header::read(&&bytes[..]).unwrap().damage().is_some());
        let second = if options.contains("128k") { 128 << 10 } else { 16 << 10 };
        file.write_all_at(&[0; 4096], second).unwrap();
        let error = Header::read(&&image.bytes()[..]).unwrap_err();
        assert_eq!(error.to_string(), "LUKS2 header at 0: no LUKS header");
    }
}

/// A copy whose checksum is right and whose metadata are invalid is not used. One that needs what
/// is not supported is valid.
fn a_copy_with_invalid_metadata() {
    for (change, copies, opens) in [
        (("{", "<"), &[0][..], true),
        (("\"kdf\"", "\"kdx\""), &[0], true),
        (("\"digests\"", "\"digest\""), &[0], true),
        (("\"segments\"", "\"segment\""), &[1], true),
        (("{", "<"), &[0, 1], false),
        (("\"kdf\"", "\"kdx\""), &[0, 1], false),
    ] {
        let image = Image::format("--type luks2");
        let key = image.volume_key();
        copies.iter().for_each(|copy| image.change_metadata(*copy, change));
        let bytes = image.bytes();
        let header = Header::read(&&bytes[..]);
        let ours = header.ok().and_then(|header| header.volume_key(&&bytes[..], SECRET, None));
        assert_eq!(ours, Some(key).filter(|_| opens), "{change:?} {copies:?}");
        let mut theirs = Command::new("cryptsetup");
        theirs.args(["-q", "open", "--test-passphrase", "--key-file"]).arg(image.key_file());
        let output = theirs.arg(image.path()).output().unwrap();
        assert_eq!(output.status.success(), opens, "{change:?} {copies:?}: {output:?}");
    }
    let requirement =
        ("\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"future\"]},");
    for (copy, is_used) in [(0, true), (1, false)] {
        let image = Image::format("--type luks2");
        image.change_metadata(copy, requirement);
        let error = Header::read(&&image.bytes()[..]).err().map(|error| error.to_string());
        let text = "LUKS2 metadata: config/requirements/mandatory: 'future' is not supported";
        assert_eq!(error.as_deref(), Some(text).filter(|_| is_used), "{copy}");
        let mut theirs = Command::new("cryptsetup");
        let output = theirs.arg("luksDump").arg(image.path()).output().unwrap();
        let dump = String::from_utf8(output.stdout).unwrap();
        assert_eq!(dump.contains("future"), is_used, "{copy}: {dump}");
    }
}

fn slots_are_tried_by_priority() {
    let image = Image::format("--type luks2");
    fs::write(image.dir.path().join("second"), "second").unwrap();
    let cost = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    for slot in ["3", "12", "7"] {
        image.cryptsetup("luksAddKey", &[&["--new-key-slot", slot][..], &cost].concat());
    }
    for (slot, priority) in [("7", "prefer"), ("3", "ignore")] {
        image.cryptsetup("config", &["--key-slot", slot, "--priority", priority]);
    }
    let bytes = image.bytes();
    let header = Header::read(&&bytes[..]).unwrap();
    assert_eq!(header.slot_order(), [7, 0, 12]);
    let key = Some(image.volume_key());
    for (slot, secret, opens) in [
        (None, SECRET, true),
        (None, &b"second"[..], true),
        (Some(3), b"second", true),
        (Some(0), b"second", false),
        (Some(12), b"second", true),
        (Some(5), b"second", false),
    ] {
        let found = header.volume_key(&&bytes[..], secret, slot);
        assert_eq!(found, key.clone().filter(|_| opens), "{slot:?}");
    }
}

fn a_key_file_with_any_bytes() {
    let image = Image::format("--type luks2");
    let secret: Vec<u8> = (0..=255).cycle().take(4096).collect();
    fs::write(image.dir.path().join("second"), &secret).unwrap();
    image.cryptsetup("luksAddKey", &["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]);
    let bytes = image.bytes();
    let header = Header::read(&&bytes[..]).unwrap();
    assert_eq!(header.volume_key(&&bytes[..], &secret, Some(1)), Some(image.volume_key()));
}

/// Cut images, and single bytes that differ.
fn damaged_headers_cause_no_panic() {
    for options in ["--type luks1", "--type luks2"] {
        let bytes = Image::format(options).bytes();
        for length in [0, 6, 8, 100, 591, 592, 4095, 4096, 5000, 16384, 20000] {
            assert!(Header::read(&&bytes[..length]).is_err() || length >= 592, "{length}");
        }
        for at in (0..512).chain((4096..6000).step_by(7)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let _ = Header::read(&&damaged[..]);
        }
    }
}
