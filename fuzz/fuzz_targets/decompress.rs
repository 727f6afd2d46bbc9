//! zstd, gzip and xz with a limit: the output never exceeds it, also from a decoder that is reused.
#![no_main]

use coldplug::kmod::compress::{self, Compression, Decoder};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let first = compress::decode(data, LIMIT);
    assert!(first.as_ref().is_ok_and(|image| image.len() <= LIMIT) || first.is_err());
    let (mut decoder, mut image) = (Decoder::default(), Vec::new());
    let mut decode_again = || decoder.decode_into(data, LIMIT, &mut image).map(|()| image.clone());
    for _ in 0..2 {
        assert_eq!(decode_again(), first);
    }
    if Compression::detect(data) == Compression::Plain && data.len() <= LIMIT {
        assert_eq!(first.as_deref(), Ok(data));
    }
});
