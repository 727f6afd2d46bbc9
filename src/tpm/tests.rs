//! Tokens of systemd-cryptenroll and signatures of systemd-measure, version 252, against the values of
//! the PCRs at enrolment.

use serde_json::Value;

use super::hash::sha256;
use super::policy::{self, Difference, Pcr, Selection, differing};
use super::public;
use super::token::{Token, TokenError, hex};

const PIN: &str = include_str!("fixtures/pin.json");
const SIGNED: &str = include_str!("fixtures/signed.json");
const SIGNATURES: &str = include_str!("fixtures/signatures.json");
/// PCR 7 at enrolment.
const PCR7: &str = "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_token_with_pin_requires_pcr_and_pin() {
    let mut token = Token::parse(&json(PIN)).unwrap();
    assert!(Token::is_one(&json(PIN)) && token.has_pin && token.root_key.is_none());
    assert_eq!(token.selection.numbers().collect::<Vec<_>>(), [7]);
    let pcr7 = hex(PCR7).unwrap();
    assert_eq!(token.policy_for(None, &[&pcr7]), token.policy);
    assert_ne!(token.policy_for(None, &[&[0; 32]]), token.policy);
    token.has_pin = false;
    assert_ne!(token.policy_for(None, &[&pcr7]), token.policy);
}

#[test]
fn a_signed_policy_has_its_key_and_signature() {
    let token = Token::parse(&json(SIGNED)).unwrap();
    let signed = token.signed.as_ref().unwrap();
    let pcr7 = hex(PCR7).unwrap();
    let fits =
        |area: &Vec<u8>| token.policy_for(Some(&public::name(area)), &[&pcr7]) == token.policy;
    assert!(signed.key.areas().iter().any(fits));
    let approved = |value: &[u8]| policy::pcr(&[0; 32], &signed.selection, &[value]);
    let initrd = sha256(&[&[0; 32], &sha256(&[b"enter-initrd"])]);
    let signature = |policy| signed.key.signature(&json(SIGNATURES), &signed.selection, &policy);
    assert_eq!(signature(approved(&initrd)).unwrap().len(), 256);
    assert_eq!(signature(approved(&[0; 32])), None);
    let other = Selection { pcrs: 1 << 12, ..signed.selection };
    assert_eq!(signed.key.signature(&json(SIGNATURES), &other, &approved(&initrd)), None);
}

#[test]
fn a_malformed_token_is_refused_by_the_name_of_the_field() {
    let unsupported = TokenError::Unsupported;
    for (name, value, want) in [
        ("tpm2-pcrs", json("[24]"), TokenError::Field("tpm2-pcrs")),
        ("tpm2-pcrs", Value::Null, TokenError::Field("tpm2-pcrs")),
        ("tpm2-blob", json("\"AAA\""), TokenError::Field("tpm2-blob")),
        ("tpm2-blob", json("[\"AA\", \"AA\"]"), unsupported("a key in several parts")),
        ("tpm2-policy-hash", json("\"00\""), TokenError::Field("tpm2-policy-hash")),
        ("tpm2-pcr-bank", json("\"sm3\""), unsupported("the bank of PCRs of the token")),
        ("tpm2-primary-alg", json("\"dsa\""), unsupported("the primary key of the token")),
        ("tpm2_pcrlock", json("true"), unsupported("a policy of systemd-pcrlock")),
        ("tpm2_srk", json("\"AAAA\""), TokenError::Field("tpm2_srk")),
    ] {
        let mut token = json(PIN);
        token[name] = value;
        assert_eq!(Token::parse(&token), Err(want), "{name}");
    }
}

#[test]
fn the_pcr_that_differs_is_found_by_its_earlier_value() {
    let pcr = |number, byte| Pcr { number, value: vec![byte; 32] };
    let current = [pcr(4, 1), pcr(7, 2), pcr(12, 3)];
    let enrolled: [&[u8]; 3] = [&[1; 32], &[9; 32], &[3; 32]];
    let fits = |values: &[&[u8]]| values == enrolled;
    assert_eq!(differing(&current, &[], fits), Difference::OneOf(vec![4, 7, 12]));
    assert_eq!(differing(&current, &[pcr(7, 9)], fits), Difference::Known(vec![7]));
    // Nothing had been measured.
    let fits = |values: &[&[u8]]| values == [&[1; 32][..], &[2; 32], &[0; 32]];
    assert_eq!(differing(&current, &[], fits), Difference::Known(vec![12]));
    assert_eq!(differing(&current[..1], &[], |_| false), Difference::Known(vec![4]));
}
