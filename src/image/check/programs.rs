//! Whether the kernel of the image can execute /init, or what `rdinit=` names instead, and the
//! other programs.

use std::collections::BTreeMap;
use std::path::Path;

use super::finding::Findings;
use super::root::lacks_stacks;
use crate::cmdline::words::words;
use crate::escape;
use crate::image::manifest::{Content, Manifest, Node};
use crate::image::programs::{self, Severity};
use crate::kmod::elf_machine::Machine;

/// The program that the kernel starts without `rdinit=`.
const INIT: &str = "/init";

/// The programs that the kernel starts in the boots that are checked: each with whether it is one
/// of coldplug that cannot open LUKS, LVM and md.
pub(super) struct Inits(BTreeMap<String, bool>);

impl Inits {
    /// Returns the programs of the boots with these kernel command lines; /init if there is none.
    pub(super) fn new(manifest: &Manifest, lines: &[&str]) -> Self {
        let named = if lines.is_empty() { &[""] } else { lines };
        let entry = |line: &&str| {
            let name = rdinit(line);
            (name.to_owned(), !lines.is_empty() && lacks_stacks(manifest, name))
        };
        Self(named.iter().map(entry).collect())
    }

    /// Returns the program of a boot, and whether it is one that cannot open LUKS, LVM and md.
    pub(super) fn of<'a>(&self, line: &'a str) -> (&'a str, bool) {
        let name = rdinit(line);
        (name, self.0.get(name).is_some_and(|lacks_stacks| *lacks_stacks))
    }

    /// Checks these programs and all others of an image for a kernel of `machine`; `None` if that
    /// is not known.
    pub(super) fn check(
        &self,
        manifest: &Manifest,
        machine: Option<Machine>,
        findings: &mut Findings,
    ) {
        for name in self.0.keys() {
            check_presence(manifest, name, findings);
        }
        let found = self.0.keys().filter_map(|name| Some(manifest.find(name)?.0));
        let inits: Vec<&str> = found.collect();
        let is_init = |name: &str, _: &Path| inits.contains(&name);
        for found in programs::faults(manifest, &is_init, machine) {
            let name = format!("/{}", escape::line(found.name));
            let text = found.fault.to_string();
            match (found.severity, found.fault.hint(found.is_init)) {
                (Severity::Error, Some(hint)) => findings.hinted(name, text, hint),
                (Severity::Error, None) => findings.error(name, text),
                (Severity::Warning, _) => findings.warning(name, text),
            }
        }
    }
}

/// Checks that the image has an executable file that the kernel starts as `name`.
fn check_presence(manifest: &Manifest, name: &str, findings: &mut Findings) {
    let hint = match name {
        INIT => "build the image anew, with --init if its /init is a program of yours",
        _ => "name a program of the image with rdinit=, or add this one with --include",
    };
    let text = match manifest.find(name) {
        None => "missing: the kernel would not use the image",
        Some((_, Node { content: Content::File(_) | Content::Bytes(_), mode, .. }))
            if mode & 0o111 != 0 =>
        {
            return;
        }
        Some(_) => "not an executable file",
    };
    findings.hinted(escape::line(name), text, hint);
}

/// Returns the program that a kernel with this command line starts: the last `rdinit=`, or /init.
fn rdinit(line: &str) -> &str {
    let words = words(line).take_while(|word| word.text != "--");
    let named = words.filter(|word| word.key == "rdinit").filter_map(|word| word.value);
    named.last().filter(|name| !name.is_empty()).unwrap_or(INIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rdinit_names_the_program() {
        for (line, want) in [
            ("", "/init"),
            ("root=x init=/sbin/x", "/init"),
            ("rdinit=/sbin/start quiet", "/sbin/start"),
            ("rdinit=/a rdinit=\"/b c\"", "/b c"),
            ("rdinit=/a -- rdinit=/b", "/a"),
            ("rdinit", "/init"),
            ("rdinit=", "/init"),
        ] {
            assert_eq!(rdinit(line), want, "{line}");
        }
    }
}
