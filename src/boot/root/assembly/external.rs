//! When programs of the image run that assemble what coldplug does not know: rules of
//! /etc/coldplug/assemble.d.
//!
//! A program runs once for each device with a superblock of its type, if that is there and the boot
//! has found nothing else to wait for. One program runs at a time, in the order of the rules.

use super::job::Job;
use super::node;
use crate::boot::reporter::Reporter;
use crate::boot::root::StepContext;
use crate::disk::assemble_rule::AssembleRule;
use crate::escape;
use crate::stacks::external::{self, KILL_DELAY};
use crate::stacks::message::Request;
use crate::sys::Root;

/// The rules, and what has run.
#[derive(Debug, Default)]
pub(super) struct External {
    rules: Vec<AssembleRule>,
    /// Number of the rule and of the device of each program that has been started.
    started: Vec<(usize, (u32, u32))>,
    job: Option<Job>,
    /// The program that runs and its device: `/bin/register for /dev/sda`.
    text: String,
    /// Failures, for the message about a root that was not found.
    errors: Vec<String>,
}

impl External {
    /// Reads the rules of the image.
    pub(super) fn new(dir: &Root, reporter: &mut Reporter) -> Self {
        let mut warnings = Vec::new();
        let rules = external::rules(dir, &mut warnings);
        warnings.iter().for_each(|warning| reporter.warn(warning.to_string()));
        Self { rules, ..Self::default() }
    }

    /// Returns the types of superblocks that the rules name.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.kind.as_str())
    }

    /// Goes as far as possible. `is_missing` tells that a device was not found that the boot waits
    /// for. Returns whether devices may have appeared.
    pub(super) fn advance(&mut self, cx: &mut StepContext<'_>, is_missing: bool) -> bool {
        let result = self.job.as_mut().and_then(|job| job.poll(cx.loader));
        if let Some(result) = &result {
            self.job = None;
            match result {
                Ok(_) => {
                    cx.reporter.log().info(&format!("{} has ended", self.text));
                    cx.reporter.add_layer(std::mem::take(&mut self.text));
                }
                Err(error) => {
                    cx.reporter.warn(error.clone());
                    self.errors.push(error.clone());
                }
            }
        }
        if self.job.is_none() && is_missing && cx.has_settled() {
            self.start_next(cx);
        }
        // A program that fails may have made devices before.
        result.is_some()
    }

    /// Starts the next program, if a device is there for it.
    fn start_next(&mut self, cx: &mut StepContext<'_>) {
        let due = self.rules.iter().enumerate().find_map(|(at, rule)| {
            let mut devices = cx.devices.of_kind(&rule.kind).map(|(device, _)| device);
            let device = devices.find(|device| !self.started.contains(&(at, device.number)))?;
            Some((at, rule.clone(), node(cx.dir, device)))
        });
        let Some((at, rule, node)) = due else { return };
        self.started.push((at, node.number));
        self.text = format!("{} for {}", escape::line(&rule.program), escape::path(&node.path));
        let timeout = cx.params.stacks.assembly.program_timeout;
        cx.reporter.log().info(&format!("{}: running {}", escape::line(&rule.place), self.text));
        let request = Request::Run { rule, node, timeout_s: timeout.as_secs() };
        // The child kills the program; it is killed itself only if it cannot.
        let limit = timeout.saturating_add(KILL_DELAY * 4);
        match Job::start_within(&request, self.text.clone(), limit) {
            Ok(job) => self.job = Some(job),
            Err(error) => {
                cx.reporter.warn(error.clone());
                self.errors.push(error);
            }
        }
    }

    pub(super) fn job(&self) -> Option<&Job> {
        self.job.as_ref()
    }

    /// Returns the job if it must be left to end: the program may be at work.
    pub(super) fn take_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    /// Returns what has failed.
    pub(super) fn errors(&self) -> &[String] {
        &self.errors
    }
}
