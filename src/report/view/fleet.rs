//! Many boots: percentiles of each phase and module, and the boots that stand out.

use std::collections::BTreeMap;

use super::units::{in_one_line, millis, put};
use crate::report::saved::SavedRecord;

/// Number of outliers that are named for each line.
const MAX_NAMED: usize = 3;
/// Least time above the upper quartile in µs that makes an outlier.
const MIN_ABOVE_US: u64 = 1000;
/// Widest column of names.
const MAX_WIDTH: usize = 40;

/// Times of one thing in many boots, each with the place of its boot.
type Times = Vec<(u64, usize)>;

/// Returns the table of the boots in `records`, each with the name of its file. Lines of modules
/// are ordered by their 95th percentile, the slowest first.
pub(crate) fn fleet(records: &[(String, SavedRecord)]) -> String {
    let mut text = String::new();
    put(&mut text, &verdicts(records));
    let mut rows = vec![("total".to_owned(), Times::new())];
    let mut modules: BTreeMap<&str, Times> = BTreeMap::new();
    for (boot, (_, record)) in records.iter().enumerate() {
        rows[0].1.push((record.boot.len_us(), boot));
        for phase in &record.phases {
            let name = format!("phase {}", phase.name);
            match rows.iter_mut().find(|(other, _)| *other == name) {
                Some((_, times)) => times.push((phase.span.len_us(), boot)),
                None => rows.push((name, vec![(phase.span.len_us(), boot)])),
            }
        }
        for module in &record.modules {
            if let Some(took_us) = module.took_us() {
                modules.entry(&module.name).or_default().push((took_us, boot));
            }
        }
    }
    let mut slowest: Vec<_> =
        modules.into_iter().map(|(name, times)| (name.to_owned(), times)).collect();
    slowest.iter_mut().chain(&mut rows).for_each(|(_, times)| times.sort_unstable());
    slowest.sort_by_key(|(_, times)| std::cmp::Reverse(percentile(times, 95)));
    rows.extend(slowest);
    lines(records, &rows, &mut text);
    outcomes(records, &mut text);
    text
}

/// Returns how many boots there are, and with which verdicts.
fn verdicts(records: &[(String, SavedRecord)]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, record) in records {
        *counts.entry(record.verdict.as_deref().unwrap_or("none")).or_default() += 1;
    }
    let words: Vec<_> = counts.iter().map(|(verdict, n)| format!("{verdict} {n}")).collect();
    format!("boots: {}; verdicts: {}", records.len(), words.join(", "))
}

fn lines(records: &[(String, SavedRecord)], rows: &[(String, Times)], text: &mut String) {
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = longest.clamp("module".len(), MAX_WIDTH);
    let mut row = |[name, boots, p50, p95, most, who]: [&str; 6]| {
        put(text, &format!("{name:width$}  {boots:>5}  {p50:>10}  {p95:>10}  {most:>10}  {who}"));
    };
    row(["", "boots", "p50", "p95", "max", "outliers"]);
    for (name, times) in rows {
        let time = |percent| format!("{} ms", millis(percentile(times, percent)));
        let who = outliers(times).map(|(us, boot)| {
            let file = records.get(boot).map_or("-", |(file, _)| file.as_str());
            format!("{file} {} ms", millis(us))
        });
        let mut who: Vec<_> = who.take(MAX_NAMED + 1).collect();
        if who.len() > MAX_NAMED {
            who.pop();
            who.push("…".to_owned());
        }
        let boots = times.len().to_string();
        row([name, &boots, &time(50), &time(95), &time(100), &who.join(", ")]);
    }
}

/// Returns the least time that `percent` of the sorted `times` do not exceed.
fn percentile(times: &Times, percent: usize) -> u64 {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).map_or(0, |(us, _)| *us)
}

/// Returns the times that are far above the others, the largest first: more than three times the
/// distance of the quartiles above the upper one, and not less than [`MIN_ABOVE_US`].
fn outliers(times: &Times) -> impl Iterator<Item = (u64, usize)> {
    let (lower, upper) = (percentile(times, 25), percentile(times, 75));
    let above_us = ((upper - lower) * 3).max(MIN_ABOVE_US);
    let is_far = move |(us, _): &&(u64, usize)| *us > upper.saturating_add(above_us);
    times.iter().rev().take_while(is_far).copied()
}

/// Appends the modules that are live in some boots and not in others, and those that failed.
fn outcomes(records: &[(String, SavedRecord)], text: &mut String) {
    let mut live: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (boot, (_, record)) in records.iter().enumerate() {
        for module in &record.modules {
            let boots = live.entry(&module.name).or_insert_with(|| vec![false; records.len()]);
            if let Some(is_live) = boots.get_mut(boot) {
                *is_live |= module.is_live();
            }
        }
    }
    for (name, boots) in live {
        let count = boots.iter().filter(|is_live| **is_live).count();
        if count == 0 || count == boots.len() {
            continue;
        }
        // Those of the smaller group are named.
        let is_rare = count * 2 <= boots.len();
        let some = boots.iter().zip(records).filter(|(is_live, _)| **is_live == is_rare);
        let some: Vec<_> = some.map(|(_, (file, _))| file.as_str()).take(MAX_NAMED).collect();
        let word = if is_rare { "such as" } else { "not in" };
        let line =
            format!("{name}: live in {count} of {} boots, {word} {}", boots.len(), some.join(", "));
        put(text, &in_one_line(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::saved::tests::record;
    use super::*;

    fn boot(n: u64, module_us: u64, outcome: &str) -> (String, SavedRecord) {
        let members = format!(
            r#""verdict": "ok", "time_ms": {}, "phases_us": [["scan", {}]], "modules": [
            {{"name": "a", "outcome": "{outcome}", "start_us": 1000, "end_us": {}}},
            {{"name": "b", "outcome": "loaded", "start_us": 1000, "end_us": 1500}}]"#,
            100 + n,
            1000 + n,
            1000 + module_us
        );
        (format!("r{n}.json"), record(&members))
    }

    #[test]
    fn percentiles_and_outliers() {
        let mut records: Vec<_> = (0..20).map(|n| boot(n, 2000 + n * 10, "loaded")).collect();
        records[7] = boot(7, 50_000, "failed");
        let want = "\
boots: 20; verdicts: ok 20
            boots         p50         p95         max  outliers
total          20    109.0 ms    118.0 ms    119.0 ms
phase scan     20      1.0 ms      1.0 ms      1.0 ms
a              20      2.1 ms      2.1 ms     50.0 ms  r7.json 50.0 ms
b              20      0.5 ms      0.5 ms      0.5 ms
a: live in 19 of 20 boots, not in r7.json
";
        assert_eq!(fleet(&records), want);
    }

    #[test]
    fn one_boot_and_none() {
        assert!(fleet(&[boot(1, 7000, "loaded")]).contains("a               1      7.0 ms"));
        assert!(fleet(&[]).starts_with("boots: 0; verdicts:\n"));
    }
}
