//! The text files of a module directory and a name to look up, separated by bytes 0xff.
#![no_main]

use std::error::Error;
use std::sync::Arc;

use coldplug::cmdline::link_name;
use coldplug::kmod::catalog::{Catalog, IndexFiles};
use coldplug::kmod::conf::Config;
use coldplug::kmod::index::Bytes;
use coldplug::kmod::{dep, modinfo, name::ModuleName, proc_modules};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 5] = [
    "modules.dep",
    "modules.alias",
    "modules.symbols",
    "modules.builtin",
    "modules.builtin.modinfo",
];

struct Dir(Vec<Vec<u8>>);

impl IndexFiles for Dir {
    fn open(&self, name: &str) -> Result<Option<Bytes>, Box<dyn Error>> {
        let at = NAMES.iter().position(|known| *known == name);
        let text = at.and_then(|at| self.0.get(at + 1));
        Ok(text.map(|text| Box::new(text.clone()) as Bytes))
    }
}

fuzz_target!(|data: &[u8]| {
    let parts: Vec<Vec<u8>> = data.split(|byte| *byte == 0xff).map(<[u8]>::to_vec).collect();
    let name = parts[0].clone();
    let text = String::from_utf8_lossy(data);
    let config = Config::default();
    let catalog = Catalog::new(Arc::new(Dir(parts)));
    for found in catalog.lookup(&config, &name) {
        let _ = (catalog.dep(&found.module), catalog.is_builtin(&found.module));
    }
    let _ = catalog.lookup_modalias(&config, &name);
    let _ = catalog.lookup_name(&ModuleName::new(&name));
    let _ = (catalog.all_aliases(), catalog.take_warnings());
    let _ = (dep::parse("modules.dep", data), link_name::decode(&text));
    let _ = proc_modules::parse(&text).count();
    let _ = modinfo::builtin_strings(data, &name);
});
