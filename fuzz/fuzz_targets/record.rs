//! Saved boot records, as a later boot, `coldplug finish` and `coldplug report` read them.
#![no_main]

use coldplug::report::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let json = String::from_utf8_lossy(data);
    let _ = (Record::root_modules(&json), Record::load_order(&json), Record::table(&json));
    // An update without modules changes nothing. Records hold no fractions, so those may be
    // rounded.
    if let Some(text) = Record::updated(&json, &[]) {
        assert_eq!(Record::root_modules(&text), Record::root_modules(&json));
        assert_eq!(Record::load_order(&text), Record::load_order(&json));
        assert_eq!(Record::table(&text), Record::table(&json));
    }
});
