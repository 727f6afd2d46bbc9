//! Verity superblocks: eight bytes of offset, then a device. An accepted tree has a table line that
//! the kernel can parse.
#![no_main]

use coldplug::disk::verity::{Devices, FEC_ROOTS, Fec, HashTree};
use coldplug_fuzz::Sparse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((offset, rest)) = data.split_first_chunk() else { return };
    let Some(device) = Sparse::parse(rest) else { return };
    let offset = u64::from_le_bytes(*offset);
    let Ok(tree) = HashTree::read(&device, offset) else { return };
    assert!(tree.check().is_ok() && tree.sectors().is_some() && tree.salt.len() <= 256);
    for fec in [None, Some(Fec { device: (8, 1), offset, roots: FEC_ROOTS })] {
        let devices = Devices { data: (8, 0), hash: (8, 1), hash_device_size: offset, fec };
        let table = tree.table_line(&devices, "00", &["ignore_zero_blocks".to_owned()]);
        let words: Vec<&str> = table.split(' ').collect();
        assert_eq!(words[10].parse(), Ok(words.len() - 11), "{table}");
    }
});
