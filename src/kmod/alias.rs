//! Aliases: the normal form and the match.
//!
//! The pattern is the module's side, the text the device's. Matching follows fnmatch(3) with no flags
//! in the C locale: `*` and `?` match every byte, `/` and leading dots included; `[...]` takes
//! ranges, `!` or `^` for "not" and `[:class:]`; a backslash takes the next byte as it is.
//! Before the match both sides turn `-` into `_` outside of brackets, as modprobe.d(5) says of
//! module names.

/// A name whose `[` and `]` do not pair; kmod takes it for invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnmatchedBracket;

/// The normal form of an alias or of a name looked up: `-` becomes `_` outside of `[...]`.
///
/// # Errors
/// A `]` with no `[` before it, or a `[` that is never closed.
pub fn normalize(text: &[u8]) -> Result<Vec<u8>, UnmatchedBracket> {
    let mut out = text.to_vec();
    let mut at = 0;
    while let Some(&byte) = out.get(at) {
        match byte {
            b'-' => out[at] = b'_',
            b']' => return Err(UnmatchedBracket),
            b'[' => at += out[at..].iter().position(|b| *b == b']').ok_or(UnmatchedBracket)?,
            _ => {}
        }
        at += 1;
    }
    Ok(out)
}

/// The normal form of a device's modalias, which is text and not a pattern: a DMI or platform string
/// may hold any bracket, so from an unmatched one on nothing is changed.
pub fn normalize_modalias(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    let mut at = 0;
    while let Some(&byte) = out.get(at) {
        match byte {
            b'-' => out[at] = b'_',
            b'[' => match out[at..].iter().position(|b| *b == b']') {
                Some(len) => at += len,
                None => break,
            },
            b']' => break,
            _ => {}
        }
        at += 1;
    }
    out
}

/// Whether a pattern holds anything but literal bytes.
pub fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[')
}

/// fnmatch(3) with no flags. A trailing lone backslash matches nothing, as in glibc.
pub fn fnmatch(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last star: the pattern behind it, and the text it has taken so far.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                if p == pattern.len() {
                    return true;
                }
                retry = Some((p, t));
                continue;
            }
            Some(_) => text.get(t).and_then(|byte| match_one(&pattern[p..], *byte)),
            None if t == text.len() => return true,
            None => None,
        };
        match (step, retry) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            // A star that would have to eat past the end fails for every star before it too.
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (p, t) = (star, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the pattern's first element; gives that element's width.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'\\'] => None,
        [b'[', set @ ..] => match match_set(set, byte) {
            Some((true, width)) => Some(width + 1),
            Some((false, _)) => None,
            // A bracket that is never closed stands for itself.
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Matches `byte` against a set, `set` starting behind its `[`. Gives the answer and the set's width
/// with its `]`; `None` where it is never closed.
fn match_set(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let mut at = first;
    let mut hit = false;
    loop {
        match *set.get(at)? {
            b']' if at > first => return Some((hit != negated, at + 1)),
            b'[' if set.get(at + 1) == Some(&b':') => match class(&set[at..]) {
                // glibc gives up at a class that it does not know, if it needs it.
                Some((None, _)) if !hit => return Some((false, at + 1)),
                Some((test, width)) => {
                    hit |= test.is_some_and(|test| test(&byte));
                    at += width;
                }
                None => {
                    hit |= byte == b'[';
                    at += 1;
                }
            },
            _ => {
                let (low, width) = set_member(&set[at..])?;
                at += width;
                let range = set.get(at) == Some(&b'-') && set.get(at + 1) != Some(&b']');
                if range {
                    let Some((high, width)) = set_member(&set[at + 1..]) else {
                        // Where the pattern's end cuts a range off, glibc gives up if it needs the range.
                        let is_low = byte == low && set.len() == at + 1;
                        return if hit || is_low { None } else { Some((false, at + 1)) };
                    };
                    at += 1 + width;
                    hit |= (low..=high).contains(&byte);
                } else {
                    hit |= byte == low;
                }
            }
        }
    }
}

/// One byte of a set, with its backslash or as `[.x.]` or `[=x=]`; and its width.
fn set_member(set: &[u8]) -> Option<(u8, usize)> {
    match set {
        [b'\\', byte, ..] => Some((*byte, 2)),
        [b'\\'] => None,
        [b'[', b'.', byte, b'.', b']', ..] | [b'[', b'=', byte, b'=', b']', ..] => Some((*byte, 5)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

type Test = fn(&u8) -> bool;

/// A class such as `[:digit:]` at the head of `set`, and its width; the class is `None` where nobody knows
/// its name.
fn class(set: &[u8]) -> Option<(Option<Test>, usize)> {
    const CLASSES: [(&[u8], Test); 12] = [
        (b"alnum", u8::is_ascii_alphanumeric),
        (b"alpha", u8::is_ascii_alphabetic),
        (b"blank", |b| matches!(b, b' ' | b'\t')),
        (b"cntrl", u8::is_ascii_control),
        (b"digit", u8::is_ascii_digit),
        (b"graph", u8::is_ascii_graphic),
        (b"lower", u8::is_ascii_lowercase),
        (b"print", |b| b.is_ascii_graphic() || *b == b' '),
        (b"punct", u8::is_ascii_punctuation),
        (b"space", |b| matches!(b, b' ' | 0x09..=0x0d)),
        (b"upper", u8::is_ascii_uppercase),
        (b"xdigit", u8::is_ascii_hexdigit),
    ];
    let rest = set.strip_prefix(b"[:")?;
    // As glibc has it, a name has no z.
    let len = rest.iter().take_while(|b| (b'a'..=b'y').contains(b)).count();
    if !rest[len..].starts_with(b":]") {
        return None;
    }
    let class = CLASSES.iter().find(|(name, _)| *name == &rest[..len]);
    Some((class.map(|(_, test)| *test), len + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_are_folded_outside_of_brackets() {
        for (text, normal) in [
            ("snd-hda", Ok("snd_hda")),
            ("usb:v0[0-9]-*", Ok("usb:v0[0-9]_*")),
            ("a[b", Err(UnmatchedBracket)),
            ("a]b", Err(UnmatchedBracket)),
            ("a[]-b", Ok("a[]_b")),
            ("", Ok("")),
        ] {
            let got = normalize(text.as_bytes());
            assert_eq!(got, normal.map(|n| n.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(normalize_modalias(b"of-x[a-b]-c]d-e"), b"of_x[a-b]_c]d-e");
        assert_eq!(normalize_modalias(b"dmi-x[d-e"), b"dmi_x[d-e");
    }

    #[test]
    fn patterns_match_as_fnmatch_says() {
        for (pattern, text, want) in [
            ("pci:v00001AF4d*sv*", "pci:v00001AF4d00001000sv00001AF4", true),
            ("a*b*c", "a/x.b:yc", true),
            ("a*b*c", "a/x.b:y", false),
            ("*", "", true),
            ("?", "", false),
            ("[0-9]", "5", true),
            ("[!0-9]", "5", false),
            ("[^0-9]", "x", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[[:digit:]]x", "7x", true),
            ("[\\]]", "]", true),
            ("a**b", "ab", true),
            (
                "cpu:type:x86,ven*fam*mod*:feature:*00C8*",
                "cpu:type:x86,ven0000fam0006mod000F:feature:,0000,00C8,",
                true,
            ),
        ] {
            assert_eq!(fnmatch(pattern.as_bytes(), text.as_bytes()), want, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_do_not_blow_up() {
        let pattern = "a*".repeat(60) + "b";
        assert!(!fnmatch(pattern.as_bytes(), &[b'a'; 4096]));
    }

    #[allow(unsafe_code)] // the oracle is a C function
    fn libc_fnmatch(pattern: &[u8], text: &[u8]) -> bool {
        let pattern = std::ffi::CString::new(pattern).unwrap();
        let text = std::ffi::CString::new(text).unwrap();
        // SAFETY: both pointers are NUL-terminated strings that outlive the call.
        unsafe { libc::fnmatch(pattern.as_ptr(), text.as_ptr(), 0) == 0 }
    }

    /// Brackets that end too early are rare in random patterns; short ones can all be tried.
    #[test]
    fn short_patterns_are_the_c_librarys_too() {
        let texts = ["", "a", "-", "[", "[-", "[a", "[a-", "[[-", "[[a-", "[]", "a]", "]", ":"];
        let mut patterns = vec![Vec::new()];
        for _ in 0..5 {
            let longer = |p: &Vec<u8>| b"a-[]*\\!:".map(|byte| [&p[..], &[byte]].concat());
            patterns = patterns.iter().flat_map(longer).collect();
            for pattern in &patterns {
                for text in texts.map(str::as_bytes) {
                    let (ours, theirs) = (fnmatch(pattern, text), libc_fnmatch(pattern, text));
                    assert_eq!(ours, theirs, "{} {text:?}", String::from_utf8_lossy(pattern));
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20_000))]
        #[test]
        fn fnmatch_is_the_c_librarys(
            pattern in r"[ab\-_*?:0-2\[\]!^\\]{0,10}",
            text in r"[ab\-_:0-2\[\]!\\]{0,8}",
        ) {
            proptest::prop_assert_eq!(
                fnmatch(pattern.as_bytes(), text.as_bytes()),
                libc_fnmatch(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
