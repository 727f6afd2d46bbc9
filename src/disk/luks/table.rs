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
        let error = |cause: &str| Error::new("data device", cause.to_owned());
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
