//! A captured machine: its devices and how they describe themselves, as a text for people that
//! `coldplug plan --from` reads.
//!
//! ```text
//! coldplug-capture 2           the first line: the version of the format
//! kernel RELEASE               uname -r
//! machine NAME                 uname -m
//! cmdline TEXT                 /proc/cmdline
//! root TYPE PATH               the filesystem at /, and its block device below /sys/devices
//!
//! device PATH                  below /sys/devices; the lines up to the next device belong to it
//!   modalias TEXT              from its file `modalias`, or from its `uevent`
//!   subsystem NAME
//!   driver NAME                the driver that the device is bound to
//!   module NAME                the loadable module that contains this driver
//!   supplier PATH              a device that must be bound before; any number of lines
//!
//! end                          the last line: without it the text is cut off
//! ```
//!
//! Only the first line, the last one and a device's `modalias` are required. Devices are written
//! sorted by path, and may be read in any order. A text of version 1 has no `end`. White space
//! around a line and after its first word, empty lines and lines that begin with `#` are ignored. A
//! value is the rest of its line; backslashes, spaces at either end and bytes other than printable
//! ASCII are written as `\xNN`.

use std::collections::HashSet;
use std::fmt::{self, Write};

use crate::kmod::name::ModuleName;
use crate::kmod::uevent::Modalias;

/// The version of the format that is written.
const VERSION: u32 = 2;
/// The first word of the first line, which is followed by the version.
const HEAD: &str = "coldplug-capture";
/// The last line, from version 2 on.
const END: &str = "end";

/// A machine at the time of the capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// Release of the running kernel.
    pub(crate) kernel: Option<String>,
    /// Architecture, as in `uname -m`.
    pub(crate) machine: Option<String>,
    /// Kernel command line.
    pub(crate) cmdline: String,
    /// The mounted root filesystem.
    pub(crate) root: Option<RootFs>,
    /// The devices that have a modalias, sorted by path.
    pub(crate) devices: Vec<Device>,
}

/// The filesystem at `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootFs {
    /// Filesystem type.
    pub(crate) fstype: String,
    /// Path of the block device below /sys/devices.
    pub(crate) device: String,
}

/// A device that has a modalias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// Path below /sys/devices.
    pub(crate) path: String,
    /// How the device describes itself.
    pub(crate) modalias: Modalias,
    /// Bus or class.
    pub(crate) subsystem: Option<String>,
    /// Driver that the device is bound to.
    pub(crate) driver: Option<String>,
    /// Loadable module that contains the driver; `None` if the driver is built in.
    pub(crate) module: Option<ModuleName>,
    /// Paths of the devices that must be bound before this one is probed.
    pub(crate) suppliers: Vec<String>,
}

/// Error in the text of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureError {
    /// Line number, from 1.
    pub line: usize,
    /// Description of the error.
    pub(crate) text: String,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for CaptureError {}

impl Capture {
    /// Returns the text of the capture.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD} {VERSION}\n");
        put(&mut text, "kernel", self.kernel.as_deref());
        put(&mut text, "machine", self.machine.as_deref());
        put(&mut text, "cmdline", Some(self.cmdline.as_str()).filter(|line| !line.is_empty()));
        let root = self.root.as_ref().map(|root| format!("{} {}", root.fstype, root.device));
        put(&mut text, "root", root.as_deref());
        for device in &self.devices {
            text.push('\n');
            put(&mut text, "device", Some(&device.path));
            let _ = writeln!(text, "  modalias {}", escape(device.modalias.as_bytes()));
            put(&mut text, "  subsystem", device.subsystem.as_deref());
            put(&mut text, "  driver", device.driver.as_deref());
            put(&mut text, "  module", device.module.as_ref().map(ModuleName::as_bytes));
            for supplier in &device.suppliers {
                put(&mut text, "  supplier", Some(supplier));
            }
        }
        text.extend(["\n", END, "\n"]);
        text
    }

    /// Parses the text of a capture.
    ///
    /// # Errors
    /// The first malformed line, or the last one if the text is cut off.
    pub fn parse(text: &[u8]) -> Result<Self, CaptureError> {
        let mut lines = text.split(|b| *b == b'\n').enumerate().map(|(at, line)| (at + 1, line));
        let version = version(lines.next().map_or(&[], |(_, line)| line))?;
        let mut reader = Reader { last: 1, ..Reader::default() };
        for (number, line) in lines {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            reader.line(line).map_err(|text| CaptureError { line: number, text })?;
            reader.last = number;
        }
        reader.end(version).map_err(|(line, text)| CaptureError { line, text })
    }
}

fn put(text: &mut String, key: &str, value: Option<impl AsRef<[u8]>>) {
    if let Some(value) = value {
        let _ = writeln!(text, "{key} {}", escape(value.as_ref()));
    }
}

/// Returns the version in the first line.
fn version(line: &[u8]) -> Result<u32, CaptureError> {
    let line = String::from_utf8_lossy(line.trim_ascii_end());
    let version = line.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(' '));
    let text = match version.map(|text| (text, text.parse())) {
        Some((_, Ok(version @ 1..=VERSION))) => return Ok(version),
        Some((text, _)) => {
            format!("capture format {text} is not supported, only up to format {VERSION}")
        }
        None => format!("not a capture: the first line must be '{HEAD} {VERSION}'"),
    };
    Err(CaptureError { line: 1, text })
}

/// The state of the parser.
#[derive(Default)]
struct Reader {
    capture: Capture,
    /// The device to which the next lines belong.
    open: Option<Open>,
    /// Paths of the devices so far.
    paths: HashSet<String>,
    /// Whether the last line has been read.
    has_ended: bool,
    /// Number of the last line that was not empty.
    last: usize,
}

/// A device whose lines are not all read.
#[derive(Default)]
struct Open {
    path: String,
    modalias: Option<Modalias>,
    subsystem: Option<String>,
    driver: Option<String>,
    module: Option<ModuleName>,
    suppliers: Vec<String>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let (key, value) =
            line.split_at(line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len()));
        let key = String::from_utf8_lossy(key).into_owned();
        if self.has_ended {
            return Err(format!("'{key}' after '{END}'"));
        }
        if line == END.as_bytes() {
            self.has_ended = true;
            return self.close();
        }
        let value = unescape(value.trim_ascii_start())
            .ok_or_else(|| format!("{key}: a backslash must be written \\x5c"))?;
        if value.is_empty() {
            return Err(format!("'{key}' has no value"));
        }
        match (key.as_str(), &mut self.open) {
            ("device", _) => self.device(text(value)),
            ("modalias" | "subsystem" | "driver" | "module" | "supplier", open) => match open {
                Some(open) => open.set(&key, value),
                None => Err(format!("'{key}' before the first device")),
            },
            ("kernel" | "machine" | "cmdline" | "root", None) => self.fact(&key, text(value)),
            ("kernel" | "machine" | "cmdline" | "root", Some(_)) => {
                Err(format!("'{key}' after the first device"))
            }
            _ => Err(format!("unknown word '{key}'")),
        }
    }

    fn fact(&mut self, key: &str, value: String) -> Result<(), String> {
        let capture = &mut self.capture;
        match key {
            "kernel" => once(&mut capture.kernel, value, key),
            "machine" => once(&mut capture.machine, value, key),
            "root" => {
                let (fstype, device) =
                    value.split_once(' ').ok_or("root: expected a filesystem type and a path")?;
                let root = RootFs { fstype: fstype.to_owned(), device: device.to_owned() };
                once(&mut capture.root, root, key)
            }
            _ if !capture.cmdline.is_empty() => Err(twice(key)),
            _ => {
                capture.cmdline = value;
                Ok(())
            }
        }
    }

    fn device(&mut self, path: String) -> Result<(), String> {
        self.close()?;
        if !self.paths.insert(path.clone()) {
            return Err(format!("device {path} occurs twice"));
        }
        self.open = Some(Open { path, ..Open::default() });
        Ok(())
    }

    /// Stores the device that is open.
    fn close(&mut self) -> Result<(), String> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Open { path, modalias, subsystem, driver, module, suppliers } = open;
        let modalias = modalias.ok_or_else(|| format!("device {path} above has no modalias"))?;
        let device = Device { path, modalias, subsystem, driver, module, suppliers };
        self.capture.devices.push(device);
        Ok(())
    }

    fn end(mut self, version: u32) -> Result<Capture, (usize, String)> {
        let last = self.last;
        if version > 1 && !self.has_ended {
            return Err((last, format!("the text is cut off here: it has no '{END}'")));
        }
        self.close().map_err(|text| (last, text))?;
        self.capture.devices.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(self.capture)
    }
}

impl Open {
    fn set(&mut self, key: &str, value: Vec<u8>) -> Result<(), String> {
        match key {
            "modalias" => {
                let modalias = Modalias::new(&value).ok_or("an empty modalias")?;
                once(&mut self.modalias, modalias, key)
            }
            "subsystem" => once(&mut self.subsystem, text(value), key),
            "driver" => once(&mut self.driver, text(value), key),
            "supplier" => {
                self.suppliers.push(text(value));
                Ok(())
            }
            _ => {
                let module = ModuleName::new(&value);
                if module.as_bytes().is_empty() {
                    let value = text(value);
                    return Err(format!("'{value}' is not the name of a module"));
                }
                once(&mut self.module, module, key)
            }
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T, key: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(key)),
    }
}

fn twice(key: &str) -> String {
    format!("'{key}' occurs twice")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(bytes: &[u8]) -> String {
    let last = bytes.len().saturating_sub(1);
    let mut out = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let outer_space = *byte == b' ' && (at == 0 || at == last);
        match byte {
            b' '..=b'~' if *byte != b'\\' && !outer_space => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out
}

/// Returns the bytes that `text` stands for; `None` if a backslash is not followed by `xNN`.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut parts = text.split(|b| *b == b'\\');
    out.extend_from_slice(parts.next()?);
    for part in parts {
        let digits =
            part.strip_prefix(b"x")?.get(..2).filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        out.extend_from_slice(&part[3..]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(path: &str, modalias: &[u8]) -> Device {
        Device {
            path: path.to_owned(),
            modalias: Modalias::new(modalias).unwrap(),
            subsystem: None,
            driver: None,
            module: None,
            suppliers: Vec::new(),
        }
    }

    #[test]
    fn written_captures_parse_to_the_same_machine() {
        let capture = Capture {
            kernel: Some("6.1.0".into()),
            machine: Some("x86_64".into()),
            cmdline: "root=/dev/vda \"a b\"".into(),
            root: Some(RootFs { fstype: "ext4".into(), device: "pci0/x/block/vda".into() }),
            devices: vec![
                device("a b", b" dmi:\xff\\n \n"),
                Device {
                    subsystem: Some("pci".into()),
                    driver: Some("virtio-pci".into()),
                    module: Some("virtio_pci".into()),
                    suppliers: vec!["a b".into(), "gone".into()],
                    ..device("pci0", b"pci:v1")
                },
            ],
        };
        let text = capture.to_text();
        assert!(
            text.starts_with("coldplug-capture 2\nkernel 6.1.0\nmachine x86_64\ncmdline root=")
        );
        assert!(
            text.contains("\ndevice a b\n  modalias \\x20dmi:\\xff\\x5cn\\x20\n\ndevice pci0\n"),
            "{text}"
        );
        let end = "  module virtio_pci\n  supplier a b\n  supplier gone\n\nend\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(Capture::parse(text.as_bytes()), Ok(capture));
        for len in 0..text.trim_end().len() {
            assert!(Capture::parse(&text.as_bytes()[..len]).is_err(), "{}", &text[..len]);
        }
    }

    #[test]
    fn comments_and_missing_facts_are_allowed() {
        let text = "coldplug-capture 1\r\n\n  # mine\ndevice a\nmodalias x\n\tdriver  d";
        let capture = Capture::parse(text.as_bytes()).unwrap();
        assert_eq!((capture.kernel, capture.root), (None, None));
        assert_eq!(capture.devices[0].driver.as_deref(), Some("d"));
        assert_eq!(Capture::parse(b"coldplug-capture 1"), Ok(Capture::default()));
        assert_eq!(Capture::parse(b"coldplug-capture 2\n end \n#\n"), Ok(Capture::default()));
    }

    #[test]
    fn devices_are_sorted() {
        let text = "coldplug-capture 2\ndevice b\nmodalias x\ndevice b/c\nmodalias y\ndevice a\n\
                    modalias z\nend\n";
        let capture = Capture::parse(text.as_bytes()).unwrap();
        let paths: Vec<&str> = capture.devices.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "b/c"]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, want) in [
            ("", "line 1: not a capture: the first line must be 'coldplug-capture 2'"),
            ("device a\n", "line 1: not a capture: the first line must be 'coldplug-capture 2'"),
            (
                "coldplug-capture 3\nend\n",
                "line 1: capture format 3 is not supported, only up to format 2",
            ),
            (
                "coldplug-capture 0",
                "line 1: capture format 0 is not supported, only up to format 2",
            ),
            (
                "coldplug-capture 2\n\ndevice a\n  modalias x\n\n",
                "line 4: the text is cut off here: it has no 'end'",
            ),
            ("coldplug-capture 2", "line 1: the text is cut off here: it has no 'end'"),
            ("coldplug-capture 2\nend\ndevice a\nmodalias x\n", "line 3: 'device' after 'end'"),
            ("coldplug-capture 2\nend\nend", "line 3: 'end' after 'end'"),
            ("coldplug-capture 2\nend now", "line 2: unknown word 'end'"),
            ("coldplug-capture 2\ndevice a\nend", "line 3: device a above has no modalias"),
            ("coldplug-capture 1\n\ndrivers x", "line 3: unknown word 'drivers'"),
            ("coldplug-capture 1\nkernel", "line 2: 'kernel' has no value"),
            ("coldplug-capture 1\nkernel 1\nkernel 2", "line 3: 'kernel' occurs twice"),
            ("coldplug-capture 1\ncmdline 1\ncmdline 2", "line 3: 'cmdline' occurs twice"),
            (
                "coldplug-capture 1\nroot ext4",
                "line 2: root: expected a filesystem type and a path",
            ),
            ("coldplug-capture 1\nmodalias x", "line 2: 'modalias' before the first device"),
            (
                "coldplug-capture 1\ndevice a\nmodalias x\nkernel 1",
                "line 4: 'kernel' after the first device",
            ),
            (
                "coldplug-capture 1\ndevice a\nmodalias x\nmodalias y",
                "line 4: 'modalias' occurs twice",
            ),
            (
                "coldplug-capture 1\ndevice a\nmodule b/.ko",
                "line 3: 'b/.ko' is not the name of a module",
            ),
            ("coldplug-capture 1\ndevice a\ndevice b", "line 3: device a above has no modalias"),
            ("coldplug-capture 1\ndevice a\n\n", "line 2: device a above has no modalias"),
            (
                "coldplug-capture 1\ndevice b\nmodalias x\ndevice a\nmodalias x\ndevice b",
                "line 6: device b occurs twice",
            ),
            (
                "coldplug-capture 1\ndevice a\nmodalias a\\n",
                "line 3: modalias: a backslash must be written \\x5c",
            ),
            (
                "coldplug-capture 1\ndevice a\nmodalias a\\x+1",
                "line 3: modalias: a backslash must be written \\x5c",
            ),
        ] {
            assert_eq!(Capture::parse(text.as_bytes()).unwrap_err().to_string(), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_survive_escaping(bytes in proptest::collection::vec(0u8.., 0..40)) {
            proptest::prop_assert_eq!(unescape(escape(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn no_text_panics(text in r"(coldplug-capture [12]\n)?([a-z ]{0,9}[ \\x\n]{0,3}){0,6}") {
            let _ = Capture::parse(text.as_bytes());
        }
    }
}
