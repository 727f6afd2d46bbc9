//! When arrays of md are started, and which.
//!
//! A child surveys the members whenever others are there than before. An array with all of its
//! members is started at once. One that stays without some is started degraded after
//! `coldplug.md_timeout=`, with a warning; one that was not shut down cleanly either, only with
//! `coldplug.md=dirty`. With `rd.md.uuid=` only these arrays are started.

use super::job::{Job, TIMEOUT};
use super::{nodes, note_made};
use crate::boot::root::StepContext;
use crate::boot::seconds;
use crate::cmdline::assembly::AssemblyParams;
use crate::stacks::message::{Array, Reply, Request, State};
use crate::sys::BootTime;

/// blkid's type of a member of an array.
pub(super) const KIND: &str = "linux_raid_member";

/// The arrays of the machine.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    /// Device numbers of the members of the last survey.
    surveyed: Vec<(u32, u32)>,
    /// Time of the last survey.
    since: BootTime,
    arrays: Vec<Array>,
    job: Option<Job>,
    /// UUID of the array that the child starts.
    starting: Option<String>,
    /// UUIDs of arrays whose start has failed.
    failed: Vec<String>,
    /// Failures, for the message about a root that was not found.
    errors: Vec<String>,
}

impl Arrays {
    /// Goes as far as possible. Returns whether devices may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>) -> bool {
        if cx.params.stacks.assembly.no_md {
            return false;
        }
        let mut news = false;
        if let Some(job) = &mut self.job
            && let Some(result) = job.poll(cx.loader)
        {
            news = self.accept(result, cx);
        }
        if self.job.as_ref().is_some_and(Job::is_busy) {
            return news;
        }
        self.survey_if_changed(cx);
        if !self.job.as_ref().is_some_and(Job::is_busy) {
            self.start_next(cx);
        }
        news
    }

    /// Takes an answer of the child. Returns whether it has started an array.
    fn accept(&mut self, result: Result<Reply, String>, cx: &mut StepContext<'_>) -> bool {
        match result {
            Ok(Reply::Arrays(arrays)) => {
                let log = cx.reporter.log();
                for array in arrays.iter().filter(|array| !array.text.is_empty()) {
                    log.info(&format!("array {}: {}", array.name, array.text));
                }
                self.arrays = arrays;
                false
            }
            Ok(Reply::Modules(modules)) => {
                if let Some(job) = &mut self.job {
                    job.send_after(&modules, Request::Make, cx.loader);
                    cx.state.add_modules(job.modules().iter().cloned());
                }
                false
            }
            Ok(Reply::Made(texts)) => {
                self.note_started(&texts, cx);
                true
            }
            // No answer to what was asked.
            Ok(_) => false,
            Err(error) => {
                cx.reporter.warn(error.clone());
                self.errors.push(error);
                self.failed.extend(self.starting.take());
                self.job = None;
                false
            }
        }
    }

    fn note_started(&mut self, texts: &[String], cx: &mut StepContext<'_>) {
        let uuid = self.starting.take();
        let started = self.arrays.iter_mut().find(|array| Some(&array.uuid) == uuid.as_ref());
        let Some(array) = started else { return };
        if matches!(array.state, State::Degraded | State::Dirty) {
            let waited = seconds(self.since.elapsed());
            let Array { name, text, .. } = array;
            cx.reporter.warn(format!("array {name} started degraded after {waited}: {text}"));
        }
        array.state = State::Active;
        note_made(cx, "array", texts);
    }

    /// Has the members surveyed if others are there than before.
    fn survey_if_changed(&mut self, cx: &mut StepContext<'_>) {
        let nodes = nodes(cx, KIND);
        let numbers: Vec<_> = nodes.iter().map(|node| node.number).collect();
        if numbers == self.surveyed || cx.devices.is_undecided() {
            return;
        }
        self.surveyed = numbers;
        self.since = BootTime::now();
        self.arrays.clear();
        self.job = None;
        if !nodes.is_empty() {
            let started = Job::start(&Request::Md(nodes), "reading the arrays".into());
            self.job = started.map_err(|error| self.errors.push(error)).ok();
        }
    }

    /// Requests the start of one array, if there is one to start.
    fn start_next(&mut self, cx: &mut StepContext<'_>) {
        let params = &cx.params.stacks.assembly;
        let is_late = self.since.elapsed() >= params.md_timeout;
        let due =
            |array: &&Array| !self.failed.contains(&array.uuid) && is_due(array, params, is_late);
        let Some(array) = self.arrays.iter().find(due) else { return };
        let Some(job) = &mut self.job else { return };
        let request = Request::Array {
            uuid: array.uuid.clone(),
            degraded: array.state != State::Ready,
            dirty: array.state == State::Dirty,
        };
        let text = format!("starting array {}", array.name);
        match job.send(&request, text, TIMEOUT) {
            Ok(()) => self.starting = Some(array.uuid.clone()),
            Err(error) => {
                self.errors.push(error);
                self.failed.push(array.uuid.clone());
                self.job = None;
            }
        }
    }

    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Returns the job if it must be left to end: it may have started an array in part.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    /// Returns the time at which an array is started without what is missing.
    pub(super) fn wakeup(&self, params: &AssemblyParams) -> Option<BootTime> {
        let due = |array: &&Array| is_due(array, params, true) && array.state != State::Ready;
        self.arrays.iter().find(due).map(|_| self.since + params.md_timeout)
    }

    /// Returns the arrays, for the message about a root that was not found.
    pub(super) fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// Returns what has failed.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }
}

/// Returns whether an array is to be started now. `is_late` tells that its missing members have had
/// their time.
fn is_due(array: &Array, params: &AssemblyParams, is_late: bool) -> bool {
    params.allows_array(&array.uuid)
        && match array.state {
            State::Ready => true,
            State::Degraded => is_late,
            State::Dirty => is_late && params.dirty_md,
            State::Active | State::Incomplete | State::Refused => false,
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
