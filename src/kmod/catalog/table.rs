//! One index file of the catalog: the `.bin` file if it is valid, otherwise its text form.

use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::IndexFiles;
use super::text::{Text, TextFormat};
use crate::kmod::Warning;
use crate::kmod::index::{Index, IndexError, IndexValue};

pub(super) struct Table {
    files: Arc<dyn IndexFiles>,
    bin: &'static str,
    text: &'static str,
    content: TextFormat,
    index: OnceLock<Option<Index>>,
    parsed: OnceLock<Text>,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl Table {
    pub(super) fn new(
        files: Arc<dyn IndexFiles>,
        bin: &'static str,
        text: &'static str,
        content: TextFormat,
        warnings: Arc<Mutex<Vec<Warning>>>,
    ) -> Self {
        Self {
            files,
            bin,
            text,
            content,
            index: OnceLock::new(),
            parsed: OnceLock::new(),
            warnings,
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.index().is_some() || self.files.open(self.text).is_ok_and(|text| text.is_some())
    }

    /// Returns the first value with exactly the key `name`.
    pub(super) fn exact(&self, name: &str) -> Option<IndexValue> {
        self.query(|index| index.exact(name.as_bytes()), |text| text.exact(name))
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
        text(self.parsed.get_or_init(|| self.read_text()))
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
        let (text, warnings) = Text::parse(self.text, (*bytes).as_ref(), self.content);
        for warning in warnings {
            self.warn(warning);
        }
        text
    }
}
