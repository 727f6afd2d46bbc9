//! The module tools and the kernel's own helper on a running kernel.
//!
//! `data/running-kernel/NAME.txt` is the transcript of one boot, with commands of
//! guests/guest_tools.rs. `RELEASE` in it is the release of the kernel, and `ANOTHER` that for
//! which /opt/other-kernel.ko was built.
//!
//! The root of the machine holds the tools as links to coldplug, some modules with their index
//! files, and modified modules in /opt. Nothing else runs there: a module that appears without a
//! command was loaded by the kernel's helper.

use harness::disk::{ROOT, UUID};
use harness::files::put;
use harness::guest::Report;
use harness::kernel::{Kernel, Tree};
use harness::machine::{Bus, Machine};
use harness::run::{BOOT, Test};
use harness::{disk, files, image, kmod34, note, paths, tests, tool, transcript};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    the_helper_loads_requested_modules,
    the_helper_loads_compressed_modules,
    modules_are_loaded_and_removed,
    parameters_of_the_kernel_refuse_modules,
];

/// Modules in the root; those that they need are added. A kernel may lack some.
const MODULES: &[&str] = &[
    "xfs",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "tipc",
    "vsock",
    "vsock_loopback",
    "hv_sock",
    "vmw_vsock_vmci_transport",
    "algif_hash",
    "algif_skcipher",
    "md4",
    "blowfish_generic",
    "ecb",
    "loop",
    "null_blk",
    "dummy",
    "veth",
];

const TOOLS: &[&str] = &["modprobe", "insmod", "rmmod", "lsmod", "modinfo"];

/// /etc/modprobe.d/loop.conf
const OPTIONS: &str = "options loop max_part=3 \\\n  max_loop=4\n";

/// Content of /hello in the XFS.
const HELLO: &str = "hello from another file system\n";

fn the_helper_loads_requested_modules() {
    check(Kernel::Cloud61, "autoload", "");
}

fn the_helper_loads_compressed_modules() {
    check(Kernel::Cloud612, "autoload", "");
}

fn modules_are_loaded_and_removed() {
    check(Kernel::Cloud61, "load", "");
}

fn parameters_of_the_kernel_refuse_modules() {
    check(Kernel::Cloud61, "refused", "module.sig_enforce=1 module_blacklist=dummy");
}

/// Boots `kernel` with `words` and runs `transcript` in it.
#[track_caller]
fn check(kernel: Kernel, transcript: &str, words: &str) {
    let file = paths::data("running-kernel").join(transcript).with_extension("txt");
    let tree = kernel.get();
    let vm = Machine::new(&tree, &image::coldplug(&tree, &["--all"]))
        .cmdline(&format!("root=UUID={UUID}"));
    let disks = [
        root(&tree, &transcript::commands(&file), vm.dir()),
        xfs(vm.dir()),
        disk::vfat(&vm.dir().join("vfat.img")),
    ];
    let vm = disks.iter().fold(vm.cmdline(words), |vm, disk| vm.disk(Bus::VirtioBlk, disk));
    let boot = vm.run();
    boot.expect("ok");
    let facts = boot.facts();
    let names = vec![(tree.release.clone(), "RELEASE"), (another(&tree.release), "ANOTHER")];
    note!("{}", boot.tail());
    transcript::check(&file, &mut Report::new(&facts, names));
    for (number, letter) in ["a", "b", "c"].iter().enumerate() {
        let named = format!("virtio{number}: [vd{letter}]");
        boot.check(boot.console.contains(&named), &format!("no {named:?}: names are out of order"));
    }
    // The helper has no standard streams; messages to the kernel log would appear on the console.
    boot.check(!boot.console.contains("modprobe: "), "the helper was not silent");
}

/// Makes the root disk in `dir`.
fn root(tree: &Tree, commands: &[String], dir: &Path) -> PathBuf {
    let root = dir.join("root");
    let release = |text: &str| text.replace("RELEASE", &tree.release);
    put(&root, "sbin/init", &fs::read(paths::program("examples/guest_tools")).unwrap(), 0o755);
    if transcript::is_kmod() {
        files::install(&root, &kmod34::program(), "sbin/coldplug");
        for (library, at) in kmod34::libraries() {
            files::install(&root, &library, &at);
        }
    } else {
        put(&root, "sbin/coldplug", &fs::read(paths::program("coldplug")).unwrap(), 0o755);
    }
    for tool in TOOLS {
        symlink("coldplug", root.join("sbin").join(tool)).unwrap();
    }
    put(&root, "etc/commands", release(&commands.join("\n")).as_bytes(), 0o644);
    put(&root, "etc/modprobe.d/loop.conf", OPTIONS.as_bytes(), 0o644);
    fs::create_dir(root.join("mnt")).unwrap();
    let there: Vec<_> = MODULES.iter().copied().filter(|m| tree.module(m).is_some()).collect();
    disk::install_modules(tree, &there, &root);
    if tree.module("dummy").unwrap().ends_with(".ko") {
        install_changed(tree, &root);
    }
    fs::create_dir_all(root.join("opt")).unwrap();
    symlink("/sbin/coldplug", root.join("opt/modprobe")).unwrap();
    ROOT.make_of(&root, "48M", &dir.join("root.img"))
}

/// Returns the release of another kernel, of the same length.
fn another(release: &str) -> String {
    release.replacen('6', "5", 1)
}

/// Puts modified modules into /opt, and replaces veth by a module of another kernel.
fn install_changed(tree: &Tree, root: &Path) {
    let path = tree.modules().join(tree.module("dummy").unwrap());
    let dummy = fs::read(path).unwrap();
    let unsigned = unsigned(&dummy);
    let own = format!("vermagic={}", tree.release);
    let other = format!("vermagic={}", another(&tree.release));
    let (machine, other_machine) = (" SMP preempt", " UMP preempt");
    let other_release = changed(unsigned, &own, &other);
    let other_configuration = changed(unsigned, machine, other_machine);
    let other_kernel = changed(&other_release, machine, other_machine);
    for (name, bytes) in [
        ("unsigned", unsigned),
        ("other-release", &other_release),
        ("other-configuration", &other_configuration),
        ("other-kernel", &other_kernel),
        ("damaged", &changed(&dummy, "license=GPL", "license=Gpl")),
        ("half", &dummy[..dummy.len() / 2]),
        ("text", b"this is no module\n"),
    ] {
        put(root, &format!("opt/{name}.ko"), bytes, 0o644);
    }
    let path = tree.modules().join(tree.module("veth").unwrap());
    let veth = changed(unsigned_of(&path).as_slice(), machine, other_machine);
    let veth = changed(&veth, &own, &other);
    put(&root.join("lib/modules").join(&tree.release), &tree.module("veth").unwrap(), &veth, 0o644);
}

fn unsigned_of(path: &Path) -> Vec<u8> {
    unsigned(&fs::read(path).unwrap()).to_vec()
}

/// Returns the module without its signature: the trailer is the signature, 12 bytes that end with
/// its length, and a magic line (module_signature.h).
fn unsigned(module: &[u8]) -> &[u8] {
    let rest = module.strip_suffix(b"~Module signature appended~\n").expect("a signed module");
    let (rest, length) = rest.split_last_chunk::<4>().unwrap();
    let length = u32::from_be_bytes(*length) as usize;
    &rest[..rest.len() - 8 - length]
}

/// Returns the module with its first `from` replaced by `to`, which is as long.
fn changed(module: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = module.windows(from.len()).position(|w| w == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {from:?} in the module"));
    let mut bytes = module.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

/// Makes an XFS with the file `hello`.
fn xfs(dir: &Path) -> PathBuf {
    let file = disk::empty(300, &dir.join("xfs.img"));
    let hello = dir.join("hello");
    fs::write(&hello, HELLO).unwrap();
    let proto = dir.join("proto");
    let text = format!("/\n0 0\nd--755 0 0\nhello ---644 0 0 {}\n$\n", hello.display());
    fs::write(&proto, text).unwrap();
    tool::run(tool::command("mkfs.xfs", "xfsprogs").arg("-q").arg("-p").args([&proto, &file]));
    file
}
