//! What a guest that has ended says about its command.

use std::io::ErrorKind;

use serde_json::Value;

use super::super::message::{self, Error};
use super::TIMED_OUT;
use crate::escape;
use crate::qemu::Outcome;

/// Lines of the console that are shown if the guest fails.
const SHOWN: usize = 20;
/// Exit status of a program that SIGPIPE has killed, as shells report it.
const PIPE: u8 = 141;
/// Start of the message about a QEMU that ended with a failure.
const QEMU: &str = "QEMU failed";
/// Words of the kernel when it panics.
const PANIC: &str = "Kernel panic - not syncing";

/// Prints what the user should know, and returns the exit status of the command.
///
/// # Errors
/// [`Error::Code`] for any status but 0; the command was not run to its end.
pub(super) fn judge(outcome: &Outcome, uses_kvm: bool, is_verbose: bool) -> Result<(), Error> {
    let console = lines(&outcome.console);
    match &outcome.failure {
        // As a program that SIGPIPE kills: who reads has seen enough.
        Some(error) if error.kind() == ErrorKind::BrokenPipe => return Err(Error::Code(PIPE)),
        Some(error) => return Err(Error::Failed(format!("standard output: {error}"))),
        None => {}
    }
    let record = last_record(&outcome.report);
    let exit = record.as_ref().and_then(|record| record.get("exit")?.as_i64());
    if is_verbose || exit.is_none() {
        let first = if is_verbose { 0 } else { console.len().saturating_sub(SHOWN) };
        console[first..].iter().for_each(|line| eprint_line(line));
    }
    match (exit, outcome.status) {
        (Some(0), _) => Ok(()),
        // The shell that runs the command has ended without a status only if it was killed.
        (Some(status), _) => Err(Error::Code(u8::try_from(status).unwrap_or(u8::MAX))),
        (None, _) if outcome.is_timeout => {
            message::warn("run", "timeout");
            Err(Error::Code(TIMED_OUT))
        }
        (None, _) => {
            lines(&outcome.messages).iter().for_each(|line| eprint_line(line));
            let text = failure(record.as_ref(), &console, outcome);
            // A machine may have a /dev/kvm on which QEMU cannot start a guest.
            match uses_kvm && console.is_empty() && text.starts_with(QEMU) {
                true => Err(Error::Hinted(text, "--accel tcg boots without KVM".to_owned())),
                false => Err(Error::Failed(text)),
            }
        }
    }
}

/// Returns why the command has no exit status.
fn failure(record: Option<&Value>, console: &[String], outcome: &Outcome) -> String {
    let verdict = record.and_then(|record| record.get("verdict")?.as_str());
    let panic = console.iter().find(|line| line.contains(PANIC));
    match (verdict, panic, outcome.status) {
        (Some(verdict), ..) => format!("the boot of the guest failed: {verdict}"),
        (None, Some(panic), _) => {
            format!("the kernel of the guest panicked: {}", escape::line(panic))
        }
        (None, None, Some(status)) if !status.success() => format!("{QEMU}: {status}"),
        _ => "the guest ended without a report".to_owned(),
    }
}

/// Returns the last record of a port.
fn last_record(report: &[u8]) -> Option<Value> {
    let records = report.split(|byte| *byte == b'\n').rev();
    records
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .find(|value| value.get("verdict").is_some() && value.get("modules").is_some())
}

fn lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

fn eprint_line(line: &str) {
    super::super::out::error(&escape::line(line));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn outcome(report: &str, console: &str, status: Option<i32>) -> Outcome {
        Outcome {
            status: status.map(ExitStatus::from_raw),
            is_timeout: status.is_none(),
            report: report.into(),
            console: console.into(),
            messages: Vec::new(),
            failure: None,
        }
    }

    #[test]
    fn a_guest_has_one_result() {
        let record = |members: &str| format!("{{\"modules\": [], {members}}}\n");
        let panic = "[    1.0] Kernel panic - not syncing: VFS\r\n";
        for (report, console, status, want) in [
            (record(r#""verdict": "ok", "exit": 0"#), "", Some(0), Ok(())),
            (record(r#""verdict": "ok", "exit": 7"#), "", Some(0), Err(Error::Code(7))),
            (record(r#""verdict": "ok", "exit": -1"#), "", Some(0), Err(Error::Code(255))),
            (
                format!("{{\"milestone\": \"init\"}}\n{}", record(r#""verdict": "ok", "exit": 3"#)),
                "",
                Some(0),
                Err(Error::Code(3)),
            ),
            (
                record(r#""verdict": "no-root", "exit": null"#),
                "",
                Some(0),
                Err(Error::Failed("the boot of the guest failed: no-root".into())),
            ),
            (
                String::new(),
                panic,
                Some(0),
                Err(Error::Failed(
                    "the kernel of the guest panicked: [    1.0] Kernel panic - not syncing: VFS"
                        .into(),
                )),
            ),
            (
                String::new(),
                "",
                Some(1 << 8),
                Err(Error::Failed("QEMU failed: exit status: 1".into())),
            ),
            (
                "{".into(),
                "",
                Some(0),
                Err(Error::Failed("the guest ended without a report".into())),
            ),
            (String::new(), panic, None, Err(Error::Code(TIMED_OUT))),
        ] {
            assert_eq!(judge(&outcome(&report, console, status), false, false), want, "{report}");
        }
    }

    /// A machine may have a /dev/kvm on which QEMU fails before the guest prints anything.
    #[test]
    fn a_kvm_that_does_not_work_is_no_riddle() {
        let result =
            |console: &str, uses_kvm| judge(&outcome("", console, Some(6)), uses_kvm, false);
        let failed = || "QEMU failed: signal: 6 (SIGABRT)".to_owned();
        let hint = "--accel tcg boots without KVM".to_owned();
        assert_eq!(result("", true), Err(Error::Hinted(failed(), hint)));
        assert_eq!(result("", false), Err(Error::Failed(failed())));
        assert_eq!(result("[    0.0] Linux", true), Err(Error::Failed(failed())));
    }

    #[test]
    fn output_that_is_not_written_is_no_success() {
        let failed = |kind: ErrorKind| {
            let record = r#"{"modules": [], "verdict": "ok", "exit": 0}"#;
            let failure = Some(kind.into());
            judge(&Outcome { failure, ..outcome(record, "", Some(0)) }, false, false)
        };
        assert_eq!(failed(ErrorKind::BrokenPipe), Err(Error::Code(PIPE)));
        assert!(matches!(failed(ErrorKind::StorageFull), Err(Error::Failed(_))));
    }
}
