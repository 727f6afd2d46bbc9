//! Roots on LUKS devices whose keys a TPM holds, sealed by systemd-cryptenroll of Debian 12. Each
//! boot has the TPM of the guest that made the disk, and PCRs that start anew.

use crate::luks::{Person, check, check_secrets, machine, small_image, uuid};
use harness::machine::{Boot, Bus, Machine};
use harness::made_disk::{Made, PASSPHRASE, made};
use harness::run::{BOOT, Need, Test};
use harness::{debian, image, tests, tool};
use serde_json::Value;
use std::fs;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![[BOOT[0], BOOT[1], Need::Command("swtpm", "swtpm")] =>
    the_right_pcrs_unlock_the_root,
    another_pcr_is_named_and_the_passphrase_asked_for,
    remembered_values_tell_which_pcr_differs,
    a_pin_is_asked_for,
    a_signed_policy,
    the_volume_key_is_measured,
    a_machine_without_tpm,
    another_tpm,
    a_tpm_that_dies,
];

/// The PIN of the recipes.
const PIN: &str = "27 18";

/// Makes a machine with the disk and the TPM of a recipe.
fn with_tpm(disks: &Made, line: &str) -> Machine {
    disks.attach_tpm(disks.attach(machine(line), Bus::VirtioBlk), "tpm-tis")
}

/// Adds a file to the image.
fn with_file(vm: Machine, path: &str, text: &str) -> Machine {
    let image = image::overlay(
        &small_image(&debian::system()),
        &[(path, text.as_bytes())],
        &vm.dir().join("image"),
    );
    vm.image(&image)
}

/// Checks that nobody was asked in a boot.
#[track_caller]
fn check_unattended(boot: &Boot, number: u32) {
    check(boot, number);
    boot.check(!boot.console.contains("assphrase"), "a person is asked");
}

/// Boots, waits for texts before the question, and types the passphrase.
#[track_caller]
fn check_passphrase(vm: Machine, texts: &[&str], number: u32) {
    let mut person = Person::at(vm);
    for text in texts {
        person.reads(text);
    }
    person.answers(PASSPHRASE);
    check(&person.machine.finish(), number);
}

fn the_right_pcrs_unlock_the_root() {
    for (recipe, number) in [("tpm-pcrs", 401), ("tpm-no-pcrs", 405)] {
        check_unattended(&with_tpm(&made(recipe), "").run(), number);
    }
    let disks = made("tpm-pcrs");
    let vm = disks.attach_tpm(disks.attach(machine(""), Bus::VirtioBlk), "tpm-crb");
    check_unattended(&vm.run(), 401);
}

fn another_pcr_is_named_and_the_passphrase_asked_for() {
    for (recipe, number, texts) in [
        (
            "tpm-one-changed",
            402,
            [
                "TPM2 token 0: PCR 8 differs from its value at enrolment (bank sha256)",
                "; nothing has been measured into PCR 8",
            ],
        ),
        (
            "tpm-some-changed",
            403,
            [
                "TPM2 token 0: at least one of PCR 7 (secure-boot-policy), PCR 12 (kernel-config), \
                 PCR 13 (sysexts) differs from its value at enrolment (bank sha256)",
                "; nothing has been measured into PCR 12",
            ],
        ),
    ] {
        check_passphrase(with_tpm(&made(recipe), ""), &texts, number);
    }
}

/// The image holds the values of the PCRs at enrolment.
fn remembered_values_tell_which_pcr_differs() {
    let disks = made("tpm-some-changed");
    let vm = with_file(with_tpm(&disks, ""), "etc/coldplug/pcrs", &disks.text("pcrs"));
    check_passphrase(vm, &["TPM2 token 0: PCR 12 (kernel-config) differs"], 403);
}

fn a_pin_is_asked_for() {
    for pins in [&[PIN][..], &["1234", PIN]] {
        let mut person = Person::at(with_tpm(&made("tpm-pin"), ""));
        for (number, pin) in pins.iter().enumerate() {
            person.reads("Passphrase or PIN for /dev/vda: ");
            person.terminal.bytes(format!("{pin}\r").as_bytes());
            if number + 1 < pins.len() {
                person.reads("2 of 3 tries left");
            }
        }
        let boot = person.machine.finish();
        check(&boot, 404);
        let is_shown = boot.console.contains(PIN) || boot.record().to_string().contains(PIN);
        boot.check(!is_shown, "the PIN is shown");
    }
    // The passphrase of another key slot does as well.
    let mut person = Person::at(with_tpm(&made("tpm-pin"), ""));
    person.reads("Passphrase or PIN for /dev/vda: ");
    person.terminal.bytes(format!("{PASSPHRASE}\r").as_bytes());
    check(&person.machine.finish(), 404);
}

fn a_signed_policy() {
    let disks = made("tpm-signed");
    check_passphrase(
        with_tpm(&disks, ""),
        &["TPM2 token 0: no usable tpm2-pcr-signature.json"],
        406,
    );
    for (path, words) in [
        (".extra/tpm2-pcr-signature.json", String::new()),
        ("etc/signature", format!("rd.luks.options={}=tpm2-signature=/etc/signature", uuid(406))),
    ] {
        let vm = with_file(with_tpm(&disks, &words), path, &disks.text("signature"));
        check_unattended(&vm.run(), 406);
    }
}

/// The HMAC is that of openssl.
fn the_volume_key_is_measured() {
    let disks = made("tpm-measured");
    let line = "rd.luks.options=tpm2-measure-pcr=yes init=/sbin/measured";
    let boot = with_tpm(&disks, line).run();
    boot.expect("ok");
    boot.check(boot.console.contains("measured into PCR 15 (sha1, sha256"), "nothing is measured");
    check_secrets(&boot);
    let facts: Vec<&str> = boot.facts_text.lines().collect();
    let [pcr, log] = facts[..] else { panic!("{facts:?}") };
    let log: Value = serde_json::from_str(log).unwrap();
    let text = format!("cryptsetup:luks-{0}:{0}", uuid(407));
    assert_eq!(log["content"]["string"], *text);
    let key: String = key_lines(&disks.text("luks-sda.key")).split_whitespace().collect();
    let digest = sha256(text.as_bytes(), &["-mac", "HMAC", "-macopt", &format!("hexkey:{key}")]);
    let digests = log["digests"].as_array().unwrap();
    let logged = digests.iter().find(|logged| logged["hashAlg"] == "sha256").unwrap();
    assert_eq!(logged["digest"], *digest);
    let (pairs, _) = digest.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let before_and_digest: Vec<u8> = [0; 32].into_iter().chain(pairs.iter().map(byte)).collect();
    assert_eq!(pcr.to_lowercase(), sha256(&before_and_digest, &[]));
}

/// Returns the hexadecimal digits that cryptsetup prints for a volume key.
fn key_lines(dump: &str) -> &str {
    dump.split_once("MK dump:").expect("a volume key").1
}

/// Returns the digest of `bytes` by openssl with `options`.
fn sha256(bytes: &[u8], options: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let mut openssl = tool::command("openssl", "openssl");
    let output = tool::run(openssl.args(["dgst", "-r", "-sha256"]).args(options).arg(file.path()));
    output.split(' ').next().unwrap().to_owned()
}

fn a_machine_without_tpm() {
    let vm = made("tpm-pcrs").attach(machine(""), Bus::VirtioBlk);
    check_passphrase(vm, &["TPM2 token 0: no TPM"], 401);
}

fn another_tpm() {
    let disks = made("tpm-pcrs");
    let vm = disks.attach(machine(""), Bus::VirtioBlk);
    let state = vm.dir().join("other");
    let vm = vm.tpm("tpm-tis", &state);
    let text = "TPM2 token 0: sealed by another TPM, or the TPM has been cleared";
    check_passphrase(vm, &[text], 401);
}

fn a_tpm_that_dies() {
    let mut person = Person::at(with_tpm(&made("tpm-pcrs"), ""));
    person.reads("Run /init");
    person.machine.kill_tpm();
    person.answers(PASSPHRASE);
    check(&person.machine.finish(), 401);
}
