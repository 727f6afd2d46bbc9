//! The slots of a machine with several roots, as RAUC keeps them in the environment of U-Boot.
//!
//! ```text
//! BOOT_ORDER=A B     slots in the order in which they are tried
//! BOOT_A_LEFT=3      attempts that are left to slot A, hexadecimal
//! ```
//!
//! As in RAUC's boot script, a variable that is not set has a default: the slots in the order of
//! the kernel command line, and three attempts.

use super::uboot_env::Environment;

/// Attempts of a slot that is new or good.
pub const ATTEMPTS: u32 = 3;

const ORDER: &str = "BOOT_ORDER";

fn left_variable(slot: &str) -> String {
    format!("BOOT_{slot}_LEFT")
}

/// Returns the slots of `names` in the order in which they are tried.
pub fn order<'a>(variables: &Environment, names: &[&'a str]) -> Vec<&'a str> {
    let Some(order) = variables.get_bytes(ORDER) else { return names.to_vec() };
    let known = |word: &[u8]| names.iter().find(|name| name.as_bytes() == word).copied();
    order.split(u8::is_ascii_whitespace).filter_map(known).collect()
}

/// Returns the attempts that are left to a slot. What is no number counts as none.
pub fn attempts_left(variables: &Environment, slot: &str) -> u32 {
    let Some(left) = variables.get_bytes(&left_variable(slot)) else { return ATTEMPTS };
    let text = std::str::from_utf8(left).unwrap_or_default();
    u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

/// Sets the attempts that are left to a slot.
pub fn set_attempts(variables: &mut Environment, slot: &str, left: u32) {
    variables.set(&left_variable(slot), &format!("{left:x}"));
}

/// Takes one attempt from the first slot that has one and is not in `tried`. Returns the slot, and
/// the attempts that are left to it; `None` if there is no such slot.
pub fn take_attempt<'a>(
    variables: &mut Environment,
    names: &[&'a str],
    tried: &[&str],
) -> Option<(&'a str, u32)> {
    let mut slots = order(variables, names).into_iter();
    let slot = slots.find(|slot| !tried.contains(slot) && attempts_left(variables, slot) > 0)?;
    let left = attempts_left(variables, slot) - 1;
    set_attempts(variables, slot, left);
    Some((slot, left))
}

/// Removes a slot from the order, and takes all its attempts.
#[cfg(feature = "host")]
pub fn mark_bad(variables: &mut Environment, slot: &str) {
    if variables.get_bytes(ORDER).is_some() {
        set_order(variables, None, slot, &[]);
    }
    set_attempts(variables, slot, 0);
}

/// Puts a slot first in the order, which is `names` if none is set, and gives it all attempts.
#[cfg(feature = "host")]
pub fn activate(variables: &mut Environment, names: &[&str], slot: &str) {
    set_order(variables, Some(slot), slot, names);
    set_attempts(variables, slot, ATTEMPTS);
}

/// Sets the order to `first` and the slots so far, or `default`, without `removed`. Words that are
/// no text can be no slot and are left out.
#[cfg(feature = "host")]
fn set_order(variables: &mut Environment, first: Option<&str>, removed: &str, default: &[&str]) {
    let slots: Vec<&str> = match variables.get_bytes(ORDER) {
        Some(order) => {
            let words = order.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.filter_map(|word| std::str::from_utf8(word).ok()).collect()
        }
        None => default.to_vec(),
    };
    let others = slots.into_iter().filter(|slot| *slot != removed);
    let order: Vec<&str> = first.into_iter().chain(others).collect();
    let text = order.join(" ");
    variables.set(ORDER, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(list: &[(&str, &str)]) -> Environment {
        let mut variables = Environment::default();
        list.iter().for_each(|(name, value)| variables.set(name, value));
        variables
    }

    #[test]
    fn the_first_slot_with_attempts_is_taken() {
        type Set = &'static [(&'static str, &'static str)];
        let rows: [(Set, &[&str], _); 11] = [
            (&[], &[], Some(("A", 2))),
            (&[], &["A"], Some(("B", 2))),
            (&[], &["A", "B"], None),
            (&[("BOOT_ORDER", "B A")], &[], Some(("B", 2))),
            (&[("BOOT_ORDER", " C  B ")], &[], Some(("B", 2))),
            (&[("BOOT_ORDER", "B")], &["B"], None),
            (&[("BOOT_A_LEFT", "0")], &[], Some(("B", 2))),
            (&[("BOOT_A_LEFT", "0"), ("BOOT_B_LEFT", "0")], &[], None),
            (&[("BOOT_A_LEFT", "1")], &[], Some(("A", 0))),
            (&[("BOOT_A_LEFT", "0x10")], &[], Some(("A", 15))),
            (&[("BOOT_A_LEFT", "many")], &[], Some(("B", 2))),
        ];
        for (set, tried, want) in rows {
            let mut variables = variables(set);
            let taken = take_attempt(&mut variables, &["A", "B"], tried);
            assert_eq!(taken, want, "{set:?} {tried:?}");
            if let Some((slot, left)) = taken {
                assert_eq!(attempts_left(&variables, slot), left);
            }
        }
        let mut variables = variables(&[("BOOT_A_LEFT", "10")]);
        take_attempt(&mut variables, &["A"], &[]);
        assert_eq!(variables.get("BOOT_A_LEFT"), Some("f"), "hexadecimal, as in U-Boot");
    }

    #[test]
    fn bytes_that_are_no_text_spoil_nothing_else() {
        let mut variables = Environment::parse(b"BOOT_ORDER=\xff B A\0BOOT_B_LEFT=\xff\0\0");
        assert_eq!(order(&variables, &["A", "B"]), ["B", "A"]);
        assert_eq!(attempts_left(&variables, "B"), 0);
        assert_eq!(take_attempt(&mut variables, &["A", "B"], &[]), Some(("A", 2)));
    }

    #[cfg(feature = "host")]
    #[test]
    fn slots_are_marked_as_rauc_does() {
        let names = ["A", "B"];
        let mut variables = variables(&[("BOOT_ORDER", "A B X"), ("BOOT_A_LEFT", "2")]);
        mark_bad(&mut variables, "A");
        assert_eq!((variables.get(ORDER), variables.get("BOOT_A_LEFT")), (Some("B X"), Some("0")));
        activate(&mut variables, &names, "A");
        assert_eq!(variables.get(ORDER), Some("A B X"));
        assert_eq!(attempts_left(&variables, "A"), ATTEMPTS);
        let mut variables = Environment::default();
        mark_bad(&mut variables, "B");
        assert_eq!((variables.get(ORDER), variables.get("BOOT_B_LEFT")), (None, Some("0")));
        activate(&mut variables, &names, "B");
        assert_eq!(order(&variables, &names), ["B", "A"]);
        let mut variables = Environment::parse(b"BOOT_ORDER=\xff  B A\0\0");
        activate(&mut variables, &names, "A");
        assert_eq!(variables.get(ORDER), Some("A B"));
    }
}
