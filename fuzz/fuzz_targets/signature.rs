//! The trailer behind a signed module; the magic is added, so that mutations go to what stands before it.
#![no_main]

use coldplug::kmod::signature;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let image = [data, b"~Module signature appended~\n"].concat();
    if let Some(signature) = signature::parse(&image) {
        let parts = [signature.signer, signature.key, signature.octets];
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= data.len());
    }
});
