//! Programs that do the same work, measured against each other.
//!
//! | measurement | how |
//! | --- | --- |
//! | wall time | whole processes, in turns, so that other load affects all alike |
//! | instructions | one run under callgrind of valgrind, which repeats on a busy host |
//! | peak memory | `ru_maxrss` of one run, as GNU time reports it |

use crate::results::{Results, Row};
use crate::tool;
use std::cell::Cell;
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Makes the command of one run.
type Make<'a> = Box<dyn Fn() -> Command + 'a>;

/// Work that several programs do. The first program is ours, and is compared with the others.
pub struct Comparison<'a> {
    group: String,
    programs: Vec<(String, Make<'a>)>,
    prepare: Box<dyn Fn() + 'a>,
    /// Exit code of a run that does the work.
    code: i32,
    counts: bool,
    is_printed: Cell<bool>,
}

/// Returns whether `make bench QUICK=1` runs: fewer runs and rows.
pub fn is_quick() -> bool {
    env::var_os("BENCH_QUICK").is_some_and(|value| value == "1")
}

/// Returns the number of runs: `BENCH_RUNS`, else `quick` or `usual`.
///
/// # Panics
/// `BENCH_RUNS` is no number.
pub fn runs(usual: usize, quick: usize) -> usize {
    let default = if is_quick() { quick } else { usual };
    env::var("BENCH_RUNS").map_or(default, |text| text.parse().expect("BENCH_RUNS is a number"))
}

impl<'a> Comparison<'a> {
    /// Begins a comparison of the work `group`.
    pub fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            programs: Vec::new(),
            prepare: Box::new(|| {}),
            code: 0,
            counts: true,
            is_printed: Cell::new(false),
        }
    }

    /// Adds a program.
    pub fn program(mut self, name: &str, make: impl Fn() -> Command + 'a) -> Self {
        self.programs.push((name.to_owned(), Box::new(make)));
        self
    }

    /// Sets what is done before each run, outside the measured time.
    pub fn before_each(mut self, prepare: impl Fn() + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Sets the exit code of a run that does the work.
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Leaves the instructions out: the work is that of a script or takes too long under valgrind.
    pub fn without_instructions(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Measures `runs` runs of each program, adds the rows to `results` and prints them.
    ///
    /// # Panics
    /// A program cannot be started, or exits with another code.
    pub fn measure(&self, runs: usize, results: &mut Results) -> Vec<Row> {
        let wall = self.wall(runs);
        let peak = self.each(|make| vec![peak_kib(&self.prepared(make))]);
        let counts = if self.counts && is_valgrind_there() {
            self.each(|make| instructions(&self.prepared(make), self.code).into_iter().collect())
        } else {
            Vec::new()
        };
        let mut rows = Vec::new();
        for (what, unit, values) in [
            ("wall time", "ms", wall),
            ("instructions", "instructions", counts),
            ("peak memory", "KiB", peak),
        ] {
            let named = self.programs.iter().zip(values).filter(|(_, values)| !values.is_empty());
            let of_what: Vec<Row> = named
                .map(|((name, _), values)| Row {
                    group: self.group.clone(),
                    name: name.clone(),
                    what: what.to_owned(),
                    unit,
                    values,
                    ..Row::default()
                })
                .collect();
            self.print(&of_what);
            rows.extend(of_what);
        }
        rows.iter().for_each(|row| results.add(row.clone()));
        rows
    }

    fn wall(&self, runs: usize) -> Vec<Vec<f64>> {
        let mut values = vec![Vec::new(); self.programs.len()];
        for run in 0..=runs {
            for ((name, make), values) in self.programs.iter().zip(&mut values) {
                let mut command = self.prepared(make);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let start = Instant::now();
                let status = command.status().unwrap_or_else(|e| panic!("{name}: {e}"));
                let wall = start.elapsed().as_secs_f64() * 1e3;
                assert_eq!(status.code(), Some(self.code), "{} by {name}: {command:?}", self.group);
                // The first run of each fills the page cache.
                if run > 0 {
                    values.push(wall);
                }
            }
        }
        values
    }

    fn prepared(&self, make: &Make<'_>) -> Command {
        (self.prepare)();
        make()
    }

    fn each(&self, measure: impl Fn(&Make<'_>) -> Vec<f64>) -> Vec<Vec<f64>> {
        self.programs.iter().map(|(_, make)| measure(make)).collect()
    }

    /// Prints a line of the table: for each program least, median and most, and the part of the
    /// median that ours is.
    fn print(&self, rows: &[Row]) {
        let Some(first) = rows.first() else { return };
        let title = if self.is_printed.replace(true) { "" } else { &self.group };
        let ours = first.spread().1;
        let is_ours = first.name == self.programs[0].0;
        let unit = if first.unit == first.what { "" } else { first.unit };
        println!("{title:<44} {} {unit}", first.what);
        for row in rows {
            let (least, median, most) = row.spread();
            let digits = if median < 100.0 { 2 } else { 0 };
            let spread = if row.values.len() == 1 {
                format!("{median:.digits$}")
            } else {
                format!("{least:.digits$} {median:.digits$} {most:.digits$}")
            };
            let ratio = ours / median;
            let ratio = if is_ours { format!("ours: {ratio:.3} of it") } else { String::new() };
            println!("    {:<18} {spread:>30}   {ratio}", row.name);
        }
    }
}

/// Returns whether instructions can be counted.
pub fn is_valgrind_there() -> bool {
    tool::lacking("valgrind", "valgrind").is_none()
}

/// Returns the instructions of one run in all threads, counted by callgrind. `None` if the exit code
/// is not `code`: valgrind 3.19 cannot run programs that ask the kernel for their auxiliary vector.
pub fn instructions(command: &Command, code: i32) -> Option<f64> {
    let logs = tempfile::tempdir().unwrap();
    let mut valgrind = wrapped(Command::new("valgrind"), command, |valgrind| {
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        valgrind.arg(format!("--log-file={}/%p", logs.path().display()));
    });
    if valgrind.status().ok()?.code() != Some(code) {
        return None;
    }
    let texts = tool::files(logs.path()).into_iter().map(|file| std::fs::read(file).unwrap());
    let count = |text: Vec<u8>| {
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split_once("Collected : ")?.1.split_whitespace().next()?.parse::<f64>().ok()
    };
    let counts: Vec<f64> = texts.filter_map(count).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// Returns the peak memory of one run in KiB.
///
/// # Panics
/// GNU time does not run.
pub fn peak_kib(command: &Command) -> f64 {
    let peak = tempfile::NamedTempFile::new().unwrap();
    let mut time = wrapped(tool::command("time", "time"), command, |time| {
        time.args(["-q", "-f", "%M", "-o"]).arg(peak.path());
    });
    time.status().expect("GNU time runs");
    std::fs::read_to_string(peak.path()).unwrap().trim().parse().expect("a number of KiB")
}

/// Returns `wrapper` with its options and the program, arguments and environment of `command`.
fn wrapped(mut wrapper: Command, command: &Command, options: impl Fn(&mut Command)) -> Command {
    options(&mut wrapper);
    wrapper.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        wrapper.current_dir(dir);
    }
    wrapper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    wrapper
}

/// Returns the first number with a dot or of two digits in the first line that `command` prints: a
/// version.
pub fn version_of(command: &mut Command) -> String {
    let text = tool::attempt(command).unwrap_or_default();
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let number = words.map(|word| word.trim_start_matches('v')).find(|word| {
        word.starts_with(|c: char| c.is_ascii_digit()) && (word.contains('.') || word.len() == 2)
    });
    number.unwrap_or("unknown").trim_end_matches(',').to_owned()
}

/// Returns the version of coldplug and the commit of the checkout.
pub fn our_version(program: &Path) -> String {
    let text = tool::attempt(Command::new(program).arg("--version")).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim_start_matches("coldplug ").to_owned()
}
