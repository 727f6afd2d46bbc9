//! Lookups find everything that was written into an index: `KEY VALUE` lines.
#![no_main]

use coldplug::kmod::alias::is_wildcard;
use coldplug::kmod::index::{Index, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut writer = Writer::default();
    let mut kept = Vec::new();
    for (line, priority) in data.split(|byte| *byte == b'\n').zip(0..) {
        let at = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (key, value) = (&line[..at], line.get(at + 1..).unwrap_or_default());
        if writer.insert(key, value, priority).is_ok() {
            kept.push((key, value));
        }
    }
    let Ok(file) = writer.finish() else { return };
    let index = Index::new(Box::new(file)).expect("a header of our own");
    let entries = index.entries().expect("a file of our own");
    assert_eq!(entries.len(), kept.len());
    for (key, value) in kept {
        assert!(entries.iter().any(|hit| hit.key == key && hit.value == value));
        assert!(index.exact(key).expect("a file of our own").is_some());
        if !key.iter().any(|byte| is_wildcard(*byte) || *byte == b'\\') {
            let hits = index.search(key).expect("a file of our own");
            assert!(hits.iter().any(|hit| hit.key == key && hit.value == value));
        }
    }
});
