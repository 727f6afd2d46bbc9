//! What the kernel did before /init, by the kernel log.
//!
//! A record of the log costs 4 µs to read, and Debian's kernel writes 330 before /init. That is more
//! than the rest of the boot record, so the log is read only if a person or a harness will look at
//! the times: the boot has failed, or `coldplug.report=` is set.
//!
//! The clock of the log starts some milliseconds after CLOCK_BOOTTIME. Its times are shifted so that
//! the message about the start of /init falls on the entry of /init.

use crate::sys::{BootTime, Root, kmsg};

/// The points, and how the messages about them begin.
const POINTS: [(&str, &str); 4] = [
    ("image unpacking", "Trying to unpack rootfs image"),
    ("image freed", "Freeing initrd memory"),
    ("initmem freed", "Freeing unused kernel"),
    (INIT, "Run /"),
];
/// The last point.
const INIT: &str = "init";

/// Returns the points of the kernel's start and their times, in order; nothing if the kernel log
/// does not hold the start of /init, which was entered at `init_entry`.
pub(super) fn kernel_times(root: &Root, init_entry: BootTime) -> Vec<(&'static str, BootTime)> {
    let mut found = Vec::new();
    // Without the log nothing is known.
    let _ = kmsg::scan(root, &mut |micros, text| note(&mut found, micros, text));
    shifted(&found, init_entry)
}

/// Notes the point that a record of the log is about. Returns whether further points may follow.
fn note(found: &mut Vec<(&'static str, u64)>, micros: u64, text: &str) -> bool {
    let Some((name, _)) = POINTS.iter().find(|(_, start)| text.starts_with(start)) else {
        return true;
    };
    // Several messages are about the memory of the kernel's start.
    if found.iter().all(|(other, _)| other != name) {
        found.push((name, micros));
    }
    *name != INIT
}

/// Returns the points with times by CLOCK_BOOTTIME.
fn shifted(found: &[(&'static str, u64)], init_entry: BootTime) -> Vec<(&'static str, BootTime)> {
    let Some((INIT, last)) = found.last().copied() else { return Vec::new() };
    let shifted = |micros: u64| {
        let before_ns = last.saturating_sub(micros).saturating_mul(1000);
        BootTime::from_nanos(init_entry.as_nanos().saturating_sub(before_ns))
    };
    found.iter().map(|(name, micros)| (*name, shifted(*micros))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNPACK: (u64, &str) = (1000, "Trying to unpack rootfs image as initramfs...");
    const FREED: (u64, &str) = (2000, "Freeing initrd memory: 29348K");
    const INITMEM: (u64, &str) = (2500, "Freeing unused kernel image (initmem) memory: 2612K");
    const RODATA: (u64, &str) = (2700, "Freeing unused kernel image (rodata/data gap) memory: 9K");
    const RUN: (u64, &str) = (3000, "Run /init as init process");

    #[test]
    fn times_end_at_the_entry_of_init() {
        let other = (9000, "coldplug: version 1");
        for (log, want) in [
            (&[][..], ""),
            (&[UNPACK, FREED], ""),
            (&[(0, "Linux version"), RUN, other, UNPACK], "init 5000"),
            (&[(9000, "Run /bin/x as init process")], "init 5000"),
            (
                &[UNPACK, FREED, INITMEM, RODATA, RUN],
                "image unpacking 3000, image freed 4000, initmem freed 4500, init 5000",
            ),
            (&[(4000, UNPACK.1), RUN], "image unpacking 5000, init 5000"),
            (&[UNPACK, (u64::MAX, RUN.1)], "image unpacking 0, init 5000"),
        ] {
            let mut found = Vec::new();
            let _ = log.iter().all(|(micros, text)| note(&mut found, *micros, text));
            let times = shifted(&found, BootTime::from_nanos(5_000_000));
            let words = times.iter().map(|(name, time)| format!("{name} {}", time.as_micros()));
            assert_eq!(words.collect::<Vec<_>>().join(", "), want, "{log:?}");
        }
    }
}
