//! Options of a LUKS device, of crypttab(5) and of `rd.luks.options=`.
//!
//! ```text
//! NAME[=VALUE],…       Debian's and mkinitcpio's spellings are accepted besides systemd's
//! ```

use std::time::Duration;

use super::luks::{FilePlace, KeySource};
use super::storage::is_no;
use super::words::list;

/// Number of times a person is asked for the passphrase, if no option says another.
const DEFAULT_TRIES: u32 = 3;

/// How a LUKS device is unlocked and set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LuksOptions {
    /// `discard`: the device passes discards on.
    pub(crate) discard: bool,
    /// `readonly`.
    pub(crate) read_only: bool,
    /// `no-read-workqueue`.
    pub(crate) no_read_workqueue: bool,
    /// `no-write-workqueue`.
    pub(crate) no_write_workqueue: bool,
    /// `same-cpu-crypt`.
    pub(crate) same_cpu_crypt: bool,
    /// `submit-from-crypt-cpus`.
    pub(crate) submit_from_crypt_cpus: bool,
    /// `header=`: where the header is, if it is not on the device.
    pub(crate) header: Option<FilePlace>,
    /// `keyfile-offset=`: bytes of the key file that are skipped.
    pub(crate) keyfile_offset: u64,
    /// `keyfile-size=`: bytes of the key file that are used; `None` means all.
    pub(crate) keyfile_size: Option<u64>,
    /// `key-slot=`: the only key slot that is tried.
    pub(crate) key_slot: Option<u32>,
    /// `tries=`: number of times a person is asked; 0 means without limit.
    pub(crate) tries: u32,
    /// `timeout=`: longest wait for a person's answer; `None` means without limit.
    pub(crate) timeout: Option<Duration>,
    /// `keyfile-timeout=`: longest wait for the device of the key file.
    pub(crate) keyfile_timeout: Option<Duration>,
    /// `token-timeout=`: longest wait for a TPM that the firmware announces.
    pub(crate) token_timeout: Option<Duration>,
    /// `noauto`: the device is not unlocked during the boot.
    pub(crate) no_auto: bool,
    /// `nofail`: the boot goes on without the device.
    pub(crate) no_fail: bool,
    /// `x-initrd.attach`, and Debian's `initramfs`: the device is unlocked in the initramfs.
    pub(crate) in_initramfs: bool,
    /// `headless=`: nobody is asked.
    pub(crate) headless: bool,
    /// `try-empty-password=`: the empty passphrase is tried before anybody is asked.
    pub(crate) try_empty: bool,
    /// `tpm2-signature=`: path of the signatures of PCR policies.
    pub(crate) tpm2_signature: Option<String>,
    /// `tpm2-measure-pcr=`: PCR that is extended with the volume key.
    pub(crate) tpm2_measure_pcr: Option<u32>,
    /// `tpm2-measure-bank=` as written.
    pub(crate) tpm2_measure_bank: Option<String>,
    /// A format that is not LUKS, such as `plain`.
    pub(crate) other_format: Option<&'static str>,
    /// `keyscript=` with a script that [`Self::replace_keyscript`] replaces.
    keyscript: Option<String>,
}

impl Default for LuksOptions {
    fn default() -> Self {
        Self {
            discard: false,
            read_only: false,
            no_read_workqueue: false,
            no_write_workqueue: false,
            same_cpu_crypt: false,
            submit_from_crypt_cpus: false,
            header: None,
            keyfile_offset: 0,
            keyfile_size: None,
            key_slot: None,
            tries: DEFAULT_TRIES,
            timeout: None,
            keyfile_timeout: None,
            token_timeout: None,
            no_auto: false,
            no_fail: false,
            in_initramfs: false,
            headless: false,
            try_empty: false,
            tpm2_signature: None,
            tpm2_measure_pcr: None,
            tpm2_measure_bank: None,
            other_format: None,
            keyscript: None,
        }
    }
}

/// Formats of crypttab(5) that are not LUKS. `swap` and `tmp` make a new filesystem in each boot.
const OTHER_FORMATS: [&str; 9] = [
    "plain",
    "tcrypt",
    "tcrypt-hidden",
    "tcrypt-system",
    "tcrypt-veracrypt",
    "veracrypt",
    "bitlk",
    "swap",
    "tmp",
];

/// Options that have no effect on a LUKS device in the initramfs, with dashes for underscores. PCRs
/// and PIN are those of the token.
const IGNORED: [&str; 25] = [
    "",
    "defaults",
    "luks",
    "none",
    "auto",
    "cipher",
    "hash",
    "size",
    "offset",
    "skip",
    "sector-size",
    "verify",
    "loud",
    "quiet",
    "noearly",
    "check",
    "checkargs",
    "password-echo",
    "password-cache",
    "keyfile-erase",
    "-netdev",
    "tpm2-pcrs",
    "tpm2-pin",
    "tpm2-device=auto",
    "tpm2-device=/dev/tpmrm0",
];

/// Options that need hardware or a program which the initramfs does not have.
const NEEDS_MORE: [&str; 7] =
    ["fido2-", "pkcs11-", "tcrypt-", "veracrypt-", "link-volume-key", "tpm2-device", "keyscript"];
/// Scripts of Debian whose work coldplug does itself.
const SCRIPTS: [&str; 2] = ["decrypt_keyctl", "passdev"];

impl LuksOptions {
    /// Returns what the child is to measure: `15`, `15:sha256`, or nothing.
    pub(crate) fn measurement(&self) -> String {
        let pcr = self.tpm2_measure_pcr.map(|pcr| pcr.to_string()).unwrap_or_default();
        match &self.tpm2_measure_bank {
            Some(banks) if !pcr.is_empty() => pcr + ":" + banks,
            _ => pcr,
        }
    }

    /// Adds the options of a comma-separated list. Returns a text for each one that is unknown,
    /// malformed or not supported.
    pub(crate) fn add(&mut self, text: &str) -> Vec<String> {
        list(text).filter_map(|option| self.set(option).err()).collect()
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').map_or((option, None), |(n, v)| (n, Some(v)));
        let malformed = || format!("option '{option}' is malformed");
        // Debian's names of the flags of dm-crypt.
        let name = name.strip_prefix("perf-").unwrap_or(name).replace('_', "-");
        let text = value.filter(|value| !value.is_empty());
        if let Some(flag) = self.flag(&name) {
            *flag = !value.is_some_and(is_no);
            return Ok(());
        }
        if let Some(place) = self.text(&name) {
            *place = Some(text.ok_or_else(malformed)?.to_owned());
            return Ok(());
        }
        let number = || text.and_then(|text| text.parse().ok()).ok_or_else(malformed);
        let time = || text.and_then(duration).ok_or_else(malformed);
        match name.as_str() {
            "header" => self.header = Some(FilePlace::parse(text.ok_or_else(malformed)?)),
            "keyfile-offset" => self.keyfile_offset = number()?,
            "keyfile-size" => self.keyfile_size = Some(number()?),
            "key-slot" | "keyslot" => self.key_slot = Some(small(number()?).ok_or_else(malformed)?),
            "tries" => self.tries = small(number()?).ok_or_else(malformed)?,
            "timeout" => self.timeout = time()?,
            "keyfile-timeout" => self.keyfile_timeout = time()?,
            "token-timeout" => self.token_timeout = time()?,
            "keyscript" if SCRIPTS.contains(&script(text)) => {
                self.keyscript = Some(script(text).to_owned());
            }
            "tpm2-measure-pcr" => self.tpm2_measure_pcr = measured(text).ok_or_else(malformed)?,
            other => return self.set_other(other, option),
        }
        Ok(())
    }

    /// Sets an option that only excludes the device, or has no effect.
    fn set_other(&mut self, name: &str, option: &str) -> Result<(), String> {
        if let Some(format) = OTHER_FORMATS.iter().find(|format| **format == name) {
            self.other_format = Some(format);
            return Ok(());
        }
        if IGNORED.contains(&name) || IGNORED.contains(&option) || name.starts_with("x-") {
            return Ok(());
        }
        let needs_more = NEEDS_MORE.iter().any(|start| name.starts_with(start));
        let problem = if needs_more { "not supported" } else { "unknown" };
        Err(format!("option '{option}' is {problem}"))
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "discard" | "allow-discards" => &mut self.discard,
            "readonly" | "read-only" => &mut self.read_only,
            "no-read-workqueue" => &mut self.no_read_workqueue,
            "no-write-workqueue" => &mut self.no_write_workqueue,
            "same-cpu-crypt" => &mut self.same_cpu_crypt,
            "submit-from-crypt-cpus" => &mut self.submit_from_crypt_cpus,
            "noauto" => &mut self.no_auto,
            "nofail" => &mut self.no_fail,
            "x-initrd.attach" | "initramfs" => &mut self.in_initramfs,
            "headless" => &mut self.headless,
            "try-empty-password" => &mut self.try_empty,
            _ => return None,
        })
    }

    fn text(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "tpm2-signature" => &mut self.tpm2_signature,
            "tpm2-measure-bank" => &mut self.tpm2_measure_bank,
            _ => return None,
        })
    }

    /// Returns the key that the third field of the line names for one of [`SCRIPTS`].
    pub(super) fn replace_keyscript(&mut self, field: &str) -> Option<KeySource> {
        // decrypt_keyctl asks once for all devices.
        if self.keyscript.take()? != "passdev" {
            return Some(KeySource::Unnamed);
        }
        let mut parts = field.splitn(3, ':');
        let place = parts.next().zip(parts.next());
        self.keyfile_timeout = parts.next().and_then(duration).unwrap_or_default();
        place.map(|(device, path)| KeySource::on_device(path, device, None))
    }
}

/// Returns the name of a script without its directory.
fn script(path: Option<&str>) -> &str {
    path.and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

fn small(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}

/// Returns the PCR of `tpm2-measure-pcr=`; `yes` means 15.
fn measured(text: Option<&str>) -> Option<Option<u32>> {
    match text {
        None | Some("yes" | "true" | "on") => Some(Some(15)),
        Some(text) if is_no(text) && text != "0" => Some(None),
        Some(text) => text.parse().ok().filter(|pcr| *pcr < 24).map(Some),
    }
}

/// Parses a time of systemd.time(7) with one unit or none, which means seconds; 0 means without
/// limit.
pub(super) fn duration(text: &str) -> Option<Option<Duration>> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if text == "infinity" {
        return Some(None);
    }
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit.trim() {
        "" | "s" | "sec" | "second" | "seconds" => 1000,
        "ms" | "msec" => 1,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hr" | "hour" | "hours" => 3_600_000,
        _ => return None,
    };
    let time = Duration::from_millis(number.checked_mul(milliseconds)?);
    Some((!time.is_zero()).then_some(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> LuksOptions {
        let mut options = LuksOptions::default();
        assert_eq!(options.add(text), [""; 0], "{text}");
        options
    }

    #[test]
    fn spellings_of_all_families_mean_the_same() {
        let want = LuksOptions {
            discard: true,
            no_read_workqueue: true,
            no_write_workqueue: true,
            same_cpu_crypt: true,
            submit_from_crypt_cpus: true,
            ..LuksOptions::default()
        };
        for text in [
            "luks,discard,no-read-workqueue,no-write-workqueue,same-cpu-crypt,\
             submit-from-crypt-cpus",
            "discard,perf-no_read_workqueue,perf-no_write_workqueue,perf-same_cpu_crypt,\
             perf-submit_from_crypt_cpus,cipher=aes-xts-plain64,size=512,hash=sha256",
            "allow-discards,no-read-workqueue,no-write-workqueue,same-cpu-crypt=yes,\
             submit-from-crypt-cpus,_netdev,x-systemd.device-timeout=10,,noearly",
        ] {
            assert_eq!(parsed(text), want, "{text}");
        }
        assert_eq!(parsed("discard=no,readonly=0"), LuksOptions::default());
    }

    #[test]
    fn values_are_parsed() {
        let options = parsed(
            "header=/h.img,keyfile-offset=512,keyfile-size=64,key-slot=3,tries=0,timeout=90s,\
             keyfile-timeout=2min,token-timeout=infinity,tpm2-device=auto,tpm2-pcrs=7+11,\
             tpm2-measure-pcr=yes,noauto,nofail,x-initrd.attach,headless,tpm2-pin=1,\
             try-empty-password",
        );
        assert_eq!(options.header, Some(FilePlace::File("/h.img".into())));
        assert_eq!((options.keyfile_offset, options.keyfile_size), (512, Some(64)));
        assert_eq!((options.key_slot, options.tries), (Some(3), 0));
        assert_eq!(options.timeout, Some(Duration::from_secs(90)));
        assert_eq!(options.keyfile_timeout, Some(Duration::from_secs(120)));
        assert_eq!(options.token_timeout, None);
        assert_eq!(options.tpm2_measure_pcr, Some(15));
        assert!(options.no_auto && options.no_fail && options.in_initramfs);
        assert!(options.headless && options.try_empty);
        for (text, pcr) in [("no", None), ("0", Some(0)), ("11", Some(11))] {
            let text = format!("tpm2-measure-pcr={text}");
            assert_eq!(parsed(&text).tpm2_measure_pcr, pcr, "{text}");
        }
        for (text, format) in [("swap", "swap"), ("plain,cipher=a", "plain"), ("tmp=ext4", "tmp")] {
            assert_eq!(parsed(text).other_format, Some(format), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, problem) in [
            ("colour=red", "option 'colour=red' is unknown"),
            ("tries=many", "option 'tries=many' is malformed"),
            ("tries", "option 'tries' is malformed"),
            ("header=", "option 'header=' is malformed"),
            ("timeout=5 apples", "option 'timeout=5 apples' is malformed"),
            ("key-slot=4294967296", "option 'key-slot=4294967296' is malformed"),
            ("tpm2-measure-pcr=24", "option 'tpm2-measure-pcr=24' is malformed"),
            ("fido2-device=auto", "option 'fido2-device=auto' is not supported"),
            ("tpm2-device=/dev/tpm1", "option 'tpm2-device=/dev/tpm1' is not supported"),
            ("keyscript=/sbin/k", "option 'keyscript=/sbin/k' is not supported"),
        ] {
            let mut options = LuksOptions::default();
            assert_eq!(options.add(text), [problem]);
        }
    }

    #[test]
    fn times_have_units() {
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        for (text, want) in [
            ("30", seconds(30)),
            ("30s", seconds(30)),
            ("1 min", seconds(60)),
            ("2h", seconds(7200)),
            ("500ms", Some(Some(Duration::from_millis(500)))),
            ("0", Some(None)),
            ("infinity", Some(None)),
            ("", None),
            ("s", None),
            ("-1", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(duration(text), want, "{text}");
        }
    }
}
