//! Messages between PID 1 and its worker process. A message is a row of fields with a NUL after
//! each; no field holds a NUL.
//!
//! ```text
//! find-hash PATH...
//! hash      NAME
//! run       id module ACTION low|- OBJECT options
//! completed id start_ns end_ns METHOD retry|- OUTCOME ERRNO REASON POINTS
//! ```
//!
//! The answer to find-hash is the hash that the first signed file is signed with; it is empty if
//! none is signed.
//!
//! Paths, options and install commands may be in any encoding; all other fields are UTF-8.
//!
//! ACTION and OBJECT are `insert` and a path, `command` and an install command, `no-file` and
//! nothing, or `masked` and the origin of the mask. METHOD and OUTCOME are words of
//! [`LoadMethod::as_str`] and [`Outcome::as_str`]. ERRNO is the kernel's answer to a load that
//! failed; REASON is any other error as text, or the origin of a mask. POINTS are the times of
//! [`Stamps`]. Fields without a value are empty.

use rustix::io::Errno;

use super::error::{InsertError, LoadError};
use super::method::LoadMethod;
use super::outcome::Outcome;
use super::stamps::Stamps;
use super::task::{Completion, Task};
use crate::kmod::name::ModuleName;
use crate::kmod::plan::Action;
use crate::sys::BootTime;
use crate::sys::child::MAX_MESSAGE;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// From PID 1: module files, to say which hash module signatures use.
    FindHash(Vec<Vec<u8>>),
    /// From the worker process: the hash.
    Hash(String),
    /// From PID 1: a task to run.
    Run(Task),
    /// From the worker process: a task that has been run.
    Completed(Completion),
}

impl Message {
    /// Returns the bytes of the message; `None` if they exceed [`MAX_MESSAGE`].
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        match self {
            Self::FindHash(paths) => {
                let fields: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
                join(&[&[&b"find-hash"[..]], &*fields].concat())
            }
            Self::Hash(name) => join(&[b"hash", name.as_bytes()]),
            Self::Run(task) => encode_task(task),
            Self::Completed(completion) => encode_completion(completion),
        }
    }

    /// Parses the bytes of a message.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        match fields.next()? {
            b"find-hash" => Some(Self::FindHash(fields.map(<[u8]>::to_vec).collect())),
            b"hash" => text(fields.next()?).map(|name| Self::Hash(name.to_owned())),
            b"run" => decode_task(&mut fields).map(Self::Run),
            b"completed" => decode_completion(&mut fields.map(text)).map(Self::Completed),
            _ => None,
        }
    }
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn encode_task(task: &Task) -> Option<Vec<u8>> {
    let (kind, object): (&[u8], &[u8]) = match &task.action {
        Action::Insert(path) => (b"insert", path),
        Action::Command(command) => (b"command", command),
        Action::NoFile => (b"no-file", b""),
        Action::Masked(origin) => (b"masked", origin.as_bytes()),
    };
    let id = task.id.to_string();
    let priority: &[u8] = if task.low_priority { b"low" } else { b"-" };
    let module = task.module.as_bytes();
    join(&[b"run", id.as_bytes(), module, kind, priority, object, &task.options])
}

fn decode_task<'a>(fields: &mut impl Iterator<Item = &'a [u8]>) -> Option<Task> {
    let id = text(fields.next()?)?.parse().ok()?;
    let module = ModuleName::new(fields.next()?);
    let kind = fields.next()?;
    let low_priority = fields.next()? == b"low";
    let object = fields.next()?;
    let action = match kind {
        b"insert" => Action::Insert(object.to_owned()),
        b"command" => Action::Command(object.to_owned()),
        b"no-file" => Action::NoFile,
        b"masked" => Action::Masked(text(object)?.to_owned()),
        _ => return None,
    };
    Some(Task { id, module, action, low_priority, options: fields.next()?.to_owned() })
}

fn encode_completion(completion: &Completion) -> Option<Vec<u8>> {
    let id = completion.id.to_string();
    let [start, end] = [completion.start, completion.end].map(|time| time.as_nanos().to_string());
    let method = completion.method.map_or("", LoadMethod::as_str);
    let retry = if completion.retry { "retry" } else { "-" };
    let (errno, reason) = match &completion.outcome {
        Outcome::Failed(LoadError::Insert(InsertError::Kernel(errno))) => {
            (errno.raw_os_error().to_string(), String::new())
        }
        Outcome::Failed(error) => (String::new(), error.to_string()),
        Outcome::Masked(origin) => (String::new(), origin.clone()),
        _ => (String::new(), String::new()),
    };
    let outcome = completion.outcome.as_str();
    let stamps = completion.stamps.to_field();
    let fields = ["completed", &id, &start, &end, method, retry, outcome, &errno, &reason, &stamps];
    join(&fields.map(str::as_bytes))
}

fn decode_completion<'a>(fields: &mut impl Iterator<Item = Option<&'a str>>) -> Option<Completion> {
    let mut next = || fields.next().flatten();
    let id = next()?.parse().ok()?;
    let mut time = || Some(BootTime::from_nanos(next()?.parse().ok()?));
    let (start, end) = (time()?, time()?);
    let method = LoadMethod::parse(next()?);
    let retry = next()? == "retry";
    let word = next()?;
    let errno = next()?.parse().ok().map(Errno::from_raw_os_error);
    let reason = next()?.to_owned();
    let stamps = Stamps::parse(next()?)?;
    let outcome = match (word, errno) {
        ("failed", Some(errno)) => Outcome::Failed(LoadError::Insert(InsertError::Kernel(errno))),
        ("failed", None) => Outcome::Failed(LoadError::Reported(reason)),
        ("masked", _) => Outcome::Masked(reason),
        _ => Outcome::parse(word)?,
    };
    Some(Completion { id, outcome, method, start, stamps, end, retry })
}

fn join(fields: &[&[u8]]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(256);
    for field in fields {
        message.extend(field.iter().copied().filter(|b| *b != 0));
        message.push(0);
    }
    (message.len() <= MAX_MESSAGE).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::super::stamps::Point;
    use super::*;

    fn task(action: Action, options: &str, low_priority: bool) -> Task {
        Task { id: 7, module: "m_x".into(), action, options: options.into(), low_priority }
    }

    #[test]
    fn messages_survive_the_way_there() {
        let sent = |message: Message| {
            assert_eq!(Message::decode(&message.encode().unwrap()), Some(message));
        };
        let path = b"kernel/\xf6/m-x.ko".to_vec();
        sent(Message::FindHash(vec![path.clone(), b"b".to_vec()]));
        sent(Message::FindHash(Vec::new()));
        sent(Message::Hash("sha256".to_owned()));
        sent(Message::Hash(String::new()));
        sent(Message::Run(task(Action::Insert(path), "", false)));
        sent(Message::Run(task(Action::Command(b"echo \xf6".to_vec()), "a=\"b c\" d", true)));
        let mut latin1 = task(Action::NoFile, "", false);
        latin1.options = b"id=M\xf6b".to_vec();
        latin1.module = ModuleName::new(b"m\xf6");
        sent(Message::Run(latin1));
        sent(Message::Run(task(Action::NoFile, "", false)));
        sent(Message::Run(task(Action::Masked("f line 1".into()), "", false)));
        for (outcome, method) in [
            (Outcome::Loaded, Some(LoadMethod::Finit)),
            (Outcome::Already, Some(LoadMethod::FinitCompressed)),
            (Outcome::Commanded, None),
            (Outcome::Missing, None),
            (Outcome::NoDevice, Some(LoadMethod::Init)),
            (Outcome::Disabled, None),
            (Outcome::Masked("f line 1".into()), None),
            (Outcome::Failed(LoadError::Insert(InsertError::Kernel(Errno::BUSY))), None),
            (Outcome::Failed(LoadError::Reported("no: such thing".into())), None),
        ] {
            let (start, end) = (BootTime::from_nanos(5), BootTime::from_nanos(7));
            let mut stamps = Stamps::default();
            stamps.set(Point::Kernel, BootTime::from_nanos(6));
            sent(Message::Completed(Completion {
                id: 3,
                outcome,
                method,
                start,
                stamps,
                end,
                retry: true,
            }));
        }
    }

    #[test]
    fn other_errors_arrive_as_their_text() {
        let error = LoadError::DependencyNotLive("b".into(), "failed");
        let failed = Completion::immediate(1, Outcome::Failed(error.clone()));
        let Some(Message::Completed(received)) =
            Message::decode(&Message::Completed(failed).encode().unwrap())
        else {
            panic!("no completion");
        };
        assert_eq!(received.outcome, Outcome::Failed(LoadError::Reported(error.to_string())));
    }

    #[test]
    fn bad_messages_are_none() {
        for bad in [
            "",
            "|",
            "run|",
            "run|1|m|insert|-|p|",
            "run|x|m|insert|-|p|o|",
            "run|1|m|insert|-|p|o",
            "run|1|m|other|-|p|o|",
            "hash|",
            "completed|1|1|x||-|loaded|||",
            "completed|1|1|2||-|other|||",
            "other|1|",
            "completed|1|1|2||-|failed|",
            "completed|1|1|2||-|loaded||||",
            "completed|1|1|2||-|loaded|||1 2|",
            "completed|1|1|2||-|loaded|||1 2 x|",
        ] {
            assert_eq!(Message::decode(bad.replace('|', "\0").as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Message::decode(b"\xff\0"), None);
        let long = task(Action::Insert(b"x".repeat(MAX_MESSAGE)), "", false);
        assert_eq!(Message::Run(long).encode(), None);
    }
}
