//! Uevents from the socket, and `uevent` files.
#![no_main]

use coldplug::kmod::uevent::{Modalias, Uevent, sysfs_value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(event) = Uevent::parse(data) {
        assert!(!event.action.is_empty() && event.devpath.starts_with(b"/"));
        let _ = event.seqnum();
        for key in ["MODALIAS", "SUBSYSTEM", "DEVNAME", "MAJOR", ""] {
            assert!(event.get(key).is_none_or(|value| !value.contains(&0)));
        }
    }
    for key in ["MODALIAS", "DRIVER", "PARTNAME"] {
        assert!(sysfs_value(data, key).is_none_or(|value| !value.contains(&b'\n')));
    }
    if let Some(modalias) = Modalias::new(data) {
        assert_eq!(modalias.normalized().len(), modalias.as_bytes().len());
        let _ = modalias.text();
    }
});
