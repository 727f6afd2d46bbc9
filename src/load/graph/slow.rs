//! Tasks that take long: they are reported, and given up at a deadline.

use std::time::Duration;

use super::super::error::LoadError;
use super::super::outcome::Outcome;
use super::super::task::Completion;
use super::Graph;
use super::node::{Node, State};
use crate::escape;
use crate::kmod::plan::Action;
use crate::sys::BootTime;

/// Time after which a load is reported as still running.
const FIRST_NOTICE: Duration = Duration::from_secs(10);
/// Interval of further reports.
const NOTICE_INTERVAL: Duration = Duration::from_secs(30);
/// Longest time that other loads wait for a retry that runs alone. One that hangs must not stop
/// the boot.
const MAX_ALONE: Duration = Duration::from_secs(10);

impl Graph {
    /// Looks at the time that tasks have taken. Returns whether anything has changed.
    pub(in crate::load) fn tick(&mut self, now: BootTime) -> bool {
        let mut changed = self.expire_look_ahead(now);
        let tasks = [self.running.to_vec(), self.orphans.to_vec()].concat();
        for id in tasks {
            changed |= self.check_time(id, now);
        }
        changed
    }

    /// Returns the messages about slow tasks since the last call.
    pub(in crate::load) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn check_time(&mut self, id: usize, now: BootTime) -> bool {
        let timeout = self.policy.module_timeout;
        let node = &mut self.nodes[id];
        let Some(run) = node.run_mut() else { return false };
        let age = now - run.start;
        let shared = run.is_alone && age >= MAX_ALONE;
        run.is_alone &= !shared;
        let next_notice = FIRST_NOTICE + NOTICE_INTERVAL * run.notices;
        if !node.is_loading() {
            return shared;
        }
        if let Some(timeout) = timeout.filter(|timeout| age >= *timeout) {
            self.abandon(id, timeout, now);
            return true;
        }
        if age < next_notice {
            return shared;
        }
        let notice = notice(node, next_notice);
        if let Some(run) = node.run_mut() {
            run.notices += 1;
        }
        self.notices.push(notice);
        true
    }

    /// Ends a node whose task still runs. What becomes of the task is noted, but nothing waits for
    /// it.
    fn abandon(&mut self, id: usize, timeout: Duration, now: BootTime) {
        let node = &self.nodes[id];
        let error = match &node.step.action {
            Action::Command(_) => LoadError::CommandTimeout(timeout),
            _ => LoadError::InitTimeout(timeout),
        };
        self.notices.push(format!("module {}: {error}; continuing without it", node.step.module));
        self.running.remove(&id);
        self.abandoned.insert(id);
        let start = node.run().map_or(now, |run| run.start);
        let failed = Completion::immediate(id, Outcome::Failed(error));
        self.conclude(Completion { start, end: now, ..failed });
    }

    /// Enters the result of a task that was given up. Modules that need the module have failed
    /// already.
    pub(super) fn finish_abandoned(&mut self, late: Completion) {
        if !self.abandoned.remove(&late.id) {
            return;
        }
        if let State::Ended { completion, .. } = &mut self.nodes[late.id].state
            && !completion.outcome.is_live()
        {
            *completion = late;
        }
    }

    /// Notes that the kernel has had the module of a given up task live since `now`.
    pub(super) fn note_late(&mut self, id: usize, now: BootTime) {
        if let State::Ended { completion, live } = &mut self.nodes[id].state {
            completion.outcome = Outcome::Loaded;
            completion.end = now;
            *live = Some(now);
        }
    }
}

fn notice(node: &Node, age: Duration) -> String {
    let object = match &node.step.action {
        Action::Insert(path) => escape::bytes(path),
        _ => "install command".into(),
    };
    format!("still loading after {} s: {} ({object})", age.as_secs(), node.step.module)
}
