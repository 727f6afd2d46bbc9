//! The chart of a boot: the kernel's part, phases, the critical path, waits, and a line for each
//! thread of the worker process.
//!
//! Places along the time axis are percentages, so that the chart grows with its plot; heights and
//! texts are in px.

use std::collections::HashSet;

use super::details;
use super::labels::{self, PLOT_WIDTH, fits};
use crate::report::critical_path::{CriticalPath, Work};
use crate::report::lanes::{Lane, Lanes};
use crate::report::saved::{Load, Named, SavedModule, SavedRecord, Span};
use crate::report::view::critical::step_words;
use crate::report::view::markup::Markup;
use crate::report::view::units::{duration, shown};

/// Width of the names of lines, in px.
pub(super) const NAMES_WIDTH: u32 = 104;
/// Height of a bar, and of a line of labels.
const BAR: u32 = 22;
const TEXT: u32 = 17;
/// Distance between lines.
const GAP: u32 = 6;
/// Most lines of waits, which do not overlap in a record of ours.
const MAX_WAIT_ROWS: usize = 4;
/// Most labels of one line.
const MAX_LABELS: usize = 40;

/// A chart: the names of its lines and the plot, of the same height.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) names: Markup,
    pub(super) plot: Markup,
    pub(super) height: u32,
    /// Places of the modules whose load has a bar in a lane.
    pub(super) drawn: HashSet<usize>,
    /// Number of loads that are not in it.
    pub(super) left_out: usize,
    /// Whether its lines are by time, not by thread.
    pub(super) is_by_time: bool,
}

/// A chart that is being drawn, from top to bottom.
struct Drawing<'a> {
    record: &'a SavedRecord,
    path: &'a CriticalPath,
    /// Whether bars are links to the lines of the table of modules.
    has_table: bool,
    names: Markup,
    plot: Markup,
    /// Places of the modules whose load has been drawn.
    drawn: HashSet<usize>,
    /// Where the next line begins.
    y: u32,
}

/// Draws the chart of a boot. With `has_table`, bars are links to the table of modules.
pub(super) fn draw(record: &SavedRecord, path: &CriticalPath, has_table: bool) -> Chart {
    let lanes = Lanes::of(record);
    let (names, plot) = (Markup::default(), Markup::default());
    let drawn = HashSet::new();
    let mut drawing = Drawing { record, path, has_table, names, plot, drawn, y: GAP };
    drawing.plot.raw(include_str!("patterns.svg"));
    drawing.kernel();
    let axis_y = drawing.axis();
    drawing.events();
    drawing.phases();
    if let Some(to_root) = path.to_root(record) {
        drawing.critical("path to root", &to_root);
    }
    drawing.critical("critical path", path);
    drawing.waits();
    for lane in &lanes.lanes {
        drawing.lane(lane);
    }
    let height = drawing.y;
    let mut plot = Markup::default();
    drawing.grid(axis_y, height, &mut plot);
    plot.part(&drawing.plot);
    let (drawn, left_out, is_by_time) = (drawing.drawn, lanes.left_out, lanes.are_by_time);
    Chart { names: drawing.names, plot, height, drawn, left_out, is_by_time }
}

/// Returns a part of the plot, 0 to 1, as percentage.
fn percent(part: f64) -> String {
    format!("{:.3}%", part * 100.0)
}

/// Returns the distance of marks on the time axis in µs: at most eight fit.
fn tick_us(len_us: u64) -> u64 {
    let mut tick_us = 10;
    loop {
        for factor in [1, 2, 5] {
            if len_us / (tick_us * factor) <= 8 {
                return tick_us * factor;
            }
        }
        tick_us *= 10;
    }
}

impl Drawing<'_> {
    /// Returns a time as a part of the plot, 0 to 1.
    fn part(&self, time_us: u64) -> f64 {
        let len_us = self.record.boot.len_us().max(1);
        (self.record.since_init_us(time_us) as f64 / len_us as f64).clamp(0.0, 1.0)
    }

    /// Returns the place and the width of a part of the boot.
    fn parts(&self, span: Span) -> (f64, f64) {
        let from = self.part(span.from_us);
        (from, self.part(span.to_us) - from)
    }

    /// Adds the name of the line that begins at `y`.
    fn name(&mut self, name: &str) {
        let (x, y) = ((NAMES_WIDTH - 8).to_string(), (self.y + 15).to_string());
        self.names.element("text", &[("x", &x), ("y", &y), ("text-anchor", "end")], name);
    }

    fn rect(&mut self, class: &str, (x, width): (f64, f64), y: u32, height: u32) {
        let (x, width) = (percent(x), percent(width));
        let (y, height) = (y.to_string(), height.to_string());
        let place = [("x", &*x), ("width", &*width), ("y", &*y), ("height", &*height)];
        let attributes: Vec<_> = [("class", class)].into_iter().chain(place).collect();
        self.plot.empty("rect", &attributes);
    }

    fn label(&mut self, text: &str, x: f64, y: u32, class: &str, ends: bool) {
        let (x, y) = (percent(x), y.to_string());
        let (dx, anchor) = if ends { ("-5", "end") } else { ("5", "start") };
        let place = [("x", &*x), ("y", &*y), ("dx", dx), ("text-anchor", anchor), ("class", class)];
        self.plot.element("text", &place, text);
    }

    fn line(&mut self, class: &str, x: f64, from_y: u32, to_y: u32) {
        vertical(&mut self.plot, class, x, from_y, to_y);
    }

    /// Adds labels below `y`, each with a line to its place, and moves on to the next line.
    fn stacked(&mut self, labels: &[(f64, &str)], y: u32) {
        let labels = &labels[..labels.len().min(MAX_LABELS)];
        let places = labels::stack(labels);
        for ((x, text), place) in labels.iter().zip(&places) {
            let row = u32::try_from(place.row).unwrap_or(0);
            self.line("leader", *x, y, y + row * TEXT + 14);
            self.label(text, *x, y + row * TEXT + 13, "out", place.ends);
        }
        let rows = places.iter().map(|place| place.row + 1).max().unwrap_or(0);
        self.y = y + u32::try_from(rows).unwrap_or(0) * TEXT + GAP;
    }

    /// Draws the time before /init on a scale of its own.
    fn kernel(&mut self) {
        let before_us = self.record.boot.from_us;
        if before_us == 0 {
            return;
        }
        self.name("kernel");
        let words = format!("{} before /init (scale of its own)", duration(before_us));
        self.plot.open("g", &[("class", "kernel")]);
        self.plot.element("title", &[], &words);
        self.rect("box", (0.0, 1.0), self.y, BAR);
        self.label(&words, 0.0, self.y + 15, "", false);
        self.plot.close("g");
        let stamps = self.record.kernel_stamps.iter();
        let texts: Vec<_> = stamps
            .filter(|(_, us)| *us <= before_us)
            .map(|(name, us)| {
                let name: String = shown(name).chars().take(60).collect();
                (*us as f64 / before_us as f64, format!("{name} {}", duration(*us)))
            })
            .collect();
        let labels: Vec<_> = texts.iter().map(|(x, text)| (*x, text.as_str())).collect();
        self.stacked(&labels, self.y + BAR);
    }

    /// Draws the time axis. Returns its place.
    fn axis(&mut self) -> u32 {
        self.name("since /init");
        let len_us = self.record.boot.len_us();
        let tick_us = tick_us(len_us);
        for tick in 0..=len_us / tick_us {
            let us = tick * tick_us;
            let x = us as f64 / len_us.max(1) as f64;
            // The label of the last mark would stand beside the plot.
            if x <= 0.93 {
                self.label(&axis_label(us, tick_us), x, self.y + 15, "tick", false);
            }
        }
        let y = self.y;
        self.y += TEXT + GAP;
        y
    }

    /// Adds the marks of the time axis, from the axis to the bottom, below everything else.
    fn grid(&self, from_y: u32, to_y: u32, plot: &mut Markup) {
        let len_us = self.record.boot.len_us();
        let tick_us = tick_us(len_us);
        for tick in 0..=len_us / tick_us {
            let x = (tick * tick_us) as f64 / len_us.max(1) as f64;
            vertical(plot, "grid", x, from_y, to_y);
        }
        if let Some(found_us) = self.record.root_found_us() {
            vertical(plot, "event", self.part(found_us), from_y + TEXT + GAP, to_y);
        }
    }

    /// Draws when the root was there, and the verdict.
    fn events(&mut self) {
        self.name("events");
        let mut texts = Vec::new();
        if let Some(found_us) = self.record.root_found_us() {
            let device = self.record.root.device.as_deref().unwrap_or("root device");
            let time = duration(self.record.since_init_us(found_us));
            let device: String = shown(device).chars().take(40).collect();
            texts.push((self.part(found_us), format!("{device} is there: {time}")));
        }
        let verdict = self.record.verdict.as_deref().unwrap_or("none");
        let verdict: String = shown(verdict).chars().take(40).collect();
        let time = duration(self.record.boot.len_us());
        texts.push((1.0, format!("verdict {verdict}: {time}")));
        let labels: Vec<_> = texts.iter().map(|(x, text)| (*x, text.as_str())).collect();
        self.stacked(&labels, self.y);
    }

    fn phases(&mut self) {
        let record = self.record;
        if !record.phases.is_empty() {
            self.name("phases");
            self.bars(&record.phases.iter().collect::<Vec<_>>(), "phase");
        }
    }

    fn waits(&mut self) {
        let record = self.record;
        let mut rows: Vec<Vec<&Named>> = Vec::new();
        for wait in &record.waits {
            let is_free = |row: &&mut Vec<&Named>| {
                row.last().is_none_or(|last| last.span.to_us <= wait.span.from_us)
            };
            match rows.iter_mut().find(is_free) {
                Some(row) => row.push(wait),
                None => rows.push(vec![wait]),
            }
        }
        rows.truncate(MAX_WAIT_ROWS);
        for row in rows {
            self.name("waits");
            self.bars(&row, "wait");
        }
    }

    /// Draws a line of bars. Names that do not fit into their bar stand below it.
    fn bars(&mut self, bars: &[&Named], class: &str) {
        let mut outside = Vec::new();
        for (number, bar) in bars.iter().enumerate() {
            let (x, width) = self.parts(bar.span);
            let name = shown(&bar.name);
            let shade = if number % 2 == 0 { "even" } else { "odd" };
            let words = format!("{name}: {}", duration(bar.span.len_us()));
            self.plot.open(
                "g",
                &[("class", class), ("tabindex", "0"), ("role", "img"), ("aria-label", &words)],
            );
            self.plot.element("title", &[], &words);
            self.rect(&format!("box {shade}"), (x, width), self.y, BAR);
            match [&words, &name].into_iter().find(|text| fits(text, width)) {
                Some(text) => self.label(text, x, self.y + 15, "", false),
                None => outside.push((x, name.chars().take(60).collect::<String>())),
            }
            self.plot.close("g");
        }
        let labels: Vec<_> = outside.iter().map(|(x, text)| (*x, text.as_str())).collect();
        self.stacked(&labels, self.y + BAR);
    }

    fn critical(&mut self, name: &str, path: &CriticalPath) {
        let record = self.record;
        self.name(name);
        for step in &path.steps {
            let words = step_words(record, step);
            let module = match step.work {
                Work::Load(at) => Some(at),
                Work::Own(_) => None,
            };
            let text = details::of_step(record, step, &words);
            let head = text.lines().next().unwrap_or_default();
            let class = if module.is_some() { "step load-step" } else { "step" };
            let tag = self.open(class, module, head, &text);
            let (x, width) = self.parts(step.span);
            self.rect("box", (x, width), self.y, BAR);
            let name = module.and_then(|at| record.modules.get(at)).map(|m| m.name.as_str());
            let label = shown(name.unwrap_or(&words));
            if fits(&label, width) {
                self.label(&label, x, self.y + 15, "", false);
            }
            self.plot.close(tag);
        }
        self.y += BAR + GAP;
    }

    /// Opens the group of a bar, which can be reached by keyboard. Returns its tag.
    fn open(&mut self, class: &str, module: Option<usize>, head: &str, text: &str) -> &'static str {
        let target = module.map(|at| format!("#m{at}")).filter(|_| self.has_table);
        let tag = match &target {
            Some(href) => {
                self.plot.open("a", &[("class", class), ("href", href), ("aria-label", head)]);
                "a"
            }
            None => {
                let how =
                    [("class", class), ("tabindex", "0"), ("role", "img"), ("aria-label", head)];
                self.plot.open("g", &how);
                "g"
            }
        };
        self.plot.element("title", &[], text);
        tag
    }

    /// Draws the loads of a thread.
    fn lane(&mut self, lane: &Lane) {
        let number = lane.row + 1;
        let name = match (lane.thread, lane.row) {
            (Some(thread), 0) => format!("thread {thread}"),
            (Some(thread), _) => format!("thread {thread} ({number})"),
            (None, _) => format!("lane {number}"),
        };
        self.name(&name.chars().take(14).collect::<String>());
        let record = self.record;
        for (at, span) in &lane.loads {
            if let Some((module, load)) = record.modules.get(*at).and_then(|m| Some((m, m.load?))) {
                self.load(*at, module, load, *span);
            }
        }
        self.y += BAR + GAP;
    }

    /// Draws what `shown_span` covers of the load of a module.
    fn load(&mut self, at: usize, module: &SavedModule, load: Load, shown_span: Span) {
        self.drawn.insert(at);
        let is_critical = self.path.has(at);
        let state = match module.outcome.as_str() {
            "loaded" | "already" | "commanded" => "live",
            "no-device" => "absent",
            "loading" | "waiting" => "open",
            _ => "failed",
        };
        let class = format!("load {state}{}", if is_critical { " critical" } else { "" });
        let text = details::of_module(self.record, self.path, at);
        let tag = self.open(&class, Some(at), &details::headline(module), &text);
        let is_shown = |(_, span): &(&str, Span)| span.from_us < shown_span.to_us;
        for (what, span) in load.parts(self.record.boot.to_us).into_iter().filter(is_shown) {
            let parts = self.parts(Span::new(span.from_us, span.to_us.min(shown_span.to_us)));
            self.rect(&format!("part {}", what.replace(' ', "-")), parts, self.y, BAR);
        }
        let (x, width) = self.parts(shown_span);
        self.rect("box", (x, width), self.y, BAR);
        let mark = match (state, is_critical) {
            ("failed", _) => "\u{2715} ",
            (_, true) => "\u{25c6} ",
            _ => "",
        };
        let label = format!("{mark}{}", shown(&module.name));
        if fits(&label, width) {
            self.label(&label, x, self.y + 15, "", false);
        }
        self.plot.close(tag);
    }
}

fn vertical(plot: &mut Markup, class: &str, x: f64, from_y: u32, to_y: u32) {
    let (x, from_y, to_y) = (percent(x), from_y.to_string(), to_y.to_string());
    let place = [("class", class), ("x1", &*x), ("x2", &*x), ("y1", &*from_y), ("y2", &*to_y)];
    plot.empty("line", &place);
}

/// Returns the label of a mark of the time axis.
fn axis_label(us: u64, tick_us: u64) -> String {
    match tick_us {
        0..1000 => format!("{}.{:02} ms", us / 1000, us % 1000 / 10),
        1000..1_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}

/// Returns the chart as an SVG document.
pub(super) fn document(record: &SavedRecord, path: &CriticalPath) -> String {
    let chart = draw(record, path, false);
    let legend_y = chart.height + GAP;
    let height = (legend_y + TEXT + GAP * 2).to_string();
    let (names_width, plot_height) = (NAMES_WIDTH.to_string(), chart.height.to_string());
    let plot_width = PLOT_WIDTH.to_string();
    let width = (f64::from(NAMES_WIDTH) + PLOT_WIDTH + 12.0).to_string();
    let view = format!("0 0 {width} {height}");
    let mut svg = Markup::default();
    svg.open(
        "svg",
        &[
            ("xmlns", "http://www.w3.org/2000/svg"),
            ("width", &width),
            ("height", &height),
            ("viewBox", &view),
            ("class", "chart"),
        ],
    );
    let verdict = record.verdict.as_deref().unwrap_or("none");
    svg.element("title", &[], &format!("Boot: {verdict} in {}", duration(record.boot.len_us())));
    svg.open("style", &[]);
    svg.raw(include_str!("chart.css"));
    svg.close("style");
    svg.empty("rect", &[("class", "back"), ("width", "100%"), ("height", "100%")]);
    svg.open("svg", &[("width", &names_width), ("height", &plot_height)]);
    svg.part(&chart.names);
    svg.close("svg");
    svg.open("svg", &[("x", &names_width), ("width", &plot_width), ("height", &plot_height)]);
    svg.part(&chart.plot);
    svg.close("svg");
    legend_line(&mut svg, legend_y);
    svg.close("svg");
    svg.finish()
}

/// What the parts of a bar mean, by their class.
pub(super) const LEGEND: [(&str, &str); 8] = [
    ("part read", "read"),
    ("part decompress", "decompress"),
    ("part prepare", "prepare"),
    ("part init", "init in the kernel"),
    ("part after-init", "after init"),
    ("critical", "\u{25c6} critical path"),
    ("failed", "\u{2715} failed"),
    ("absent", "no device"),
];

/// Adds the rectangle of an entry of the legend at `x`.
pub(super) fn swatch(svg: &mut Markup, class: &str, x: f64, y: u32) {
    let (x, y) = (x.to_string(), y.to_string());
    let place = [("x", &*x), ("y", &*y), ("width", "22"), ("height", "14")];
    let with = |class| [("class", class)].into_iter().chain(place).collect::<Vec<_>>();
    match class.strip_prefix("part ") {
        Some(_) => {
            svg.open("g", &[("class", "load live")]);
            svg.empty("rect", &with(class));
        }
        None => {
            let group = format!("load {class}");
            svg.open("g", &[("class", &group)]);
            svg.empty("rect", &with("part init"));
        }
    }
    svg.empty("rect", &with("box"));
    svg.close("g");
}

fn legend_line(svg: &mut Markup, y: u32) {
    let mut x = 8.0;
    for (class, words) in LEGEND {
        swatch(svg, class, x, y + 2);
        let (text_x, text_y) = ((x + 28.0).to_string(), (y + 14).to_string());
        svg.element("text", &[("x", &text_x), ("y", &text_y)], words);
        x += 28.0 + labels::width(words) + 14.0;
    }
}
