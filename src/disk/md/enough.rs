//! Whether the members that are there suffice to start an array.

use super::Level;

/// Returns whether an array works with the slots that `is_active` lists. An array that is not clean
/// cannot compute missing data from parity.
pub(super) fn is_enough(level: Level, layout: u32, is_clean: bool, is_active: &[bool]) -> bool {
    let slots = is_active.len();
    let active = is_active.iter().filter(|active| **active).count();
    let may_miss = match level {
        Level::Linear | Level::Raid0 => 0,
        Level::Raid1 => slots.saturating_sub(1),
        Level::Raid10 => return has_every_copy(layout, is_active),
        // Without the disk of parities nothing has to be computed.
        Level::Raid4 if is_active.last() == Some(&false) => 1,
        _ if !is_clean => 0,
        Level::Raid4 | Level::Raid5 => 1,
        Level::Raid6 => 2,
    };
    active > 0 && active + may_miss >= slots
}

/// Returns whether one copy of each block of a raid10 is there.
///
/// ```text
/// layout   bits 0 to 7 near copies: on adjacent slots │ 8 to 15 far copies: elsewhere on the disks
/// ```
fn has_every_copy(layout: u32, is_active: &[bool]) -> bool {
    let part = |bits: u32| usize::try_from(bits & 0xff).unwrap_or_default().max(1);
    let (near, far) = (part(layout), part(layout >> 8));
    // The copies of a block begin at a multiple of `near`, modulo the number of slots. As many
    // steps as there are slots reach each of these.
    let has_copy = |step: usize| {
        let copies = is_active.iter().cycle().skip(step * near % is_active.len());
        copies.take(near * far).any(|active| *active)
    };
    (0..is_active.len()).all(has_copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == 'U').collect()
    }

    #[test]
    fn each_level_has_its_own_need() {
        for (level, layout, is_clean, active, want) in [
            (Level::Linear, 0, true, "UU", true),
            (Level::Linear, 0, true, "U_", false),
            (Level::Raid0, 0, true, "_U", false),
            (Level::Raid0, 0, false, "UU", true),
            (Level::Raid1, 0, true, "__", false),
            (Level::Raid1, 0, false, "_U", true),
            (Level::Raid4, 0, false, "UU_", true),
            (Level::Raid4, 0, false, "U_U", false),
            (Level::Raid4, 0, true, "U_U", true),
            (Level::Raid4, 0, true, "U__", false),
            (Level::Raid5, 2, true, "UU_", true),
            (Level::Raid5, 2, false, "UU_", false),
            (Level::Raid5, 2, false, "UUU", true),
            (Level::Raid5, 2, true, "U__", false),
            (Level::Raid6, 2, true, "UU__", true),
            (Level::Raid6, 2, true, "U___", false),
            (Level::Raid6, 2, false, "UUU_", false),
            // Two near copies: pairs.
            (Level::Raid10, 0x102, true, "U__U", true),
            (Level::Raid10, 0x102, true, "UU__", false),
            // Three slots: copies wrap around.
            (Level::Raid10, 0x102, true, "UU_", true),
            (Level::Raid10, 0x102, true, "_U_", false),
            // Two far copies, or offset copies: a slot and its neighbour.
            (Level::Raid10, 0x201, true, "U_U_", true),
            (Level::Raid10, 0x201, true, "U__U", false),
            (Level::Raid10, 0x1_0201, true, "_U_U", true),
            (Level::Raid10, 0x1_0201, true, "_UU_", false),
            (Level::Raid10, 0x202, true, "U___", true),
            (Level::Raid10, 0x202, true, "____", false),
        ] {
            let got = is_enough(level, layout, is_clean, &slots(active));
            assert_eq!(got, want, "{level:?} {layout:#x} {active} clean: {is_clean}");
        }
    }
}
