//! The milestones of a boot: one line each on the console, and one object of JSON each on the port
//! of `coldplug.report=`. docs/harness.md describes them.

use std::fmt::Write;

use super::writer::JsonWriter;
use crate::sys::BootTime;

/// A point of a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// An attempt to boot has begun.
    Init,
    /// The first scan for devices has ended.
    Scan,
    /// The root device was found.
    RootFound,
    /// The root filesystem is mounted.
    RootMounted,
    /// No further module is loaded before the switch.
    Loaded,
    /// The new root is the root.
    Switch,
    /// The command of `coldplug.exec=` starts.
    ExecStart,
    /// The command of `coldplug.exec=` has ended.
    ExecEnd,
    /// The boot cannot go on.
    Rescue,
}

impl Event {
    /// Returns the name of the milestone.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Scan => "scan",
            Self::RootFound => "root-found",
            Self::RootMounted => "root-mounted",
            Self::Loaded => "loaded",
            Self::Switch => "switch",
            Self::ExecStart => "exec-start",
            Self::ExecEnd => "exec-end",
            Self::Rescue => "rescue",
        }
    }
}

/// A detail of a milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail<'a> {
    /// The path of a device.
    Device(&'a str),
    /// The size of a device in bytes, if it has one.
    Size(Option<u64>),
    /// The exit status of a command; -1 stands for a signal.
    Exit(i32),
    /// What else there is to know.
    Text(&'a str),
}

/// A milestone of a boot, in its two forms.
#[derive(Debug)]
pub(crate) struct Milestone {
    /// The line for the console: `root-found: /dev/vda, 16 MiB (0.812 s)`.
    pub(crate) line: String,
    /// One line of JSON, with its newline.
    pub(crate) json: String,
}

impl Milestone {
    /// Describes `event`, which was reached at this time. A detail that is not known is left out.
    pub(crate) fn new(event: Event, at: BootTime, details: &[Detail<'_>]) -> Self {
        let (name, us) = (event.as_str(), at.as_micros());
        let mut json = JsonWriter::default();
        json.begin("", '{');
        json.text("milestone", name);
        json.number("at_us", us);
        // The first line says itself what begins.
        let mut line = if event == Event::Init { String::new() } else { format!("{name}: ") };
        for (at, detail) in details.iter().enumerate() {
            if *detail == Detail::Size(None) {
                continue;
            }
            line += if at > 0 { ", " } else { "" };
            detail.add_to(&mut line, &mut json);
        }
        let ms = us / 1000;
        // Nothing fails here, nor below.
        let _ = write!(line, " ({}.{:03} s)", ms / 1000, ms % 1000);
        json.end('}');
        Self { line, json: json.finish() + "\n" }
    }
}

impl Detail<'_> {
    fn add_to(self, line: &mut String, json: &mut JsonWriter) {
        let _ = match self {
            Self::Device(text) => {
                json.text("device", text);
                line.write_str(text)
            }
            Self::Text(text) => {
                json.text("text", text);
                line.write_str(text)
            }
            Self::Size(size) => {
                let size = size.unwrap_or_default();
                json.number("size", size);
                write!(line, "{} MiB", size >> 20)
            }
            Self::Exit(status) => {
                json.literal("exit", &status.to_string());
                write!(line, "status {status}")
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milestone_is_a_line_on_the_console_and_on_the_port() {
        let disk = Detail::Device("/dev/vda");
        for (event, members, line, json) in [
            (
                Event::Init,
                vec![Detail::Text("version 1, kernel 6")],
                "version 1, kernel 6 (0.812 s)",
                r#"{"milestone":"init","at_us":812345,"text":"version 1, kernel 6"}"#,
            ),
            (
                Event::RootFound,
                vec![disk, Detail::Size(Some(16 << 20))],
                "root-found: /dev/vda, 16 MiB (0.812 s)",
                r#"{"milestone":"root-found","at_us":812345,"device":"/dev/vda","size":16777216}"#,
            ),
            (
                Event::RootMounted,
                vec![disk, Detail::Size(None), Detail::Text("ext4")],
                "root-mounted: /dev/vda, ext4 (0.812 s)",
                r#"{"milestone":"root-mounted","at_us":812345,"device":"/dev/vda","text":"ext4"}"#,
            ),
            (
                Event::ExecEnd,
                vec![Detail::Exit(-1)],
                "exec-end: status -1 (0.812 s)",
                r#"{"milestone":"exec-end","at_us":812345,"exit":-1}"#,
            ),
            (
                Event::Switch,
                vec![Detail::Text("a\"\n")],
                "switch: a\"\n (0.812 s)",
                r#"{"milestone":"switch","at_us":812345,"text":"a\"\u000a"}"#,
            ),
        ] {
            let milestone = Milestone::new(event, BootTime::from_nanos(812_345_678), &members);
            assert_eq!(milestone.line, line);
            assert_eq!(milestone.json, json.to_owned() + "\n");
        }
    }
}
