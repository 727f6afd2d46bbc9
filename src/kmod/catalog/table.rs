//! One index file of the catalog: the `.bin` file if it is valid, otherwise its text form.

use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::IndexFiles;
use super::digest::Digest;
use super::fingerprint::Fingerprint;
use super::text::{Text, TextFormat};
use crate::escape;
use crate::kmod::Warning;
use crate::kmod::index::{Bytes, Index, IndexError, IndexValue};

pub(super) struct Table {
    files: Arc<dyn IndexFiles>,
    bin: &'static str,
    text: &'static str,
    format: TextFormat,
    /// Whether each [`Self::exact`] is compared with the text, which must be a modules.dep.
    confirms: bool,
    index: OnceLock<Option<Index>>,
    parsed: OnceLock<Text>,
    digest: OnceLock<Option<Digest>>,
    /// Whether [`Self::check`] found the index to be damaged.
    is_damaged: OnceLock<bool>,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl Table {
    pub(super) fn new(
        files: Arc<dyn IndexFiles>,
        (bin, text, format): (&'static str, &'static str, TextFormat),
        confirms: bool,
        warnings: Arc<Mutex<Vec<Warning>>>,
    ) -> Self {
        Self {
            files,
            bin,
            text,
            format,
            confirms,
            index: OnceLock::new(),
            parsed: OnceLock::new(),
            digest: OnceLock::new(),
            is_damaged: OnceLock::new(),
            warnings,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.index().is_some() || self.files.open(self.text).is_ok_and(|text| text.is_some())
    }

    /// Returns the first value with exactly the key `name`.
    pub(super) fn exact(&self, name: &[u8]) -> Option<IndexValue> {
        let find = |index: &Index| {
            let found = index.exact(name)?;
            Ok((self.is_confirmed(name, found.as_ref()), found))
        };
        match self.query(find, |text| (true, text.exact(name))) {
            (true, found) => found,
            (false, _) => {
                let shown = escape::bytes(name);
                self.warn_damaged(&format_args!("entry of {shown} differs from {}", self.text));
                self.parsed().exact(name)
            }
        }
    }

    /// Returns whether the text has what the index has for `name`.
    fn is_confirmed(&self, name: &[u8], found: Option<&IndexValue>) -> bool {
        if !self.confirms {
            return true;
        }
        let digest = self.digest.get_or_init(|| Digest::new((*self.open_text()?).as_ref()));
        let line = found.map(|found| &*found.value);
        digest.as_ref().is_none_or(|digest| digest.confirms(name, line))
    }

    /// Returns all values whose key, as a pattern, matches `name`.
    pub(super) fn search(&self, name: &[u8]) -> Vec<IndexValue> {
        self.query(|index| index.search(name), |text| text.search(name))
    }

    /// Returns every value in the table, sorted by key.
    pub(super) fn entries(&self) -> Vec<IndexValue> {
        self.query(Index::entries, Text::entries)
    }

    /// Queries the index, or the text form after the index was found to be damaged.
    fn query<T>(
        &self,
        index: impl Fn(&Index) -> Result<T, IndexError>,
        text: impl Fn(&Text) -> T,
    ) -> T {
        if let (Some(bin), None) = (self.index(), self.parsed.get()) {
            match index(bin) {
                Ok(answer) => return answer,
                Err(error) => self.warn_damaged(&error),
            }
        }
        text(self.parsed())
    }

    fn parsed(&self) -> &Text {
        self.parsed.get_or_init(|| self.read_text())
    }

    fn index(&self) -> Option<&Index> {
        self.index
            .get_or_init(|| {
                let bytes = self.files.open(self.bin).map_err(|error| self.warn_damaged(&error));
                // kmod writes an empty file if there are no entries.
                let bytes = bytes.ok()?.filter(|b| !(**b).as_ref().is_empty())?;
                Index::new(bytes).map_err(|error| self.warn_damaged(&error)).ok()
            })
            .as_ref()
    }

    /// Compares the whole index with its text; the first call counts. Returns whether the index is
    /// damaged: then later lookups use the text.
    pub(super) fn check(&self) -> bool {
        *self.is_damaged.get_or_init(|| match (self.index(), self.parsed.get()) {
            (Some(index), None) if !self.is_valid(index) => {
                self.parsed();
                true
            }
            _ => false,
        })
    }

    /// Returns whether the index holds what its text does, and warns if it does not. An index
    /// without a complete text counts as valid.
    fn is_valid(&self, index: &Index) -> bool {
        let Some(text) = self.open_text() else { return true };
        match (Fingerprint::of_index(index), Fingerprint::of_text((*text).as_ref(), self.format)) {
            (_, None) => return true,
            (Ok(found), Some(wanted)) if found == wanted => return true,
            (Ok(_), _) => self.warn_damaged(&format_args!("entries differ from {}", self.text)),
            (Err(error), _) => self.warn_damaged(&error),
        }
        false
    }

    fn open_text(&self) -> Option<Bytes> {
        self.files.open(self.text).ok().flatten()
    }

    fn warn_damaged(&self, error: &dyn Display) {
        self.warn(Warning::new(self.bin, 0, format!("{error}; reading {} instead", self.text)));
    }

    fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    fn read_text(&self) -> Text {
        let bytes = match self.files.open(self.text) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Text::default(),
            Err(error) => {
                self.warn(Warning::new(self.text, 0, format!("ignored: {error}")));
                return Text::default();
            }
        };
        let (text, warnings) = Text::parse(self.text, (*bytes).as_ref(), self.format);
        for warning in warnings {
            self.warn(warning);
        }
        text
    }
}
