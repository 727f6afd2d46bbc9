//! Captured machines: a capture that is read and written is the same when it is read again.
#![no_main]

use coldplug::machine::capture::Capture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    match Capture::parse(data) {
        Ok(capture) => {
            let text = capture.to_text();
            assert_eq!(Capture::parse(text.as_bytes()), Ok(capture), "{text}");
        }
        Err(error) => assert!(error.line > 0 && error.line <= lines, "{error}"),
    }
});
