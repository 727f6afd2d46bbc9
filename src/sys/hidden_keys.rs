//! A terminal whose keys are read one by one and not echoed, for a passphrase.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, SpecialCodeIndex,
    tcgetattr, tcsetattr,
};

use super::terminal::{self, Mode};
use super::{Error, Result, console};
use crate::escape;

/// A terminal without echo. When this is dropped, the terminal is set to the mode in which the
/// kernel creates it.
#[derive(Debug)]
pub(crate) struct HiddenKeys(File);

impl HiddenKeys {
    /// Opens the terminal at `path`, which does not become the controlling one. Nothing is echoed
    /// from then on, and no key sends a signal.
    ///
    /// # Errors
    /// It cannot be opened, or is no terminal (ENOTTY).
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let terminal = terminal::open(path)?;
        match hide(&terminal) {
            Ok(()) => Ok(Self(terminal)),
            Err(errno) => Err(Error::new("tcsetattr", escape::path(&path), errno)),
        }
    }

    /// tcflush(3): discards what was typed.
    pub(crate) fn discard(&self) {
        let _ = rustix::termios::tcflush(&self.0, QueueSelector::IFlush);
    }

    /// read(2): returns the number of bytes that were typed; `None` if the terminal has hung up.
    pub(crate) fn read(&self, keys: &mut [u8]) -> Option<usize> {
        match rustix::io::read(&self.0, keys) {
            Ok(0) => None,
            Ok(count) => Some(count),
            Err(Errno::AGAIN | Errno::INTR) => Some(0),
            Err(_) => None,
        }
    }

    /// Prints a text. What the terminal does not accept in time is dropped.
    pub(crate) fn print(&self, text: &str) {
        console::write(self.0.as_fd(), text.as_bytes());
    }
}

impl AsFd for HiddenKeys {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for HiddenKeys {
    fn drop(&mut self) {
        self.discard();
        let _ = terminal::change(&self.0, Mode::Shell);
    }
}

fn hide(terminal: &File) -> rustix::io::Result<()> {
    let mut termios = tcgetattr(terminal)?;
    // A break on a serial line is no key, and noise may be an XOFF.
    termios.input_modes |= InputModes::IGNBRK | InputModes::ICRNL;
    termios.input_modes -= InputModes::IXON | InputModes::ISTRIP | InputModes::IGNCR;
    termios.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    // Lines of the kernel know one key that erases, and serial terminals send another one.
    termios.local_modes -= LocalModes::ICANON
        | LocalModes::ISIG
        | LocalModes::IEXTEN
        | LocalModes::ECHO
        | LocalModes::ECHONL;
    termios.special_codes[SpecialCodeIndex::VMIN] = 1;
    termios.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Not once all output is written: a serial port may have stopped it.
    tcsetattr(terminal, OptionalActions::Now, &termios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_hides_keys() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(HiddenKeys::open(&file).unwrap_err().cause, Errno::NOTTY);
    }

    /// Uses a pseudo-terminal of the machine; without one there is nothing to test.
    #[test]
    fn nothing_is_echoed_until_the_end() {
        let Ok(main) = File::options().read(true).write(true).open("/dev/ptmx") else { return };
        let Ok(path) = rustix::pty::grantpt(&main)
            .and_then(|()| rustix::pty::unlockpt(&main))
            .and_then(|()| rustix::pty::ptsname(&main, Vec::new()))
        else {
            return;
        };
        let path = path.to_str().unwrap();
        let keys = HiddenKeys::open(Path::new(path)).unwrap();
        rustix::io::write(&main, b"old").unwrap();
        keys.discard();
        rustix::io::write(&main, b"a\x08\x03\x11\r").unwrap();
        let mut typed = [0; 16];
        assert_eq!(keys.read(&mut typed), Some(5));
        assert_eq!(&typed[..5], b"a\x08\x03\x11\n");
        assert_eq!(keys.read(&mut typed), Some(0));
        keys.print("> ");
        let mut shown = [0; 16];
        assert_eq!(rustix::io::read(&main, &mut shown), Ok(2));
        let again = File::options().read(true).write(true).open(path).unwrap();
        drop(keys);
        let modes = tcgetattr(&again).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        let keys = HiddenKeys::open(Path::new(path)).unwrap();
        drop((main, again));
        assert_eq!(keys.read(&mut typed), None);
    }
}
