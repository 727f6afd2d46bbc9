//! Lists of mount options, as in fstab(5), `rootflags=` and `mount.usrflags=`.
//!
//! ```text
//! list     OPTION,OPTION,…
//! OPTION   NAME, NAME=VALUE or NAME="VALUE, with commas"; the quotes are part of the option
//! ```

/// Returns the options of a list, without empty ones. Like mount(8), it keeps an option together
/// that holds commas within quotes, and a quote that is never closed extends to the end.
pub(crate) fn options(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let at_comma = move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    list.split(at_comma).filter(|option| !option.is_empty())
}

/// Returns whether the last of `ro` and `rw` in a list is `rw`; `None` if it has neither.
pub(crate) fn is_writable(list: &str) -> Option<bool> {
    options(list).filter(|option| ["ro", "rw"].contains(option)).last().map(|last| last == "rw")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_commas_do_not_end_an_option() {
        for (list, want, writable) in [
            ("", &[][..], None),
            (",,a,", &["a"], None),
            ("ro", &["ro"], Some(false)),
            ("rw,ro", &["rw", "ro"], Some(false)),
            ("ro,x,rw,y", &["ro", "x", "rw", "y"], Some(true)),
            ("context=\"a,ro,b\",nodev", &["context=\"a,ro,b\"", "nodev"], None),
            ("rw,x=\"ro\"", &["rw", "x=\"ro\""], Some(true)),
            ("a=\"b,rw", &["a=\"b,rw"], None),
            ("errors=remount-ro,row", &["errors=remount-ro", "row"], None),
        ] {
            assert_eq!(options(list).collect::<Vec<_>>(), want, "{list}");
            assert_eq!(is_writable(list), writable, "{list}");
        }
    }
}
