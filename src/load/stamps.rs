//! The points of a load that the boot record has times of.

use crate::sys::BootTime;

/// A point of the load of a module file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// The file has been read. Known only if it is decoded here.
    Read,
    /// The image has been decoded. Known only if it is decoded here.
    Decoded,
    /// finit_module(2) or init_module(2) is called.
    Kernel,
}

/// Number of points that are noted. A program without the boot record notes none.
const POINTS: usize = if ARE_NOTED { 3 } else { 0 };
const ARE_NOTED: bool = cfg!(feature = "full");

/// The times of the points; zero stands for a time that is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamps([BootTime; POINTS]);

impl Stamps {
    /// Notes that `point` is reached now.
    pub(super) fn note(&mut self, point: Point) {
        if ARE_NOTED {
            self.set(point, BootTime::now());
        }
    }

    /// Notes that `point` was reached at `time`.
    pub(crate) fn set(&mut self, point: Point, time: BootTime) {
        if let Some(place) = self.0.get_mut(point as usize) {
            *place = time;
        }
    }

    /// Returns the time of `point`, if it is known.
    pub(crate) fn get(&self, point: Point) -> Option<BootTime> {
        self.0.get(point as usize).copied().filter(|time| *time != BootTime::ZERO)
    }

    /// Returns the field of a message: the times in nanoseconds, in order.
    pub(super) fn to_field(self) -> String {
        let mut field = String::new();
        for time in self.0 {
            field.push_str(&time.as_nanos().to_string());
            field.push(' ');
        }
        field
    }

    /// Parses the field of a message. Returns `None` if a time is missing or no number.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let (mut stamps, mut words) = (Self::default(), field.split(' '));
        for time in &mut stamps.0 {
            *time = BootTime::from_nanos(words.next()?.parse().ok()?);
        }
        Some(stamps)
    }
}
