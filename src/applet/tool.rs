//! What the kmod tools share: messages with kmod's priorities, the module directory, parameters, loading
//! one file, and words for what the kernel refuses.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::{Exit, out};
use crate::sys::kmsg::Kmsg;
use crate::sys::module::{Kernel, ModuleOps};
use crate::sys::{Root, syslog};

/// Priorities of messages, as in syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Fatal = 2,
    Error = 3,
    Warning = 4,
}

/// How an act failed. It has been said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// Nothing more is done: a FATAL that was shown.
    Stop,
    /// What else was asked for is still tried.
    GoOn,
}

/// A tool at work: what it is called, where it looks, and where it writes.
pub(super) struct Tool {
    prog: String,
    threshold: Cell<i32>,
    to_syslog: Cell<bool>,
    to_kmsg: Cell<bool>,
    pub(super) root: Root,
    pub(super) ops: Arc<dyn ModuleOps>,
    /// What is still to be written to `out`.
    waiting: RefCell<Vec<u8>>,
    out: RefCell<Box<dyn Write>>,
    err: RefCell<Box<dyn Write>>,
}

impl Tool {
    /// The tool called `args[0]`, on the running machine. Messages above `level` are not shown.
    pub(super) fn new(args: &[OsString], level: Level) -> Self {
        let name = args.first().and_then(|a| Path::new(a).file_name());
        Self {
            prog: name.map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            threshold: Cell::new(level as i32),
            to_syslog: Cell::new(false),
            to_kmsg: Cell::new(false),
            root: Root::default(),
            ops: Arc::new(Kernel),
            waiting: RefCell::default(),
            out: RefCell::new(Box::new(std::io::stdout())),
            err: RefCell::new(Box::new(std::io::stderr())),
        }
    }

    /// The tool `prog` on a tree of files, with what it writes.
    #[cfg(test)]
    pub(super) fn on(root: Root, ops: Arc<dyn ModuleOps>, sink: &Sink) -> Self {
        let mut tool = Self::new(&["modprobe".into()], Level::Warning);
        (tool.root, tool.ops) = (root, ops);
        (tool.out, tool.err) =
            (RefCell::new(Box::new(sink.clone())), RefCell::new(Box::new(sink.clone())));
        tool
    }

    /// Shows one level more.
    pub(super) fn louder(&self) {
        self.threshold.set(self.threshold.get() + 1);
    }

    /// Shows nothing at all.
    pub(super) fn silence(&self) {
        self.threshold.set(0);
    }

    /// Sends messages to the system log.
    pub(super) fn use_syslog(&self) {
        self.to_syslog.set(true);
    }

    /// Sends messages to the kernel's log and nowhere else: no socket is opened, which might need a module.
    pub(super) fn use_kmsg(&self) {
        self.to_kmsg.set(true);
    }

    /// Whether messages of this level are shown.
    pub(super) fn shows(&self, level: Level) -> bool {
        self.threshold.get() >= level as i32
    }

    /// Whether what is done is to be told as well.
    pub(super) fn is_verbose(&self) -> bool {
        self.threshold.get() > Level::Warning as i32
    }

    /// One message.
    pub(super) fn say(&self, level: Level, text: &str) {
        if !self.shows(level) {
            return;
        }
        let word = match level {
            Level::Fatal => "FATAL",
            Level::Error => "ERROR",
            Level::Warning => "WARNING",
        };
        if self.to_kmsg.get() {
            if let Ok(kmsg) = Kmsg::open(&self.root) {
                kmsg.write_as(level as u8, &self.prog, &format!("{word}: {text}"));
            }
        } else if self.to_syslog.get() {
            syslog::send(&self.root, level as u8, &self.prog, &format!("{word}: {text}"));
        } else {
            self.raw_error(&format!("{}: {word}: {text}", self.prog));
        }
    }

    /// An error after which the rest is still tried.
    pub(super) fn error(&self, text: &str) -> Fail {
        self.say(Level::Error, text);
        Fail::GoOn
    }

    /// An error of this level; a FATAL one ends the tool where it is shown, as in kmod.
    pub(super) fn fail(&self, level: Level, text: &str) -> Fail {
        self.say(level, text);
        if level == Level::Fatal && self.shows(level) { Fail::Stop } else { Fail::GoOn }
    }

    /// One line on standard error, without a head.
    pub(super) fn raw_error(&self, text: &str) {
        self.flush();
        let _ = writeln!(self.err.borrow_mut(), "{text}");
    }

    /// Bytes for standard output. They go out together: at the latest before anything else is written.
    pub(super) fn print(&self, bytes: impl AsRef<[u8]>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.extend_from_slice(bytes.as_ref());
        if waiting.len() > 32 << 10 {
            drop(waiting);
            self.flush();
        }
    }

    /// Writes what waits for standard output.
    pub(super) fn flush(&self) {
        let bytes = self.waiting.take();
        if !bytes.is_empty() {
            let mut to = self.out.borrow_mut();
            out::note(to.write_all(&bytes).and_then(|()| to.flush()));
        }
    }

    /// An option that is not understood.
    pub(super) fn bad_option(&self, text: &str) -> Exit {
        self.raw_error(text);
        Exit::Failure
    }

    /// `--help`.
    pub(super) fn help(&self, text: &str) -> Exit {
        self.print(format!("Usage:\n\t{} {text}", self.prog));
        Exit::Success
    }

    /// `--version`: first kmod's, which scripts look at, then our own.
    pub(super) fn version(&self) -> Exit {
        self.print(concat!(
            "kmod version 34\n+ZSTD +XZ +ZLIB -OPENSSL -MBEDTLS\ncoldplug ",
            env!("CARGO_PKG_VERSION"),
            " (",
            env!("COLDPLUG_COMMIT"),
            ", ",
            env!("COLDPLUG_TARGET"),
            ")\n"
        ));
        Exit::Success
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Somewhere to look at what a tool wrote.
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
    fn only_a_shown_fatal_stops() {
        let sink = Sink::default();
        let tool = Tool::on(Root::default(), Arc::new(Kernel), &sink);
        assert_eq!(tool.fail(Level::Fatal, "x"), Fail::Stop);
        assert_eq!(tool.fail(Level::Warning, "y"), Fail::GoOn);
        tool.silence();
        tool.louder();
        assert_eq!(tool.fail(Level::Fatal, "z"), Fail::GoOn);
        assert_eq!(sink.take(), "modprobe: FATAL: x\nmodprobe: WARNING: y\n");
    }
}
