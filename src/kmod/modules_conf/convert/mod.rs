//! Converts the statements of a modules.conf to lines of modprobe.d(5).
//!
//! ```text
//! alias A B, alias B M         alias A M, alias B M
//! alias A off                  install A /bin/true
//! probeall A M N               alias A M, alias A N
//! probe A M N                  install A modprobe M || modprobe N
//! options A …                  options A …, after the options of the modules that A stands for
//! above M A B, below M C D     softdep M pre: D C post: B A
//! pre-install, post-install…   install M ( pre ) && modprobe --ignore-install M $CMDLINE_OPTS &&
//!                              ( post )
//! ```
//!
//! modutils ran the commands of an alias only when a module was requested by this alias. modprobe.d
//! has commands and softdeps of modules only, so they apply whenever the module is loaded. modprobe
//! uses only the first softdep line of a module, and a softdep cancels the install command of its
//! module. Therefore each module gets one line that contains everything.

mod converter;
mod parameters;
#[cfg(test)]
mod tests;

use std::fmt;

use converter::Slot;

use super::Environment;
use super::reader::{self, Item, Outcome};
use crate::kmod::Warning;

/// A line of modprobe.d, with the position of the line that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The file, as named by the caller or by the `include`.
    pub(crate) file: String,
    /// The line number: that of the last physical line.
    pub(crate) line: usize,
    /// The text, without a newline.
    pub text: String,
}

/// A modules.conf as modprobe.d.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Converted {
    /// The lines. Every line of the input that is not empty has at least one.
    pub lines: Vec<Output>,
    /// Warnings about invalid lines, which are comments in `lines`.
    pub(crate) invalid: Vec<Warning>,
    /// Warnings about lines whose effect is undecided, which are comments in `lines`.
    pub(crate) undecided: Vec<Warning>,
}

impl fmt::Display for Converted {
    /// Writes the lines, each with its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{}", line.text))
    }
}

/// Converts `text`, the content of `file`, for the machine `environment`. No command is run.
pub fn convert(file: &str, text: &[u8], environment: &dyn Environment) -> Converted {
    let (items, variables) = reader::read(file, text, environment);
    let slots = converter::slots(&items, variables);
    let mut converted = Converted::default();
    for (item, slot) in items.into_iter().zip(slots) {
        converted.add(&item, slot);
    }
    converted
}

impl Converted {
    /// Adds the lines and the warning of an item.
    fn add(&mut self, item: &Item, slot: Slot) {
        let mut lines: Vec<String> =
            item.line.comments.iter().map(|comment| ["#", comment].concat()).collect();
        match &item.outcome {
            Outcome::Empty if lines.is_empty() => lines.push(String::new()),
            Outcome::Empty => {}
            Outcome::Done(remark) => lines.push(commented(item, remark)),
            Outcome::UndecidedBranch => lines.push(commented(item, "undecided")),
            Outcome::UndecidedCondition(reason) => {
                let text = [&reason.to_string(), ": all branches are ignored"].concat();
                lines.push(commented(item, &text));
                self.undecided.push(warning(item, text));
            }
            Outcome::Undecided(reason) => {
                let text = [&reason.to_string(), ": the line is ignored"].concat();
                lines.push(commented(item, &text));
                self.undecided.push(warning(item, text));
            }
            Outcome::Invalid(error) => {
                let text = error.to_string();
                lines.push(commented(item, &["invalid: ", &text].concat()));
                self.invalid.push(warning(item, text));
            }
            Outcome::Statement(_) => {
                if let Some(remark) = slot.remark {
                    lines.push(commented(item, &remark));
                    if slot.is_invalid {
                        self.invalid.push(warning(item, remark));
                    }
                }
                lines.extend(slot.lines);
            }
        }
        lines.extend(slot.moved.into_iter().map(|(_, line)| line));
        self.lines.extend(lines.into_iter().map(|text| output(item, &text)));
    }
}

fn warning(item: &Item, text: String) -> Warning {
    Warning::new(&item.file, item.line.number, text)
}

/// Returns the text of an item as a comment, with a remark if there is one.
fn commented(item: &Item, remark: &str) -> String {
    let source = item.line.text.trim_ascii();
    match remark {
        "" => ["# ", source].concat(),
        remark => ["# ", source, "  # ", remark].concat(),
    }
}

fn output(item: &Item, text: &str) -> Output {
    Output {
        file: item.file.to_string(),
        line: item.line.number,
        // In modprobe.d a backslash escapes the next byte.
        text: text.replace('\\', "\\\\"),
    }
}
