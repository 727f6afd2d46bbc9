//! A Debian 12 with systemd, made by debootstrap(8): booted with our image and with the image that
//! initramfs-tools makes. And Debian unstable with our image.

use harness::disk::UUID;
use harness::kernel::Tree;
use harness::machine::{Boot, Bus, Machine};
use harness::run::{BOOT, Need, Test};
use harness::{debian, files, image, note, tests, tool};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![
    [BOOT[0], BOOT[1], Need::Root("the files of the system keep their owners")] =>
    debian_boots_as_with_its_own_image,
];

/// Tests of `make boots`.
pub(crate) const EXTRA: &[Test] = tests![
    [BOOT[0], BOOT[1], Need::Root("the files of the system keep their owners")] =>
    the_newest_systemd_and_kernel_start,
];

/// Unit and script that report how the boot went, and power off.
const REPORT: &str = "[Unit]\nDescription=report of the start\n\
    [Service]\nType=exec\nStandardOutput=file:/dev/ttyS1\nExecStart=/usr/local/sbin/report\n\
    [Install]\nWantedBy=multi-user.target\n";
const SCRIPT: &str = "#!/bin/sh\nexport SYSTEMD_COLORS=0 SYSTEMD_PAGER=\n\
    echo \"state $(systemctl is-system-running --wait)\"\n\
    echo \"target $(systemctl is-active multi-user.target)\"\n\
    systemctl list-units --failed --plain --no-legend | sed 's/^/failed /'\n\
    systemd-analyze time | sed 's/^/time /'\n\
    findmnt -n -o SOURCE,OPTIONS / | sed 's/^/root /'\n\
    echo \"version $(systemctl --version | head -n 1)\"\n\
    sed -n 's/^Unevictable: *\\([0-9]*\\) kB/unevictable \\1/p' /proc/meminfo\n\
    echo \"stamp $(systemctl show -P InitRDTimestampMonotonic)\"\n\
    echo \"record $(cat /run/coldplug/record.json)\"\n\
    echo end\nsystemctl poweroff\n";
/// The /shutdown of our image, to which systemd returns when everything else has stopped.
const SHUTDOWN: &str = "#!/bin/busybox sh\necho \"/shutdown of the image: $*\" > /dev/console\n\
    /bin/busybox sync\n/bin/busybox poweroff -f\n";

/// Writes a disk with the system, and the service that reports.
pub(crate) fn disk(tree: &Tree, file: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("root");
    // Without what is mounted in it.
    tool::run(tool::command("cp", "coreutils").arg("-ax").args([&tree.root, &dir]));
    files::put(&dir, "etc/systemd/system/report.service", REPORT.as_bytes(), 0o644);
    files::put(&dir, "usr/local/sbin/report", SCRIPT.as_bytes(), 0o755);
    let fstab = format!("UUID={UUID} / ext4 defaults 0 1\n");
    files::put(&dir, "etc/fstab", fstab.as_bytes(), 0o644);
    let wants = dir.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("../report.service", wants.join("report.service")).unwrap();
    tool::run(
        tool::command("mkfs.ext4", "e2fsprogs")
            .args(["-q", "-F", "-U", UUID, "-d"])
            .args([&dir, file])
            .arg("1200M"),
    );
}

/// Boots `kernel` and `image` with the files of `tree` as root, until the system reports and powers
/// off.
pub(crate) fn boot_kernel(tree: &Tree, kernel: &Tree, image: &Path) -> Boot {
    let vm = Machine::new(kernel, image)
        .cmdline(&format!("root=UUID={UUID} ro systemd.log_color=no"))
        .deadline(Duration::from_secs(600));
    let file = vm.dir().join("debian");
    disk(tree, &file);
    let boot = vm.disk(Bus::VirtioBlk, &file).run();
    boot.check(boot.facts_text.trim_end().ends_with("end"), "a whole report");
    boot
}

fn boot(tree: &Tree, image: &Path) -> Boot {
    boot_kernel(tree, tree, image)
}

/// Returns the rest of the lines of the report that start with `word`.
pub(crate) fn reported<'b>(boot: &'b Boot, word: &str) -> Vec<&'b str> {
    let rest = |line: &'b str| line.trim_end().strip_prefix(word)?.strip_prefix(' ');
    boot.facts_text.lines().filter_map(rest).collect()
}

/// Adds the files of the shutdown to an image.
fn with_shutdown(image: &Path, out: &Path) -> PathBuf {
    let busybox = files::busybox();
    let files: [(&str, &[u8]); 2] =
        [("run/initramfs/shutdown", SHUTDOWN.as_bytes()), ("run/initramfs/bin/busybox", &busybox)];
    image::overlay(image, &files, out)
}

fn debian_boots_as_with_its_own_image() {
    let tree = debian::system();
    let scratch = tempfile::tempdir().unwrap();
    let own = tree.root.join(format!("boot/initrd.img-{}", tree.release));
    let ours = with_shutdown(&image::coldplug(&tree, &[]), &scratch.path().join("image"));
    let (ours, own) = (boot(&tree, &ours), boot(&tree, &own));
    for (name, boot) in [("our image", &ours), ("its own", &own)] {
        note!("{name}: {:?} {:?}", reported(boot, "time"), reported(boot, "failed"));
        assert_eq!(reported(boot, "target"), ["active"], "{name}{}", boot.facts_text);
    }
    let failed = |boot| reported(boot, "failed").into_iter().collect::<BTreeSet<_>>();
    let more: Vec<_> = failed(&ours).difference(&failed(&own)).copied().collect();
    assert!(more.is_empty(), "units that fail with our image alone: {more:#?}");
    assert_eq!(reported(&ours, "state"), reported(&own, "state"));
    let time = reported(&ours, "time").join(" ");
    assert!(time.contains("(initrd)"), "systemd-analyze: {time}");
    assert!(reported(&ours, "root")[0].starts_with("/dev/vda"), "{:?}", reported(&ours, "root"));
    ours.check(ours.console.contains("/shutdown of the image: poweroff"), "its end is ours");
    let record = reported(&ours, "record").concat();
    assert!(record.contains("\"verdict\":\"ok\""), "{record}");
}

/// Debian unstable has Linux 7, in which the switch goes by pivot_root, and its files in /usr.
fn the_newest_systemd_and_kernel_start() {
    let tree = debian::sid();
    let scratch = tempfile::tempdir().unwrap();
    let image = with_shutdown(&image::coldplug(&tree, &[]), &scratch.path().join("image"));
    let boot = boot(&tree, &image);
    note!("{:?} {:?}", reported(&boot, "time"), reported(&boot, "version"));
    assert_eq!(reported(&boot, "target"), ["active"], "{}", boot.facts_text);
    assert_eq!(reported(&boot, "failed"), [""; 0], "units that fail");
    assert_eq!(reported(&boot, "state"), ["running"]);
    let record = reported(&boot, "record").concat();
    assert!(record.contains("\"switch\":\"pivot_root\""), "{record}");
    let left: u64 = reported(&boot, "unevictable")[0].parse().unwrap();
    assert!(left < 4096, "{left} KiB of the initramfs are still in memory");
    boot.check(boot.console.contains("/shutdown of the image: poweroff"), "its end is ours");
}
