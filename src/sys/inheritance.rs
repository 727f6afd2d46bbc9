//! What process 1 inherits from a program that was /init before it, such as a script that ends with
//! `exec coldplug`: it starts over with what the kernel gives the first process. Signals have been
//! reset before `main` (raw.rs).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

use super::{Root, procfs, raw};
use crate::cmdline::words::raw_words;

/// The resource limits that the kernel gives process 1, INIT_RLIMITS, soft and hard; `None` is no
/// limit. Those that depend on the size of the memory are left out: they do not bind root.
const LIMITS: [(Resource, Option<u64>, Option<u64>); 10] = [
    (Resource::Cpu, None, None),
    (Resource::Fsize, None, None),
    (Resource::Data, None, None),
    (Resource::Stack, Some(8 << 20), None),
    (Resource::Core, Some(0), None),
    (Resource::Rss, None, None),
    (Resource::Nofile, Some(1024), Some(4096)),
    (Resource::As, None, None),
    (Resource::Locks, None, None),
    (Resource::Rttime, None, None),
];

/// umask(2), setrlimit(2): resets the file mode creation mask and the resource limits.
pub(crate) fn reset_limits() {
    umask(Mode::WGRP | Mode::WOTH);
    for (resource, current, maximum) in LIMITS {
        // A container may refuse to raise a limit.
        let _ = setrlimit(resource, Rlimit { current, maximum });
    }
}

/// close(2): closes all descriptors but 0, 1 and 2. Without /proc nothing lists them.
pub(crate) fn close_descriptors(root: &Root) {
    let Ok(entries) = std::fs::read_dir(root.join("proc/self/fd")) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Collected first: the list has a descriptor of its own, which is closed then.
    let numbers: Vec<i32> = names.filter(|number| *number > 2).collect();
    raw::close_inherited(numbers.into_iter());
}

/// Removes the environment variables that the kernel has not set: it sets HOME, TERM, and the words
/// NAME=VALUE of its command line that it does not know. They belong to the real init.
pub(crate) fn reset_environment(root: &Root) {
    let line = procfs::cmdline(root).unwrap_or_default();
    raw::keep_variables(|name, value| is_of_kernel(&line, name, value));
}

fn is_of_kernel(line: &[u8], name: &OsStr, value: &OsStr) -> bool {
    let variable = (name.as_bytes(), Some(value.as_bytes()));
    let is_word = || raw_words(line).any(|word| (word.key, word.value) == variable);
    name == "HOME" || name == "TERM" || is_word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_of_the_kernel_are_kept() {
        let line = "root=/dev/vda wish=2 \"two=a b\" quiet LANG=C -- HOST=x\n";
        for (name, value, kept) in [
            ("HOME", "/", true),
            ("TERM", "vt220", true),
            ("wish", "2", true),
            ("two", "a b", true),
            ("HOST", "x", true),
            ("wish", "3", false),
            ("LANG", "de", false),
            ("PWD", "/", false),
            ("quiet", "", false),
        ] {
            assert_eq!(
                is_of_kernel(line.as_bytes(), name.as_ref(), value.as_ref()),
                kept,
                "{name}={value}"
            );
        }
        let bytes = OsStr::from_bytes;
        assert!(is_of_kernel(b"a=\xf6 b", bytes(b"a"), bytes(b"\xf6")));
        assert!(!is_of_kernel(b"a=\xf6 b", bytes(b"a"), bytes(b"\xf7")));
    }
}
