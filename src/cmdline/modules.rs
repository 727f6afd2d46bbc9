//! What the kernel command line says about modules.
//!
//! ```text
//! MODULE.PARAM[=VALUE]          options of a module, as modprobe(8) reads them
//! modprobe.blacklist=A,B        user space leaves these alone   (rd.driver.blacklist= likewise)
//! module_blacklist=A,B          the kernel itself refuses these
//! coldplug.mask=A,B             nothing loads these: see kmod::mask
//! coldplug.rules=A,B            as `rule` in modprobe.d: see kmod::conf
//! ```

use super::words::{key_value, words};
use crate::kmod::Warning;
use crate::kmod::alias;
use crate::kmod::conf::{Config, Entry};

/// Adds to `config` what the command line says about modules: options last, so that they win. Gives what makes
/// no sense.
#[must_use]
pub fn add_modules(config: &mut Config, line: &str) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for word in words(line) {
        let (key, value) = key_value(word);
        match (key, value) {
            ("modprobe.blacklist" | "rd.driver.blacklist", Some(list)) => {
                config.blacklist.extend(names(list));
            }
            ("module_blacklist", Some(list)) => config.kernel_blacklist.extend(names(list)),
            ("coldplug.mask", Some(list)) => warnings.append(&mut config.masks.add_cmdline(list)),
            ("coldplug.rules", Some(list)) => warnings.extend(rules(config, list)),
            _ => config.options.extend(option(word)),
        }
    }
    warnings
}

/// Sets the rules of `list`; gives a warning where one of them is not known.
fn rules(config: &mut Config, list: &str) -> Option<Warning> {
    let unknown = list.split(',').filter(|name| !name.is_empty() && !config.rules.set(name));
    let unknown: Vec<&str> = unknown.collect();
    let text = || format!("ignoring 'coldplug.rules={}'", unknown.join(","));
    (!unknown.is_empty()).then(|| Warning::new("kernel command line", 0, text()))
}

fn names(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(',').filter(|n| !n.is_empty()).map(|n| n.replace('-', "_"))
}

/// `MODULE.PARAM[=VALUE]` as an option; `None` for any other word.
fn option(word: &str) -> Option<Entry> {
    // GRUB writes "m.p=a b" where the kernel's documentation has m.p="a b"; both mean the latter.
    let (head, value) = match word.strip_prefix('"') {
        Some(inner) => {
            let inner = inner.strip_suffix('"')?;
            let (head, value) = inner.split_once('=').map_or((inner, None), |(h, v)| (h, Some(v)));
            (head, value.map(|v| format!("\"{v}\"")))
        }
        None => {
            let (head, value) = word.split_once('=').map_or((word, None), |(h, v)| (h, Some(v)));
            (head, value.map(str::to_owned))
        }
    };
    let (module, param) = head.split_once('.')?;
    let closed = word.bytes().filter(|b| *b == b'"').count() % 2 == 0;
    if param.contains('.') || head.contains('"') || !closed {
        return None;
    }
    let module = alias::normalize(module.as_bytes()).ok()?;
    let text = value.map_or_else(|| param.to_owned(), |v| format!("{param}={v}"));
    Some(Entry { name: String::from_utf8_lossy(&module).into_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let got = option(word);
            assert_eq!(got.as_ref().map(|e| (e.name.as_str(), e.text.as_str())), want, "{word}");
        }
    }

    #[test]
    fn blacklists_are_folded_and_split() {
        let mut config = Config::default();
        let warnings = add_modules(
            &mut config,
            "modprobe.blacklist=a-b,c module_blacklist=d rd.driver.blacklist=e x.y=1 \
             coldplug.mask=m-* coldplug.rules=install-first,nope",
        );
        assert_eq!(config.blacklist, ["a_b", "c", "e"]);
        assert_eq!(config.kernel_blacklist, ["d"]);
        assert_eq!(config.options.len(), 1);
        assert!(config.masks.origin(&"m_x".into()).is_some() && config.rules.install_first);
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, ["kernel command line: ignoring 'coldplug.rules=nope'"]);
    }
}
