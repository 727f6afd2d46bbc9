//! Which load is in which line of a chart: one line for each thread of the worker process.
//!
//! A thread is busy until its call returns, which includes the wait for asynchronous work of other
//! drivers. A machine with many devices so has dozens of threads, most of which wait. If there are
//! more than [`MAX_THREADS`], or the record does not say which thread loaded a module, lines are by
//! time: the next load may follow in a line once the module before is live.

use std::collections::BTreeMap;

use super::saved::{SavedRecord, Span};

/// Most threads that have a line each.
const MAX_THREADS: usize = 16;
/// Most lines of a chart.
const MAX_LANES: usize = 64;

/// A line of the chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lane {
    /// The thread; `None` if lines are by time.
    pub(crate) thread: Option<u64>,
    /// Its number among the lines of the same thread, from 0: loads that overlap are in several.
    pub(crate) row: usize,
    /// Places of the modules in the record, in the order of time, each with the part of its load
    /// that is shown. They do not overlap.
    pub(crate) loads: Vec<(usize, Span)>,
}

/// The loads of a boot in lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lanes {
    pub(crate) lanes: Vec<Lane>,
    /// Whether lines are by time, not by thread.
    pub(crate) are_by_time: bool,
    /// Number of loads that are in no line: they began after the boot, or there are too many lines.
    pub(crate) left_out: usize,
}

/// A load that is to be put into a line.
struct Item {
    at: usize,
    thread: Option<u64>,
    span: Span,
    /// From then on another load may follow.
    free_us: u64,
}

impl Lanes {
    /// Returns the lines of a boot, those of threads by their number.
    pub(crate) fn of(record: &SavedRecord) -> Self {
        let now_us = record.boot.to_us;
        let mut items = Vec::new();
        let mut lanes = Self::default();
        for (at, module) in record.modules.iter().enumerate() {
            match module.load {
                Some(load) if load.start_us < now_us => {
                    let span = load.span(now_us);
                    let free_us = load.usable_us().unwrap_or(span.to_us);
                    items.push(Item { at, thread: module.lane, span, free_us });
                }
                Some(_) => lanes.left_out += 1,
                None => {}
            }
        }
        items.sort_by_key(|item| (item.span.from_us, item.span.to_us, item.at));
        let threads: BTreeMap<Option<u64>, ()> =
            items.iter().map(|item| (item.thread, ())).collect();
        lanes.are_by_time = threads.len() > MAX_THREADS || threads.contains_key(&None);
        lanes.fill(&items);
        let rest = lanes.lanes.split_off(lanes.lanes.len().min(MAX_LANES));
        lanes.left_out += rest.iter().map(|lane| lane.loads.len()).sum::<usize>();
        lanes
    }

    /// Puts each load into the first line of its thread that is free.
    fn fill(&mut self, items: &[Item]) {
        let mut threads: BTreeMap<Option<u64>, Vec<(u64, Lane)>> = BTreeMap::new();
        for item in items {
            let thread = item.thread.filter(|_| !self.are_by_time);
            let free_us = if self.are_by_time { item.free_us } else { item.span.to_us };
            let rows = threads.entry(thread).or_default();
            let free = rows.iter_mut().find(|(free_us, _)| *free_us <= item.span.from_us);
            let load = (item.at, item.span);
            match free {
                Some((row_free_us, lane)) => {
                    // The wait of the load before is cut where the next one begins.
                    if let Some((_, before)) = lane.loads.last_mut() {
                        before.to_us = before.to_us.min(item.span.from_us);
                    }
                    *row_free_us = free_us;
                    lane.loads.push(load);
                }
                None => rows.push((free_us, Lane { thread, row: rows.len(), loads: vec![load] })),
            }
        }
        self.lanes = threads.into_values().flatten().map(|(_, lane)| lane).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::record;
    use super::*;

    fn lanes(modules: &str) -> String {
        let members = format!(r#""modules": [{modules}], "time_ms": 1"#);
        let lanes = Lanes::of(&record(&members));
        let words = lanes.lanes.iter().map(|lane| {
            let thread = lane.thread.map_or_else(|| "?".to_owned(), |thread| thread.to_string());
            let load = |(at, span): &(usize, Span)| format!("{at}={}-{}", span.from_us, span.to_us);
            let loads: Vec<_> = lane.loads.iter().map(load).collect();
            format!("{thread}.{}:{}", lane.row, loads.join(","))
        });
        format!("{} +{}", words.collect::<Vec<_>>().join(" "), lanes.left_out)
    }

    #[test]
    fn loads_that_overlap_are_in_several_lines() {
        let load =
            |start, end, more: &str| format!(r#"{{"start_us": {start}, "end_us": {end}{more}}}"#);
        let in_lane = |start, end, lane| load(start, end, &format!(r#", "lane": {lane}"#));
        for (modules, want) in [
            (vec![], " +0"),
            (vec![load(1, 5, ""), load(5, 9, ""), load(2, 3, "")], "?.0:0=1-5,1=5-9 ?.1:2=2-3 +0"),
            (
                vec![load(1, 9, r#", "live_us": 3"#), load(3, 5, ""), load(2, 3, "")],
                "?.0:0=1-3,1=3-5 ?.1:2=2-3 +0",
            ),
            (vec![in_lane(1, 5, 1), in_lane(2, 3, 0)], "0.0:1=2-3 1.0:0=1-5 +0"),
            (vec![in_lane(1, 5, 0), in_lane(2, 3, 0)], "0.0:0=1-5 0.1:1=2-3 +0"),
            (vec![in_lane(1, 5, 0), load(6, 7, "")], "?.0:0=1-5,1=6-7 +0"),
            (
                vec![in_lane(1, 5, u64::MAX), in_lane(2000, 3000, 0)],
                "18446744073709551615.0:0=1-5 +1",
            ),
        ] {
            assert_eq!(lanes(&modules.join(", ")), want);
        }
    }

    #[test]
    fn there_are_only_so_many_lines() {
        let modules = vec![r#"{"start_us": 1, "end_us": 9}"#; 100].join(", ");
        assert!(lanes(&modules).ends_with("?.63:63=1-9 +36"));
        let threads: Vec<_> = (0..17)
            .map(|n| format!(r#"{{"lane": {n}, "start_us": {}, "end_us": 99}}"#, n + 1))
            .collect();
        assert!(lanes(&threads[1..].join(", ")).starts_with("1.0:"));
        assert!(lanes(&threads.join(", ")).starts_with("?.0:"));
    }
}
