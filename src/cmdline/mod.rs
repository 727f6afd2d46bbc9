//! The kernel command line. Pure: text in, values out.
//!
//! [`KernelCommandLine::parse`] splits it once and is its only parser. Every parameter is a row of
//! one table, from which the parser and `docs/kernel-parameters.md` are made.

#[cfg(feature = "stacks")]
pub(crate) mod assembly;
pub(crate) mod boot;
#[cfg(feature = "stacks")]
pub(crate) mod crypttab;
mod lacks;
pub mod link_name;
#[cfg(feature = "stacks")]
pub(crate) mod luks;
#[cfg(feature = "stacks")]
pub(crate) mod luks_options;
pub(crate) mod modules;
pub(crate) mod mount_options;
pub mod network;
mod parameters;
#[cfg(all(test, feature = "stacks"))]
pub(crate) mod reference;
pub(crate) mod root;
pub mod root_name;
#[cfg(feature = "full")]
pub(crate) mod slots;
#[cfg(not(feature = "full"))]
#[path = "no_slots.rs"]
pub(crate) mod slots;
#[cfg(feature = "stacks")]
pub(crate) mod stacks;
#[cfg(not(feature = "stacks"))]
#[path = "no_stacks.rs"]
pub(crate) mod stacks;
pub(crate) mod storage;
pub(crate) mod store_name;
pub mod words;

use crate::byte_text;
use crate::escape;
use crate::kmod::Warning;
use boot::BootParams;
use lacks::Lack;
use modules::ModuleParams;
use root::RootParams;
use stacks::StackParams;
use storage::{StorageError, StorageParams, StorageParser};
use words::{RawWord, Word, raw_words, words};

/// The kernel command line, parsed. If a parameter occurs more than once, the last value is used,
/// as in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelCommandLine {
    /// How to boot.
    pub boot: BootParams,
    /// The root filesystem and the network it needs.
    pub root: RootParams,
    /// Storage below and above the root filesystem, or the first of its parameters that cannot be
    /// used.
    pub storage: Result<StorageParams, StorageError>,
    /// LUKS devices, logical volumes and arrays.
    pub stacks: StackParams,
    /// Module options, blacklists, masks and rules.
    pub modules: ModuleParams,
    /// Parameters that are ignored because they are unknown or their value is malformed; those
    /// about modules are in [`ModuleParams::warnings`].
    pub(crate) warnings: Vec<Warning>,
}

impl Default for KernelCommandLine {
    fn default() -> Self {
        Self::parse("")
    }
}

/// The command line while its words are read.
#[derive(Debug, Default)]
struct Parser<'a> {
    boot: BootParams,
    root: RootParams,
    storage: StorageParser<'a>,
    stacks: StackParams,
}

impl KernelCommandLine {
    /// Parses the content of /proc/cmdline. Words after `--` are arguments of the real init; of them,
    /// only those about modules have an effect, as for modprobe(8).
    pub fn parse(line: impl AsRef<[u8]>) -> Self {
        Self::parse_bytes(line.as_ref())
    }

    fn parse_bytes(line: &[u8]) -> Self {
        let (mut parser, mut modules) = (Parser::default(), ModuleParams::default());
        let mut warnings = Vec::new();
        let mut before_dashes = true;
        // Spaces, quotes and `=` are ASCII, so that the words of the text are those of the bytes.
        let text = byte_text::from_bytes(line);
        for (word, raw) in words(&text).zip(raw_words(line)) {
            let word = Word { raw, ..word };
            before_dashes &= word.text != "--";
            let stored = modules.store(&word);
            if !before_dashes || stored {
                continue;
            }
            match lacks::lack(&word) {
                Some(Lack { feature, is_fatal: true }) => parser.storage.refuse(&word, feature),
                Some(Lack { feature, .. }) => warnings.push(absent(&word, feature)),
                None if parameters::store_boot_parameter(&mut parser, &word) => {}
                None => warnings.push(ignored(&word)),
            }
        }
        let Parser { boot, root, storage, stacks } = parser;
        Self { boot, root, storage: storage.finish(), stacks, modules, warnings }
    }
}

/// Returns the command line `line` with more words of the boot, which have priority: they are
/// inserted before the arguments of the real init. A new `root=` replaces `coldplug.root=` and
/// `coldplug.slots=` too.
pub(crate) fn with_words(line: &[u8], more: &str) -> Vec<u8> {
    let new_root = words(more).any(|word| word.key == "root");
    let is_list = |key: &[u8]| key == b"coldplug.root" || key == b"coldplug.slots";
    let keep = |word: &RawWord<'_>| !(new_root && is_list(word.key));
    let all: Vec<&[u8]> = raw_words(line).filter(keep).map(|word| word.text).collect();
    let end = all.iter().position(|word| *word == b"--").unwrap_or(all.len());
    let (boot, init) = all.split_at(end);
    [boot, &[&*byte_text::to_bytes(more.trim())], init].concat().join(&b' ')
}

/// Parameters that are read once, when the boot begins: what they say holds for all attempts.
const READ_ONCE: [&str; 9] = [
    "coldplug.onfail",
    "coldplug.exitport",
    "panic",
    "coldplug.break",
    "coldplug.led",
    "coldplug.shell",
    "coldplug.watchdog",
    "coldplug.persist",
    "resume",
];

/// Returns the names of the parameters among `more` that have no effect when they are added to the
/// command line of a boot that has begun.
pub(crate) fn without_effect_in_retry(more: &str) -> impl Iterator<Item = &str> {
    let before_dashes = words(more).take_while(|word| word.text != "--");
    before_dashes.map(|word| word.key).filter(|key| READ_ONCE.contains(key))
}

/// Returns the warning about a word that is ignored.
fn ignored(word: &Word<'_>) -> Warning {
    let key = escape::bytes(word.raw.key);
    match word.raw.value {
        Some(value) => warning(&format!("{key}={}", escape::bytes(value))),
        None => warning(&key),
    }
}

/// Returns the warning about a word that asks for a feature which this program lacks.
fn absent(word: &Word<'_>, feature: &str) -> Warning {
    let text = format!("{}: this coldplug has no {feature}", escape::bytes(word.raw.text));
    Warning::new("kernel command line", 0, text)
}

/// Returns the warning that `text` of the command line is ignored.
fn warning(text: &str) -> Warning {
    Warning::new("kernel command line", 0, format!("ignoring '{text}'"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::boot::{AsyncProbe, LogLevel, OnFailure, Settle};
    use super::*;

    fn warnings(line: &KernelCommandLine) -> Vec<String> {
        line.warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn modules_that_no_device_asks_for_are_collected() {
        let p = KernelCommandLine::parse(
            "rd.driver.pre=a,b-c coldplug.modules=d modules_load=e rd.driver.pre=f rd.modules_load=g,,h \
             rd.driver.post=i modules_load",
        );
        assert_eq!(p.boot.pre_modules, ["a", "b-c", "f"]);
        assert_eq!(p.boot.more_modules, ["e", "g", "h", "i"]);
        assert!(p.warnings.is_empty());
    }

    #[test]
    fn later_words_win_and_bad_ones_are_named() {
        let p = KernelCommandLine::parse(
            "ro quiet root=/dev/a root=/dev/b rw rootfstype=ext4,xfs rootwait=7 init=/x panic=-1 \
             coldplug.modules=a,b-c coldplug.settle=root coldplug.jobs=1 coldplug.onfail=poweroff \
             coldplug.jobs=0 coldplug.colour=red coldplug.timeout=soon coldplug.mask=x \
             coldplug.rules=y -- coldplug.jobs=5",
        );
        assert_eq!(p.root.spec(), "/dev/b");
        assert_eq!(p.root.writable, Some(true));
        assert_eq!(p.root.fstypes, ["ext4", "xfs"]);
        assert_eq!(p.root.timeout, Some(Duration::from_secs(7)));
        assert_eq!(
            (p.boot.jobs, p.boot.settle, p.boot.on_failure),
            (Some(1), Settle::Root, Some(OnFailure::PowerOff))
        );
        assert_eq!(p.boot.level(), LogLevel::Error);
        let level = |line| KernelCommandLine::parse(line).boot.level();
        assert_eq!(level("coldplug.log=debug quiet"), LogLevel::Debug);
        assert_eq!(p.boot.panic, Some(-1));
        assert_eq!(
            warnings(&p),
            [
                "kernel command line: ignoring 'coldplug.jobs=0'",
                "kernel command line: ignoring 'coldplug.colour=red'",
                "kernel command line: ignoring 'coldplug.timeout=soon'",
            ]
        );
        assert_eq!(KernelCommandLine::parse("rootwait").root.timeout, None);
        let p = KernelCommandLine::parse(
            "coldplug.async=all coldplug.async=some coldplug.alone=a,b coldplug.replay=/r \
             coldplug.seed=7 coldplug.rcvbuf=4096 deferred_probe_timeout=-1 coldplug.shell=off",
        );
        let boot = &p.boot;
        assert_eq!((boot.async_probe, boot.seed), (AsyncProbe::All, Some(7)));
        assert_eq!((boot.exclusive.len(), boot.rcvbuf, boot.no_shell), (2, Some(4096), true));
        assert_eq!((boot.replay.as_deref(), boot.deferred_timeout), (Some("/r"), Some(-1)));
        assert_eq!(warnings(&p), ["kernel command line: ignoring 'coldplug.async=some'"]);
    }

    #[test]
    fn words_of_a_retry_have_priority() {
        for (line, more, want) in [
            ("root=/dev/a quiet", "", "root=/dev/a quiet "),
            ("root=/dev/a", "root=/dev/b rw", "root=/dev/a root=/dev/b rw"),
            (
                "a=\"b c\" -- single",
                " root=\"LABEL=x y\" ",
                "a=\"b c\" root=\"LABEL=x y\" -- single",
            ),
            ("coldplug.root=LABEL=a;LABEL=b ro", "root=LABEL=c", "ro root=LABEL=c"),
            ("coldplug.root=LABEL=a", "rw", "coldplug.root=LABEL=a rw"),
            ("root=/dev/a", "coldplug.root=LABEL=a", "root=/dev/a coldplug.root=LABEL=a"),
        ] {
            let have = with_words(line.as_bytes(), more);
            assert_eq!(have, want.as_bytes(), "{line} + {more}");
        }
        assert_eq!(with_words(b"a=\xf6 -- \xff", "b=\u{10ffe4}"), b"a=\xf6 b=\xe4 -- \xff");
        let line = with_words(b"root=/dev/a -- root=/dev/c", "root=\"LABEL=x y\"");
        assert_eq!(KernelCommandLine::parse(&line).root.spec(), "LABEL=x y");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_passed_on() {
        let line =
            b"m.id=M\xf6b \"m.x=a \xff\" init=/sbin/\xe4 coldplug.exec=\"echo \xfc\" wish=\xf6 \
            coldplug.\xf6=1 coldplug.jobs=\xf6 root=LABEL=M\xf6b -- m.z=\xc3\xb6 \xf6";
        let params = KernelCommandLine::parse(line);
        let mut config = crate::kmod::conf::Config::default();
        params.modules.add_to(&mut config);
        let options = config.options_of(&"m".into(), None);
        assert_eq!(options, b"id=M\xf6b x=\"a \xff\" z=\xc3\xb6");
        assert_eq!(params.boot.init.as_deref(), Some(&b"/sbin/\xe4"[..]));
        assert_eq!(params.boot.exec.as_deref(), Some(&b"echo \xfc"[..]));
        assert_eq!(params.root.spec(), "LABEL=M\u{10fff6}b");
        assert_eq!(
            warnings(&params),
            [
                "kernel command line: ignoring 'coldplug.\\xf6=1'",
                "kernel command line: ignoring 'coldplug.jobs=\\xf6'",
            ]
        );
    }

    #[test]
    fn names_options_and_paths_keep_their_bytes() {
        type Get = fn(&KernelCommandLine) -> String;
        let root: Get = |line| line.root.candidates().remove(0).name.to_string();
        let flags: Get = |line| line.root.flags.clone();
        let nfs: Get = |line| {
            let export = line.root.network.nfs.clone().unwrap_or_default();
            format!("{} {}", export.path, export.options)
        };
        let image: Get = |line| line.storage.as_ref().unwrap().image.clone().unwrap();
        let overlay: Get = |line| match line.storage.as_ref().unwrap().overlay.clone().unwrap() {
            storage::OverlayParams::Device(name) => name.to_string(),
            storage::OverlayParams::Tmpfs(size) => size.unwrap_or_default(),
        };
        let persist: Get = |line| line.boot.store.as_ref().unwrap().to_string();
        let rows: [(&[u8], Get, &[u8]); 22] = [
            (b"root=LABEL=M\xf6b", root, b"LABEL=M\xf6b"),
            (b"root=LABEL=\"M\xf6 b\"", root, b"LABEL=M\xf6 b"),
            (b"root=/dev/disk/by-label/M\\xf6\xe4", root, b"LABEL=M\xf6\xe4"),
            (b"root=PARTLABEL=\xed\xa0\xbd", root, b"PARTLABEL=\xed\xa0\xbd"),
            (b"root=/dev/mapper/\xf6", root, b"/dev/mapper/\xf6"),
            (b"root=ID=\xf6", root, b"/dev/disk/by-id/\xf6"),
            (b"root=tag\xff rootfstype=9p", root, b"tag\xff"),
            (b"root=ubi0:vol\x80", root, b"ubi0:vol\x80"),
            (b"coldplug.root=LABEL=\xf6,wait=3;LABEL=b", root, b"LABEL=\xf6"),
            // U+10FFF6, which is a character of its own.
            (b"root=LABEL=\xf4\x8f\xbf\xb6", root, b"LABEL=\xf4\x8f\xbf\xb6"),
            (b"rootflags=a=\"\xf6,b\",\xff", flags, b"a=\"\xf6,b\",\xff"),
            (b"rootflags=subvol=M\xc3\xb6b", flags, b"subvol=M\xc3\xb6b"),
            (b"mount.usrflags=x=\xe9", |line| line.root.usr.flags.clone(), b"x=\xe9"),
            (b"nfsroot=10.0.0.1:/\xf6,x=\xe4", nfs, b"/\xf6 x=\xe4"),
            (b"coldplug.image=/\xf6.img", image, b"/\xf6.img"),
            (b"coldplug.overlay=LABEL=\xf6", overlay, b"LABEL=\xf6"),
            (b"coldplug.overlay=tmpfs,size=\xf6", overlay, b"\xf6"),
            (b"coldplug.persist=LABEL=\xe4:/\xf6", persist, b"LABEL=\xe4:/\xf6"),
            (
                b"resume=LABEL=\xf6",
                |line| line.root.resume.as_ref().unwrap().to_string(),
                b"LABEL=\xf6",
            ),
            (b"coldplug.report=/\xf6", |line| line.boot.report.clone().unwrap(), b"/\xf6"),
            (b"coldplug.replay=/\xf6", |line| line.boot.replay.clone().unwrap(), b"/\xf6"),
            (b"ip=:::::\xf6:dhcp", |line| line.root.network.ip.device.clone().unwrap(), b"\xf6"),
        ];
        for (line, get, want) in rows {
            let have = get(&KernelCommandLine::parse(line));
            assert_eq!(&*byte_text::to_bytes(&have), want, "{}", escape::bytes(line));
        }
    }

    #[test]
    fn words_that_a_retry_cannot_change_are_named() {
        for (more, names) in [
            ("", &[][..]),
            ("root=LABEL=a rw coldplug.timeout=5 coldplug.log=debug", &[]),
            ("coldplug.break=mount \"panic=1\" rw", &["coldplug.break", "panic"]),
            (
                "coldplug.onfail=halt coldplug.shell=0 coldplug.watchdog=/dev/w coldplug.persist=x",
                &["coldplug.onfail", "coldplug.shell", "coldplug.watchdog", "coldplug.persist"],
            ),
            ("rw -- panic=1", &[]),
        ] {
            assert_eq!(without_effect_in_retry(more).collect::<Vec<_>>(), names, "{more}");
        }
    }

    #[test]
    fn kernel_words_in_another_form_are_left_to_the_kernel() {
        let p =
            KernelCommandLine::parse("root rootfstype ro=1 rw=1 quiet=1 init panic ip rdinit=/x");
        assert_eq!(p, KernelCommandLine::default());
        let p = KernelCommandLine::parse("rootwait=x ip=10 nfsroot=a:/b BOOTIF=1 coldplug.mask");
        let ignored = ["rootwait=x", "ip=10", "nfsroot=a:/b", "BOOTIF=1", "coldplug.mask"];
        assert_eq!(
            warnings(&p),
            ignored.map(|word| format!("kernel command line: ignoring '{word}'"))
        );
    }
}
