//! When LUKS devices are unlocked, and which of them a person is asked for.
//!
//! The devices are those of the command line and of crypttab(5). Without any, each LUKS device is
//! unlocked once the boot has found nothing else to wait for. One key is tried at a time: its
//! derivation may need a gibibyte of memory.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::job::Job;
use super::luks_target::{Event, KIND, State, Target};
use crate::boot::passphrase::{Passphrase, Prompt, Reply as Answer};
use crate::boot::root::StepContext;
use crate::cmdline::luks::LuksDevice;
use crate::sys::BootTime;
use crate::sys::block;

/// Longest wait for the passphrase of a device that nothing names, if no option says another: the
/// root may be on another disk, which is broken, and nobody there.
const UNNAMED_TIMEOUT: Duration = Duration::from_secs(300);

/// All LUKS devices.
#[derive(Debug, Default)]
pub(super) struct Unlocker {
    targets: Vec<Target>,
    /// Whether devices that nothing names may be unlocked.
    unnamed: bool,
    prompt: Option<Prompt>,
    /// The passphrase that was typed last, for devices that appear later too.
    passphrase: Option<Passphrase>,
    /// Number of that passphrase.
    typed: u32,
    /// Failures, for the message about a root that was not found.
    errors: Vec<String>,
}

impl Unlocker {
    /// Returns the state at the start of an attempt to boot. `unnamed` tells that LUKS devices which
    /// are not in the list may be unlocked.
    pub(super) fn new(devices: Vec<LuksDevice>, unnamed: bool) -> Self {
        let targets = devices.into_iter().map(Target::new).collect();
        Self { targets, unnamed, ..Self::default() }
    }

    /// Returns whether the list has devices: they have to be looked for.
    pub(super) fn has_named(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Goes as far as possible. `is_missing` tells that a device was not found that the boot waits
    /// for. Returns whether devices may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, is_missing: bool) -> bool {
        let named = self.targets.len();
        let mut news = false;
        for at in 0..named {
            news |= self.advance_target(at, cx);
        }
        // After the others: only then is it known which devices these stand for.
        if self.unnamed && is_missing && cx.has_settled() {
            self.add_unnamed(cx);
        }
        for at in named..self.targets.len() {
            news |= self.advance_target(at, cx);
        }
        if self.ask(cx) {
            for at in 0..self.targets.len() {
                news |= self.advance_target(at, cx);
            }
        }
        news
    }

    /// Adds the LUKS devices that are not in the list.
    fn add_unnamed(&mut self, cx: &StepContext<'_>) {
        for (device, uuid) in cx.devices.of_kind(KIND) {
            let Some(uuid) = uuid else { continue };
            let number = device.number;
            let is_known = self.targets.iter().any(|t| t.is_of(uuid) || t.number == Some(number));
            if !is_known && !block::is_in_use(cx.dir, number) {
                let mut device = cx.params.stacks.luks.unnamed_device(uuid);
                device.options.timeout.get_or_insert(UNNAMED_TIMEOUT);
                let mut target = Target::new(device);
                target.is_optional = true;
                self.targets.push(target);
            }
        }
    }

    /// Moves one device on. Returns whether its mapped device was made.
    fn advance_target(&mut self, at: usize, cx: &mut StepContext<'_>) -> bool {
        let is_trying = self.targets.iter().any(|t| matches!(t.state, State::Trying(..)));
        let others = self.targets.iter().enumerate().filter(|(other, _)| *other != at);
        let taken = others.filter(|(_, t)| !matches!(t.state, State::Failed));
        let taken: Vec<_> = taken.filter_map(|(_, t)| t.number).collect();
        let Some(target) = self.targets.get_mut(at) else { return false };
        match target.poll(&taken, cx) {
            Event::None => {}
            Event::Made => return true,
            Event::Failed(error) => self.errors.push(error),
            Event::WrongPassphrase(text) => self.note_wrong(at, &text, cx),
            Event::NeedsKey if is_trying => {}
            Event::NeedsKey => {
                let passphrase = self.passphrase.as_ref().map(|p| (self.typed, p.bytes()));
                target.try_next(passphrase, cx);
            }
        }
        false
    }

    /// Says that a passphrase was wrong, and `more`, and gives up the device after the last try.
    fn note_wrong(&mut self, at: usize, more: &str, cx: &mut StepContext<'_>) {
        let Some(target) = self.targets.get_mut(at) else { return };
        target.wrong += 1;
        let tries = target.device.options.tries;
        let left = tries.saturating_sub(target.wrong);
        let text = match tries {
            0 => "wrong passphrase".to_owned(),
            _ if left == 0 => format!("wrong passphrase {tries} times"),
            _ => format!("wrong passphrase, {left} of {tries} tries left"),
        };
        let more = if more.is_empty() { String::new() } else { format!(" ({more})") };
        let line = format!("{}: {text}{more}", target.text);
        cx.reporter.warn(line.clone());
        if let Some(prompt) = &self.prompt {
            prompt.message(&line);
        }
        if tries != 0 && left == 0 {
            target.state = State::Failed;
            self.errors.push(line);
        }
    }

    /// Asks for a passphrase if devices wait for one. Returns whether there is an answer.
    fn ask(&mut self, cx: &mut StepContext<'_>) -> bool {
        // While another key is derived, nobody is asked.
        if self.prompt.as_ref().is_some_and(Prompt::is_asking) {
            self.give_up("nobody typed the passphrase in time", Target::has_waited, cx);
        }
        let waiting: Vec<&Target> = self.targets.iter().filter(|t| t.waits(self.typed)).collect();
        let busy = self.targets.iter().any(|t| matches!(t.state, State::Trying(..)));
        if waiting.is_empty() {
            let is_over = !busy && !self.targets.iter().any(Target::is_on_the_way);
            self.prompt.take_if(|prompt| is_over || prompt.is_asking());
            return false;
        }
        let names: Vec<_> = waiting.iter().map(|target| target.text.as_str()).collect();
        let pin = if waiting.iter().any(|target| target.needs_pin) { " or PIN" } else { "" };
        let question = format!("Passphrase{pin} for {}: ", names.join(", "));
        match &mut self.prompt {
            None => self.prompt = Some(Prompt::start(cx.dir, &question)),
            Some(prompt) if !busy && !prompt.is_asking_for(&question) => prompt.ask(&question),
            Some(_) => {}
        }
        let answer = self.prompt.as_mut().and_then(|prompt| prompt.poll(cx.dir));
        let failure = match answer {
            None => return false,
            Some(Answer::Passphrase(passphrase)) => {
                self.passphrase = Some(passphrase);
                self.typed += 1;
                return true;
            }
            Some(Answer::Cancelled) => "no passphrase was typed".to_owned(),
            Some(Answer::NoConsole(tried)) => {
                format!("no console to type a passphrase: {tried}")
            }
        };
        self.give_up(&failure, |_| true, cx);
        self.prompt = None;
        false
    }

    /// Leaves those devices locked that wait for a passphrase and of which `is_over` is true.
    fn give_up(
        &mut self,
        failure: &str,
        mut is_over: impl FnMut(&mut Target) -> bool,
        cx: &mut StepContext<'_>,
    ) {
        let was_asked = self.prompt.as_ref().is_some_and(Prompt::has_console);
        let typed = self.typed;
        let waiting = self.targets.iter_mut().filter(|target| target.waits(typed));
        for target in waiting.filter_map(|target| is_over(target).then_some(target)) {
            let line = format!("{}: {failure}", target.text);
            cx.reporter.warn(line.clone());
            self.errors.push(line);
            target.state = State::Failed;
            if was_asked {
                target.is_optional = target.device.options.no_fail;
            }
        }
    }

    /// Returns whether a person is asked, or a key is derived: no deadline of the root counts that.
    pub(super) fn is_asking(&self) -> bool {
        let is_asking = self.prompt.as_ref().is_some_and(Prompt::is_asking);
        let is_trying =
            |t: &Target| matches!(t.state, State::Trying(..)) || t.has_next_key(self.typed);
        is_asking || self.targets.iter().any(is_trying)
    }

    /// Returns whether a mapped device is being made.
    pub(super) fn is_making(&self) -> bool {
        self.targets.iter().any(|target| matches!(target.state, State::Making(_)))
    }

    /// Returns whether a device that is needed stays locked, and nothing else is under way.
    pub(super) fn has_given_up(&self) -> bool {
        let failed = |t: &Target| matches!(t.state, State::Failed) && !t.is_optional;
        self.targets.iter().any(failed) && !self.targets.iter().any(Target::is_on_the_way)
    }

    /// Returns the children.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.targets.iter().filter_map(Target::job)
    }

    /// Returns the children that may have made half of a device.
    pub(super) fn take_making(&mut self) -> impl Iterator<Item = Job> {
        self.targets.drain(..).filter_map(|target| match target.state {
            State::Making(job) => Some(job),
            _ => None,
        })
    }

    /// Returns the descriptors of the prompt that wake [`Self::advance`].
    pub(super) fn wake_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.prompt.iter().filter(|prompt| prompt.is_asking()).flat_map(Prompt::wake_fds)
    }

    /// Returns the times at which [`Self::advance`] is due without an answer.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = BootTime> {
        self.targets.iter().flat_map(Target::deadlines)
    }

    /// Returns the devices that are there and locked, for the message about a root that was not
    /// found.
    pub(super) fn locked(&self) -> impl Iterator<Item = String> {
        let absent = |t: &&Target| matches!(t.state, State::Absent);
        let absent = self.targets.iter().filter(absent).map(|t| format!("{} not found", t.text));
        self.errors.iter().cloned().chain(absent)
    }
}
