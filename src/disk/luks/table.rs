//! The table of dm-crypt for a LUKS device, and the names that cryptsetup gives it.

use super::cipher::Cipher;
use super::header::{Error, Header};
use crate::disk::mapping::{Mapping, Target, Word};

/// Longest UUID of the device mapper in bytes.
const MAX_UUID: usize = 128;
const SECTOR: u64 = 512;

/// Flags of a device, as in the header, and on the command line of cryptsetup.
const FLAGS: [(&str, &str); 6] = [
    ("allow-discards", "allow_discards"),
    ("same-cpu-crypt", "same_cpu_crypt"),
    ("high-priority", "high_priority"),
    ("submit-from-crypt-cpus", "submit_from_crypt_cpus"),
    ("no-read-workqueue", "no_read_workqueue"),
    ("no-write-workqueue", "no_write_workqueue"),
];

/// How the device is mapped, beyond what the header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether the device cannot be written to.
    pub(crate) read_only: bool,
    /// Flags under their names in the header: `allow-discards`.
    pub(crate) flags: Vec<String>,
}

/// The device that holds the encrypted data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Data {
    /// Major, minor.
    pub(crate) number: (u32, u32),
    /// Size in bytes.
    pub(crate) size: u64,
}

impl Header {
    /// Returns the name of the volume key in the kernel's keyring, as cryptsetup gives it.
    pub(crate) fn key_description(&self, digest: u32) -> String {
        format!("cryptsetup:{}-d{digest}", self.uuid)
    }

    /// Returns the device `name` of the device mapper. The volume key has `key_size` bytes and is in
    /// the keyring under the name of `digest`.
    ///
    /// # Errors
    /// The data device is too small, or not a whole number of sectors.
    pub(crate) fn mapping(
        &self,
        name: &str,
        data: Data,
        (key_size, digest): (usize, u32),
        options: &Options,
    ) -> Result<Mapping, Error> {
        let segment = &self.segment;
        let sectors = self.sectors(data.size)?;
        let key = match Cipher::parse(&segment.cipher).is_null() {
            true => "-".to_owned(),
            false => format!(":{key_size}:logon:{}", self.key_description(digest)),
        };
        let text = |text: String| Word::Text(text);
        let mut parameters = vec![
            text(segment.cipher.clone()),
            text(key),
            text(segment.iv_tweak.to_string()),
            Word::Device(data.number),
            text((segment.offset / SECTOR).to_string()),
        ];
        let mut optional: Vec<Word> = FLAGS
            .iter()
            .filter(|(flag, _)| self.flags.iter().chain(&options.flags).any(|f| f == flag))
            .map(|(_, word)| text((*word).to_owned()))
            .collect();
        if segment.sector_size != 512 {
            optional.push(text(format!("sector_size:{}", segment.sector_size)));
        }
        if !optional.is_empty() {
            parameters.push(text(optional.len().to_string()));
            parameters.append(&mut optional);
        }
        Ok(Mapping {
            name: name.to_owned(),
            uuid: self.mapping_uuid(name),
            read_only: options.read_only,
            targets: vec![Target { start: 0, sectors, kind: "crypt", parameters }],
            links: Vec::new(),
        })
    }

    /// Returns the table of a data device as text, for tests: the device is 8:0 and has `size` bytes,
    /// the volume key has `key_size` bytes and the first digest.
    ///
    /// # Errors
    /// The data does not fit the device.
    pub fn table(&self, size: u64, key_size: usize) -> Result<String, Error> {
        let data = Data { number: (8, 0), size };
        let mapping = self.mapping("data", data, (key_size, 0), &Options::default())?;
        let mut line = String::new();
        for target in &mapping.targets {
            line.push_str(&format!("{} {} {}", target.start, target.sectors, target.kind));
            for word in &target.parameters {
                match word {
                    Word::Text(text) | Word::Mapped(text) => line.push_str(&format!(" {text}")),
                    Word::Device((major, minor)) => line.push_str(&format!(" {major}:{minor}")),
                }
            }
        }
        Ok(line)
    }

    /// Returns the UUID that cryptsetup gives to the device `name`.
    fn mapping_uuid(&self, name: &str) -> String {
        let uuid = self.uuid.replace('-', "");
        let mut uuid = format!("CRYPT-LUKS{}-{uuid}-{name}", self.version);
        let end = (0..=MAX_UUID).rev().find(|end| uuid.is_char_boundary(*end));
        uuid.truncate(end.unwrap_or(0));
        uuid
    }

    /// Returns the length of the mapped device in sectors of 512 bytes.
    fn sectors(&self, device: u64) -> Result<u64, Error> {
        let segment = &self.segment;
        let error = |cause: &str| Error::new("data device", cause);
        let rest = device.saturating_sub(segment.offset);
        let size = segment.size.unwrap_or(rest / SECTOR * SECTOR);
        if size == 0 || size > rest {
            let needed = segment.offset.saturating_add(segment.size.unwrap_or(SECTOR));
            return Err(error(&format!("{device} bytes, but {needed} are needed")));
        }
        match size.is_multiple_of(u64::from(segment.sector_size)) {
            true => Ok(size / SECTOR),
            false => Err(error("not a whole number of encrypted sectors")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Segment;
    use super::*;

    fn header(version: u16, segment: Segment, flags: &[&str]) -> Header {
        Header {
            version,
            uuid: "3f2b1c1e-6a6e-4a3c-9f8e-0123456789ab".into(),
            label: None,
            key_slots: Vec::new(),
            digests: Vec::new(),
            segment,
            tokens: Vec::new(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            damage: None,
        }
    }

    fn segment(cipher: &str) -> Segment {
        Segment {
            number: 0,
            offset: 16 << 20,
            size: None,
            iv_tweak: 0,
            cipher: cipher.into(),
            sector_size: 512,
        }
    }

    /// As `dmsetup table --showkeys` prints them for devices that cryptsetup has opened.
    #[test]
    fn tables_are_those_of_cryptsetup() {
        let key = ":64:logon:cryptsetup:3f2b1c1e-6a6e-4a3c-9f8e-0123456789ab-d0";
        let plain = segment("aes-xts-plain64");
        let large = Segment { sector_size: 4096, ..plain.clone() };
        let fixed = Segment { size: Some(1 << 20), iv_tweak: 8, ..plain.clone() };
        for (segment, flags, want) in [
            (plain, &[][..], format!("0 2147450880 crypt aes-xts-plain64 {key} 0 8:0 32768")),
            (
                large,
                &["no-write-workqueue", "allow-discards"],
                format!(
                    "0 2147450880 crypt aes-xts-plain64 {key} 0 8:0 32768 3 allow_discards \
                     no_write_workqueue sector_size:4096"
                ),
            ),
            (
                fixed,
                &["same-cpu-crypt", "submit-from-crypt-cpus", "no-read-workqueue", "unknown"],
                format!(
                    "0 2048 crypt aes-xts-plain64 {key} 8 8:0 32768 3 same_cpu_crypt \
                     submit_from_crypt_cpus no_read_workqueue"
                ),
            ),
            (
                segment("cipher_null-ecb"),
                &[],
                "0 2147450880 crypt cipher_null-ecb - 0 8:0 32768".to_owned(),
            ),
        ] {
            assert_eq!(header(2, segment, flags).table(1 << 40, 64), Ok(want));
        }
    }

    #[test]
    fn names_are_those_of_cryptsetup() {
        let uuid = "3f2b1c1e6a6e4a3c9f8e0123456789ab";
        for (version, name, want) in [
            (2, "root", format!("CRYPT-LUKS2-{uuid}-root")),
            (1, "luks-1", format!("CRYPT-LUKS1-{uuid}-luks-1")),
            (2, &"x".repeat(100), format!("CRYPT-LUKS2-{uuid}-{}", "x".repeat(83))),
        ] {
            let header = header(version, segment("aes-xts-plain64"), &[]);
            assert_eq!(header.mapping_uuid(name), want);
        }
    }

    #[test]
    fn a_device_that_is_too_small_is_reported() {
        let plain = segment("aes-xts-plain64");
        let fixed = Segment { size: Some(4 << 20), ..plain.clone() };
        let large = Segment { sector_size: 4096, ..plain.clone() };
        for (segment, size, want) in [
            (&plain, 16 << 20, "data device: 16777216 bytes, but 16777728 are needed"),
            (&fixed, 18 << 20, "data device: 18874368 bytes, but 20971520 are needed"),
            (&large, (18 << 20) + 512, "data device: not a whole number of encrypted sectors"),
        ] {
            let data = Data { number: (8, 1), size };
            let header = header(2, segment.clone(), &[]);
            let error = header.mapping("root", data, (64, 0), &Options::default()).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }
}
