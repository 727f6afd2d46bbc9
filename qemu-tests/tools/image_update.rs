//! `coldplug image update` and `remove`: the images of the kernels that are installed in a root.

use super::image::{X86_64, module, program};
use harness::files::put;
use harness::run::{Need, Test};
use harness::{tests, tool};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [] =>
    every_installed_kernel_gets_an_image,
    the_configuration_says_what_is_built,
    errors_of_the_configuration_are_named,
    a_failed_build_keeps_the_old_image,
    an_image_without_init_does_not_replace_the_old_one,
    an_image_with_a_wrong_module_is_better_than_none,
    images_go_with_their_kernels,
    an_image_without_a_release_in_its_path_goes_with_its_last_kernel,
    a_stale_image_that_stays_stops_no_update,
    the_manifest_is_replaced_with_its_image,
    an_image_is_checked_for_this_machine,
    a_linked_image_is_replaced_behind_the_link;
    [Need::Root("mounts a small filesystem")] => a_full_filesystem_keeps_the_old_image;
];

/// A hash of `openssl passwd -5`.
const HASH: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";

/// Returns a program of a few bytes and this many more.
fn init(more: usize) -> Vec<u8> {
    program(X86_64, None, &vec![b'#'; more])
}

/// Makes a root with these kernels, each with an empty list of modules, and a program for /init
/// that image.conf.d names.
fn root(releases: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for release in releases {
        kernel(dir.path(), release);
    }
    put(dir.path(), "init", &init(0), 0o755);
    let conf = format!("init = {}\n", dir.path().join("init").display());
    put(dir.path(), "usr/lib/coldplug/image.conf.d/10-init.conf", conf.as_bytes(), 0o644);
    dir
}

fn kernel(root: &Path, release: &str) {
    for name in ["modules.dep", "modules.order", "modules.builtin"] {
        put(root, &format!("lib/modules/{release}/{name}"), b"", 0o644);
    }
    put(root, &format!("boot/vmlinuz-{release}"), b"", 0o644);
}

/// Runs `coldplug image LINE --root ROOT`. Returns what was printed, with the root as `/`, and
/// whether it was successful.
fn run(root: &Path, line: &str) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    command.arg("image").args(line.split(' ')).arg("--root").arg(root);
    let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (text.replace(root.to_str().unwrap(), ""), output.status.success())
}

fn done(root: &Path, line: &str) -> String {
    let (text, done) = run(root, line);
    assert!(done, "{line}: {text}");
    text
}

fn failed(root: &Path, line: &str) -> String {
    let (text, done) = run(root, line);
    assert!(!done, "{line}: {text}");
    text
}

/// Returns the files of a directory of the root, sorted; those with a dot in front too.
fn files(root: &Path, dir: &str) -> String {
    let entries = fs::read_dir(root.join(dir)).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names.join(" ")
}

/// Returns the names of the entries of an image.
fn entries(image: &Path) -> Vec<String> {
    let mut list = Command::new(env!("CARGO_BIN_EXE_coldplug"));
    let text = tool::run(list.args(["image", "list"]).arg(image));
    let names = text.lines().filter_map(|line| line.split_whitespace().nth(3));
    names.map(str::to_owned).collect()
}

fn every_installed_kernel_gets_an_image() {
    let scratch = root(&["6.1", "6.12"]);
    let dir = scratch.path();
    // What dkms has left of a kernel.
    put(dir, "lib/modules/5.10/updates/dkms/x.ko", b"", 0o644);
    let text = done(dir, "update");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("/boot/")).collect();
    let starts = ["/boot/initrd.img-6.1: ", "/boot/initrd.img-6.12: "];
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{text}");
    let all = "initrd.img-6.1 initrd.img-6.12 vmlinuz-6.1 vmlinuz-6.12";
    assert_eq!((lines.len(), files(dir, "boot").as_str()), (2, all));
    let image = dir.join("boot/initrd.img-6.12");
    assert!(entries(&image).contains(&"lib/modules/6.12/modules.dep".to_owned()));
    let first = fs::metadata(&image).unwrap().ino();
    let bytes = fs::read(&image).unwrap();
    // What an interrupted update has left.
    put(dir, "boot/.initrd.img-6.12.new", b"half", 0o644);
    put(dir, "boot/initrd.img-6.12.old", b"old", 0o644);
    assert_eq!(done(dir, "update -q -k 6.12"), "");
    assert_eq!(files(dir, "boot"), all);
    assert_ne!(fs::metadata(&image).unwrap().ino(), first);
    assert_eq!(fs::read(&image).unwrap(), bytes);
    let text = failed(dir, "update -k 5.15");
    assert!(text.starts_with("coldplug image: /lib/modules/5.15: no modules of kernel"), "{text}");
    assert!(text.contains("hint: "), "{text}");
    // The other kernels get theirs.
    fs::remove_file(dir.join("lib/modules/6.1/modules.dep")).unwrap();
    fs::create_dir(dir.join("lib/modules/6.1/modules.dep")).unwrap();
    let text = failed(dir, "update");
    let error = "/lib/modules/6.1/modules.dep: not a regular file";
    assert!(text.contains(error) && text.contains("img-6.12: "), "{text}");
    let none = root(&[]);
    fs::create_dir(none.path().join("boot")).unwrap();
    assert!(done(none.path(), "update").contains("no kernel is installed"));
}

fn the_configuration_says_what_is_built() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    fs::create_dir(dir.join("efi")).unwrap();
    let conf = "# on the ESP\noutput = /efi/%v.img\ncompress = zstd\nquiet = yes\n";
    put(dir, "etc/coldplug/image.conf", conf.as_bytes(), 0o644);
    assert_eq!(done(dir, "update"), "");
    assert_eq!(files(dir, "efi"), "6.1.img");
    assert_eq!(fs::read(dir.join("efi/6.1.img")).unwrap()[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    put(dir, "etc/coldplug/image.conf.d/z.conf", b"compress = none\n", 0o644);
    done(dir, "update -o /efi/other-%v");
    assert_eq!(fs::read(dir.join("efi/other-6.1")).unwrap()[..6], *b"070701");
    // One kernel needs no placeholder, two do.
    done(dir, "update -o /efi/initrd");
    kernel(dir, "6.12");
    let text = failed(dir, "update -o /efi/initrd");
    assert!(text.contains("2 kernels, and one path for their images"), "{text}");
    let conf = format!("shell-password-hash = {HASH}\n");
    put(dir, "etc/coldplug/image.conf.d/z.conf", conf.as_bytes(), 0o644);
    done(dir, "update -k 6.12");
    let mode = fs::metadata(dir.join("efi/6.12.img")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

fn errors_of_the_configuration_are_named() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    for (conf, want) in [
        ("\n\nfrob = 1\n", "/etc/coldplug/image.conf:3: frob: no such key"),
        ("[Image]", "/etc/coldplug/image.conf:1: '[Image]' is not KEY = VALUE"),
        (
            "generic = perhaps",
            "/etc/coldplug/image.conf:1: generic: 'perhaps' is neither yes nor no",
        ),
        (
            "kernel = 6.1",
            "/etc/coldplug/image.conf:1: kernel: can only be given on the command line",
        ),
        (
            "output = image",
            "/etc/coldplug/image.conf:1: output: 'image' is not the absolute path of a file",
        ),
        (
            "manifest = -",
            "/etc/coldplug/image.conf:1: manifest: '-' is not the absolute path of a file",
        ),
        ("manifest = /boot/initrd.img-%v", "/boot/initrd.img-%v: both the image and its manifest"),
        ("modules = nonsense", "nonsense: no such module, builtin or alias"),
        ("list = /no/list", "open /no/list: No such file or directory"),
        ("compress = rar", "/etc/coldplug/image.conf:1: compress: "),
    ] {
        put(dir, "etc/coldplug/image.conf", conf.as_bytes(), 0o644);
        let text = failed(dir, "update");
        assert!(text.starts_with(&format!("coldplug image: {want}")), "{conf}: {text}");
        assert_eq!(files(dir, "boot"), "vmlinuz-6.1", "{conf}");
    }
}

fn a_failed_build_keeps_the_old_image() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "boot/initrd.img-6.1", b"old", 0o644);
    fs::remove_file(dir.join("init")).unwrap();
    let text = failed(dir, "update");
    assert!(text.contains("/init: No such file or directory"), "{text}");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 vmlinuz-6.1");
    assert_eq!(fs::read(dir.join("boot/initrd.img-6.1")).unwrap(), b"old");
}

fn an_image_without_init_does_not_replace_the_old_one() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "boot/initrd.img-6.1", b"old", 0o644);
    put(dir, "list", b"dir /etc 0755 0 0\n", 0o644);
    let conf = format!("list = {}\n", dir.join("list").display());
    put(dir, "etc/coldplug/image.conf", conf.as_bytes(), 0o644);
    let text = failed(dir, "update");
    let want = "coldplug image: /boot/initrd.img-6.1: the new image: /init: missing: the kernel would \
        not use the image\nhint: an image that was there is still in its place";
    assert!(text.starts_with(want), "{text}");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 vmlinuz-6.1");
    assert_eq!(fs::read(dir.join("boot/initrd.img-6.1")).unwrap(), b"old");
}

fn an_image_with_a_wrong_module_is_better_than_none() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    let dep = "lib/modules/6.1/modules.dep";
    put(dir, dep, b"kernel/x.ko:\n", 0o644);
    put(dir, "lib/modules/6.1/kernel/x.ko", &module(&["name=x", "vermagic=6.2 SMP"]), 0o644);
    let wrong = "lib/modules/6.1/kernel/x.ko.zst: built for kernel 6.2, not for 6.1\n";
    let text = done(dir, "update");
    assert!(text.contains(&format!("coldplug image: {wrong}")), "{text}");
    let first = fs::metadata(dir.join("boot/initrd.img-6.1")).unwrap().ino();
    let text = failed(dir, "update");
    let want = format!("coldplug image: /boot/initrd.img-6.1: the new image: {wrong}hint: ");
    assert!(text.starts_with(&want), "{text}");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 vmlinuz-6.1");
    assert_eq!(fs::metadata(dir.join("boot/initrd.img-6.1")).unwrap().ino(), first);
    put(dir, "lib/modules/6.1/kernel/x.ko", &module(&["name=x", "vermagic=6.1 SMP"]), 0o644);
    done(dir, "update");
}

fn images_go_with_their_kernels() {
    let scratch = root(&["6.1", "6.2", "6.3"]);
    let dir = scratch.path();
    done(dir, "update");
    // Images of others, and copies that a person has made.
    for name in ["initrd.img-6.0", "initrd.img-6.2.good"] {
        put(dir, &format!("boot/{name}"), b"", 0o644);
    }
    fs::remove_file(dir.join("boot/vmlinuz-6.2")).unwrap();
    fs::remove_dir_all(dir.join("lib/modules/6.2")).unwrap();
    let text = done(dir, "update");
    assert!(text.starts_with("/boot/initrd.img-6.2: removed\n"), "{text}");
    let left =
        "initrd.img-6.0 initrd.img-6.1 initrd.img-6.2.good initrd.img-6.3 vmlinuz-6.1 vmlinuz-6.3";
    assert_eq!(files(dir, "boot"), left);
    assert_eq!(done(dir, "remove -k 6.3"), "/boot/initrd.img-6.3: removed\n");
    assert_eq!(done(dir, "remove -k 6.3"), "");
    assert_eq!(files(dir, "var/lib/coldplug/images"), "6.1");
    // One that no record names: of initramfs-tools, before.
    assert_eq!(done(dir, "remove -k 6.0"), "/boot/initrd.img-6.0: removed\n");
    assert!(failed(dir, "remove").contains("--kernel RELEASE is missing"));
}

fn an_image_without_a_release_in_its_path_goes_with_its_last_kernel() {
    let scratch = root(&["6.1", "6.2"]);
    let dir = scratch.path();
    put(dir, "etc/coldplug/image.conf", b"output = /boot/initrd\nquiet = yes\n", 0o644);
    done(dir, "update -k 6.1");
    done(dir, "update -k 6.2");
    assert_eq!(done(dir, "remove -k 6.1"), "");
    assert_eq!(files(dir, "boot"), "initrd vmlinuz-6.1 vmlinuz-6.2");
    // The kernel of the image is gone, and the new image of the other one cannot be built.
    fs::remove_file(dir.join("boot/vmlinuz-6.2")).unwrap();
    fs::remove_dir_all(dir.join("lib/modules/6.2")).unwrap();
    fs::rename(dir.join("init"), dir.join("away")).unwrap();
    failed(dir, "update");
    assert_eq!(files(dir, "boot"), "initrd vmlinuz-6.1");
    fs::rename(dir.join("away"), dir.join("init")).unwrap();
    done(dir, "update");
    done(dir, "remove -k 6.1");
    assert_eq!(files(dir, "boot"), "vmlinuz-6.1");
}

fn a_stale_image_that_stays_stops_no_update() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "var/lib/coldplug/images/5.10", b"/boot/stale\n", 0o644);
    put(dir, "boot/stale/file", b"", 0o644);
    let text = failed(dir, "update");
    assert!(text.contains("coldplug image: unlink /boot/stale: "), "{text}");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 stale vmlinuz-6.1");
    assert_eq!(files(dir, "var/lib/coldplug/images"), "5.10 6.1");
}

fn the_manifest_is_replaced_with_its_image() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "etc/coldplug/image.conf", b"manifest = /srv/%v.json\nquiet = yes\n", 0o644);
    fs::create_dir(dir.join("srv")).unwrap();
    done(dir, "update");
    let first = fs::read(dir.join("srv/6.1.json")).unwrap();
    // The new image is built, with its manifest, and does not pass the check.
    put(dir, "list", b"dir /etc 0755 0 0\n", 0o644);
    let conf = format!("list = {}\n", dir.join("list").display());
    put(dir, "etc/coldplug/image.conf.d/z.conf", conf.as_bytes(), 0o644);
    assert!(failed(dir, "update").contains("the new image: /init: missing"));
    assert_eq!(files(dir, "srv"), "6.1.json");
    assert_eq!(fs::read(dir.join("srv/6.1.json")).unwrap(), first);
    fs::remove_file(dir.join("etc/coldplug/image.conf.d/z.conf")).unwrap();
    // Whatever the configuration says by then, the record names the manifest.
    put(dir, "etc/coldplug/image.conf", b"", 0o644);
    let text = done(dir, "remove -k 6.1");
    assert_eq!(text, "/boot/initrd.img-6.1: removed\n/srv/6.1.json: removed\n");
    kernel(dir, "6.2");
    put(dir, "etc/coldplug/image.conf", b"manifest = /srv/json\n", 0o644);
    let text = failed(dir, "update");
    assert!(text.contains("2 kernels, and one path for their manifests\nhint: "), "{text}");
}

fn an_image_is_checked_for_this_machine() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "etc/coldplug/image.conf", b"host = yes\n", 0o644);
    put(dir, "boot/initrd.img-6.1", b"old", 0o644);
    // No module of the kernel is the root filesystem.
    put(dir, "proc/cmdline", b"root=/dev/vda rootfstype=ext4\n", 0o644);
    put(dir, "proc/self/mountinfo", b"1 0 254:0 / / rw - ext4 /dev/vda rw\n", 0o644);
    put(dir, "sys/devices/pci0/block/vda/dev", b"254:0\n", 0o644);
    put(dir, "sys/devices/pci0/modalias", b"pci:a\n", 0o644);
    fs::create_dir_all(dir.join("sys/dev/block")).unwrap();
    symlink("../../devices/pci0/block/vda", dir.join("sys/dev/block/254:0")).unwrap();
    let text = failed(dir, "update");
    assert!(text.contains("the new image: root filesystem: ext4: neither a module"), "{text}");
    assert_eq!(fs::read(dir.join("boot/initrd.img-6.1")).unwrap(), b"old");
}

fn a_linked_image_is_replaced_behind_the_link() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    put(dir, "efi/image", b"old", 0o644);
    symlink(dir.join("efi/image"), dir.join("boot/initrd.img-6.1")).unwrap();
    done(dir, "update");
    assert!(fs::symlink_metadata(dir.join("boot/initrd.img-6.1")).unwrap().is_symlink());
    assert_eq!(files(dir, "efi"), "image");
    assert_ne!(fs::read(dir.join("efi/image")).unwrap(), b"old");
}

/// A mounted filesystem, until it is dropped.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tool::attempt(tool::command("umount", "mount").arg(&self.0));
    }
}

fn a_full_filesystem_keeps_the_old_image() {
    let scratch = root(&["6.1"]);
    let dir = scratch.path();
    let boot = dir.join("boot");
    let mut mount = tool::command("mount", "mount");
    mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&boot);
    tool::run(&mut mount);
    let _mounted = Mounted(boot);
    put(dir, "boot/vmlinuz-6.1", b"", 0o644);
    put(dir, "boot/initrd.img-6.1", b"old", 0o644);
    fs::write(dir.join("init"), init(100_000)).unwrap();
    let text = failed(dir, "update");
    let start = "coldplug image: write /boot/initrd.img-6.1: No space left on device: ";
    let numbers = text.strip_prefix(start).unwrap_or_else(|| panic!("{text}"));
    let numbers: Vec<u64> = numbers
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .take(2)
        .collect();
    assert!(numbers[0] > 100_000 && numbers[1] < 65_536, "{text}");
    assert!(text.contains(" bytes are needed, ") && text.contains("hint: the old image"), "{text}");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 vmlinuz-6.1");
    assert_eq!(fs::read(dir.join("boot/initrd.img-6.1")).unwrap(), b"old");
    fs::write(dir.join("init"), init(0)).unwrap();
    done(dir, "update");
    assert_eq!(files(dir, "boot"), "initrd.img-6.1 vmlinuz-6.1");
}
