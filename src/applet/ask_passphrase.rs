//! `ask-passphrase CONSOLE`: asks for passphrases on one console. `init` starts it; the messages on
//! descriptor 0 are those of [`crate::boot::passphrase`].
//!
//! ```text
//! Enter                the passphrase is sent
//! Backspace  Ctrl-H    erases a character; Ctrl-W erases a word, Ctrl-U everything
//! Ctrl-C               throws the line away
//! Ctrl-D               cancels, on an empty line
//! Ctrl-Q Ctrl-S Ctrl-Z and byte 0 have no effect; every other byte is a part of the passphrase
//! ```
//!
//! Nothing that is typed is shown, not even the number of characters.

use std::ffi::OsString;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::message::Error;
use crate::boot::NO_TERMINAL;
use crate::boot::passphrase::{ASK, CANCEL, END, LINE, MAX_PASSPHRASE, PASSPHRASE, REPEAT, STOP};
use crate::escape;
use crate::sys::hidden_keys::HiddenKeys;
use crate::sys::kmsg::PrintedRecords;
use crate::sys::{Root, child, procfs};

/// Time without a record of the kernel after which the prompt is printed below the last one.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// What a key has led to.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    /// The line goes on.
    More,
    /// The line is complete.
    Enter,
    /// The line was thrown away.
    Discarded,
    /// The person has cancelled.
    Cancel,
}

/// The line that is being typed. Its memory is zeroed when it is cleared or dropped.
struct Typed {
    /// A message to PID 1: its first byte, then the text.
    message: [u8; 1 + MAX_PASSPHRASE],
    len: usize,
    /// Whether more was typed than fits.
    overlong: bool,
}

impl Typed {
    fn new() -> Self {
        let mut message = [0; 1 + MAX_PASSPHRASE];
        message[0] = PASSPHRASE;
        Self { message, len: 0, overlong: false }
    }

    fn text(&self) -> &[u8] {
        &self.message[1..=self.len]
    }

    /// Returns the message with the text.
    fn message(&self) -> &[u8] {
        &self.message[..=self.len]
    }

    fn clear(&mut self) {
        self.message[1..].fill(0);
        // The compiler must not omit it.
        std::hint::black_box(&self.message);
        (self.len, self.overlong) = (0, false);
    }

    fn key(&mut self, byte: u8) -> Key {
        match byte {
            b'\n' | b'\r' => return Key::Enter,
            0x08 | 0x7f => self.erase(self.last_character()),
            CTRL_U => self.clear(),
            CTRL_W => self.erase(self.last_word()),
            CTRL_C => {
                self.clear();
                return Key::Discarded;
            }
            CTRL_D if self.len == 0 => return Key::Cancel,
            0 | CTRL_D | CTRL_Q | CTRL_S | CTRL_Z => {}
            _ if self.len == MAX_PASSPHRASE => self.overlong = true,
            byte => {
                self.len += 1;
                self.message[self.len] = byte;
            }
        }
        Key::More
    }

    /// Erases bytes at the end.
    fn erase(&mut self, count: usize) {
        let start = 1 + self.len - count;
        self.message[start..].fill(0);
        self.len -= count;
    }

    /// Returns the length of the last character, which is one byte unless it is UTF-8.
    fn last_character(&self) -> usize {
        let text = self.text();
        let tail = |n: &usize| text.len().checked_sub(*n).and_then(|at| text.get(at..));
        let is_one = |n: &usize| {
            let text = tail(n).and_then(|tail| std::str::from_utf8(tail).ok());
            text.is_some_and(|text| text.chars().count() == 1)
        };
        (1..=4).find(is_one).unwrap_or_else(|| text.len().min(1))
    }

    /// Returns the length of the last word and the spaces after it.
    fn last_word(&self) -> usize {
        let text = self.text();
        let word = text.trim_ascii_end();
        let start = word.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
        text.len() - start
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        self.clear();
    }
}

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_Q: u8 = 17;
const CTRL_S: u8 = 19;
const CTRL_U: u8 = 21;
const CTRL_W: u8 = 23;
const CTRL_Z: u8 = 26;

/// The prompt on a terminal.
struct Console {
    keys: HiddenKeys,
    /// The question, while one is asked.
    question: Option<String>,
    typed: Typed,
    /// What the kernel prints, which may be on this console.
    log: Option<PrintedRecords>,
    /// Whether the kernel has printed something below the prompt.
    is_covered: bool,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let [_, console] = args else {
        return Err(Error::Usage("CONSOLE is missing".to_owned()));
    };
    let dir = Root::default();
    let path = dir.join("dev").join(console);
    let keys = HiddenKeys::open(&path).map_err(|_| Error::Code(NO_TERMINAL))?;
    let level = procfs::sysctl(&dir, "kernel/printk").unwrap_or_default();
    let level = level.split_whitespace().next().and_then(|level| level.parse().ok());
    let log = PrintedRecords::end(&dir, level.unwrap_or(7));
    let typed = Typed::new();
    let mut console = Console { keys, question: None, typed, log, is_covered: false };
    while console.wait() {}
    Ok(())
}

impl Console {
    /// Waits for a key or a message. Returns false if the child is to end.
    fn wait(&mut self) -> bool {
        let stdin = rustix::stdio::stdin();
        let fds =
            [Some(stdin.as_fd()), Some(self.keys.as_fd()), self.log.as_ref().map(AsFd::as_fd)];
        let poll_fd = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().flatten().map(poll_fd).collect();
        match poll(&mut fds, self.is_covered.then_some(&QUIET)) {
            Ok(0) => {
                self.is_covered = false;
                self.show();
            }
            Ok(_) => {}
            Err(_) => return true,
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let (message, key, record) = (is_ready(0), is_ready(1), is_ready(2));
        self.is_covered |= record && self.log.as_ref().is_some_and(PrintedRecords::any);
        if message {
            let Some(message) = child::receive_from_parent(stdin) else { return false };
            return self.obey(&message);
        }
        !key || self.read()
    }

    fn obey(&mut self, message: &[u8]) -> bool {
        let Some((kind, text)) = message.split_first() else { return false };
        let text = String::from_utf8_lossy(text);
        match *kind {
            ASK => {
                if self.question.is_none() {
                    self.typed.clear();
                    // What was typed before the question is no answer to it.
                    self.keys.discard();
                } else {
                    self.end_line();
                }
                self.question = Some(format!("coldplug: {}", escape::line(&text)));
                self.show();
            }
            LINE => {
                self.end_line();
                self.keys.print(&format!("{}\n", escape::line(&text)));
                self.show();
            }
            REPEAT => self.show(),
            STOP => self.stop(),
            END => {
                self.stop();
                return false;
            }
            _ => {}
        }
        true
    }

    fn show(&self) {
        if let Some(question) = &self.question {
            self.keys.print(question);
        }
    }

    /// Begins a new line below the prompt.
    fn end_line(&self) {
        if self.question.is_some() {
            self.keys.print("\n");
        }
    }

    fn stop(&mut self) {
        self.end_line();
        self.question = None;
        self.typed.clear();
    }

    /// Reads keys. Returns false if the terminal has hung up.
    fn read(&mut self) -> bool {
        let mut keys = [0; 64];
        let Some(count) = self.keys.read(&mut keys) else { return false };
        let is_alive = keys.iter().take(count).all(|key| self.handle(*key));
        keys.fill(0);
        std::hint::black_box(&keys);
        is_alive
    }

    fn handle(&mut self, key: u8) -> bool {
        if self.question.is_none() {
            return true;
        }
        match self.typed.key(key) {
            Key::More => {}
            Key::Discarded => {
                self.end_line();
                self.show();
            }
            Key::Enter if self.typed.overlong => {
                self.typed.clear();
                self.end_line();
                self.keys.print(&format!("coldplug: longer than {MAX_PASSPHRASE} bytes\n"));
                self.show();
            }
            Key::Enter => {
                let sent = child::send_to_parent(rustix::stdio::stdin(), self.typed.message());
                self.stop();
                return sent;
            }
            Key::Cancel => {
                let sent = child::send_to_parent(rustix::stdio::stdin(), &[CANCEL]);
                self.stop();
                return sent;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types bytes and returns the text with what the last key has led to.
    fn typed(keys: &[u8]) -> (Vec<u8>, Key) {
        let mut typed = Typed::new();
        let last = keys.iter().map(|key| typed.key(*key)).last();
        (typed.text().to_vec(), last.unwrap_or(Key::More))
    }

    #[test]
    fn keys_edit_the_line() {
        for (keys, text, last) in [
            (&b"secret\r"[..], &b"secret"[..], Key::Enter),
            (b"\n", b"", Key::Enter),
            (b"ab\x08c\x7fd", b"ad", Key::More),
            (b"\x7f\x08a", b"a", Key::More),
            ("aö\x7fb".as_bytes(), b"ab", Key::More),
            ("€\x7f\u{1f511}\x7fx".as_bytes(), b"x", Key::More),
            (b"a\xf6\x7fb", b"ab", Key::More),
            (b"\xbf\xbf\xbf\xbf\xbf\x7f", b"\xbf\xbf\xbf\xbf", Key::More),
            (b"wrong\x15right", b"right", Key::More),
            (b"correct horse battery \x17x", b"correct horse x", Key::More),
            (b"one\x17\x17two", b"two", Key::More),
            (b"typed\x03", b"", Key::Discarded),
            (b"\x04", b"", Key::Cancel),
            (b"a\x04", b"a", Key::More),
            (b"a\x13\x11\x1a\0b\t\x1b[A", b"ab\t\x1b[A", Key::More),
        ] {
            assert_eq!(typed(keys), (text.to_vec(), last), "{keys:?}");
        }
    }

    #[test]
    fn an_overlong_line_is_not_sent() {
        let mut typed = Typed::new();
        (0..MAX_PASSPHRASE).for_each(|_| assert_eq!(typed.key(b'x'), Key::More));
        assert!(!typed.overlong && typed.text().len() == MAX_PASSPHRASE);
        assert_eq!(typed.message().len(), MAX_PASSPHRASE + 1);
        typed.key(b'y');
        assert!(typed.overlong && typed.text().ends_with(b"x"));
        typed.key(CTRL_U);
        assert!(!typed.overlong && typed.message == Typed::new().message);
    }

    #[test]
    fn what_is_erased_is_zeroed() {
        let mut typed = Typed::new();
        b"secret word\x17\x7f\x7f".iter().for_each(|key| assert_eq!(typed.key(*key), Key::More));
        assert_eq!(typed.text(), b"secre");
        assert!(typed.message[6..].iter().all(|byte| *byte == 0));
        typed.clear();
        assert!(typed.message[1..].iter().all(|byte| *byte == 0));
    }
}
