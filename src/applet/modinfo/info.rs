//! The information in a module file: the strings of `.modinfo`, the build id and the signature.

use std::path::Path;

use rustix::io::Errno;

use crate::applet::module_file::read_image;
use crate::kmod::elf::Sections;
use crate::kmod::{modinfo, signature};
use crate::sys::errno;

/// Information about a module.
#[derive(Default)]
pub(super) struct Info {
    /// Strings of `.modinfo`, `KEY=VALUE`.
    pub(super) strings: Vec<Vec<u8>>,
    /// Fields from other parts of the file.
    pub(super) extra: Vec<(&'static str, Vec<u8>)>,
}

impl Info {
    /// Joins the lines of twenty bytes into which modinfo(8) breaks long values.
    pub(super) fn join_lines(&mut self) {
        for (_, value) in &mut self.extra {
            if let Ok(text) = std::str::from_utf8(value) {
                *value = text.replace("\n\t\t", "").into_bytes();
            }
        }
    }

    pub(super) fn strings(&self) -> Vec<&[u8]> {
        self.strings.iter().map(Vec::as_slice).collect()
    }

    /// Returns every field with its value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let extra = self.extra.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()));
        self.strings.iter().map(|string| modinfo::split_key_value(string)).chain(extra)
    }
}

/// Reads the information in the file at `path`.
///
/// # Errors
/// The file cannot be read or is no module (ENODATA).
pub(super) fn read(path: &Path) -> Result<Info, Errno> {
    let image = read_image(path)?;
    let sections = Sections::parse(&image).map_err(errno::from_elf)?;
    sections.get(".modinfo").ok_or(Errno::NODATA)?;
    let strings = sections.modinfo().map(<[u8]>::to_vec).collect();
    Ok(Info { strings, extra: extra(&image, &sections) })
}

/// Returns the fields for the build id and the signature.
fn extra(image: &[u8], sections: &Sections<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let mut extra = Vec::new();
    // EI_DATA: 1 is little-endian.
    let little_endian = image.get(5) == Some(&1);
    let note = sections.get(".note.gnu.build-id");
    if let Some(id) = note.and_then(|note| modinfo::build_id(note, little_endian)) {
        extra.push(("build-id", modinfo::format_hex(id).into_bytes()));
    }
    if let Some(signature) = signature::parse(image) {
        extra.push(("sig_id", signature.id_type.into()));
        extra.push(("signer", signature.signer.to_vec()));
        extra.push(("sig_key", modinfo::format_hex(signature.key_id).into_bytes()));
        extra.push(("sig_hashalgo", signature.hash.into_owned().into_bytes()));
        extra.push(("signature", modinfo::format_hex(signature.bytes).into_bytes()));
    }
    extra
}
