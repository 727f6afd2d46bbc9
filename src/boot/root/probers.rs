//! The children that read disks for PID 1, which reads none itself: a read of a bad disk may take
//! minutes, or for ever.
//!
//! One prober serves all disks in turn. While it waits for a slow disk, another one is started for
//! the others, so that there is one prober for each slow disk at most, and one for the rest.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::sys::block::{self, BlockDevice};
use crate::sys::child::{ChildProcess, Received};
use crate::sys::probe_message::{Answer, Probe, Request};
use crate::sys::{BootTime, Error, Root};

/// Name of the command that a prober runs.
const APPLET: &str = "disk-prober";
/// Time after which a prober that is silent no longer keeps other disks waiting.
const PATIENCE: Duration = Duration::from_millis(200);
/// Maximum number of probers. If all of them wait for slow disks, the other disks wait too.
const MAX_PROBERS: usize = 16;
/// Number of probers that may die of one device.
const MAX_DEATHS: u32 = 2;
/// Delay before another attempt to start a prober.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Devices of one disk that are to be examined.
#[derive(Debug)]
struct Job {
    /// Name of the disk.
    disk: String,
    devices: VecDeque<BlockDevice>,
    /// Number of probers that have died of the first device.
    deaths: u32,
}

/// A child, and what it does.
#[derive(Debug)]
struct Prober {
    child: ChildProcess,
    job: Option<Job>,
    /// Time of the request, or of the last answer to it.
    since: BootTime,
}

/// Outcome of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The device has been examined.
    Probed(BlockDevice, Box<Probe>),
    /// Several probers have died of this device.
    Died(BlockDevice),
}

/// The probers and the requests that wait for one.
#[derive(Debug)]
pub(super) struct Probers {
    dir: Root,
    probers: Vec<Prober>,
    queue: VecDeque<Job>,
    /// Whether the links in /dev/disk are wanted too.
    pub(super) wants_links: bool,
    /// Time before which no prober is started, after a failure.
    not_before: BootTime,
}

impl Job {
    /// Returns the request.
    fn request(&self, dir: &Root, links: bool) -> Request {
        // If the disk has disappeared meanwhile, the prober says so.
        let disk =
            block::device(dir, &self.disk).unwrap_or_else(|| BlockDevice::vanished(&self.disk));
        let devices = self.devices.iter().cloned().collect();
        Request { links, disk, devices }
    }

    /// Removes the first device. Returns it, and the job unless nothing is left of it.
    fn split(mut self) -> (Option<BlockDevice>, Option<Self>) {
        let device = self.devices.pop_front();
        self.deaths = 0;
        (device, Some(self).filter(|job| !job.devices.is_empty()))
    }
}

impl Probers {
    pub(super) fn new(dir: &Root) -> Self {
        Self {
            dir: dir.clone(),
            probers: Vec::new(),
            queue: VecDeque::new(),
            wants_links: false,
            not_before: BootTime::default(),
        }
    }

    /// Starts the first prober, before there is work for it.
    ///
    /// # Errors
    /// It cannot be started; a later attempt may succeed.
    pub(super) fn prepare(&mut self) -> Result<(), Error> {
        if self.probers.is_empty() && BootTime::now() >= self.not_before {
            self.start()?;
        }
        Ok(())
    }

    /// Asks for what `device` holds.
    pub(super) fn probe(&mut self, device: &BlockDevice) {
        let disk = device.disk.as_ref().unwrap_or(&device.name);
        if let Some(job) = self.queue.iter_mut().find(|job| job.disk == *disk) {
            job.devices.push_back(device.clone());
            return;
        }
        let devices = VecDeque::from([device.clone()]);
        self.queue.push_back(Job { disk: disk.clone(), devices, deaths: 0 });
    }

    /// Sends waiting requests to probers, and starts probers as needed.
    ///
    /// # Errors
    /// No prober can be started.
    pub(super) fn dispatch(&mut self) -> Result<(), Error> {
        while let Some(at) = self.next_job() {
            let Some(prober) = self.free_prober()? else { return Ok(()) };
            let Some(job) = self.queue.remove(at) else { return Ok(()) };
            let Some(prober) = self.probers.get_mut(prober) else { return Ok(()) };
            // If it has died, `receive` finds out.
            prober.child.send(&job.request(&self.dir, self.wants_links).encode());
            prober.job = Some(job);
            prober.since = BootTime::now();
        }
        Ok(())
    }

    /// Returns the index of the first request for a disk on which no prober works.
    fn next_job(&self) -> Option<usize> {
        let is_busy = |disk: &str| {
            self.probers.iter().any(|p| p.job.as_ref().is_some_and(|job| job.disk == disk))
        };
        self.queue.iter().position(|job| !is_busy(&job.disk))
    }

    /// Returns the index of an idle prober, which it starts if all others have been silent for
    /// [`PATIENCE`].
    fn free_prober(&mut self) -> Result<Option<usize>, Error> {
        let idle = self.probers.iter().position(|prober| prober.job.is_none());
        if idle.is_some() {
            return Ok(idle);
        }
        let now = BootTime::now();
        let slow = self.probers.iter().all(|prober| now >= prober.since + PATIENCE);
        if !slow || self.probers.len() >= MAX_PROBERS || now < self.not_before {
            return Ok(None);
        }
        self.start()?;
        Ok(Some(self.probers.len() - 1))
    }

    fn start(&mut self) -> Result<(), Error> {
        let now = BootTime::now();
        let child = ChildProcess::start(APPLET, &[])
            .inspect_err(|_| self.not_before = now + RETRY_DELAY)?;
        self.probers.push(Prober { child, job: None, since: now });
        Ok(())
    }

    /// Returns what has become of requests since the last call. Requests of a prober that has died
    /// wait for another one.
    pub(super) fn receive(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let mut kept = Vec::with_capacity(self.probers.len());
        for mut prober in std::mem::take(&mut self.probers) {
            if prober.receive(&mut outcomes) {
                kept.push(prober);
            } else if let Some(job) = prober.job.take() {
                self.bury(job, &mut outcomes);
            } else {
                // Nothing of a disk has killed it. The next one may meet the same end.
                self.not_before = BootTime::now() + RETRY_DELAY;
            }
        }
        self.probers = kept;
        outcomes
    }

    /// Puts a job whose prober has died back into the queue, without its first device if that has
    /// killed too many.
    fn bury(&mut self, mut job: Job, outcomes: &mut Vec<Outcome>) {
        job.deaths += 1;
        let rest = if job.deaths < MAX_DEATHS {
            Some(job)
        } else {
            let (device, rest) = job.split();
            outcomes.extend(device.map(Outcome::Died));
            rest
        };
        self.queue.extend(rest);
    }

    /// Returns the descriptors that become readable when [`Self::receive`] has something.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.probers.iter().map(|prober| prober.child.as_fd())
    }

    /// Returns the time at which [`Self::dispatch`] may start another prober.
    pub(super) fn next_start(&self) -> Option<BootTime> {
        self.next_job()?;
        let silent = self.probers.iter().map(|prober| prober.since + PATIENCE).max();
        let waits = self.probers.len() < MAX_PROBERS;
        Some(silent.unwrap_or_default().max(self.not_before)).filter(|_| waits)
    }

    /// Returns whether a prober reads a disk.
    pub(super) fn is_reading(&self) -> bool {
        self.probers.iter().any(|prober| prober.job.is_some())
    }
}

impl Prober {
    /// Takes all messages from the socket. Returns false if the prober has died or sends nonsense.
    fn receive(&mut self, outcomes: &mut Vec<Outcome>) -> bool {
        loop {
            let message = match self.child.try_receive() {
                Received::Message(message) => message,
                Received::Pending => return true,
                Received::Ended => return false,
            };
            let Some(outcome) = self.accept(&message) else { return false };
            self.since = BootTime::now();
            outcomes.push(outcome);
        }
    }

    /// Returns the outcome of the request that `message` answers, or `None` if it answers none.
    fn accept(&mut self, message: &[u8]) -> Option<Outcome> {
        let answer = Answer::decode(message)?;
        self.job.as_ref()?.devices.front().filter(|device| device.name == answer.name)?;
        let (device, rest) = self.job.take()?.split();
        self.job = rest;
        device.map(|device| Outcome::Probed(device, Box::new(answer.probe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, disk: Option<&str>) -> BlockDevice {
        let partition = disk.map(|_| 1);
        let disk = disk.map(str::to_owned);
        BlockDevice { name: name.into(), number: (1, 1), partition, disk, size: 1 }
    }

    #[test]
    fn devices_of_one_disk_are_one_job() {
        let mut probers = Probers::new(&Root::default());
        for (name, disk) in [("a", None), ("a1", Some("a")), ("b", None), ("a2", Some("a"))] {
            probers.probe(&device(name, disk));
        }
        let jobs: Vec<_> =
            probers.queue.iter().map(|j| (j.disk.as_str(), j.devices.len())).collect();
        assert_eq!(jobs, [("a", 3), ("b", 1)]);
        assert!(probers.next_start().is_some() && !probers.is_reading());
    }

    #[test]
    fn a_device_that_kills_two_probers_is_given_up_and_the_rest_is_not() {
        let mut probers = Probers::new(&Root::default());
        let mut outcomes = Vec::new();
        let devices = VecDeque::from([device("a", None), device("a1", Some("a"))]);
        let job = Job { disk: "a".into(), devices, deaths: 0 };
        probers.bury(job, &mut outcomes);
        assert!(outcomes.is_empty());
        let job = probers.queue.pop_front().unwrap();
        assert_eq!(job.deaths, 1);
        probers.bury(job, &mut outcomes);
        assert!(matches!(&outcomes[..], [Outcome::Died(device)] if device.name == "a"));
        let job = probers.queue.pop_front().unwrap();
        assert_eq!((job.deaths, job.devices.front().map(|d| d.name.as_str())), (0, Some("a1")));
    }
}
