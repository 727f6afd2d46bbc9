//! One row of the fault matrix: a machine that differs from the shared one, and what its boot must
//! come to.
//!
//! The shared machine boots [`Kernel::Cloud61`] with all modules in the image. Its only disk is an
//! ext4 on virtio-blk that holds guest.rs as /sbin/init, and its kernel command line has
//! `root=/dev/vda coldplug.onfail=poweroff`.
//!
//! In every row:
//!
//! - exactly one line of the console begins with `coldplug: verdict=`, unless [`Row::verdict`] is
//!   empty: then there is none;
//! - with the verdict ok the init of the root runs and reports; with another one no init runs;
//! - PID 1 does not exit ("Attempted to kill init"), and the kernel does not panic unless
//!   [`Row::panics`];
//! - the time in the verdict is below [`Row::limit_s`].

use harness::disk::ROOT;
use harness::entry::Entry;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Machine, Running};
use harness::paths::program;
use harness::run::{BOOT, Case, name_of};
use harness::{files, image, own_modules};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One boot.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Whether `make test` runs it.
    pub(crate) quick: bool,
    pub(crate) image: Image,
    /// Entries that are added to the image or replace those of their name. `RELEASE` in a name
    /// stands for the release of the kernel.
    pub(crate) files: &'static [(&'static str, Content)],
    /// Words at the end of the kernel command line.
    pub(crate) words: &'static str,
    /// More arguments of QEMU.
    pub(crate) args: &'static [&'static str],
    pub(crate) root: Root,
    /// Entries of the root that are added or replace those of their name.
    pub(crate) on_root: &'static [(&'static str, Content)],
    /// Options of the root's `-drive`, such as `,throttling.bps-total=100`.
    pub(crate) drive: &'static str,
    /// Changes the machine further.
    pub(crate) set_up: fn(Machine) -> Machine,
    /// Acts while the machine runs.
    pub(crate) act: fn(&mut Running),
    /// The verdict, empty if there is none.
    pub(crate) verdict: &'static str,
    /// Texts that the console must show.
    pub(crate) says: &'static [&'static str],
    /// Texts that the console must not show.
    pub(crate) never: &'static [&'static str],
    /// Whether the kernel panics.
    pub(crate) panics: bool,
    /// Longest time from the entry of /init to the verdict, in the guest, in seconds.
    pub(crate) limit_s: u32,
    /// Checks the boot further.
    pub(crate) check: fn(&Boot),
}

/// A row without a fault, whose fields other rows take over.
pub(crate) const ROW: Row = Row {
    name: "",
    quick: false,
    image: Image::Shared,
    files: &[],
    words: "",
    args: &[],
    root: Root::Disk,
    on_root: &[],
    drive: "",
    set_up: |vm| vm,
    act: |_| {},
    verdict: "ok",
    says: &[],
    never: &[],
    panics: false,
    limit_s: 90,
    check: |_| {},
};

/// An init that ends the machine. The usual one waits for all processes that the boot has left, and
/// a worker process with a module that hangs never ends.
pub(crate) const SHORT_INIT: &[(&str, Content)] = &[
    ("bin/sh", Content::Busybox),
    ("sbin/init", Content::Text("#!/bin/sh\necho b > /proc/sysrq-trigger\n")),
];

/// The image before [`Row::files`] are added.
#[derive(Clone, Copy)]
pub(crate) enum Image {
    /// All modules of [`Kernel::Cloud61`].
    Shared,
    /// All modules of [`Kernel::Full61`].
    Full,
    /// All modules of [`Kernel::Cloud61`] and those of harness/own_modules.rs.
    OwnModules,
    /// The modules of this kernel, while another one is booted.
    Foreign(Kernel),
    /// What these options of `coldplug image build` select of [`Kernel::Cloud61`].
    Options(&'static [&'static str]),
    /// What these options select of [`Kernel::Full61`].
    FullOptions(&'static [&'static str]),
    /// All modules of [`Kernel::Cloud61`], with this list of directories and nodes.
    List(&'static str),
}

impl Image {
    /// Returns the kernel, and the image.
    fn make(self) -> (Tree, PathBuf) {
        let of = |tree: Tree, options: &[&str]| {
            let image = image::coldplug(&tree, options);
            (tree, image)
        };
        match self {
            Self::Shared => image::all_of(Kernel::Cloud61),
            Self::Full => image::all_of(Kernel::Full61),
            Self::OwnModules => of(own_modules::tree(), &["--all"]),
            Self::Foreign(kernel) => (Kernel::Cloud61.get(), image::all_of(kernel).1),
            Self::Options(options) => of(Kernel::Cloud61.get(), options),
            Self::FullOptions(options) => of(Kernel::Full61.get(), options),
            Self::List(list) => {
                let tree = Kernel::Cloud61.get();
                let image = image::with_list(&tree, list);
                (tree, image)
            }
        }
    }
}

/// The disk of the root.
#[derive(Clone, Copy)]
pub(crate) enum Root {
    /// The ext4 of the shared machine on virtio-blk.
    Disk,
    /// The same on another bus.
    On(Bus),
    /// None.
    None,
    /// What this function writes to the file.
    Made(fn(&Path)),
}

/// The content of an entry.
#[derive(Clone, Copy)]
pub(crate) enum Content {
    Text(&'static str),
    Bytes(&'static [u8]),
    /// So many zero bytes.
    Zeros(usize),
    /// The file of this name below the root of the kernel's modules, changed.
    Changed(fn(Vec<u8>) -> Vec<u8>),
    /// What this function makes.
    Made(fn(&Tree) -> Vec<u8>),
    /// A symbolic link to this path.
    Link(&'static str),
    Directory,
    Fifo,
    /// A character device with these numbers.
    Device(u32, u32),
    Busybox,
    /// A program of the release build.
    Program(&'static str),
}

impl Content {
    /// Returns the entry with this content, which is called `name`.
    fn entry(self, tree: &Tree, name: &str) -> Entry {
        match self {
            Self::Text(text) => Entry::File(text.into()),
            Self::Bytes(bytes) => Entry::File(bytes.into()),
            Self::Zeros(count) => Entry::File(vec![0; count]),
            Self::Changed(change) => {
                Entry::File(change(fs::read(tree.root.join(name)).expect("a file of the kernel")))
            }
            Self::Made(make) => Entry::File(make(tree)),
            Self::Link(target) => Entry::Link(target.into()),
            Self::Directory => Entry::Directory,
            Self::Fifo => Entry::Fifo,
            Self::Device(major, minor) => Entry::Device(major, minor),
            Self::Busybox => Entry::File(files::busybox()),
            Self::Program(name) => Entry::File(fs::read(program(name)).unwrap()),
        }
    }
}

impl Row {
    /// Returns the test of the row, in the file `kind`.
    pub(crate) fn case(&'static self, kind: &str) -> Case {
        Case {
            name: name_of(&format!("faults::{kind}"), self.name),
            needs: &BOOT,
            is_extra: !self.quick,
            run: Box::new(|| self.run()),
        }
    }

    fn run(&self) {
        let (tree, image) = self.image.make();
        let limit = Duration::from_secs(self.limit_s.into());
        let mut vm = Machine::new(&tree, &image).deadline(limit + Duration::from_secs(60));
        if self.panics {
            vm = vm.may_panic();
        }
        if !self.files.is_empty() {
            let file = vm.dir().join("image");
            vm = vm.image(&image::with_entries(&image, &entries(&tree, self.files), &file));
        }
        let vm = self.with_root(vm, &tree).cmdline("root=/dev/vda").args(self.args.iter().copied());
        let vm = (self.set_up)(vm).cmdline(self.words);
        let mut machine = vm.start();
        (self.act)(&mut machine);
        self.judge(&machine.finish());
    }

    fn with_root(&self, vm: Machine, tree: &Tree) -> Machine {
        let file = vm.dir().join("root");
        let bus = match self.root {
            Root::None => return vm,
            Root::Disk => Bus::VirtioBlk,
            Root::On(bus) => bus,
            Root::Made(make) => {
                make(&file);
                return vm.drive(Bus::VirtioBlk, &format!("file={}{}", file.display(), self.drive));
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let init = [("sbin/init", Content::Program("examples/guest"))];
        for (name, entry) in entries(tree, &init).iter().chain(&entries(tree, self.on_root)) {
            entry.make(&dir.path().join(name));
        }
        ROOT.make_of(dir.path(), "16M", &file);
        vm.drive(bus, &format!("file={}{}", file.display(), self.drive))
    }

    fn judge(&self, boot: &Boot) {
        boot.check(!boot.console.contains("Attempted to kill init"), "PID 1 exited");
        let has_panicked = boot.console.contains("Kernel panic");
        boot.check(has_panicked == self.panics, "whether the kernel panics");
        for text in self.says {
            boot.check(boot.console.contains(text), &format!("{text:?} is not on the console"));
        }
        for text in self.never {
            boot.check(!boot.console.contains(text), &format!("{text:?} is on the console"));
        }
        let verdicts = boot.verdicts();
        let expected = usize::from(!self.verdict.is_empty());
        boot.check(verdicts.len() == expected, &format!("{} verdicts", verdicts.len()));
        if !self.verdict.is_empty() {
            boot.expect(self.verdict);
            let time_ms: u64 = boot.figure("time").parse().unwrap();
            boot.check(time_ms <= u64::from(self.limit_s) * 1000, "the boot took too long");
        }
        match self.verdict {
            "ok" if !self.has_own_init() => drop(boot.facts()),
            "ok" | "" => {}
            _ => boot.check(boot.facts_text.is_empty(), "an init ran"),
        }
        (self.check)(boot);
    }

    fn has_own_init(&self) -> bool {
        self.on_root.iter().any(|(name, _)| *name == "sbin/init")
    }
}

fn entries(tree: &Tree, files: &[(&str, Content)]) -> Vec<(String, Entry)> {
    let entry = |(name, content): &(&str, Content)| {
        let name = name.replace("RELEASE", &tree.release);
        let entry = content.entry(tree, &name);
        (name, entry)
    };
    files.iter().map(entry).collect()
}
