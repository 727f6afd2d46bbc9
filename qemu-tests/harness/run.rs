//! The main function of a test target.
//!
//! Each module of a target has a table of its tests and of what they need. libtest cannot report a
//! test as ignored once it runs, so libtest-mimic runs them: it has the same options, and
//! `cargo nextest` understands it. A need that is not met, before a test or during it, is the
//! reason for which the test is ignored.

use crate::{paths, tool};
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Path of its module, with the target's name in front.
    pub module: &'static str,
    /// Name of its function.
    pub name: &'static str,
    /// What must be there for it to run.
    pub needs: &'static [Need],
    /// The test, which panics if it fails.
    pub run: fn(),
}

/// One test that is made while the target starts, such as a row of a table.
pub struct Case {
    /// Full name.
    pub name: String,
    /// What must be there for it to run.
    pub needs: &'static [Need],
    /// Whether it runs only if it is named, or with `--include-ignored`.
    pub is_extra: bool,
    /// The test, which panics if it fails.
    pub run: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&Test> for Case {
    fn from(test: &Test) -> Self {
        let run = Box::new(test.run);
        Self { name: full_name(test), needs: test.needs, is_extra: false, run }
    }
}

/// Makes the table of a module: `tests![NEEDS => test, test; NEEDS => test]`.
#[macro_export]
macro_rules! tests {
    ($($needs:expr => $($test:ident),+ $(,)?);+ $(;)?) => {
        &[$($($crate::run::Test {
            module: module_path!(),
            name: stringify!($test),
            needs: &$needs,
            run: $test,
        },)+)+]
    };
}

/// What a test needs of the machine that it runs on.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// To run as root, for the reason given.
    Root(&'static str),
    /// A command, and the Debian package that holds it.
    Command(&'static str, &'static str),
    /// A program of the release build for musl.
    Program(&'static str),
}

/// What every boot needs.
pub const BOOT: [Need; 2] = [QEMU, Need::Program("coldplug")];
/// What tests need that run the release build on this machine.
pub const RELEASE: [Need; 1] = [Need::Program("coldplug")];
/// The emulator.
pub const QEMU: Need = Need::Command("qemu-system-x86_64", "qemu-system-x86");

impl Need {
    /// Returns why the need is not met, if so.
    pub fn lacking(self) -> Option<String> {
        match self {
            Self::Root(_) if rustix::process::geteuid().is_root() => None,
            Self::Root(reason) => Some(format!("needs root: {reason}")),
            Self::Command(name, package) => tool::lacking(name, package),
            Self::Program(name) => match std::env::var_os("COLDPLUG_BIN") {
                Some(_) if name == "coldplug" => None,
                _ if paths::release(name).is_file() => None,
                _ => {
                    Some(format!("{} is missing: run `make build`", paths::release(name).display()))
                }
            },
        }
    }
}

/// Payload of the unwinding of a test that cannot run here.
struct Unavailable(String);

/// Ends the running test, which is reported as ignored because of `reason`.
///
/// # Panics
///
/// If no test runs on this thread: a benchmark ends with the reason.
pub fn unavailable(reason: impl Into<String>) -> ! {
    if IS_TEST.get() {
        resume_unwind(Box::new(Unavailable(reason.into())));
    }
    panic!("{}", reason.into());
}

thread_local! {
    /// Whether this thread runs a test.
    static IS_TEST: Cell<bool> = const { Cell::new(false) };
    /// What the test on this thread noted, and its panic with the place; none if they are printed.
    static NOTES: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes a line about the running test, which is shown if the test fails. Outside of tests, and
/// with `--nocapture`, the line is printed at once.
#[macro_export]
macro_rules! note {
    ($($text:tt)+) => {
        $crate::run::note(&format!($($text)+))
    };
}

/// Notes `line`, as [`note!`](crate::note) does.
pub fn note(line: &str) {
    let is_kept = NOTES.with_borrow_mut(|notes| {
        notes.as_mut().map(|notes| *notes += &format!("{line}\n")).is_some()
    });
    if !is_kept {
        println!("{line}");
    }
}

/// Runs the tests of `modules` as the command line of this process says. As with libtest, several
/// filters select the tests that match one of them.
pub fn main(modules: &[&[Test]]) -> ExitCode {
    cases(modules.iter().flat_map(|tests| tests.iter()).map(Case::from))
}

/// Runs the tests of `modules` like [`main`], and those of `extra` if a filter names them or with
/// `--include-ignored`.
pub fn main_with_extra(modules: &[&[Test]], extra: &[&[Test]]) -> ExitCode {
    let usual = modules.iter().copied().flatten().map(Case::from);
    let extra = extra.iter().copied().flatten().map(|test| Case { is_extra: true, ..test.into() });
    cases(usual.chain(extra))
}

/// Runs `cases` as [`main`] runs tests.
pub fn cases(cases: impl Iterator<Item = Case>) -> ExitCode {
    let (options, filters) = split(std::env::args());
    let arguments = Arguments::from_iter(options);
    keep_panics();
    let is_selected = |case: &Case| {
        let name = case.name.as_str();
        let matches = |filter: &String| {
            if arguments.exact { name == *filter } else { name.contains(filter.as_str()) }
        };
        filters.is_empty() || filters.iter().any(matches)
    };
    let trials = cases.filter(is_selected).map(|case| {
        let is_ignored = case.is_extra && filters.is_empty();
        trial(case, arguments.nocapture).with_ignored_flag(is_ignored)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    print_slowest(&conclusion);
    conclusion.exit_code()
}

/// How long each test took that has run, in the order in which they ended.
static TIMES: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// Prints the tests that took longest, if there were many: which of them to make faster, or to leave
/// to a target of make of their own.
fn print_slowest(conclusion: &Conclusion) {
    const SHOWN: usize = 20;
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner);
    if conclusion.num_passed < SHOWN as u64 {
        return;
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    println!("slowest:");
    for (time, name) in times.iter().take(SHOWN) {
        println!("{:7.1} s {name}", time.as_secs_f64());
    }
}

/// Splits a command line into its options, with the name of the program, and the filters.
fn split(words: impl Iterator<Item = String>) -> (Vec<String>, Vec<String>) {
    const WITH_VALUE: [&str; 6] =
        ["--test-threads", "--skip", "--logfile", "--color", "--format", "-Z"];
    let (mut options, mut filters) = (Vec::new(), Vec::new());
    let mut words = words;
    options.extend(words.next());
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            filters.push(word);
            continue;
        }
        let has_value = WITH_VALUE.contains(&word.as_str());
        options.push(word);
        options.extend(has_value.then(|| words.next()).flatten());
    }
    (options, filters)
}

/// Keeps the message of a panic in a test with the test's notes.
fn keep_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_kept = NOTES.with_borrow_mut(|notes| {
            notes.as_mut().map(|notes| *notes += &format!("{info}\n")).is_some()
        });
        if !is_kept {
            print(info);
        }
    }));
}

/// Returns `MODULE::NAME`, without the target: `boots::root` → `root`.
fn full_name(test: &Test) -> String {
    name_of(test.module, test.name)
}

/// Returns the full name of the test `name` in the module with this path.
pub fn name_of(module: &str, name: &str) -> String {
    let module = module.split_once("::").map_or(module, |(_, module)| module);
    format!("{module}::{name}")
}

fn trial(case: Case, is_shown: bool) -> Trial {
    let name = case.name;
    Trial::ignorable_test(name.clone(), move || {
        if let Some(reason) = case.needs.iter().find_map(|need| need.lacking()) {
            return Ok(Completion::ignored_with(reason));
        }
        IS_TEST.set(true);
        NOTES.set((!is_shown).then(String::new));
        let began = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(case.run));
        TIMES.lock().unwrap_or_else(PoisonError::into_inner).push((began.elapsed(), name));
        IS_TEST.set(false);
        let notes = NOTES.take().unwrap_or_default();
        done.map_or_else(|payload| outcome(payload, notes), |()| Ok(Completion::Completed))
    })
}

/// Returns what a test that unwound with `payload` comes to.
fn outcome(payload: Box<dyn Any + Send>, notes: String) -> Result<Completion, Failed> {
    match payload.downcast::<Unavailable>() {
        Ok(unavailable) => Ok(Completion::ignored_with(unavailable.0)),
        Err(_) => Err(Failed::from(notes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes() {}
    fn fails() {
        panic!("on purpose");
    }
    fn cannot_run() {
        unavailable("no network");
    }

    #[test]
    fn a_test_that_cannot_run_is_ignored_with_its_reason() {
        IS_TEST.set(true);
        let of = |run: fn()| catch_unwind(run).map_err(|payload| outcome(payload, "notes".into()));
        assert!(of(passes).is_ok());
        let Err(Err(failed)) = of(fails) else { panic!("a panic fails the test") };
        assert_eq!(failed.message(), Some("notes"));
        let Err(Ok(Completion::Ignored { reason })) = of(cannot_run) else {
            panic!("the test is ignored")
        };
        assert_eq!(reason.as_deref(), Some("no network"));
    }

    #[test]
    fn a_command_line_has_options_and_filters() {
        let words = "tools -q a --test-threads 2 --skip c b --format=terse";
        let (options, filters) = split(words.split(' ').map(str::to_owned));
        assert_eq!(options.join(" "), "tools -q --test-threads 2 --skip c --format=terse");
        assert_eq!(filters, ["a", "b"]);
    }

    #[test]
    fn a_table_has_the_place_of_each_test() {
        const TESTS: &[Test] =
            crate::tests![[Need::Root("on purpose")] => passes, fails; [] => cannot_run];
        let names: Vec<_> = TESTS.iter().map(|test| (test.name, test.needs.len())).collect();
        assert_eq!(names, [("passes", 1), ("fails", 1), ("cannot_run", 0)]);
        assert!(TESTS.iter().all(|test| test.module == "harness::run::tests"));
    }
}
