//! Partition tables in sectors of both sizes: a bounded number of partitions, each number once.
#![no_main]

use std::collections::HashSet;

use coldplug::disk;
use coldplug_fuzz::Sparse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(device) = Sparse::parse(data) else { return };
    for sector_size in [512, 4096] {
        device.read.set(0);
        let table = disk::partition_table(&device, sector_size);
        assert!(device.read.get() < 3 << 19, "{} bytes read", device.read.get());
        let Some(table) = table else { continue };
        let numbers: HashSet<u32> = table.partitions.iter().map(|p| p.number).collect();
        assert!(numbers.len() == table.partitions.len() && !numbers.contains(&0));
    }
});
