//! One index file of the catalog: the `.bin` where it is sound, else the text it was made from.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Files;
use super::text::{Content, Text};
use crate::kmod::Warning;
use crate::kmod::index::{Hit, Index, IndexError};

pub(super) struct Table {
    files: Arc<dyn Files>,
    bin: &'static str,
    text: &'static str,
    content: Content,
    index: OnceLock<Option<Index>>,
    parsed: OnceLock<Text>,
    warnings: Arc<Mutex<Vec<Warning>>>,
}

impl Table {
    pub(super) fn new(
        files: Arc<dyn Files>,
        bin: &'static str,
        text: &'static str,
        content: Content,
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
        self.index().is_some() || self.files.open(self.text).is_some()
    }

    /// The first value under exactly `name`.
    pub(super) fn exact(&self, name: &str) -> Option<Hit> {
        self.ask(|index| index.exact(name.as_bytes()), |text| text.exact(name))
    }

    /// All values whose key matches `name` as a pattern.
    pub(super) fn search(&self, name: &[u8]) -> Vec<Hit> {
        self.ask(|index| index.search(name), |text| text.search(name))
    }

    /// Everything in the table, keys ascending.
    pub(super) fn entries(&self) -> Vec<Hit> {
        self.ask(Index::entries, Text::entries)
    }

    /// Asks the index, or the text once the index has been found damaged.
    fn ask<T>(
        &self,
        index: impl Fn(&Index) -> Result<T, IndexError>,
        text: impl Fn(&Text) -> T,
    ) -> T {
        if let (Some(bin), None) = (self.index(), self.parsed.get()) {
            match index(bin) {
                Ok(answer) => return answer,
                Err(error) => self.distrust(error),
            }
        }
        text(self.parsed.get_or_init(|| self.read_text()))
    }

    fn index(&self) -> Option<&Index> {
        self.index
            .get_or_init(|| {
                // An empty file is how kmod writes "nothing known".
                let bytes = self.files.open(self.bin).filter(|b| !(**b).as_ref().is_empty())?;
                Index::new(bytes).map_err(|error| self.distrust(error)).ok()
            })
            .as_ref()
    }

    fn distrust(&self, error: IndexError) {
        self.warn(Warning::new(self.bin, 0, format!("{error}; reading {} instead", self.text)));
    }

    fn warn(&self, warning: Warning) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }

    fn read_text(&self) -> Text {
        let Some(bytes) = self.files.open(self.text) else { return Text::default() };
        let (text, warnings) = Text::parse(self.text, (*bytes).as_ref(), self.content);
        for warning in warnings {
            self.warn(warning);
        }
        text
    }
}
