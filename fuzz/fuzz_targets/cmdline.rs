//! The kernel command line: its words are slices of it in order, and every reader of it takes any text.
#![no_main]

use coldplug::cmdline::boot::BootParams;
use coldplug::cmdline::root_name::RootName;
use coldplug::cmdline::storage::StorageParams;
use coldplug::cmdline::{modules, root, words};
use coldplug::kmod::conf::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let line = String::from_utf8_lossy(data);
    let mut rest: &str = &line;
    for word in words::words(&line) {
        let at = rest.find(word).expect("words are parts of the line");
        rest = &rest[at + word.len()..];
        let (key, value) = words::key_value(word);
        if let Some(name) = RootName::parse(value.unwrap_or(key)) {
            let _ = name.to_string();
        }
    }
    let params = BootParams::parse(&line);
    let _ = params.level();
    let _: (Vec<root::RootCandidate>, _) = (params.root.candidates(), params.root.spec());
    let _ = StorageParams::parse(&line).map(|storage| storage.modules().count());
    let mut config = Config::default();
    let _ = modules::add_modules(&mut config, &line);
});
