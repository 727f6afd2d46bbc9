//! The environment of U-Boot, and the slots in it. Checksums are set right, so that mutations get
//! past them.
//!
//! ```text
//! 0 │ data                                               one copy
//! 1 │ serial, 1 │ serial, 1 │ length, 1 │ data │ data    two copies
//! 2 │ bytes                                              one copy as it is
//! ```
#![no_main]

use coldplug::disk::boot_slots;
use coldplug::disk::uboot_env::{Environment, StoredEnvironment};
use libfuzzer_sys::fuzz_target;

/// Shortest copy.
const MIN_SIZE: usize = 16;
const NAMES: [&str; 3] = ["A", "B", "system.0"];

fuzz_target!(|data: &[u8]| {
    let copies = match data {
        [0, data @ ..] => vec![copy(None, data)],
        [1, a, b, length, data @ ..] => {
            let (first, second) = data.split_at(data.len().min(usize::from(*length)));
            vec![copy(Some(*a), first), copy(Some(*b), second)]
        }
        [2, bytes @ ..] => {
            let _ = StoredEnvironment::parse(&[bytes.to_vec()]);
            return;
        }
        _ => return,
    };
    let mut stored = StoredEnvironment::parse(&copies).expect("a valid copy");
    check_write(&stored, &copies);
    check_slots(&mut stored.variables);
    check_write(&stored, &copies);
    check_marks(&mut stored.variables);
    check_write(&stored, &copies);
});

/// Returns a copy with these variables, whose checksum is right.
fn copy(serial: Option<u8>, data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    data.resize(data.len().max(MIN_SIZE), 0);
    let mut bytes = checksum(&data).to_ne_bytes().to_vec();
    bytes.extend(serial);
    bytes.append(&mut data);
    bytes
}

/// Computes the CRC-32 of IEEE 802.3.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), step)
    })
}

/// Checks that what is written is the current copy when it is read.
fn check_write(stored: &StoredEnvironment, copies: &[Vec<u8>]) {
    let mut copies = copies.to_vec();
    let size = 64 + copies.iter().map(Vec::len).max().unwrap_or(0) * 2;
    let bytes = stored.encode(size).expect("room for all variables");
    assert_eq!(bytes.len(), size);
    copies[stored.next] = bytes;
    let mut next = stored.clone();
    next.advance();
    assert_eq!(StoredEnvironment::parse(&copies), Some(next));
}

/// Checks that each attempt takes one from one slot of the order.
fn check_slots(variables: &mut Environment) {
    for _ in 0..20 {
        let left =
            |variables: &Environment| NAMES.map(|name| boot_slots::attempts_left(variables, name));
        let (order, before) = (boot_slots::order(variables, &NAMES), left(variables));
        let Some((slot, rest)) = boot_slots::take_attempt(variables, &NAMES, &["B"]) else {
            let has_none =
                |name: &&&str| **name == "B" || boot_slots::attempts_left(variables, name) == 0;
            assert!(order.iter().all(|name| has_none(&name)), "{variables:?}");
            return;
        };
        assert!(slot != "B" && order.contains(&slot), "{variables:?}");
        assert_eq!(boot_slots::order(variables, &NAMES), order);
        for (name, (before, after)) in NAMES.iter().zip(before.into_iter().zip(left(variables))) {
            assert_eq!(after, if *name == slot { rest } else { before }, "{name}");
            assert_eq!(before - after, u32::from(*name == slot), "{name}");
        }
    }
}

/// Checks that a bad slot is not tried, and that an active one is first.
fn check_marks(variables: &mut Environment) {
    boot_slots::mark_bad(variables, "A");
    assert_eq!(boot_slots::attempts_left(variables, "A"), 0);
    let taken = boot_slots::take_attempt(&mut variables.clone(), &NAMES, &[]);
    assert!(taken.is_none_or(|(slot, _)| slot != "A"), "{variables:?}");
    boot_slots::activate(variables, &NAMES, "A");
    let taken = boot_slots::take_attempt(&mut variables.clone(), &NAMES, &[]);
    assert_eq!(taken, Some(("A", boot_slots::ATTEMPTS - 1)));
}
