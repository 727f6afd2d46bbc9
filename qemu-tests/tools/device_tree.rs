//! Flattened device trees, as far as the modaliases of their nodes need them.
//!
//! All integers are 32-bit, big-endian (Devicetree Specification, chapter 5).
//!
//! ```text
//! header      magic D00DFEED | size | offset of the structure | offset of the strings | …
//! structure   tokens, each aligned to four bytes:
//!               1 node begins: name, NUL    2 node ends    4 nothing    9 structure ends
//!               3 property: length of the value, offset of the name in the strings, value
//! ```

use harness::run::Test;
use harness::{tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[] => modaliases_are_those_of_the_kernel];

const MAGIC: u32 = 0xd00d_feed;

/// A node on the way to the token that is read.
#[derive(Default)]
struct Node<'a> {
    name: &'a str,
    device_type: Option<&'a str>,
    compatible: Vec<&'a str>,
}

/// A place in a device tree.
struct Cursor<'a> {
    tree: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn word(&mut self) -> u32 {
        let word = self.tree[self.at..].first_chunk().expect("four bytes");
        self.at += 4;
        u32::from_be_bytes(*word)
    }

    /// Returns `len` bytes and moves behind them, to the next multiple of four.
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let bytes = &self.tree[self.at..self.at + len];
        self.at = (self.at + len).next_multiple_of(4);
        bytes
    }
}

/// Returns the string at `at`.
fn string(tree: &[u8], at: usize) -> &str {
    let text = tree[at..].split(|byte| *byte == 0).next().unwrap();
    std::str::from_utf8(text).expect("a string of a device tree is ASCII")
}

/// Returns the modaliases of the nodes of a device tree, in its order. A node without `compatible`
/// has none.
pub(crate) fn modaliases(tree: &[u8]) -> Vec<String> {
    let mut cursor = Cursor { tree, at: 0 };
    assert_eq!(cursor.word(), MAGIC);
    cursor.word();
    let (structure, strings) = (cursor.word() as usize, cursor.word() as usize);
    cursor.at = structure;
    let (mut nodes, mut found) = (Vec::new(), Vec::new());
    loop {
        match cursor.word() {
            1 => {
                let name = string(tree, cursor.at);
                cursor.bytes(name.len() + 1);
                nodes.push(Node { name, ..Node::default() });
            }
            2 => found.extend(modalias(&nodes.pop().unwrap())),
            3 => {
                let (len, name) = (cursor.word() as usize, cursor.word() as usize);
                let value = cursor.bytes(len);
                set(nodes.last_mut().unwrap(), string(tree, strings + name), value);
            }
            4 => {}
            9 => return found,
            token => panic!("token {token} at byte {}", cursor.at - 4),
        }
    }
}

fn set<'a>(node: &mut Node<'a>, name: &str, value: &'a [u8]) {
    match name {
        "device_type" => node.device_type = Some(string(value, 0)),
        "compatible" => {
            let list = value.strip_suffix(b"\0").expect("a list of strings ends with NUL");
            node.compatible = list.split(|byte| *byte == 0).map(|text| string(text, 0)).collect();
        }
        _ => {}
    }
}

/// Returns the modalias of a node as of_modalias() of the kernel (drivers/of/module.c) writes it:
/// `of:NNAMETTYPECCOMPATIBLE…`, with the name without its unit address.
fn modalias(node: &Node<'_>) -> Option<String> {
    let name = node.name.split('@').next().unwrap();
    let device_type = node.device_type.unwrap_or("(null)");
    let compatible = node.compatible.iter().map(|text| format!("C{}", text.replace(' ', "_")));
    let head = format!("of:N{name}T{device_type}");
    (!node.compatible.is_empty()).then(|| head + &compatible.collect::<String>())
}

/// Returns the distinct modaliases of all device trees below a directory.
pub(crate) fn modaliases_below(dir: &Path) -> (usize, BTreeSet<String>) {
    let files = tool::files(dir);
    let trees: Vec<_> =
        files.iter().filter(|f| f.extension().is_some_and(|e| e == "dtb")).collect();
    let found = trees.iter().flat_map(|file| modaliases(&fs::read(file).unwrap())).collect();
    (trees.len(), found)
}

fn modaliases_are_those_of_the_kernel() {
    let mut structure = Vec::new();
    let mut put = |words: &[u32], text: &[u8]| {
        structure.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        structure.extend(text);
        structure.resize(structure.len().next_multiple_of(4), 0);
    };
    let property = |name: u32, value: &[u8]| [3, u32::try_from(value.len()).unwrap(), name];
    let strings = b"compatible\0device_type\0reg\0";
    for (name, properties) in [
        ("", &[(0, &b"x,board\0x,soc\0"[..]), (23, &[0, 0, 0, 1])][..]),
        ("cpu@0", &[(11, &b"cpu\0"[..]), (0, &b"arm,cortex-a53\0"[..])]),
    ] {
        put(&[1], &[name.as_bytes(), b"\0"].concat());
        for (name, value) in properties {
            put(&property(*name, value), value);
        }
        put(&[4], b"");
    }
    put(&[2, 1], b"usb-phy\0");
    put(&property(0, b"a b,c\0"), b"a b,c\0");
    put(&[2, 1], b"chosen\0");
    put(&[2, 2, 9], b"");
    let strings_at = 40 + u32::try_from(structure.len()).unwrap();
    let mut tree = [MAGIC, 0, 40, strings_at, 0, 17, 16, 0, 0, 0].map(u32::to_be_bytes).concat();
    tree.extend(structure);
    tree.extend(strings);
    let wanted =
        ["of:NcpuTcpuCarm,cortex-a53", "of:Nusb-phyT(null)Ca_b,c", "of:NT(null)Cx,boardCx,soc"];
    assert_eq!(modaliases(&tree), wanted);
}
