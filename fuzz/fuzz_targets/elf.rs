//! Modules as ELF: everything that modinfo, depmod and the loader read from one.
#![no_main]

use coldplug::kmod::depmod::facts::Collector;
use coldplug::kmod::elf::{self, Sections};
use coldplug::kmod::{modinfo, strip_versions, symbols};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let parsed = Sections::parse(data);
    assert_eq!(elf::modinfo(data).is_ok(), parsed.is_ok());
    let Ok(sections) = parsed else { return };
    let strings: Vec<&[u8]> = sections.modinfo().collect();
    let _ = modinfo::parameters(&strings);
    let _ = modinfo::build_id(
        sections.get(".note.gnu.build-id").unwrap_or_default(),
        sections.is_little_endian(),
    );
    let _ = (symbols::exports(&sections), symbols::versions(&sections));
    for symbol in sections.symbols() {
        assert!(!symbol.name().is_empty());
        let _ = (symbols::export(&sections, &symbol), sections.by_index(symbol.section));
    }
    let mut collector = Collector::default();
    let facts = format!("{:?}", collector.facts(&sections));
    assert_eq!(facts, format!("{:?}", collector.facts(&sections)), "the same memory, used again");
    let mut image = data.to_vec();
    strip_versions::strip_modversions(&mut image);
    let _ = strip_versions::strip_vermagic(&mut image);
    assert!(Sections::parse(&image).is_ok());
});
