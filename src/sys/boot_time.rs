//! CLOCK_BOOTTIME: time since the kernel started, suspend included. See clock_gettime(2).

use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A time on CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BootTime {
    /// Nanoseconds since the kernel started; they last for 584 years.
    ns: u64,
}

impl BootTime {
    /// Start of the kernel; in a record, a time that has not come.
    pub(crate) const ZERO: Self = Self { ns: 0 };

    /// Returns the time now.
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let part = |value: i64| u64::try_from(value).unwrap_or(0);
        Self { ns: part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec) }
    }

    /// Returns the time `ns` nanoseconds after the kernel started.
    pub(crate) const fn from_nanos(ns: u64) -> Self {
        Self { ns }
    }

    /// Returns the nanoseconds since the kernel started.
    pub(crate) const fn as_nanos(self) -> u64 {
        self.ns
    }

    /// Returns the microseconds since the kernel started, as the boot record has them.
    pub(crate) const fn as_micros(self) -> u64 {
        self.ns / 1000
    }

    /// Returns the whole seconds since the kernel started.
    pub(crate) const fn as_secs(self) -> u64 {
        self.ns / 1_000_000_000
    }

    /// Returns the time that has passed since; zero if `self` lies ahead.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now() - self
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    /// Returns the time `later` after this one; the end of time if that is too far.
    fn add(self, later: Duration) -> Self {
        Self { ns: self.ns.saturating_add(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX)) }
    }
}

impl Sub for BootTime {
    type Output = Duration;

    /// Returns the time from `earlier` to this one; zero if `earlier` is the later one.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.ns.saturating_sub(earlier.ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        let time = BootTime::from_nanos(5_000_000);
        assert_eq!(time + Duration::from_micros(3), BootTime::from_nanos(5_003_000));
        assert_eq!(time - BootTime::from_nanos(1_000_000), Duration::from_millis(4));
        assert_eq!(time - BootTime::from_nanos(6_000_000), Duration::ZERO);
        assert_eq!((time + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(time.as_micros(), 5000);
        assert!(BootTime::now() > BootTime::default());
    }
}
