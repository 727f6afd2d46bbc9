//! Lookups in damaged indexes against lookups in the text.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use super::text::TextFormat;
use super::{Catalog, IndexFiles, Source};
use crate::kmod::conf::Config;
use crate::kmod::index::{Bytes, Writer};
use crate::kmod::name::ModuleName;

type Files = HashMap<&'static str, Vec<u8>>;

/// A request, and the modules found with their sources.
type Answer = (String, Vec<(String, Source)>);

struct Tree(Files);

impl IndexFiles for Tree {
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
        Ok(self.0.get(name).map(|bytes| Box::new(bytes.clone()) as Bytes))
    }
}

const TABLES: [(&str, &str, TextFormat); 5] = [
    ("modules.dep.bin", "modules.dep", TextFormat::Dep),
    ("modules.alias.bin", "modules.alias", TextFormat::Alias),
    ("modules.symbols.bin", "modules.symbols", TextFormat::Alias),
    ("modules.builtin.bin", "modules.builtin", TextFormat::Paths),
    ("modules.builtin.alias.bin", "modules.builtin.modinfo", TextFormat::Modinfo),
];

/// Returns the texts of a tree of many modules with names that share prefixes.
fn texts() -> Files {
    let numbers = 0..24_u32;
    let text = |line: &dyn Fn(u32) -> String| -> Vec<u8> {
        numbers.clone().flat_map(|n| line(n).into_bytes()).collect()
    };
    HashMap::from([
        ("modules.dep", text(&|n| format!("kernel/d{}/mod-{n}.ko: kernel/d0/mod-0.ko\n", n % 7))),
        (
            "modules.alias",
            text(&|n| {
                format!(
                    "alias pci:v{n:08X}d*sv* mod_{n}\nalias usb:v*p{n:04X}d[0-9]* mod_{n}\n\
                     alias crypto-{n} mod_{n}\nalias pci:v{n:08X}d*sv* mod_0\n"
                )
            }),
        ),
        ("modules.symbols", text(&|n| format!("alias symbol:do_{n}_it mod_{n}\n"))),
        ("modules.builtin", text(&|n| format!("kernel/b{}/in-{n}.ko\n", n % 3))),
        (
            "modules.builtin.modinfo",
            text(&|n| format!("in_{n}.alias=net-pf-{n}\0in_{n}.author=A\0")),
        ),
    ])
}

fn with_indexes(texts: &Files) -> Files {
    let mut files = texts.clone();
    for (bin, text, format) in TABLES {
        let mut writer = Writer::default();
        let mut priority = 0;
        format.read(&texts[text], &mut |record| {
            let (key, value) = record.unwrap();
            writer.insert(key, value, priority).unwrap();
            priority += 1;
        });
        files.insert(bin, writer.finish().unwrap());
    }
    files
}

/// Returns the results of all lookups that the texts can answer, and of some that they cannot.
fn lookups(files: Files) -> (Vec<Answer>, usize) {
    let catalog = Catalog::checked(Arc::new(Tree(files)));
    catalog.check();
    let config = Config::default();
    let mut found = Vec::new();
    for n in 0..26_u32 {
        for name in [
            format!("mod_{n}"),
            format!("pci:v{n:08X}d00001000sv0"),
            format!("usb:v1234p{n:04X}d7x"),
            format!("crypto-{n}"),
            format!("symbol:do_{n}_it"),
            format!("in_{n}"),
            format!("net-pf-{n}"),
        ] {
            let matches = catalog.lookup(&config, &name);
            // The order of the matches of one alias is not covered by the text.
            let mut modules: Vec<_> =
                matches.into_iter().map(|m| (m.module.to_string(), m.source)).collect();
            modules.sort_by(|a, b| a.0.cmp(&b.0));
            found.push((name, modules));
        }
        let module = ModuleName::new(format!("mod_{n}"));
        let line = catalog.dep(&module).map(|line| (format!("{line:?}"), Source::Name));
        found.push((format!("dep {n}"), line.into_iter().collect()));
        let builtin = catalog.is_builtin(&ModuleName::new(format!("in_{n}")));
        found.push((format!("builtin {n} {builtin}"), Vec::new()));
    }
    (found, catalog.take_warnings().len())
}

#[test]
fn lookups_in_a_damaged_index_are_those_in_the_text() {
    let texts = texts();
    let intact = with_indexes(&texts);
    let (wanted, warnings) = lookups(texts);
    assert_eq!(warnings, 0);
    assert_eq!(lookups(intact.clone()), (wanted.clone(), 0), "an intact index");
    for (bin, ..) in TABLES {
        for (every, mask) in [(1, 0xff), (3, 1), (211, 0xff), (211, 0x20), (997, 4)] {
            for start in [0, 12 + every / 2] {
                let mut files = intact.clone();
                let bytes = files.get_mut(bin).unwrap();
                bytes.iter_mut().skip(start).step_by(every).for_each(|byte| *byte ^= mask);
                let (found, _) = lookups(files);
                assert_eq!(found, wanted, "{bin}: every byte {every} from {start} by {mask:x}");
            }
        }
    }
}

#[test]
fn one_flipped_bit_anywhere_changes_no_lookup() {
    let intact = with_indexes(&texts());
    let (wanted, _) = lookups(texts());
    for (bin, ..) in TABLES {
        let len = intact[bin].len();
        // A prime step, so that all parts of nodes are met.
        for at in (0..len).step_by(53) {
            let mut files = intact.clone();
            files.get_mut(bin).unwrap()[at] ^= 1 << (at % 8);
            assert_eq!(lookups(files).0, wanted, "{bin}: byte {at}");
        }
    }
}

#[test]
fn an_index_with_an_incomplete_text_is_used() {
    let intact = with_indexes(&texts());
    let (wanted, _) = lookups(texts());
    for (_, text, _) in TABLES {
        for len in [0, 1, 1000] {
            let mut files = intact.clone();
            files.get_mut(text).unwrap().truncate(len);
            assert_eq!(lookups(files), (wanted.clone(), 0), "{text}: {len} bytes");
        }
        let mut files = intact.clone();
        files.remove(text);
        assert_eq!(lookups(files), (wanted.clone(), 0), "no {text}");
    }
}

/// A tool trusts an index whose structure is intact, as kmod does.
#[test]
fn an_unchecked_index_is_replaced_if_its_structure_is_damaged() {
    let mut files = with_indexes(&texts());
    let bytes = files.get_mut("modules.dep.bin").unwrap();
    bytes[8..12].copy_from_slice(&[0xff; 4]);
    let catalog = Catalog::new(Arc::new(Tree(files)));
    assert!(catalog.dep(&"mod_5".into()).is_some());
    assert_eq!(catalog.take_warnings().len(), 1);
}
