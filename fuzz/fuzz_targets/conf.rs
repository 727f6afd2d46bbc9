//! modprobe.d and depmod.d: every line is parsed or reported, and lookups accept what was parsed.
#![no_main]

use coldplug::kmod::conf::Config;
use coldplug::kmod::depmod;
use coldplug::kmod::name::ModuleName;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let lines = data.iter().filter(|byte| **byte == b'\n').count() + 1;
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    config.add_file("a.conf", data, &mut warnings);
    assert!(warnings.iter().all(|w| w.line > 0 && w.line <= lines), "{warnings:?}");
    for word in data.split(u8::is_ascii_whitespace).take(20) {
        let module = ModuleName::new(word);
        let _ = (config.install_of(&module), config.remove_of(&module));
        let _ = (config.options_of(&module, Some(word)), config.softdep_of(&module));
        let _ = (config.is_blacklisted(&module), config.masks.origin(&module));
    }
    let (mut config, mut warnings) = (depmod::conf::Config::default(), Vec::new());
    config.add_file("a.conf", data, "6.1.0-1-amd64", &mut warnings);
    assert!(warnings.iter().all(|w| w.line > 0 && w.line <= lines), "{warnings:?}");
    let _ = config.prefers(b"kernel/a", b"updates/a");
});
