//! Modules on the kernel command line: module options, blacklists, masks and rules.

use super::parameters::store_module_parameter;
use super::warning;
use super::words::{Word, list, split_once};
use crate::kmod::Warning;
use crate::kmod::alias;
use crate::kmod::conf::{Config, Entry, Rules};
use crate::kmod::mask::Masks;

/// What the kernel command line adds to the configuration of modprobe.d.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleParams {
    /// `MODULE.PARAM=VALUE`, in the order of the command line.
    options: Vec<Entry>,
    /// `modprobe.blacklist=` and `rd.driver.blacklist=`.
    pub(super) blacklist: Vec<Vec<u8>>,
    /// `module_blacklist=`.
    pub(super) kernel_blacklist: Vec<Vec<u8>>,
    /// `coldplug.mask=`.
    masks: Masks,
    /// `coldplug.rules=`.
    rules: Rules,
    /// Values that were ignored because they are malformed or unknown.
    pub(crate) warnings: Vec<Warning>,
}

impl ModuleParams {
    /// Adds these parameters to `config`. Options go behind those of modprobe.d, so that they take
    /// precedence.
    pub fn add_to(&self, config: &mut Config) {
        self.options.iter().for_each(|entry| config.options.push(entry.clone()));
        config.blacklist.extend_from_slice(&self.blacklist);
        config.kernel_blacklist.extend_from_slice(&self.kernel_blacklist);
        config.masks.extend(&self.masks);
        config.rules.merge_softdeps |= self.rules.merge_softdeps;
        config.rules.install_first |= self.rules.install_first;
    }

    /// Stores the value of a word about modules; any other word that has the form of one is a
    /// module option. Returns false for options too, because some are also parameters of the boot.
    pub(super) fn store(&mut self, word: &Word<'_>) -> bool {
        let stored = word.value.is_some() && store_module_parameter(self, word);
        if !stored {
            self.options.extend(option(word.raw.text));
        }
        stored
    }

    /// Adds the patterns of `coldplug.mask=`.
    pub(super) fn add_masks(&mut self, patterns: &[u8]) {
        self.warnings.append(&mut self.masks.add_cmdline(patterns));
    }

    /// Sets the rules of `coldplug.rules=`.
    pub(super) fn set_rules(&mut self, names: &str) {
        let unknown: Vec<&str> =
            list(names).filter(|name| !self.rules.set(name.as_bytes())).collect();
        if !unknown.is_empty() {
            self.warnings.push(warning(&format!("coldplug.rules={}", unknown.join(","))));
        }
    }
}

/// Returns the module names of a comma-separated list in their canonical form.
pub(super) fn names(list: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let names = list.split(|byte| *byte == b',').filter(|name| !name.is_empty());
    let byte = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    names.map(move |name| name.iter().map(byte).collect())
}

/// Parses `MODULE.PARAM[=VALUE]`; `None` for any other word.
fn option(word: &[u8]) -> Option<Entry> {
    // GRUB writes "m.p=a b" for m.p="a b" of the kernel's documentation. Both mean the latter.
    let (inner, quote): (_, &[u8]) = match word.strip_prefix(b"\"") {
        Some(inner) => (inner.strip_suffix(b"\"")?, b"\""),
        None => (word, b""),
    };
    let (head, value) = split_once(inner, b'=').map_or((inner, None), |(h, v)| (h, Some(v)));
    let (module, param) = split_once(head, b'.')?;
    let closed = word.iter().filter(|b| **b == b'"').count() % 2 == 0;
    if param.contains(&b'.') || head.contains(&b'"') || !closed {
        return None;
    }
    let module = alias::normalize(module).ok()?;
    let text = value.map(|value| [param, b"=", quote, value, quote].concat());
    let text = text.unwrap_or_else(|| param.to_owned());
    Some(Entry { name: module, text })
}

#[cfg(test)]
mod tests {
    use super::super::KernelCommandLine;
    use super::*;
    use crate::kmod::name::ModuleName;

    fn entry(name: &str, text: &str) -> Entry {
        Entry { name: name.into(), text: text.into() }
    }

    #[test]
    fn module_words_become_configuration() {
        for (word, want) in [
            ("usb-core.quirks=a:b", Some(("usb_core", "quirks=a:b"))),
            ("m.p", Some(("m", "p"))),
            ("m.p=\"a b\"", Some(("m", "p=\"a b\""))),
            ("\"m.p=a b\"", Some(("m", "p=\"a b\""))),
            ("m.p=1.5", Some(("m", "p=1.5"))),
            ("a.b.c=1", None),
            ("x=a.b", None),
            ("quiet", None),
            ("m\".p=a\"", None),
            ("m.p=\"open", None),
            ("x[.y=1", None),
        ] {
            let got = option(word.as_bytes());
            assert_eq!(got, want.map(|(name, text)| entry(name, text)), "{word}");
        }
    }

    #[test]
    fn blacklists_are_folded_and_split() {
        let mut config = Config::default();
        let line =
            b"modprobe.blacklist=a-b,,c\xe4 module_blacklist=\xf6,d-d rd.driver.blacklist=e x.y=1 \
             \xfe-.y=1 coldplug.mask=m-*,\xe4 coldplug.rules=install-first,nope";
        let modules = KernelCommandLine::parse(line).modules;
        modules.add_to(&mut config);
        assert_eq!(config.blacklist, [&b"a_b"[..], b"c\xe4", b"e"]);
        assert_eq!(config.kernel_blacklist, [&b"\xf6"[..], b"d_d"]);
        let options: Vec<_> = config.options.iter().map(|entry| &*entry.name).collect();
        assert_eq!(options, [b"x", &b"\xfe_"[..]]);
        let is_masked = |name: &[u8]| config.masks.origin(&ModuleName::new(name)).is_some();
        assert!(is_masked(b"\xe4") && !is_masked(b"\xf6"));
        assert!(config.masks.origin(&"m_x".into()).is_some() && config.rules.install_first);
        let warnings: Vec<String> = modules.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["kernel command line: ignoring 'coldplug.rules=nope'"]);
    }

    #[test]
    fn a_word_without_a_value_is_an_option() {
        let mut config = Config::default();
        KernelCommandLine::parse("modprobe.blacklist -- m.p=1").modules.add_to(&mut config);
        assert_eq!(*config.options, [entry("modprobe", "blacklist"), entry("m", "p=1")]);
    }
}
