//! modules.conf(5): the configuration of modutils, the module tools of Linux 2.4 and before, also called
//! /etc/conf.modules; and what it comes to in modprobe.d(5).
//!
//! ```text
//! alias NAME RESULT              RESULT: a module, another name, or off, or null
//! options [-k] MODULE WORD…      -k, -o NAME and other words for insmod go with key=value ones
//! above MODULE NAME…             loaded after the module; below: before it
//! probe NAME NAME…               the first that can be loaded; probeall: all of them
//! install MODULE COMMAND         in place of the load; pre-install, post-install, remove,
//!                                pre-remove, post-remove
//! define VARIABLE WORD           $VARIABLE in the words that follow, and in commands
//! include FILE
//! if CONDITION … elseif CONDITION … else … endif
//!   CONDITION                    [!] -f FILE | -k | [-n] WORD == != < <= > >= WORD | WORD
//! path=DIR path[TAG]=DIR keep prune FILE… insmod_opt=… persistdir=… depfile=… KINDfile=…
//! ```
//!
//! A `#` starts a comment anywhere. A backslash at the end of a line joins the next to it, whose indentation comes
//! to one blank. Words are parted by blanks; `'` and `"` keep some together. Of lines that set the same the last
//! counts, where `add` stands before the word the lists are joined; of commands the first counts.
//! `` `uname -r` `` and `` `kernelversion` `` stand for the kernel's release and its first two parts. Any other
//! command in a line was run by a shell when the file was read; here none is: what hangs on one stays a comment.
//!
//! | file | |
//! | --- | --- |
//! | `lines` | bytes → lines without continuations and comments |
//! | `words` | a line's words, with what stands for others put in |
//! | `condition` | what an `if` decides |
//! | `statement` | a line → what it says |
//! | `shell` | commands, for the tools of today |
//! | `table` | values by name |
//! | `reader` | a file and what it includes → what counts of it |
//! | `names` | a name → the modules behind it |
//! | `group` | what belongs to one module |
//! | `convert` | what counts → lines of modprobe.d |
//! | `detect` | which of the two languages a file is in |

mod condition;
mod convert;
mod detect;
mod group;
mod lines;
mod names;
mod reader;
mod shell;
mod statement;
mod table;
mod words;

pub use convert::{Converted, Output, convert};
pub use detect::is_old;

/// What a modules.conf asks of the machine that it is read for.
pub trait Outside {
    /// The kernel's release, as `uname -r` has it.
    fn release(&self) -> &str;

    /// Whether the file at `path` is there, for `if -f`.
    fn exists(&self, path: &str) -> bool;

    /// What the file at `path` holds, for `include`.
    ///
    /// # Errors
    /// Why it cannot be read, for a person.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;
}

/// Why a line does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It is not of the language.
    Wrong(String),
    /// What it says hangs on something that is not known here.
    Unsure(String),
}

impl Trouble {
    fn wrong<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Self::Wrong(text.into()))
    }

    fn unsure<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Self::Unsure(text.into()))
    }
}

/// A machine for tests: one kernel, a few files.
#[cfg(test)]
#[derive(Default)]
struct Machine(std::collections::BTreeMap<&'static str, &'static str>);

#[cfg(test)]
impl Outside for Machine {
    fn release(&self) -> &str {
        "2.4.18-3smp"
    }

    fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let text = self.0.get(path).ok_or("No such file or directory")?;
        Ok(text.as_bytes().to_vec())
    }
}
