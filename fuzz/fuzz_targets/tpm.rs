//! Answers of a TPM, public areas, and tokens of systemd-cryptenroll. The first byte selects which.
#![no_main]

use coldplug::tpm::answer::{self, Answer};
use coldplug::tpm::public::{self, Key};
use coldplug::tpm::signed::PolicyKey;
use coldplug::tpm::token::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((selector, data)) = data.split_first() else { return };
    match selector % 4 {
        0 | 1 => {
            let Ok(answer) = Answer::parse(data, selector % 4 == 1) else { return };
            assert!(answer.parameters.len() + 10 <= data.len());
            let _ = answer::first(answer.parameters);
            if let Ok(values) = answer::pcr_values(answer.parameters) {
                assert!(values.is_sorted_by(|a, b| a.0 < b.0) && values.len() <= 16);
            }
        }
        2 => {
            if let Ok(Key::Rsa { modulus, .. }) = public::parse(data) {
                assert!(modulus.len() < data.len());
            }
        }
        _ => {
            if let Ok(token) = serde_json::from_slice(data) {
                let _ = Token::parse(&token);
            }
            if let Ok(pem) = std::str::from_utf8(data) {
                let _ = PolicyKey::parse(pem);
            }
        }
    }
});
