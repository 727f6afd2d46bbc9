//! Device trees, and the order of suppliers that follows from one.
//!
//! ```text
//! 0 │ bytes                                             the tree as it is
//! 1 │ length of the structure block, 2 │ blocks         the header is made, so that mutations get
//!                                                       past it
//! ```
#![no_main]

use coldplug::machine::device_tree::{DeviceTree, HEADER, block_end};
use coldplug::machine::supplier_order::supplier_order;
use libfuzzer_sys::fuzz_target;

/// Number of needs up to which cycles are searched for.
const MAX_NEEDS: usize = 200;

fuzz_target!(|data: &[u8]| {
    let bytes = match data {
        [0, bytes @ ..] => bytes.to_vec(),
        [1, a, b, blocks @ ..] => with_header(usize::from(u16::from_le_bytes([*a, *b])), blocks),
        _ => return,
    };
    let tree = DeviceTree::parse(&bytes);
    match block_end(&bytes) {
        None => assert_eq!(tree, DeviceTree::default()),
        // The file may be padded, and the reader leaves the padding out.
        Some(end) if end <= bytes.len() => {
            assert_eq!(DeviceTree::parse(&bytes[..end.max(HEADER)]), tree);
            assert_eq!(DeviceTree::parse(&[&bytes[..], &[7; 9]].concat()), tree);
        }
        Some(_) => {}
    }
    let count = tree.nodes.len();
    assert!(tree.nodes.iter().all(|path| path.is_empty() || path.starts_with('/')));
    assert!(tree.needs.iter().all(|(of, on)| of != on && *of < count && *on < count));
    assert!(tree.needs.is_sorted_by(|a, b| a < b));
    check_order(count, &tree.needs);
});

/// Returns a tree with these blocks, the first of which has `length` bytes.
fn with_header(length: usize, blocks: &[u8]) -> Vec<u8> {
    let length = length.min(blocks.len());
    let mut tree = vec![0xd0, 0x0d, 0xfe, 0xed];
    let end = HEADER + length;
    for number in [0, HEADER, end, 0, 17, 16, 0, blocks.len() - length, length] {
        tree.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }
    [&tree, blocks].concat()
}

/// Checks that every node has one turn, and that a supplier comes later than one that needs it only
/// in a cycle.
fn check_order(count: usize, needs: &[(usize, usize)]) {
    let turns = supplier_order(count, (0..count).rev(), needs);
    let mut place = vec![None; count];
    for (at, turn) in turns.iter().enumerate() {
        assert_eq!(place[turn.index].replace(at), None, "{turn:?}");
        assert!(turn.consumer.is_none_or(|of| needs.contains(&(of, turn.index))), "{turn:?}");
    }
    assert_eq!(turns.len(), count);
    for (of, on) in needs.iter().filter(|_| needs.len() <= MAX_NEEDS) {
        assert!(place[*on] < place[*of] || leads_to(needs, *on, *of), "{of} {on} {turns:?}");
    }
}

/// Returns whether `from` needs `to`, or something that does.
fn leads_to(needs: &[(usize, usize)], from: usize, to: usize) -> bool {
    let mut found = vec![from];
    let mut next = 0;
    while let Some(at) = found.get(next).copied() {
        for (_, on) in needs.iter().filter(|(of, _)| *of == at) {
            if !found.contains(on) {
                found.push(*on);
            }
        }
        next += 1;
    }
    found.contains(&to)
}
