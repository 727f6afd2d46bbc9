//! What a module file says: the strings of `.modinfo`, the build id and the signature.

use std::path::Path;

use rustix::io::Errno;

use crate::applet::module_file::read_image;
use crate::kmod::elf::Sections;
use crate::kmod::{modinfo, signature};
use crate::sys::errno;

/// A module's strings and what else its file holds.
#[derive(Default)]
pub(super) struct Info {
    pub(super) strings: Vec<Vec<u8>>,
    /// Further fields, made from other parts of the file.
    pub(super) extra: Vec<(&'static str, Vec<u8>)>,
}

impl Info {
    /// Puts what modinfo(8) breaks into lines of twenty bytes on one.
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

    /// Every field with its value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let extra = self.extra.iter().map(|(key, value)| (key.as_bytes(), value.as_slice()));
        self.strings.iter().map(|string| modinfo::split_key_value(string)).chain(extra)
    }
}

/// Everything that the file at `path` says.
pub(super) fn read(path: &Path) -> Result<Info, Errno> {
    let image = read_image(path)?;
    let sections = Sections::parse(&image).map_err(errno::from_elf)?;
    sections.get(".modinfo").ok_or(Errno::NODATA)?;
    let strings = sections.modinfo().map(<[u8]>::to_vec).collect();
    Ok(Info { strings, extra: extra(&image, &sections) })
}

/// Build id and signature.
fn extra(image: &[u8], sections: &Sections<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let mut extra = Vec::new();
    // EI_DATA: 1 is the lower byte first.
    let little_endian = image.get(5) == Some(&1);
    let note = sections.get(".note.gnu.build-id");
    if let Some(id) = note.and_then(|note| modinfo::build_id(note, little_endian)) {
        extra.push(("build-id", modinfo::format_hex(id).into_bytes()));
    }
    if let Some(signature) = signature::parse(image) {
        extra.push(("sig_id", signature.id_type.into()));
        extra.push(("signer", signature.signer.to_vec()));
        extra.push(("sig_key", modinfo::format_hex(signature.key_id).into_bytes()));
        extra.push(("sig_hashalgo", signature.hash.into()));
        extra.push(("signature", modinfo::format_hex(signature.bytes).into_bytes()));
    }
    extra
}
