//! Selects events: an event must match one condition of each kind that is given.

use std::ffi::OsStr;

use crate::kmod::alias::{fnmatch, normalize};
use crate::kmod::uevent::{Modalias, Uevent};

/// Actions of the kernel, as in kobject_uevent(9).
const ACTIONS: [&str; 8] =
    ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"];

/// Conditions of each kind. No condition of a kind selects everything.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) subsystems: Vec<Vec<u8>>,
    actions: Vec<&'static str>,
    modaliases: Vec<Vec<u8>>,
}

impl Filter {
    /// Selects events with this action. Returns false if the kernel has no such action.
    pub(super) fn add_action(&mut self, name: &OsStr) -> bool {
        let known = ACTIONS.into_iter().find(|action| name == *action);
        self.actions.extend(known);
        known.is_some()
    }

    /// Selects events whose modalias matches. Returns false if `pattern` is no valid pattern.
    pub(super) fn add_modalias(&mut self, pattern: &[u8]) -> bool {
        let pattern = normalize(pattern).ok();
        let is_pattern = pattern.is_some();
        self.modaliases.extend(pattern);
        is_pattern
    }

    /// Returns whether `event` is selected.
    pub(super) fn matches(&self, event: &Uevent<'_>) -> bool {
        let subsystem = || event.get("SUBSYSTEM").unwrap_or_default();
        let modalias = || event.get("MODALIAS").and_then(Modalias::new).map(|m| m.normalized());
        let matches_modalias = |text: Option<Vec<u8>>| {
            text.is_some_and(|text| self.modaliases.iter().any(|p| fnmatch(p, &text)))
        };
        (self.subsystems.is_empty() || self.subsystems.iter().any(|s| s == subsystem()))
            && (self.actions.is_empty()
                || self.actions.iter().any(|a| a.as_bytes() == event.action))
            && (self.modaliases.is_empty() || matches_modalias(modalias()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_of_each_kind_must_match() {
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
            assert_eq!(filter.matches(&event), want, "{filter:?}");
        }
        let bare = Uevent::parse(b"add@/x\0SUBSYSTEM=pci\0").unwrap();
        let mut filter = Filter::default();
        assert!(filter.add_modalias(b"*") && !filter.matches(&bare));
        assert!(!filter.add_modalias(b"[x") && !filter.add_action(OsStr::new("load")));
    }
}
