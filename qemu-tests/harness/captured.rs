//! A captured machine, and the image that is built for it: what `coldplug plan` and `image check` say
//! of it is what a boot with this image does.

use crate::arch::Arch;
use crate::files::put;
use crate::kernel::Tree;
use crate::machine::Facts;
use crate::paths::{program, program_for};
use crate::{note, record, tool};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A captured machine.
#[derive(Debug)]
pub struct Captured {
    dir: TempDir,
    tree: Tree,
}

impl Captured {
    /// Takes a capture, or the log of a console to which one was printed, of a machine that boots
    /// the kernel of `tree`.
    pub fn new(tree: &Tree, text: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("coldplug-board-").tempdir().unwrap();
        put(dir.path(), "board", text.as_bytes(), 0o644);
        Self { dir, tree: tree.clone() }
    }

    /// Returns a command of coldplug for the kernel, with the capture as the last argument after
    /// `option`.
    fn command(&self, words: &[&str], option: &str) -> Command {
        let mut command = Command::new(program("coldplug"));
        command.args(words).args(["--kernel", &self.tree.release]);
        command.arg(option).arg(self.dir.path().join("board"));
        command
    }

    /// Builds the image for the machine, with more `options`.
    pub fn image(&self, options: &[&str]) -> PathBuf {
        let image = self.dir.path().join("image");
        let mut build = self.command(&["image", "build", "--generic"], "--board");
        build.args(options).arg("--root").arg(&self.tree.root).arg("-o").arg(&image);
        if self.tree.arch != Arch::X86_64 {
            build.arg("--init").arg(program_for(self.tree.arch, "coldplug-init"));
        }
        note!("{}", tool::run(&mut build).trim_end());
        image
    }

    /// Checks an image for the machine.
    ///
    /// # Panics
    ///
    /// If the image does not pass the check.
    pub fn check(&self, image: &Path) {
        let mut check = self.command(&["image", "check"], "--board");
        note!("{}", tool::run(check.arg(image)).trim_end());
    }

    /// Returns the modules that `coldplug plan` lists as loaded.
    pub fn planned(&self) -> BTreeSet<String> {
        let mut plan = self.command(&["plan", "--json"], "--from");
        let text = tool::run(plan.arg("--root").arg(&self.tree.root));
        let plan: Value = serde_json::from_str(&text).unwrap();
        names(record::modules_with(&plan, "loaded"))
    }

    /// Compares a boot of the machine with the plan: the modules that were loaded, and those that
    /// found no hardware, which aliases do not tell, are those of the plan, and no other module is
    /// live but those that the kernel has `asked` for.
    ///
    /// # Panics
    ///
    /// If they differ.
    #[track_caller]
    pub fn compare(&self, facts: &Facts, asked: &[&str]) {
        let more = self.beyond_the_plan(facts);
        assert!(more.is_empty(), "{more:?}");
        let live = live(facts);
        let mut expected = loaded(&facts.record());
        expected.extend(asked.iter().map(|name| (*name).to_owned()));
        expected.extend(self.planned().intersection(&live).cloned());
        assert_eq!(live, expected);
    }

    /// Returns the modules that a boot of the machine has loaded and that are not in the plan.
    ///
    /// # Panics
    ///
    /// If the boot has not tried to load a module of the plan.
    #[track_caller]
    pub fn beyond_the_plan(&self, facts: &Facts) -> BTreeSet<String> {
        let record = facts.record();
        let mut booted = loaded(&record);
        booted.extend(names(record::modules_with(&record, "no-device")));
        let planned = self.planned();
        note!("{} modules planned, {} loaded or tried", planned.len(), booted.len());
        // What the kernel requests may be live before coldplug comes to it, and is not recorded.
        let live = live(facts);
        let missing: Vec<_> =
            planned.difference(&booted).filter(|name| !live.contains(*name)).collect();
        assert!(missing.is_empty(), "{missing:?} of {:#}", record["modules"]);
        booted.difference(&planned).cloned().collect()
    }
}

/// Returns the modules that are live at the end of a boot.
fn live(facts: &Facts) -> BTreeSet<String> {
    facts.modules().into_iter().map(str::to_owned).collect()
}

/// Returns the modules of a record that are live.
fn loaded(record: &Value) -> BTreeSet<String> {
    let outcomes = ["loaded", "already"].into_iter();
    names(outcomes.flat_map(|outcome| record::modules_with(record, outcome)))
}

/// Returns the names of modules of a plan or a record.
fn names<'v>(modules: impl IntoIterator<Item = &'v Value>) -> BTreeSet<String> {
    modules.into_iter().filter_map(|module| Some(module["name"].as_str()?.to_owned())).collect()
}
