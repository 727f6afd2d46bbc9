//! Requests of the kernel for modules: they are answered, however many come in parallel, and the
//! modules are removed when they are no longer used.
//!
//! ```text
//! data/demand/NAME.txt    a transcript with commands of guests/guest_demand.rs
//! docs/aliases.md         tables of requests; the last column has such commands
//! ```

use harness::disk::{ROOT, UUID};
use harness::files::put;
use harness::guest::{Output, Report};
use harness::kernel::{Kernel, Tree};
use harness::machine::{Boot, Bus, Facts, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, kernel, note, own_modules, paths, tests, transcript};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    modules_loaded_on_demand_are_removed_when_unused,
    settings_are_restored_with_their_module,
    the_helper_is_set_shown_and_disabled,
    events_are_printed_and_commands_run_for_them,
    request_loops_end,
    many_parallel_requests_are_all_answered,
    every_family_of_aliases_is_requested_and_answered,
    an_image_has_a_helper_at_the_path_of_the_kernel,
];

/// Links to coldplug in the root's /sbin.
const TOOLS: [&str; 4] = ["modprobe", "rmmod", "lsmod", "insmod"];

/// More parallel requests than the kernel starts helpers (MAX_KMOD_CONCURRENT is 50).
const MANY: usize = 60;

/// What the kernel logs if helpers do not return in time, today and before 4.13.
const RUNAWAY: [&str; 2] = ["kmod busy", "runaway loop"];

/// The root and the kernel of a machine.
struct Setup<'a> {
    tree: &'a Tree,
    /// Modules in the root; those that they need are added.
    modules: &'a [&'a str],
    /// Files of the root.
    files: &'a [(&'a str, &'a str)],
}

impl Setup<'_> {
    /// Boots the machine and runs `commands` in it.
    fn run(&self, commands: &[String]) -> Boot {
        let image = image::coldplug(self.tree, &["--modules", "virtio_pci,virtio_blk,ext4"]);
        let vm = Machine::new(self.tree, &image)
            .cmdline(&format!("root=UUID={UUID} rw"))
            .deadline(Duration::from_secs(400));
        let disks = [self.root(commands, vm.dir()), disk::vfat(&vm.dir().join("vfat.img"))];
        let vm = disks.iter().fold(vm, |vm, disk| vm.disk(Bus::VirtioBlk, disk));
        let boot = vm.device("virtio-net-pci").run();
        boot.expect("ok");
        boot
    }

    /// Makes the root disk in `dir`.
    fn root(&self, commands: &[String], dir: &Path) -> PathBuf {
        let root = dir.join("root");
        let program = |name| fs::read(paths::program(name)).unwrap();
        put(&root, "sbin/init", &program("examples/guest_demand"), 0o755);
        put(&root, "sbin/coldplug", &program("coldplug"), 0o755);
        put(&root, "sbin/kmod", b"#!/bin/sh\n", 0o755);
        let busybox = files::busybox();
        put(&root, "bin/busybox", &busybox, 0o755);
        for name in ["sh", "cat", "dmesg", "grep", "kill", "ls", "sleep", "sed"] {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        symlink("init", root.join("sbin/asked")).unwrap();
        for tool in TOOLS {
            symlink("coldplug", root.join("sbin").join(tool)).unwrap();
        }
        put(&root, "etc/commands", commands.join("\n").as_bytes(), 0o644);
        for (path, text) in self.files {
            put(&root, path, text.as_bytes(), 0o644);
        }
        for dir in ["mnt", "var/lib"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        disk::install_modules(self.tree, self.modules, &root);
        ROOT.make_of(&root, "96M", &dir.join("root.img"))
    }
}

/// Returns what the command with this number printed.
fn printed(facts: &Facts, number: usize) -> String {
    let output = Output::new(facts, number);
    output.stdout + &output.stderr
}

/// Boots `machine` and runs the transcript `name` in it.
#[track_caller]
fn check(machine: &Setup<'_>, name: &str) -> Boot {
    let file = paths::data("demand").join(name).with_extension("txt");
    let boot = machine.run(&transcript::commands(&file));
    note!("{}", boot.tail());
    transcript::check(&file, &mut Report::new(&boot.facts(), Vec::new()));
    no_runaway(&boot);
    boot
}

#[track_caller]
fn no_runaway(boot: &Boot) {
    for text in RUNAWAY {
        boot.check(!boot.console.contains(text), text);
    }
}

const CLEANED: &[&str] =
    &["vfat", "nls_cp437", "nls_ascii", "dummy", "virtio_net", "tcp_vegas", "loop", "md4"];
/// The kernel requests char-major-62-0, whereas a person names a driver.
const CLEANED_CONF: &str = "alias char-major-62-0 virtio_net\n";

fn modules_loaded_on_demand_are_removed_when_unused() {
    for kernel in [Kernel::Cloud61, Kernel::Cloud612] {
        let files = [("etc/modprobe.d/x.conf", CLEANED_CONF)];
        check(&Setup { tree: &kernel.get(), modules: CLEANED, files: &files }, "autoclean");
    }
}

fn settings_are_restored_with_their_module() {
    let files = [(
        "etc/coldplug/settings.d/x.conf",
        "settings tcp-vegas *\nsettings xfs /proc/sys/fs/xfs/xfssyncd_centisecs\n",
    )];
    for kernel in [Kernel::Cloud61, Kernel::Cloud612] {
        let modules = ["tcp_vegas", "xfs"];
        check(&Setup { tree: &kernel.get(), modules: &modules, files: &files }, "settings");
    }
}

fn the_helper_is_set_shown_and_disabled() {
    let modules = ["vfat", "nls_cp437", "nls_ascii"];
    check(&Setup { tree: &Kernel::Cloud61.get(), modules: &modules, files: &[] }, "helper");
}

fn events_are_printed_and_commands_run_for_them() {
    let modules = ["dummy", "tcp_vegas"];
    check(&Setup { tree: &Kernel::Cloud61.get(), modules: &modules, files: &[] }, "monitor");
}

/// `install` commands that make the kernel request their own module, and a module that requests
/// itself.
fn request_loops_end() {
    let conf = "alias char-major-61-2 dummy\n\
                install dummy cat /dev/own-c-61-2; /sbin/modprobe --ignore-install dummy\n";
    let modules = ["coldplug_self", "dummy"];
    let files = [("etc/modprobe.d/x.conf", conf)];
    let boot =
        check(&Setup { tree: &own_modules::tree(), modules: &modules, files: &files }, "loops");
    boot.check(
        boot.console.contains("coldplug_self: asked for itself, answer 256"),
        "the request for itself was not refused",
    );
}

/// Returns modules that need no other module and no hardware.
fn plain_modules(tree: &Tree) -> Vec<String> {
    let dep = fs::read_to_string(tree.modules().join("modules.dep")).unwrap();
    let kinds = [
        "kernel/crypto/",
        "kernel/net/sched/",
        "kernel/fs/nls/",
        "kernel/lib/",
        "kernel/net/ipv4/tcp_",
    ];
    // Modules that test for seconds, and fail.
    let odd = |file: &str| file.contains("test") || file.contains("tcrypt");
    let lines = dep.lines().filter_map(|line| line.strip_suffix(':'));
    let plain = lines.filter(|file| kinds.iter().any(|kind| file.starts_with(kind)) && !odd(file));
    plain.map(kernel::stem).collect()
}

fn many_parallel_requests_are_all_answered() {
    for tree in [own_modules::tree(), Kernel::Cloud612.get()] {
        let has_own = tree.module("coldplug_once").is_some();
        let one = if has_own { "coldplug_once" } else { "loop" };
        let mut modules = plain_modules(&tree);
        assert!(modules.len() >= MANY, "{modules:?}");
        modules.truncate(MANY);
        let aliases = modules.iter().enumerate();
        let mut conf: String =
            aliases.map(|(n, module)| format!("alias char-major-60-{n} {module}\n")).collect();
        conf += &format!("alias char-major-61-0 {one}\n");
        let mut all: Vec<&str> = modules.iter().map(String::as_str).collect();
        all.push(one);
        let files = [("etc/modprobe.d/x.conf", &*conf)];
        let machine = Setup { tree: &tree, modules: &all, files: &files };
        let commands = [
            format!("together {MANY} c 61 0 0"),
            format!("loaded {one}"),
            format!("together {MANY} c 60 0 1"),
            format!("loaded {}", modules.join(" ")),
            "sh ls /run/coldplug/autoclean".to_owned(),
        ];
        let boot = machine.run(&commands);
        let facts = boot.facts();
        no_runaway(&boot);
        let lines = |number| printed(&facts, number).lines().map(str::to_owned).collect::<Vec<_>>();
        for number in [0, 2] {
            assert_eq!(lines(number), [MANY.to_string()], "threads that came back");
        }
        assert_eq!(lines(1), [one], "{}", boot.tail());
        assert_eq!(lines(3), modules, "{}", boot.tail());
        // One of the requests has loaded the module and marked it.
        let marks = lines(4);
        for module in &all {
            assert!(marks.iter().any(|mark| mark == module), "{module} is not marked: {marks:?}");
        }
        if has_own {
            let started = boot.console.matches("coldplug_once: started").count();
            assert_eq!(started, 1, "{}", boot.tail());
        }
    }
}

/// Modules that the commands of docs/aliases.md need besides those that they request.
const BROUGHT: &[&str] = &[
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "9p",
    "snd",
    "vsock_loopback",
    "can",
    "bluetooth",
    "sch_ingress",
    "ip_tables",
    "algif_hash",
    "ecb",
    "dm_mod",
    "nvme_fabrics",
];

/// Returns the rows of the tables in docs/aliases.md: alias, module, and commands.
fn rows(text: &str) -> Vec<[String; 3]> {
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let plain = |cell: &str| cell.trim_matches('`').to_owned();
        let (example, module, commands) = match cells[..] {
            [_, example, _, module, commands] => (example, module, plain(commands)),
            [_, example, module, command] => {
                (example, module, format!("{} {}", plain(command), plain(example)))
            }
            _ => return None,
        };
        example.starts_with('`').then(|| [plain(example), plain(module), commands])
    });
    rows.collect()
}

fn every_family_of_aliases_is_requested_and_answered() {
    let file = paths::checkout().join("docs/aliases.md");
    let rows = rows(&fs::read_to_string(file).unwrap());
    assert!(rows.len() > 50, "{} rows", rows.len());
    let mut commands = vec!["coldplug helper install /sbin/asked".to_owned()];
    let mut modules = BROUGHT.to_vec();
    for [_, module, tries] in &rows {
        commands.extend([
            "asked".to_owned(),
            tries.clone(),
            "asked".to_owned(),
            format!("loaded {module}"),
        ]);
        if module != "—" && !modules.contains(&&**module) {
            modules.push(module);
        }
    }
    let tree = Kernel::Full61.get();
    let files = [("etc/modprobe.d/x.conf", "alias char-major-10-30 softdog\n")];
    let boot = Setup { tree: &tree, modules: &modules, files: &files }.run(&commands);
    let facts = boot.facts();
    let mut wrong = String::new();
    for (row, [example, module, tries]) in rows.iter().enumerate() {
        let said = |n: usize| printed(&facts, 1 + 4 * row + n);
        let is_query = tries.starts_with("modprobe -R");
        let has = |text: String, word: &str| text.lines().any(|line| line == word);
        let asked = is_query || has(said(2), example);
        let answered = module == "—" || has(said(if is_query { 1 } else { 3 }), module);
        if !asked || !answered {
            wrong += &format!(
                "{example}: {tries}: {:?}, asked {:?}, loaded {:?}\n",
                said(1),
                said(2),
                said(3)
            );
        }
    }
    no_runaway(&boot);
    note!("{} rows", rows.len());
    assert!(wrong.is_empty(), "{wrong}");
}

/// The path of the kernel's helper is not in the image; PID 1 makes a link there.
fn an_image_has_a_helper_at_the_path_of_the_kernel() {
    let tree = Kernel::Cloud61.get();
    let image = image::coldplug(&tree, &["--modules", "virtio_pci,virtio_blk,ext4,loop"]);
    let busybox = files::busybox();
    let vm = Machine::new(&tree, &image);
    let words = "root=/dev/vda coldplug.break=scan sysctl.kernel.modprobe=/usr/libexec/load";
    let image = image::overlay(&image, &[("bin/sh", &busybox)], &vm.dir().join("image"));
    let mut machine = vm.image(&image).cmdline(words).start();
    machine.wait_for("\n/ # ");
    let mut terminal = machine.terminal();
    terminal.line(
        "mknod /tmp/l c 10 237; read x < /tmp/l; echo helper-$(cat /proc/sys/kernel/modprobe)",
    );
    machine.wait_for("helper-/usr/libexec/load");
    terminal.line("grep -c ^loop /proc/modules | sed s/^/loops-/");
    machine.wait_for("loops-1");
    terminal.line("sync; echo o > /proc/sysrq-trigger");
    machine.finish();
}
