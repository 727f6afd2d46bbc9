//! The exit status of a virtual machine by verdict: docs/harness.md has the table.
//!
//! isa-debug-exit makes status 2 × value + 1 of the value that is written to it, of which 7 bits
//! remain. Value 0 is not used, because 1 is also the status of QEMU if it cannot start, and with
//! `-action panic=exit-failure` after a panic of the kernel. Each status is odd, so an even one
//! in the device tree tells a panic of the kernel apart on RISC-V.

use super::Verdict;

/// Value of a command that has ended with status 0.
const COMMAND: i32 = 16;
/// Highest exit status of a command that has a value of its own.
const MAX_COMMAND: i32 = 99;

impl Verdict {
    /// Returns the value for the exit port.
    pub(crate) fn exit_value(self) -> u8 {
        match self {
            // A real init ends the machine by itself.
            Self::Ok => 16,
            Self::NoMounts => 1,
            Self::NoSlot => 2,
            Self::NoRoot => 3,
            Self::MountFailed => 4,
            Self::NoInit => 5,
            Self::SwitchFailed => 6,
            Self::ExecFailed => 7,
            Self::Interrupted => 8,
            Self::Panic => 9,
            Self::Crash => 10,
            Self::Unfinished => 11,
        }
    }
}

/// Returns the value for a command that has ended with `status`; -1 stands for a signal.
pub(crate) fn command_value(status: i32) -> u8 {
    let value = match status {
        0..=MAX_COMMAND => COMMAND + status,
        // The words of a shell for "cannot be executed" and "not found".
        126 => 117,
        127 => 118,
        ..0 => 119,
        _ => COMMAND + MAX_COMMAND + 1,
    };
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// Returns the exit status that QEMU makes of a value.
pub(crate) fn qemu_status(value: u8) -> u8 {
    value << 1 | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const VERDICTS: [Verdict; 12] = [
        Verdict::Ok,
        Verdict::NoMounts,
        Verdict::NoSlot,
        Verdict::NoRoot,
        Verdict::MountFailed,
        Verdict::NoInit,
        Verdict::SwitchFailed,
        Verdict::ExecFailed,
        Verdict::Interrupted,
        Verdict::Panic,
        Verdict::Crash,
        Verdict::Unfinished,
    ];

    /// The status of a RISC-V machine whose device tree says what a restart writes.
    const RESTART: u8 = 240;

    #[test]
    fn the_document_has_every_status() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/harness.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut statuses = vec![0, 1];
        for verdict in VERDICTS {
            let value = verdict.exit_value();
            let row = format!("| `{verdict}` | {value} | {} |", qemu_status(value));
            assert!(text.contains(&row), "{row}");
            statuses.push(qemu_status(value));
        }
        for (status, of) in [
            (0, "exit status 0"),
            (1, "exit status 1"),
            (99, "exit status 99"),
            (100, "exit status 100 to 125, 128 to 255"),
            (126, "exit status 126"),
            (127, "exit status 127"),
            (-1, "ended by a signal"),
        ] {
            let value = command_value(status);
            let row = format!("| {of} | {value} | {} |", qemu_status(value));
            assert!(text.contains(&row), "{row}");
        }
        let values = (1..=127).map(command_value).chain([command_value(-1)]);
        statuses.extend(values.map(qemu_status));
        statuses.sort_unstable();
        statuses.dedup();
        // QEMU's own two, the verdicts, 1 to 99, and four others.
        assert_eq!(statuses.len(), 2 + VERDICTS.len() + 99 + 4);
        for words in [
            format!("| RISC-V | `semihosting` | {RESTART} "),
            format!("| {RESTART} | a restart of a RISC-V machine"),
            format!("/reboot value {:x} ", u32::from(RESTART) << 16 | 0x3333),
        ] {
            assert!(text.contains(&words), "{words}");
        }
        assert!(!statuses.contains(&RESTART));
    }

    #[test]
    fn every_status_has_a_value_of_seven_bits() {
        for status in -1..=255 {
            let value = command_value(status);
            assert!((16..=119).contains(&value), "{status}: {value}");
        }
    }
}
