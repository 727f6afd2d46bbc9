//! When LUKS devices are unlocked, and with which keys.
//!
//! ```text
//! absent ─► reading the header ─► loading modules ─► key file? TPM? ─► asking ─► making ─► open
//! ```
//!
//! The devices are those of the command line and of crypttab(5). Without any, each LUKS device is
//! unlocked once the boot has found nothing else to wait for. Keys that need nobody come first. One
//! key is tried at a time: its derivation may need a gibibyte of memory.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::job::{Job, TIMEOUT};
use super::{node, note_made};
use crate::boot::passphrase::{Passphrase, Prompt, Reply as Answer};
use crate::boot::root::StepContext;
use crate::boot::root::devices::{Candidate, Content};
use crate::byte_text;
use crate::cmdline::luks::{FilePlace, KeySource, LuksDevice, LuksSource};
use crate::escape;
use crate::load::Rank;
use crate::stacks::Node;
use crate::stacks::message::{Luks, LuksRequest, Place, Reply, Request};
use crate::sys::BootTime;
use crate::sys::block;

/// blkid's type of a LUKS device.
pub(super) const KIND: &str = "crypto_LUKS";
/// Longest time that the derivation of a key may take.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest wait for the passphrase of a device that nothing names, if no option says another: the
/// root may be on another disk, which is broken, and nobody there.
const UNNAMED_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest wait for the device of a key file, if no option says another.
const KEY_DEVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a device is.
#[derive(Debug)]
enum State {
    /// It, or its header, has not been found.
    Absent,
    /// The child reads the header.
    Reading(Job),
    /// Modules are being loaded.
    LoadingModules(Job),
    /// The next key is due.
    Locked(Job),
    /// The child tries a key: a passphrase if this is set.
    Trying(Job, bool),
    /// The child makes the device.
    Making(Job),
    /// The device is there.
    Open,
    /// The device stays locked.
    Failed,
}

/// A LUKS device on the way to its mapped device.
#[derive(Debug)]
struct Target {
    device: LuksDevice,
    state: State,
    /// Node and name for messages: `/dev/vda2 (label)`.
    text: String,
    /// Device number, once it was found.
    number: Option<(u32, u32)>,
    luks: Luks,
    /// Keys to try before anybody is asked; the next one is the last of the list.
    keys: Vec<Key>,
    /// Time at which the device of a key file was first missing.
    key_since: Option<BootTime>,
    /// Wrong passphrases so far.
    wrong: u32,
    /// Number of the passphrase that was tried last; 0 for none.
    tried: u32,
}

/// A key that needs nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    File(FilePlace),
    Token,
    Empty,
}

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
        self.ask(cx);
        news
    }

    /// Adds the LUKS devices that are not in the list.
    fn add_unnamed(&mut self, cx: &StepContext<'_>) {
        for (device, uuid) in cx.devices.of_kind(KIND) {
            let (Some(uuid), node) = (uuid, device.number) else { continue };
            let is_known = self.targets.iter().any(|t| t.is_of(uuid) || t.number == Some(node));
            if !is_known && !block::is_in_use(cx.dir, node) {
                let mut device = cx.params.stacks.luks.unnamed_device(uuid);
                device.options.timeout.get_or_insert(UNNAMED_TIMEOUT);
                self.targets.push(Target::new(device));
            }
        }
    }

    /// Moves one device on. Returns whether its mapped device was made.
    fn advance_target(&mut self, at: usize, cx: &mut StepContext<'_>) -> bool {
        let is_trying = self.targets.iter().any(|t| matches!(t.state, State::Trying(..)));
        let Some(target) = self.targets.get_mut(at) else { return false };
        match target.poll(cx) {
            Event::None => {}
            Event::Made => return true,
            Event::Failed(error) => self.errors.push(error),
            Event::WrongPassphrase => self.note_wrong(at, cx),
            Event::NeedsKey if is_trying => {}
            Event::NeedsKey => {
                let passphrase = self.passphrase.as_ref().map(|p| (self.typed, p.bytes()));
                target.try_next(passphrase, cx);
            }
        }
        false
    }

    /// Says that a passphrase was wrong, and gives up the device after the last try.
    fn note_wrong(&mut self, at: usize, cx: &mut StepContext<'_>) {
        let Some(target) = self.targets.get_mut(at) else { return };
        target.wrong += 1;
        let tries = target.device.options.tries;
        let left = tries.saturating_sub(target.wrong);
        let text = match tries {
            0 => "wrong passphrase".to_owned(),
            _ if left == 0 => format!("wrong passphrase {tries} times"),
            _ => format!("wrong passphrase, {left} of {tries} tries left"),
        };
        let line = format!("{}: {text}", target.text);
        cx.reporter.warn(line.clone());
        if let Some(prompt) = &self.prompt {
            prompt.message(&line);
        }
        if tries != 0 && left == 0 {
            target.state = State::Failed;
            self.errors.push(line);
        }
    }

    /// Asks for a passphrase if devices wait for one, and takes the answer.
    fn ask(&mut self, cx: &mut StepContext<'_>) {
        let waiting: Vec<&Target> = self.targets.iter().filter(|t| t.waits(self.typed)).collect();
        let busy = self.targets.iter().any(|t| matches!(t.state, State::Trying(..)));
        if waiting.is_empty() {
            if !busy && !self.targets.iter().any(Target::is_on_the_way) {
                self.prompt = None;
            }
            return;
        }
        let names: Vec<_> = waiting.iter().map(|target| target.text.as_str()).collect();
        let pin = if waiting.iter().any(|target| target.luks.needs_pin) { " or PIN" } else { "" };
        let question = format!("Passphrase{pin} for {}: ", names.join(", "));
        let timeout = waiting.iter().filter_map(|t| t.device.options.timeout).min();
        match &mut self.prompt {
            None => self.prompt = Some(Prompt::start(cx.dir, &question, timeout)),
            Some(prompt) if !prompt.is_asking() && !busy => prompt.ask(&question),
            Some(_) => {}
        }
        let answer = self.prompt.as_mut().and_then(|prompt| prompt.poll(cx.dir));
        let failure = match answer {
            None => return,
            Some(Answer::Passphrase(passphrase)) => {
                self.passphrase = Some(passphrase);
                self.typed += 1;
                return;
            }
            Some(Answer::Cancelled) => "no passphrase was typed".to_owned(),
            Some(Answer::TimedOut) => "nobody typed the passphrase in time".to_owned(),
            Some(Answer::NoConsole(tried)) => {
                format!("no console to type a passphrase: {tried}")
            }
        };
        self.give_up_waiting(&failure, cx);
    }

    /// Gives up the devices that wait for a passphrase.
    fn give_up_waiting(&mut self, failure: &str, cx: &mut StepContext<'_>) {
        let typed = self.typed;
        for target in self.targets.iter_mut().filter(|target| target.waits(typed)) {
            let line = format!("{}: {failure}", target.text);
            cx.reporter.warn(line.clone());
            self.errors.push(line);
            target.state = State::Failed;
        }
        self.prompt = None;
    }

    /// Returns whether a person is asked, or a key is derived: no deadline of the root counts that.
    pub(super) fn is_asking(&self) -> bool {
        let is_asking = self.prompt.as_ref().is_some_and(Prompt::is_asking);
        is_asking || self.targets.iter().any(|t| matches!(t.state, State::Trying(..)))
    }

    /// Returns whether a device that is needed stays locked, and nothing else is under way.
    pub(super) fn has_given_up(&self) -> bool {
        let failed = |t: &Target| matches!(t.state, State::Failed) && !t.device.options.no_fail;
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
        self.prompt.iter().flat_map(Prompt::wake_fds)
    }

    /// Returns the time at which [`Self::advance`] is due without an answer.
    pub(super) fn wakeup(&self) -> Option<BootTime> {
        let keys = self.targets.iter().filter_map(Target::key_deadline);
        keys.chain(self.prompt.as_ref().and_then(Prompt::deadline)).min()
    }

    /// Returns the devices that are there and locked, for the message about a root that was not
    /// found.
    pub(super) fn locked(&self) -> impl Iterator<Item = String> {
        let absent = |t: &&Target| matches!(t.state, State::Absent);
        let absent = self.targets.iter().filter(absent).map(|t| format!("{} not found", t.text));
        self.errors.iter().cloned().chain(absent)
    }
}

/// The news about a device since the last poll.
enum Event {
    None,
    /// Its mapped device was made.
    Made,
    /// It stays locked, and why.
    Failed(String),
    WrongPassphrase,
    /// It needs the next key.
    NeedsKey,
}

impl Target {
    fn new(device: LuksDevice) -> Self {
        let text = match &device.source {
            LuksSource::Uuid(uuid) => format!("LUKS device {uuid}"),
            LuksSource::Device(name) => format!("LUKS device {name}"),
        };
        Self {
            device,
            state: State::Absent,
            text,
            number: None,
            luks: Luks::default(),
            keys: Vec::new(),
            key_since: None,
            wrong: 0,
            tried: 0,
        }
    }

    fn is_of(&self, uuid: &str) -> bool {
        self.device.source.has_uuid(uuid)
    }

    fn job(&self) -> Option<&Job> {
        match &self.state {
            State::Reading(job)
            | State::LoadingModules(job)
            | State::Locked(job)
            | State::Trying(job, _)
            | State::Making(job) => Some(job),
            State::Absent | State::Open | State::Failed => None,
        }
    }

    /// Returns whether it has been found and may still be unlocked.
    fn is_on_the_way(&self) -> bool {
        self.job().is_some()
    }

    /// Returns whether it waits for a passphrase after number `typed`.
    fn waits(&self, typed: u32) -> bool {
        matches!(self.state, State::Locked(_))
            && self.keys.is_empty()
            && self.tried == typed
            && !self.device.options.headless
    }

    fn fail(&mut self, error: &str, cx: &mut StepContext<'_>) -> Event {
        let line = match error.contains(self.text.as_str()) {
            true => error.to_owned(),
            false => format!("{}: {error}", self.text),
        };
        cx.reporter.warn(line.clone());
        self.state = State::Failed;
        Event::Failed(line)
    }

    /// Takes what the child or the loader has to say.
    fn poll(&mut self, cx: &mut StepContext<'_>) -> Event {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Absent => self.find(cx),
            State::LoadingModules(job) if cx.loader.is_done(job.modules()) => {
                self.state = State::Locked(job);
                Event::NeedsKey
            }
            State::Locked(job) => {
                self.state = State::Locked(job);
                Event::NeedsKey
            }
            State::Reading(mut job) => match job.poll(cx.loader) {
                None => self.stay(State::Reading(job)),
                Some(Ok(Reply::Luks(luks))) => self.note_header(luks, job, cx),
                Some(Ok(_)) => self.fail("the child makes no sense", cx),
                Some(Err(error)) => self.fail(&error, cx),
            },
            State::Trying(mut job, typed) => match job.poll(cx.loader) {
                None => self.stay(State::Trying(job, typed)),
                Some(Ok(Reply::Unlocked)) => self.make(job, cx),
                Some(Ok(Reply::WrongKey(_))) if typed => {
                    self.state = State::Locked(job);
                    Event::WrongPassphrase
                }
                Some(Ok(Reply::WrongKey(text)) | Err(text)) if !typed => {
                    cx.reporter.warn(format!("{}: {text}", self.text));
                    self.stay(State::Locked(job))
                }
                Some(Ok(_)) => self.fail("the child makes no sense", cx),
                Some(Err(error)) => self.fail(&error, cx),
            },
            State::Making(mut job) => match job.poll(cx.loader) {
                None => self.stay(State::Making(job)),
                Some(Ok(Reply::Made(texts))) => {
                    note_made(cx, "LUKS device", &texts);
                    self.state = State::Open;
                    Event::Made
                }
                Some(Ok(_)) => self.fail("the child makes no sense", cx),
                Some(Err(error)) => self.fail(&error, cx),
            },
            state => self.stay(state),
        }
    }

    fn stay(&mut self, state: State) -> Event {
        self.state = state;
        Event::None
    }

    /// Starts a child if the device and its header are there.
    fn find(&mut self, cx: &mut StepContext<'_>) -> Event {
        self.state = State::Absent;
        if let Some(format) = self.device.options.other_format {
            self.device.options.no_fail = true;
            return self.fail(&format!("{format} is not LUKS; skipped"), cx);
        }
        let Some(found) = find_source(&self.device.source, cx) else { return Event::None };
        let header = match &self.device.options.header {
            None => None,
            Some(place) => match resolve(place, cx) {
                Some(place) => Some(place),
                None => {
                    let device = place.device().map(ToString::to_string).unwrap_or_default();
                    self.text = format!("header of {} on {device}", escape::path(&found.path));
                    return Event::None;
                }
            },
        };
        if block::is_in_use(cx.dir, found.number) {
            return self.stay(State::Open);
        }
        self.text = format!("{}", escape::path(&found.path));
        self.number = Some(found.number);
        let options = &self.device.options;
        let flags = [
            (options.discard, "allow-discards"),
            (options.same_cpu_crypt, "same-cpu-crypt"),
            (options.submit_from_crypt_cpus, "submit-from-crypt-cpus"),
            (options.no_read_workqueue, "no-read-workqueue"),
            (options.no_write_workqueue, "no-write-workqueue"),
        ];
        let request = Request::Luks(Box::new(LuksRequest {
            node: found,
            header,
            name: self.device.name.clone().unwrap_or_default(),
            slot: options.key_slot,
            read_only: options.read_only,
            measure: options.measurement(),
            signature: options.tpm2_signature.clone().unwrap_or_default(),
            token_timeout: options.token_timeout.map(|timeout| timeout.as_secs()),
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, f)| (*f).to_owned()).collect(),
        }));
        // The load overlaps with the read of the header.
        cx.loader.want_name("dm_crypt", Rank::Root);
        match Job::start(&request, format!("reading the LUKS header of {}", self.text)) {
            Ok(job) => self.stay(State::Reading(job)),
            Err(error) => self.fail(&error, cx),
        }
    }

    /// Notes what the header says, and has the modules loaded.
    fn note_header(&mut self, luks: Luks, mut job: Job, cx: &mut StepContext<'_>) -> Event {
        if !luks.label.is_empty() {
            self.text = format!("{} ({})", self.text, escape::line(&luks.label));
        }
        job.load(&luks.modules, cx.loader);
        cx.state.add_modules(job.modules().iter().cloned());
        self.keys = self.keys_to_try(&luks, cx);
        self.luks = luks;
        self.stay(State::LoadingModules(job))
    }

    /// Returns the keys that need nobody, the first one last.
    fn keys_to_try(&self, luks: &Luks, cx: &StepContext<'_>) -> Vec<Key> {
        let mut keys = Vec::new();
        keys.extend(self.device.options.try_empty.then_some(Key::Empty));
        keys.extend((luks.has_token && !luks.needs_pin).then_some(Key::Token));
        match &self.device.key {
            KeySource::File(place) => keys.push(Key::File(place.clone())),
            KeySource::Unnamed => {
                let usual = LuksDevice::usual_key_files(&self.device.mapped_name(&luks.uuid));
                let there = usual.into_iter().rev().filter(|path| cx.dir.join(path).exists());
                keys.extend(there.map(|path| Key::File(FilePlace::File(path))));
            }
        }
        keys
    }

    /// Tries the next key: those that need nobody, then the passphrase with this number.
    fn try_next(&mut self, passphrase: Option<(u32, &[u8])>, cx: &mut StepContext<'_>) {
        let (request, typed) = match self.keys.pop() {
            Some(key) => match self.request_of(key, cx) {
                Some(request) => (request, false),
                None => return,
            },
            None => match passphrase {
                Some((number, bytes)) if number != self.tried => {
                    self.tried = number;
                    (Request::Passphrase(bytes.to_vec().into()), true)
                }
                _ if self.device.options.headless => {
                    self.fail("no key opens it, and headless= forbids to ask", cx);
                    return;
                }
                _ => return,
            },
        };
        let State::Locked(mut job) = std::mem::replace(&mut self.state, State::Failed) else {
            return;
        };
        match job.send(&request, format!("unlocking {}", self.text), UNLOCK_TIMEOUT) {
            Ok(()) => self.state = State::Trying(job, typed),
            Err(error) => drop(self.fail(&error, cx)),
        }
    }

    /// Returns the request that tries a key; `None` as long as its device is awaited.
    fn request_of(&mut self, key: Key, cx: &mut StepContext<'_>) -> Option<Request> {
        let place = match &key {
            Key::Token => return Some(Request::Token(Vec::new().into())),
            Key::Empty => return Some(Request::Passphrase(Vec::new().into())),
            Key::File(place) => place,
        };
        let options = &self.device.options;
        let (offset, size) = (options.keyfile_offset, options.keyfile_size);
        if let Some(place) = resolve(place, cx) {
            return Some(Request::KeyFile { place, offset, size });
        }
        let timeout = options.keyfile_timeout.unwrap_or(KEY_DEVICE_TIMEOUT);
        let since = *self.key_since.get_or_insert_with(BootTime::now);
        if since.elapsed() < timeout {
            self.keys.push(key);
        } else {
            let device = place.device().map(ToString::to_string).unwrap_or_default();
            let line = format!("{}: key device {device} not found", self.text);
            cx.reporter.warn(line);
        }
        None
    }

    /// Returns the time at which the wait for the device of a key file ends.
    fn key_deadline(&self) -> Option<BootTime> {
        let timeout = self.device.options.keyfile_timeout.unwrap_or(KEY_DEVICE_TIMEOUT);
        self.key_since.map(|since| since + timeout)
    }

    fn make(&mut self, mut job: Job, cx: &mut StepContext<'_>) -> Event {
        match job.send(&Request::Make, format!("mapping {}", self.text), TIMEOUT) {
            Ok(()) => self.stay(State::Making(job)),
            Err(error) => self.fail(&error, cx),
        }
    }
}

/// Returns the device with this name, once it is there.
fn find_source(source: &LuksSource, cx: &mut StepContext<'_>) -> Option<Node> {
    match source {
        LuksSource::Uuid(start) => {
            let is_meant = |uuid: &str| uuid.to_ascii_lowercase().starts_with(start.as_str());
            let mut devices = cx.devices.of_kind(KIND);
            let found = devices.find(|(_, uuid)| uuid.is_some_and(is_meant));
            found.map(|(device, _)| node(cx.dir, device))
        }
        LuksSource::Device(name) => {
            let Candidate { node, number, .. } = cx.devices.find(name, Content::Any)?;
            let size = block::size(cx.dir, number)?;
            Some(Node { path: node, number, size })
        }
    }
}

/// Returns where a file is, once its device is there and the filesystem on that can be mounted.
fn resolve(place: &FilePlace, cx: &mut StepContext<'_>) -> Option<Place> {
    let mut resolved = Place::default();
    if let FilePlace::File(path) | FilePlace::OnDevice { path, .. } = place {
        resolved.path.clone_from(path);
    }
    if let Some(name) = place.device() {
        let found = cx.devices.find(name, Content::Any)?;
        resolved.device = byte_text::from_path(&found.node).into_owned();
        if let FilePlace::OnDevice { fstype, .. } = place {
            let fstype = fstype.clone().filter(|fstype| fstype != "auto").or(found.fstype)?;
            let modules = cx.request_modules(&[&format!("fs-{fstype}")]);
            if !cx.loader.is_done(&modules) {
                return None;
            }
            resolved.fstypes = fstype;
        }
    }
    Some(resolved)
}
