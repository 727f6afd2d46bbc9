//! The digest of modules.dep: confirms single lookups in modules.dep.bin.
//!
//! Every module of a boot is looked up there, so the whole index is not compared with its text: the
//! hashes of the lines take a tenth of that time.

use super::fingerprint::hash;
use crate::kmod::dep::DepLine;

/// The hashes of the module names and of the lines of a modules.dep, each sorted.
#[derive(Debug, Default)]
pub(super) struct Digest {
    names: Vec<u64>,
    lines: Vec<u64>,
}

impl Digest {
    /// Creates the digest of a modules.dep. Returns `None` if the text is incomplete or has invalid
    /// lines: it does not show then what the index should hold.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        let mut digest = Self::default();
        for line in text.strip_suffix(b"\n")?.split(|byte| *byte == b'\n') {
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match plain_stem(line) {
                Some(name) => digest.add(name, line),
                None => digest.add(DepLine::module(line)?.as_bytes(), line),
            }
        }
        digest.names.sort_unstable();
        digest.lines.sort_unstable();
        Some(digest)
    }

    fn add(&mut self, name: &[u8], line: &[u8]) {
        let name = hash(0, name);
        self.names.push(name);
        self.lines.push(hash(name, line));
    }

    /// Returns whether the text has this line for the module `name`, or no line for it if `line` is
    /// `None`.
    pub(super) fn confirms(&self, name: &[u8], line: Option<&[u8]>) -> bool {
        let name = hash(0, name);
        match line {
            Some(line) => self.lines.binary_search(&hash(name, line)).is_ok(),
            None => self.names.binary_search(&name).is_err(),
        }
    }
}

/// Returns the module name in a modules.dep line if it stands there as it is, without a dash.
fn plain_stem(line: &[u8]) -> Option<&[u8]> {
    let path = line.get(..line.iter().position(|byte| *byte == b':')?)?;
    let file = path.rsplit(|byte| *byte == b'/').next()?;
    let (stem, suffix) = file.split_at(file.iter().position(|byte| *byte == b'.')?);
    (suffix.starts_with(b".ko") && !stem.contains(&b'-')).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_text_has_is_confirmed() {
        let text = "# note\nkernel/b/d-e.ko.xz: /lib/f-g.ko\nh.ko:\n\n";
        let digest = Digest::new(text.as_bytes()).unwrap();
        for (name, line, want) in [
            ("d_e", Some("kernel/b/d-e.ko.xz: /lib/f-g.ko"), true),
            ("d_e", Some("kernel/b/d-e.ko.xz: /lib/f-h.ko"), false),
            ("d_e", Some("h.ko:"), false),
            ("d_e", None, false),
            ("h", Some("h.ko:"), true),
            ("h", None, false),
            ("d-e", None, true),
            ("other", None, true),
            ("other", Some("other.ko:"), false),
        ] {
            assert_eq!(
                digest.confirms(name.as_bytes(), line.map(str::as_bytes)),
                want,
                "{name} {line:?}"
            );
        }
    }

    #[test]
    fn an_incomplete_text_has_no_digest() {
        for text in ["", "a.ko:", "a.ko:\nb.k", "a.ko:\nnonsense\n"] {
            assert!(Digest::new(text.as_bytes()).is_none(), "{text}");
        }
    }
}
