//! swtpm, the emulator of a TPM 2.0, for QEMU's `-tpmdev emulator`.
//!
//! Its state directory holds what a real chip keeps without power: the seeds of its keys. The PCRs
//! are not in it: firmware and kernel of each boot extend them from zero.

use crate::tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for its socket.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running emulator, which is killed when it is dropped. It ends with its machine.
#[derive(Debug)]
pub struct Swtpm {
    state: PathBuf,
    socket: PathBuf,
    child: Child,
}

impl Swtpm {
    /// Starts an emulator with the state in the directory `state`, which is made if it is missing.
    ///
    /// # Panics
    ///
    /// If its socket does not appear.
    pub fn start(state: &Path, socket: &Path) -> Self {
        fs::create_dir_all(state).unwrap();
        let _ = fs::remove_file(socket);
        let mut command = tool::command("swtpm", "swtpm");
        command.args(["socket", "--tpm2", "--tpmstate", &format!("dir={}", state.display())]);
        command.args(["--ctrl", &format!("type=unixio,path={}", socket.display())]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let end = Instant::now() + START_TIMEOUT;
        while !socket.exists() {
            assert!(Instant::now() < end, "swtpm has made no socket");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { state: state.to_owned(), socket: socket.to_owned(), child }
    }

    /// Ends the emulator, which answers no command any more. One that is merely stopped would stop QEMU.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Starts another emulator with the same state.
    pub fn restarted(self) -> Self {
        let (state, socket) = (self.state.clone(), self.socket.clone());
        drop(self);
        Self::start(&state, &socket)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
