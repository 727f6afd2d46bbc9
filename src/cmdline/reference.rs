//! The text of `docs/kernel-parameters.md`, made from the table of parameters.

use std::fmt::Write;

use super::parameters::stacks::STACK_PARAMETERS;
use super::parameters::{BOOT_PARAMETERS, Group, MODULE_PARAMETERS, Parameter};

const FILE: &str = "docs/kernel-parameters.md";

const INTRODUCTION: &str = "\
# Kernel parameters

coldplug reads the kernel command line from /proc/cmdline. Its own parameters begin with
`coldplug.`; the others belong to the kernel, systemd or dracut and mean the same here.

- If a parameter occurs more than once, the last value is used.
- A value with spaces needs quotes: `root=\"LABEL=my root\"` or `\"root=LABEL=my root\"`.
- Words after `--` are passed to the real init. coldplug ignores them, except for those under
  [Modules](#modules).
- An unknown `coldplug.` parameter and a malformed value are ignored with a warning on the console
  and in the boot record. A malformed [storage](#storage) parameter ends the boot with the verdict
  `mount-failed`.
- NAME is a device in any form that [root.md](root.md) lists, such as `/dev/vda1`, `UUID=`,
  `LABEL=`, `PARTUUID=` and `PARTLABEL=`. The entries of a list are separated by commas.
- SECONDS are whole numbers.

This file is made from `src/cmdline/parameters.rs`: run `BLESS=1 cargo test --lib cmdline` after a
change there.
";

/// A section of the document.
struct Section {
    group: Group,
    title: &'static str,
    /// Text above the table.
    introduction: &'static str,
    /// Text below the table.
    notes: &'static str,
}

const SECTIONS: [Section; 8] = [
    Section {
        group: Group::Root,
        title: "Root filesystem",
        introduction: "\
[root.md](root.md) describes the forms of NAME, several roots, /usr, hibernation and checks.
",
        notes: "",
    },
    Section {
        group: Group::Storage,
        title: "Storage",
        introduction: "\
[stacks.md](stacks.md) describes what these parameters set up and how they combine.
",
        notes: VERITY_OPTIONS,
    },
    Section {
        group: Group::Luks,
        title: "Encrypted devices",
        introduction: "\
[encrypted-root.md](encrypted-root.md) describes keys, /etc/crypttab and the prompt. Without these
parameters, a LUKS device is unlocked if the root is not found otherwise. The words `rd.luks`,
`rd.luks.uuid`, `.name`, `.data`, `.key`, `.options` and `.crypttab` may be written without `rd.`.
",
        notes: "",
    },
    Section {
        group: Group::Assembly,
        title: "Logical volumes and arrays",
        introduction: "\
[lvm-and-md-root.md](lvm-and-md-root.md) describes what is assembled without these parameters.
",
        notes: "",
    },
    Section {
        group: Group::Network,
        title: "Network",
        introduction: "\
The network is set up only for a root on NFS: `root=/dev/nfs`, `root=nfs:SERVER:PATH` and other
forms in [network-root.md](network-root.md).
",
        notes: "",
    },
    Section {
        group: Group::Modules,
        title: "Modules",
        introduction: "\
PID 1, `modprobe` and the helper that the kernel calls obey these.
",
        notes: "",
    },
    Section {
        group: Group::Loading,
        title: "Loading",
        introduction: "\
[loading.md](loading.md) describes the order in which modules are loaded.
",
        notes: "",
    },
    Section {
        group: Group::Boot,
        title: "Boot and failure",
        introduction: "\
A boot that fails prints its verdict before it does what these parameters say.
",
        notes: "",
    },
];

const VERITY_OPTIONS: &str = "\
OPTION of `coldplug.verity=` is one of:

| option | meaning |
| --- | --- |
| `hashoffset=BYTES` | Offset of the superblock on the hash device, which may be the data device. |
| `superblock=no` | There is no superblock; `datablocks=` is then required. |
| `salt=HEX` `algorithm=NAME` `format=N` | Without a superblock: default none, sha256 and 1. |
| `datablocksize=BYTES` `hashblocksize=BYTES` | Without a superblock: default 4096. |
| `datablocks=N` | Number of data blocks. |
| `fecdevice=NAME` `fecoffset=BYTES` `fecroots=N` | Error correction. |
| `ignore-corruption` `restart-on-corruption` `panic-on-corruption` | Reaction of the kernel to a \
corrupt block, besides an I/O error. |
| `ignore-zero-blocks` `check-at-most-once` `try-verify-in-tasklet` | As in veritysetup(8). |

`systemd.verity_root_options=` spells them with dashes (`hash-offset=`) and the algorithm `hash=`.
Signatures of root hashes are not supported. An unknown option ends the boot.
";

/// Returns the rows of all tables.
fn rows() -> impl Iterator<Item = &'static Parameter> {
    BOOT_PARAMETERS.iter().chain(STACK_PARAMETERS).chain(MODULE_PARAMETERS)
}

/// Returns the names of all parameters.
pub(crate) fn parameter_names() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.name)
}

/// Returns the text of the document.
pub(crate) fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for Section { group, title, introduction, notes } in SECTIONS {
        let _ = write!(
            text,
            "\n## {title}\n\n{introduction}\n| parameter | meaning |\n| --- | --- |\n"
        );
        for row in rows().filter(|row| row.group == group) {
            let syntax = row.syntax.replace('|', "\\|");
            let _ = writeln!(text, "| `{}{syntax}` | {} |", row.name, row.meaning);
        }
        if !notes.is_empty() {
            let _ = write!(text, "\n{notes}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// With `BLESS=1`, writes the document instead.
    #[test]
    fn the_document_is_made_from_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
            std::fs::write(&path, document()).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == document(),
            "{FILE} differs from the table: run BLESS=1 cargo test --lib cmdline"
        );
    }

    #[test]
    fn every_parameter_has_one_row_and_a_meaning() {
        let all: Vec<_> = rows().collect();
        for (at, row) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other.name != row.name), "{}", row.name);
            let value = ["", "=", "[="].iter().any(|start| match *start {
                "" => row.syntax.is_empty(),
                start => row.syntax.starts_with(start),
            });
            assert!(value && row.meaning.ends_with('.'), "{}: {}", row.name, row.meaning);
        }
    }
}
