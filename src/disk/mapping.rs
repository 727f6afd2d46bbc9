//! Devices of the device mapper that are to be created.

/// A device of the device mapper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Name below /dev/mapper.
    pub(crate) name: String,
    /// UUID of the device mapper: `LVM-…`, `CRYPT-LUKS2-…`.
    pub(crate) uuid: String,
    /// Whether the device cannot be written to.
    pub(crate) read_only: bool,
    /// The table, in the order of the sectors.
    pub(crate) targets: Vec<Target>,
    /// Further links to the node, below /dev: `vg0/root`.
    pub(crate) links: Vec<String>,
}

/// One line of the table of a [`Mapping`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// First sector, in units of 512 bytes.
    pub(crate) start: u64,
    /// Length in sectors of 512 bytes.
    pub(crate) sectors: u64,
    /// Type of the target: `linear`, `crypt`.
    pub(crate) kind: &'static str,
    /// Parameters, separated by spaces in the table.
    pub(crate) parameters: Vec<Word>,
}

/// A parameter of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// A text as it is.
    Text(String),
    /// A block device: major, minor.
    Device((u32, u32)),
    /// The device of an earlier [`Mapping`], by its name.
    Mapped(String),
}

/// Returns the name of a mapped device that lvm2 makes of several: dashes are doubled, one dash is
/// put between them. `vg-0` and `root` are `vg--0-root`.
pub(crate) fn mapper_name(parts: &[&str]) -> String {
    let parts: Vec<_> = parts.iter().map(|part| part.replace('-', "--")).collect();
    parts.join("-")
}

/// Returns the path below /dev of the volume that [`mapper_name`] has made a name of a group and a
/// volume for: `vg-0/root` of `vg--0-root`.
pub(crate) fn volume_path(mapped: &str) -> Option<String> {
    let mut path = String::with_capacity(mapped.len());
    let (mut is_volume, mut has_dash) = (false, false);
    for character in mapped.chars() {
        if character == '-' && !has_dash {
            has_dash = true;
            continue;
        }
        if has_dash && character != '-' {
            path.push(if is_volume { '-' } else { '/' });
            is_volume = true;
        }
        has_dash = false;
        path.push(character);
    }
    (is_volume && !has_dash).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_of_a_mapped_name() {
        for (group, volume) in [("vg0", "root"), ("vg-0", "root"), ("a--b-", "c-"), ("a", "b-c")] {
            // No name begins with a dash.
            let mapped = mapper_name(&[group, volume]);
            assert_eq!(volume_path(&mapped), Some(format!("{group}/{volume}")), "{mapped}");
        }
        for mapped in ["", "root", "a--b", "a----"] {
            assert_eq!(volume_path(mapped), None, "{mapped}");
        }
        assert_eq!(volume_path("luks-1-2").as_deref(), Some("luks/1-2"));
    }
}
