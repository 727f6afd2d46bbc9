//! Answers of the child that reads disks: an answer that is accepted is the same when it is written
//! and read again.
#![no_main]

use coldplug::sys::probe_message::Answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(answer) = Answer::decode(data) {
        assert_eq!(Answer::decode(&answer.encode()), Some(answer));
    }
});
