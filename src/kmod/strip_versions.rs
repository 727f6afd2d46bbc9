//! Removes version information from a module image, for `--force-modversion` and
//! `--force-vermagic`: unlike finit_module(2), init_module(2) has no flags to skip the kernel's
//! version checks.

use super::elf::Sections;

const SHF_ALLOC: u8 = 2;

/// Sections with the versions of symbols: the basic form, and the extended form of Linux 6.14.
const VERSIONS: [&str; 3] = ["__versions", "__version_ext_crcs", "__version_ext_names"];

/// Hides the sections with the versions of symbols from the kernel by clearing their SHF_ALLOC
/// flag, so that they are no longer loaded.
pub fn strip_modversions(image: &mut [u8]) {
    for section in VERSIONS {
        let flags = Sections::parse(image).ok().and_then(|sections| sections.flags_offset(section));
        if let Some(flags) = flags.and_then(|at| image.get_mut(at)) {
            *flags &= !SHF_ALLOC;
        }
    }
}

/// Overwrites the string `vermagic=…` with NULs. Returns `None` if there is no such string.
pub fn strip_vermagic(image: &mut [u8]) -> Option<()> {
    let range = Sections::parse(image).ok()?.range(".modinfo")?;
    let strings = image.get_mut(range)?.split_mut(|byte| *byte == 0);
    strings.into_iter().find(|s| s.starts_with(b"vermagic="))?.fill(0);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmod::elf;
    use crate::kmod::elf::tests::LAYOUTS;

    #[test]
    fn only_versions_and_vermagic_are_changed() {
        for layout in LAYOUTS {
            let info = b"license=GPL\0vermagic=6.1 SMP\0name=m\0";
            let versions = VERSIONS.map(|name| (name, &b"x"[..]));
            let before = layout.elf(&[&versions[..], &[(".modinfo", info)]].concat());
            let mut image = before.clone();
            strip_modversions(&mut image);
            let changed: Vec<_> = (0..image.len()).filter(|at| image[*at] != before[*at]).collect();
            assert_eq!(changed.len(), VERSIONS.len());
            assert!(changed.iter().all(|at| (before[*at], image[*at]) == (2, 0)));
            strip_vermagic(&mut image).unwrap();
            let keys: Vec<String> =
                elf::modinfo(&image).unwrap().into_iter().map(|(k, _)| k).collect();
            assert_eq!(keys, ["license", "name"]);
            assert_eq!(strip_vermagic(&mut image), None);
        }
        strip_modversions(&mut []);
        assert_eq!(strip_vermagic(&mut [1, 2, 3]), None);
    }
}
