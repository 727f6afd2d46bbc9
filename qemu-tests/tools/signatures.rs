//! Names of the digests in module signatures, against modinfo of kmod 34.

use harness::run::{RELEASE, Test};
use harness::{kmod34, paths, tests};
use std::fs;
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![RELEASE => digests_have_the_names_of_openssl];

/// Tags of DER.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const NULL: u8 = 0x05;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const TAGGED: u8 = 0xa0;

/// Digests that OpenSSL's table of objects has, and three that it does not have: one without a
/// name, and the limits of the first two numbers.
const DIGESTS: &str = "
1.2.840.113549.2.2 1.2.840.113549.2.4 1.2.840.113549.2.5 1.3.14.3.2.18 1.3.14.3.2.26
1.3.36.3.2.1 1.3.36.3.2.2 1.0.10118.3.0.55 2.5.8.3.101
2.16.840.1.101.3.4.2.1 2.16.840.1.101.3.4.2.2 2.16.840.1.101.3.4.2.3 2.16.840.1.101.3.4.2.4
2.16.840.1.101.3.4.2.5 2.16.840.1.101.3.4.2.6 2.16.840.1.101.3.4.2.7 2.16.840.1.101.3.4.2.8
2.16.840.1.101.3.4.2.9 2.16.840.1.101.3.4.2.10 2.16.840.1.101.3.4.2.11 2.16.840.1.101.3.4.2.12
2.16.840.1.101.3.4.2.13 2.16.840.1.101.3.4.2.14 2.16.840.1.101.3.4.2.15 2.16.840.1.101.3.4.2.16
2.16.840.1.101.3.4.2.17 2.16.840.1.101.3.4.2.18 2.16.840.1.101.3.4.2.19 2.16.840.1.101.3.4.2.20
2.16.840.1.101.3.4.2.0
1.2.156.10197.1.401 1.3.6.1.4.1.1722.12.2.1.16 1.3.6.1.4.1.1722.12.2.2.8 1.2.643.2.2.9
1.2.643.7.1.1.2.2 1.2.643.7.1.1.2.3 1.2.804.2.1.1.1.1.2.1
1.2.3.4.5 0.39.1 2.999.16384";

fn digests_have_the_names_of_openssl() {
    let module = fs::read(paths::data("tree/lib/modules/1.0/kernel/sub/lone.ko")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for digest in DIGESTS.split_ascii_whitespace() {
        let file = dir.path().join("signed.ko");
        fs::write(&file, signed(&module, &pkcs7(digest))).unwrap();
        let mut own = Command::new(paths::program("coldplug"));
        own.arg("modinfo");
        let [ours, kmods] = [own, kmod34::command("modinfo")].map(|mut command| {
            let output = command.args(["-F", "sig_hashalgo"]).arg(&file).output().unwrap();
            assert!(output.stderr.is_empty(), "{digest}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        });
        assert_eq!(ours, kmods, "{digest}");
        assert!(!ours.trim().is_empty(), "{digest}");
    }
}

/// Appends a signature as scripts/sign-file.c of the kernel does: the message, a trailer of 12
/// bytes with the kind (2, PKCS#7) and the length of the message, and a line of text.
fn signed(module: &[u8], message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let trailer = [&[0, 0, 2, 0, 0, 0, 0, 0][..], &length].concat();
    [module, message, &trailer, b"~Module signature appended~\n"].concat()
}

/// Returns signed data of RFC 5652 with one signer and the digest `digest`.
fn pkcs7(digest: &str) -> Vec<u8> {
    let der = |tag, parts: &[Vec<u8>]| element(tag, &parts.concat());
    let algorithm = || der(SEQUENCE, &[object(digest)]);
    let issuer = der(SEQUENCE, &[object("2.5.4.3"), element(UTF8, b"Me")]);
    let signer = der(
        SEQUENCE,
        &[
            element(INTEGER, &[1]),
            der(SEQUENCE, &[der(SEQUENCE, &[der(SET, &[issuer])]), element(INTEGER, &[5])]),
            algorithm(),
            der(SEQUENCE, &[object("1.2.840.113549.1.1.1"), element(NULL, &[])]),
            element(OCTETS, &[7; 64]),
        ],
    );
    let data = der(
        SEQUENCE,
        &[
            element(INTEGER, &[1]),
            der(SET, &[algorithm()]),
            der(SEQUENCE, &[object("1.2.840.113549.1.7.1")]),
            der(SET, &[signer]),
        ],
    );
    der(SEQUENCE, &[object("1.2.840.113549.1.7.2"), element(TAGGED, &data)])
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ ..0x80) => bytes.push(length),
        _ => {
            bytes.push(0x82);
            bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

/// Returns an object identifier: the first two numbers in one, each in groups of seven bits.
fn object(dotted: &str) -> Vec<u8> {
    let numbers: Vec<u32> = dotted.split('.').map(|number| number.parse().unwrap()).collect();
    let mut bytes = Vec::new();
    for number in [&[numbers[0] * 40 + numbers[1]], &numbers[2..]].concat() {
        let groups = (1..5).rev().map(|at| number >> (7 * at)).skip_while(|rest| *rest == 0);
        bytes.extend(groups.map(|rest| (rest & 0x7f) as u8 | 0x80));
        bytes.push((number & 0x7f) as u8);
    }
    element(OBJECT, &bytes)
}
