//! Images that dracut and kernel-install build with coldplug on a Debian 13, booted: dracut's with its
//! own PID 1, and ours in entries of the Boot Loader Specification and in a signed unified kernel
//! image under Secure Boot.

use super::debian::{boot_kernel, disk, reported};
use super::packages::System;
use harness::arch::Arch;
use harness::kernel::Tree;
use harness::run::{BOOT, Need, Test};
use harness::{disk::UUID, note, ovmf, paths, tests, tool};
use std::fs;
use std::path::{Path, PathBuf};

/// Tests of `make boots` and `make generators`.
pub(crate) const EXTRA: &[Test] = tests![
    [BOOT[0], BOOT[1], Need::Root("packages are installed in a chroot")] =>
    images_of_dracut_and_kernel_install_boot,
];

/// Packages besides those of a small system.
const PACKAGES: &str = "dracut-core systemd-ukify systemd-boot-efi ovmf python3-virt-firmware \
    sbsigntool openssl cpio";

/// Settings of kernel-install, its command line, keys, an archive of microcode that has none, and
/// variables of the firmware with these keys.
const PREPARE: &str = "set -e; mkdir -p /efi/loader/entries /etc/kernel /keys; cd /keys; \
    openssl req -new -x509 -newkey rsa:2048 -nodes -subj /CN=test -keyout db.key -out db.pem 2>&1; \
    mkdir -p kernel/x86/microcode; head -c 4096 /dev/zero > kernel/x86/microcode/AuthenticAMD.bin; \
    find kernel | cpio -o -H newc --quiet > microcode.cpio; \
    guid=11111111-2222-3333-4444-555555555555; \
    virt-fw-vars -i /usr/share/OVMF/OVMF_VARS_4M.fd -o vars.fd --set-pk $guid db.pem \
    --add-kek $guid db.pem --add-db $guid db.pem --sb --no-microsoft; \
    printf '[UKI]\\nMicrocode=/keys/microcode.cpio\\nSecureBootPrivateKey=/keys/db.key\\n\
    SecureBootCertificate=/keys/db.pem\\n' > /etc/kernel/uki.conf; \
    systemd-machine-id-setup; \
    mkdir -p /etc/coldplug; echo 'modules = @virtio, ext4, vfat' > /etc/coldplug/image.conf";

fn images_of_dracut_and_kernel_install_boot() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("system");
    fs::create_dir(&dir).unwrap();
    let mut system = System::new("trixie", &dir);
    let [_, release] = system.kernels("6.12");
    system.run(&format!(
        "INITRD=No apt-get -y -q -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=no install \
         linux-image-{release} {PACKAGES}"
    ));
    let mut make = tool::command("make", "make");
    make.arg("-sC").arg(paths::checkout()).args(["install", "PREFIX=/usr"]);
    make.env("CARGO_TARGET_DIR", paths::target());
    tool::run(make.arg(format!("DESTDIR={}", dir.display())));
    system.run(PREPARE);
    let cmdline = format!("root=UUID={UUID} ro console=ttyS0 panic=-1 no_timer_check");
    fs::write(dir.join("etc/kernel/cmdline"), cmdline).unwrap();
    dracut(&system, &release);
    let entry = install(&system, &release, "bls", "/efi/*/*/initrd*");
    kernel_boots(&system, &release, &entry, "coldplug: verdict=ok");
    let unified = install(&system, &release, "uki", "/efi/EFI/Linux/*.efi");
    unified_image_boots(&system, &release, &unified);
    // kernel-install removes what is there for the kernel.
    system.run(&format!("kernel-install remove {release}"));
    assert_eq!(system.run("find /efi -name '*.efi'"), "");
    system.unmount();
}

/// Builds an image by dracut, and checks that coldplug alone can load a module in it.
fn dracut(system: &System, release: &str) {
    system.run(&format!("dracut -f -q --no-hostonly --add coldplug --kver {release} /boot/dracut"));
    let list = system.run("lsinitrd /boot/dracut");
    let names = |name: &str| list.lines().any(|line| line.contains(name));
    assert!(names("usr/sbin/modprobe -> /usr/bin/coldplug") && names("-coldplug.sh"), "{list}");
    let rules = system.run("lsinitrd -f usr/lib/udev/rules.d/80-drivers.rules /boot/dracut");
    assert!(rules.contains("coldplug modprobe") && !rules.contains("{builtin}"), "{rules}");
    let image = system.dir().join("boot/dracut");
    kernel_boots(system, release, &image, "dracut-pre-trigger.service");
}

/// Boots the kernel with an image of it. The root is the system.
fn kernel_boots(system: &System, release: &str, image: &Path, want: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let kernel = scratch.path().join("vmlinuz");
    fs::copy(system.dir().join(format!("boot/vmlinuz-{release}")), kernel).unwrap();
    let boot = boot_kernel(&tree(system.dir(), release), &tree(scratch.path(), release), image);
    note!("{}: {:?}", image.display(), reported(&boot, "time"));
    boot.check(boot.console.contains(want), want);
    assert_eq!(reported(&boot, "target"), ["active"], "{}", boot.facts_text);
    assert_eq!(reported(&boot, "failed"), [""; 0], "units that fail");
}

fn tree(root: &Path, release: &str) -> Tree {
    Tree { root: root.to_owned(), release: release.to_owned(), arch: Arch::X86_64 }
}

/// Installs the kernel with a layout, and returns the one file of this pattern.
fn install(system: &System, release: &str, layout: &str, pattern: &str) -> PathBuf {
    system.run(&format!(
        "printf 'layout={layout}\\ninitrd_generator=coldplug\\nBOOT_ROOT=/efi\\n' \
         > /etc/kernel/install.conf; kernel-install add {release} /boot/vmlinuz-{release}"
    ));
    let found = system.run(&format!("ls {pattern}"));
    let found: Vec<_> = found.lines().collect();
    assert_eq!(found.len(), 1, "{found:?}");
    system.dir().join(found[0].trim_start_matches('/'))
}

/// Boots a signed unified kernel image with firmware that starts no other.
fn unified_image_boots(system: &System, release: &str, image: &Path) {
    let at = image.strip_prefix(system.dir()).unwrap();
    let verified = system.run(&format!("sbverify --cert /keys/db.pem /{}", at.display()));
    assert!(verified.contains("Signature verification OK"), "{verified}");
    let sections = system.run(&format!("ukify inspect /{}", at.display()));
    for name in [".ucode:", ".initrd:", ".linux:"] {
        assert!(sections.contains(name), "{name}: {sections}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let esp = scratch.path().join("esp");
    fs::create_dir_all(esp.join("EFI/BOOT")).unwrap();
    fs::copy(image, esp.join("EFI/BOOT/BOOTX64.EFI")).unwrap();
    let root = scratch.path().join("root");
    disk(&tree(system.dir(), release), &root);
    let code = system.dir().join("usr/share/OVMF/OVMF_CODE_4M.secboot.fd");
    let printed = ovmf::boot(&code, &system.dir().join("keys/vars.fd"), &esp, &root);
    for want in ["coldplug: verdict=ok", "Secure boot enabled"] {
        assert!(printed.console.contains(want), "{want}: {}", printed.console);
    }
    assert!(printed.facts.lines().any(|line| line == "target active"), "{}", printed.facts);
}
