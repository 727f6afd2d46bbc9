//! What PID 1 waited for on its way to the root.

use std::time::Duration;

use super::writer::JsonWriter;
use crate::sys::BootTime;

/// A shorter time is no wait: PID 1 has not slept.
const MIN_WAIT: Duration = Duration::from_micros(50);
/// Largest number of waits. With `rootwait` a root that cannot be mounted is tried without end.
const MAX_WAITS: usize = 100;

/// One wait.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wait {
    /// The object of the wait, in words.
    what: String,
    from: BootTime,
    to: BootTime,
}

/// The waits in order. If there are many, the first ones are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waits(Vec<Wait>);

impl Waits {
    /// Adds a wait for `what`, unless it took no time.
    pub(crate) fn add(&mut self, what: String, from: BootTime, to: BootTime) {
        if to - from < MIN_WAIT {
            return;
        }
        if self.0.len() == MAX_WAITS {
            self.0.remove(0);
        }
        self.0.push(Wait { what, from, to });
    }

    /// Writes the member `waits`.
    pub(super) fn write(&self, json: &mut JsonWriter) {
        json.begin("waits", '[');
        for wait in &self.0 {
            json.begin("", '{');
            json.text("for", &wait.what);
            json.number("from_us", wait.from.as_micros());
            json.number("to_us", wait.to.as_micros());
            json.end('}');
        }
        json.end(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_waits_and_the_first_of_many_are_left_out() {
        let at = |us: u64| BootTime::from_nanos(us * 1000);
        let mut waits = Waits::default();
        waits.add("no time".into(), at(100), at(149));
        waits.add("a past".into(), at(100), at(0));
        assert!(waits.0.is_empty());
        for number in 0..=100 {
            waits.add(number.to_string(), at(number), at(number + 50));
        }
        assert_eq!((waits.0.len(), &*waits.0[0].what), (MAX_WAITS, "1"));
    }
}
