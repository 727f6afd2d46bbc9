//! The table of all parameters. The parser is made from it and, in the tests,
//! `docs/kernel-parameters.md`.
//!
//! A row holds the name, the syntax of the value, the meaning, and an expression that stores the
//! value and returns false if the value is malformed. The texts of a row exist only in the tests:
//! the programs do not carry them.

use super::Parser;
use super::boot::{
    ASYNC_PROBE, BREAKS, DECODE, ExitPort, LOCK, LOG_LEVELS, LogLevel, ON_FAILURE, SETTLE,
    WatchdogParams, jobs, led,
};
use super::modules::{ModuleParams, names};
use super::network::{IpConfig, NfsExport, mac};
use super::root::{
    FSCK_MODES, FSCK_REPAIRS, FsckMode, SYSTEMD_FSCK_MODES, candidate, fstypes, seconds,
};
use super::root_name::RootName;
use super::slots::environment;
use super::storage::{StorageParams, is_no};
use super::store_name::StoreName;
use super::words::{Word, extend, keyword, owned_list, set};

/// A row of the table, as the documents show it.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) group: Group,
    pub(super) name: &'static str,
    /// The value with its `=`; empty if there is none.
    pub(super) syntax: &'static str,
    /// One or two sentences in Markdown.
    pub(super) meaning: &'static str,
}

/// The groups of parameters, in the order of the documents.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Root,
    Storage,
    #[cfg(feature = "stacks")]
    Luks,
    #[cfg(feature = "stacks")]
    Assembly,
    Network,
    Modules,
    Loading,
    Boot,
}

/// Makes a parser function and a constant with the texts from rows of the table. The last row, `_`,
/// is for all words that no other row names.
macro_rules! parameters {
    ($table:ident, $parser:ident($target:ident: $type:ty, $word:ident);
     $($group:ident { $($name:literal, $syntax:literal, $meaning:literal => $store:expr;)* })*
     _ => $unknown:expr;) => {
        /// Stores the value of a word. Returns false if the value is malformed, or no row names the
        /// word.
        pub(super) fn $parser<'a>($target: &mut $type, $word: &Word<'a>) -> bool {
            match $word.key {
                $($($name => $store,)*)*
                _ => $unknown,
            }
        }

        /// The texts of the table.
        #[cfg(test)]
        pub(in crate::cmdline) const $table: &[Parameter] = &[$($(Parameter {
            group: Group::$group,
            name: $name,
            syntax: $syntax,
            meaning: $meaning,
        },)*)*];
    };
}

#[cfg(feature = "stacks")]
pub(super) mod stacks;

#[cfg(not(feature = "stacks"))]
use super::stacks::store as store_stack_parameter;
#[cfg(feature = "stacks")]
use stacks::store as store_stack_parameter;

// Words before `--`, except those of `MODULE_PARAMETERS`.
parameters! {
    BOOT_PARAMETERS, store_boot_parameter(line: Parser<'a>, word);

    Root {
        "root", "=NAME",
        "Root device. The forms of NAME are listed in [root.md](root.md). Without it the first \
         partition whose GPT type marks it as a root of this architecture is used (`gpt-auto`)."
            => word.with_value(|text| set(&mut line.root.kernel, Some(candidate(text))));
        "coldplug.root", "=NAME[,wait=SECONDS];NAME...",
        "Root devices to try in order, instead of `root=`. The first one that is found, can be \
         mounted and holds an init is used."
            => line.root.set_candidates(word.value_or_empty());
        "coldplug.slots", "=SLOT:NAME;SLOT:NAME",
        "Root devices of an A/B system, instead of `root=`. `coldplug.slots_env=` says which one is \
         tried: see [slots.md](slots.md)."
            => line.root.set_slots(word.value_or_empty());
        "coldplug.slots_env", "=DEVICE@OFFSET:SIZE[,DEVICE@OFFSET:SIZE]",
        "The U-Boot environment with the order of the slots and the attempts that are left to each; \
         two places are its two copies."
            => {
                let places = environment(word.value_or_empty());
                set(&mut line.root.slots_env, places)
            };
        "rootfstype", "=TYPE,TYPE",
        "Filesystem types to try in order. `auto` stands for the type that is detected, which is also \
         the default."
            => word.with_value(|text| set(&mut line.root.fstypes, Some(fstypes(text))));
        "rootflags", "=OPTION,OPTION",
        "Mount options of the root, as in fstab(5): see [root.md](root.md#mount-options)."
            => word.with_value(|text| set(&mut line.root.flags, Some(text.to_owned())));
        "ro", "",
        "Mounts the root read-only (default). `ro` and `rw` have priority over `rootflags=`."
            => word.flag(&mut line.root.writable, Some(false));
        "rw", "",
        "Mounts the root for writing."
            => word.flag(&mut line.root.writable, Some(true));
        "rootwait", "[=SECONDS]",
        "Waits for the root device without limit, or for this many seconds. Without limit, a root \
         that was found and cannot be mounted fails after 60 seconds, except on an NFS server."
            => set(&mut line.root.timeout, word.value.map_or(Some(None), |v| seconds(v).map(Some)));
        "rootdelay", "=SECONDS",
        "Pause before the root device is looked for."
            => word.with_value(|text| set(&mut line.root.delay, seconds(text)));
        "coldplug.timeout", "=SECONDS",
        "Longest wait for the root device (default 60)."
            => set(&mut line.root.timeout, seconds(word.value_or_empty()).map(Some));
        "coldplug.probe_timeout", "=SECONDS",
        "Longest wait for the superblock of one disk (default 10). Then the boot goes on without \
         the disk; a later answer is used all the same."
            => set(&mut line.root.probe_timeout, seconds(word.value_or_empty()));
        "coldplug.fsck", "=auto|no|force",
        "Whether filesystems are checked before they are mounted, if the image holds `fsck.TYPE` \
         (default `auto`). `force` checks even filesystems that are marked clean."
            => set(&mut line.root.fsck, keyword(word.value_or_empty(), &FSCK_MODES));
        "fsck.mode", "=auto|skip|force",
        "Same as `coldplug.fsck=`, in systemd's words."
            => set(&mut line.root.fsck, keyword(word.value_or_empty(), &SYSTEMD_FSCK_MODES));
        "fastboot", "",
        "Same as `coldplug.fsck=no`."
            => word.flag(&mut line.root.fsck, FsckMode::No);
        "forcefsck", "",
        "Same as `coldplug.fsck=force`."
            => word.flag(&mut line.root.fsck, FsckMode::Force);
        "rd.skipfsck", "[=BOOL]",
        "Same as `coldplug.fsck=no`."
            => is_no(word.value_or_empty()) || set(&mut line.root.fsck, Some(FsckMode::No));
        "fsck.repair", "=preen|yes|no",
        "Errors that a check corrects: those that need no decision (`-a`, default), all (`-y`) or \
         none (`-n`)."
            => set(&mut line.root.fsck_repair, keyword(word.value_or_empty(), &FSCK_REPAIRS));
        "coldplug.fsck_timeout", "=SECONDS",
        "Longest time that the check of a filesystem may take (default 14400, four hours). After \
         it the check is killed and the boot fails."
            => set(&mut line.root.fsck_timeout, seconds(word.value_or_empty()));
        "mount.usr", "=NAME",
        "Device of a separate /usr, mounted before switch_root."
            => word.with_value(|text| set(&mut line.root.usr.name, Some(RootName::parse(text))));
        "mount.usrfstype", "=TYPE,TYPE",
        "Filesystem types of /usr to try in order; `auto` as in `rootfstype=`."
            => word.with_value(|text| set(&mut line.root.usr.fstypes, Some(fstypes(text))));
        "mount.usrflags", "=OPTION,OPTION",
        "Mount options of /usr, as in fstab(5). Without `mount.usr=` they mount /usr from the \
         device of the root: a subvolume of btrfs, for example."
            => word.with_value(|text| set(&mut line.root.usr.flags, Some(text.to_owned())));
        "resume", "=NAME",
        "Device that may hold a hibernated system, which the kernel then resumes."
            => word.with_value(|text| set(&mut line.root.resume, Some(RootName::parse(text))));
        "resume_offset", "=PAGES",
        "Offset of a swap file on the device of `resume=`."
            => word.with_value(|text| set(&mut line.root.resume_offset, text.parse().ok()));
        "noresume", "",
        "Cancels `resume=`."
            => word.flag(&mut line.root.resume, None);
        "init", "=PATH",
        "The real init. Without it /sbin/init, /etc/init, /bin/init and /bin/sh are tried in this \
         order."
            => word.with_value(|_| set(&mut line.boot.init, word.owned_bytes().map(Some)));
    }
    Storage {
        "coldplug.verity", "=roothash=HEX,data=NAME,hash=NAME[,OPTION...]",
        "Verifies the root with dm-verity."
            => line.storage.store(word, StorageParams::set_verity);
        "roothash", "=HEX",
        "Root hash of dm-verity, as in systemd. Without names of devices, its first and last 128 \
         bits are the PARTUUIDs of the data and the hash partition."
            => set(&mut line.storage.systemd.root_hash, Some(word.non_empty()));
        "systemd.verity_root_data", "=NAME",
        "Data device for `roothash=`."
            => set(&mut line.storage.systemd.data, Some(word.non_empty()));
        "systemd.verity_root_hash", "=NAME",
        "Hash device for `roothash=`."
            => set(&mut line.storage.systemd.hash, Some(word.non_empty()));
        "systemd.verity_root_options", "=OPTION,OPTION",
        "Options for `roothash=`."
            => set(&mut line.storage.systemd.options, Some(word.non_empty()));
        "systemd.verity", "=BOOL",
        "`no` ignores `roothash=`."
            => set(&mut line.storage.systemd.off, Some(is_no(word.value_or_empty())));
        "rd.systemd.verity", "=BOOL",
        "Same as `systemd.verity=`."
            => set(&mut line.storage.systemd.off, Some(is_no(word.value_or_empty())));
        "coldplug.image", "=/PATH",
        "The root is a filesystem in this file on the device of `root=`."
            => line.storage.store(word, StorageParams::set_image);
        "coldplug.overlay", "=tmpfs[,size=SIZE]|NAME",
        "Mounts the root read-only below an overlay. Writes go to memory or to the filesystem on \
         device NAME."
            => line.storage.store(word, StorageParams::set_overlay);
        "ubi.mtd", "=NUMBER|NAME|/dev/mtdN[,...]",
        "Flash that the module `ubi` attaches. The module is loaded when this flash is there."
            => line.storage.store(word, StorageParams::add_ubi_mtd);
    }
    Network {
        "ip", "=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF:DNS0:DNS1",
        "Address for a root on a server. Fields may be empty, trailing fields omitted. \
         `ip=AUTOCONF` and `ip=DEVICE:AUTOCONF` are short forms. AUTOCONF is `off`, `none` or \
         `static` for no DHCP; `on`, `any`, `both`, `all`, `dhcp` (default) or `dhcp4` for DHCP. \
         A number after AUTOCONF is the MTU, as in dracut."
            => word.with_value(|text| set(&mut line.root.network.ip, IpConfig::parse(text)));
        "nfsroot", "=[SERVER:]PATH[,OPTIONS]",
        "Directory on an NFS server that is the root, with mount options."
            => word.with_value(|text| {
                set(&mut line.root.network.nfs, NfsExport::parse(text).map(Some))
            });
        "BOOTIF", "=01-AA-BB-CC-DD-EE-FF",
        "Network interface of the boot loader, by its hardware address."
            => word.with_value(|text| set(&mut line.root.network.boot_mac, mac(text).map(Some)));
    }
    Loading {
        "coldplug.modules", "=MODULE,MODULE",
        "Modules to load before the first scan for devices."
            => set(&mut line.boot.extra_modules, Some(owned_list(word.value_or_empty())));
        "rd.driver.pre", "=MODULE,MODULE",
        "Modules to load before the first scan, as in dracut. May be repeated."
            => extend(&mut line.boot.pre_modules, word);
        "modules_load", "=MODULE,MODULE",
        "Modules to load besides those of devices, as in systemd: see \
         [loading.md](loading.md#modules-that-no-device-asks-for). May be repeated."
            => extend(&mut line.boot.more_modules, word);
        "rd.modules_load", "=MODULE,MODULE",
        "Same as `modules_load=`; the real system ignores it."
            => extend(&mut line.boot.more_modules, word);
        "rd.driver.post", "=MODULE,MODULE",
        "Same as `rd.modules_load=`. dracut loads these after all others."
            => extend(&mut line.boot.more_modules, word);
        "coldplug.settle", "=all|root",
        "When to switch to the root: when the modules of all devices are loaded (default), or as \
         soon as the root is mounted. /run/coldplug/remaining then lists the modules that are \
         missing, and `coldplug finish` loads them."
            => set(&mut line.boot.settle, keyword(word.value_or_empty(), &SETTLE));
        "coldplug.jobs", "=N",
        "Number of modules that are loaded in parallel, 1 to 256 (default: processors + 2). 1 \
         loads sequentially, in the same order in every boot. See [loading.md](loading.md)."
            => set(&mut line.boot.jobs, jobs(word.value_or_empty()).map(Some));
        "coldplug.async", "=none|storage|all",
        "Modules to load with the parameter `async_probe`: none (default), drivers of storage, or \
         all."
            => set(&mut line.boot.async_probe, keyword(word.value_or_empty(), &ASYNC_PROBE));
        "coldplug.module_timeout", "=SECONDS",
        "Longest time for which the boot waits for the init of a module or for its install \
         command; then the module counts as failed. Default: 0, no limit. A module that takes \
         longer than 10 seconds is reported in any case."
            => set(&mut line.boot.module_timeout, seconds(word.value_or_empty()));
        "coldplug.alone", "=MODULE,MODULE",
        "Modules to load exclusively, while no other load runs."
            => set(&mut line.boot.exclusive, Some(owned_list(word.value_or_empty())));
        "coldplug.replay", "=PATH",
        "Loads modules in the order of an earlier boot record in the image, each after the \
         previous one is loaded."
            => set(&mut line.boot.replay, word.owned_value().map(Some));
        "coldplug.seed", "=N",
        "Shuffles the modules that are ready to load. Equal numbers produce equal orders."
            => set(&mut line.boot.seed, word.value_or_empty().parse().ok().map(Some));
        "coldplug.decode", "=kernel|user",
        "Where compressed modules are decompressed: in the kernel if it knows the format \
         (default), or always in user space."
            => set(&mut line.boot.decode, keyword(word.value_or_empty(), &DECODE));
        "coldplug.rcvbuf", "=BYTES",
        "Size of the receive buffer for uevents (default 16 MiB); for tests."
            => set(&mut line.boot.rcvbuf, word.value_or_empty().parse().ok().map(Some));
        "deferred_probe_timeout", "=SECONDS",
        "The kernel's limit on waiting for suppliers. If modules are loaded later than that, a \
         warning is logged."
            => word.with_value(|text| {
                set(&mut line.boot.deferred_timeout, Some(text.parse().ok()))
            });
    }
    Boot {
        "coldplug.onfail", "=shell|reboot|poweroff|halt",
        "What to do if the boot fails. Default: as set by `panic=`, otherwise a shell: see \
         [rescue.md](rescue.md)."
            => {
                let action = keyword(word.value_or_empty(), &ON_FAILURE);
                set(&mut line.boot.on_failure, action.map(Some))
            };
        "panic", "=SECONDS",
        "If not 0 and without `coldplug.onfail=`, a boot that fails restarts the machine as a \
         kernel panic would."
            => word.with_value(|text| set(&mut line.boot.panic, Some(text.parse().ok())));
        "coldplug.break", "=scan|mount|switch",
        "Pauses the boot for a shell before the first scan, before the root is mounted, or before \
         switch_root."
            => set(&mut line.boot.break_at, keyword(word.value_or_empty(), &BREAKS).map(Some));
        "coldplug.shell", "=0|1",
        "`0` refuses every shell, that of `coldplug.break=` too (default 1). A boot that fails then \
         follows `panic=` or waits for a reset. Any value other than `1` is read as `0`."
            => set(&mut line.boot.no_shell, Some(word.value_or_empty() != "1"));
        "coldplug.log", "=error|warn|info|debug",
        "Least severe messages on the console (default `info`, which has a line for each \
         milestone of the boot; with `quiet` `error`, with `debug` `debug`). The verdict is always \
         printed. The kernel log receives all messages."
            => set(&mut line.boot.own_level, keyword(word.value_or_empty(), &LOG_LEVELS).map(Some));
        "quiet", "",
        "Same as `coldplug.log=error`, which takes precedence."
            => word.flag(&mut line.boot.kernel_level, LogLevel::Error);
        "debug", "",
        "Same as `coldplug.log=debug`, which takes precedence."
            => word.flag(&mut line.boot.kernel_level, LogLevel::Debug);
        "coldplug.report", "=PATH",
        "Also writes the boot record to PATH: a file of the real root, or a serial or virtio \
         port, /dev/virtio-ports/NAME for one by its name. A port gets the milestones of the boot \
         first, each as it is reached: see [harness.md](harness.md#milestones). A child process writes it, which needs /proc in the real root. A port that accepts \
         nothing for two seconds, or a port or disk that takes longer than 30 seconds, is given up \
         with a warning. Block devices are refused, and below /dev no file is created. On a console the \
         record is written in [lines](record.md#on-a-console) between its messages."
            => set(&mut line.boot.report, word.owned_value().map(Some));
        "coldplug.capture", "=PATH",
        "Writes what `coldplug scan --save` does to PATH when the boot ends, for `coldplug plan \
         --from`: see [plan.md](plan.md#over-a-serial-line). PATH is as in `coldplug.report=`."
            => set(&mut line.boot.capture, word.owned_value().map(Some));
        "coldplug.watchdog", "=/dev/NAME[,SECONDS]",
        "Starts this watchdog as soon as its device appears, with the timeout of its driver or \
         this one, and pings it until the real init takes it over: see \
         [unattended.md](unattended.md)."
            => {
                let watchdog = WatchdogParams::parse(word.value_or_empty());
                set(&mut line.boot.watchdog, watchdog.map(Some))
            };
        "coldplug.led", "=NAME",
        "Shows the state of the boot by the LED /sys/class/leds/NAME: see \
         [unattended.md](unattended.md#led)."
            => set(&mut line.boot.led, led(word.value_or_empty()).map(Some));
        "coldplug.lock", "=0|1",
        "With 1 no module can be loaded or removed after the switch until the next boot \
         (kernel.modules_disabled). `coldplug.settle=root` is then ignored, and modules that are \
         still loading at the switch are named in a warning."
            => set(&mut line.boot.lock, keyword(word.value_or_empty(), &LOCK));
        "coldplug.persist", "=NAME[:/PATH]",
        "Stores a boot that fails on the device NAME, or in the file PATH on its filesystem, and \
         reports a stored boot. The names are those of `root=`: see [unattended.md](unattended.md)."
            => set(&mut line.boot.store, StoreName::parse(word.value_or_empty()).map(Some));
        "coldplug.exec", "=COMMAND|@NAME [WORDS]",
        "Runs COMMAND in the real root instead of its init, then powers off. `@NAME` is a script from \
         the image, from fw_cfg of QEMU or from a virtio port, which gets WORDS: see \
         [harness.md](harness.md#commands-and-scripts). The verdict line reports the exit status \
         as `exit=`."
            => set(&mut line.boot.exec, word.owned_bytes().map(Some));
        "coldplug.exitport", "=PORT|semihosting",
        "Ends the virtual machine with an exit status by verdict, or by that of `coldplug.exec=`: \
         see [harness.md](harness.md#exit-status). PORT is the I/O port of QEMU's isa-debug-exit, such \
         as 0xf4; `semihosting` is for ARM64 and RISC-V. Without `coldplug.onfail=` a boot that \
         fails ends there too, and powers off if that is not possible."
            => set(&mut line.boot.exit_port, ExitPort::parse(word.value_or_empty()).map(Some));
    }
    _ => store_stack_parameter(&mut line.stacks, word);
}

// Words of modprobe(8) and the kernel, wherever they stand. The value is present.
parameters! {
    MODULE_PARAMETERS, store_module_parameter(modules: ModuleParams, word);

    Modules {
        "modprobe.blacklist", "=MODULE,MODULE",
        "Modules that are never loaded for a device."
            => { modules.blacklist.extend(names(word.bytes_or_empty())); true };
        "rd.driver.blacklist", "=MODULE,MODULE",
        "Same as `modprobe.blacklist=`."
            => { modules.blacklist.extend(names(word.bytes_or_empty())); true };
        "module_blacklist", "=MODULE,MODULE",
        "Modules that the kernel refuses to load at all."
            => { modules.kernel_blacklist.extend(names(word.bytes_or_empty())); true };
        "coldplug.mask", "=PATTERN,PATTERN",
        "Modules that coldplug never loads, not even as dependencies: see \
         [modprobe.d.md](modprobe.d.md)."
            => { modules.add_masks(word.bytes_or_empty()); true };
        "coldplug.rules", "=RULE,RULE",
        "`merge-softdeps` and `install-first`, as `rule` in modprobe.d: see \
         [modprobe.d.md](modprobe.d.md)."
            => { modules.set_rules(word.value_or_empty()); true };
        "MODULE.PARAM", "[=VALUE]",
        "Parameter of a module. It takes precedence over `options` in modprobe.d."
            => false;
    }
    _ => false;
}
