//! The kernel command line: its words are slices of it, in order, and the parser accepts any text.
#![no_main]

use coldplug::cmdline::KernelCommandLine;
use coldplug::cmdline::root_name::RootName;
use coldplug::cmdline::words::words;
use coldplug::kmod::conf::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let line = String::from_utf8_lossy(data);
    let mut rest: &str = &line;
    for word in words(&line) {
        let at = rest.find(word.text).expect("words are parts of the line");
        rest = &rest[at + word.text.len()..];
        if let Some(name) = RootName::parse(word.value.unwrap_or(word.key)) {
            let _ = name.to_string();
        }
    }
    let params = KernelCommandLine::parse(data);
    let _ = (params.boot.level(), params.root.candidates(), params.root.spec());
    let _ = params.storage.as_ref().map(|storage| storage.modules().count());
    params.modules.add_to(&mut Config::default());
});
