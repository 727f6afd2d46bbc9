//! Superblocks of a device, found with a bounded number of reads.
#![no_main]

use coldplug::disk;
use coldplug_fuzz::Sparse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(device) = Sparse::parse(data) else { return };
    let content = disk::examine(&device);
    assert!(device.read.get() < 3 << 19, "{} bytes read", device.read.get());
    if let Some(single) = content.single() {
        assert_eq!(content.superblocks.first(), Some(&single));
    }
});
