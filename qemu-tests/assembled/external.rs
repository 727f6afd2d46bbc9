//! Roots that programs of the image assemble, by rules of /etc/coldplug/assemble.d.

use harness::disk::{DECOY, ROOT};
use harness::machine::{Bus, Machine};
use harness::made_disk::made;
use harness::run::{BOOT, Test};
use harness::{debian, image, tests, tool};

/// The tests of this module, by what they need.
pub(crate) const TESTS: &[Test] = tests![BOOT =>
    a_script_registers_bcache,
    a_script_attaches_a_file,
    programs_that_do_not_help,
];

/// Modules of the image.
const MODULES: &str = "@virtio,@storage,@filesystems,bcache,loop";
/// The root filesystem of all disks: `disk::UUID`.
const LINE: &str = "root=UUID=c01d9106-0000-4000-8000-000000000001";

/// Makes a machine whose image has busybox, these rules and the script /bin/attach.
fn machine(rules: &str, script: &str) -> Machine {
    let tree = debian::system();
    let busybox = format!("--shell={}", tool::find("busybox", "busybox-static").display());
    let base = image::coldplug(&tree, &["--generic", "--modules", MODULES, &busybox]);
    let vm = Machine::new(&tree, &base);
    let script = format!("#!/bin/sh -e\n{script}");
    let files = [("etc/coldplug/assemble.d/10-test", rules), ("bin/attach", script.as_str())];
    let files = files.map(|(name, text)| (name, text.as_bytes()));
    let image = image::overlay(&base, &files, &vm.dir().join("image"));
    vm.image(&image).cmdline(LINE)
}

fn a_script_registers_bcache() {
    let script = "/sbin/modprobe bcache\necho $DEVNAME > /sys/fs/bcache/register\n";
    let vm = machine("on bcache run /bin/attach\n", script);
    let (boot, facts) = made("bcache").attach(vm, Bus::VirtioBlk).run_clean();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/bcache0");
    for disk in ["vda", "vdb"] {
        let text = format!(
            "coldplug: /etc/coldplug/assemble.d/10-test:1: running /bin/attach for /dev/{disk}"
        );
        assert_eq!(boot.console.matches(&text).count(), 1, "{disk}{}", boot.tail());
    }
}

/// The disk holds a file that holds the root.
fn a_script_attaches_a_file() {
    let script = "mkdir -p /run/outer\nmount -t $ID_FS_TYPE $DEVNAME /run/outer\n/sbin/modprobe loop\n\
        losetup /dev/loop0 \"/run/outer/$1\"\necho \"found $1\"\n";
    let vm = machine("on ext4 run /bin/attach 'the root.img'\n", script);
    let outer = tempfile::tempdir().unwrap();
    ROOT.make(&outer.path().join("the root.img"));
    let disk = DECOY.make_of(outer.path(), "32M", &vm.dir().join("outer"));
    let (boot, facts) = vm.disk(Bus::VirtioBlk, &disk).run_ok();
    assert_eq!(facts.mount("/").unwrap().source, "/dev/loop0");
    boot.check(boot.console.contains("attach: found the root.img"), "no output in the log");
}

fn programs_that_do_not_help() {
    let (attach, none) = ("on ext4 run /bin/attach\n", "on ext4 run /bin/none\n");
    for (rules, script, texts) in [
        (
            attach,
            "echo to no avail >&2\nexit 3\n",
            &["attach: to no avail", "/bin/attach for /dev/vda: exit status: 3"][..],
        ),
        (
            attach,
            "echo waiting\nsleep 1000 &\nsleep 1000\n",
            &["attach: waiting", "/bin/attach for /dev/vda: did not end within 2 s"],
        ),
        (
            &format!("{none}{attach}"),
            "kill -SEGV $$\n",
            &[
                "/bin/none for /dev/vda: exec /bin/none: No such file or directory",
                "/bin/attach for /dev/vda: signal: 11",
            ],
        ),
        ("on ext5 run /bin/attach\n", "", &["ignored: unknown type of superblock 'ext5'"]),
    ] {
        machine(rules, script)
            .cmdline("coldplug.timeout=25 coldplug.assemble_timeout=2")
            .attach(Bus::VirtioBlk, DECOY)
            .run_failed("no-root", texts);
    }
}
