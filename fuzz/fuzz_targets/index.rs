//! Index files: length of a name, the name, the file. The key of every match matches the name.
#![no_main]

use coldplug::kmod::alias::fnmatch;
use coldplug::kmod::index::Index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((len, rest)) = data.split_first() else { return };
    let (name, file) = rest.split_at(rest.len().min(usize::from(*len)));
    let Ok(index) = Index::new(Box::new(file.to_vec())) else { return };
    if let Ok(Some(hit)) = index.exact(name) {
        assert_eq!(hit.key, name);
    }
    for hit in index.search(name).unwrap_or_default() {
        assert!(fnmatch(&hit.key, name), "{:?}", hit.key);
    }
    let entries = index.entries().unwrap_or_default();
    assert!(entries.len() <= file.len() / 5, "more values than the file has room for");
});
