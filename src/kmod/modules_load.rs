//! modules-load.d(5) and Debian's modules(5), /etc/modules: modules to load at boot.
//!
//! ```text
//! NAME [PARAMETER=VALUE…]      a module or an alias, and parameters of the module
//! # or ; at the start          a comment
//! ```
//!
//! Parameters are those of modules(5); systemd knows none.

/// Returns the names in the text of a file in its order, each with its parameters; these are empty
/// if there are none.
pub(crate) fn parse(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.trim_ascii();
        if matches!(line.first(), None | Some(b'#' | b';')) {
            return None;
        }
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (name, parameters) = line.split_at(end);
        Some((name, parameters.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_with_parameters() {
        let text = b"# loop\n; x\n\n  loop max_loop=8\tmax_part=1 \r\nfs-ext4\n\tb-c\n#\nx\xff";
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let found: Vec<_> =
            parse(text).map(|(name, parameters)| (shown(name), shown(parameters))).collect();
        let want =
            [("loop", "max_loop=8\\tmax_part=1"), ("fs-ext4", ""), ("b-c", ""), ("x\\xff", "")];
        assert_eq!(found, want.map(|(name, parameters)| (name.to_owned(), parameters.to_owned())));
    }
}
