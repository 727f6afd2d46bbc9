//! A tool at work: the messages of the kmod tools, their output, and the root they work on.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::args::OptionError;
use super::message::{self, Error};
use super::out;
use crate::escape;
use crate::sys::kmsg::Kmsg;
use crate::sys::moddir::ModuleDir;
use crate::sys::module::{Kernel, ModuleOps};
use crate::sys::{Root, syslog};

/// Bytes of output that are collected before they are written.
const OUTPUT_LIMIT: usize = 32 << 10;

/// Priorities of messages, as in syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Fatal = 2,
    Error = 3,
    Warning = 4,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
        }
    }
}

/// Failure of one operand. Its message has been printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// Stop: a FATAL message was printed.
    Stop,
    /// Continue with the next operand.
    Continue,
}

impl From<Fail> for Error {
    fn from(_: Fail) -> Self {
        Self::Reported
    }
}

/// Form of a tool's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `PROGRAM: LEVEL: TEXT`
    Kmod,
    /// `coldplug COMMAND: TEXT`
    Coldplug,
}

/// Name, root and output of a running tool.
pub(super) struct Tool {
    /// Path that the tool was called by, as getopt_long(3) prints it.
    argv0: String,
    name: String,
    form: Form,
    threshold: Cell<i32>,
    to_syslog: Cell<bool>,
    to_kmsg: Cell<bool>,
    pub(super) root: Root,
    pub(super) ops: Arc<dyn ModuleOps>,
    /// Output that has not been written to `out`.
    pending: RefCell<Vec<u8>>,
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
}

impl Tool {
    /// Returns the tool of kmod that is called `args[0]`. Messages less important than `level`
    /// are not printed.
    pub(super) fn kmod(args: &[OsString], level: Level) -> Self {
        Self::new(args, Form::Kmod, level)
    }

    /// Returns the command `args[0]` of the program `kmod`, whose messages start with `kmod`.
    #[cfg(feature = "host")]
    pub(super) fn kmod_command(args: &[OsString], level: Level) -> Self {
        let mut tool = Self::kmod(args, level);
        "kmod".clone_into(&mut tool.name);
        tool
    }

    /// Returns the command of coldplug that is called `args[0]`.
    pub(super) fn coldplug(args: &[OsString]) -> Self {
        Self::new(args, Form::Coldplug, Level::Warning)
    }

    fn new(args: &[OsString], form: Form, level: Level) -> Self {
        let argv0 = args.first().map_or_else(String::new, |a| a.to_string_lossy().into_owned());
        let name = Path::new(&argv0).file_name();
        Self {
            name: name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            argv0,
            form,
            threshold: Cell::new(level as i32),
            to_syslog: Cell::new(false),
            to_kmsg: Cell::new(false),
            root: Root::default(),
            ops: Arc::new(Kernel),
            pending: RefCell::default(),
            out: RefCell::new(Box::new(std::io::stdout())),
            err: RefCell::new(Box::new(std::io::stderr())),
        }
    }

    /// Returns modprobe on the tree `root` with `ops` as its kernel. Output goes to `sink`.
    #[cfg(test)]
    pub(super) fn for_test(root: Root, ops: Arc<dyn ModuleOps>, sink: &Sink) -> Self {
        let mut tool = Self::kmod(&["modprobe".into()], Level::Warning);
        (tool.root, tool.ops) = (root, ops);
        (tool.out, tool.err) =
            (RefCell::new(Box::new(sink.clone())), RefCell::new(Box::new(sink.clone())));
        tool
    }

    /// Prints messages of one more level.
    pub(super) fn increase_verbosity(&self) {
        self.threshold.set(self.threshold.get() + 1);
    }

    /// Prints no more messages.
    pub(super) fn silence(&self) {
        self.threshold.set(0);
    }

    /// Sends messages to the system log.
    pub(super) fn use_syslog(&self) {
        self.to_syslog.set(true);
    }

    /// Sends messages to the kernel log alone: opening a socket may need a module.
    pub(super) fn use_kmsg(&self) {
        self.to_kmsg.set(true);
    }

    /// Returns whether messages of this level are printed.
    pub(super) fn shows(&self, level: Level) -> bool {
        self.threshold.get() >= level as i32
    }

    /// Returns whether actions are printed too.
    pub(super) fn is_verbose(&self) -> bool {
        self.threshold.get() > Level::Warning as i32
    }

    /// Prints or logs a message.
    pub(super) fn message(&self, level: Level, text: &str) {
        match self.form {
            Form::Kmod => {
                let text = format!("{}: {text}", level.as_str());
                self.emit(level, &text, &format!("{}: {text}", self.name));
            }
            Form::Coldplug => self.emit(level, text, &format!("coldplug {}: {text}", self.name)),
        }
    }

    /// Prints or logs what the user can do about the message before.
    pub(super) fn hint(&self, text: &str) {
        let text = format!("hint: {text}");
        self.emit(Level::Error, &text, &text);
    }

    /// Says that `dir` exists but has not been indexed, if so: nothing is found in it then.
    pub(super) fn hint_at_depmod(&self, dir: &ModuleDir) {
        let path = dir.path();
        if let Some(index) = dir.missing_index().filter(|_| path.is_dir()) {
            self.hint(&format!("{}/{index} is missing or empty: run depmod", escape::path(path)));
        }
    }

    /// Writes `text` to the log that is in use, or else `line` to standard error.
    fn emit(&self, level: Level, text: &str, line: &str) {
        if !self.shows(level) {
            return;
        }
        if self.to_kmsg.get() {
            if let Ok(kmsg) = Kmsg::open(&self.root) {
                kmsg.write_as(level as u8, &self.name, text);
            }
        } else if self.to_syslog.get() {
            syslog::send(&self.root, level as u8, &self.name, text);
        } else {
            self.raw_error(line);
        }
    }

    /// Prints an error that does not keep the next operand from being tried.
    pub(super) fn error(&self, text: &str) -> Fail {
        self.message(Level::Error, text);
        Fail::Continue
    }

    /// Prints an error of this level. As in kmod, a FATAL one stops the tool only if it is printed.
    pub(super) fn fail(&self, level: Level, text: &str) -> Fail {
        self.message(level, text);
        if level == Level::Fatal && self.shows(level) { Fail::Stop } else { Fail::Continue }
    }

    /// Prints an error about the command line, and a hint that names the help.
    pub(super) fn usage_error(&self, text: &str) -> Error {
        self.error(text);
        self.hint(&message::help_of(&self.name));
        Error::Reported
    }

    /// Prints a line on standard error, without the name of the tool.
    pub(super) fn raw_error(&self, text: &str) {
        self.flush();
        let _ = writeln!(self.err.borrow_mut(), "{}", escape::text(text));
    }

    /// Queues output. It is written in few large pieces, at the latest before an error is printed.
    pub(super) fn print(&self, bytes: impl AsRef<[u8]>) {
        let mut pending = self.pending.borrow_mut();
        pending.extend_from_slice(bytes.as_ref());
        if pending.len() > OUTPUT_LIMIT {
            drop(pending);
            self.flush();
        }
    }

    /// Writes the queued output.
    pub(super) fn flush(&self) {
        let bytes = self.pending.take();
        if !bytes.is_empty() {
            let mut to = self.out.borrow_mut();
            out::record(to.write_all(&bytes).and_then(|()| to.flush()));
        }
    }

    /// Prints an error about an option: for a tool of kmod in the form of getopt_long(3). Returns
    /// what asks for help as it is.
    pub(super) fn bad_option(&self, error: OptionError) -> Error {
        match self.form {
            _ if matches!(error, OptionError::Help(_)) => error.into(),
            Form::Kmod => {
                self.raw_error(&format!("{}: {error}", self.argv0));
                Error::Reported
            }
            Form::Coldplug => error.into(),
        }
    }

    /// Prints the answer to `--version`: first the line of kmod, which scripts parse, then ours.
    pub(super) fn version(&self) -> Error {
        self.print(concat!(
            "kmod version 34\n+ZSTD +XZ +ZLIB -OPENSSL -MBEDTLS\ncoldplug ",
            env!("CARGO_PKG_VERSION"),
            " (",
            env!("COLDPLUG_COMMIT"),
            ", ",
            env!("COLDPLUG_TARGET"),
            ")\n"
        ));
        Error::Answered
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Collector of a tool's output.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Sink(std::rc::Rc<RefCell<Vec<u8>>>);

#[cfg(test)]
impl Sink {
    pub(super) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.borrow_mut())).unwrap()
    }
}

#[cfg(test)]
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_printed_fatal_stops() {
        let sink = Sink::default();
        let tool = Tool::for_test(Root::default(), Arc::new(Kernel), &sink);
        assert_eq!(tool.fail(Level::Fatal, "x"), Fail::Stop);
        assert_eq!(tool.fail(Level::Warning, "y"), Fail::Continue);
        tool.silence();
        tool.increase_verbosity();
        assert_eq!(tool.fail(Level::Fatal, "z"), Fail::Continue);
        assert_eq!(sink.take(), "modprobe: FATAL: x\nmodprobe: WARNING: y\n");
    }

    #[test]
    fn each_kind_of_command_has_its_form_of_messages() {
        let sink = Sink::default();
        let tool = |form| {
            let mut tool = Tool::new(&["/sbin/x".into()], form, Level::Warning);
            tool.err = RefCell::new(Box::new(sink.clone()));
            tool
        };
        let kmod = tool(Form::Kmod);
        kmod.error("m: text");
        assert_eq!(kmod.bad_option(OptionError::UnknownShort('z')), Error::Reported);
        assert_eq!(sink.take(), "x: ERROR: m: text\n/sbin/x: invalid option -- 'z'\n");
        let own = tool(Form::Coldplug);
        own.message(Level::Warning, "m: text");
        own.usage_error("unexpected argument 'y'");
        assert_eq!(
            sink.take(),
            "coldplug x: m: text\ncoldplug x: unexpected argument 'y'\n\
             hint: see 'coldplug help x'\n"
        );
    }
}
