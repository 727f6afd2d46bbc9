//! The firmware that modules of an image name and that the root of the build does not have.

use std::fmt;

use serde_json::{Value, json};

use super::firmware::Wanted;
use crate::escape;

/// Most names in the summary of a build.
const SHOWN: usize = 5;
/// Most modules that are named for one of them.
const SHOWN_MODULES: usize = 3;

/// Names of firmware without a file, with the modules that name them. Its text is the end of the
/// summary: a line of its own with the first names, or nothing if none is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MissingFirmware(pub(super) Wanted);

impl MissingFirmware {
    /// Returns the number of names.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns every name with its modules for a manifest.
    pub(super) fn to_json(&self) -> Value {
        let missing = self.0.iter().map(|(name, modules)| {
            let modules: Vec<_> = modules.iter().map(|module| module.text()).collect();
            json!({ "name": name, "modules": modules })
        });
        missing.collect()
    }
}

impl fmt::Display for MissingFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let shown = self.0.iter().take(SHOWN).map(|(name, modules)| {
            let names = modules.iter().take(SHOWN_MODULES).map(|module| module.text());
            let mut names: Vec<_> = names.map(|name| escape::line(&name).into_owned()).collect();
            let others = modules.len().saturating_sub(SHOWN_MODULES);
            names.extend((others > 0).then(|| format!("{others} others")));
            format!("{} ({})", escape::line(name), names.join(", "))
        });
        let shown: Vec<_> = shown.collect();
        write!(f, "\nmissing firmware: {}", shown.join(", "))?;
        match self.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            others => write!(f, " and {others} others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::name::ModuleName;

    fn missing(wanted: &[(&str, &str)]) -> MissingFirmware {
        let wanted = wanted.iter().map(|(name, modules)| {
            let modules = modules.split(' ').map(ModuleName::new).collect();
            ((*name).to_owned(), modules)
        });
        MissingFirmware(wanted.collect())
    }

    #[test]
    fn the_first_names_are_shown() {
        assert_eq!(missing(&[]).to_string(), "");
        let two = missing(&[("b\n.bin", "x"), ("a.bin", "e c b a d")]);
        assert_eq!(
            two.to_string(),
            "\nmissing firmware: a.bin (a, b, c, 2 others), b\\x0a.bin (x)"
        );
        let names: Vec<String> = (0..7).map(|n| format!("{n}.bin")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "m")).collect();
        let text = missing(&many).to_string();
        assert!(text.ends_with("3.bin (m), 4.bin (m) and 2 others"), "{text}");
        assert_eq!(two.to_json()[0]["modules"][0], "a");
        assert_eq!(missing(&many).to_json()[6]["name"], "6.bin");
    }
}
