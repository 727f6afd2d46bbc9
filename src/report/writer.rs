//! A writer of JSON. Trees of values would take twice the code and three times the time.

use crate::escape;
use crate::kmod::name::ModuleName;

/// JSON as far as it is written. A member has a name; an element of an array has the name `""`.
#[derive(Debug, Default)]
pub(super) struct JsonWriter(String);

impl JsonWriter {
    /// Returns what was written.
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Begins an object (`{`) or an array (`[`).
    pub(super) fn begin(&mut self, name: &str, bracket: char) {
        self.name(name);
        self.0.push(bracket);
    }

    /// Ends an object (`}`) or an array (`]`).
    pub(super) fn end(&mut self, bracket: char) {
        self.0.push(bracket);
    }

    /// Writes a text. A byte that is not UTF-8 is written `\xf6`.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        match value.is_ascii() {
            true => self.quote(value),
            false => self.quote(&escape::shown(value)),
        }
    }

    /// Writes a number.
    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.literal(name, &value.to_string());
    }

    /// Writes a text or null.
    pub(super) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.literal(name, "null"),
        }
    }

    /// Writes a number or null.
    pub(super) fn number_or_null(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.literal(name, "null"),
        }
    }

    /// Writes a number with a sign, or another word of JSON.
    pub(super) fn literal(&mut self, name: &str, word: &str) {
        self.name(name);
        self.0.push_str(word);
    }

    /// Writes an array of texts.
    pub(super) fn texts(&mut self, name: &str, list: &[String]) {
        self.begin(name, '[');
        list.iter().for_each(|text| self.text("", text));
        self.end(']');
    }

    /// Writes an array of module names.
    pub(super) fn modules(&mut self, name: &str, list: &[ModuleName]) {
        self.begin(name, '[');
        list.iter().for_each(|module| self.text("", &module.text()));
        self.end(']');
    }

    /// Writes a name and a time in an array of two.
    pub(super) fn pair(&mut self, name: &str, time_us: u64) {
        self.begin("", '[');
        self.text("", name);
        self.number("", time_us);
        self.end(']');
    }

    /// Writes what stands before a value.
    fn name(&mut self, name: &str) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[')) {
            self.0.push(',');
        }
        if !name.is_empty() {
            self.quote(name);
            self.0.push(':');
        }
    }

    fn quote(&mut self, text: &str) {
        self.0.push('"');
        let is_special = |byte: u8| matches!(byte, 0..b' ' | b'"' | b'\\');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_special) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            let (special, after) = special.split_at(1);
            match special {
                "\"" | "\\" => {
                    self.0.push('\\');
                    self.0.push_str(special);
                }
                _ => special.bytes().for_each(|byte| self.0.push_str(&format!("\\u{byte:04x}"))),
            }
            rest = after;
        }
        self.0.push_str(rest);
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_text;
    use serde_json::{Value, json};

    #[test]
    fn objects_and_arrays_have_commas_between_their_parts() {
        let mut json = JsonWriter::default();
        json.begin("", '{');
        json.text("a", "x");
        json.texts("none", &[]);
        json.texts("some", &["{".into(), "[".into(), "y".into()]);
        json.begin("pairs", '[');
        json.pair("p", 1);
        json.pair("q", 2);
        json.end(']');
        json.begin("empty", '{');
        json.end('}');
        json.number_or_null("n", Some(u64::MAX));
        json.number_or_null("m", None);
        json.text_or_null("t", None);
        json.literal("l", "-1");
        json.modules("modules", &["m".into()]);
        json.end('}');
        let want = r#"{"a":"x","none":[],"some":["{","[","y"],"pairs":[["p",1],["q",2]],"empty":{},"n":18446744073709551615,"m":null,"t":null,"l":-1,"modules":["m"]}"#;
        assert_eq!(json.finish(), want);
    }

    #[test]
    fn texts_are_read_back_as_they_were() {
        for text in ["", "a", "\"", "\\", "a\"b\\c", "\n\0\u{1f}\u{7f}", "Größe \u{2028} 名", "\\u"]
        {
            let mut json = JsonWriter::default();
            json.text("", text);
            let json = json.finish();
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), json!(text), "{json}");
        }
        let mut json = JsonWriter::default();
        json.text("", &byte_text::from_bytes(b"M\xf6b\\"));
        assert_eq!(json.finish(), r#""M\\xf6b\\""#);
    }
}
