//! Terminals: the controlling terminal of a session, and the modes of termios(3) in which a person
//! types at a prompt, a password or a shell.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, tcgetattr, tcsetattr,
};

use super::{Error, Result};
use crate::escape;

/// Ctrl-C, which ends a line of [`Mode::Prompt`] like a newline.
pub(crate) const CTRL_C: u8 = 3;
/// Ctrl-Z, which does so too.
pub(crate) const CTRL_Z: u8 = 26;
/// Ctrl-D, the end of the file.
const CTRL_D: u8 = 4;

/// What the terminal does with the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whole lines, echoed. No key sends a signal: Ctrl-C and Ctrl-Z end the line instead.
    Prompt,
    /// The same without echo. What was typed before is discarded.
    Password,
    /// Lines, echo and signals, as the kernel sets up a terminal.
    Shell,
}

/// setsid(2), TIOCSCTTY, dup2(2): makes the terminal at `path` the controlling terminal of a new
/// session and the descriptors 0, 1 and 2. /dev/console controls no session.
///
/// # Errors
/// It cannot be opened, or is no terminal (ENOTTY).
pub(crate) fn attach(path: &Path) -> Result<()> {
    let terminal = open(path)?;
    let failed = |op| move |errno| Error::new(op, escape::path(&path), errno);
    let flags = rustix::fs::fcntl_getfl(&terminal).map_err(failed("fcntl"))?;
    rustix::fs::fcntl_setfl(&terminal, flags - OFlags::NONBLOCK).map_err(failed("fcntl"))?;
    rustix::process::setsid().map_err(failed("setsid"))?;
    // Without a controlling terminal, Ctrl-C and job control do not work, and all else does.
    let _ = rustix::process::ioctl_tiocsctty(&terminal);
    rustix::stdio::dup2_stdin(&terminal).map_err(failed("dup2"))?;
    rustix::stdio::dup2_stdout(&terminal).map_err(failed("dup2"))?;
    rustix::stdio::dup2_stderr(&terminal).map_err(failed("dup2"))
}

/// tcdrain(3): waits until the terminal on descriptor 1 has sent everything. What is no terminal is
/// not waited for.
pub(crate) fn drain() {
    let _ = rustix::termios::tcdrain(rustix::stdio::stdout());
}

/// tcsetattr(3): sets the terminal at `path` to the mode in which the kernel creates it.
///
/// # Errors
/// It cannot be opened, or is no terminal (ENOTTY).
pub(crate) fn reset(path: &Path) -> Result<()> {
    let terminal = open(path)?;
    change(&terminal, Mode::Shell).map_err(|e| Error::new("tcsetattr", escape::path(&path), e))
}

pub(super) fn open(path: &Path) -> Result<File> {
    // O_NONBLOCK: opening a serial port may wait for a carrier.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let open = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    let terminal = open.map_err(|e| Error::io("open", path, &e))?;
    match rustix::termios::isatty(&terminal) {
        true => Ok(terminal),
        false => Err(Error::new("open", escape::path(&path), Errno::NOTTY)),
    }
}

/// tcsetattr(3): sets the mode of the terminal on descriptor 0. Returns false if descriptor 0 is no
/// terminal, or one that has hung up.
pub(crate) fn set_mode(mode: Mode) -> bool {
    change(rustix::stdio::stdin(), mode).is_ok()
}

pub(super) fn change(terminal: impl AsFd, mode: Mode) -> rustix::io::Result<()> {
    let mut termios = tcgetattr(&terminal)?;
    let is_shell = mode == Mode::Shell;
    termios.input_modes |= InputModes::ICRNL;
    // Noise on a serial line may be an XOFF, which would stop the prompt.
    termios.input_modes.set(InputModes::IXON, is_shell);
    termios.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    termios.local_modes |= LocalModes::ICANON
        | LocalModes::IEXTEN
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ECHOCTL;
    termios.local_modes.set(LocalModes::ISIG, is_shell);
    termios.local_modes.set(LocalModes::ECHO, mode != Mode::Password);
    let (eol, eol2) = if is_shell { (0, 0) } else { (CTRL_C, CTRL_Z) };
    termios.special_codes[SpecialCodeIndex::VEOL] = eol;
    termios.special_codes[SpecialCodeIndex::VEOL2] = eol2;
    termios.special_codes[SpecialCodeIndex::VEOF] = CTRL_D;
    let when = if mode == Mode::Password { OptionalActions::Flush } else { OptionalActions::Now };
    tcsetattr(terminal, when, &termios)
}

/// Reports whether the terminal on descriptor 0 is there and has not hung up.
pub(crate) fn is_alive() -> bool {
    tcgetattr(rustix::stdio::stdin()).is_ok()
}

/// tcsetpgrp(3): makes the process group of `pid` the one that Ctrl-C reaches.
pub(crate) fn set_foreground(pid: u32) {
    // Without a controlling terminal there is no such group.
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_is_attached() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = attach(&file).unwrap_err();
        assert_eq!(error.cause, Errno::NOTTY);
        let error = attach(&scratch.path().join("none")).unwrap_err();
        assert_eq!(error.cause, Errno::NOENT);
    }
}
