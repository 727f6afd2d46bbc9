//! modules.conf(5): the configuration of modutils, the module tools of Linux 2.4 and before, also
//! called /etc/conf.modules; and its conversion to modprobe.d(5).
//!
//! ```text
//! alias NAME RESULT              RESULT: a module, another name, off, or null
//! options [-k] MODULE WORD…      -k, -o NAME and other words for insmod among KEY=VALUE words
//! above MODULE NAME…             loaded after the module; below: before it
//! probe NAME NAME…               the first that can be loaded; probeall: all of them
//! install MODULE COMMAND         instead of the load; pre-install, post-install, remove,
//!                                pre-remove, post-remove
//! define VARIABLE WORD           $VARIABLE in the words that follow, and in commands
//! include FILE
//! if CONDITION … elseif CONDITION … else … endif
//!   CONDITION                    [!] -f FILE | -k | [-n] WORD == != < <= > >= WORD | WORD
//! path=DIR path[TAG]=DIR keep prune FILE… insmod_opt=… persistdir=… depfile=… KINDfile=…
//! ```
//!
//! A `#` starts a comment anywhere. A backslash at the end of a line joins it with the next line,
//! whose indentation becomes one space. Words are separated by spaces and tabs; `'` and `"` quote
//! them. If several lines set the same thing, the last one is used; after `add` the lists are
//! joined. Of several commands the first one is used. `` `uname -r` `` and `` `kernelversion` ``
//! are the kernel's release and its first two parts. modutils ran any other command in a line with
//! a shell when it read the file. Here no command is run: a line that depends on one becomes a
//! comment.
//!
//! | file | content |
//! | --- | --- |
//! | `lines` | lines without continuations and comments |
//! | `words` | the words of a line, with variables expanded |
//! | `condition` | the conditions of `if` |
//! | `statement` | the meaning of a line |
//! | `error` | why a line is not converted |
//! | `shell` | shell commands, for the tools of today |
//! | `table` | values by name |
//! | `reader` | the lines of a file and its includes, and which of them have an effect |
//! | `names` | the modules that a name stands for |
//! | `group` | everything that belongs to one module |
//! | `convert` | the lines of modprobe.d |
//! | `detect` | the language of a file |

mod condition;
mod convert;
mod detect;
mod error;
mod group;
mod lines;
mod names;
mod reader;
mod shell;
mod statement;
mod table;
mod words;

use std::error::Error;

pub use convert::{Converted, Output, convert};
pub use detect::is_modules_conf;

/// The machine for which a modules.conf is read.
pub trait Environment {
    /// Returns the kernel's release, as `uname -r` prints it.
    fn release(&self) -> &str;

    /// Returns whether the file at `path` exists, for `if -f`.
    fn exists(&self, path: &str) -> bool;

    /// Returns the content of the file at `path`, for `include`.
    ///
    /// # Errors
    /// The file cannot be read. The message names the file.
    fn read(&self, path: &str) -> Result<Vec<u8>, Box<dyn Error>>;
}

/// A machine for tests: one kernel, a few files.
#[cfg(test)]
#[derive(Default)]
struct Machine(std::collections::BTreeMap<&'static str, &'static str>);

#[cfg(test)]
impl Environment for Machine {
    fn release(&self) -> &str {
        "2.4.18-3smp"
    }

    fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let text = self.0.get(path).ok_or_else(|| format!("read {path}: No such file"))?;
        Ok(text.as_bytes().to_vec())
    }
}
