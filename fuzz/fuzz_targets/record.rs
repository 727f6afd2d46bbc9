//! Saved boot records: what a later boot, `coldplug finish` and `coldplug report` read of them.
#![no_main]

use coldplug::report::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let json = String::from_utf8_lossy(data);
    let _ = (Record::way(&json), Record::order(&json), Record::table(&json));
    if let Some(text) = Record::updated(&json, &[]) {
        assert_eq!(Record::updated(&text, &[]).as_ref(), Some(&text), "nothing to add");
    }
});
