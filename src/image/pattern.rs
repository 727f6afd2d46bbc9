//! Patterns that choose files of an image: globs as for cpio, in which `*` matches slashes too. What
//! is in a chosen directory is chosen as well.

use crate::kmod::alias::fnmatch;

/// Patterns in the order of the command line. Without any, every file is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Patterns(Vec<Vec<u8>>);

impl Patterns {
    /// Returns the patterns of a command line. Slashes and `./` at the start and slashes at the end
    /// have no effect.
    pub(crate) fn new(words: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(words.into_iter().map(|word| trimmed(&word).to_owned()).collect())
    }

    /// Returns whether every file is chosen.
    pub(super) fn choose_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the file at `path` is chosen.
    pub(crate) fn choose(&self, path: &[u8]) -> bool {
        self.choose_all() || (0..self.0.len()).any(|at| self.matches(at, path))
    }

    /// Returns the patterns that choose none of `paths`.
    pub(crate) fn unused<'a, 'p: 'a>(
        &'a self,
        paths: impl Iterator<Item = &'p [u8]> + Clone,
    ) -> Vec<&'a [u8]> {
        let unused =
            (0..self.0.len()).filter(|at| !paths.clone().any(|path| self.matches(*at, path)));
        unused.map(|at| &*self.0[at]).collect()
    }

    /// Returns whether a pattern matches a path or one of its parents.
    fn matches(&self, at: usize, path: &[u8]) -> bool {
        let path = trimmed(path);
        let ends = (0..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'));
        ends.into_iter().any(|end| fnmatch(&self.0[at], &path[..end]))
    }
}

/// Returns a path without slashes and `./` at its start and slashes at its end.
fn trimmed(mut path: &[u8]) -> &[u8] {
    while let Some(rest) = path.strip_prefix(b"/").or_else(|| path.strip_prefix(b"./")) {
        path = rest;
    }
    while let Some(rest) = path.strip_suffix(b"/") {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_files_and_what_is_below() {
        for (pattern, path, want) in [
            ("etc", "etc", true),
            ("etc", "etc/a/b", true),
            ("/etc/", "./etc/a", true),
            ("etc", "etcetera", false),
            ("etc/*.conf", "etc/a/b.conf", true),
            ("*.ko*", "lib/modules/a.ko.zst", true),
            ("*.ko", "lib/modules/a.ko.zst", false),
            ("b", "a/b", false),
            ("[ab]/?", "a/b/c", true),
        ] {
            let patterns = Patterns::new([pattern.as_bytes().to_vec()]);
            assert_eq!(patterns.choose(path.as_bytes()), want, "{pattern} {path}");
            let unused = patterns.unused([path.as_bytes()].into_iter()).len();
            assert_eq!(unused, usize::from(!want), "{pattern} {path}");
        }
        assert!(Patterns::default().choose(b"x"));
    }
}
