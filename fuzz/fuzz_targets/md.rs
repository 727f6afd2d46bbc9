//! Arrays of md: any superblocks with a valid checksum, and mdadm.conf.
//!
//! ```text
//! a byte: 0    text of mdadm.conf
//!         1    superblocks: version, a byte | length, u16 | start of the superblock
//! ```
#![no_main]

use std::io;

use coldplug::disk::Source;
use coldplug::disk::md::config::Config;
use coldplug::disk::md::members::{Candidate, State, select};
use coldplug::disk::md::read;
use libfuzzer_sys::fuzz_target;

/// Size of the devices, in bytes.
const SIZE: u64 = 1 << 20;

/// A device that is zero except for a superblock.
struct Device {
    at: u64,
    block: Vec<u8>,
}

impl Source for Device {
    fn size(&self) -> u64 {
        SIZE
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        for (place, byte) in buf.iter_mut().enumerate() {
            let at = (offset + place as u64).checked_sub(self.at);
            *byte = at.and_then(|at| self.block.get(at as usize)).copied().unwrap_or(0);
        }
        Ok(buf.len().min((SIZE - offset.min(SIZE)) as usize))
    }
}

/// Returns a device with this superblock, whose magic, place and checksum are made valid.
fn device(version: u8, bytes: &[u8]) -> Device {
    let mut block = bytes.to_vec();
    block.resize(4096, 0);
    block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
    let at = [SIZE - 65536, SIZE - 8192, 0, 4096][usize::from(version % 4)];
    let (checksum, covered) = match version % 4 {
        0 => (152, 4096),
        _ => {
            block[4..8].copy_from_slice(&[1, 0, 0, 0]);
            block[144..152].copy_from_slice(&(at / 512).to_le_bytes());
            let roles = u32::from_le_bytes(block[220..224].try_into().unwrap());
            (216, 256 + 2 * roles.min(1920) as usize)
        }
    };
    block[checksum..checksum + 4].fill(0);
    let sum = block[..covered].chunks(4).fold(0_u64, |sum, word| {
        let mut whole = [0; 4];
        whole[..word.len()].copy_from_slice(word);
        sum + u64::from(u32::from_le_bytes(whole))
    });
    let sum = (sum as u32).wrapping_add((sum >> 32) as u32);
    block[checksum..checksum + 4].copy_from_slice(&sum.to_le_bytes());
    Device { at, block }
}

fn arrays(mut data: &[u8]) {
    let mut candidates = Vec::new();
    while let Some(([version, low, high], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()).min(4096);
        let (block, rest) = rest.split_at(length);
        data = rest;
        if let Ok(metadata) = read(&device(*version, block)) {
            assert!(metadata.raid_disks > 0 && metadata.roles.len() <= 1920);
            let path = format!("/dev/{}", candidates.len());
            candidates.push(Candidate { path, sectors: SIZE / 512, metadata });
        }
        if candidates.len() == 16 {
            break;
        }
    }
    let Some(selection) = select(&candidates) else { return assert!(candidates.is_empty()) };
    let mut seen: Vec<usize> = selection.left_out.iter().map(|(at, _)| *at).collect();
    seen.extend(&selection.used);
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..candidates.len()), "{selection:?}");
    assert!(selection.awaited.iter().all(|slot| selection.missing.contains(slot)), "{selection:?}");
    let is_complete = selection.state == State::Complete;
    assert!(!is_complete || selection.awaited.is_empty(), "{selection:?}");
    for (_, reason) in &selection.left_out {
        assert!(!reason.to_string().is_empty());
    }
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, text)) => {
            let text = String::from_utf8_lossy(text);
            let mut warnings = Vec::new();
            Config::default().add_file("mdadm.conf", &text, &mut warnings);
            assert!(warnings.iter().all(|warning| warning.line <= text.lines().count()));
        }
        Some((_, superblocks)) => arrays(superblocks),
        None => {}
    }
});
