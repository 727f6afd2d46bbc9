//! The check of an image: whether it boots its kernels, and a given machine.
//!
//! ```text
//! image ─► Contents (temporary directory) ─► Kernel: modules, indexes ─► Findings
//!                                     │        modules, indexes, firmware
//!                                     │
//!                                     ├──────► programs: /init or rdinit=, and others
//!                                     │
//! capture, kernel command line ───────┴──────► board: simulated boot, way; root: filesystem, layers
//! ```

mod board;
mod contents;
mod finding;
mod firmware;
mod indexes;
mod kernel;
mod modules;
mod programs;
mod root;
mod temporary;
mod way;

use std::collections::HashSet;
use std::io::BufRead;

pub(crate) use contents::ReadError;
pub(crate) use finding::{Finding, Kind, Severity};

use crate::cmdline::KernelCommandLine;
use crate::escape;
use crate::machine::capture::Capture;
use crate::sys;
use contents::Contents;
use finding::Findings;
use kernel::{Budget, Kernel};
use programs::Inits;

/// What an image is checked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    /// How many bytes the image may decompress to, and its modules together.
    pub(crate) limit: u64,
    /// The release of the only kernel that is checked; all if there is none.
    pub(crate) release: Option<&'a str>,
    /// The machines that are to boot.
    pub(crate) boards: &'a [Capture],
    /// The kernel command line; that of each machine if there is none.
    pub(crate) cmdline: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Returns the kernel command lines of the boots.
    fn lines(&self) -> Vec<&'a str> {
        match self.cmdline {
            Some(line) => vec![line],
            None => self.boards.iter().map(|board| &*board.cmdline).collect(),
        }
    }

    /// Returns why a kernel without modules cannot boot as it is asked for; `None` if it may.
    fn needs_modules(&self) -> Option<&'static str> {
        let has_module = |board: &Capture| board.devices.iter().any(|dev| dev.module.is_some());
        let names_root = |line: &str| KernelCommandLine::parse(line).root.is_named();
        if self.boards.iter().any(has_module) {
            return Some("devices of the machine have drivers in modules");
        }
        let line = self.cmdline.filter(|line| self.boards.is_empty() && names_root(line));
        line.map(|_| "what the root needs is not known to be built in")
    }
}

/// The result of a check.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The kernels, each with the number of its modules in the image.
    pub(crate) kernels: Vec<(String, usize)>,
    /// The faults, errors first.
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// Returns the number of findings of this severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Checks an image. `open` opens it at its start and is called twice. An image that cannot be
/// unpacked is a finding.
///
/// # Errors
/// The image cannot be opened, was changed, or the temporary directory cannot be used.
pub(crate) fn check<R: BufRead>(
    open: impl Fn() -> sys::Result<R>,
    request: Request<'_>,
) -> Result<Report, ReadError> {
    let mut check = Check { request, findings: Findings::default(), kernels: Vec::new() };
    match Contents::read(open, request.limit) {
        Ok(contents) => check.contents(&contents)?,
        Err(error) if error.is_of_image() => {
            let text = error.to_string();
            match error.hint() {
                Some(hint) => check.findings.hinted("content", text, hint),
                None => check.findings.error("content", text),
            }
        }
        Err(error) => return Err(error),
    }
    Ok(Report { kernels: check.kernels, findings: check.findings.sorted() })
}

/// A check that has begun.
struct Check<'a> {
    request: Request<'a>,
    findings: Findings,
    kernels: Vec<(String, usize)>,
}

impl Check<'_> {
    fn contents(&mut self, contents: &Contents) -> sys::Result<()> {
        for dir in contents.implied() {
            let text = "no entry for this directory: the kernel does not unpack what is in it";
            self.findings.error(format!("/{}", escape::bytes(dir)), text);
        }
        let manifest = contents.manifest();
        let inits = Inits::new(&manifest, &self.request.lines());
        let budget = Budget::new(self.request.limit);
        let mut machine = None;
        for release in self.releases(contents) {
            let findings = self.findings.about(Kind::Module);
            let kernel = Kernel::read(&contents.root(), &release, &budget, findings)?;
            machine = machine.or_else(|| kernel.machine());
            self.kernel(contents, &inits, &kernel)?;
            self.kernels.push((release, kernel.names.len()));
        }
        inits.check(&manifest, machine, self.findings.about(Kind::Program));
        Ok(())
    }

    /// Returns the kernels to check.
    fn releases(&mut self, contents: &Contents) -> Vec<String> {
        let found = &contents.releases;
        match self.request.release {
            Some(release) if found.iter().any(|found| found == release) => vec![release.to_owned()],
            Some(release) => {
                let release = escape::line(release);
                let text = match &found[..] {
                    [] => "missing: the image has no modules".to_owned(),
                    found => {
                        format!("missing: the image has modules of {}", finding::listed(found))
                    }
                };
                let hint = "build the image for this kernel, or name another one with --kernel";
                self.findings.hinted(format!("lib/modules/{release}"), text, hint);
                Vec::new()
            }
            None => {
                if found.is_empty() {
                    self.report_no_modules();
                }
                found.clone()
            }
        }
    }

    /// Reports that the image has neither modules nor the list of what is built in.
    fn report_no_modules(&mut self) {
        const OBJECT: &str = "lib/modules";
        match self.request.needs_modules() {
            Some(why) => {
                let hint = "build the image with modules; if all is built in, with modules.builtin";
                self.findings.hinted(OBJECT, format!("missing: {why}"), hint);
            }
            None => {
                let text = "missing: a kernel needs all drivers of the root built in";
                self.findings.warning(OBJECT, text);
            }
        }
    }

    /// Checks one kernel.
    fn kernel(&mut self, contents: &Contents, inits: &Inits, kernel: &Kernel) -> sys::Result<()> {
        let (root, Request { boards, cmdline, .. }) = (contents.root(), self.request);
        let findings = &mut self.findings;
        indexes::check(kernel, findings);
        modules::check(kernel, kernel.machine(), findings.about(Kind::Module));
        let mut wanted = HashSet::new();
        for board in boards {
            let line = cmdline.unwrap_or(&board.cmdline);
            let params = KernelCommandLine::parse(line);
            let findings = findings.about(Kind::Device);
            wanted.extend(board::check(&root, kernel, board, &params, findings)?);
            let findings = findings.about(Kind::Root);
            root::check(kernel, inits.of(line), Some(board), &params, findings);
        }
        if let (Some(cmdline), []) = (cmdline, boards) {
            let params = KernelCommandLine::parse(cmdline);
            let findings = findings.about(Kind::Root);
            root::check(kernel, inits.of(cmdline), None, &params, findings);
        }
        let is_wanted = |module: &_| wanted.contains(module);
        firmware::check(&root, kernel, &is_wanted, findings.about(Kind::Firmware));
        Ok(())
    }
}
