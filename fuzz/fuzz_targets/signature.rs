//! The trailer of a signed module. The magic is appended, so that mutations reach the bytes in
//! front of it.
#![no_main]

use coldplug::kmod::signature;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let image = [data, b"~Module signature appended~\n"].concat();
    if let Some(signature) = signature::parse(&image) {
        let parts = [signature.signer, signature.key_id, signature.bytes];
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= data.len());
    }
});
