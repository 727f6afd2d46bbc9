//! The choice of a slot: `coldplug.slots=` with `coldplug.slots_env=`.
//!
//! The mount worker takes one attempt from the first slot that has one left and has not been tried
//! in this boot, and writes that down before the slot's root is mounted. An environment that is
//! missing, damaged or on a disk that does not answer is no reason not to boot: the slots are then
//! tried in the order of the command line, and nothing is counted.

use std::path::PathBuf;
use std::time::Duration;

use super::devices::Content;
use super::worker::{Request, WorkerError};
use super::{Awaited, Progress, RootStep, StepContext, StepError};
use crate::boot::seconds;
use crate::cmdline::slots::EnvironmentPlace;
use crate::disk::boot_slots;
use crate::disk::uboot_env::StoredEnvironment;
use crate::sys::environment_file::EnvironmentFile;
use crate::sys::store_file::Access;
use crate::sys::{self, BootTime};

/// Longest wait for the device of the environment; half of that for the root if that is shorter.
const DEVICE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the worker.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The parameter that names the environment.
const PARAMETER: &str = "coldplug.slots_env";

/// The state of the step.
#[derive(Debug)]
enum State {
    /// A device has not been found yet. The wait ends at this time of the clock for waits.
    NeedsDevice(Option<BootTime>),
    /// The worker has had the request since this time.
    Waiting(BootTime),
}

/// The step that chooses a slot. It leaves the slot in the state of the root.
#[derive(Debug)]
pub(super) struct ChooseSlot {
    places: Vec<EnvironmentPlace>,
    slots: Vec<String>,
    /// Slots that were tried in this boot.
    tried: Vec<String>,
    state: State,
}

impl ChooseSlot {
    pub(super) fn new(places: &[EnvironmentPlace], slots: &[String], tried: &[String]) -> Self {
        Self {
            places: places.to_vec(),
            slots: slots.to_vec(),
            tried: tried.to_vec(),
            state: State::NeedsDevice(None),
        }
    }

    fn find_devices(
        &mut self,
        deadline: Option<BootTime>,
        cx: &mut StepContext<'_>,
    ) -> Result<Progress, StepError> {
        let root_timeout = cx.params.root.timeout.unwrap_or(Duration::MAX);
        let timeout = DEVICE_TIMEOUT.min(root_timeout / 2);
        let now = cx.clock.now();
        let deadline = deadline.unwrap_or(now + timeout);
        self.state = State::NeedsDevice(Some(deadline));
        let mut found = Vec::new();
        for place in &self.places {
            let name = place.name();
            let Some(candidate) = cx.devices.find(&name, Content::Any) else {
                let text = format!("{PARAMETER}={}", place.device);
                let awaited = Awaited::device(text, Some(&name));
                if now < deadline {
                    return Ok(Progress::NeedsDevice(awaited));
                }
                return Ok(give_up(awaited.failure(&seconds(timeout)), cx));
            };
            found.push((candidate.number, place.offset));
        }
        let size = self.places.first().map_or(0, |place| place.size);
        let (slots, tried) = (self.slots.join(" "), self.tried.join(" "));
        let request = Request::Slot { size, slots, tried, places: found };
        cx.worker.request(request, format!("{PARAMETER}: choice of a slot"))?;
        self.state = State::Waiting(BootTime::now());
        Ok(Progress::Working("choice of a slot"))
    }

    /// Notes the choice of the worker.
    fn note(&self, reply: &str, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        match reply.split_once(' ') {
            Some((CHOSEN, choice)) => {
                let (slot, left) = choice.split_once(' ').unwrap_or((choice, "0"));
                let text = format!("slot {slot}: attempts left after this one: {left}");
                cx.reporter.log().info(&text);
                cx.reporter.set_slot(slot);
                cx.state.slot = Some(slot.to_owned());
                Ok(Progress::Done)
            }
            Some((NONE, slots)) => Err(StepError::NoSlot(slots.to_owned())),
            _ => {
                let text = format!("{PARAMETER}: no valid environment");
                let progress = give_up(text, cx);
                cx.reporter.log().warn("hint: 'coldplug slot init' in the real system makes one");
                Ok(progress)
            }
        }
    }
}

/// Ends the step without a choice.
fn give_up(cause: String, cx: &mut StepContext<'_>) -> Progress {
    let text = "the slots are tried in the order of coldplug.slots=, without a count";
    cx.reporter.warn(format!("{cause}; {text}"));
    Progress::Done
}

impl RootStep for ChooseSlot {
    fn advance(&mut self, cx: &mut StepContext<'_>) -> Result<Progress, StepError> {
        let since = match self.state {
            State::NeedsDevice(deadline) => return self.find_devices(deadline, cx),
            State::Waiting(since) => since,
        };
        let cause = match cx.worker.poll() {
            Some(Ok(reply)) => return self.note(&String::from_utf8_lossy(&reply), cx),
            Some(Err(WorkerError::System(error))) => error.to_string(),
            Some(Err(died @ WorkerError::Died(_))) => died.to_string(),
            None if since.elapsed() < TIMEOUT => return Ok(Progress::Working("choice of a slot")),
            None => {
                // Nothing is mounted yet. Another worker mounts the root.
                cx.worker.abandon();
                format!("no answer within {}", seconds(TIMEOUT))
            }
        };
        Ok(give_up(format!("{PARAMETER}: {cause}"), cx))
    }
}

/// First words of the worker's reply, before `SLOT LEFT` and `SLOT LEFT, SLOT LEFT…`.
const CHOSEN: &str = "chosen";
const NONE: &str = "none";
/// The reply if there is no environment.
const INVALID: &str = "invalid";

/// Takes an attempt from a slot, in the worker. Returns its reply.
///
/// # Errors
/// The environment cannot be read or written.
pub(super) fn take(
    places: &[(PathBuf, i64)],
    size: usize,
    slots: &str,
    tried: &str,
) -> sys::Result<Vec<u8>> {
    let file = EnvironmentFile::open(places, size, Access::Write)?;
    let Some(mut stored) = StoredEnvironment::parse(&file.read()?) else {
        return Ok(INVALID.into());
    };
    let slots: Vec<&str> = slots.split_ascii_whitespace().collect();
    let tried: Vec<&str> = tried.split_ascii_whitespace().collect();
    let variables = &mut stored.variables;
    let reply = match boot_slots::take_attempt(variables, &slots, &tried) {
        Some((slot, left)) => format!("{CHOSEN} {slot} {left}"),
        None => {
            let left =
                |slot: &&str| format!("{slot} {}", boot_slots::attempts_left(variables, slot));
            let list: Vec<String> = slots.iter().map(left).collect();
            return Ok(format!("{NONE} {}", list.join(", ")).into_bytes());
        }
    };
    file.save(&mut stored)?;
    Ok(reply.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_takes_one_attempt() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("disk");
        std::fs::write(&path, [0; 1024]).unwrap();
        let places = [(path.clone(), 0), (path.clone(), 512)];
        let call =
            |tried: &str| String::from_utf8(take(&places, 512, "A B", tried).unwrap()).unwrap();
        assert_eq!(call(""), "invalid");
        let file = EnvironmentFile::open(&places, 512, Access::Write).unwrap();
        let mut stored = StoredEnvironment::new(2);
        stored.variables.set("BOOT_ORDER", "B A");
        stored.variables.set("BOOT_A_LEFT", "1");
        file.save(&mut stored).unwrap();
        for (tried, want) in [
            ("", "chosen B 2"),
            ("", "chosen B 1"),
            ("B", "chosen A 0"),
            ("B A", "none A 0, B 1"),
            ("B", "none A 0, B 1"),
            ("", "chosen B 0"),
            ("", "none A 0, B 0"),
        ] {
            assert_eq!(call(tried), want, "{tried}");
        }
        let error = take(&[(path, 1000)], 512, "A", "").unwrap_err().to_string();
        assert!(error.ends_with(": Invalid argument"), "{error}");
    }
}
