//! One LUKS device on the way to its mapped device.
//!
//! ```text
//! absent ─► reading the header ─► loading modules ─► key file? TPM? ─► asking ─► making ─► open
//! ```
//!
//! Keys that need nobody come first.

use std::time::Duration;

use super::job::{Job, TIMEOUT};
use super::{node, note_made};
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
/// Longest wait for the driver of a TPM, if no option says another.
const DRIVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a TPM may take. The kernel waits two minutes for its slowest commands.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait for the device of a key file, if no option says another.
const KEY_DEVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// How far a device is.
#[derive(Debug)]
pub(super) enum State {
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
pub(super) struct Target {
    pub(super) device: LuksDevice,
    /// Whether the boot can go on without it: the device that it waits for may be on another one.
    /// False once somebody was asked for its passphrase.
    pub(super) is_optional: bool,
    pub(super) state: State,
    /// Node and name for messages: `/dev/vda2 (label)`.
    pub(super) text: String,
    /// Device number, once it was found.
    pub(super) number: Option<(u32, u32)>,
    /// Whether all of its tokens need a PIN.
    pub(super) needs_pin: bool,
    /// Keys to try before anybody is asked, once the header was read; the next one is the last.
    keys: Option<Vec<Key>>,
    /// Time since which a person has been asked for the next passphrase.
    asked_since: Option<BootTime>,
    /// Time at which the device of a key file was first missing.
    key_since: Option<BootTime>,
    /// Wrong passphrases so far.
    pub(super) wrong: u32,
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

/// The news about a device since the last poll.
pub(super) enum Event {
    None,
    /// Its mapped device was made.
    Made,
    /// It stays locked, and why.
    Failed(String),
    /// A passphrase was wrong, or was not tried: a text that may be empty says more.
    WrongPassphrase(String),
    /// It needs the next key.
    NeedsKey,
}

impl Target {
    pub(super) fn new(device: LuksDevice) -> Self {
        let text = match &device.source {
            LuksSource::Uuid(uuid) => format!("LUKS device {uuid}"),
            LuksSource::Device(name) => format!("LUKS device {name}"),
        };
        Self {
            is_optional: device.options.no_fail,
            device,
            state: State::Absent,
            text,
            number: None,
            needs_pin: false,
            keys: None,
            asked_since: None,
            key_since: None,
            wrong: 0,
            tried: 0,
        }
    }

    pub(super) fn is_of(&self, uuid: &str) -> bool {
        self.device.source.has_uuid(uuid)
    }

    pub(super) fn job(&self) -> Option<&Job> {
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
    pub(super) fn is_on_the_way(&self) -> bool {
        self.job().is_some()
    }

    /// Returns whether it waits for a passphrase after number `typed`.
    pub(super) fn waits(&self, typed: u32) -> bool {
        matches!(self.state, State::Locked(_))
            && self.keys.as_ref().is_some_and(Vec::is_empty)
            && self.tried == typed
            && !self.device.options.headless
    }

    /// Returns whether nobody has typed its passphrase in time. It is waited for from the first call.
    pub(super) fn has_waited(&mut self) -> bool {
        let since = *self.asked_since.get_or_insert_with(BootTime::now);
        self.device.options.timeout.is_some_and(|timeout| since.elapsed() >= timeout)
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

    /// Takes what the child or the loader has to say. `taken` are the devices of other targets.
    pub(super) fn poll(&mut self, taken: &[(u32, u32)], cx: &mut StepContext<'_>) -> Event {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Absent => self.find(taken, cx),
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
                Some(Ok(Reply::WrongKey(text))) if typed => {
                    self.state = State::Locked(job);
                    Event::WrongPassphrase(text)
                }
                Some(Ok(Reply::WrongKey(text))) => {
                    let text = if text.is_empty() { "no key slot has this key" } else { &text };
                    cx.reporter.warn(format!("{}: {text}", self.text));
                    self.stay(State::Locked(job))
                }
                // The child is lost, but not the other keys: a TPM may not answer.
                Some(Err(error)) if typed && job.is_lost() => match self.find(taken, cx) {
                    Event::None => Event::WrongPassphrase(error),
                    event => event,
                },
                Some(Err(error)) if !typed => {
                    cx.reporter.warn(error);
                    match job.is_lost() {
                        true => self.find(taken, cx),
                        false => self.stay(State::Locked(job)),
                    }
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
    /// `taken` are the devices of other targets.
    fn find(&mut self, taken: &[(u32, u32)], cx: &mut StepContext<'_>) -> Event {
        self.state = State::Absent;
        if let Some(format) = self.device.options.other_format {
            self.is_optional = true;
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
        // Two mappings of one device would each hide the other from what is inside.
        if block::is_in_use(cx.dir, found.number) || taken.contains(&found.number) {
            return self.stay(State::Open);
        }
        if self.number.replace(found.number) != Some(found.number) {
            self.text = format!("{}", escape::path(&found.path));
        }
        let request = Request::Luks(Box::new(request(&self.device, found, header)));
        // The load overlaps with the read of the header.
        cx.loader.want_name("dm_crypt", Rank::Root);
        match Job::start(&request, format!("reading the LUKS header of {}", self.text)) {
            Ok(job) => self.stay(State::Reading(job)),
            Err(error) => self.fail(&error, cx),
        }
    }

    /// Notes what the header says, and has the modules loaded.
    fn note_header(&mut self, luks: Luks, mut job: Job, cx: &mut StepContext<'_>) -> Event {
        let is_first = self.keys.is_none();
        if is_first && !luks.damage.is_empty() {
            cx.reporter.warn(format!("{}: {}; its other copy is used", self.text, luks.damage));
        }
        if is_first && !luks.label.is_empty() {
            self.text = format!("{} ({})", self.text, escape::line(&luks.label));
        }
        job.load(&luks.modules, cx.loader);
        cx.state.add_modules(job.modules().iter().cloned());
        if is_first {
            self.keys = Some(self.keys_to_try(&luks, cx));
        }
        self.needs_pin = luks.needs_pin;
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
    pub(super) fn try_next(&mut self, passphrase: Option<(u32, &[u8])>, cx: &mut StepContext<'_>) {
        let (request, typed) = match self.keys.as_mut().and_then(Vec::pop) {
            Some(key) => match self.request_of(key, cx) {
                Some(request) => (request, false),
                None => return,
            },
            None => match passphrase {
                Some((number, bytes)) if number != self.tried => {
                    (self.tried, self.asked_since) = (number, None);
                    self.is_optional = self.device.options.no_fail;
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
        let (text, timeout) = match &request {
            Request::Token(_) => {
                let driver = self.device.options.token_timeout.unwrap_or(DRIVER_TIMEOUT);
                ("unlocking with the TPM", driver + TOKEN_TIMEOUT)
            }
            _ => ("unlocking", UNLOCK_TIMEOUT),
        };
        match job.send(&request, format!("{text} {}", self.text), timeout) {
            Ok(()) => self.state = State::Trying(job, typed),
            // The child has died since the last request.
            Err(error) => {
                cx.reporter.warn(error);
                self.state = State::Absent;
            }
        }
    }

    /// Returns whether a key is there that was not tried. `typed` is the number of the last passphrase.
    pub(super) fn has_next_key(&self, typed: u32) -> bool {
        let has_key = self.keys.as_ref().is_some_and(|keys| !keys.is_empty());
        matches!(self.state, State::Locked(_)) && (has_key || self.tried != typed)
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
            self.keys.get_or_insert_default().push(key);
        } else {
            let device = place.device().map(ToString::to_string).unwrap_or_default();
            let line = format!("{}: key device {device} not found", self.text);
            cx.reporter.warn(line);
        }
        None
    }

    /// Returns the times at which the waits for the device of a key file and for a person end.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = BootTime> {
        let timeout = self.device.options.keyfile_timeout.unwrap_or(KEY_DEVICE_TIMEOUT);
        let asked = self.asked_since.zip(self.device.options.timeout).map(|(at, time)| at + time);
        self.key_since.map(|since| since + timeout).into_iter().chain(asked)
    }

    fn make(&mut self, mut job: Job, cx: &mut StepContext<'_>) -> Event {
        match job.send(&Request::Make, format!("mapping {}", self.text), TIMEOUT) {
            Ok(()) => self.stay(State::Making(job)),
            Err(error) => self.fail(&error, cx),
        }
    }
}

/// Returns the request for the device at a node.
fn request(device: &LuksDevice, node: Node, header: Option<Place>) -> LuksRequest {
    let options = &device.options;
    let flags = [
        (options.discard, "allow-discards"),
        (options.same_cpu_crypt, "same-cpu-crypt"),
        (options.submit_from_crypt_cpus, "submit-from-crypt-cpus"),
        (options.no_read_workqueue, "no-read-workqueue"),
        (options.no_write_workqueue, "no-write-workqueue"),
    ];
    LuksRequest {
        node,
        header,
        name: device.name.clone().unwrap_or_default(),
        slot: options.key_slot,
        read_only: options.read_only,
        measure: options.measurement(),
        signature: options.tpm2_signature.clone().unwrap_or_default(),
        token_timeout: options.token_timeout.unwrap_or(DRIVER_TIMEOUT).as_secs(),
        flags: flags.iter().filter(|(set, _)| *set).map(|(_, f)| (*f).to_owned()).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::{KernelCommandLine, crypttab};
    use crate::disk::luks::header::Header;
    use crate::disk::luks::sample;
    use crate::disk::luks::table::{Data, Options};
    use crate::disk::mapping::Word;

    /// Returns the optional parameters of the table for the only device that a command line and a
    /// crypttab name, and whether it is read-only.
    fn optional(line: &str, table: &str) -> (String, bool) {
        let line = KernelCommandLine::parse(line);
        let table = crypttab::parse("t", table.as_bytes()).0;
        let (devices, problems) = line.stacks.luks.devices(table);
        assert_eq!((devices.len(), problems), (1, Vec::new()));
        let size = 128 << 10;
        let node = Node { path: "/dev/vda".into(), number: (254, 0), size };
        let LuksRequest { node, name, read_only, flags, .. } = request(&devices[0], node, None);
        let bytes = sample::device(b"secret");
        let header = Header::read(&&bytes[..]).unwrap();
        let data = Data { number: node.number, size: node.size };
        let mapping = header.mapping(&name, data, (64, 0), &Options { read_only, flags }).unwrap();
        let words = mapping.targets[0].parameters.iter().skip(5).map(|word| match word {
            Word::Text(text) => text.as_str(),
            _ => panic!("a device"),
        });
        (words.collect::<Vec<_>>().join(" "), mapping.read_only)
    }

    #[test]
    fn options_reach_the_table_of_the_device() {
        let uuid = sample::UUID;
        let named = format!("rd.luks.uuid={uuid}");
        let table = |options: &str| format!("root UUID={uuid} none {options}\n");
        for (options, want, read_only) in [
            ("luks", "", false),
            ("discard", "1 allow_discards", false),
            ("discard=no,readonly", "", true),
            (
                "no-read-workqueue,no-write-workqueue,read-only,discard",
                "3 allow_discards no_read_workqueue no_write_workqueue",
                true,
            ),
            (
                "perf-same_cpu_crypt,submit-from-crypt-cpus",
                "2 same_cpu_crypt submit_from_crypt_cpus",
                false,
            ),
        ] {
            let want = (want.to_owned(), read_only);
            let by_line = optional(&format!("{named} rd.luks.options={options}"), "");
            assert_eq!(by_line, want, "{options}");
            assert_eq!(optional("", &table(options)), want, "{options}");
        }
        let by_other_words = [
            format!("{named} rd.luks.allow-discards"),
            format!("cryptdevice=UUID={uuid}:root:allow-discards"),
        ];
        for line in by_other_words {
            assert_eq!(optional(&line, ""), ("1 allow_discards".to_owned(), false), "{line}");
        }
    }
}
