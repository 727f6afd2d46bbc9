//! A small client of QMP, QEMU's control protocol: one JSON object per line over a unix socket.
//!
//! ```text
//! ← {"QMP": {…}}
//! → {"execute": "qmp_capabilities"}            ← {"return": {}}
//! → {"execute": COMMAND, "arguments": {…}}     ← {"return": …} or {"error": {"desc": …}}
//! ← {"event": …}                               at any time; skipped here
//! ```

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for QEMU.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Interval of the attempts to connect.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A connection on which the greeting has been exchanged.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the socket that `-qmp unix:PATH,server=on` makes. QEMU may just have started.
    pub fn connect(path: &Path) -> Self {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(e) => assert!(start.elapsed() < TIMEOUT, "{}: {e}", path.display()),
            }
            std::thread::sleep(POLL_INTERVAL);
        };
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut qmp = Self { stream: BufReader::new(stream) };
        let greeting = qmp.read();
        assert!(greeting.get("QMP").is_some(), "not a QMP greeting: {greeting}");
        qmp.execute("qmp_capabilities", json!({}));
        qmp
    }

    /// Runs one command and returns its result.
    ///
    /// # Panics
    ///
    /// If QEMU answers with an error.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Value {
        let line = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{line}").unwrap();
        loop {
            let answer = self.read();
            if let Some(value) = answer.get("return") {
                return value.clone();
            }
            assert!(answer.get("error").is_none(), "{command}: {answer}");
        }
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer of QEMU");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }
}
