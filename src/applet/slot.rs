//! `slot`: the slots of an A/B system, and the U-Boot environment that counts their attempts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::{Arg, Args};
use super::message::{self, Error};
use super::out;
use super::table::table;
use super::usage::{Opt, Usage};
use crate::boot::{self, RECORD};
use crate::byte_text;
use crate::cmdline::slots::{EnvironmentPlace, environment, is_slot_name};
use crate::disk::boot_slots;
use crate::disk::uboot_env::{Environment, StoredEnvironment};
use crate::escape;
use crate::report::Record;
use crate::sys::environment_file::{self, EnvironmentFile};
use crate::sys::regular_file::{self, RECORD_LIMIT};
use crate::sys::store_file::Access;
use crate::sys::{Root, procfs};

pub(super) static USAGE: Usage = Usage::new(
    "slot",
    "show the slots of an A/B system, or mark one as good or bad",
)
.text(
    "\n\n\
     Shows or changes the slots of coldplug.slots=, whose order and attempts are in a U-Boot \
     environment, in the variables that RAUC uses: BOOT_ORDER and BOOT_SLOT_LEFT.",
)
.actions(&[
    &Usage::new("slot status", "show the slots in the order in which they are tried"),
    &Usage::new("slot good", "give a slot three attempts (default: the slot that was booted)")
        .text("[SLOT]"),
    &Usage::new("slot bad", "take all attempts from a slot, and remove it from the order")
        .text("[SLOT]"),
    &Usage::new("slot activate", "put a slot first in the order, with three attempts").text("SLOT"),
    &Usage::new("slot init", "write a new environment, with all slots in their order"),
])
.options(&[
    Opt('e', "env=PLACE,…: the environment, as in coldplug.slots_env=: DEVICE@OFFSET:SIZE, where DEVICE may be a \
         file (default: the one of the kernel command line)"),
    Opt('s', "slots=SLOT,…: names of the slots (default: those of the kernel command line)"),
    Opt('f', "force: with init: overwrite what is there"),
]);

/// What to do with the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Status,
    Good,
    Bad,
    Activate,
    Init,
}

const ACTIONS: [(&str, Action); 5] = [
    ("status", Action::Status),
    ("good", Action::Good),
    ("bad", Action::Bad),
    ("activate", Action::Activate),
    ("init", Action::Init),
];

/// A parsed command line.
#[derive(Debug, Default)]
struct Options {
    action: Option<Action>,
    slot: Option<String>,
    env: Option<Vec<EnvironmentPlace>>,
    slots: Option<Vec<String>>,
    force: bool,
}

pub(super) fn run(args: &[OsString]) -> Result<(), Error> {
    let options = parse(args)?;
    let Some(action) = options.action else {
        return Err(Error::Usage("no action given: status, good, bad, activate or init".into()));
    };
    let text = act(&Root::default(), action, options)?;
    out::text(&text);
    Ok(())
}

fn parse(args: &[OsString]) -> Result<Options, Error> {
    let mut args = Args::new(args, Vec::new(), &USAGE);
    let mut options = Options::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Opt('f', _) => options.force = true,
            Arg::Opt('e', text) => {
                let text = byte_text::from_path(&text).into_owned();
                let wrong = || Error::Usage(format!("--env '{text}' is not DEVICE@OFFSET:SIZE"));
                options.env = Some(environment(&text).ok_or_else(wrong)?);
            }
            Arg::Opt(_, text) => {
                let names =
                    text.to_string_lossy().split(',').map(checked).collect::<Result<_, _>>()?;
                options.slots = Some(names);
            }
            Arg::Operand(word) => {
                let text = word.to_string_lossy();
                let action = ACTIONS.iter().find(|(name, _)| *name == text);
                match (options.action, action) {
                    (None, Some((_, action))) => options.action = Some(*action),
                    (None, None) => return Err(Error::Usage(format!("unknown action '{text}'"))),
                    (Some(Action::Good | Action::Bad | Action::Activate), _)
                        if options.slot.is_none() =>
                    {
                        options.slot = Some(checked(&text)?);
                    }
                    _ => return Err(Error::unexpected(&word)),
                }
            }
        }
    }
    if options.action == Some(Action::Activate) && options.slot.is_none() {
        return Err(Error::Usage("activate: SLOT is missing".into()));
    }
    Ok(options)
}

fn checked(name: &str) -> Result<String, Error> {
    match is_slot_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Error::Usage(format!("'{}' is not the name of a slot", escape::line(name)))),
    }
}

/// The slots as they are known, and their environment.
struct Slots {
    names: Vec<String>,
    /// Roots by slot, as written; empty without a kernel command line that names them.
    roots: Vec<String>,
    booted: Option<String>,
    places: Vec<EnvironmentPlace>,
}

/// Carries out an action. Returns the text to print.
fn act(root: &Root, action: Action, options: Options) -> Result<String, Error> {
    let slots = Slots::new(root, options.env, options.slots)?;
    // Other programs lock the same file. Without its directory they cannot.
    let _lock = (action != Action::Status).then(|| environment_file::lock().ok());
    let access = if action == Action::Status { Access::Read } else { Access::Write };
    let paths =
        slots.places.iter().map(|place| path(root, place)).collect::<Result<Vec<_>, _>>()?;
    let size = slots.places.first().map_or(0, |place| place.size);
    let file = EnvironmentFile::open(&paths, size, access)?;
    let copies = file.read()?;
    let stored = StoredEnvironment::parse(&copies);
    if action == Action::Init {
        return slots.init(&file, stored, &copies, options.force);
    }
    let Some(mut stored) = stored else {
        let text = format!("{}: no valid environment", slots.place());
        return Err(Error::Hinted(text, "'coldplug slot init' makes one".into()));
    };
    if action == Action::Status {
        return Ok(slots.status(&stored.variables));
    }
    let slot = slots.subject(options.slot)?;
    let (before, names) = (stored.variables.clone(), slots.names());
    let variables = &mut stored.variables;
    match action {
        Action::Bad => boot_slots::mark_bad(variables, &slot),
        Action::Activate => boot_slots::activate(variables, &names, &slot),
        _ => boot_slots::set_attempts(variables, &slot, boot_slots::ATTEMPTS),
    }
    // Flash wears out.
    if stored.variables != before {
        file.save(&mut stored)?;
    }
    Ok(String::new())
}

impl Slots {
    /// Returns the slots and the environment of the arguments, else those of the kernel command
    /// line.
    fn new(
        root: &Root,
        places: Option<Vec<EnvironmentPlace>>,
        names: Option<Vec<String>>,
    ) -> Result<Self, Error> {
        let params = procfs::kernel_command_line(root).root;
        let is_given = names.is_some();
        let roots = params.candidates().into_iter().map(|root| root.text);
        let roots = if is_given || params.slots.is_empty() { Vec::new() } else { roots.collect() };
        let names = names.unwrap_or(params.slots);
        let places = places.unwrap_or(params.slots_env);
        if places.is_empty() {
            let text = "the kernel command line has no coldplug.slots_env=";
            return Err(Error::Hinted(text.into(), "name the environment with --env".into()));
        }
        let record = regular_file::read_text(&root.join(RECORD), RECORD_LIMIT);
        let booted = record.ok().and_then(|json| Record::slot(&json));
        Ok(Self { names, roots, booted, places })
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn place(&self) -> String {
        self.places.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Returns the slot that an action is about.
    fn subject(&self, slot: Option<String>) -> Result<String, Error> {
        let Some(slot) = slot.or_else(|| self.booted.clone()) else {
            let text = format!("/{RECORD} names no slot that was booted");
            return Err(Error::Hinted(text, "name the slot".into()));
        };
        if !self.names.is_empty() && !self.names.contains(&slot) {
            let all = self.names.join(", ");
            return Err(Error::Failed(format!("no slot '{slot}': the slots are {all}")));
        }
        Ok(slot)
    }

    /// Writes an environment with all slots in their order, and what the place holds already.
    fn init(
        &self,
        file: &EnvironmentFile,
        stored: Option<StoredEnvironment>,
        copies: &[Vec<u8>],
        force: bool,
    ) -> Result<String, Error> {
        if self.names.is_empty() {
            let text = "the kernel command line has no coldplug.slots=";
            return Err(Error::Hinted(text.into(), "name the slots with --slots".into()));
        }
        // Erased flash is 0xff.
        let is_free = |copy: &Vec<u8>| {
            copy.iter().all(|byte| *byte == 0) || copy.iter().all(|byte| *byte == 0xff)
        };
        if stored.is_none() && !force && !copies.iter().all(is_free) {
            let text = format!("{}: holds something else than an environment", self.place());
            return Err(Error::Hinted(text, "--force overwrites it".into()));
        }
        let copies = self.places.len();
        let mut stored = stored.unwrap_or_else(|| StoredEnvironment::new(copies));
        for slot in self.names().iter().rev() {
            boot_slots::activate(&mut stored.variables, &[], slot);
        }
        // Both copies: the tools of U-Boot warn about a damaged one.
        for _ in 0..copies {
            file.save(&mut stored)?;
        }
        Ok(String::new())
    }

    fn status(&self, variables: &Environment) -> String {
        let mut rows = vec![["SLOT", "ORDER", "ATTEMPTS", "ROOT"].map(str::to_owned).to_vec()];
        let names = self.names();
        let order = boot_slots::order(variables, &names);
        let others = names.iter().copied().filter(|name| !order.contains(name));
        for slot in order.iter().copied().chain(others) {
            let place = order.iter().position(|other| *other == slot);
            let place = place.map_or_else(|| "-".to_owned(), |at| (at + 1).to_string());
            let root = names.iter().position(|name| *name == slot);
            let mut root = root.and_then(|at| self.roots.get(at)).cloned().unwrap_or_default();
            if self.booted.as_deref() == Some(slot) {
                root += " (booted)";
            }
            let left = boot_slots::attempts_left(variables, slot).to_string();
            rows.push(vec![slot.to_owned(), place, left, root.trim_start().to_owned()]);
        }
        if names.is_empty() {
            message::hint("name the slots with --slots");
        }
        table("", &rows) + "\n"
    }
}

/// Returns the node or file of a place, and the offset there.
fn path(root: &Root, place: &EnvironmentPlace) -> Result<(PathBuf, i64), Error> {
    let text = &place.device;
    let file = byte_text::to_path(text);
    if let Ok(path) = file.canonicalize() {
        return Ok((path, place.offset));
    }
    let device = boot::find_device(root, &place.name());
    let missing = || Error::Failed(format!("{}: not found", escape::path(Path::new(&*file))));
    Ok((device.ok_or_else(missing)?.node(root), place.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Result<String, Error> {
        let args: Vec<OsString> =
            std::iter::once("slot").chain(words.iter().copied()).map(OsString::from).collect();
        let options = parse(&args)?;
        let action = options.action.unwrap();
        // No kernel command line, and no record.
        act(&Root::at("/nonexistent"), action, options)
    }

    #[test]
    fn slots_are_made_and_marked() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("disk");
        std::fs::write(&file, [0xff; 4096]).unwrap();
        let env = format!("--env={0}@0:0x400,{0}@0x800:0x400", file.display());
        let slot = |words: &str| {
            let words: Vec<&str> = words.split_whitespace().chain([&*env, "--slots=A,B"]).collect();
            call(&words)
        };
        let status = || slot("status").unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let error = slot("status").unwrap_err().to_string();
        assert!(error.contains("no valid environment"), "{error}");
        slot("init").unwrap();
        assert_eq!(status(), "SLOT ORDER ATTEMPTS ROOT A 1 3 B 2 3");
        slot("bad A").unwrap();
        assert_eq!(status(), "SLOT ORDER ATTEMPTS ROOT B 1 3 A - 0");
        slot("good A").unwrap();
        assert_eq!(status(), "SLOT ORDER ATTEMPTS ROOT B 1 3 A - 3");
        slot("activate A").unwrap();
        assert_eq!(status(), "SLOT ORDER ATTEMPTS ROOT A 1 3 B 2 3");
        let before = std::fs::read(&file).unwrap();
        slot("good A").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), before, "nothing has changed");
        assert!(before[0x400..0x800].iter().all(|byte| *byte == 0xff));
        for (words, want) in [
            ("good", "names no slot that was booted"),
            ("bad C", "no slot 'C': the slots are A, B"),
            ("good A B", "unexpected argument 'B'"),
            ("activate", "SLOT is missing"),
            ("activate A=", "'A=' is not the name of a slot"),
            ("destroy", "unknown action 'destroy'"),
        ] {
            let error = slot(words).unwrap_err().to_string();
            assert!(error.contains(want), "{words}: {error}");
        }
        std::fs::write(&file, [7; 4096]).unwrap();
        let error = slot("init").unwrap_err().to_string();
        assert!(error.contains("holds something else"), "{error}");
        slot("init --force").unwrap();
        assert_eq!(status(), "SLOT ORDER ATTEMPTS ROOT A 1 3 B 2 3");
    }
}
