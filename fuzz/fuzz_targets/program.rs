//! The init of a new root and its interpreters, as they are checked before the switch.
#![no_main]

use coldplug::kmod::program::{HEAD_LEN, Program, interpreter_path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let part = |start: u64, len: u64| {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let rest = data.get(start..).unwrap_or_default();
        &rest[..rest.len().min(usize::try_from(len).unwrap_or(usize::MAX))]
    };
    match Program::parse(part(0, HEAD_LEN as u64)) {
        Ok(Program::Script(path)) => {
            assert!(!path.is_empty() && !path.iter().any(|byte| b" \t\n\0".contains(byte)));
        }
        Ok(Program::Elf(head)) => {
            let (offset, len) = head.table();
            assert!(len <= 64 << 10, "{len} bytes of program headers");
            let segments = head.segments(part(offset, len), data.len() as u64);
            let Some(place) = segments.ok().and_then(|segments| segments.interpreter) else {
                return;
            };
            let len = place.end - place.start;
            assert!((2..=4096).contains(&len), "{len} bytes of path");
            if let Ok(path) = interpreter_path(part(place.start, len)) {
                assert!(!path.contains(&0));
            }
        }
        Ok(Program::Flat) | Err(_) => {}
    }
});
