//! Commands that the guest carries out, and what it reported of them.

use crate::machine::Facts;
use crate::transcript::{self, Session};

/// What one command of the guest printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code, -1 after a signal.
    pub code: i64,
}

impl Output {
    /// Returns the output of the command with this number, counted from 0.
    ///
    /// # Panics
    ///
    /// If the guest did not report it.
    pub fn new(facts: &Facts, number: usize) -> Self {
        let fact = facts.get(&number.to_string());
        let text = |key: &str| {
            fact[key].as_str().unwrap_or_else(|| panic!("command {number}: {fact}")).to_owned()
        };
        let code = fact["code"].as_i64().unwrap_or(-1);
        Self { stdout: text("stdout"), stderr: text("stderr"), code }
    }
}

/// The guest's report, as the session of a transcript.
#[derive(Debug)]
pub struct Report<'a> {
    facts: &'a Facts,
    /// Texts of this run, and what stands for them in the transcript.
    names: Vec<(String, &'static str)>,
    next: usize,
}

impl<'a> Report<'a> {
    /// Starts with the first command.
    pub fn new(facts: &'a Facts, names: Vec<(String, &'static str)>) -> Self {
        Self { facts, names, next: 0 }
    }
}

impl Session for Report<'_> {
    fn run(&mut self, _: &str) -> Vec<String> {
        let output = Output::new(self.facts, self.next);
        self.next += 1;
        let mut lines = transcript::streams(output.stdout.as_bytes(), output.stderr.as_bytes());
        for line in &mut lines {
            *line = transcript::without_source(line);
            for (text, name) in &self.names {
                *line = line.replace(text, name);
            }
        }
        lines.extend(transcript::exit(i32::try_from(output.code).ok()));
        lines
    }
}
