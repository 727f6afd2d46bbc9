//! Markdown as the documents of the project are written in, as text of a manual page.

use super::roff::{Roff, bold, form, italic, plain};

/// Returns a line of text with bold and italic words. Of a link only the text stays, because the
/// documents may not be installed.
pub(super) fn inline(text: &str) -> String {
    let mut marked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[', '<']) {
        marked += &names(&rest[..at]);
        let (mark, after) = rest[at..].split_at(1);
        rest = match (mark, after) {
            ("`", after) => span(after, "`", &mut marked, bold),
            ("*", after) if !after.starts_with([' ', '*']) => span(after, "*", &mut marked, italic),
            ("[", after) => link(after, &mut marked),
            (mark, after) => {
                marked += &plain(mark);
                after
            }
        };
    }
    marked + &names(rest)
}

/// Adds what is between marks. Returns the text behind them.
fn span<'a>(
    text: &'a str,
    mark: &str,
    marked: &mut String,
    font: impl Fn(&str) -> String,
) -> &'a str {
    match text.split_once(mark) {
        Some((inside, after)) => {
            *marked += &font(&inside.replace("\\|", "|"));
            after
        }
        None => {
            *marked += &plain(mark);
            text
        }
    }
}

/// Adds the text of a link. Returns the text behind it.
fn link<'a>(text: &'a str, marked: &mut String) -> &'a str {
    if let Some((inside, after)) = text.split_once("](")
        && !inside.contains('[')
        && let Some((_, after)) = after.split_once(')')
    {
        *marked += &inline(inside);
        // A name of a page, such as the one of a link to it, has its section behind it.
        return after;
    }
    *marked += "[";
    text
}

/// Returns prose in which names of manual pages and options are bold.
fn names(text: &str) -> String {
    text.split(' ').map(name).collect::<Vec<_>>().join(" ")
}

fn name(word: &str) -> String {
    let start = word.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(0);
    let (before, core) = word.split_at(start);
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    if let Some((name, after)) = core.split_once('(')
        && is_name(name)
        && after.starts_with(|c: char| c.is_ascii_digit())
        && after[1..].starts_with(')')
    {
        return format!("{}{}({}", plain(before), bold(name), plain(after));
    }
    let dashes = before.trim_start_matches(['(', '\'']);
    let is_option = matches!(dashes, "-" | "--");
    let end = core.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(core.len());
    if is_option && end > 0 {
        let open = &before[..before.len() - dashes.len()];
        let option = format!("{dashes}{}", &core[..end]);
        return format!("{}{}{}", plain(open), bold(&option), plain(&core[end..]));
    }
    plain(word)
}

/// Adds a document to a page. Headings of the first level are the title and left out, those of the
/// second become `level`, deeper ones subsections.
pub(super) fn add(page: &mut Roff, text: &str, level: Level) {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut block = |is_part: &dyn Fn(&str) -> bool| {
            let mut block = vec![line];
            while let Some(next) = lines.next_if(|next| is_part(next)) {
                block.push(next);
            }
            block
        };
        if let Some(title) = line.strip_prefix("## ") {
            match level {
                Level::Section => page.section(title),
                Level::Subsection => page.subsection(title),
            }
        } else if let Some(title) = line.strip_prefix("### ") {
            page.subsection(title);
        } else if line.starts_with('|') {
            add_table(page, &block(&|next| next.starts_with('|')));
        } else if line.starts_with("    ") {
            let block = block(&|next| next.starts_with("    "));
            page.example(block.iter().map(|line| &line[4..]));
        } else if let Some(first) = line.strip_prefix("- ") {
            let rest = block(&|next| next.starts_with("  "));
            let words: Vec<_> = rest.iter().skip(1).map(|line| line.trim()).collect();
            page.bullet(&inline(&[first, &words.join(" ")].join(" ")));
        } else if !line.is_empty() && !line.starts_with("# ") {
            let is_text = |next: &str| !next.is_empty() && !next.starts_with(['|', '#']);
            let block = block(&|next| is_text(next) && !next.starts_with("- "));
            page.paragraph(&inline(&block.join(" ")));
        }
    }
}

/// What the headings of a document become.
#[derive(Clone, Copy)]
pub(super) enum Level {
    Section,
    Subsection,
}

/// Adds a table as a list of terms: the first column is the term. If there are more than two, the
/// heads of the others stand before what they hold.
fn add_table(page: &mut Roff, lines: &[&str]) {
    let rows: Vec<Vec<String>> = lines.iter().map(|line| cells(line)).collect();
    let Some((head, rows)) = rows.split_first() else { return };
    for row in rows.iter().skip(1) {
        let Some((term, rest)) = row.split_first() else { continue };
        let said = match rest {
            [one] => inline(one),
            _ => {
                let pairs = head.iter().skip(1).zip(rest).filter(|(_, cell)| !cell.is_empty());
                let parts: Vec<_> =
                    pairs.map(|(head, cell)| inline(&format!("{head}: {cell}"))).collect();
                parts.join("; ")
            }
        };
        page.item(&marked_term(term), &said);
    }
}

/// Returns a term; in the value of a parameter, words that stand for others are italic.
fn marked_term(term: &str) -> String {
    let bare = term.strip_prefix('`').and_then(|term| term.strip_suffix('`'));
    match bare.filter(|bare| !bare.contains('`')).map(|bare| (bare, bare.find(['=', '[']))) {
        Some((bare, Some(at))) => bold(&bare[..at]) + &form(&bare[at..]),
        _ => inline(term),
    }
}

/// Splits a row of a table. `\|` is no border.
fn cells(line: &str) -> Vec<String> {
    let line = line.trim().trim_start_matches('|').trim_end_matches('|');
    let line = line.replace("\\|", "\u{1}");
    line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// Returns the part of a document below a heading, up to the next one of its level.
pub(super) fn part<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let start = format!("\n## {heading}\n");
    let at = text.find(&start)? + start.len();
    let end = text[at..].find("\n## ").map_or(text.len(), |end| at + end);
    Some(&text[at..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_roff() {
        for (text, want) in [
            ("run `a -b` now", "run \\fBa \\-b\\fR now"),
            ("see modprobe(8), or [x.md](x.md#y).", "see \\fBmodprobe\\fR(8), or x.md."),
            ("*On demand* (with --all) 2 * 3", "\\fIOn demand\\fR (with \\fB\\-\\-all\\fR) 2 * 3"),
            ("a\\b it's", "a\\eb it's"),
            ("`it's`", "\\fBit\\(aqs\\fR"),
        ] {
            assert_eq!(inline(text), want, "{text}");
        }
        let mut page = Roff::new("x", '8');
        let text = "# T\n\n## A b\n\np\nq\n\n| h | i |\n| --- | --- |\n| `a\\|b` | c |\n\n- l\n  m\n\n    .x\n";
        add(&mut page, text, Level::Section);
        let text = page.into_text();
        let body = text.split_once(".ad l\n").unwrap().1;
        assert_eq!(
            body,
            ".SH \"A B\"\np q\n.TP\n\\fBa|b\\fR\nc\n.IP \\(bu 2\nl m\n.PP\n.RS 4\n.EX\n\\&.x\n.EE\n\
             .RE\n"
        );
    }
}
