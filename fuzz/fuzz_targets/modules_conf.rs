//! modules.conf, in its own language and as modprobe.d: what it is converted to, modprobe.d takes without a word.
#![no_main]

use coldplug::kmod::conf::Config;
use coldplug::kmod::modules_conf::{Outside, convert, is_old};
use libfuzzer_sys::fuzz_target;

/// A machine on which every second file is there, and includes give what is being read.
struct Machine<'a>(&'a [u8]);

impl Outside for Machine<'_> {
    fn release(&self) -> &str {
        "6.1.0-1-amd64"
    }

    fn exists(&self, path: &str) -> bool {
        path.len().is_multiple_of(2)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        if self.exists(path) { Ok(self.0.to_vec()) } else { Err("not there".to_owned()) }
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = is_old(data);
    let converted = convert("modules.conf", data, &Machine(data));
    assert!(converted.lines.iter().all(|line| !line.text.contains('\n')));
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    config.add_file("a.conf", converted.to_string().as_bytes(), &mut warnings);
    assert!(warnings.is_empty(), "{warnings:?}\n{converted}");
});
