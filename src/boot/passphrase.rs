//! The prompt for a passphrase: one child process per console of /proc/consoles. The first answer
//! counts, and the prompts on the other consoles are withdrawn.
//!
//! PID 1 only sends and receives messages. The caller decides what is asked, tries the answer, and
//! may ask again.
//!
//! ```text
//! to the child      A TEXT      ask, with this text before the cursor
//!                   L TEXT      print a line, and ask again below it
//!                   R           print the prompt again: something else was printed
//!                   S           stop asking
//!                   E           set the terminal back and end
//! from the child    P BYTES     the passphrase
//!                   C           the person has cancelled: Ctrl-D
//! ```

use std::os::fd::{AsFd, BorrowedFd};

use super::consoles::{self, Backoff, NO_TERMINAL, RESET};
use super::keyboards;
use crate::sys::child::{self, ChildProcess, Received};
use crate::sys::{Root, console, input};

/// The command that the children run.
const APPLET: &str = "ask-passphrase";
/// Longest passphrase in bytes, as in cryptsetup(8).
pub(crate) const MAX_PASSPHRASE: usize = 512;
/// First bytes of the messages.
pub(crate) const ASK: u8 = b'A';
pub(crate) const LINE: u8 = b'L';
pub(crate) const REPEAT: u8 = b'R';
pub(crate) const STOP: u8 = b'S';
pub(crate) const END: u8 = b'E';
pub(crate) const PASSPHRASE: u8 = b'P';
pub(crate) const CANCEL: u8 = b'C';

/// A passphrase. Its memory is zeroed when it is dropped.
pub(in crate::boot) struct Passphrase(Vec<u8>);

impl Passphrase {
    /// Returns the passphrase of a child's message.
    fn of(mut message: Vec<u8>) -> Self {
        // In place: nothing else holds a copy.
        message.rotate_left(1);
        if let Some(last) = message.last_mut() {
            *last = 0;
        }
        message.truncate(message.len().saturating_sub(1));
        Self(message)
    }

    /// Returns the bytes that were typed.
    pub(in crate::boot) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Passphrase {
    /// Shows nothing of the text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Drop for Passphrase {
    fn drop(&mut self) {
        self.0.fill(0);
        // The compiler must not omit it.
        std::hint::black_box(&self.0);
    }
}

/// The answer to a question, or the reason why there is none.
#[derive(Debug)]
pub(in crate::boot) enum Reply {
    /// A person has typed this.
    Passphrase(Passphrase),
    /// A person has pressed Ctrl-D on an empty line.
    Cancelled,
    /// No console is a terminal that can be read: a text that names those that were tried.
    NoConsole(String),
}

/// The prompt on one console.
#[derive(Debug)]
struct Asker {
    console: String,
    child: Option<ChildProcess>,
    backoff: Backoff,
}

/// A prompt on all consoles.
#[derive(Debug)]
pub(in crate::boot) struct Prompt {
    askers: Vec<Asker>,
    /// Names of the consoles that are no terminals.
    unusable: Vec<String>,
    question: String,
    /// Whether an answer is awaited.
    asking: bool,
    /// Number of lines that this process had printed when the prompt was last repeated.
    lines: u64,
    /// The child that loads the drivers of keyboards, while it runs.
    keyboards: Option<ChildProcess>,
}

impl Prompt {
    /// Asks `question` on all consoles, until [`Self::poll`] returns an answer or the prompt is dropped.
    pub(in crate::boot) fn start(dir: &Root, question: &str) -> Self {
        let consoles = consoles::consoles(dir);
        let has_screen = consoles.iter().any(|name| consoles::is_virtual_terminal(name));
        let mut prompt = Self {
            askers: consoles.into_iter().map(Asker::new).collect(),
            unusable: Vec::new(),
            question: String::new(),
            asking: false,
            lines: 0,
            keyboards: has_screen.then(keyboards::start).flatten(),
        };
        prompt.ask(question);
        prompt
    }

    /// Asks again, or something else.
    pub(in crate::boot) fn ask(&mut self, question: &str) {
        question.clone_into(&mut self.question);
        if !self.asking {
            // An answer on another console that came too late.
            while self.receive().is_some() {}
        }
        (self.asking, self.lines) = (true, console::lines_printed());
        self.send(ASK, question);
    }

    /// Prints a line on all consoles.
    pub(in crate::boot) fn message(&self, line: &str) {
        self.send(LINE, &format!("coldplug: {line}"));
    }

    /// Returns the answer, once there is one. Nothing is asked then until the next [`Self::ask`].
    pub(in crate::boot) fn poll(&mut self, dir: &Root) -> Option<Reply> {
        let question = self.asking.then_some(self.question.as_str());
        let unusable = &mut self.unusable;
        self.askers.retain_mut(|asker| {
            let usable = asker.tend(question);
            if !usable {
                unusable.push(asker.console.clone());
            }
            usable
        });
        self.look_for_keyboard(dir);
        if !self.asking {
            return None;
        }
        let reply = self.receive().or_else(|| self.no_console());
        match reply {
            Some(_) => {
                self.asking = false;
                self.send(STOP, "");
            }
            None => self.repeat(),
        }
        reply
    }

    /// Returns whether an answer is awaited.
    pub(in crate::boot) fn is_asking(&self) -> bool {
        self.asking
    }

    /// Returns whether the answer to this question is awaited.
    pub(in crate::boot) fn is_asking_for(&self, question: &str) -> bool {
        self.asking && self.question == question
    }

    /// Returns whether a console is left on which somebody may answer.
    pub(in crate::boot) fn has_console(&self) -> bool {
        !self.askers.is_empty()
    }

    /// Returns the descriptors that are readable when [`Self::poll`] has something to do.
    pub(in crate::boot) fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.askers.iter().filter_map(|asker| asker.child.as_ref().map(AsFd::as_fd))
    }

    fn send(&self, kind: u8, text: &str) {
        self.askers.iter().for_each(|asker| asker.send(kind, text));
    }

    fn receive(&self) -> Option<Reply> {
        self.askers.iter().filter_map(|asker| asker.child.as_ref()).find_map(|child| {
            match child.try_receive() {
                Received::Message(message) if message.first() == Some(&PASSPHRASE) => {
                    Some(Reply::Passphrase(Passphrase::of(message)))
                }
                Received::Message(_) => Some(Reply::Cancelled),
                Received::Pending | Received::Ended => None,
            }
        })
    }

    fn no_console(&self) -> Option<Reply> {
        let tried = self.unusable.iter().map(|name| format!("/dev/{name} is no terminal"));
        let tried = || Reply::NoConsole(tried.collect::<Vec<_>>().join(", "));
        self.askers.is_empty().then(tried)
    }

    /// Repeats the prompt below the lines that this process has printed, which are on the first
    /// console of the list.
    fn repeat(&mut self) {
        let lines = console::lines_printed();
        if lines != self.lines {
            self.lines = lines;
            self.askers.iter().take(1).for_each(|asker| asker.send(REPEAT, ""));
        }
    }

    /// Says so if there is no keyboard at the screen once the drivers are loaded.
    fn look_for_keyboard(&mut self, dir: &Root) {
        let Some(child) = &self.keyboards else { return };
        if child::exit_status(child.pid()).is_none() {
            return;
        }
        self.keyboards = None;
        if !input::has_keyboard(dir) {
            let screens = self.askers.iter();
            screens
                .filter(|asker| consoles::is_virtual_terminal(&asker.console))
                .for_each(|asker| asker.send(LINE, "coldplug: no keyboard found; connect one"));
        }
    }
}

impl Drop for Prompt {
    /// Withdraws the prompts, and waits until their terminals are set back: a shell may be next.
    fn drop(&mut self) {
        self.send(END, "");
        let children = self.askers.iter_mut().filter_map(|asker| asker.child.take());
        consoles::wait_for(children.collect());
        if let Some(keyboards) = self.keyboards.take() {
            keyboards.release();
        }
    }
}

impl Asker {
    fn new(console: String) -> Self {
        Self { console, child: None, backoff: Backoff::new() }
    }

    fn send(&self, kind: u8, text: &str) {
        if let Some(child) = &self.child {
            // A child that does not read is about to end.
            child.send(&[&[kind], text.as_bytes()].concat());
        }
    }

    /// Starts the child if it is due, and notes its end. Returns false if the console is no
    /// terminal.
    fn tend(&mut self, question: Option<&str>) -> bool {
        match &self.child {
            None if self.backoff.is_due() => {
                self.backoff.note_start();
                match ChildProcess::start(APPLET, &[self.console.as_ref()]) {
                    Ok(child) => self.child = Some(child),
                    Err(_) => self.backoff.postpone(),
                }
                if let Some(question) = question {
                    self.send(ASK, question);
                }
            }
            None => {}
            Some(child) => {
                let Some(status) = child::exit_status(child.pid()) else { return true };
                self.child = None;
                if status.code() == Some(i32::from(NO_TERMINAL)) {
                    return false;
                }
                if status.code().is_none() {
                    // It was killed, and has left the terminal without echo.
                    let words = [RESET, &self.console].map(str::as_ref);
                    if let Ok(child) = ChildProcess::start("console-shell", &words) {
                        child.release();
                    }
                }
                self.backoff.postpone();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_rest_of_the_message() {
        for text in [&b"secret"[..], b"", b"a\xff\0b"] {
            let passphrase = Passphrase::of([&[PASSPHRASE], text].concat());
            assert_eq!(passphrase.bytes(), text);
            assert_eq!(format!("{passphrase:?}"), "Passphrase");
        }
    }
}
