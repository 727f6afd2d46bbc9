//! settings.d, the values saved for a module, and the marker of modules that were loaded on demand.
#![no_main]

use coldplug::kmod::autoclean::AutocleanMarker;
use coldplug::kmod::settings::{Settings, format_saved, parse_saved};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    let (mut settings, mut warnings) = (Settings::default(), Vec::new());
    settings.add_file("a.conf", data, &mut warnings);
    assert!(warnings.iter().all(|w| w.line > 0 && w.line <= lines), "{warnings:?}");
    for module in settings.modules() {
        assert!(settings.for_module(&module).count() > 0, "{module}");
        let _ = settings.for_module(&module).any(|setting| setting.is_parameter("debug"));
    }
    let text = String::from_utf8_lossy(data);
    let _ = AutocleanMarker::parse(&text);
    let values = parse_saved(data);
    assert_eq!(parse_saved(&format_saved(&values)), values);
});
