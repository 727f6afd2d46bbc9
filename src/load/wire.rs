//! What init and its loading process say to each other: a message each way for each task, fields with a NUL
//! behind each, none of which can hold one.
//!
//! ```text
//! id \0 module \0 file|command \0 gently|- \0 path or command \0 options \0
//! id \0 start_ns \0 end_ns \0 method or nothing \0 again|- \0 outcome \0 its reason \0
//! ```

use super::act::Task;
use super::graph::Done;
use super::outcome::{LoadMethod, Outcome};
use crate::sys::BootTime;

/// The longest message: a path and options as long as the kernel takes them, and more.
pub(super) const LONGEST: usize = 16 << 10;

/// The message for a task; `None` where it is too long for one.
pub(super) fn task(task: &Task) -> Option<Vec<u8>> {
    let kind = if task.is_file { "file" } else { "command" };
    let id = task.id.to_string();
    let gently = if task.gently { "gently" } else { "-" };
    joined(&[&id, task.module.as_str(), kind, gently, &task.what, &task.options])
}

/// The task in a message.
pub(super) fn parse_task(message: &[u8]) -> Option<Task> {
    let mut fields = fields(message)?;
    let id = fields.next()?.parse().ok()?;
    let module = fields.next()?.into();
    let is_file = fields.next()? == "file";
    let gently = fields.next()? == "gently";
    let what = fields.next()?.to_owned();
    Some(Task { id, module, is_file, gently, what, options: fields.next()?.to_owned() })
}

/// The message for what became of task `id`.
pub(super) fn done(id: usize, done: &Done) -> Option<Vec<u8>> {
    let (id, start) = (id.to_string(), done.start.as_nanos().to_string());
    let reason = done.outcome.reason().unwrap_or_default();
    let again = if done.again { "again" } else { "-" };
    let method = done.method.map_or("", LoadMethod::as_str);
    joined(&[
        &id,
        &start,
        &done.end.as_nanos().to_string(),
        method,
        again,
        done.outcome.as_str(),
        &reason,
    ])
}

/// What became of which task.
pub(super) fn parse_done(message: &[u8]) -> Option<(usize, Done)> {
    let mut fields = fields(message)?;
    let id = fields.next()?.parse().ok()?;
    let mut time = || Some(BootTime::from_nanos(fields.next()?.parse().ok()?));
    let (start, end) = (time()?, time()?);
    let method = LoadMethod::parse(fields.next()?);
    let again = fields.next()? == "again";
    let outcome = Outcome::parse(fields.next()?, fields.next()?)?;
    Some((id, Done { method, again, start, end, ..Done::at_once(outcome) }))
}

fn joined(fields: &[&str]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(256);
    for field in fields {
        message.extend(field.bytes().filter(|b| *b != 0));
        message.push(0);
    }
    (message.len() <= LONGEST).then_some(message)
}

fn fields(message: &[u8]) -> Option<impl Iterator<Item = &str>> {
    Some(std::str::from_utf8(message.strip_suffix(b"\0")?).ok()?.split('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_was_meant() {
        for (is_file, options) in [(true, ""), (false, "a=\"b c\" d")] {
            let (module, what) = ("m_x".into(), "kernel/m-x.ko".to_owned());
            let options = options.to_owned();
            let sent = Task { id: 7, module, is_file, gently: !is_file, what, options };
            assert_eq!(parse_task(&task(&sent).unwrap()), Some(sent));
        }
        for (outcome, method) in [
            (Outcome::Loaded, Some(LoadMethod::File)),
            (Outcome::Already, Some(LoadMethod::KernelDecompress)),
            (Outcome::Commanded, None),
            (Outcome::Missing, None),
            (Outcome::NoDevice, Some(LoadMethod::Image)),
            (Outcome::Disabled, None),
            (Outcome::Failed("no: such thing".into()), None),
        ] {
            let sent = Done {
                method,
                again: true,
                start: BootTime::from_nanos(5),
                end: BootTime::from_nanos(6),
                ..Done::at_once(outcome)
            };
            assert_eq!(parse_done(&done(3, &sent).unwrap()), Some((3, sent)));
        }
    }

    #[test]
    fn bad_messages_are_none() {
        for bad in [&b""[..], b"\0", b"1\0", b"x\0m\0file\0-\0p\0o\0", b"\xff\0", b"1\0m\0file\0p"]
        {
            assert_eq!((parse_task(bad), parse_done(bad)), (None, None), "{bad:?}");
        }
        let long = "x".repeat(LONGEST);
        let (module, options) = ("m".into(), String::new());
        let sent = Task { id: 1, module, is_file: true, gently: false, what: long, options };
        assert_eq!(task(&sent), None);
    }
}
