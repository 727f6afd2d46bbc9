//! Conversion of modules.conf: modprobe.d must accept the result without a warning.
#![no_main]

use coldplug::kmod::conf::Config;
use coldplug::kmod::modules_conf::{Environment, convert, is_modules_conf};
use libfuzzer_sys::fuzz_target;

/// A machine on which every second file exists. The content of included files is the input.
struct Machine<'a>(&'a [u8]);

impl Environment for Machine<'_> {
    fn release(&self) -> &str {
        "6.1.0-1-amd64"
    }

    fn exists(&self, path: &str) -> bool {
        path.len().is_multiple_of(2)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        if self.exists(path) { Ok(self.0.to_vec()) } else { Err("no such file".into()) }
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = is_modules_conf(data);
    let converted = convert("modules.conf", data, &Machine(data));
    assert!(converted.lines.iter().all(|line| !line.text.contains('\n')));
    let (mut config, mut warnings) = (Config::default(), Vec::new());
    config.add_file("a.conf", converted.to_string().as_bytes(), &mut warnings);
    assert!(warnings.is_empty(), "{warnings:?}\n{converted}");
});
