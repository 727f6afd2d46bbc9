//! Lines that a person types at the terminal on descriptor 0.
//!
//! ```text
//! text\n           a line
//! text^C  text^Z   a line that is thrown away
//! ^D               the end of the file; at a terminal the next line can be read all the same
//! ```

use std::collections::VecDeque;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::sys::terminal::{self, CTRL_C, CTRL_Z, Mode};

/// Longest line in bytes, as in the kernel's line discipline.
const MAX_LINE: usize = 4096;
/// Number of lines that are kept while a command runs.
const MAX_WAITING: usize = 64;

/// The input of a terminal.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// Bytes after the last whole line.
    rest: Vec<u8>,
    /// Whether the line that begins `rest` is longer than [`MAX_LINE`].
    overlong: bool,
    /// Lines that have not been asked for yet.
    lines: VecDeque<Line>,
}

/// A line, or `None` if it is thrown away: after Ctrl-C or Ctrl-Z, or because it is too long.
pub(crate) type Line = Option<Vec<u8>>;

impl LineReader {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Waits for the next line. Returns `None` if the terminal has hung up.
    pub(crate) fn next(&mut self, mode: Mode) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            // A shell or a command may have changed it.
            let is_terminal = terminal::set_mode(mode);
            if !self.read() {
                // Ctrl-D at a terminal throws the line away.
                return is_terminal.then_some(None).filter(|_| terminal::is_alive());
            }
        }
    }

    /// Reads what was typed while a command runs, without waiting longer than `timeout`. Returns
    /// whether the person has pressed Ctrl-C.
    pub(crate) fn interrupted(&mut self, timeout: &Timespec) -> bool {
        let stdin = rustix::stdio::stdin();
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        let ready = poll(&mut fds, Some(timeout)).is_ok_and(|count| count > 0);
        let before = self.lines.len();
        // A terminal that has hung up is always ready.
        if ready && !self.read() {
            return !terminal::is_alive();
        }
        let pressed = self.lines.iter().skip(before).any(Option::is_none);
        if pressed {
            // As in a shell, what was typed before Ctrl-C is forgotten.
            self.lines.clear();
        }
        pressed
    }

    /// Reads once. Returns false at the end of the file.
    fn read(&mut self) -> bool {
        let mut buffer = [0; MAX_LINE];
        match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Err(Errno::INTR) => true,
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.add(&buffer[..count]);
                true
            }
        }
    }

    /// Adds bytes and divides them into lines.
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match *byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.rest);
                    self.push((!self.overlong).then_some(line));
                }
                CTRL_C | CTRL_Z => {
                    self.rest.clear();
                    self.push(None);
                }
                _ if self.rest.len() >= MAX_LINE => self.overlong = true,
                byte => self.rest.push(byte),
            }
        }
    }

    fn push(&mut self, line: Line) {
        self.overlong = false;
        if self.lines.len() < MAX_WAITING || line.is_none() {
            self.lines.push_back(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Option<String>> {
        let mut reader = LineReader::new();
        chunks.iter().for_each(|chunk| reader.add(chunk));
        let text = |line: Line| line.map(|l| String::from_utf8_lossy(&l).into_owned());
        reader.lines.drain(..).map(text).collect()
    }

    #[test]
    fn input_is_divided_into_lines() {
        let line = |text: &str| Some(text.to_owned());
        assert_eq!(lines(&[b"a b\n", b"\n"]), [line("a b"), line("")]);
        assert_eq!(lines(&[b"one\ntw", b"o\nthree"]), [line("one"), line("two")]);
        assert_eq!(lines(&[b"typed\x03", b"next\n"]), [None, line("next")]);
        assert_eq!(lines(&[b"\x1a\x03x\n"]), [None, None, line("x")]);
    }

    #[test]
    fn an_overlong_line_is_thrown_away_whole() {
        let long = vec![b'x'; MAX_LINE * 3 + 1];
        assert_eq!(lines(&[&long, b"\n", b"next\n"]), [None, Some("next".to_owned())]);
        assert_eq!(lines(&[&long[..MAX_LINE], b"\n"])[0].as_ref().map(String::len), Some(MAX_LINE));
        assert_eq!(lines(&[&long, b"\x03next\n"]), [None, Some("next".to_owned())]);
        assert_eq!(lines(&[&b"a\n".repeat(1000)]).len(), MAX_WAITING);
    }
}
