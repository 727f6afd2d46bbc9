//! The texts and tables that pages are made of, besides the usages of commands.

use std::path::{Path, PathBuf};

use super::roff::{bold, form};
use crate::applet::image::{KEYS, Kind};
use crate::applet::usage::{Opt, Usage};
use crate::cmdline::reference::document;

/// Returns the path of a file of the checkout.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the text of a file of the checkout.
pub(super) fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text about a page, in sections with headings of the second level.
pub(super) struct Prose(String);

impl Prose {
    /// Returns the text for the page `file`; empty if there is none.
    pub(super) fn of(file: &str) -> Self {
        let name = format!("initramfs/man/text/{file}.md");
        Self(if path(&name).exists() { format!("\n{}", read(&name)) } else { String::new() })
    }

    /// Returns the titles and texts.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split("\n## ").skip(1).filter_map(|section| {
            let at = section.find('\n')?;
            Some((&section[..at], &section[at..]))
        })
    }

    /// Returns the text of one section.
    pub(super) fn section(&self, title: &str) -> Option<&str> {
        self.sections().find(|(found, _)| *found == title).map(|(_, text)| text.trim())
    }
}

/// Returns the document about the kernel command line without what is about the document.
pub(super) fn parameters() -> String {
    let document = document();
    let paragraphs = document.split("\n\n").filter(|part| !part.starts_with("This file is made"));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// A key of image.conf.
pub(super) struct Key {
    pub(super) term: String,
    pub(super) meaning: String,
}

/// What the page says about keys that differ from the options.
const KEY_TEXTS: [(&str, &str); 4] = [
    (
        "output=PATH",
        "path of the images, with %v for the release of the kernel (default: /boot/initrd.img-%v)",
    ),
    (
        "manifest=PATH",
        "a file for what the image holds and why, as JSON, with %v for the release of the kernel. \
         It is replaced and removed together with the image",
    ),
    (
        "host=BOOLEAN",
        "include the modules of the machine that builds the image, with all that its root, /usr \
         and swap are on. `coldplug image update` checks the image for this machine too",
    ),
    (
        "keymap=BOOLEAN|NAME|FILE",
        "include the keymap of the console: that of the root's configuration, a name below \
         usr/share/keymaps, or a file. The value `no` means no keymap; the Norwegian keymap is \
         `no.map`",
    ),
];

/// Returns the word for the value of an option that takes one.
pub(super) fn value(opt: &Opt) -> &'static str {
    let value = &opt.parts().0[opt.long().len()..];
    match value.strip_prefix("[=") {
        Some(value) => value.strip_suffix(']').unwrap_or(value),
        None => value.trim_start_matches('='),
    }
}

/// Returns the keys of image.conf, in the order of the options of `image build`.
pub(super) fn keys() -> Vec<Key> {
    let image = crate::applet::image::USAGE.actions;
    let build: &Usage = image.iter().find(|usage| usage.name == "image build").unwrap();
    build.options.iter().filter_map(key).collect()
}

fn key(opt: &Opt) -> Option<Key> {
    let kind = KEYS.iter().find(|(name, _)| *name == opt.long()).map(|(_, kind)| *kind);
    let meaning = opt.parts().1;
    let value = if opt.takes_value() { value(opt) } else { "" }.to_owned();
    let value = match kind {
        // Title, or an option that is no key.
        None if opt.long() != "quiet" => return None,
        Some(Kind::CommandLine) => return None,
        None | Some(Kind::Flag) => "BOOLEAN".to_owned(),
        Some(Kind::FlagOrValue) => format!("BOOLEAN|{value}"),
        Some(Kind::Value | Kind::List) => value,
    };
    let own = KEY_TEXTS.iter().find(|(term, _)| term.split('=').next() == Some(opt.long()));
    let (value, meaning) = match own {
        Some((term, meaning)) => (term[opt.long().len() + 1..].to_owned(), *meaning),
        None => (value, meaning),
    };
    let term = format!("{}={}", bold(opt.long()), form(&value));
    Some(Key { term, meaning: meaning.to_owned() })
}
