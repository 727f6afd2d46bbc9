//! Which events are wanted: those that match one of each kind of conditions that there is.

use std::ffi::OsStr;

use crate::kmod::alias::{fnmatch, normalize};
use crate::kmod::uevent::{Modalias, Uevent};

/// The actions of the kernel, kobject_uevent(9).
const ACTIONS: [&str; 8] =
    ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"];

/// Conditions.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) subsystems: Vec<Vec<u8>>,
    actions: Vec<&'static str>,
    modaliases: Vec<Vec<u8>>,
}

impl Filter {
    /// Takes events of this action; gives whether there is such an action.
    pub(super) fn add_action(&mut self, name: &OsStr) -> bool {
        let known = ACTIONS.into_iter().find(|action| name == *action);
        self.actions.extend(known);
        known.is_some()
    }

    /// Takes events whose modalias matches; gives whether that is a pattern.
    pub(super) fn add_modalias(&mut self, pattern: &[u8]) -> bool {
        let pattern = normalize(pattern).ok();
        let is_pattern = pattern.is_some();
        self.modaliases.extend(pattern);
        is_pattern
    }

    /// Whether `event` is wanted.
    pub(super) fn takes(&self, event: &Uevent<'_>) -> bool {
        let subsystem = || event.get("SUBSYSTEM").unwrap_or_default();
        let modalias = || event.get("MODALIAS").and_then(Modalias::new).map(|m| m.normalized());
        let matches = |text: Option<Vec<u8>>| {
            text.is_some_and(|text| self.modaliases.iter().any(|p| fnmatch(p, &text)))
        };
        (self.subsystems.is_empty() || self.subsystems.iter().any(|s| s == subsystem()))
            && (self.actions.is_empty()
                || self.actions.iter().any(|a| a.as_bytes() == event.action))
            && (self.modaliases.is_empty() || matches(modalias()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_kind_has_to_match() {
        let message = b"add@/x\0SUBSYSTEM=pci\0MODALIAS=pci:v00008086d0\0";
        let event = Uevent::parse(message).unwrap();
        for (subsystems, actions, modaliases, want) in [
            (vec![], vec![], vec![], true),
            (vec!["usb", "pci"], vec!["remove", "add"], vec!["usb:*", "pci:v0000808[56]*"], true),
            (vec!["usb"], vec![], vec![], false),
            (vec!["pci"], vec!["remove"], vec![], false),
            (vec!["pci"], vec![], vec!["pci:v00001AF4*"], false),
        ] {
            let subsystems = subsystems.iter().map(|s| s.as_bytes().to_vec()).collect();
            let mut filter = Filter { subsystems, ..Filter::default() };
            assert!(actions.iter().all(|action| filter.add_action(OsStr::new(action))));
            assert!(modaliases.iter().all(|pattern| filter.add_modalias(pattern.as_bytes())));
            assert_eq!(filter.takes(&event), want, "{filter:?}");
        }
        let bare = Uevent::parse(b"add@/x\0SUBSYSTEM=pci\0").unwrap();
        let mut filter = Filter::default();
        assert!(filter.add_modalias(b"*") && !filter.takes(&bare));
        assert!(!filter.add_modalias(b"[x") && !filter.add_action(OsStr::new("load")));
    }
}
