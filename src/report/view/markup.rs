//! HTML and SVG, in which every text of a record is escaped.

use std::fmt::Write;

use crate::escape;

/// Attributes of an element: names and values.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// A document, or a part of one. Only [`Markup::raw`] adds text as it is, so it takes nothing that
/// comes from a record.
#[derive(Debug, Default)]
pub(super) struct Markup(String);

impl Markup {
    /// Adds a constant text as it is.
    pub(super) fn raw(&mut self, text: &'static str) {
        self.0.push_str(text);
    }

    /// Adds another part.
    pub(super) fn part(&mut self, part: &Markup) {
        self.0.push_str(&part.0);
    }

    /// Adds the start of an element.
    pub(super) fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes);
        self.0.push('>');
    }

    /// Adds the end of an element.
    pub(super) fn close(&mut self, tag: &'static str) {
        let _ = write!(self.0, "</{tag}>");
    }

    /// Adds an SVG element without content.
    pub(super) fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.tag(tag, attributes);
        self.0.push_str("/>");
    }

    /// Adds an element that holds a text.
    pub(super) fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.open(tag, attributes);
        self.text(text);
        self.close(tag);
    }

    /// Adds a text. Its line feeds stay.
    pub(super) fn text(&mut self, text: &str) {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                self.0.push('\n');
            }
            self.escaped(line);
        }
    }

    /// Returns the document.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn tag(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.0, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.0, " {name}=\"");
            self.text(value);
            self.0.push('"');
        }
    }

    fn escaped(&mut self, line: &str) {
        for c in escape::line(line).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // XML has no way to write these.
                '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        for (text, want) in [
            ("a", "a"),
            (
                "</script><b c=\"d\" e='f'>&",
                "&lt;/script&gt;&lt;b c=&quot;d&quot; e=&#39;f&#39;&gt;&amp;",
            ),
            ("a\nb\r\0\u{1b}", "a\nb\\x0d\\x00\\x1b"),
            ("\u{202e}\u{ffff}", "\\xe2\\x80\\xae\u{fffd}"),
        ] {
            let mut markup = Markup::default();
            markup.element("p", &[("title", text)], text);
            assert_eq!(markup.finish(), format!("<p title=\"{want}\">{want}</p>"));
        }
    }
}
