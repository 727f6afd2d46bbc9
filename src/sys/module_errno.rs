//! What an errno means for a module: the one table for all commands.
//!
//! finit_module(2), init_module(2) and the checks before them use errno values in meanings of their
//! own: ENOENT is an unknown symbol. kmod's insmod and modprobe each have their wording for some of
//! them (`mod_strerror` of tools/insmod.c, `insmod_insert` of tools/modprobe.c); scripts compare
//! it. The causes are ours: kernel/module/*.c and the man pages say when the kernel returns which
//! errno.

use rustix::io::Errno;

use super::errno;

/// The last place to look at, if nothing else is known.
pub(crate) const KERNEL_LOG: &str = "the kernel log";

/// What an errno means for a module that was not loaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meaning {
    errno: Errno,
    /// The cause, as a sentence without a full stop; `it` is the module.
    pub(crate) cause: &'static str,
    /// Where to find out more, to be put after "see"; empty if the cause says it all.
    pub(crate) see: &'static str,
}

const MEANINGS: [Meaning; 14] = [
    Meaning {
        errno: Errno::PERM,
        cause: "forbidden by module_blacklist=, lockdown, kernel.modules_disabled or a lack of \
                CAP_SYS_MODULE",
        see: "",
    },
    Meaning {
        errno: Errno::NOENT,
        cause: "it needs a symbol that neither the kernel nor a loaded module has, or a parameter \
                is unknown",
        see: KERNEL_LOG,
    },
    Meaning {
        errno: Errno::SRCH,
        cause: "it was built against other versions of the symbols it uses; rebuild it for this \
                kernel",
        see: "",
    },
    Meaning {
        errno: Errno::NOEXEC,
        cause: "it is damaged, or was built for another kernel version, machine or configuration",
        see: "modinfo -F vermagic and the kernel log",
    },
    Meaning { errno: Errno::NOMEM, cause: "the kernel has not enough memory for it", see: "" },
    Meaning {
        errno: Errno::BUSY,
        cause: "another driver holds its hardware, or another load of it failed",
        see: KERNEL_LOG,
    },
    Meaning {
        errno: Errno::EXIST,
        cause: "it is loaded or built in, or another driver is already registered in its place",
        see: "/proc/modules",
    },
    Meaning {
        errno: Errno::NODEV,
        cause: "its driver found no device that it can drive",
        see: KERNEL_LOG,
    },
    Meaning {
        errno: Errno::INVAL,
        cause: "a parameter value is wrong, or it was built for another kernel configuration",
        see: "modinfo -p and the kernel log",
    },
    Meaning {
        errno: Errno::NOSYS,
        cause: "this kernel was built without loadable modules",
        see: "",
    },
    Meaning {
        errno: Errno::NODATA,
        cause: "it has no version magic to ignore; try --force-modversion alone",
        see: "",
    },
    Meaning { errno: Errno::BADMSG, cause: "its signature trailer is damaged", see: "" },
    Meaning {
        errno: Errno::NOKEY,
        cause: "the kernel has no key for its signature",
        see: "modinfo -F signer and /proc/keys",
    },
    Meaning {
        errno: Errno::KEYREJECTED,
        cause: "its signature is wrong, or it has none and the kernel requires one \
                (module.sig_enforce, lockdown)",
        see: "modinfo -F signer",
    },
];

/// kmod's wording where it differs from strerror(3): errno, insmod, modprobe.
const KMOD: [(Errno, Option<&str>, Option<&str>); 5] = [
    (
        Errno::NOENT,
        Some("Unknown symbol in module"),
        Some("Unknown symbol in module, or unknown parameter (see dmesg)"),
    ),
    (Errno::NOEXEC, Some("Invalid module format"), None),
    (Errno::SRCH, Some("Module has wrong symbol version"), None),
    (Errno::INVAL, Some("Invalid parameters"), None),
    (Errno::EXIST, None, Some("Module already in kernel")),
];

/// Returns what `errno` means for a module, or `None` if the kernel has no general meaning for it:
/// then the module's own init returned it.
pub(crate) fn meaning(errno: Errno) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| meaning.errno == errno)
}

/// Returns insmod's text for `errno`.
pub(crate) fn insmod_text(errno: Errno) -> String {
    kmod_text(errno, |(_, insmod, _)| *insmod)
}

/// Returns modprobe's text for `errno`.
pub(crate) fn modprobe_text(errno: Errno) -> String {
    kmod_text(errno, |(_, _, modprobe)| *modprobe)
}

type KmodRow = (Errno, Option<&'static str>, Option<&'static str>);

fn kmod_text(errno: Errno, column: impl Fn(&KmodRow) -> Option<&'static str>) -> String {
    let row = KMOD.iter().find(|(known, ..)| *known == errno);
    row.and_then(column).map_or_else(|| errno::text(errno), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kmod_words_differ_by_tool() {
        for (errno, insmod, modprobe) in [
            (Errno::INVAL, "Invalid parameters", "Invalid argument"),
            (Errno::EXIST, "File exists", "Module already in kernel"),
            (Errno::PERM, "Operation not permitted", "Operation not permitted"),
        ] {
            assert_eq!((&*insmod_text(errno), &*modprobe_text(errno)), (insmod, modprobe));
        }
    }

    #[test]
    fn an_errno_of_an_init_has_no_general_meaning() {
        assert!(meaning(Errno::NOKEY).is_some_and(|m| m.see.ends_with("/proc/keys")));
        assert!(meaning(Errno::NXIO).is_none());
    }
}
