//! Times and sizes as text, and lines of output.

use crate::escape;

/// Returns µs as milliseconds with one decimal: `12.3`.
pub(super) fn millis(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

/// Returns µs with a unit that suits a person: `0.31 ms`, `12.3 ms`, `884 ms`, `5.09 s`.
pub(super) fn duration(us: u64) -> String {
    match us {
        0 => "0 ms".to_owned(),
        1..1000 => format!("0.{:02} ms", us / 10),
        1000..100_000 => format!("{} ms", millis(us)),
        100_000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

/// Returns a difference in µs as milliseconds with sign: `+12.3`, `-0.4`.
pub(super) fn change(before_us: u64, after_us: u64) -> String {
    let sign = if after_us < before_us { '-' } else { '+' };
    format!("{sign}{}", millis(after_us.abs_diff(before_us)))
}

/// Returns bytes as KiB or MiB.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes >> 10) & 1023) * 10 / 1024),
    }
}

/// Appends a line, safe for a terminal.
pub(super) fn put(text: &mut String, line: &str) {
    text.push_str(&escape::line(line.trim_end()));
    text.push('\n');
}

/// Returns the lines of a message as one. A line that ends with a colon introduces the next one.
pub(super) fn in_one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join("; ").replace(":; ", ": ")
}

/// Returns a text as it is shown, so that its length is known.
pub(super) fn shown(text: &str) -> String {
    escape::line(&in_one_line(text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_message_become_one() {
        let message = "LABEL=a not found\nblock devices seen:\n  vda ext4\n  vdb";
        let want = "LABEL=a not found; block devices seen: vda ext4; vdb";
        assert_eq!(in_one_line(message), want);
    }

    #[test]
    fn units_suit_a_person() {
        for (us, want) in [
            (0, "0 ms"),
            (7, "0.00 ms"),
            (310, "0.31 ms"),
            (12_345, "12.3 ms"),
            (884_999, "884 ms"),
            (5_091_549, "5.09 s"),
            (u64::MAX, "18446744073709.55 s"),
        ] {
            assert_eq!(duration(us), want);
        }
        for (bytes, want) in
            [(0, "0 KiB"), (1, "1 KiB"), (1 << 20, "1.0 MiB"), (3 << 19, "1.5 MiB")]
        {
            assert_eq!(size(bytes), want);
        }
        assert_eq!([change(1000, 3500), change(3500, 1000)], ["+2.5", "-2.5"]);
    }
}
