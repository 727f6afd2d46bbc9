//! Values in the metadata of LUKS2, with their place for errors: `keyslots/0/kdf/salt`.

use serde_json::{Map, Value};

use super::base64;
use super::header::Error;

/// A value and its place: the object that it is a member of, and its name there.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    pub(super) parent: Option<&'a Field<'a>>,
    pub(super) name: &'a str,
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Field<'a> {
    /// Returns the error that this value is not what it should be.
    #[cold]
    pub(super) fn error(&self, cause: &str) -> Error {
        let mut place = self.name.to_owned();
        let mut object = self.parent;
        while let Some(field) = object {
            if !field.name.is_empty() {
                place = format!("{}/{place}", field.name);
            }
            object = field.parent;
        }
        Error::new(&format!("LUKS2 metadata: {place}"), cause)
    }

    /// Returns the error that this value is valid, but not supported.
    #[cold]
    pub(super) fn unsupported(&self, cause: &str) -> Error {
        let mut error = self.error(cause);
        error.is_unsupported = true;
        error
    }

    /// Returns a member of an object, if it is there.
    pub(super) fn optional(&'a self, name: &'a str) -> Option<Self> {
        self.value.get(name).map(|value| Self { value, parent: Some(self), name })
    }

    /// Returns a member of an object.
    pub(super) fn get(&'a self, name: &'a str) -> Result<Self> {
        let missing = Field { value: &Value::Null, parent: Some(self), name };
        self.optional(name).ok_or_else(|| missing.error("missing"))
    }

    fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.error("not an object"))
    }

    /// Returns the members of an object whose names are numbers, in their order.
    pub(super) fn numbered(&'a self, max: usize) -> Result<Vec<(u32, Self)>> {
        let object = self.object()?;
        if object.len() > max {
            return Err(self.error("too many"));
        }
        let mut members = Vec::new();
        for (name, value) in object {
            let field = Self { value, parent: Some(self), name };
            let number = name.parse().map_err(|_| field.error("name is not a number"))?;
            members.push((number, field));
        }
        members.sort_unstable_by_key(|(number, _)| *number);
        Ok(members)
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.error("not a text"))
    }

    /// Returns a text that can be a word of a table of the device mapper.
    pub(super) fn word(&self) -> Result<String> {
        let text = self.text()?;
        let is_word =
            !text.is_empty() && text.len() < 128 && text.bytes().all(|b| b.is_ascii_graphic());
        if is_word { Ok(text.to_owned()) } else { Err(self.error("not a name")) }
    }

    /// Returns a number of 64 bits, which the metadata keep as text.
    pub(super) fn long(&self) -> Result<u64> {
        self.text()?.parse().map_err(|_| self.error("not a number"))
    }

    /// Returns a number, which may not be greater than `max`.
    pub(super) fn int(&self, max: u32) -> Result<u32> {
        let number = self.value.as_u64().ok_or_else(|| self.error("not a number"))?;
        let number = u32::try_from(number).ok().filter(|number| *number <= max);
        number.ok_or_else(|| self.error("too large"))
    }

    /// Returns a size, from 1 to `max`.
    pub(super) fn size(&self, max: usize) -> Result<usize> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        match usize::try_from(self.int(max)?) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(self.error("zero")),
        }
    }

    /// Returns the bytes of a text in base64.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        base64::decode(self.text()?).ok_or_else(|| self.error("not base64"))
    }

    /// Returns the texts of an array.
    pub(super) fn texts(&self) -> Result<Vec<String>> {
        let items = self.value.as_array().ok_or_else(|| self.error("not an array"))?;
        let text = |item: &Value| item.as_str().map(str::to_owned);
        items.iter().map(text).collect::<Option<_>>().ok_or_else(|| self.error("not texts"))
    }

    /// Returns the numbers of an array, which the metadata keep as texts.
    pub(super) fn numbers(&self) -> Result<Vec<u32>> {
        let number = |text: String| text.parse().map_err(|_| self.error("not numbers"));
        self.texts()?.into_iter().map(number).collect()
    }
}
