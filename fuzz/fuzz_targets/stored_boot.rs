//! Stored boots, as the next boot and `coldplug report --persist` read them from a partition.
#![no_main]

use coldplug::report::stored_boot::{HEAD, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (first, body) = data.split_at(data.len().min(HEAD));
    let Place::Boot(head) = Place::parse(first) else { return };
    let body = &body[..body.len().min(head.body_len())];
    let Ok(boot) = head.with_body(body) else { return };
    // What is no text is replaced.
    if std::str::from_utf8(body).is_err() {
        return;
    }
    let (first, rest) = boot.encode();
    assert_eq!((first.len(), rest.len()), (HEAD, body.len()));
    let Place::Boot(head) = Place::parse(&first) else { panic!("{boot:?}") };
    assert_eq!(head.with_body(&rest), Ok(boot));
});
