//! Tokens that systemd-cryptenroll has made with swtpm, the emulator of a TPM.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::chip::Chip;
use super::*;
use crate::tpm::policy::Difference;

/// Programs that the tests need.
const PROGRAMS: [&str; 4] = ["swtpm", "cryptsetup", "systemd-cryptenroll", "tpm2_pcrextend"];

/// A running emulator with its own state, and an image with a LUKS2 header.
struct Emulator {
    dir: tempfile::TempDir,
    swtpm: Child,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.swtpm.kill();
        let _ = self.swtpm.wait();
    }
}

/// Starts an emulator, or returns `None` if a program is missing.
fn emulator() -> Option<Emulator> {
    let path = std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin";
    let is_there = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).exists());
    if let Some(missing) = PROGRAMS.iter().find(|name| !is_there(name)) {
        println!("not run: {missing} is missing");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("swtpm");
    command.args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"]);
    command.arg(format!("dir={}", dir.path().display()));
    let socket = |name: &str| format!("type=unixio,path={}", dir.path().join(name).display());
    command.args(["--server", &socket("tpm"), "--ctrl", &socket("tpm.ctrl")]);
    let swtpm = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let emulator = Emulator { dir, swtpm };
    while !emulator.path("tpm").exists() || !emulator.path("tpm.ctrl").exists() {
        sleep(Duration::from_millis(10));
    }
    fs::File::create(emulator.path("disk")).unwrap().set_len(32 << 20).unwrap();
    emulator.run(
        "printf pass | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
         --pbkdf-force-iterations 1000 disk -",
    );
    Some(emulator)
}

impl Emulator {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a script in the directory, where `TPM` is the emulator for tpm2-tss. Returns its output.
    fn run(&self, script: &str) -> String {
        let tcti = format!("swtpm:path={}", self.path("tpm").display());
        let mut command = Command::new("sh");
        command.args(["-ec", script]).current_dir(self.dir.path());
        let path = std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin";
        command.env("TPM", &tcti).env("TPM2TOOLS_TCTI", &tcti).env("PATH", path);
        let output = command
            .env("PASSWORD", "pass")
            .env("NEWPIN", "1234")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Adds a key slot with a token.
    fn enroll(&self, options: &str) -> Token {
        self.run(&format!("systemd-cryptenroll --tpm2-device=$TPM {options} disk"));
        self.token(0)
    }

    fn token(&self, number: u32) -> Token {
        let json = self.run(&format!("cryptsetup token export --token-id {number} disk"));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(Token::is_one(&json));
        Token::parse(&json).unwrap()
    }

    fn unseal(&self, token: &Token, pin: Option<&str>) -> Result<Unsealed> {
        self.chip().unseal(&Root::at(self.dir.path()), token, pin.map(str::as_bytes), "")
    }

    fn chip(&self) -> Chip {
        Chip::on(crate::sys::tpm::Tpm::connect(&self.path("tpm")))
    }

    /// Asserts that the passphrase opens the key slot of the token.
    fn assert_opens(&self, unsealed: &Unsealed) {
        fs::write(self.path("key"), &unsealed.passphrase).unwrap();
        self.run("cryptsetup open --test-passphrase -S 1 -d key disk");
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

const EXTEND: &str = "tpm2_pcrextend 7:sha256=\
    00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn the_key_is_unsealed_until_a_pcr_changes() {
    let Some(emulator) = emulator() else { return };
    emulator.run(EXTEND);
    let token = emulator.enroll("--tpm2-pcrs=0+7+9");
    let unsealed = emulator.unseal(&token, None).unwrap();
    emulator.assert_opens(&unsealed);
    emulator.run(EXTEND);
    let text = |emulator: &Emulator| emulator.unseal(&token, None).unwrap_err().to_string();
    assert_eq!(
        text(&emulator),
        "at least one of PCR 0 (platform-code), PCR 7 (secure-boot-policy), PCR 9 (kernel-initrd) \
         differs from its value at enrolment (bank sha256); nothing has been measured into PCR 0; \
         nothing has been measured into PCR 9"
    );
    emulator.write(REMEMBERED, &unsealed.pcrs);
    assert_eq!(
        text(&emulator),
        "PCR 7 (secure-boot-policy) differs from its value at enrolment (bank sha256)"
    );
}

#[test]
fn the_only_pcr_of_a_policy_is_the_one_that_differs() {
    let Some(emulator) = emulator() else { return };
    let token = emulator.enroll("--tpm2-pcrs=7");
    emulator.run(EXTEND);
    let error = emulator.unseal(&token, None).unwrap_err();
    assert!(
        matches!(&error, TpmError::Policy { difference: Difference::Known(pcrs), .. } if *pcrs == [7]),
        "{error:?}"
    );
}

#[test]
fn a_pin_is_checked_by_the_tpm() {
    let Some(emulator) = emulator() else { return };
    let token = emulator.enroll("--tpm2-pcrs=7 --tpm2-with-pin=yes");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), TpmError::PinNeeded);
    assert_eq!(emulator.unseal(&token, Some("4321")).unwrap_err(), TpmError::WrongPin);
    let unsealed = emulator.unseal(&token, Some("1234")).unwrap();
    emulator.assert_opens(&unsealed);
}

/// A token like those of systemd 254 and later, whose sealed object belongs to a key that is kept in
/// the TPM. tpm2_readpublic writes that key as tpm2-tss serializes it.
#[test]
fn a_kept_root_key_is_used_and_recognized() {
    let Some(emulator) = emulator() else { return };
    for algorithm in ["ecc256:aes128cfb", "rsa2048:aes128cfb"] {
        let token = emulator.run(&format!(
            "tpm2_clear; tpm2_createprimary -Q -C o -G {algorithm} -c primary
             tpm2_evictcontrol -Q -C o -c primary 0x81000001; tpm2_flushcontext -t
             tpm2_readpublic -Q -c 0x81000001 -t srk
             tpm2_createpolicy -Q --policy-pcr -l sha256:7 -L policy
             printf secret | tpm2_create -Q -C 0x81000001 -i - -L policy -a 'fixedtpm|fixedparent' \
                 -u public -r private
             cat private public >blob
             echo '{{\"tpm2-blob\": \"'$(base64 -w0 blob)'\", \"tpm2-pcrs\": [7],'
             echo '\"tpm2-policy-hash\": \"'$(od -An -vtx1 policy | tr -d ' \n')'\",'
             echo '\"tpm2_srk\": \"'$(base64 -w0 srk)'\"}}'",
        ));
        let token = Token::parse(&serde_json::from_str(&token).unwrap()).unwrap();
        assert_eq!(&**emulator.unseal(&token, None).unwrap().passphrase, b"c2VjcmV0");
        emulator.run("tpm2_clear");
        assert_eq!(emulator.unseal(&token, None).unwrap_err(), TpmError::OtherTpm, "{algorithm}");
    }
}

#[test]
fn a_key_of_a_cleared_tpm_is_not_unsealed() {
    let Some(emulator) = emulator() else { return };
    let token = emulator.enroll("--tpm2-pcrs=7");
    emulator.run("tpm2_clear");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), TpmError::OtherTpm);
}

#[test]
fn a_signed_policy_needs_a_signature_for_the_current_values() {
    let Some(emulator) = emulator() else { return };
    emulator.run("openssl genrsa -out key.pem 2048; openssl rsa -in key.pem -pubout -out pub.pem");
    let token =
        emulator.enroll("--tpm2-pcrs=7 --tpm2-public-key=pub.pem --tpm2-public-key-pcrs=11");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), TpmError::NoSignatures);
    emulator.run(
        "tpm2_createpolicy -Q --policy-pcr -l sha256:11 -L policy
         hex() { od -An -vtx1 \"$@\" | tr -d ' \\n'; }
         mkdir .extra; exec >.extra/tpm2-pcr-signature.json
         printf '{\"sha256\": [{\"pcrs\": [11], \"pol\": \"%s\", \"pkfp\": \"%s\", \"sig\": \"%s\"}]}' \
             $(hex policy) $(openssl rsa -pubin -in pub.pem -RSAPublicKey_out -outform der | sha256sum | cut -c1-64) \
             $(openssl dgst -sha256 -sign key.pem policy | base64 -w0)",
    );
    let unsealed = emulator.unseal(&token, None).unwrap();
    emulator.assert_opens(&unsealed);
    emulator.run(&EXTEND.replace(" 7:", " 11:"));
    assert_eq!(
        emulator.unseal(&token, None).unwrap_err().to_string(),
        "no signature for the value of PCR 11 (kernel-boot) (bank sha256)"
    );
}

/// The HMAC is that of openssl; PCR 16, the one for debugging, is extended by it for comparison.
#[test]
fn the_volume_key_is_measured_as_by_systemd() {
    let Some(emulator) = emulator() else { return };
    let dir = Root::at(emulator.dir.path());
    let measured = emulator.chip().measure(&dir, 15, &[], ("a:b", "uuid"), &[0xab; 64]).unwrap();
    assert!(measured.banks.contains(&"sha256"), "{measured:?}");
    emulator.run(
        "for bank in sha1 sha256 sha384 sha512; do
             hmac=$(printf 'cryptsetup:a\\x3ab:uuid' | openssl dgst -r -$bank -mac HMAC \
                 -macopt hexkey:$(printf 'ab%.0s' $(seq 64)) | cut -d' ' -f1)
             grep -q $hmac run/log/systemd/tpm2-measure.log || continue
             tpm2_pcrextend 16:$bank=$hmac
             tpm2_pcrread -o value $bank:15 >/dev/null; mv value own
             tpm2_pcrread -o value $bank:16 >/dev/null; cmp value own; touch $bank
         done
         test -e sha256; test -e sha1",
    );
}
