//! Parameters of what a program built without the feature `full` cannot do. They are named in a
//! warning; those without which another root would start end the boot.

use super::words::Word;

/// What the program lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lack {
    /// The feature, in words.
    pub(super) feature: &'static str,
    /// Whether the boot fails: without the parameter it would start something else than was asked
    /// for.
    pub(super) is_fatal: bool,
}

const VERITY: &str = "dm-verity";
const RECORD: &str = "boot record";
const HIBERNATION: &str = "resume from hibernation";
const NETWORK: &str = "network";
const FSCK: &str = "filesystem check";
const SLOTS: &str = "slots";

/// The parameters by name, the feature that each asks for, and whether the boot fails without it.
const LACKS: [(&str, &str, bool); 25] = [
    ("coldplug.verity", VERITY, true),
    ("roothash", VERITY, true),
    ("coldplug.image", "root in an image file", true),
    ("coldplug.overlay", "overlay", true),
    ("ubi.mtd", "UBI", true),
    ("coldplug.slots", SLOTS, true),
    ("coldplug.slots_env", SLOTS, false),
    ("resume", HIBERNATION, false),
    ("resume_offset", HIBERNATION, false),
    ("nfsroot", NETWORK, false),
    ("ip", NETWORK, false),
    ("BOOTIF", NETWORK, false),
    ("coldplug.fsck", FSCK, false),
    ("coldplug.fsck_timeout", FSCK, false),
    ("fsck.mode", FSCK, false),
    ("fsck.repair", FSCK, false),
    ("forcefsck", FSCK, false),
    ("coldplug.replay", RECORD, false),
    ("coldplug.report", RECORD, false),
    ("coldplug.exec", "scripts", true),
    ("coldplug.exitport", "exit port", false),
    ("coldplug.break", "shell", false),
    ("coldplug.persist", "stored boot", false),
    ("coldplug.onfail", "shell", false),
    ("coldplug.led", "LED control", false),
];

/// Returns what this program lacks for a word of the command line.
pub(super) fn lack(word: &Word<'_>) -> Option<Lack> {
    if cfg!(feature = "full") { None } else { lack_of(word.key, word.value_or_empty()) }
}

fn lack_of(key: &str, value: &str) -> Option<Lack> {
    // The words that ask for what a program without the feature does anyway.
    let is_harmless = match key {
        "coldplug.exec" => !value.starts_with('@'),
        "coldplug.onfail" => value != "shell",
        "coldplug.fsck" | "fsck.mode" => value != "force",
        _ => false,
    };
    let row = LACKS.iter().find(|(name, ..)| *name == key && !is_harmless);
    row.map(|&(_, feature, is_fatal)| Lack { feature, is_fatal })
}

#[cfg(test)]
mod tests {
    use super::super::parameters::BOOT_PARAMETERS;
    use super::*;

    #[test]
    fn every_parameter_exists() {
        for (name, ..) in LACKS {
            assert!(BOOT_PARAMETERS.iter().any(|row| row.name == name), "{name}");
        }
    }

    #[test]
    fn parameters_are_named_unless_nothing_is_lost() {
        for (key, value, want) in [
            ("coldplug.overlay", "tmpfs", Some(("overlay", true))),
            ("coldplug.slots", "A:LABEL=a", Some(("slots", true))),
            ("coldplug.led", "x", Some(("LED control", false))),
            ("coldplug.break", "mount", Some(("shell", false))),
            ("coldplug.exec", "@test", Some(("scripts", true))),
            ("coldplug.exec", "reboot -f", None),
            ("coldplug.onfail", "shell", Some(("shell", false))),
            ("coldplug.onfail", "reboot", None),
            ("fsck.mode", "skip", None),
            ("fsck.mode", "force", Some(("filesystem check", false))),
            ("root", "/dev/vda", None),
        ] {
            let have = lack_of(key, value).map(|lack| (lack.feature, lack.is_fatal));
            assert_eq!(have, want, "{key}={value}");
        }
    }
}
