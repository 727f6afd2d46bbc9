//! When arrays of md are started, and which.
//!
//! A child surveys the members whenever others are there than before. An array with all of its
//! members is started at once. One that stays without some is started degraded after
//! `coldplug.md_timeout=`, with a warning; one that was not shut down cleanly either, only with
//! `coldplug.md=dirty`. With `rd.md.uuid=` only these arrays are started.

use super::note_made;
use super::survey::{News, Subject, Survey};
use crate::boot::root::StepContext;
use crate::boot::root::devices::{Content, Devices};
use crate::boot::seconds;
use crate::cmdline::assembly::{AssemblyParams, MdArray};
use crate::cmdline::root_name::RootName;
use crate::stacks::message::{Array, Reply, Request, State};
use crate::sys::BootTime;

/// blkid's type of a member of an array.
pub(super) const KIND: &str = "linux_raid_member";

/// The arrays of the machine.
#[derive(Debug)]
pub(super) struct Arrays {
    survey: Survey,
    arrays: Vec<Array>,
    /// UUID of the array that the child starts.
    starting: Option<String>,
    /// UUIDs of arrays whose start has failed with the members that there are.
    failed: Vec<String>,
}

impl Arrays {
    /// Returns the state at the start of an attempt to boot.
    pub(super) fn new() -> Self {
        let subject = Subject { kind: KIND, request: Request::Md, text: "reading the arrays" };
        let survey = Survey::new(subject);
        Self { survey, arrays: Vec::new(), starting: None, failed: Vec::new() }
    }

    /// Goes as far as possible. Returns whether devices may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>) -> bool {
        if cx.params.stacks.assembly.no_md {
            return false;
        }
        let news = self.survey.advance(cx);
        let is_made = matches!(news, Some(News::Made(_)));
        match news {
            Some(News::Found(Reply::Arrays(arrays, notes))) => {
                self.survey.note(notes, cx);
                if self.survey.take_change() {
                    self.failed.clear();
                }
                self.note_arrays(arrays, cx);
            }
            Some(News::Made(texts)) => self.note_started(&texts, cx),
            Some(News::Failed) => self.failed.extend(self.starting.take()),
            // No answer to what was asked.
            Some(News::Found(_)) | None => {}
        }
        if self.survey.is_idle() {
            self.start_next(cx);
        }
        is_made
    }

    fn note_arrays(&mut self, arrays: Vec<Array>, cx: &StepContext<'_>) {
        let log = cx.reporter.log();
        for array in arrays.iter().filter(|array| !array.text.is_empty()) {
            log.info(&format!("array {}: {}", array.name, array.text));
        }
        self.arrays = arrays;
    }

    fn note_started(&mut self, texts: &[String], cx: &mut StepContext<'_>) {
        let uuid = self.starting.take();
        let started = self.arrays.iter_mut().find(|array| Some(&array.uuid) == uuid.as_ref());
        let Some(array) = started else { return };
        let Array { name, text, .. } = array;
        if matches!(array.state, State::Degraded | State::Dirty) {
            let waited = seconds(self.survey.since().elapsed());
            cx.reporter.warn(format!("array {name} started degraded after {waited}: {text}"));
        } else if !text.is_empty() {
            // What is missing has failed before, so that it was not awaited.
            cx.reporter.warn(format!("array {name} started: {text}"));
        }
        array.state = State::Active;
        note_made(cx, "array", texts);
    }

    /// Requests the start of one array, if there is one to start.
    fn start_next(&mut self, cx: &mut StepContext<'_>) {
        let params = &cx.params.stacks.assembly;
        let is_late = self.survey.since().elapsed() >= params.md_timeout;
        let due =
            |array: &&Array| !self.failed.contains(&array.uuid) && is_due(array, params, is_late);
        let Some(array) = self.arrays.iter().find(due) else { return };
        let request = Request::Array {
            uuid: array.uuid.clone(),
            degraded: array.state != State::Ready,
            dirty: array.state == State::Dirty,
            device: device_name(array, params, cx.devices),
        };
        let uuid = array.uuid.clone();
        match self.survey.make(&request, format!("starting array {}", array.name)) {
            true => self.starting = Some(uuid),
            false => self.failed.push(uuid),
        }
    }

    pub(super) fn survey(&self) -> &Survey {
        &self.survey
    }

    pub(super) fn survey_mut(&mut self) -> &mut Survey {
        &mut self.survey
    }

    /// Returns the time at which an array is started without what is missing.
    pub(super) fn wakeup(&self, params: &AssemblyParams) -> Option<BootTime> {
        let due = |array: &&Array| is_due(array, params, true) && array.state != State::Ready;
        self.arrays.iter().find(due).map(|_| self.survey.since() + params.md_timeout)
    }

    /// Returns the arrays, for the message about a root that was not found.
    pub(super) fn arrays(&self) -> &[Array] {
        &self.arrays
    }
}

/// Returns the name that `md=` gives the device of an array, by one of its members; may be empty.
fn device_name(array: &Array, params: &AssemblyParams, devices: &mut Devices) -> String {
    let mut is_member = |name: &RootName| {
        devices.find(name, Content::Any).is_some_and(|found| array.members.contains(&found.number))
    };
    let named = params.md_arrays.iter().find(|named| named.members.iter().any(&mut is_member));
    named.map(MdArray::device).unwrap_or_default()
}

/// Returns whether an array is to be started now. `is_late` tells that its missing members have had
/// their time.
fn is_due(array: &Array, params: &AssemblyParams, is_late: bool) -> bool {
    params.allows_array(&array.uuid)
        && match array.state {
            State::Ready => true,
            State::Degraded => is_late,
            State::Dirty => is_late && params.dirty_md,
            State::Active | State::Skipped | State::Incomplete | State::Refused => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::KernelCommandLine;

    #[test]
    fn arrays_wait_for_their_members() {
        const UUID: &str = "0a1b2c3d:00000000:11111111:22222222";
        for (line, state, is_late, want) in [
            ("", State::Ready, false, true),
            ("", State::Degraded, false, false),
            ("", State::Degraded, true, true),
            ("", State::Dirty, true, false),
            ("coldplug.md=dirty", State::Dirty, false, false),
            ("coldplug.md=dirty", State::Dirty, true, true),
            ("", State::Incomplete, true, false),
            ("", State::Active, true, false),
            ("", State::Refused, true, false),
            ("rd.md.uuid=0a1b2c3d:00000000:11111111:22222222", State::Ready, false, true),
            ("rd.md.uuid=0b", State::Ready, false, false),
        ] {
            let params = KernelCommandLine::parse(line).stacks.assembly;
            let array = Array {
                name: "md0".into(),
                uuid: UUID.into(),
                state,
                text: String::new(),
                members: Vec::new(),
            };
            assert_eq!(is_due(&array, &params, is_late), want, "{line} {state:?} {is_late}");
        }
    }
}
