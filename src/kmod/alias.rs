//! Alias patterns: normalisation and matching.
//!
//! A module offers patterns; a device has a modalias, which is plain text. Matching follows
//! fnmatch(3) without flags in the C locale: `*` and `?` match any byte, including `/` and a
//! leading dot; `[...]` holds ranges, `!` or `^` for negation, and `[:class:]`; a backslash
//! escapes the next byte. Before the match, `-` becomes `_` on both sides outside brackets, as
//! modprobe.d(5) requires for module names.

use std::fmt;

/// A pattern whose `[` and `]` do not pair. kmod rejects such a name as invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnmatchedBracket {
    /// Byte offset of the bracket in the pattern.
    pub(crate) offset: usize,
}

impl fmt::Display for UnmatchedBracket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unmatched bracket at byte {}", self.offset)
    }
}

impl std::error::Error for UnmatchedBracket {}

/// Normalises an alias or a name to look up: `-` becomes `_` outside `[...]`.
///
/// # Errors
/// A `]` without a `[` before it, or a `[` that is never closed.
pub fn normalize(text: &[u8]) -> Result<Vec<u8>, UnmatchedBracket> {
    let mut out = text.to_vec();
    normalize_in_place(&mut out)?;
    Ok(out)
}

/// Normalises `out` as [`normalize`] does.
///
/// # Errors
/// As [`normalize`].
pub(crate) fn normalize_in_place(out: &mut [u8]) -> Result<(), UnmatchedBracket> {
    let mut at = 0;
    while let Some(&byte) = out.get(at) {
        let unmatched = UnmatchedBracket { offset: at };
        match byte {
            b'-' => out[at] = b'_',
            b']' => return Err(unmatched),
            b'[' => at += out[at..].iter().position(|b| *b == b']').ok_or(unmatched)?,
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Normalises a device's modalias. A modalias is text rather than a pattern: a DMI or platform
/// string may hold any bracket, so nothing is changed from an unmatched bracket on.
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

/// Returns whether `byte` starts a wildcard in a pattern.
pub fn is_wildcard(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[')
}

/// Matches `text` against `pattern` as fnmatch(3) does without flags. As in glibc, a lone backslash
/// at the end of the pattern matches nothing.
pub fn fnmatch(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Backtracking point: the pattern after the last `*`, and the end of the text that it consumed.
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
            // If the last `*` would have to consume past the end, so would every `*` before it.
            (None, Some((star, from))) if from < text.len() => {
                retry = Some((star, from + 1));
                (p, t) = (star, from + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the first element of the pattern and returns that element's width.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'\\'] => None,
        [b'[', set @ ..] => match match_set(set, byte) {
            Some((true, width)) => Some(width + 1),
            Some((false, _)) => None,
            // A bracket that is never closed is a literal.
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Matches `byte` against a bracket expression; `set` starts after the `[`. Returns the result and
/// the width with the closing `]`, or `None` if the bracket is never closed.
fn match_set(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    let mut at = first;
    let mut hit = false;
    loop {
        let rest = set.get(at..)?;
        if *rest.first()? == b']' && at > first {
            return Some((hit != negated, at + 1));
        }
        match match_element(rest, byte, hit) {
            Element::Tested(matches, width) => {
                hit |= matches;
                at += width;
            }
            Element::NoMatch => return Some((false, at + 1)),
            Element::Unclosed => return None,
        }
    }
}

/// Result of matching a byte against one element of a bracket expression.
enum Element {
    /// Whether the element matches, and its width.
    Tested(bool, usize),
    /// The whole expression fails to match.
    NoMatch,
    /// The pattern ends inside the bracket expression.
    Unclosed,
}

/// Matches `byte` against the element at the head of `set`; `hit` says whether an earlier element
/// of the expression has matched.
fn match_element(set: &[u8], byte: u8, hit: bool) -> Element {
    if !set.starts_with(b"[:") {
        return match_range(set, byte, hit);
    }
    match class(set) {
        // glibc fails the match at an unknown class unless an earlier element has matched.
        Some((None, _)) if !hit => Element::NoMatch,
        Some((test, width)) => Element::Tested(test.is_some_and(|test| test(&byte)), width),
        None => Element::Tested(byte == b'[', 1),
    }
}

/// Matches `byte` against the single member or the range `LOW-HIGH` at the head of `set`.
fn match_range(set: &[u8], byte: u8, hit: bool) -> Element {
    let Some((low, low_width)) = set_member(set) else { return Element::Unclosed };
    let after = &set[low_width..];
    if after.first() != Some(&b'-') || after.get(1) == Some(&b']') {
        return Element::Tested(byte == low, low_width);
    }
    match set_member(&after[1..]) {
        Some((high, width)) => Element::Tested((low..=high).contains(&byte), low_width + 1 + width),
        // If the pattern ends inside a range, glibc fails the match only when it needs the range.
        None if hit || byte == low && after.len() == 1 => Element::Unclosed,
        None => Element::NoMatch,
    }
}

/// Returns one byte of a set and its width: plain, escaped, or written as `[.x.]` or `[=x=]`.
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

/// Parses a character class such as `[:digit:]` at the head of `set` and returns its test and
/// width. The test is `None` for a class with an unknown name.
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
    // In glibc, a class name holds the letters a to y only.
    let len = rest.iter().take_while(|b| (b'a'..=b'y').contains(b)).count();
    if !rest[len..].starts_with(b":]") {
        return None;
    }
    let class = CLASSES.iter().find(|(name, _)| *name == &rest[..len]);
    Some((class.map(|(_, test)| *test), len + 4))
}

/// Aliases on the buses of boards, for tests.
#[cfg(test)]
pub(crate) mod boards {
    /// Patterns of modules for boards, as in modules.alias.
    pub(crate) const PATTERNS: [&str; 27] = [
        "of:N*T*Cfsl,imx8mm-usdhc",
        "of:N*T*Cfsl,imx8mm-usdhcC*",
        "of:N*T*Cfsl,imx7d-usdhcC*",
        "of:N*T*Csnps,dw-mshc",
        "of:N*T*Csnps,dw-mshcC*",
        "of:N*Tipmi*Cipmi-kcs",
        "of:N*Tethernet-phy*Cx,y*",
        "of:Nusb-phy*T*Cusb-nop-xceiv",
        "platform:rk808-regulator",
        "platform:xhci-hcd",
        "i2c:24c32",
        "i2c:tcs3472-[a-c]",
        "spi:mx25l*",
        "spi:spi-nor",
        "mdio:0000000000100010000101??????????",
        "mdio:00000000000000000000000100001010",
        "mdio:0000000000000110000111000101????",
        "sdio:c*v02D0d4330*",
        "sdio:c07v*d*",
        "amba:d00041180*",
        "amba:d0?253180",
        "amba:d???F0205",
        "auxiliary:mlx5_core.rdma-rep",
        "auxiliary:mlx5_core.rdma",
        "rpmsg:rpmsg-tty",
        "tee:ab7a617c-b8e7-4d8f-8301-d09b61036b64*",
        "sdw:m025Dp1308v02c*",
    ];

    /// Modaliases of devices of boards, and the patterns that match them.
    pub(crate) const DEVICES: [(&str, &[&str]); 27] = [
        // The pattern without a last `C*` is for the last compatible, the other for those before.
        ("of:NmmcT(null)Cfsl,imx8mm-usdhc", &["of:N*T*Cfsl,imx8mm-usdhc"]),
        ("of:NmmcT(null)Cfsl,imx8mm-usdhcCfsl,imx7d-usdhc", &["of:N*T*Cfsl,imx8mm-usdhcC*"]),
        (
            "of:NmmcT(null)Cfsl,imx8mn-usdhcCfsl,imx7d-usdhcCfsl,imx6sl-usdhc",
            &["of:N*T*Cfsl,imx7d-usdhcC*"],
        ),
        ("of:NmmcT(null)Crockchip,rk3399-dw-mshcCsnps,dw-mshc", &["of:N*T*Csnps,dw-mshc"]),
        ("of:NmmcT(null)Csnps,dw-mshcCsnps,dw-mshc-2", &["of:N*T*Csnps,dw-mshcC*"]),
        ("of:NmmcT(null)Csnps,dw-mshc-2", &[]),
        ("of:NmmcT(null)Csnps,dw_mshc", &["of:N*T*Csnps,dw-mshc"]),
        ("of:NmmcT(null)CSnps,dw-mshc", &[]),
        ("of:NmmcT(null)", &[]),
        ("of:NipmiTipmiCipmi-kcs", &["of:N*Tipmi*Cipmi-kcs"]),
        ("of:NipmiT(null)Cipmi-kcs", &[]),
        ("of:Nethernet-phyTethernet-phyCx,y-1", &["of:N*Tethernet-phy*Cx,y*"]),
        ("of:Nusb-phyT(null)Cusb-nop-xceiv", &["of:Nusb-phy*T*Cusb-nop-xceiv"]),
        ("of:NphyT(null)Cusb-nop-xceiv", &[]),
        ("platform:rk808-regulator", &["platform:rk808-regulator"]),
        ("platform:xhci_hcd", &["platform:xhci-hcd"]),
        ("i2c:24c32", &["i2c:24c32"]),
        ("i2c:tcs3472-b", &["i2c:tcs3472-[a-c]"]),
        ("spi:spi-nor", &["spi:spi-nor"]),
        ("spi:mx25l25635e", &["spi:mx25l*"]),
        ("mdio:00000000001000100001010101100001", &["mdio:0000000000100010000101??????????"]),
        ("mdio:00000000000001100001110001011001", &["mdio:0000000000000110000111000101????"]),
        ("sdio:c07v02D0d4330", &["sdio:c*v02D0d4330*", "sdio:c07v*d*"]),
        ("amba:d00253180", &["amba:d0?253180"]),
        ("amba:d000F0205", &["amba:d???F0205"]),
        ("auxiliary:mlx5_core.rdma-rep", &["auxiliary:mlx5_core.rdma-rep"]),
        (
            "tee:ab7a617c-b8e7-4d8f-8301-d09b61036b64",
            &["tee:ab7a617c-b8e7-4d8f-8301-d09b61036b64*"],
        ),
    ];
}

#[cfg(test)]
mod tests {
    use super::boards::{DEVICES, PATTERNS};
    use super::*;

    #[test]
    fn devices_of_boards_match_the_patterns_of_their_bus() {
        for (device, wanted) in DEVICES {
            let device = normalize_modalias(device.as_bytes());
            let matches = |pattern: &str| fnmatch(&normalize(pattern.as_bytes()).unwrap(), &device);
            let found: Vec<_> = PATTERNS.into_iter().filter(|p| matches(p)).collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn dashes_become_underscores_outside_brackets() {
        for (text, normal) in [
            ("snd-hda", Ok("snd_hda")),
            ("usb:v0[0-9]-*", Ok("usb:v0[0-9]_*")),
            ("a[b", Err(UnmatchedBracket { offset: 1 })),
            ("a]b", Err(UnmatchedBracket { offset: 1 })),
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
    fn patterns_match_as_in_fnmatch() {
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
    fn many_stars_match_in_bounded_time() {
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

    /// Unclosed brackets are rare in random patterns, so all short patterns are tried.
    #[test]
    fn short_patterns_match_as_in_libc() {
        let texts = ["", "a", "-", "[", "[-", "[a", "[a-", "[[-", "[[a-", "[]", "a]", "]", ":"];
        let mut patterns = vec![Vec::new()];
        for _ in 0..5 {
            let longer = |p: &Vec<u8>| b"a-[]*\\!:".map(|byte| [&p[..], &[byte]].concat());
            patterns = patterns.iter().flat_map(longer).collect();
            for pattern in &patterns {
                for text in texts.map(str::as_bytes) {
                    let (own, libc) = (fnmatch(pattern, text), libc_fnmatch(pattern, text));
                    assert_eq!(own, libc, "{} {text:?}", String::from_utf8_lossy(pattern));
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(20_000))]
        #[test]
        fn random_patterns_match_as_in_libc(
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
