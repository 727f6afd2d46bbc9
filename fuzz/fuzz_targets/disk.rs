//! Superblocks: what a device holds, found with few reads; a label comes back from its escaped form.
#![no_main]

use coldplug::disk::{self, name};
use coldplug_fuzz::Sparse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(device) = Sparse::parse(data) else { return };
    let content = disk::examine(&device);
    assert!(device.read.get() < 3 << 19, "{} bytes read", device.read.get());
    if let Some(single) = content.single() {
        assert_eq!(content.found.first(), Some(&single));
    }
    for label in content.found.iter().filter_map(|probe| probe.label.as_ref()) {
        assert_eq!(&name::decode(&name::encode(label)), label);
    }
});
