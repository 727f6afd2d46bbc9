//! Tokens that systemd-cryptenroll has made with swtpm, the emulator of a TPM: unsealed and
//! measured as systemd does, against cryptsetup, openssl and the tools of tpm2-tss.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coldplug::stacks::tpm::emulated::Emulated;
use harness::run::{Need, Test};
use harness::{tests, tool};
use serde_json::Value;

/// What the tests need.
const NEEDS: [Need; 5] = [
    Need::Command("swtpm", "swtpm"),
    Need::Command("cryptsetup", "cryptsetup-bin"),
    Need::Command("systemd-cryptenroll", "systemd"),
    Need::Command("tpm2_pcrextend", "tpm2-tools"),
    Need::Command("openssl", "openssl"),
];

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![NEEDS =>
    the_key_is_unsealed_until_a_pcr_changes,
    the_only_pcr_of_a_policy_is_the_one_that_differs,
    a_pin_is_checked_by_the_tpm,
    a_kept_root_key_is_used_and_recognized,
    a_key_of_a_cleared_tpm_is_not_unsealed,
    a_signed_policy_needs_a_signature_for_the_current_values,
    the_volume_key_is_measured_as_by_systemd,
];

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

impl Emulator {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = tool::command("swtpm", "swtpm");
        command.args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"]);
        command.arg(format!("dir={}", dir.path().display()));
        let socket = |name: &str| format!("type=unixio,path={}", dir.path().join(name).display());
        command.args(["--server", &socket("tpm"), "--ctrl", &socket("tpm.ctrl")]);
        let swtpm = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let emulator = Self { dir, swtpm };
        let end = Instant::now() + Duration::from_secs(30);
        while !emulator.path("tpm").exists() || !emulator.path("tpm.ctrl").exists() {
            assert!(Instant::now() < end, "swtpm has made no sockets");
            sleep(Duration::from_millis(10));
        }
        fs::File::create(emulator.path("disk")).unwrap().set_len(32 << 20).unwrap();
        emulator.run(
            "printf pass | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
             --pbkdf-force-iterations 1000 disk -",
        );
        emulator
    }

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
    fn enroll(&self, options: &str) -> Value {
        self.run(&format!("systemd-cryptenroll --tpm2-device=$TPM {options} disk"));
        self.token(0)
    }

    fn token(&self, number: u32) -> Value {
        let json = self.run(&format!("cryptsetup token export --token-id {number} disk"));
        serde_json::from_str(&json).unwrap()
    }

    /// Returns the passphrase that a token holds, and the values of PCRs to be remembered.
    fn unseal(&self, token: &Value, pin: Option<&str>) -> Result<(Vec<u8>, String), String> {
        self.tpm().unseal(token, pin.map(str::as_bytes))
    }

    fn tpm(&self) -> Emulated {
        Emulated::new(self.path("tpm"), self.dir.path())
    }

    /// Asserts that the passphrase opens the key slot of the token.
    fn assert_opens(&self, passphrase: &[u8]) {
        fs::write(self.path("key"), passphrase).unwrap();
        self.run("cryptsetup open --test-passphrase -S 1 -d key disk");
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

const OTHER_TPM: &str = "sealed by another TPM, or the TPM has been cleared";
const EXTEND: &str = "tpm2_pcrextend 7:sha256=\
    00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn the_key_is_unsealed_until_a_pcr_changes() {
    let emulator = Emulator::start();
    emulator.run(EXTEND);
    let token = emulator.enroll("--tpm2-pcrs=0+7+9");
    let (passphrase, pcrs) = emulator.unseal(&token, None).unwrap();
    emulator.assert_opens(&passphrase);
    emulator.run(EXTEND);
    let text = |emulator: &Emulator| emulator.unseal(&token, None).unwrap_err();
    assert_eq!(
        text(&emulator),
        "at least one of PCR 0 (platform-code), PCR 7 (secure-boot-policy), PCR 9 (kernel-initrd) \
         differs from its value at enrolment (bank sha256); nothing has been measured into PCR 0; \
         nothing has been measured into PCR 9"
    );
    emulator.write("etc/coldplug/pcrs", &pcrs);
    assert_eq!(
        text(&emulator),
        "PCR 7 (secure-boot-policy) differs from its value at enrolment (bank sha256)"
    );
}

fn the_only_pcr_of_a_policy_is_the_one_that_differs() {
    let emulator = Emulator::start();
    let token = emulator.enroll("--tpm2-pcrs=7");
    emulator.run(EXTEND);
    assert_eq!(
        emulator.unseal(&token, None).unwrap_err(),
        "PCR 7 (secure-boot-policy) differs from its value at enrolment (bank sha256)"
    );
}

fn a_pin_is_checked_by_the_tpm() {
    let emulator = Emulator::start();
    let token = emulator.enroll("--tpm2-pcrs=7 --tpm2-with-pin=yes");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), "PIN needed");
    assert_eq!(emulator.unseal(&token, Some("4321")).unwrap_err(), "wrong PIN");
    let (passphrase, _) = emulator.unseal(&token, Some("1234")).unwrap();
    emulator.assert_opens(&passphrase);
}

/// A token like those of systemd 254 and later, whose sealed object belongs to a key that is kept in
/// the TPM. tpm2_readpublic writes that key as tpm2-tss serializes it.
fn a_kept_root_key_is_used_and_recognized() {
    let emulator = Emulator::start();
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
        let token = serde_json::from_str(&token).unwrap();
        assert_eq!(emulator.unseal(&token, None).unwrap().0, b"c2VjcmV0");
        emulator.run("tpm2_clear");
        assert_eq!(emulator.unseal(&token, None).unwrap_err(), OTHER_TPM, "{algorithm}");
    }
}

fn a_key_of_a_cleared_tpm_is_not_unsealed() {
    let emulator = Emulator::start();
    let token = emulator.enroll("--tpm2-pcrs=7");
    emulator.run("tpm2_clear");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), OTHER_TPM);
}

fn a_signed_policy_needs_a_signature_for_the_current_values() {
    let emulator = Emulator::start();
    emulator.run("openssl genrsa -out key.pem 2048; openssl rsa -in key.pem -pubout -out pub.pem");
    let token =
        emulator.enroll("--tpm2-pcrs=7 --tpm2-public-key=pub.pem --tpm2-public-key-pcrs=11");
    assert_eq!(emulator.unseal(&token, None).unwrap_err(), "no usable tpm2-pcr-signature.json");
    emulator.run(
        "tpm2_createpolicy -Q --policy-pcr -l sha256:11 -L policy
         hex() { od -An -vtx1 \"$@\" | tr -d ' \\n'; }
         mkdir .extra; exec >.extra/tpm2-pcr-signature.json
         printf '{\"sha256\": [{\"pcrs\": [11], \"pol\": \"%s\", \"pkfp\": \"%s\", \"sig\": \"%s\"}]}' \
             $(hex policy) $(openssl rsa -pubin -in pub.pem -RSAPublicKey_out -outform der | sha256sum | cut -c1-64) \
             $(openssl dgst -sha256 -sign key.pem policy | base64 -w0)",
    );
    let (passphrase, _) = emulator.unseal(&token, None).unwrap();
    emulator.assert_opens(&passphrase);
    emulator.run(&EXTEND.replace(" 7:", " 11:"));
    assert_eq!(
        emulator.unseal(&token, None).unwrap_err(),
        "no signature for the value of PCR 11 (kernel-boot) (bank sha256)"
    );
}

/// The HMAC is that of openssl; PCR 16, the one for debugging, is extended by it for comparison.
fn the_volume_key_is_measured_as_by_systemd() {
    let emulator = Emulator::start();
    let banks = emulator.tpm().measure(15, ("a:b", "uuid"), &[0xab; 64]).unwrap();
    assert!(banks.contains(&"sha256"), "{banks:?}");
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
