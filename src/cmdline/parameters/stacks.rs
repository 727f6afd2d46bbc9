//! The rows of LUKS devices, logical volumes and arrays.

#[cfg(test)]
use super::{Group, Parameter};
use crate::cmdline::root::seconds;
use crate::cmdline::stacks::StackParams;
use crate::cmdline::storage::is_no;
use crate::cmdline::words::{Word, keyword, set};

parameters! {
    STACK_PARAMETERS, store_stack_parameter(stacks: StackParams, word);

    Luks {
        "rd.luks.uuid", "=UUID",
        "LUKS device to unlock, by the UUID of its header or the first digits of it. May be \
         repeated. Its name is `luks-UUID`, unless `rd.luks.name=` or /etc/crypttab has another."
            => stacks.luks.add_uuid(word.value_or_empty());
        "rd.luks.name", "=UUID=NAME",
        "LUKS device to unlock, and its name below /dev/mapper. May be repeated."
            => stacks.luks.set_name(word.value_or_empty());
        "rd.luks.options", "=[UUID=]OPTION,OPTION",
        "Options of a LUKS device, or of all that have none of their own: see \
         [encrypted-root.md](encrypted-root.md#options)."
            => stacks.luks.set_options(word.value_or_empty());
        "rd.luks.key", "=[UUID=]PATH[:NAME]",
        "Key file: of the image, or on the filesystem of device NAME. dracut's form \
         `PATH:NAME:UUID=UUID` is read too."
            => stacks.luks.set_key(word.value_or_empty());
        "rd.luks.data", "=UUID=NAME",
        "Device of the data, if the header with this UUID is elsewhere (option `header=`)."
            => stacks.luks.set_data(word.value_or_empty());
        "rd.luks.allow-discards", "[=UUID]",
        "Same as the option `discard`, as in dracut."
            => stacks.luks.allow_discards(word.value);
        "rd.luks.timeout", "=SECONDS",
        "Same as the option `timeout=`, as in dracut."
            => stacks.luks.set_timeout(word.value_or_empty());
        "rd.luks", "=BOOL",
        "`no` unlocks no LUKS device."
            => set(&mut stacks.luks.off, Some(is_no(word.value_or_empty())));
        "rd.luks.crypttab", "=BOOL",
        "`no` ignores /etc/crypttab of the image."
            => set(&mut stacks.luks.no_crypttab, Some(is_no(word.value_or_empty())));
        "cryptdevice", "=NAME:MAPPING[:OPTION,OPTION]",
        "LUKS device to unlock and its name below /dev/mapper, as in mkinitcpio."
            => stacks.luks.set_cryptdevice(word.value_or_empty());
        "cryptkey", "=NAME:TYPE:PATH",
        "Key file for `cryptdevice=`: on a filesystem of this TYPE (or `auto`). Further forms are \
         `rootfs:PATH`, a file of the image, and `NAME:OFFSET:SIZE`, bytes of a device."
            => stacks.luks.set_cryptkey(word.value_or_empty());
    }
    Assembly {
        "rd.lvm.lv", "=VG/LV",
        "Logical volume to activate, besides those whose names the boot waits for. May be \
         repeated. Other volumes are not searched for a UUID or label then."
            => stacks.assembly.add_volume(word.value_or_empty());
        "rd.lvm.vg", "=VG",
        "Volume group whose volumes are all activated, by its name or UUID. May be repeated. Of \
         several groups with one name, only one that is chosen by its UUID is used."
            => stacks.assembly.add_group(word.value_or_empty());
        "rd.lvm", "=BOOL",
        "`no` activates no logical volume."
            => set(&mut stacks.assembly.no_lvm, Some(is_no(word.value_or_empty())));
        "coldplug.lvm", "=degraded",
        "Activates a volume whose physical volumes are partly missing, if its redundancy allows \
         it. Without this word it is not activated."
            => set(&mut stacks.assembly.degraded_lvm, keyword(word.value_or_empty(), &DEGRADED));
        "rd.md.uuid", "=UUID",
        "Array to start, by its UUID or the first digits of it. May be repeated. No other array \
         is started then."
            => stacks.assembly.add_md_uuid(word.value_or_empty());
        "rd.md", "=BOOL",
        "`no` starts no array."
            => set(&mut stacks.assembly.no_md, Some(is_no(word.value_or_empty())));
        "md", "=[d]N,NAME,NAME",
        "Gives the array with one of these members the name /dev/mdN, as in the kernel. Arrays \
         without superblocks are not started."
            => word.with_value(|text| stacks.assembly.add_md_array(text));
        "raid", "=noautodetect",
        "Starts only arrays that `rd.md.uuid=` names."
            => word.with_value(|text| stacks.assembly.set_raid(text));
        "coldplug.md_timeout", "=SECONDS",
        "Longest wait for the missing members of an array (default 30). Then the array is started \
         degraded, if its level allows it."
            => set(&mut stacks.assembly.md_timeout, seconds(word.value_or_empty()));
        "coldplug.assemble_timeout", "=SECONDS",
        "Longest time that a program of /etc/coldplug/assemble.d may take (default 60). Then it is \
         killed."
            => set(&mut stacks.assembly.program_timeout, seconds(word.value_or_empty()));
        "coldplug.md", "=dirty",
        "Also starts an array of level 4, 5 or 6 that is degraded and was not shut down cleanly. \
         Blocks that were being written may be lost."
            => set(&mut stacks.assembly.dirty_md, keyword(word.value_or_empty(), &DIRTY));
        "rd.auto", "[=BOOL]",
        "Assembles everything that is found, not only what leads to the root."
            => set(&mut stacks.assembly.all, Some(!is_no(word.value_or_empty())));
    }
    // Another program's word, unless it has our prefix.
    _ => !word.key.starts_with("coldplug.");
}

/// The words of systemd that the initramfs and the real system both obey.
const SHARED: [(&str, &str); 7] = [
    ("luks", "rd.luks"),
    ("luks.crypttab", "rd.luks.crypttab"),
    ("luks.uuid", "rd.luks.uuid"),
    ("luks.name", "rd.luks.name"),
    ("luks.data", "rd.luks.data"),
    ("luks.key", "rd.luks.key"),
    ("luks.options", "rd.luks.options"),
];

/// Stores the value of a word. Returns false if the value is malformed, or the word has our prefix
/// and is unknown.
pub(in crate::cmdline) fn store<'a>(stacks: &mut StackParams, word: &Word<'a>) -> bool {
    let key = keyword(word.key, &SHARED).unwrap_or(word.key);
    store_stack_parameter(stacks, &Word { key, ..*word })
}

const DEGRADED: [(&str, bool); 1] = [("degraded", true)];
const DIRTY: [(&str, bool); 1] = [("dirty", true)];
