//! Tests of the layer rule, which read the sources: a directory may use only the directories before
//! it, and unsafe code stands in one file.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, lowest first, as in the documentation of the crate.
const LAYERS: [&str; 16] = [
    "kmod", "cmdline", "disk", "tpm", "net", "machine", "sys", "load", "stacks", "depmod",
    "report", "scan", "image", "qemu", "boot", "applet",
];

/// The layers that do no I/O.
const PURE: [&str; 7] = ["kmod", "cmdline", "disk", "tpm", "net", "machine", "report"];

/// Texts that mean I/O, which pure layers may not contain.
const IMPURE: [&str; 10] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::os::",
    "std::process",
    "rustix::",
    "println!",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Returns the code of a file without comments and without its inline test module.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.split(" // ").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the layers that `crate::NAME` or `crate::{NAME…, NAME…}` names in the code of a file.
fn used_layers(code: &str) -> Vec<&'static str> {
    LAYERS
        .into_iter()
        .filter(|layer| {
            code.split("crate::").skip(1).any(|after| {
                let group =
                    after.strip_prefix('{').map_or("", |g| g.split("};").next().unwrap_or(""));
                after.starts_with(&format!("{layer}::"))
                    || after.starts_with(&format!("{layer};"))
                    || group
                        .split([',', '{', '\n', ' '])
                        .any(|word| word.split("::").next() == Some(layer))
            })
        })
        .collect()
}

fn upward(layer: &str, code: &str) -> Vec<&'static str> {
    let own = LAYERS.iter().position(|l| *l == layer).unwrap();
    used_layers(code)
        .into_iter()
        .filter(|u| LAYERS.iter().position(|l| l == u) > Some(own))
        .collect()
}

#[test]
fn no_layer_uses_one_above_it() {
    for layer in LAYERS {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer), &mut files);
        assert!(!files.is_empty(), "layer {layer} has no source");
        for file in files {
            let above = upward(layer, &code(&file));
            assert!(above.is_empty(), "{} uses the higher layers {above:?}", file.display());
        }
    }
}

#[test]
fn an_upward_use_is_found() {
    assert_eq!(upward("kmod", "use crate::sys::Root;"), ["sys"]);
    assert_eq!(upward("sys", "use crate::{kmod::name, load::Loader};"), ["load"]);
    assert_eq!(upward("load", "use crate::kmod::name;\nlet x = crate::boot::run();"), ["boot"]);
    assert!(upward("boot", "use crate::{kmod::name, load::Loader};").is_empty());
}

#[test]
fn pure_layers_do_no_io() {
    for layer in PURE {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(layer), &mut files);
        let is_test = |f: &&PathBuf| f.ends_with("tests.rs") || f.ends_with("samples.rs");
        for file in files.iter().filter(|f| !is_test(f)) {
            let code = code(file);
            for word in IMPURE {
                assert!(!code.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn unsafe_stands_in_one_file() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let with: Vec<_> = files
        .iter()
        .filter(|f| {
            !f.ends_with("layers.rs") && ["unsafe ", "unsafe("].iter().any(|u| code(f).contains(u))
        })
        .map(|f| f.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(with, ["raw.rs"]);
}
