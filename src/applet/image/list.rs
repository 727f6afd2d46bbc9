//! `coldplug image list`: the entries of an image as they are stored, or their sizes.

use std::io::{self, BufRead};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::input::{self, CHUNK};
use super::{Command, operands, usage};
use crate::applet::args::Args;
use crate::applet::message::Error;
use crate::applet::out;
use crate::applet::usage::{Opt, Usage};
use crate::escape;
use crate::image::newc::Member;
use crate::image::pattern::Patterns;
use crate::image::read;
use crate::image::totals::Totals;
use crate::image::visitor::Visitor;

/// What to list.
#[derive(Debug)]
pub(super) struct Listing {
    image: PathBuf,
    patterns: Patterns,
    form: Form,
}

/// The form of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A line for each entry as by `ls -l`.
    Long,
    /// The name of each entry.
    Names,
    /// Tables of sizes.
    Sizes,
}

pub(super) static USAGE: Usage = Usage::new(
    "image list",
    "print mode, owner, size and name of each entry of an image",
)
.text(
    "[--names] IMAGE [PATTERN…]\n--sizes IMAGE\n\n\
             '-' is standard input. A last line tells of an appended bootconfig. If the image is \
             damaged, prints the entries before the damage, and the exit status is 1.",
)
.options(&[
    Opt('n', "names: print the names alone"),
    Opt(
        's',
        "sizes: print instead how large the parts of the image are, packed and unpacked, and \
                 which modules it has for which reasons, the largest first",
    ),
]);

/// Parses the options of the command.
pub(super) fn parse(mut args: Args) -> Result<Command, Error> {
    let (mut words, mut form) = (Vec::new(), Form::Long);
    while let Some((name, value)) = args.next_named()? {
        match name {
            "names" if form != Form::Sizes => form = Form::Names,
            "sizes" if form != Form::Names => form = Form::Sizes,
            "names" | "sizes" => return Err(usage("--names and --sizes exclude each other")),
            _ => words.push(value),
        }
    }
    let (image, words) = operands(words)?;
    if form == Form::Sizes && !words.is_empty() {
        return Err(usage("--sizes is about the whole image"));
    }
    Ok(Command::List(Listing { image, patterns: Patterns::new(words), form }))
}

impl Listing {
    /// Prints the listing. A damaged image is an error after the entries before the damage.
    pub(super) fn print(&self) -> Result<(), Error> {
        match self.image == Path::new("-") {
            true => self.print_image(Path::new("standard input"), &mut io::stdin().lock()),
            false => self.print_image(&self.image, &mut input::open(&self.image)?),
        }
    }

    fn print_image(&self, name: &Path, image: &mut dyn BufRead) -> Result<(), Error> {
        let contents = if self.form == Form::Sizes {
            let mut totals = Totals::default();
            let contents = read::visit(image, u64::MAX, &mut totals);
            out::text(&totals.to_string());
            contents
        } else {
            let mut lines = Lines { listing: self, text: String::new() };
            let contents = read::visit(image, u64::MAX, &mut lines);
            out::part(&lines.text);
            contents
        };
        let contents = contents.map_err(|error| input::failed(name, &error))?;
        match contents.bootconfig {
            Some(_) if self.form == Form::Names => {}
            Some((offset, size)) => {
                out::line(&format!("bootconfig: {size} bytes at offset {offset}"));
            }
            None if contents.archives == 0 => {
                return Err(input::failed(name, &"the image is empty"));
            }
            None => {}
        }
        Ok(())
    }

    /// Returns the line of an entry.
    fn line(&self, member: &Member) -> String {
        let name = String::from_utf8_lossy(&member.name);
        let name = escape::line(&name);
        match self.form {
            Form::Names => name.into_owned(),
            _ => line(member, &name),
        }
    }
}

/// Prints lines as the entries are read.
struct Lines<'l> {
    listing: &'l Listing,
    /// Lines that are not yet printed.
    text: String,
}

impl Visitor for Lines<'_> {
    fn end(&mut self, member: &Member) -> ControlFlow<()> {
        if self.listing.patterns.choose(&member.name) {
            self.text += &self.listing.line(member);
            self.text.push('\n');
        }
        if self.text.len() >= CHUNK {
            out::part(&self.text);
            self.text.clear();
        }
        // Nobody reads the rest.
        if out::has_failed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Returns a line in the form of `ls -l`: mode, owner, size or device number, name, link target.
fn line(member: &Member, name: &str) -> String {
    let size = match member.device {
        (major, minor) if member.is_device() => format!("{major}, {minor}"),
        _ => member.size.to_string(),
    };
    let target = match member.is_link() {
        true => format!(" -> {}", escape::line(&String::from_utf8_lossy(&member.target))),
        false => String::new(),
    };
    let (uid, gid) = (member.uid, member.gid);
    format!("{} {uid}/{gid} {size:>10} {name}{target}", member.mode_text())
}
