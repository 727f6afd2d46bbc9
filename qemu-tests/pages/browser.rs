//! A headless Chromium, driven by its DevTools protocol over two pipes: messages are JSON, each with
//! a zero byte at its end.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use harness::run::Need;
use serde_json::{Value, json};

/// The program, and the Debian package that holds it.
pub(crate) const CHROMIUM: Need =
    Need::Command("chromium-headless-shell", "chromium-headless-shell");

/// Deadline of the whole browser, as timeout(1) takes it.
const DEADLINE: &str = "300";

/// A browser with one page, which is killed when it is dropped.
pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Number of the last command.
    last: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_dark: bool,
    /// Whether it is shown as on paper.
    pub(crate) is_print: bool,
}

impl Browser {
    /// Starts a browser with an empty page.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol has descriptors 3 and 4.
        let mut child = Command::new("timeout")
            .args([DEADLINE, "sh", "-c"])
            .arg("exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null")
            .args(["sh", "chromium-headless-shell", "--remote-debugging-pipe", "--no-sandbox"])
            .args(["--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("timeout(1) starts");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output);
        let mut browser = Self { child, input, output, last: 0, session: None, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser.call("Page.enable", &json!({}));
        browser
    }

    /// Opens a file, and waits until it is shown.
    pub(crate) fn open(&mut self, file: &Path, look: Look, with_script: bool) {
        let metrics = json!({
            "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let scheme = if look.is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let media = if look.is_print { "print" } else { "screen" };
        let media = json!({ "media": media, "features": features });
        self.call("Emulation.setEmulatedMedia", &media);
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !with_script }));
        let url = format!("file://{}", file.display());
        self.send("Page.navigate", &json!({ "url": url }));
        while self.receive()["method"] != "Page.loadEventFired" {}
    }

    /// Returns the value of an expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression:.80}: {answer:#}");
        answer["result"]["value"].clone()
    }

    /// Presses a key, such as `Tab` or `ArrowRight`, or types one character.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut down = json!({ "type": "keyDown", "key": key, "windowsVirtualKeyCode": code });
        if code == 0 || key == "Enter" {
            down["text"] = if key == "Enter" { "\r".into() } else { key.into() };
        }
        self.call("Input.dispatchKeyEvent", &down);
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", &up);
    }

    /// Moves the pointer to a place of the page.
    pub(crate) fn point(&mut self, x: f64, y: f64) {
        let params = json!({ "type": "mouseMoved", "x": x, "y": y });
        self.call("Input.dispatchMouseEvent", &params);
    }

    /// Returns a picture of the window as PNG.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        from_base64(answer["data"].as_str().unwrap())
    }

    /// Calls a method and returns its result.
    fn call(&mut self, method: &str, params: &Value) -> Value {
        let id = self.send(method, params);
        loop {
            let message = self.receive();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).expect("the browser reads");
        self.last
    }

    fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut bits, mut number) = (Vec::new(), 0, 0u32);
    for value in text.bytes().filter_map(digit) {
        number = (number << 6 | u32::from(value)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(number >> bits & 0xff).unwrap());
        }
    }
    bytes
}
