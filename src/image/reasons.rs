//! Why modules are in an image: a file that `image build` puts into images with chosen modules, for
//! people and `image list --sizes`. The boot does not read it.
//!
//! ```text
//! # comment
//! MODULE WORD            the word of --modules that names the module
//! MODULE WORD MODULE     the module that needs it, directly, and the word that names the first one
//! ```

use std::collections::BTreeMap;

use crate::escape;
use crate::kmod::name::ModuleName;

/// Name of the file, which is beside the index files.
pub(super) const FILE: &str = "modules.reasons";
/// Longest file that is read, in bytes.
pub(super) const LIMIT: usize = 4 << 20;

/// Why a module is in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// The word of `--modules` that names the module, or one that needs it.
    pub(super) word: String,
    /// The module that needs it.
    pub(super) needed_by: Option<ModuleName>,
}

/// The reason for each module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reasons(BTreeMap<ModuleName, Reason>);

impl Reasons {
    /// Returns the reasons for modules.
    pub(super) fn new(reasons: impl IntoIterator<Item = (ModuleName, Reason)>) -> Self {
        Self(reasons.into_iter().collect())
    }

    /// Parses the file. Lines of another form have no effect.
    pub(super) fn parse(text: &[u8]) -> Self {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        let reasons = lines.filter_map(|line| {
            let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
            let (module, word, needed_by) = match words[..] {
                [module, word] => (module, word, None),
                [module, word, by] => (module, word, Some(ModuleName::new(by))),
                _ => return None,
            };
            let word = escape::line(&escape::bytes(word)).into_owned();
            Some((ModuleName::new(module), Reason { word, needed_by }))
        });
        Self::new(reasons)
    }

    /// Returns whether there is no reason.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the word of `--modules` for which a module is in the image.
    pub(super) fn of(&self, module: &ModuleName) -> Option<&str> {
        self.0.get(module).map(|reason| &*reason.word)
    }

    /// Returns the reason for a module as text for people.
    pub(super) fn text_of(&self, module: &ModuleName) -> Option<String> {
        let Reason { word, needed_by } = self.0.get(module)?;
        Some(match needed_by {
            Some(by) => format!("{word}, needed by {by}"),
            None => word.clone(),
        })
    }

    /// Returns the file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = b"# Why the modules are in the image: MODULE WORD [NEEDED-BY]\n".to_vec();
        for (module, Reason { word, needed_by }) in &self.0 {
            text.extend(module.as_bytes());
            text.extend([b" ", word.as_bytes()].concat());
            if let Some(by) = needed_by {
                text.extend([b" ", by.as_bytes()].concat());
            }
            text.push(b'\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let reason = |word: &str, by: Option<&str>| Reason {
            word: word.to_owned(),
            needed_by: by.map(ModuleName::new),
        };
        let reasons = Reasons::new([
            (ModuleName::new("virtio_blk"), reason("@virtio", None)),
            (ModuleName::new("virtio"), reason("@virtio", Some("virtio_blk"))),
        ]);
        let text = reasons.to_bytes();
        assert!(text.ends_with(b"\nvirtio @virtio virtio_blk\nvirtio_blk @virtio\n"));
        assert_eq!(Reasons::parse(&text), reasons);
        let text_of = |name: &str| reasons.text_of(&ModuleName::new(name));
        assert_eq!(text_of("virtio").as_deref(), Some("@virtio, needed by virtio_blk"));
        assert_eq!(text_of("ext4"), None);
    }

    #[test]
    fn other_lines_have_no_effect() {
        let reasons = Reasons::parse(b"\n#a b\na\na b c d\nx y\xff\n");
        assert_eq!(reasons.of(&ModuleName::new("x")), Some("y\\xff"));
        assert_eq!(reasons.0.len(), 1);
    }
}
