//! The programs that are compared, each with its image.

use harness::compared::is_quick;
use harness::image;
use harness::kernel::Tree;
use harness::peer_images::{self, Builder, System};
use harness::results::Results;
use harness::run::Need;
use std::path::PathBuf;

/// A row: a program and what its image holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// Name in the table.
    pub(crate) name: &'static str,
    /// What its image holds.
    pub(crate) content: Content,
    /// Words for the kernel command line.
    pub(crate) words: &'static str,
    /// How its image was made.
    pub(crate) note: &'static str,
    /// Whether it is measured with `BENCH_QUICK=1`.
    pub(crate) is_quick: bool,
}

/// The content of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// coldplug with all modules of the kernel.
    AllModules,
    /// coldplug with the modules of the root alone.
    Roots,
    /// The floor, with the modules that coldplug has loaded from all.
    Floor,
    /// The floor, with the modules of the root alone.
    FloorOfRoots,
    /// A peer's generic image.
    Generic(System, Builder),
    /// A peer's image with the modules of the root alone.
    Listed(System, Builder),
}

const FOR_ROOT: &str = "coldplug.settle=root";

/// The programs, those with generic images first.
pub(crate) const ALL: [Program; 18] = [
    row("coldplug", Content::AllModules, "", "all modules of the kernel").quick(),
    row("coldplug, settle=root", Content::AllModules, FOR_ROOT, "the same image").quick(),
    row("floor", Content::Floor, "", "no discovery: coldplug's modules, sequential").quick(),
    row("floor, 8 threads", Content::Floor, "floor.threads=8", "the same image").quick(),
    generic("initramfs-tools", System::Bookworm, Builder::InitramfsTools, "MODULES=most").quick(),
    generic(
        "initramfs-tools, storage",
        System::BookwormStorage,
        Builder::InitramfsTools,
        "with cryptsetup, LVM and md",
    ),
    generic("initramfs-tools of sid", System::Sid, Builder::InitramfsTools, "MODULES=most"),
    generic("dracut", System::Bookworm, Builder::Dracut, "--no-hostonly").quick(),
    generic(
        "dracut, storage",
        System::BookwormStorage,
        Builder::Dracut,
        "with cryptsetup, LVM and md",
    ),
    generic("dracut of sid", System::Sid, Builder::Dracut, "--no-hostonly"),
    row("coldplug, host-only", Content::Roots, "", "the modules of the root"),
    row("coldplug, host-only, settle=root", Content::Roots, FOR_ROOT, "the same image"),
    row("floor, host-only", Content::FloorOfRoots, "", "the modules of the root"),
    listed("initramfs-tools, host-only", System::Bookworm, Builder::InitramfsTools),
    listed("initramfs-tools of sid, host-only", System::Sid, Builder::InitramfsTools),
    listed("dracut, host-only", System::Bookworm, Builder::Dracut),
    listed("dracut of sid, host-only", System::Sid, Builder::Dracut),
    listed("tiny-initramfs, host-only", System::Bookworm, Builder::TinyInitramfs),
];

const fn row(
    name: &'static str,
    content: Content,
    words: &'static str,
    note: &'static str,
) -> Program {
    Program { name, content, words, note, is_quick: false }
}

const fn generic(
    name: &'static str,
    system: System,
    builder: Builder,
    note: &'static str,
) -> Program {
    row(name, Content::Generic(system, builder), "", note)
}

const fn listed(name: &'static str, system: System, builder: Builder) -> Program {
    row(name, Content::Listed(system, builder), "", "the modules of the root")
}

impl Program {
    const fn quick(mut self) -> Self {
        self.is_quick = true;
        self
    }

    /// Returns its image for `tree`; `loaded` are the modules that coldplug has loaded there, in
    /// order, and `roots` those of the root.
    pub(crate) fn image(&self, tree: &Tree, loaded: &[String], roots: &[&str]) -> PathBuf {
        let listed = roots.join(",");
        match self.content {
            Content::AllModules => image::coldplug(tree, &["--all"]),
            Content::Roots => image::coldplug(tree, &["--modules", &listed]),
            Content::Floor => {
                let loaded: Vec<&str> = loaded.iter().map(String::as_str).collect();
                image::floor(tree, &loaded)
            }
            Content::FloorOfRoots => image::floor(tree, &with_dependencies(tree, loaded, roots)),
            Content::Generic(system, builder) => peer_images::built(system, builder, tree, None),
            Content::Listed(system, builder) => {
                peer_images::built(system, builder, tree, Some(roots))
            }
        }
    }

    /// Returns whether its row is wanted: with `BENCH_QUICK=1` only some are, and with `BENCH_ONLY` those
    /// that it names, separated by semicolons.
    pub(crate) fn is_wanted(&self) -> bool {
        match std::env::var("BENCH_ONLY") {
            Ok(names) => names.split(';').any(|name| name == self.name),
            Err(_) => self.is_quick || !is_quick(),
        }
    }

    /// Returns whether the image of this row shows which modules the floor has to load.
    pub(crate) fn is_first(&self) -> bool {
        self.content == Content::AllModules && self.words.is_empty()
    }

    /// Returns whether it loads what coldplug has loaded.
    pub(crate) fn is_floor(&self) -> bool {
        matches!(self.content, Content::Floor | Content::FloorOfRoots)
    }

    /// Returns the system in which its image is built, if it is a peer.
    fn system(&self) -> Option<System> {
        match self.content {
            Content::Generic(system, _) | Content::Listed(system, _) => Some(system),
            _ => None,
        }
    }

    /// Returns whether the image is for one machine.
    pub(crate) fn is_host_only(&self) -> bool {
        matches!(self.content, Content::Roots | Content::FloorOfRoots | Content::Listed(..))
    }
}

/// Returns the modules of `loaded` that `roots` need, themselves included, in the order of `loaded`.
fn with_dependencies<'a>(tree: &Tree, loaded: &'a [String], roots: &[&str]) -> Vec<&'a str> {
    let mut wanted: Vec<String> = roots.iter().map(|&name| name.to_owned()).collect();
    for root in roots {
        // One that is built in has none.
        let needs = tree.dep(root).map(|(_, needs)| needs).unwrap_or_default();
        wanted.extend(needs.iter().map(|file| harness::kernel::stem(file)));
    }
    loaded.iter().filter(|name| wanted.contains(name)).map(String::as_str).collect()
}

/// Returns why the wanted rows cannot be measured, if so.
pub(crate) fn lacking() -> Option<String> {
    let has_peers = ALL.iter().any(|program| program.is_wanted() && program.system().is_some());
    let reason = "images of other programs are built in a chroot; \
                  BENCH_ONLY='coldplug;floor' measures without them";
    Need::Root(reason).lacking().filter(|_| has_peers)
}

/// Notes the versions of the peers that are measured.
pub(crate) fn note_versions(results: &mut Results) {
    let systems = [("bookworm", System::Bookworm), ("sid", System::Sid)];
    let is_wanted = |system: System| {
        ALL.iter().any(|program| program.is_wanted() && program.system() == Some(system))
    };
    for (suite, system) in systems.into_iter().filter(|(_, system)| is_wanted(*system)) {
        let home = system.home();
        for package in
            ["initramfs-tools-core", "dracut-core", "tiny-initramfs-core", "udev", "kmod"]
        {
            if let Some(version) = harness::debian::version(&home, package) {
                results.version(&format!("{package} of {suite}"), &version);
            }
        }
    }
}
