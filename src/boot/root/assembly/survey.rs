//! A child that surveys the devices of one kind, and then makes what PID 1 requests of it.
//!
//! The devices are surveyed whenever others are there than before, and again after a request has
//! failed, which may have made half of something, or after a survey has taken too long: a disk that
//! does not answer may have failed by then.

use super::job::{Job, TIMEOUT};
use super::node;
use crate::boot::root::StepContext;
use crate::load::Loader;
use crate::stacks::Node;
use crate::stacks::message::{Reply, Request};
use crate::sys::BootTime;

/// What a survey reads.
#[derive(Debug)]
pub(super) struct Subject {
    /// blkid's type of the devices.
    pub(super) kind: &'static str,
    /// Makes the request for a survey.
    pub(super) request: fn(Vec<Node>) -> Request,
    /// The survey in words, for messages: `reading the arrays`.
    pub(super) text: &'static str,
}

/// The news of the child.
#[derive(Debug)]
pub(super) enum News {
    /// The devices hold this.
    Found(Reply),
    /// The devices that were requested are there; a text for each.
    Made(Vec<String>),
    /// The survey or what was requested has failed.
    Failed,
}

/// The child, and which devices it has surveyed.
#[derive(Debug)]
pub(super) struct Survey {
    subject: Subject,
    /// The changes of devices at the last look.
    looked: Option<u32>,
    /// Device numbers at the last survey.
    surveyed: Vec<(u32, u32)>,
    /// Time at which these devices were there.
    since: BootTime,
    /// Whether they are others than at the last call of [`Self::take_change`].
    is_changed: bool,
    job: Option<Job>,
    /// Whether the child works on a request rather than a survey.
    is_making: bool,
    /// Whether a request has failed since the last survey, or that took too long.
    is_outdated: bool,
    /// Whether a survey of these devices has taken too long: nothing waits for the next one.
    is_slow: bool,
    /// Failures, for the message about a root that was not found.
    errors: Vec<String>,
    /// Messages of the last survey, likewise.
    notes: Vec<String>,
}

impl Survey {
    /// Returns a survey that has not begun.
    pub(super) fn new(subject: Subject) -> Self {
        Self {
            subject,
            looked: None,
            surveyed: Vec::new(),
            since: BootTime::default(),
            is_changed: false,
            job: None,
            is_making: false,
            is_outdated: false,
            is_slow: false,
            errors: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes the answer of the child, and has the devices surveyed if that is due.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>) -> Option<News> {
        let answer = self.job.as_mut().and_then(|job| job.poll(cx.loader));
        let news = answer.and_then(|answer| self.accept(answer, cx));
        if !self.is_busy() {
            self.start_if_changed(cx);
        }
        news
    }

    fn accept(&mut self, answer: Result<Reply, String>, cx: &mut StepContext<'_>) -> Option<News> {
        match answer {
            Ok(Reply::Modules(modules)) => {
                let job = self.job.as_mut()?;
                job.send_after(&modules, Request::Make, cx.loader);
                cx.state.add_modules(job.modules().iter().cloned());
                None
            }
            Ok(Reply::Made(texts)) => Some(News::Made(texts)),
            Ok(reply) => Some(News::Found(reply)),
            Err(error) => {
                cx.reporter.warn(error.clone());
                Some(self.fail(error))
            }
        }
    }

    /// Drops the child. After a request another one surveys the devices: the caller does not repeat
    /// a request that has failed, so that this ends. A survey that was late is repeated, at most every
    /// 30 seconds.
    fn fail(&mut self, error: String) -> News {
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
        let is_late = self.job.take().is_some_and(|job| job.is_late());
        self.is_outdated = self.is_making || is_late;
        self.is_slow |= is_late && !self.is_making;
        News::Failed
    }

    /// Returns whether the devices are being surveyed.
    pub(super) fn is_reading(&self) -> bool {
        self.is_busy() && !self.is_making
    }

    /// Starts a survey if other devices are there than at the last one.
    fn start_if_changed(&mut self, cx: &mut StepContext<'_>) {
        let looked = Some(cx.devices.changes());
        if (self.looked == looked && !self.is_outdated) || cx.devices.is_undecided() {
            return;
        }
        self.looked = looked;
        let devices: Vec<_> = cx.devices.of_kind(self.subject.kind).collect();
        let numbers: Vec<_> = devices.iter().map(|(device, _)| device.number).collect();
        if numbers != self.surveyed {
            self.surveyed = numbers;
            (self.since, self.is_changed, self.is_slow) = (BootTime::now(), true, false);
        } else if !self.is_outdated {
            return;
        }
        let nodes = devices.iter().map(|(device, _)| node(cx.dir, device)).collect();
        let request = (self.subject.request)(nodes);
        (self.is_making, self.is_outdated) = (false, false);
        self.job = Job::start(&request, self.subject.text.to_owned())
            .map_err(|error| self.errors.push(error))
            .ok();
    }

    /// Returns whether the child is at work, or goes on at the next call of [`Self::advance`].
    pub(super) fn is_advancing(&self, loader: &Loader) -> bool {
        !self.is_slow && self.job.as_ref().is_some_and(|job| job.is_advancing(loader))
    }

    /// Returns whether the child makes a device.
    pub(super) fn is_making(&self) -> bool {
        self.is_making && self.job.as_ref().is_some_and(Job::is_working)
    }

    /// Sends the child a request that [`Request::Make`] is to carry out. Returns whether it has it.
    pub(super) fn make(&mut self, request: &Request, text: String) -> bool {
        let Some(job) = &mut self.job else { return false };
        self.is_making = true;
        match job.send(request, text, TIMEOUT) {
            Ok(()) => true,
            Err(error) => {
                self.fail(error);
                false
            }
        }
    }

    /// Returns whether the child can take a request.
    pub(super) fn is_idle(&self) -> bool {
        self.job.as_ref().is_some_and(|job| !job.is_busy())
    }

    fn is_busy(&self) -> bool {
        self.job.as_ref().is_some_and(Job::is_busy)
    }

    /// Returns whether there are other devices than at the last call: what has failed may succeed now.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Returns the time since which no other devices have been there.
    pub(super) fn since(&self) -> BootTime {
        self.since
    }

    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Returns the job if it must be left to end: it may have made half of something.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    /// Logs the messages of a survey.
    pub(super) fn note(&mut self, notes: Vec<String>, cx: &StepContext<'_>) {
        notes.iter().for_each(|note| cx.reporter.log().info(note));
        self.notes = notes;
    }

    /// Returns what has failed, and what the last survey had to say.
    pub(super) fn messages(&self) -> impl Iterator<Item = &String> {
        self.errors.iter().chain(&self.notes)
    }
}
