//! Module metadata: the strings of the `.modinfo` section, the build id and the parameters.
//!
//! ```text
//! .modinfo                    KEY=VALUE NUL KEY=VALUE NUL…   parm=NAME:TEXT   parmtype=NAME:TYPE
//! modules.builtin.modinfo     MODULE.KEY=VALUE NUL…          the same for builtin modules
//! .note.gnu.build-id          namesz 4 | descsz | type 3 | "GNU" NUL | id
//! ```

/// Splits a string into key and value. A string without `=` has an empty value.
pub(crate) fn split_key_value(string: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = string.splitn(2, |byte| *byte == b'=');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Returns the strings of `module` in a modules.builtin.modinfo, without the module name: the first
/// contiguous run of them.
pub fn builtin_strings<'a>(file: &'a [u8], module: &[u8]) -> Vec<&'a [u8]> {
    let strip_module = |string: &'a [u8]| string.strip_prefix(module)?.strip_prefix(b".");
    file.split(|byte| *byte == 0)
        .map(strip_module)
        .skip_while(Option::is_none)
        .map_while(|string| string)
        .collect()
}

/// Returns the id in a build-id note, whose numbers have the byte order of the file.
pub fn build_id(note: &[u8], little_endian: bool) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes: [u8; 4] = note.get(at..at + 4)?.try_into().ok()?;
        let number = if little_endian { u32::from_le_bytes } else { u32::from_be_bytes };
        usize::try_from(number(bytes)).ok()
    };
    let gnu = number(0)? == 4 && number(8)? == 3 && note.get(12..16)? == b"GNU\0";
    note.get(16..)?.get(..number(4)?).filter(|_| gnu)
}

/// Formats bytes as modinfo(8) does: uppercase hexadecimal, separated by colons, twenty per line.
pub(crate) fn format_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(bytes.len() * 3 + bytes.len() / 7);
    for (at, byte) in bytes.iter().enumerate() {
        match at {
            0 => {}
            _ if at % 20 == 0 => out.push_str(":\n\t\t"),
            _ => out.push(':'),
        }
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// A module parameter, from its `parm` and `parmtype` strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Name of the parameter.
    pub(crate) name: &'a [u8],
    /// Description by the author of the module.
    pub(crate) description: Option<&'a [u8]>,
    /// Type, such as `int` or `array of charp`.
    pub(crate) kind: Option<&'a [u8]>,
}

/// Returns the parameters among `strings` in reverse order of appearance, as in kmod, and the
/// `parm` and `parmtype` strings that have no colon.
pub fn parameters<'a>(strings: &[&'a [u8]]) -> (Vec<Parameter<'a>>, Vec<&'a [u8]>) {
    let mut found: Vec<Parameter<'a>> = Vec::new();
    let mut invalid = Vec::new();
    for string in strings {
        let (key, value) = split_key_value(string);
        let is_type = key == b"parmtype";
        if key != b"parm" && !is_type {
            continue;
        }
        let Some(colon) = value.iter().position(|byte| *byte == b':') else {
            invalid.push(*string);
            continue;
        };
        let (name, text) = (&value[..colon], &value[colon + 1..]);
        let at = found.iter().position(|p| p.name == name).unwrap_or_else(|| {
            found.push(Parameter { name, description: None, kind: None });
            found.len() - 1
        });
        let field = if is_type { &mut found[at].kind } else { &mut found[at].description };
        *field = Some(text);
    }
    found.reverse();
    (found, invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_merged_and_reversed() {
        let strings: [&[u8]; 7] = [
            b"license=GPL",
            b"parm=a:first:one",
            b"parmtype=a:int",
            b"parm=b:text",
            b"parmtype=c:bool",
            b"parm=broken",
            b"parm",
        ];
        let (found, bad) = parameters(&strings);
        let words: Vec<String> = found
            .iter()
            .map(|p| {
                let word =
                    |w: Option<&[u8]>| String::from_utf8_lossy(w.unwrap_or(b"-")).into_owned();
                format!("{} {} {}", word(Some(p.name)), word(p.description), word(p.kind))
            })
            .collect();
        assert_eq!(words, ["c - bool", "b text -", "a first:one int"]);
        assert_eq!(bad, [&b"parm=broken"[..], b"parm"]);
    }

    #[test]
    fn only_the_first_run_of_a_builtin_module_is_used() {
        let file = b"a.license=GPL\0ab.x=1\0ab.y=2\0a.z=3\0ab.late=1\0";
        assert_eq!(builtin_strings(file, b"ab"), [&b"x=1"[..], b"y=2"]);
        assert_eq!(builtin_strings(file, b"a"), [&b"license=GPL"[..]]);
        assert!(builtin_strings(file, b"none").is_empty());
    }

    #[test]
    fn hex_lines_hold_twenty_bytes() {
        assert_eq!(format_hex(&[0x0a, 0xff]), "0A:FF");
        assert_eq!(format_hex(&[0; 20]).len(), 59);
        assert!(format_hex(&[1; 21]).ends_with(":01:\n\t\t01"));
    }

    #[test]
    fn the_build_id_is_found_in_both_byte_orders() {
        let mut note = [4u32, 3, 3].map(u32::to_le_bytes).concat();
        note.extend(b"GNU\0\x01\x02\x03\0");
        assert_eq!(build_id(&note, true), Some(&[1, 2, 3][..]));
        assert_eq!(build_id(&note, false), None);
        assert_eq!(build_id(&note[..17], true), None);
        let mut note = [4u32, 1, 3].map(u32::to_be_bytes).concat();
        note.extend(b"GNU\0\x09");
        assert_eq!(build_id(&note, false), Some(&[9][..]));
    }
}
